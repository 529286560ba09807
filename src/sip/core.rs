//! The sans-IO back-to-back user agent: messages, connections and time go in, messages and call events come
//! out. No socket, no clock, no randomness: whoever drives an [`Endpoint`] brings them.
//!
//! The driver's loop is: `handle(now, input)`, then `poll()` until it is `None`, then sleep until
//! `next_timer()` or the next input.

mod address;
mod b2bua;
mod challenge;
mod clients;
pub(in crate::sip) mod credentials;
mod digest;
pub mod endpoint;
pub mod framing;
mod headers;
mod intake;
pub mod io;
mod leg;
mod limits;
mod links;
pub mod message;
mod pings;
mod reason;
mod report;
mod request;
mod routes;
pub mod sdp;
mod servers;
pub mod settings;
mod timers;
mod transaction;
mod trunks;
mod uri;
mod via;
mod wire;

pub use endpoint::{Counts, Endpoint};
pub use io::{ConnId, Input, Link, Moment, Notice, Origin, Output, Packet, Target, To, Transport, Trust};
pub use limits::place;
pub use settings::{EndpointConfig, TimerValues, TokenSource, TrunkSettings};

#[cfg(test)]
mod tests;
