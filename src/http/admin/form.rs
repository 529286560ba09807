//! A form that was sent by a page of ours, and a form as a page shows it: fields with what was typed and
//! what is wrong with it.

use std::collections::HashMap;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::guard::Anchor;
use super::refusal::Refusal;
use super::texts::Say;
use crate::access::{PanelError, forms};
use crate::setup::SetupError;

const MAX_FIELDS: usize = 500;

/// What was typed. To have one proves that the form is ours: every handler of a POST takes one.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(HashMap<String, Vec<String>>);

impl Form {
    /// The last value of a field; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(|all| all.last()).map_or("", String::as_str)
    }

    /// The value of a field that may be left empty.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        let value = self.get(name).trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Puts what a field begins with.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), vec![value.to_owned()]);
    }

    /// Adds a value to a field that has several.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_default().push(value.to_owned());
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a box is ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// When the object that the form shows was changed last.
    pub(super) fn seen(&self) -> Option<chrono::NaiveDateTime> {
        chrono::DateTime::from_timestamp_micros(self.get("version").parse().ok()?).map(|at| at.naive_utc())
    }

    fn read(body: &[u8]) -> Self {
        let mut fields: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(body).take(MAX_FIELDS) {
            // Nothing that is typed holds a NUL, and no database takes one.
            let value = value.replace('\0', "");
            fields.entry(name.into_owned()).or_default().push(value);
        }
        Self(fields)
    }
}

impl FromRequest for Form {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let anchor = request.extensions().get::<Anchor>().map(|anchor| anchor.0.clone());
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|_| Refusal::Form)?;
            let form = Self::read(&bytes);
            let ours = anchor.is_some_and(|anchor| forms::is_form_token(&anchor, form.get("csrf")));
            if ours { Ok(form) } else { Err(Refusal::Form) }
        })
    }
}

/// The token of a form that a script sends, with a body that is no form.
pub(super) struct FormToken;

impl FromRequest for FormToken {
    type Error = Refusal;
    type Future = std::future::Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = request.headers().get("x-form-token").and_then(|value| value.to_str().ok());
        let anchor = request.extensions().get::<Anchor>().map(|anchor| anchor.0.clone());
        let ours = anchor.is_some_and(|anchor| forms::is_form_token(&anchor, given.unwrap_or_default()));
        std::future::ready(if ours { Ok(Self) } else { Err(Refusal::Form) })
    }
}

/// The version of an object for its form.
pub(super) fn version(updated_at: chrono::NaiveDateTime) -> String {
    updated_at.and_utc().timestamp_micros().to_string()
}

/// How a field is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Secret,
    NewPassword,
    Area,
    Check,
    /// Values and what they say.
    Choice(Vec<(String, String)>),
}

/// A field of a form.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) value: String,
    pub(super) error: Option<String>,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

impl Field {
    /// A line of text. Its label is `field.NAME` of the catalogue, its hint `hint.NAME` if there is one.
    pub(super) fn text(say: &Say, name: &'static str, value: &str) -> Self {
        Self::new(say, name, value, Kind::Text)
    }

    /// A secret.
    pub(super) fn secret(say: &Say, name: &'static str, value: &str) -> Self {
        Self::new(say, name, value, Kind::Secret)
    }

    /// A box to tick.
    pub(super) fn check(say: &Say, name: &'static str, ticked: bool) -> Self {
        Self::new(say, name, if ticked { "on" } else { "" }, Kind::Check)
    }

    /// One of several.
    pub(super) fn choice(say: &Say, name: &'static str, value: &str, of: Vec<(String, String)>) -> Self {
        Self::new(say, name, value, Kind::Choice(of))
    }

    /// Any kind.
    pub(super) fn new(say: &Say, name: &'static str, value: &str, kind: Kind) -> Self {
        let hint = say.find(&format!("hint.{name}")).unwrap_or_default().to_owned();
        let label = say.t(&format!("field.{name}")).to_owned();
        Self { name, label, hint, value: value.to_owned(), error: None, kind, required: false }
    }

    /// Must not be left empty.
    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Another hint.
    pub(super) fn hinted(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }

    /// For the template: whether it is of a kind.
    pub(super) fn is(&self, kind: &str) -> bool {
        matches!(
            (&self.kind, kind),
            (Kind::Text, "text")
                | (Kind::Secret, "secret")
                | (Kind::NewPassword, "new-password")
                | (Kind::Area, "area")
                | (Kind::Check, "check")
                | (Kind::Choice(_), "choice")
        )
    }

    /// For the template: what to choose from.
    pub(super) fn choices(&self) -> &[(String, String)] {
        match &self.kind {
            Kind::Choice(of) => of,
            _ => &[],
        }
    }

    /// For the template: whether a choice is the present one.
    pub(super) fn is_chosen(&self, value: &str) -> bool {
        self.value == value
    }
}

/// Why a form was not taken; shown in it, with everything that was typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// What is wrong as a whole.
    pub(super) message: Option<String>,
    fields: Vec<(String, String)>,
}

impl Fault {
    /// No fault, but something to say.
    pub(super) fn told(message: Option<String>) -> Self {
        Self { message, ..Self::default() }
    }

    /// One wrong field.
    pub(super) fn field(say: &Say, name: &str, sentence: &str) -> Self {
        let fields = vec![(name.to_owned(), say.said(sentence))];
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: None, fields }
    }

    /// What a form can show of a use case's error; the rest is a page of its own.
    pub(super) fn of(error: SetupError, say: &Say) -> Result<Self, Refusal> {
        match error {
            SetupError::Invalid(faults) => Ok(Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                message: None,
                fields: faults
                    .into_iter()
                    .map(|fault| (say.wrong(&fault), fault))
                    .map(|(why, fault)| (fault.field, why))
                    .collect(),
            }),
            error => match Refusal::from(error) {
                Refusal::Said(status, sentence) => {
                    Ok(Self { status, message: Some(say.said(&sentence)), fields: Vec::new() })
                }
                refusal => Err(refusal),
            },
        }
    }

    /// The same for the doors of the panel.
    pub(super) fn of_panel(error: PanelError, say: &Say) -> Result<Self, Refusal> {
        match error {
            PanelError::Field(field, message) => Ok(Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                message: None,
                fields: vec![(field.to_owned(), say.said(message))],
            }),
            error => match Refusal::from(error) {
                Refusal::Said(status, sentence) => {
                    Ok(Self { status, message: Some(say.said(&sentence)), fields: Vec::new() })
                }
                refusal => Err(refusal),
            },
        }
    }

    /// Puts what is wrong with these fields beside them, and leaves the rest.
    pub(super) fn mark_some(&mut self, fields: &mut [Field]) {
        self.fields.retain(|(name, message)| {
            let field = fields.iter_mut().find(|field| field.name == name);
            field.map(|field| field.error = Some(message.clone())).is_none()
        });
    }

    /// Puts what is wrong beside the fields; what belongs to none of them becomes the message.
    pub(super) fn mark(&mut self, fields: &mut [Field]) {
        for (name, message) in std::mem::take(&mut self.fields) {
            match fields.iter_mut().find(|field| field.name == name) {
                Some(field) => {
                    let before = field.error.take().map(|before| format!("{before} ")).unwrap_or_default();
                    field.error = Some(before + &message);
                }
                None => self.message = Some(message),
            }
        }
    }
}
