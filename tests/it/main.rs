//! The integration tests: one binary, a module for each part of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod api;
mod architecture;
mod bad_days;
mod call_cards;
mod call_losses;
mod calling;
mod calls;
mod changes;
mod cli;
mod courier;
mod crash;
mod desk;
mod doctor;
mod doctor_alarms;
mod doctor_broken;
mod doctor_cli;
mod doctor_sip;
mod doctor_told;
mod fields;
mod fuzz_targets;
mod fuzzing;
mod hostile;
mod identity;
mod inbound;
mod install;
mod limits;
mod listener;
mod media_in;
mod media_out;
mod outbound;
mod panel;
mod panel_access;
mod panel_calls;
mod panel_doctor;
mod panel_escape;
mod panel_inside;
mod panel_page;
mod panel_templates;
mod rate;
mod retention;
mod sandbox_calls;
mod sandbox_page;
mod shorthand;
mod sip_edge;
mod sip_media;
mod sip_peers;
mod sip_real;
mod sms;
mod sms_burst;
mod sms_hostile;
mod sms_senders;
mod sms_templates;
mod spine;
mod statuses;
mod store;
mod support;
mod templates;
mod throughput;
mod transfer;
mod whole_calls;
mod window;
mod window_settings;
