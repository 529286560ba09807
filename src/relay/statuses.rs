//! Statuses of our sends: applied in the transaction that takes them in.
//!
//! A failure becomes a note in the line, in the portal's language; what Meta refused as media is sent again
//! in a form that it takes.

use chrono::{DateTime, Utc};

use crate::directory::{Phone, Snapshot};
use crate::domain::{ChatId, DeliveryState, Language};
use crate::queue::job::{self, Class, Job, Kind, lane_out};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::MessageRow;
use crate::store::statuses::{self as stored, Applied, NewStatus};
use crate::store::{StoreError, Tx, chats};
use crate::translate::notes;
use crate::whatsapp::notification::{ErrorBody, StatusUpdate};

/// Meta could not process a media file.
const MEDIA_REFUSED: i64 = 131053;
/// The service window is closed.
const WINDOW_CLOSED: i64 = 131047;

/// A status with what its effects need.
pub struct Reported {
    phone: Phone,
    language: Language,
    status: StatusUpdate,
    at: DateTime<Utc>,
}

impl Reported {
    /// Of a phone that is set up here.
    pub fn new(snapshot: &Snapshot, phone: &Phone, status: StatusUpdate, now: DateTime<Utc>) -> Self {
        let at = status.timestamp.unwrap_or(now);
        Self { phone: phone.clone(), language: language_of(snapshot, phone), status, at }
    }

    fn error(&self) -> Option<(i64, String)> {
        self.status.errors.first().map(|error| (error.code, error_text(error)))
    }
}

/// Language of notes in the line of a phone.
pub fn language_of(snapshot: &Snapshot, phone: &Phone) -> Language {
    snapshot
        .binding_of_phone(&phone.key)
        .and_then(|binding| snapshot.portal(&binding.portal))
        .map(|portal| portal.language)
        .unwrap_or_default()
}

/// Meta's words for an error, the most telling first.
fn error_text(error: &ErrorBody) -> String {
    let title = if error.title.is_empty() { &error.message } else { &error.title };
    match &error.details {
        Some(details) if details != title => format!("{title}: {details}").replace('\0', "\u{2400}"),
        _ => title.replace('\0', "\u{2400}"),
    }
}

/// Applies a status, or parks it until its message is known.
pub fn apply(tx: &mut Tx<'_>, reported: &Reported, now: DateTime<Utc>) -> Result<(), StoreError> {
    let Some(state) = reported.status.state else { return Ok(()) };
    let error = reported.error();
    let status = NewStatus {
        phone_id: reported.phone.key.as_str(),
        wamid: reported.status.wamid.as_str(),
        state,
        opaque: reported.status.opaque.as_deref(),
        at: reported.at,
        error: error.as_ref().map(|(code, text)| (*code, text.as_str())),
        raw: &reported.status.raw,
    };
    match stored::apply(tx.conn, &status, now)? {
        Applied::Moved(message) => {
            if state == DeliveryState::Failed {
                fail(tx, reported, &message, error, now)?;
            }
            Ok(())
        }
        Applied::Unchanged => Ok(()),
        Applied::Unknown => stored::park(tx.conn, &status, now),
    }
}

/// Applies what was parked for a message whose wamid has just become known.
pub fn apply_parked(
    tx: &mut Tx<'_>,
    phone: &Phone,
    language: Language,
    wamid: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for raw in stored::unpark(tx.conn, phone.key.as_str(), wamid)? {
        if let Some(status) = StatusUpdate::from_raw(&phone.phone_number_id, &raw) {
            let at = status.timestamp.unwrap_or(now);
            apply(tx, &Reported { phone: phone.clone(), language, status, at }, now)?;
        }
    }
    Ok(())
}

fn fail(
    tx: &mut Tx<'_>,
    reported: &Reported,
    message: &MessageRow,
    error: Option<(i64, String)>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (code, text) = error.unwrap_or((0, String::new()));
    tracing::warn!(message.wamid = reported.status.wamid.as_str(), code, "Meta could not deliver a message");
    if code == WINDOW_CLOSED {
        chats::window_closed(tx.conn, &message.chat_id)?;
    }
    let chat = ChatId::from(message.chat_id.as_str());
    if code == MEDIA_REFUSED && message.blob_id.is_some() && message.kind != "text" {
        let job = Job::Fallback { chat_id: message.chat_id.clone(), failed_id: message.id.clone() };
        let job = NewJob {
            kind: Kind::Send.as_str(),
            queue: Class::Send.queue(&reported.phone.key),
            lane: lane_out(&chat),
            dedupe_key: Some(format!("fallback:{}", message.id)),
            payload: job.to_json(),
            message_id: None,
            not_before: None,
        };
        jobs::enqueue(tx, &job, now)?;
        return Ok(());
    }
    let note = notes::failure(code, &text, reported.language);
    jobs::enqueue(tx, &job::note(&reported.phone.key, &chat, &message.id, note), now)?;
    Ok(())
}
