//! The JSON API (contract §4), a file per resource.

mod alarms;
mod apps;
mod auth;
mod body;
mod by;
mod calling;
mod calls;
mod contacts;
mod csv;
mod doctor;
mod document;
mod events;
mod health;
mod held;
mod jobs;
mod lines;
mod list;
mod messages;
mod nul;
mod phones;
mod portal_apps;
mod portals;
mod sms;
mod templates;
mod wabas;

use actix_web::web;

pub(super) use auth::authorize;
pub use doctor::report_json;
pub(super) use document::openapi;
pub use document::openapi_json;
pub(super) use nul::refuse_nul;
pub(super) use templates::{SPREADSHEET_ROWS, spreadsheet};

/// Every row of the API; the paths are below `/api/v1`.
pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    use web::{delete, get, patch, post, put};
    cfg.route("/health", get().to(health::show))
        .route("/alarms", get().to(alarms::list))
        .route("/doctor", get().to(doctor::show))
        .route("/doctor/repair", post().to(doctor::repair))
        .route("/apps", get().to(apps::list))
        .route("/apps", post().to(apps::create))
        .route("/apps/{id}", get().to(apps::show))
        .route("/apps/{id}", patch().to(apps::change))
        .route("/apps/{id}", delete().to(apps::remove))
        .route("/wabas", get().to(wabas::list))
        .route("/wabas", post().to(wabas::create))
        .route("/wabas/{id}", get().to(wabas::show))
        .route("/wabas/{id}", patch().to(wabas::change))
        .route("/wabas/{id}", delete().to(wabas::remove))
        .route("/wabas/{id}/available-phones", get().to(wabas::available_phones))
        .route("/phones", get().to(phones::list))
        .route("/phones", post().to(phones::create))
        .route("/phones/{id}", get().to(phones::show))
        .route("/phones/{id}", patch().to(phones::change))
        .route("/phones/{id}", delete().to(phones::remove))
        .route("/phones/{id}/line", get().to(lines::show))
        .route("/phones/{id}/line", put().to(lines::link))
        .route("/phones/{id}/line", delete().to(lines::unlink))
        .route("/phones/{id}/calling", get().to(calling::show))
        .route("/phones/{id}/calling", put().to(calling::save))
        .route("/calls", get().to(calls::list))
        .route("/calls/{id}", get().to(calls::show))
        .route("/portal-apps", get().to(portal_apps::list))
        .route("/portal-apps", post().to(portal_apps::create))
        .route("/portal-apps/{id}", get().to(portal_apps::show))
        .route("/portal-apps/{id}", patch().to(portal_apps::change))
        .route("/portal-apps/{id}", delete().to(portal_apps::remove))
        .route("/portals", get().to(portals::list))
        .route("/portals/{id}", get().to(portals::show))
        .route("/portals/{id}", patch().to(portals::change))
        .route("/portals/{id}", delete().to(portals::remove))
        .route("/templates", get().to(templates::list))
        .route("/templates", post().to(templates::create))
        .route("/templates.csv", get().to(templates::file))
        .route("/templates/sync", post().to(templates::sync))
        .route("/templates/{id}", get().to(templates::show))
        .route("/templates/{id}", patch().to(templates::change))
        .route("/templates/{id}", delete().to(templates::remove))
        .route("/messages", get().to(messages::list))
        .route("/messages/held", get().to(held::list))
        .route("/messages/{id}", get().to(messages::show))
        .route("/messages/{id}", delete().to(held::cancel))
        .route("/sms", get().to(sms::list))
        .route("/sms/{id}", get().to(sms::show))
        .route("/contacts", get().to(contacts::list))
        .route("/contacts/{id}", get().to(contacts::show))
        .route("/contacts/{id}", delete().to(contacts::erase))
        .route("/contacts/{id}/export", get().to(contacts::export))
        .route("/jobs", get().to(jobs::list))
        .route("/jobs/retry", post().to(jobs::retry_all))
        .route("/jobs/{id}", get().to(jobs::show))
        .route("/jobs/{id}/retry", post().to(jobs::retry))
        .route("/jobs/{id}/drop", post().to(jobs::give_up))
        .route("/events", get().to(events::list))
        .route("/events/{id}", get().to(events::show));
}
