//! Calls over SIP: the sans-IO back-to-back user agent, and (beside it) what drives it over sockets.

pub mod core;
