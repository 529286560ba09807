//! The integration tests: one binary, a module for each part of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod architecture;
mod sandbox_page;
