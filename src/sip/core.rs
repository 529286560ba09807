//! The sans-IO back-to-back user agent: messages, connections and time go in, messages and call events come
//! out. No socket, no clock, no randomness: whoever drives an [`Endpoint`] brings them.
//!
//! The driver's loop is: `handle(now, input)`, then `poll()` until it is `None`, then sleep until
//! `next_timer()` or the next input.

pub mod endpoint;
pub mod io;
pub mod settings;

pub use endpoint::Endpoint;
pub use io::{ConnId, Input, Link, Moment, Notice, Origin, Output, Packet, Target, To, Transport, Trust};
pub use settings::{DigestAlgorithm, EndpointConfig, ScannerAnswer, TimerValues, TokenSource, TrunkSettings};
