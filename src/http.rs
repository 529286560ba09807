//! HTTP in: adapters only. A handler extracts, calls one use case, answers.
//!
//! [`server`] holds every route and limit in one place. What proves a caller: a signature in [`whatsapp`],
//! the portal's token or its OAuth server in [`bitrix`] and [`connector`], a secret path in [`sms`], a bearer
//! token in [`api`], an unguessable path in [`media`], a session in [`admin`].

mod admin;
pub mod api;
mod bitrix;
mod bodies;
mod button;
mod connector;
mod file;
mod health;
mod media;
mod observe;
mod pages;
mod problem;
mod redact;
pub mod server;
mod settings;
mod sms;
mod source;
mod state;
mod whatsapp;

pub use api::{openapi_json, report_json};
pub use problem::Problem;
pub use server::{configure, configure_internal};
pub use state::State;

pub use admin::Texts;
use source::source;
