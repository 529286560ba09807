//! wabridge: a self-hosted bridge between WhatsApp Business and Bitrix24.
//!
//! Start reading at `docs/architecture.md`.

pub mod access;
pub mod app;
pub mod bitrix;
pub mod calls;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod media;
pub mod queue;
pub mod relay;
pub mod sandbox;
pub mod secrets;
pub mod setup;
pub mod sip;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod translate;
pub mod whatsapp;
