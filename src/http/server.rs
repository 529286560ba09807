//! Every route and every limit, in one place (contract §3).
//!
//! The body limits answer 413: webhooks 4 MB (Meta sends up to 3), forms 1 MB, JSON 256 KB; see
//! [`super::bodies`] for their time and their sum.

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, ResponseError as _, web};

use super::bodies::{self, Room};
use super::{Problem, State, admin, api, bitrix, button, connector, health, media, settings, sms, whatsapp};
use crate::config::InternalListen;
use crate::http::observe::{Refusals, observe};

const WEBHOOK_BYTES: usize = 4 * 1024 * 1024;
const FORM_BYTES: usize = 1024 * 1024;
const PANEL_BYTES: usize = 128 * 1024;
const JSON_BYTES: usize = 256 * 1024;

/// The public listener.
pub fn configure(cfg: &mut web::ServiceConfig, state: web::Data<State>) {
    let internal_too = state.config.http.internal_listen == InternalListen::Public;
    let mut api = web::scope("/api/v1")
        .app_data(web::PayloadConfig::new(JSON_BYTES))
        .route("/openapi.json", web::get().to(api::openapi));
    // The last one wrapped is asked first.
    let inside = web::scope("").wrap(from_fn(api::refuse_nul)).wrap(from_fn(api::authorize));
    api = api.service(inside.configure(api::routes));

    let mut public = web::scope("")
        .wrap(from_fn(bodies::limit))
        .wrap(from_fn(observe))
        .service(alive())
        .service(web::redirect("/", "/admin/"))
        .service(
            web::resource(["/api/waba", "/api/waba/"])
                .app_data(web::PayloadConfig::new(WEBHOOK_BYTES))
                .route(web::get().to(whatsapp::handshake))
                .route(web::post().to(whatsapp::webhook)),
        )
        .service(form("/api/bitrix").route(web::post().to(bitrix::post)))
        .service(form("/api/bitrix/sms/{secret}").route(web::post().to(sms::post)))
        .service(form("/api/bitrix/connector").route(web::post().to(connector::post)))
        .service(
            form("/app-install")
                .route(web::get().to(bitrix::get_install))
                .route(web::post().to(bitrix::post_install)),
        )
        .service(
            form("/app-settings").route(web::get().to(settings::get)).route(web::post().to(settings::post)),
        )
        .service(
            web::resource("/media/{token}/{name}")
                .route(web::get().to(media::file))
                .route(web::head().to(media::file)),
        )
        .service(api)
        .route("/facebook/", web::get().to(admin::landing))
        .route("/button/{phone}.js", web::get().to(button::script))
        .service(web::redirect("/admin", "/admin/"))
        .service(
            web::scope("/admin")
                .app_data(web::PayloadConfig::new(PANEL_BYTES))
                .wrap(from_fn(admin::guard))
                .configure(admin::routes)
                .default_service(web::to(admin::unknown)),
        );
    if internal_too {
        for (path, route) in internal_routes() {
            public = public.service(web::resource(path).wrap(from_fn(api::authorize)).route(route));
        }
    }
    cfg.app_data(state)
        .app_data(web::Data::new(Room::default()))
        .app_data(web::Data::new(Refusals::default()));
    cfg.app_data(web::QueryConfig::default().error_handler(|error, _| {
        let detail = format!("the query cannot be read: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into()
    }));
    cfg.service(public.default_service(web::to(unknown)));
}

/// The internal listener.
pub fn configure_internal(cfg: &mut web::ServiceConfig, state: web::Data<State>) {
    let mut internal = web::scope("").wrap(from_fn(observe)).service(alive());
    for (path, route) in internal_routes() {
        internal = internal.route(path, route);
    }
    cfg.app_data(state).service(internal.default_service(web::to(unknown)));
}

/// `/healthz`, also for watchers that want no body.
fn alive() -> actix_web::Resource {
    let routes = [web::get(), web::head()].map(|route| route.to(health::alive));
    routes.into_iter().fold(web::resource("/healthz"), actix_web::Resource::route)
}

fn internal_routes() -> [(&'static str, actix_web::Route); 2] {
    [("/readyz", web::get().to(health::ready)), ("/metrics", web::get().to(health::metrics))]
}

/// A form's address, with and without its last slash.
fn form(path: &str) -> actix_web::Resource {
    web::resource([path.to_owned(), format!("{path}/")]).app_data(web::PayloadConfig::new(FORM_BYTES))
}

async fn unknown() -> HttpResponse {
    Problem::not_found("address").error_response()
}
