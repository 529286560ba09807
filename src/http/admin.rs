//! The panel: pages for administrators, drawn by the server. A file for each part of the menu; `guard` stands
//! before all of them, `visit` is who looks, `form` is what was typed, `list` how rows look, `texts` what is
//! said. No page has a rule of its own: what is changed is changed by [`crate::setup`] and [`crate::access`].

mod assets;
mod cookies;
mod form;
mod guard;
mod list;
mod login;
mod people;
mod refusal;
mod texts;
mod visit;

use actix_web::web;

pub(super) use guard::{guard, unknown};
pub use texts::Texts;

/// Every address of the panel; the paths are below `/admin`.
pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    use web::{get, post};
    cfg.route("/assets/{name}", get().to(guard::asset))
        .route("/login/", get().to(login::show))
        .route("/login/", post().to(login::login))
        .route("/login/{token}", get().to(login::show_invite))
        .route("/login/{token}", post().to(login::accept))
        .route("/logout/", post().to(login::logout))
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
