//! `/app-settings/`: our page inside the portal. The portal opens it; its forms come back here with a ticket.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;
use chrono::DateTime;
use serde_json::Value;

use super::admin::{Say, explained};
use super::bitrix::read;
use super::pages::{self, Frame};
use super::{Problem, State};
use crate::bitrix::page::PortalPage;
use crate::domain::Language;
use crate::setup::calling::NewCalling;
use crate::setup::settings::{PortalPhone, SettingsChange, SettingsPage};
use crate::setup::{FieldError, SetupError};

/// A number's settings for calls as the form shows them: what was typed, else what is stored.
struct Calls {
    on: bool,
    hostname: String,
    port: String,
    keying: String,
    trunk: String,
    extension: String,
    /// When it was changed last, in microseconds; 0 = never saved.
    version: i64,
    /// What Meta refuses.
    refused: Option<(String, String)>,
    /// What was not taken of this form: (field, why).
    faults: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "portal_settings.html")]
struct Page {
    say: Say,
    shown: SettingsPage,
    calls: Vec<Calls>,
    lang: &'static str,
    note: Note,
}

/// What became of a change.
enum Note {
    /// There was none.
    Nothing,
    /// It was made.
    Saved,
    /// It was not, for this reason.
    Wrong(String),
}

/// A form about calls that was not taken.
struct Typed {
    phone: String,
    new: NewCalling,
    version: i64,
    faults: Vec<FieldError>,
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
        let typed = match &change {
            SettingsChange::Calling(phone, new, seen) => Some(Typed {
                phone: phone.clone(),
                new: new.as_ref().clone(),
                version: seen.map_or(0, |seen| seen.and_utc().timestamp_micros()),
                faults: Vec::new(),
            }),
            _ => None,
        };
        return match state.setup.change_settings(ticket, change).await {
            Ok((shown, None)) => made(&state, language, shown, typed),
            Ok((shown, Some(error))) => not_made(&state, language, shown, typed, error),
            Err(error) => refusal(&state, told(error), language, &frame),
        };
    }
    match PortalPage::decode(request.query_string(), &body) {
        Ok(page) => {
            let language = Language::from_code(&page.lang);
            match state.setup.open_settings(&page).await {
                Ok(shown) => opened(&state, language, shown),
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
        "calling" => {
            let option = |name: &str| Some(field(name).trim().to_owned()).filter(|text| !text.is_empty());
            let new = NewCalling {
                status: if field("calls").is_empty() { "DISABLED" } else { "ENABLED" }.to_owned(),
                hostname: option("hostname"),
                // What is no number is no port either, and is told as such.
                port: option("port").map(|port| port.parse().unwrap_or_default()),
                keying: option("keying"),
                trunk: option("trunk"),
                extension: option("extension"),
                ..NewCalling::default()
            };
            let seen = field("version").parse().ok().and_then(DateTime::from_timestamp_micros);
            Some(SettingsChange::Calling(phone, Box::new(new), seen.map(|at| at.naive_utc())))
        }
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

/// The page for an administrator who has just opened it.
pub(super) fn opened(state: &State, language: Language, shown: SettingsPage) -> HttpResponse {
    draw(state, language, shown, None, Note::Nothing, StatusCode::OK)
}

/// The page after a change that was taken; by Meta too, if it was about calls.
fn made(state: &State, language: Language, shown: SettingsPage, typed: Option<Typed>) -> HttpResponse {
    let of_calls = |phone: &&PortalPhone| typed.as_ref().is_some_and(|typed| typed.phone == phone.id);
    let refused = shown.phones.iter().find(of_calls).and_then(|phone| phone.calling.as_ref()?.error_code);
    let say = Say::new(state.texts.clone(), language);
    let note = refused.map_or(Note::Saved, |_| Note::Wrong(say.t("inside.not_taken").to_owned()));
    draw(state, language, shown, None, note, StatusCode::OK)
}

/// The page again, with what was typed and what is wrong with it.
fn not_made(
    state: &State,
    language: Language,
    shown: SettingsPage,
    typed: Option<Typed>,
    error: SetupError,
) -> HttpResponse {
    let say = Say::new(state.texts.clone(), language);
    let (typed, problem) = match (typed, error) {
        (Some(typed), SetupError::Invalid(faults)) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the input is not valid");
            (Some(Typed { faults, ..typed }), problem)
        }
        (typed, error) => (typed, told(error)),
    };
    let note = Note::Wrong(say.said(problem.detail()));
    draw(state, language, shown, typed, note, problem.status_code())
}

fn draw(
    state: &State,
    language: Language,
    shown: SettingsPage,
    typed: Option<Typed>,
    note: Note,
    status: StatusCode,
) -> HttpResponse {
    let frame = Frame::of(&shown.origin);
    let say = Say::new(state.texts.clone(), language);
    let title = say.t("inside.title").to_owned();
    match part(say, language, shown, typed, note) {
        Ok(part) => {
            let body = format!("<h1>{}</h1>{part}", pages::escape(&title));
            pages::page(status, language, &title, &body, &frame, None)
        }
        Err(error) => {
            tracing::error!(error = %error, "a page cannot be drawn");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The numbers with their settings, as a part of a page.
pub(super) fn numbers(
    state: &State,
    language: Language,
    shown: SettingsPage,
) -> Result<String, askama::Error> {
    part(Say::new(state.texts.clone(), language), language, shown, None, Note::Nothing)
}

fn part(
    say: Say,
    language: Language,
    shown: SettingsPage,
    typed: Option<Typed>,
    note: Note,
) -> Result<String, askama::Error> {
    let calls = shown.phones.iter().map(|phone| {
        let typed = typed.as_ref().filter(|typed| typed.phone == phone.id);
        calls_of(&say, &shown, phone, typed)
    });
    let calls = calls.collect();
    Page { say, shown, calls, lang: language.code(), note }.render()
}

fn calls_of(say: &Say, shown: &SettingsPage, phone: &PortalPhone, typed: Option<&Typed>) -> Calls {
    let row = phone.calling.as_ref();
    let own = shown.sip_hostname.clone().unwrap_or_default();
    let refused = row.and_then(|row| explained(say, row));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let version = row.map_or(0, |row| row.updated_at.and_utc().timestamp_micros());
    match (typed, row) {
        (Some(Typed { new, version, faults, .. }), _) => Calls {
            on: new.status == "ENABLED",
            hostname: text(&new.hostname),
            port: new.port.map(|port| port.to_string()).unwrap_or_default(),
            keying: text(&new.keying),
            trunk: text(&new.trunk),
            extension: text(&new.extension),
            version: *version,
            refused: None,
            faults: faults
                .iter()
                .map(|fault| (say.t(&format!("field.{}", fault.field)).to_owned(), say.wrong(fault)))
                .collect(),
        },
        (None, Some(row)) => Calls {
            on: row.status == "ENABLED" && row.sip_status == "ENABLED",
            hostname: row.hostname.clone().unwrap_or(own),
            port: row.port.to_string(),
            keying: row.keying.clone(),
            trunk: text(&row.trunk),
            extension: text(&row.extension),
            version,
            refused,
            faults: Vec::new(),
        },
        (None, None) => Calls {
            on: false,
            hostname: own,
            port: "5061".to_owned(),
            keying: "SDES".to_owned(),
            trunk: String::new(),
            extension: String::new(),
            version,
            refused: None,
            faults: Vec::new(),
        },
    }
}

fn refusal(state: &State, problem: Problem, language: Language, frame: &Frame) -> HttpResponse {
    tracing::warn!(error = %problem, "the settings inside the portal were opened or changed in vain");
    let say = Say::new(state.texts.clone(), language);
    pages::error(problem.status_code(), language, frame, &say.said(problem.detail()))
}
