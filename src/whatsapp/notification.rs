//! What Meta posts (whatsapp-messaging facts §1.3–§1.11): one [`Notification`] bears up to 1000
//! [`Update`]s.
//!
//! Read fast and leniently: only the head of each element is parsed, the element itself travels on as its
//! JSON text, and a malformed element becomes [`Update::Unreadable`] without losing its neighbours.

mod calls;
mod envelope;
mod fields;
mod lenient;
mod person;
mod template_fields;
mod updates;

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::domain::{DeliveryState, PhoneNumberId, UserId, WaId, WabaId, Wacid, Wamid};

pub use calls::{CallReport, PhoneSettings};
pub use fields::{FieldChange, FieldUpdate, UserPreference};
pub use person::Person;
pub use template_fields::{TemplateNews, TemplateRef};
pub use updates::LONGEST_ID;

/// A decoded webhook body.
#[derive(Clone, PartialEq, Debug)]
pub struct Notification {
    /// Every update, in the order of the body.
    pub updates: Vec<Update>,
}

/// Why a body holds nothing that we could take apart; it is kept as a whole.
#[derive(Debug, Error)]
pub enum NotificationError {
    /// Not JSON.
    #[error("the notification is not JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object with `entry`.
    #[error("the notification has no entries")]
    NoEntries,
}

/// One thing that Meta tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Update {
    /// A person wrote.
    Message(IncomingMessage),
    /// The business wrote by other means: the WhatsApp Business app, or Meta's agent.
    Echo(EchoedMessage),
    /// How far a message of ours has come.
    Status(StatusUpdate),
    /// An error of the account or app (`value.errors`).
    Error(AccountError),
    /// A field other than messages, and what of `messages` has no place elsewhere (groups, say).
    Field(FieldUpdate),
    /// An element that could not be read.
    Unreadable(UnreadableUpdate),
}

/// The head of one element of `messages[]`.
#[derive(Clone, PartialEq, Debug)]
pub struct IncomingMessage {
    /// The account; empty if Meta named none.
    pub waba_id: WabaId,
    /// The business phone that was written to: the routing key.
    pub phone_number_id: PhoneNumberId,
    /// Its number, as bare digits or formatted.
    pub display_phone_number: Option<String>,
    /// Whether Meta's own agent holds the conversation (§1.11).
    pub standby: bool,
    /// The message's id; what duplicates are told by.
    pub wamid: Wamid,
    /// `messages[].type`, `unknown` if absent.
    pub kind: String,
    /// When the person sent it.
    pub timestamp: Option<DateTime<Utc>>,
    /// Who wrote; every part may be missing.
    pub sender: Person,
    /// The message that this one quotes or answers.
    pub context_id: Option<Wamid>,
    /// The message object as JSON text.
    pub raw: String,
}

/// The head of one element of `message_echoes[]`.
#[derive(Clone, PartialEq, Debug)]
pub struct EchoedMessage {
    /// The account; empty if Meta named none.
    pub waba_id: WabaId,
    /// The business phone that wrote.
    pub phone_number_id: PhoneNumberId,
    /// Whether it came by `standby`: then Meta's agent wrote it, else the phone app.
    pub standby: bool,
    /// The message's id.
    pub wamid: Wamid,
    /// `message_echoes[].type`, `unknown` if absent.
    pub kind: String,
    /// When it was sent.
    pub timestamp: Option<DateTime<Utc>>,
    /// To whom.
    pub recipient: Person,
    /// The message that this one quotes or answers.
    pub context_id: Option<Wamid>,
    /// The message object as JSON text.
    pub raw: String,
}

/// One element of `statuses[]` (§1.9).
#[derive(Clone, PartialEq, Debug)]
pub struct StatusUpdate {
    /// The account; empty if Meta named none.
    pub waba_id: WabaId,
    /// The business phone that sent the message.
    pub phone_number_id: PhoneNumberId,
    /// The message.
    pub wamid: Wamid,
    /// `sent`, `delivered`, `read`, `played`, `failed`; `None` for all other words, which change nothing.
    pub state: Option<DeliveryState>,
    /// Meta's word.
    pub state_text: String,
    /// When it happened.
    pub timestamp: Option<DateTime<Utc>>,
    /// Our own mark on the send (`biz_opaque_callback_data`).
    pub opaque: Option<String>,
    /// To whom the message went.
    pub recipient: Person,
    /// Why it failed.
    pub errors: Vec<ErrorBody>,
    /// The status object as JSON text.
    pub raw: String,
}

/// `value.errors`: an error that belongs to no single message.
#[derive(Clone, PartialEq, Debug)]
pub struct AccountError {
    /// The account; empty if Meta named none.
    pub waba_id: WabaId,
    /// The phone concerned, if one is.
    pub phone_number_id: Option<PhoneNumberId>,
    /// What is wrong.
    pub errors: Vec<ErrorBody>,
    /// The list as JSON text.
    pub raw: String,
}

/// What could not be read, kept.
#[derive(Clone, PartialEq, Debug)]
pub struct UnreadableUpdate {
    /// The account, if known.
    pub waba_id: Option<WabaId>,
    /// The phone, if known.
    pub phone_number_id: Option<PhoneNumberId>,
    /// The webhook field, if known.
    pub field: Option<String>,
    /// What is missing, for the log.
    pub reason: &'static str,
    /// The element as JSON text.
    pub raw: String,
}

/// An error as webhooks word it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorBody {
    /// Meta's code (§5.2); 0 if none could be read.
    pub code: i64,
    /// Short title; may be empty.
    pub title: String,
    /// Longer text; may be empty.
    pub message: String,
    /// `error_data.details`.
    pub details: Option<String>,
}

impl Notification {
    /// Takes a webhook's body apart.
    ///
    /// # Errors
    /// Only if the body is not JSON at all or has no `entry`: everything smaller is told as an update.
    pub fn parse(body: &[u8]) -> Result<Self, NotificationError> {
        envelope::parse(body).map(|updates| Self { updates })
    }
}

#[cfg(test)]
mod tests;
