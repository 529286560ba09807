//! Whole calls on a simulated wire and clock, with scripted peers on both sides.

mod ends;
mod inbound;
mod meta;
mod outbound;
mod pair;
mod soak;
mod torture;
