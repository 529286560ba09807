//! Follows what becomes of a request in the ledger: its state only moves forward, and each step is written with
//! the job that tells the portal.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{is_told, status_job};
use crate::directory::Snapshot;
use crate::domain::{ChatId, Language, PhoneKey, SmsState};
use crate::queue::job::{self, Class, Job, Kind};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::sms::{self, SmsRow};
use crate::store::{StoreError, Tx};
use crate::translate::notes;
use crate::translate::sms_notes::{self, SmsRefusal};
use crate::whatsapp::message::WireError;

/// The scope without which nothing can be written into the CRM's timeline.
const CRM: &str = "crm";

/// An object of the CRM, as stored.
#[derive(Deserialize)]
struct Owner {
    kind: String,
    id: u64,
}

/// The messages of a job have moved: so may the request that they are of. No request: nothing happens.
pub(in crate::relay) fn moved(
    tx: &mut Tx<'_>,
    job_id: &str,
    language: Language,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(request) = sms::of_job(tx.conn, job_id)? else { return Ok(()) };
    let rows = ledger::of_job(tx.conn, job_id)?;
    let Some((state, row)) = state_of(&rows) else { return Ok(()) };
    let bad = matches!(state, SmsState::Failed | SmsState::Undelivered);
    let failure = bad.then(|| failure_of(row, language));
    let reason = failure.as_deref().map(without_colour);
    if !advance(tx, &request, state, reason.as_deref(), now)? {
        return Ok(());
    }
    if let Some(failure) = failure {
        let number = request.number.as_deref().unwrap_or_default();
        let text = sms_notes::failed_comment(number, &failure, language);
        comment(tx, &request, "failed", &text, None, now)?;
    }
    Ok(())
}

/// The request is not sent, for this reason.
pub(in crate::relay) fn refused(
    tx: &mut Tx<'_>,
    request: &SmsRow,
    reason: &str,
    language: Language,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    tracing::warn!(sms.id = request.id, "a message of the CRM is not sent");
    if advance(tx, request, SmsState::Failed, Some(reason), now)? {
        let text = sms_notes::refused_comment(&request.recipient, reason, language);
        comment(tx, request, "refused", &text, None, now)?;
    }
    Ok(())
}

/// The job of a request ended without anybody's verdict.
pub(in crate::relay) fn given_up(
    tx: &mut Tx<'_>,
    job_id: &str,
    language: Language,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(request) = sms::of_job(tx.conn, job_id)? else { return Ok(()) };
    refused(tx, &request, &sms_notes::refusal(&SmsRefusal::GivenUp, language), language, now)
}

/// Meta took the message: by setting the line shows it, and the CRM's timeline shows what a template said.
pub(in crate::relay) fn accepted(
    tx: &mut Tx<'_>,
    request: &SmsRow,
    row: &MessageRow,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let phone = snapshot.phone(&PhoneKey::from(row.phone_id.as_str()));
    let portal = snapshot.portal(&request.portal_id.as_str().into());
    let language = portal.map(|portal| portal.language).unwrap_or_default();
    if let Some(phone) = phone.filter(|phone| phone.row.sms_to_chat) {
        let chat = ChatId::from(row.chat_id.as_str());
        let shown = match row.kind.as_str() {
            "template" => job::show(&phone.key, &chat, &row.id, row.blob_id.is_some()),
            _ => {
                let text = sms_notes::in_line(&row.body, language);
                job::note(&phone.key, &chat, &format!("sms:{}", row.id), text)
            }
        };
        jobs::enqueue(tx, &shown, now)?;
    }
    let told = portal.is_some_and(|portal| portal.row.scopes.split(',').any(|scope| scope.trim() == CRM));
    if told && row.body != request.body {
        let number = request.number.as_deref().unwrap_or_default();
        let text = sms_notes::sent_comment(number, &row.body, language);
        comment(tx, request, "sent", &text, row.blob_id.as_deref(), now)?;
    }
    Ok(())
}

/// Whether the line of a message is told of it: only by setting for what the CRM sent, since a note would open
/// a chat.
pub(in crate::relay) fn is_silent(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    sms_to_chat: bool,
) -> Result<bool, StoreError> {
    match &row.job_id {
        Some(job_id) if !sms_to_chat => Ok(sms::of_job(tx.conn, job_id)?.is_some()),
        _ => Ok(false),
    }
}

fn advance(
    tx: &mut Tx<'_>,
    request: &SmsRow,
    state: SmsState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let moved = sms::advance(tx.conn, request, state, reason, now)?;
    if moved && is_told(state) {
        jobs::enqueue(tx, &status_job(&request.portal_id, &request.id), now)?;
    }
    Ok(moved)
}

/// The state of the message that has come least far, a failure before all.
fn state_of(rows: &[MessageRow]) -> Option<(SmsState, &MessageRow)> {
    let state = |row: &MessageRow| SmsState::of(row.delivery(), row.accepted_at.is_some());
    let failed = |state: SmsState| matches!(state, SmsState::Failed | SmsState::Undelivered);
    let states = || rows.iter().map(|row| (state(row), row));
    states()
        .find(|(state, _)| failed(*state))
        .or_else(|| states().reduce(|one, other| if one.0.may_become(other.0) { one } else { other }))
}

fn failure_of(row: &MessageRow, language: Language) -> String {
    let error = WireError {
        code: row.error_code.map(i64::from),
        title: row.error_text.clone(),
        message: None,
        details: None,
    };
    notes::failure(&error, language)
}

fn without_colour(text: &str) -> String {
    text.replace("[color=#ff0000]", "").replace("[/color]", "")
}

fn comment(
    tx: &mut Tx<'_>,
    request: &SmsRow,
    what: &str,
    text: &str,
    blob_id: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let owners: Vec<Owner> = serde_json::from_str(&request.owners).unwrap_or_default();
    for owner in owners {
        let (key, text) =
            (format!("comment:{}:{what}:{}:{}", request.id, owner.kind, owner.id), text.to_owned());
        let blob_id = blob_id.map(str::to_owned);
        let job = Job::Comment { owner: owner.kind, owner_id: owner.id, text, blob_id };
        let job = NewJob {
            kind: Kind::Comment.as_str(),
            queue: Class::portal_queue(&request.portal_id.as_str().into()),
            lane: sms::comment_lane(&request.id),
            dedupe_key: Some(key),
            payload: job.to_json(),
            message_id: None,
            not_before: None,
        };
        jobs::enqueue(tx, &job, now)?;
    }
    Ok(())
}
