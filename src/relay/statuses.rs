//! Statuses of our sends: applied in the transaction that takes them in.
//!
//! A failure becomes a note in the line, in the portal's language; what Meta refused as media is sent again
//! in a form that it takes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::sms::progress;
use super::{held, late, templates};
use crate::directory::{Phone, Snapshot};
use crate::domain::{ChatId, DeliveryState, Language};
use crate::queue::job::{self, Class, Job, Kind, lane_out};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::MessageRow;
use crate::store::statuses::{self as stored, Applied, NewStatus};
use crate::store::{StoreError, Tx, chats};
use crate::translate::notes;
use crate::whatsapp::message::WireError;
use crate::whatsapp::notification::StatusUpdate;

/// Meta could not process a media file.
const MEDIA_REFUSED: i64 = 131053;
/// The service window is closed.
const WINDOW_CLOSED: i64 = 131047;

/// A status with what its effects need.
pub struct Reported {
    phone: Phone,
    language: Language,
    told: Told,
}

/// What a status says; also the form in which it is parked.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    wamid: String,
    state: Option<DeliveryState>,
    opaque: Option<String>,
    at: DateTime<Utc>,
    error: Option<ToldError>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ToldError {
    /// `None`: it could not be read.
    code: Option<i64>,
    title: String,
    details: Option<String>,
}

impl Reported {
    /// Of a phone that is set up here.
    pub fn new(snapshot: &Snapshot, phone: &Phone, status: StatusUpdate, now: DateTime<Utc>) -> Self {
        let error = status.errors.into_iter().next().map(|error| ToldError {
            code: Some(error.code).filter(|code| *code != 0),
            title: clean(if error.title.is_empty() { &error.message } else { &error.title }),
            details: error.details.as_deref().map(clean),
        });
        let told = Told {
            wamid: clean(status.wamid.as_str()),
            state: status.state,
            opaque: status.opaque.as_deref().map(clean),
            at: status.timestamp.unwrap_or(now),
            error,
        };
        Self { phone: phone.clone(), language: language_of(snapshot, phone), told }
    }
}

impl ToldError {
    fn text(&self) -> String {
        match &self.details {
            Some(details) if *details != self.title => format!("{}: {details}", self.title),
            _ => self.title.clone(),
        }
    }
}

/// PostgreSQL takes no NUL in text.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// Language of notes in the line of a phone.
pub fn language_of(snapshot: &Snapshot, phone: &Phone) -> Language {
    snapshot
        .binding_of_phone(&phone.key)
        .and_then(|binding| snapshot.portal(&binding.portal))
        .map(|portal| portal.language)
        .unwrap_or_default()
}

/// Applies a status, or parks it until its message is known. `Some`: the lane and job of a send that was in
/// doubt and is proven by this status.
pub fn apply(
    tx: &mut Tx<'_>,
    reported: &Reported,
    now: DateTime<Utc>,
) -> Result<Option<(String, String)>, StoreError> {
    let told = &reported.told;
    let Some(state) = told.state else { return Ok(None) };
    let text = told.error.as_ref().map(|error| (error.code.unwrap_or_default(), error.text()));
    // Plain data with text keys: writing it as JSON cannot fail.
    let raw = serde_json::to_string(told).unwrap_or_default();
    let status = NewStatus {
        phone_id: reported.phone.key.as_str(),
        wamid: &told.wamid,
        state,
        opaque: told.opaque.as_deref(),
        at: told.at,
        error: text.as_ref().map(|(code, text)| (*code, text.as_str())),
        raw: &raw,
    };
    match stored::apply(tx.conn, &status, now)? {
        Applied::Moved(message) => {
            let failed = state == DeliveryState::Failed;
            let goes_another_way = failed && in_closed_window(tx, reported, &message, now)?;
            if let Some(job_id) = message.job_id.as_ref().filter(|_| !goes_another_way) {
                progress::moved(tx, job_id, reported.language, now)?;
            }
            if failed && !goes_another_way {
                fail(tx, reported, &message, now)?;
            }
            let lane = lane_out(&ChatId::from(message.chat_id.as_str())).to_string();
            Ok(message.wamid.is_none().then_some(lane).zip(message.job_id.clone()))
        }
        Applied::Unchanged => Ok(None),
        Applied::Unknown => stored::park(tx.conn, &status, now).map(|()| None),
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
        if let Ok(told) = serde_json::from_str::<Told>(&raw) {
            apply(tx, &Reported { phone: phone.clone(), language, told }, now)?;
        }
    }
    Ok(())
}

/// If the window was closed, nothing more is tried in it; and whether the text goes another way.
fn in_closed_window(
    tx: &mut Tx<'_>,
    reported: &Reported,
    message: &MessageRow,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let code = reported.told.error.as_ref().and_then(|error| error.code);
    if code != Some(WINDOW_CLOSED) {
        return Ok(false);
    }
    chats::window_was_closed(tx.conn, &message.chat_id, message.created_at.and_utc())?;
    late::follows_setting(tx, &reported.phone, message, now)
}

fn fail(
    tx: &mut Tx<'_>,
    reported: &Reported,
    message: &MessageRow,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let error = reported.told.error.clone();
    let code = error.as_ref().and_then(|error| error.code);
    tracing::warn!(message.wamid = reported.told.wamid, code, "Meta could not deliver a message");
    let chat = ChatId::from(message.chat_id.as_str());
    if code == Some(MEDIA_REFUSED)
        && message.blob_id.is_some()
        && !matches!(message.kind.as_str(), "text" | "template")
    {
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
    let error = WireError {
        code,
        title: error.as_ref().map(|error| error.title.clone()),
        message: None,
        details: error.and_then(|error| error.details),
    };
    if progress::is_silent(tx, message, reported.phone.row.sms_to_chat)? {
        return Ok(());
    }
    let mut note = notes::failure(&error, reported.language);
    if code == Some(WINDOW_CLOSED) {
        let (lines, more) = held::choices(&templates::of_waba(tx.conn, reported.phone.waba_key.as_str())?);
        note.push_str(&notes::choices(&lines, more, reported.language));
    }
    jobs::enqueue(tx, &job::note(&reported.phone.key, &chat, &message.id, note), now)?;
    Ok(())
}
