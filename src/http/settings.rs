//! `/app-settings/`: our page inside the portal. The portal opens it; its forms come back here with a ticket.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;
use serde_json::Value;

use super::admin::Say;
use super::bitrix::read;
use super::pages::{self, Frame};
use super::{Problem, State};
use crate::bitrix::page::PortalPage;
use crate::domain::Language;
use crate::setup::SetupError;
use crate::setup::settings::{SettingsChange, SettingsPage};

#[derive(Template)]
#[template(path = "portal_settings.html")]
struct Page {
    say: Say,
    shown: SettingsPage,
    lang: &'static str,
    done: bool,
}

/// `GET /app-settings/`: somebody looks at the address outside the portal.
pub(super) async fn get() -> HttpResponse {
    pages::error(StatusCode::OK, Language::En, &Frame::Nobody, "This page opens inside Bitrix24.")
}

/// `POST /app-settings/`
pub(super) async fn post(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let form = match read(&request, &body) {
        Ok(form) => form,
        Err(problem) => return problem.error_response(),
    };
    let field = |name: &str| form.get(name).and_then(Value::as_str).unwrap_or_default();
    let ticket = field("ticket");
    if !ticket.is_empty() {
        let language = Language::from_code(field("lang"));
        let frame = Frame::of(field("origin"));
        let Some(change) = change_of(field) else {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the form is not complete");
            return refusal(&state, problem, language, &frame);
        };
        return match state.setup.change_settings(ticket, change).await {
            Ok(shown) => draw(&state, language, shown, true),
            Err(error) => refusal(&state, told(error), language, &frame),
        };
    }
    match PortalPage::decode(request.query_string(), &body) {
        Ok(page) => {
            let language = Language::from_code(&page.lang);
            match state.setup.open_settings(&page).await {
                Ok(shown) => draw(&state, language, shown, false),
                Err(error) => {
                    let frame = Frame::claimed(&page.domain, page.https);
                    refusal(&state, error.into(), language, &frame)
                }
            }
        }
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, error.to_string()).error_response(),
    }
}

fn change_of<'a>(field: impl Fn(&str) -> &'a str) -> Option<SettingsChange> {
    let phone = Some(field("phone_id")).filter(|phone| !phone.is_empty())?.to_owned();
    match field("change") {
        "link" => {
            let line = Some(field("line_id")).filter(|line| !line.is_empty());
            Some(SettingsChange::Link(phone, line.map(str::to_owned)))
        }
        "unlink" => Some(SettingsChange::Unlink(phone)),
        "sms_on" => Some(SettingsChange::Sms(phone, true)),
        "sms_off" => Some(SettingsChange::Sms(phone, false)),
        _ => None,
    }
}

/// The wrong field in words: there is one at most on each of these forms.
fn told(error: SetupError) -> Problem {
    match error {
        SetupError::Invalid(faults) => {
            let first = faults.first().map(|fault| format!("{}: {}", fault.field, fault.message));
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, first.unwrap_or_default())
        }
        error => error.into(),
    }
}

/// The page, with what is set at present.
pub(super) fn draw(state: &State, language: Language, shown: SettingsPage, done: bool) -> HttpResponse {
    let say = Say::new(state.texts.clone(), language);
    let title = say.t("inside.title").to_owned();
    let frame = Frame::of(&shown.origin);
    let page = Page { say, shown, lang: language.code(), done };
    match page.render() {
        Ok(body) => pages::page(StatusCode::OK, language, &title, &body, &frame, None),
        Err(error) => {
            tracing::error!(error = %error, "a page cannot be drawn");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn refusal(state: &State, problem: Problem, language: Language, frame: &Frame) -> HttpResponse {
    tracing::warn!(error = %problem, "the settings inside the portal were opened or changed in vain");
    let say = Say::new(state.texts.clone(), language);
    pages::error(problem.status_code(), language, frame, &say.said(problem.detail()))
}
