//! Errors as `application/problem+json` (RFC 9457; contract §4).

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::AccessError;
use crate::setup::SetupError;
use crate::store::StoreError;

/// Seconds after which a busy bridge is worth another try.
const BUSY_SECONDS: &str = "5";

/// An error as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// What happened, for people.
    detail: String,
    /// Fields of the input that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// A field of the input and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name as in the request.
    field: String,
    /// What is wrong.
    message: String,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// One wrong field of the input.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the input is not valid");
        problem.errors.push(FieldProblem { field: field.into(), message: message.into() });
        problem
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// What happened, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut answer = HttpResponse::build(self.status_code());
        match self.status_code() {
            StatusCode::UNAUTHORIZED => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                answer.insert_header((header::RETRY_AFTER, BUSY_SECONDS));
            }
            _ => {}
        }
        let body = serde_json::to_string(self).unwrap_or_default();
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(body)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            _ => {
                let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(error = %error, source, "the database failed a request");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available")
            }
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Unknown => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
            AccessError::NameTaken => Self::new(StatusCode::CONFLICT, error.to_string()),
            AccessError::Invalid(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<SetupError> for Problem {
    fn from(error: SetupError) -> Self {
        let status = match &error {
            SetupError::NotFound(_) => StatusCode::NOT_FOUND,
            SetupError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            SetupError::Conflict(_) => StatusCode::CONFLICT,
            SetupError::Refused(_) => StatusCode::FORBIDDEN,
            SetupError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            SetupError::Meta(_) | SetupError::Portal(_) => StatusCode::BAD_GATEWAY,
            SetupError::Store(error) => return error.clone().into(),
        };
        let mut problem = Self::new(status, error.to_string());
        if let SetupError::Invalid(faults) = error {
            problem.errors = faults
                .into_iter()
                .map(|fault| FieldProblem { field: fault.field, message: fault.message })
                .collect();
        }
        problem
    }
}
