//! Why there is no page, as a page that says so in the reader's language.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use super::visit::{Shell, Visit, render};
use crate::access::PanelError;
use crate::http::State;
use crate::setup::SetupError;
use crate::store::StoreError;

/// Why there is no page.
#[derive(Clone, Debug)]
pub(in crate::http) enum Refusal {
    /// The request came from a page of somebody else.
    Foreign,
    /// The form is too old, or not ours.
    Form,
    /// An operator wants to change something.
    Role,
    /// There is nothing here.
    Missing,
    /// The database failed.
    Database,
    /// The sentence of a use case.
    Said(StatusCode, String),
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Page {
    s: Shell,
    title: String,
    detail: String,
}

/// The page of a refusal.
pub(super) fn shown(request: &HttpRequest, state: &State, refusal: &Refusal) -> HttpResponse {
    let visit = Visit::of(request, state);
    let (title, detail) = match refusal {
        Refusal::Foreign => ("refusal.title", visit.say.t("refusal.foreign").to_owned()),
        Refusal::Form => ("refusal.title", visit.say.t("refusal.form").to_owned()),
        Refusal::Role => ("refusal.title", visit.say.t("refusal.role").to_owned()),
        Refusal::Missing => ("refusal.missing_title", visit.say.t("refusal.missing").to_owned()),
        Refusal::Database => ("refusal.title", visit.say.t("refusal.database").to_owned()),
        Refusal::Said(_, sentence) => ("refusal.title", visit.say.said(sentence)),
    };
    let title = visit.say.t(title).to_owned();
    render(refusal.status_code(), &Page { s: visit.shell(&title), title, detail })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Foreign | Self::Form | Self::Role => StatusCode::FORBIDDEN,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Database => StatusCode::SERVICE_UNAVAILABLE,
            Self::Said(status, _) => *status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        // The guard makes a page of it.
        HttpResponse::build(self.status_code()).finish()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "the database failed a page");
        Self::Database
    }
}

impl From<PanelError> for Refusal {
    fn from(error: PanelError) -> Self {
        let status = match error {
            PanelError::Store(error) => return error.into(),
            PanelError::BadLink | PanelError::Gone => StatusCode::NOT_FOUND,
            PanelError::WrongLogin => StatusCode::UNAUTHORIZED,
            PanelError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            PanelError::LastAdministrator => StatusCode::CONFLICT,
            PanelError::Field(..) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::Said(status, error.to_string())
    }
}

impl From<SetupError> for Refusal {
    fn from(error: SetupError) -> Self {
        let status = match error {
            SetupError::Store(error) => return error.into(),
            SetupError::NotFound(_) => return Self::Missing,
            SetupError::Invalid(faults) => {
                let all: Vec<String> =
                    faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
                return Self::Said(StatusCode::UNPROCESSABLE_ENTITY, all.join("; "));
            }
            SetupError::Conflict(_) => StatusCode::CONFLICT,
            SetupError::Refused(_) => StatusCode::FORBIDDEN,
            SetupError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            SetupError::Meta(_) | SetupError::Portal(_) => StatusCode::BAD_GATEWAY,
        };
        Self::Said(status, error.to_string())
    }
}
