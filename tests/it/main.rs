//! The integration tests: one binary, a module for each part of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod api;
mod architecture;
mod desk;
mod fields;
mod identity;
mod inbound;
mod install;
mod spine;
mod statuses;
mod support;
