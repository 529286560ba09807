//! Message templates: what an approved text consists of, as far as filling and showing it needs.

use serde::{Deserialize, Serialize};

use super::MediaId;

/// A template of a WhatsApp Business Account. Name and language together are its key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Template {
    /// Meta's id of it (a number in webhooks, text in REST; text here).
    pub id: String,
    /// `[a-z0-9_]`, at most 512.
    pub name: String,
    /// Language code with `_`, as `en_US`.
    pub language: String,
    /// Whether it may be sent.
    pub status: TemplateStatus,
    /// Meta's reason for a status that forbids it, as `INVALID_FORMAT`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Meta's price class.
    pub category: TemplateCategory,
    /// How its variables are named.
    pub parameters: ParameterFormat,
    /// Above the body.
    pub header: Option<Header>,
    /// The text with `{{1}}` or `{{name}}`; authentication templates have none of their own (Meta's fixed text).
    pub body: Option<String>,
    /// Below the body; never with variables.
    pub footer: Option<String>,
    /// In Meta's order: a button's index is its place here.
    pub buttons: Vec<Button>,
    /// Components that a short line cannot fill (`CAROUSEL`, `LIMITED_TIME_OFFER`, …), by Meta's name.
    pub others: Vec<String>,
    /// Example values of the body, in the order in which the variables first appear.
    pub body_examples: Vec<String>,
    /// Example values of a text header.
    pub header_examples: Vec<String>,
}

impl Template {
    /// The variables of the body, each once, in the order in which they first appear. Authentication
    /// templates have one, the code, whether Meta shows their text or not.
    pub fn body_variables(&self) -> Vec<String> {
        let found = self.body.as_deref().map(variables).unwrap_or_default();
        match self.category {
            TemplateCategory::Authentication if found.is_empty() => vec!["1".to_owned()],
            _ => found,
        }
    }

    /// The variable of a text header.
    pub fn header_variable(&self) -> Option<String> {
        match &self.header {
            Some(Header::Text { text }) => variables(text).into_iter().next(),
            _ => None,
        }
    }

    /// Places of the buttons with an address that ends in a variable, in their order.
    pub fn dynamic_urls(&self) -> Vec<usize> {
        self.places(|button| matches!(button, Button::Url { url, .. } if !variables(url).is_empty()))
    }

    /// Places of the quick replies.
    pub fn quick_replies(&self) -> Vec<usize> {
        self.places(|button| matches!(button, Button::QuickReply { .. }))
    }

    /// Place of the button that copies a code.
    pub fn code_button(&self) -> Option<usize> {
        let is_code = |button: &Button| matches!(button, Button::CopyCode { .. } | Button::Otp { .. });
        self.places(is_code).first().copied()
    }

    fn places(&self, fits: impl Fn(&Button) -> bool) -> Vec<usize> {
        self.buttons.iter().enumerate().filter(|(_, button)| fits(button)).map(|(at, _)| at).collect()
    }
}

/// Meta's state of a template. Only `Approved` can be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TemplateStatus {
    /// May be sent.
    Approved,
    /// Under review.
    Pending,
    /// Refused by the review.
    Rejected,
    /// Stopped for low quality, for hours.
    Paused,
    /// Stopped for good.
    Disabled,
    /// Any other state, as Meta spells it.
    #[serde(untagged)]
    Other(String),
}

impl TemplateStatus {
    /// Reads Meta's word, in any case.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            "APPROVED" | "REINSTATED" => Self::Approved,
            "PENDING" => Self::Pending,
            "REJECTED" => Self::Rejected,
            "PAUSED" => Self::Paused,
            "DISABLED" => Self::Disabled,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Meta's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Approved => "APPROVED",
            Self::Pending => "PENDING",
            Self::Rejected => "REJECTED",
            Self::Paused => "PAUSED",
            Self::Disabled => "DISABLED",
            Self::Other(word) => word,
        }
    }
}

/// Meta's price class of a template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TemplateCategory {
    /// One-time passwords.
    Authentication,
    /// Advertising; a person may opt out of it.
    Marketing,
    /// About something that the person did.
    Utility,
    /// Any other, as Meta spells it.
    #[serde(untagged)]
    Other(String),
}

impl TemplateCategory {
    /// Reads Meta's word, in any case.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            "AUTHENTICATION" => Self::Authentication,
            "MARKETING" => Self::Marketing,
            "UTILITY" => Self::Utility,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Meta's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Authentication => "AUTHENTICATION",
            Self::Marketing => "MARKETING",
            Self::Utility => "UTILITY",
            Self::Other(word) => word,
        }
    }
}

/// How a template's variables are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ParameterFormat {
    /// `{{1}}`, `{{2}}`.
    Positional,
    /// `{{first_name}}`.
    Named,
}

/// What stands above the body.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Header {
    /// A line of text with at most one variable.
    Text {
        /// With `{{1}}` or `{{name}}`.
        text: String,
    },
    /// A picture.
    Image,
    /// A film; Meta's `GIF` is sent as one too.
    Video,
    /// A file.
    Document,
    /// Anything that a short line cannot fill (`LOCATION`, `PRODUCT`), by Meta's word.
    Other {
        /// Meta's word.
        name: String,
    },
}

/// A button of a template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Button {
    /// Answers with its label and a payload.
    QuickReply {
        /// Label.
        text: String,
    },
    /// Opens an address.
    Url {
        /// Label.
        text: String,
        /// Address, with `{{1}}` at its end if it is dynamic.
        url: String,
        /// Example of the whole address.
        example: Option<String>,
    },
    /// Calls a number.
    PhoneNumber {
        /// Label.
        text: String,
        /// Number.
        phone_number: String,
    },
    /// Copies a code (a coupon).
    CopyCode {
        /// Label.
        text: String,
        /// Example code.
        example: Option<String>,
    },
    /// One-time password: copy code, one tap or zero tap.
    Otp {
        /// Label.
        text: String,
    },
    /// Any other, by Meta's type.
    Other {
        /// Meta's type.
        name: String,
        /// Label.
        text: String,
    },
}

/// What was filled in: all that a send needs beside the template's name and language.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TemplateValues {
    /// Value of a text header's variable.
    pub header_text: Option<String>,
    /// Body values in the order in which the variables first appear in the template.
    pub body: Vec<String>,
    /// The dynamic parts of buttons, by index.
    pub buttons: Vec<ButtonValue>,
}

/// The dynamic part of a button.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ButtonValue {
    /// The button's place in the template, from 0.
    pub index: usize,
    /// What it is.
    pub value: ButtonFill,
}

/// What is given to a button.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum ButtonFill {
    /// The end of an address.
    UrlSuffix(String),
    /// What a quick reply answers with.
    Payload(String),
    /// A coupon code or one-time password.
    Code(String),
}

/// The file of a media header, uploaded already.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeaderMedia {
    /// Meta's id of the uploaded file.
    pub media_id: MediaId,
    /// Name, for documents.
    pub filename: Option<String>,
}

/// The names between `{{` and `}}` of a text, each once, in the order in which they first appear. Anything
/// but letters, digits and `_` between the braces is no variable.
pub fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in text.split("{{").skip(1) {
        let Some((name, _)) = piece.split_once("}}") else { continue };
        let name = name.trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
