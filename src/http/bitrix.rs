//! What a portal posts: events, and the pages of our application (bitrix24 facts §2.2, §2.3).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use serde_json::Value;
use tokio::time::Instant;

use super::admin::Say;
use super::observe::Refusals;
use super::pages::{self, Frame};
use super::{Problem, State, settings};
use crate::bitrix::event::{EventBody, PortalEvent};
use crate::bitrix::form::{FormLimits, parse_form};
use crate::bitrix::page::PortalPage;
use crate::domain::Language;
use crate::relay::outbound;
use crate::setup::Claim;
use crate::setup::install::Opened;

/// `POST /api/bitrix/`: an event, or the application is opened.
pub(super) async fn post(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answer(&state, &request, &body, false).await
}

/// `POST /app-install/`: the same at the installation's address, where an administrator always installs.
pub(super) async fn post_install(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    answer(&state, &request, &body, true).await
}

/// `GET /app-install/`: somebody looks at the address outside the portal.
pub(super) async fn get_install() -> HttpResponse {
    pages::error(StatusCode::OK, Language::En, &Frame::Nobody, "This page opens inside Bitrix24.")
}

async fn answer(state: &State, request: &HttpRequest, body: &[u8], reinstall: bool) -> HttpResponse {
    let value = match read(request, body) {
        Ok(value) => value,
        Err(problem) => return problem.error_response(),
    };
    if has(&value, "event") {
        return match event(state, request, &value).await {
            Ok(()) => HttpResponse::Ok().finish(),
            Err(problem) => problem.error_response(),
        };
    }
    match PortalPage::decode(request.query_string(), body) {
        Ok(page) => open(state, request, page, reinstall).await,
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, error.to_string()).error_response(),
    }
}

async fn event(state: &State, request: &HttpRequest, value: &Value) -> Result<(), Problem> {
    let event = PortalEvent::decode(value)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    state.metrics.portal_event(label(&event.body));
    match &event.body {
        EventBody::Install { .. } => {
            let claim = Claim::of_event(&event)
                .ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "the event brings no token"))?;
            state.setup.install(claim).await.inspect_err(|error| {
                if is_told(request) {
                    tracing::warn!(error = %error, "an installation is not finished");
                }
            })?;
            Ok(())
        }
        EventBody::Update { .. } => Ok(state.setup.update(&event).await?),
        _ => known_portal(state, &event).await,
    }
}

/// Events of a portal whose token is known.
async fn known_portal(state: &State, event: &PortalEvent) -> Result<(), Problem> {
    let portal = state.setup.trusted_portal(&event.auth).await?;
    if !portal.is_active() {
        return Ok(());
    }
    match &event.body {
        EventBody::Uninstall { clean, .. } => state.setup.uninstall(&portal, *clean).await?,
        EventBody::StatusDelete { connector, line } => {
            state.setup.line_switched_off(&portal.id, connector, line).await?;
        }
        EventBody::LineDelete { line } => state.setup.line_gone(&portal.id, line).await?,
        _ => {
            outbound::receive(&state.relay, &portal, event).await?;
        }
    }
    Ok(())
}

/// The application's page: installs for an administrator, greets everybody else.
async fn open(state: &State, request: &HttpRequest, page: PortalPage, reinstall: bool) -> HttpResponse {
    let language = Language::from_code(&page.lang);
    let outcome = state.setup.open(Claim::of_page(&page), reinstall).await;
    if !reinstall
        && matches!(outcome, Ok(Opened::Installed { finish: false, .. }))
        && let Ok(shown) = state.setup.open_settings(&page).await
    {
        // Nothing is left to install: the administrator comes for the settings.
        return settings::opened(state, language, shown);
    }
    match outcome {
        Ok(opened) => {
            let (id, finish) = match &opened {
                Opened::Installed { portal, finish } => (portal, Some(*finish)),
                Opened::Visitor(id) => (id, None),
            };
            let snapshot = state.directory.now();
            let frame =
                snapshot.portal(id).map_or(Frame::Nobody, |portal| Frame::of(&portal.row.client_endpoint));
            match finish {
                Some(finish) => pages::installed(language, &frame, &state.config.bitrix.js_url, finish),
                None => pages::visitor(language, &frame),
            }
        }
        Err(error) => {
            if is_told(request) {
                tracing::warn!(error = %error, "the application's page was opened in vain");
            }
            let problem = Problem::from(error);
            // Nothing on this page can be clicked: the portal that opened it may show why it failed.
            let frame = Frame::claimed(&page.domain, page.https);
            let say = Say::new(state.texts.clone(), language);
            pages::error(problem.status_code(), language, &frame, &say.said(problem.detail()))
        }
    }
}

/// Whether a claim that came to nothing is worth a line: a stranger can post as many as he likes.
fn is_told(request: &HttpRequest) -> bool {
    let refusals = request.app_data::<web::Data<Refusals>>();
    refusals.is_none_or(|refusals| refusals.is_told(Instant::now()))
}

/// A form, or JSON where somebody posts that.
pub(super) fn read(request: &HttpRequest, body: &[u8]) -> Result<Value, Problem> {
    let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return serde_json::from_slice(body).map_err(|_| bad("the body is no JSON".to_owned()));
    }
    parse_form(body, FormLimits::default()).map_err(|error| bad(error.to_string()))
}

fn has(value: &Value, key: &str) -> bool {
    value.as_object().is_some_and(|map| map.keys().any(|name| name.eq_ignore_ascii_case(key)))
}

fn label(body: &EventBody) -> &'static str {
    match body {
        EventBody::MessageAdd { .. } => "message_add",
        EventBody::MessageUpdate { .. } => "message_update",
        EventBody::MessageDelete { .. } => "message_delete",
        EventBody::DialogStart { .. } => "dialog_start",
        EventBody::DialogFinish { .. } => "dialog_finish",
        EventBody::StatusDelete { .. } => "status_delete",
        EventBody::LineDelete { .. } => "line_delete",
        EventBody::Install { .. } => "install",
        EventBody::Update { .. } => "update",
        EventBody::Uninstall { .. } => "uninstall",
        EventBody::Payment { .. } => "payment",
        EventBody::Other => "other",
    }
}
