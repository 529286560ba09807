//! The panel: pages for administrators, drawn by the server. A file for each part of the menu; `guard` stands
//! before all of them, `visit` is who looks, `form` is what was typed, `list` how rows look, `texts` what is
//! said. No page has a rule of its own: what is changed is changed by [`crate::setup`] and [`crate::access`].

mod apps;
mod assets;
mod calling;
mod calls;
mod chart;
mod cookies;
mod doctor;
mod events;
mod facebook;
mod form;
mod guard;
mod guide;
mod home;
mod jobs;
mod lines;
mod links;
mod list;
mod live;
mod login;
mod messages;
mod people;
mod phones;
mod portal_apps;
mod portals;
mod refusal;
mod registration;
mod template_form;
mod template_parts;
mod templates;
mod texts;
mod visit;
mod wabas;

use actix_web::web;

pub(super) use calling::explained;
pub(super) use facebook::landing;
pub(super) use guard::{guard, unknown};
pub(super) use texts::Say;
pub use texts::Texts;

/// A picture, a little beyond what is taken, so that too large a one is told in words.
const PICTURE_BYTES: usize = 6 * 1024 * 1024;

/// Every address of the panel; the paths are below `/admin`.
pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    use web::{get, post};
    cfg.route("/assets/{name}", get().to(guard::asset))
        .route("/login/", get().to(login::show))
        .route("/login/", post().to(login::login))
        .route("/login/{token}", get().to(login::show_invite))
        .route("/login/{token}", post().to(login::accept))
        .route("/logout/", post().to(login::logout))
        .route("/", get().to(home::show))
        .route("/live/home", get().to(home::watch))
        .route("/apps/", get().to(apps::list))
        .route("/apps/new", get().to(apps::new))
        .route("/apps/new", post().to(apps::create))
        .route("/apps/{id}/", get().to(apps::show))
        .route("/apps/{id}/", post().to(apps::change))
        .route("/apps/{id}/facebook", post().to(facebook::begin_for))
        .route("/facebook/", get().to(facebook::back))
        .route("/apps/{id}/delete", post().to(apps::delete))
        .route("/wabas/", get().to(wabas::list))
        .route("/wabas/new", get().to(wabas::new))
        .route("/wabas/new", post().to(wabas::create))
        .route("/wabas/{id}/", get().to(wabas::show))
        .route("/wabas/{id}/", post().to(wabas::change))
        .route("/wabas/{id}/phones", post().to(wabas::choose))
        .route("/wabas/{id}/delete", post().to(wabas::delete))
        .route("/phones/", get().to(phones::list))
        .route("/phones/{id}/", get().to(phones::show))
        .route("/phones/{id}/", post().to(phones::change))
        .route("/phones/{id}/registration", get().to(registration::show))
        .route("/phones/{id}/code", post().to(registration::code))
        .route("/phones/{id}/verify", post().to(registration::verify))
        .route("/phones/{id}/register", post().to(registration::register))
        .service(
            web::resource("/phones/{id}/picture")
                .app_data(web::PayloadConfig::new(PICTURE_BYTES))
                .route(post().to(registration::picture)),
        )
        .route("/phones/{id}/profile", get().to(registration::profile))
        .route("/phones/{id}/profile", post().to(registration::change_profile))
        .route("/phones/{id}/calling", post().to(calling::change))
        .route("/phones/{id}/calling/ask", post().to(calling::ask))
        .route("/phones/{id}/delete", post().to(phones::delete))
        .route("/portal-apps/", get().to(portal_apps::list))
        .route("/portal-apps/new", get().to(portal_apps::new))
        .route("/portal-apps/new", post().to(portal_apps::create))
        .route("/portal-apps/{id}/", get().to(portal_apps::show))
        .route("/portal-apps/{id}/", post().to(portal_apps::change))
        .route("/portal-apps/{id}/delete", post().to(portal_apps::delete))
        .route("/live/portal-apps/{id}", get().to(portal_apps::watch))
        .route("/portals/", get().to(portals::list))
        .route("/portals/{id}/", get().to(portals::show))
        .route("/portals/{id}/", post().to(portals::change))
        .route("/portals/{id}/check", post().to(portals::check))
        .route("/portals/{id}/delete", post().to(portals::delete))
        .route("/lines/", get().to(lines::list))
        .route("/lines/link", post().to(lines::link))
        .route("/lines/{phone}/unlink", post().to(lines::unlink))
        .route("/messages/", get().to(messages::list))
        .route("/messages/{id}/", get().to(messages::show))
        .route("/templates/", get().to(templates::list))
        .route("/templates.csv", get().to(templates::file))
        .route("/templates/sync", post().to(templates::sync))
        .route("/templates/new", get().to(template_form::new))
        .route("/templates/new", post().to(template_form::create))
        .route("/templates/{id}/edit", get().to(template_form::edit))
        .route("/templates/{id}/edit", post().to(template_form::change))
        .route("/templates/{id}/test", post().to(templates::test))
        .route("/templates/{id}/", get().to(templates::show))
        .route("/templates/{id}/delete", post().to(templates::delete))
        .route("/calls/", get().to(calls::list))
        .route("/calls/{id}/", get().to(calls::show))
        .route("/events/", get().to(events::list))
        .route("/events/{id}/", get().to(events::show))
        .route("/jobs/", get().to(jobs::list))
        .route("/jobs/retry", post().to(jobs::retry_all))
        .route("/jobs/{id}/", get().to(jobs::show))
        .route("/jobs/{id}/retry", post().to(jobs::retry))
        .route("/jobs/{id}/drop", post().to(jobs::give_up))
        .route("/links/", get().to(links::show))
        .route("/doctor/", get().to(doctor::show))
        .route("/doctor/check", post().to(doctor::check))
        .route("/doctor/repair", post().to(doctor::repair))
        .route("/live/doctor", get().to(doctor::watch))
        .route("/administrators/", get().to(people::administrators))
        .route("/administrators/invite", post().to(people::invite))
        .route("/administrators/{id}/role", post().to(people::role))
        .route("/administrators/{id}/remove", post().to(people::remove))
        .route("/sessions/", get().to(people::sessions))
        .route("/sessions/{id}/end", post().to(people::end_session))
        .route("/account/", get().to(people::account))
        .route("/account/language", post().to(people::language))
        .route("/account/password", post().to(people::password))
        .route("/audit/", get().to(people::audit_log));
}
