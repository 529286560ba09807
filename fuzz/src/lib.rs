//! What the targets need of wabridge, under its name.

#[path = "../../src"]
mod sources {
    pub mod domain;
}
pub use sources::domain;

/// As in wabridge.
#[path = "../../src/sip"]
pub mod sip {
    pub mod core;
}
