//! The OpenAPI document.

use actix_web::HttpResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{
    alarms, apps, calling, calls, contacts, doctor, events, health, held, jobs, lines, messages, phones,
    portal_apps, portals, sms, templates, wabas,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "wabridge",
        description = "Errors are application/problem+json (RFC 9457). Lists take limit and cursor. \
            Ids are strings, times RFC 3339 in UTC. Secrets go in, never out."
    ),
    paths(
        health::show,
        doctor::show, doctor::repair, alarms::list,
        apps::list, apps::create, apps::show, apps::change, apps::remove,
        wabas::list, wabas::create, wabas::show, wabas::change, wabas::remove, wabas::available_phones,
        phones::list, phones::create, phones::show, phones::change, phones::remove,
        lines::show, lines::link, lines::unlink,
        calling::show, calling::save, calls::list, calls::show,
        portal_apps::list, portal_apps::create, portal_apps::show, portal_apps::change, portal_apps::remove,
        portals::list, portals::show, portals::change, portals::remove,
        templates::list, templates::create, templates::file, templates::sync, templates::show,
        templates::change, templates::remove,
        messages::list, messages::show, held::list, held::cancel, sms::list, sms::show,
        contacts::list, contacts::show, contacts::export, contacts::erase,
        jobs::list, jobs::show, jobs::retry, jobs::give_up, jobs::retry_all,
        events::list, events::show,
    ),
    modifiers(&BearerToken)
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    }
}

/// The OpenAPI document as JSON, also for the command line.
pub fn openapi_json() -> String {
    // A document is plain data: writing it as JSON cannot fail.
    Document::openapi().to_pretty_json().unwrap_or_default()
}

/// `GET /api/v1/openapi.json`
pub(in crate::http) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_api_is_in_the_document() {
        let document: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let calls: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        let source = include_str!("../api.rs");
        assert_eq!(calls, source.matches(".route(\"").count());
        assert!(paths.contains_key("/api/v1/phones/{id}/line"));
    }
}
