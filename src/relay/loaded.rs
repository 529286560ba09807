//! Reads what the courier's jobs need, in few queries for many of them.

use super::changes;
use crate::queue::job::Job;
use crate::queue::worker::Running;
use crate::store::blobs::{self, BlobRow};
use crate::store::chats::{self, ChatPerson, ChatRow};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::{Conn, StoreError};
use crate::whatsapp::message::WireMessage;

/// A job of the courier with everything that it needs from the database.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) running: Running,
    pub(super) job: Job,
    pub(super) chat: ChatRow,
    pub(super) person: ChatPerson,
    pub(super) message: Option<MessageRow>,
    pub(super) quoted: Option<MessageRow>,
    /// The message that an edit or revocation changes.
    pub(super) original: Option<MessageRow>,
    /// The edits and revocations of what it shows, the oldest first.
    pub(super) changes: Vec<MessageRow>,
    pub(super) blob: Option<BlobRow>,
    /// The accepted parts of an operator's message, for an acknowledgement.
    pub(super) parts: Vec<MessageRow>,
}

/// Reads what jobs of the courier need; jobs whose chat or message is gone come back as they are.
pub(super) fn load(conn: &mut Conn, jobs: Vec<Running>) -> Result<(Vec<Loaded>, Vec<Running>), StoreError> {
    let message_ids: Vec<String> = jobs.iter().filter_map(|job| job.row.message_id.clone()).collect();
    let messages = ledger::get_many(conn, &message_ids)?;
    let changes = changes_of(conn, &messages)?;
    let parsed: Vec<(Running, Option<Job>)> = jobs
        .into_iter()
        .map(|running| {
            let job = Job::from_json(&running.row.payload).ok();
            (running, job)
        })
        .collect();
    let chat_ids: Vec<String> =
        parsed.iter().filter_map(|(_, job)| job.as_ref().and_then(chat_of)).map(str::to_owned).collect();
    let (chats, people) = (chats::get_many(conn, &chat_ids)?, chats::people(conn, &chat_ids)?);
    let (mut loaded, mut gone) = (Vec::new(), Vec::new());
    for (running, job) in parsed {
        let chat_id = job.as_ref().and_then(chat_of).map(str::to_owned);
        let chat = chats.iter().find(|chat| Some(&chat.id) == chat_id.as_ref());
        let person = people.iter().find(|person| Some(&person.chat_id) == chat_id.as_ref());
        let (Some(job), Some(chat), Some(person)) = (job, chat, person) else {
            gone.push(running);
            continue;
        };
        let message = messages.iter().find(|row| Some(&row.id) == running.row.message_id.as_ref()).cloned();
        if message.is_none() && matches!(job, Job::Relay { .. } | Job::Show { .. }) {
            gone.push(running);
            continue;
        }
        let quoted = match &message {
            Some(message) => quoted(conn, message)?,
            None => None,
        };
        let original = match &message {
            Some(message) => original(conn, message)?,
            None => None,
        };
        let theirs =
            message.as_ref().and_then(|message| Some((changes::subject(message)?, &message.chat_id)));
        let is_theirs = |named: &String, change: &MessageRow| {
            theirs.as_ref().is_some_and(|(subject, chat)| subject == named && **chat == change.chat_id)
        };
        let changes = changes.iter().filter(|(named, change)| is_theirs(named, change));
        let changes = changes.map(|(_, change)| change.clone()).collect();
        let blob = match message.as_ref().and_then(|message| message.blob_id.as_ref()) {
            Some(id) => blobs::get(conn, id)?,
            None => None,
        };
        let parts = match &job {
            Job::Acknowledge { portal_id, im_message_id, .. } => {
                ledger::of_operator(conn, portal_id, im_message_id)?
            }
            _ => Vec::new(),
        };
        loaded.push(Loaded {
            running,
            job,
            chat: chat.clone(),
            person: person.clone(),
            message,
            quoted,
            original,
            changes,
            blob,
            parts,
        });
    }
    Ok((loaded, gone))
}

fn chat_of(job: &Job) -> Option<&str> {
    match job {
        Job::Relay { chat_id, .. }
        | Job::Note { chat_id, .. }
        | Job::Show { chat_id, .. }
        | Job::Acknowledge { chat_id, .. } => Some(chat_id),
        Job::Send { .. }
        | Job::Fallback { .. }
        | Job::Fetch { .. }
        | Job::MarkRead { .. }
        | Job::Card { .. }
        | Job::Sms { .. }
        | Job::SmsStatus { .. }
        | Job::Comment { .. } => None,
    }
}

fn quoted(conn: &mut Conn, message: &MessageRow) -> Result<Option<MessageRow>, StoreError> {
    // Most messages answer nothing: a look at the text is cheaper than parsing each of them here.
    if !["\"context\"", "\"reaction\"", "\"edit\""].iter().any(|key| message.payload.contains(key)) {
        return Ok(None);
    }
    let Ok(wire) = WireMessage::parse(&message.payload) else { return Ok(None) };
    match wire.refers_to() {
        Some(wamid) => ledger::by_wamid(conn, &message.phone_id, wamid.as_str()),
        None => Ok(None),
    }
}

fn original(conn: &mut Conn, message: &MessageRow) -> Result<Option<MessageRow>, StoreError> {
    match changes::named(&message.kind, &message.payload) {
        Some((_, original)) => ledger::by_wamid(conn, &message.phone_id, original.as_str()),
        None => Ok(None),
    }
}

/// The edits and revocations of what these messages show, each after the name of that.
fn changes_of(conn: &mut Conn, messages: &[MessageRow]) -> Result<Vec<(String, MessageRow)>, StoreError> {
    // Those of a courier are of one phone.
    let Some(first) = messages.first() else { return Ok(Vec::new()) };
    let subjects: Vec<String> = messages.iter().filter_map(changes::subject).collect();
    ledger::changes_of(conn, &first.phone_id, &subjects)
}
