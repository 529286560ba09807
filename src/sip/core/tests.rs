//! Whole calls on a simulated wire and clock, with scripted peers on both sides.

mod connections;
mod ends;
mod farewell;
mod inbound;
mod meta;
mod outbound;
mod pair;
mod soak;
mod strangers;
mod targets;
mod torture;
mod trunks;
