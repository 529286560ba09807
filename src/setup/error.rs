//! Why a change of the installation was not made.

use thiserror::Error;

use crate::bitrix::CallError;
use crate::store::StoreError;
use crate::whatsapp::GraphError;
use crate::whatsapp::error::Refusal;

/// A field of the input and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its name as in the request.
    pub field: String,
    /// What is wrong, in words.
    pub message: String,
    /// The same in Russian, where it is no sentence of [`super::said`].
    pub russian: Option<String>,
}

impl FieldError {
    /// A field and a sentence that is known in Russian.
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), russian: None }
    }
}

/// Why a change of the installation was not made.
#[derive(Debug, Error)]
pub enum SetupError {
    /// There is no such object.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The input is wrong.
    #[error("the input is not valid")]
    Invalid(Vec<FieldError>),
    /// It exists already, something hangs on it, or a set-up runs.
    #[error("{0}")]
    Conflict(String),
    /// Whoever asks is not allowed to, or is not who they say.
    #[error("{0}")]
    Refused(String),
    /// Too much of this lately.
    #[error("{0}")]
    TooMany(String),
    /// Meta refused or cannot be reached.
    #[error("Meta: {0}")]
    Meta(String),
    /// The portal refused or cannot be reached.
    #[error("Bitrix24: {0}")]
    Portal(String),
    /// The database failed.
    #[error("the database failed")]
    Store(#[source] StoreError),
}

impl SetupError {
    /// One wrong field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// What Meta says, in its own words.
    pub(super) fn refusal_text(refusal: &Refusal) -> String {
        let words: Vec<&str> = [&refusal.details, &refusal.user_title, &refusal.user_msg]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .collect();
        let details = if words.is_empty() { String::new() } else { format!(" ({})", words.join(": ")) };
        format!("error {}: {}{details}", refusal.code, refusal.message)
    }
}

impl From<GraphError> for SetupError {
    fn from(error: GraphError) -> Self {
        Self::Meta(match error.refusal() {
            Some(refusal) => Self::refusal_text(refusal),
            // It is said already whose error this is.
            None => error.to_string().trim_start_matches("Meta ").to_owned(),
        })
    }
}

impl From<CallError> for SetupError {
    fn from(error: CallError) -> Self {
        Self::Portal(error.to_string())
    }
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        if error.is_taken() {
            Self::Conflict("this exists already".to_owned())
        } else if error.is_in_use() {
            Self::Conflict("other objects still depend on this one".to_owned())
        } else {
            Self::Store(error)
        }
    }
}
