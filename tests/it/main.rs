//! The integration tests: one binary, a module for each part of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod api;
mod architecture;
mod cli;
mod crash;
mod desk;
mod fields;
mod identity;
mod inbound;
mod install;
mod media_in;
mod media_out;
mod outbound;
mod spine;
mod statuses;
mod support;
mod window;
