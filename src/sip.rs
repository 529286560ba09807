//! Calls over SIP: the sans-IO back-to-back user agent, and (beside it) what drives it over sockets.
//!
//! [`Edge::bind`] opens the sockets, [`Edge::run`] serves until it is told to stop. The use cases on calls are at
//! the other ends of [`Channels`]; `app` joins the two.

pub mod core;
mod driver;
mod edge;
mod error;
pub mod probe;
mod sources;
mod transport;

pub use driver::{Channels, PermissionRequest};
pub use edge::{Edge, EdgeOptions};
pub use error::SipError;
pub use transport::{Limits, Patience};
