//! The connector's settings page inside the portal: the portal opens it, its form comes back here.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use serde_json::Value;

use super::admin::Say;
use super::bitrix::read;
use super::pages::{self, Frame};
use super::{Problem, State, settings};
use crate::bitrix::page::PortalPage;
use crate::domain::Language;
use crate::setup::connector::ConnectorPage;

/// `POST /api/bitrix/connector/`
pub(super) async fn post(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let form = match read(&request, &body) {
        Ok(form) => form,
        Err(problem) => return problem.error_response(),
    };
    let field = |name: &str| form.get(name).and_then(Value::as_str);
    if let Some(ticket) = field("ticket") {
        let language = Language::from_code(field("lang").unwrap_or_default());
        let frame = Frame::of(field("origin").unwrap_or_default());
        let picked = state.setup.pick_phone(ticket, field("phone_id").unwrap_or_default()).await;
        return match picked {
            Ok(page) => draw(&state, language, page, true),
            Err(error) => refusal(&state, error.into(), language, &frame),
        };
    }
    match PortalPage::decode(request.query_string(), &body) {
        Ok(page) => {
            let language = Language::from_code(&page.lang);
            match state.setup.open_connector(&page).await {
                Ok(shown) => draw(&state, language, shown, false),
                Err(error) => {
                    refusal(&state, error.into(), language, &Frame::claimed(&page.domain, page.https))
                }
            }
        }
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, error.to_string()).error_response(),
    }
}

fn draw(state: &State, language: Language, page: ConnectorPage, done: bool) -> HttpResponse {
    match settings::numbers(state, language, page.settings.clone()) {
        Ok(numbers) => pages::connector(language, &page, &numbers, done),
        Err(error) => {
            tracing::error!(error = %error, "a page cannot be drawn");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn refusal(state: &State, problem: Problem, language: Language, frame: &Frame) -> HttpResponse {
    tracing::warn!(error = %problem, "the connector's page was opened or used in vain");
    let say = Say::new(state.texts.clone(), language);
    pages::error(problem.status_code(), language, frame, &say.said(problem.detail()))
}
