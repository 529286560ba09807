//! Takes in what Meta posts: committed with the jobs that it causes, in one write, then answered.
//!
//! Who makes what: this file writes the message (unique by phone and wamid, so a repeat is a no-op), its job
//! into the line and, for a file, the job that fetches it. [`super::courier`] relays, [`super::fetch`]
//! fetches. Statuses are applied at once ([`super::statuses`]), fields in [`super::fields`].

use chrono::{DateTime, Duration, Utc};

use super::Relay;
use super::{fields, statuses};
use crate::directory::{App, Phone, Snapshot};
use crate::domain::{ChatId, DeliveryState, Direction, WabaId, WabaKey, Wamid};
use crate::queue::job::{Class, Job, Kind, lane_in, to_line};
use crate::store::contacts::{self, Aliases};
use crate::store::events::{self, Origin};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::{self as ledger, NewMessage};
use crate::store::{StoreError, Tx, chats};
use crate::whatsapp::message::{Content, System, WireMessage};
use crate::whatsapp::notification::{EchoedMessage, IncomingMessage, Person};
use crate::whatsapp::{Notification, Update};

/// What became of a notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Updates that were new.
    pub taken: usize,
    /// Updates that were known already.
    pub repeated: usize,
    /// Updates kept for a person to look at: unreadable, unknown phone, other fields.
    pub kept: usize,
    /// Whether the directory must be read again.
    pub reconfigured: bool,
}

/// A message or echo with the phone it belongs to.
struct Arrival {
    phone: Phone,
    waba_key: WabaKey,
    direction: Direction,
    wamid: Wamid,
    kind: String,
    at: DateTime<Utc>,
    person: Person,
    raw: String,
    cache_key: Option<String>,
    known_chat: Option<String>,
}

enum Step {
    Arrival(Box<Arrival>),
    Status(Box<statuses::Reported>),
    Field(fields::Change),
    Keep { field: String, reason: &'static str, payload: String },
}

/// Stores a notification whose signature was verified against one of `app`'s secrets.
///
/// # Errors
/// [`StoreError::Busy`] or another failure of the database: nothing is stored and Meta will repeat it.
pub async fn receive(relay: &Relay, app: &App, body: &[u8]) -> Result<Receipt, StoreError> {
    let now = relay.clock.now();
    let snapshot = relay.directory.now();
    let mut steps = match Notification::parse(body) {
        Ok(notification) => {
            notification.updates.into_iter().map(|update| plan(relay, &snapshot, update, now)).collect()
        }
        Err(error) => {
            tracing::warn!(app.id = %app.id, error = %error, "a signed notification cannot be read; it is kept");
            vec![keep("unreadable", "unreadable", &String::from_utf8_lossy(body))]
        }
    };
    if app.save_events {
        steps.push(keep("notification", "saved by wish", &String::from_utf8_lossy(body)));
    }
    let (app_id, media_wait) = (app.id.to_string(), relay.settings.media_wait);
    let (receipt, opened, proven) = relay
        .db
        .write_or_busy(move |tx| {
            let (mut receipt, mut opened, mut proven) = (Receipt::default(), Vec::new(), Vec::new());
            for step in &steps {
                match step {
                    Step::Arrival(arrival) => match arrive(tx, arrival, media_wait, now)? {
                        Some(chat) => {
                            receipt.taken += 1;
                            opened.extend(arrival.cache_key.clone().map(|key| (key, chat)));
                        }
                        None => receipt.repeated += 1,
                    },
                    Step::Status(status) => {
                        proven.extend(statuses::apply(tx, status, now)?);
                        receipt.taken += 1;
                    }
                    Step::Field(change) => {
                        receipt.reconfigured |= fields::apply(tx, change, now)?;
                        events::keep(
                            tx.conn,
                            Origin::App(&app_id),
                            change.field(),
                            "field",
                            change.raw(),
                            now,
                        )?;
                        receipt.kept += 1;
                    }
                    Step::Keep { field, reason, payload } => {
                        events::keep(tx.conn, Origin::App(&app_id), field, reason, payload, now)?;
                        receipt.kept += 1;
                    }
                }
            }
            Ok((receipt, opened, proven))
        })
        .await?;
    for (key, chat) in opened {
        relay.known_chats.insert(key, chat);
    }
    for (lane, job) in proven {
        relay.scheduler.wake(&lane, &job);
    }
    if receipt.reconfigured {
        relay.directory.reload().await?;
    }
    Ok(receipt)
}

fn keep(field: &str, reason: &'static str, payload: &str) -> Step {
    Step::Keep { field: field.to_owned(), reason, payload: payload.to_owned() }
}

fn plan(relay: &Relay, snapshot: &Snapshot, update: Update, now: DateTime<Utc>) -> Step {
    match update {
        Update::Message(message) => arrival(relay, snapshot, message, now),
        Update::Echo(echo) => echoed(snapshot, echo, now),
        Update::Status(status) => match snapshot.phone_by_id(&status.phone_number_id) {
            Some(phone) => Step::Status(Box::new(statuses::Reported::new(snapshot, phone, status, now))),
            None => keep("statuses", "unknown phone", &status.raw),
        },
        Update::Error(error) => {
            let codes: Vec<i64> = error.errors.iter().map(|error| error.code).collect();
            tracing::warn!(waba.id = %error.waba_id, ?codes, "Meta reports an error of the account");
            keep("errors", "account error", &error.raw)
        }
        Update::Field(field) => Step::Field(fields::Change::new(field)),
        Update::Unreadable(unreadable) => {
            tracing::warn!(reason = unreadable.reason, "a part of a notification cannot be read; it is kept");
            keep(unreadable.field.as_deref().unwrap_or("messages"), "unreadable", &unreadable.raw)
        }
    }
}

fn arrival(relay: &Relay, snapshot: &Snapshot, message: IncomingMessage, now: DateTime<Utc>) -> Step {
    let Some(phone) = snapshot.phone_by_id(&message.phone_number_id) else {
        warn_unknown(&message.waba_id);
        return keep("messages", "unknown phone", &message.raw);
    };
    if message.sender.is_anonymous() {
        return keep("messages", "no sender", &message.raw);
    }
    let cache_key = cache_key(phone, &message.sender);
    let known_chat = cache_key.as_ref().and_then(|key| relay.known_chats.get(key));
    Step::Arrival(Box::new(Arrival {
        phone: phone.clone(),
        waba_key: phone.waba_key.clone(),
        direction: Direction::Inbound,
        wamid: clean_wamid(&message.wamid),
        kind: message.kind,
        at: message.timestamp.unwrap_or(now),
        person: message.sender,
        raw: message.raw,
        cache_key,
        known_chat,
    }))
}

fn echoed(snapshot: &Snapshot, echo: EchoedMessage, now: DateTime<Utc>) -> Step {
    let Some(phone) = snapshot.phone_by_id(&echo.phone_number_id) else {
        warn_unknown(&echo.waba_id);
        return keep("message_echoes", "unknown phone", &echo.raw);
    };
    if echo.recipient.is_anonymous() {
        return keep("message_echoes", "no recipient", &echo.raw);
    }
    Step::Arrival(Box::new(Arrival {
        phone: phone.clone(),
        waba_key: phone.waba_key.clone(),
        direction: Direction::Outbound,
        wamid: clean_wamid(&echo.wamid),
        kind: echo.kind,
        at: echo.timestamp.unwrap_or(now),
        person: echo.recipient,
        raw: echo.raw,
        cache_key: None,
        known_chat: None,
    }))
}

fn warn_unknown(waba: &WabaId) {
    tracing::warn!(waba.id = %waba, "a message for a phone that is not set up here is kept");
}

/// PostgreSQL takes no NUL in text, and a poisoned id must not make Meta repeat a batch for days.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

fn clean_wamid(wamid: &Wamid) -> Wamid {
    Wamid::from(clean(wamid.as_str()))
}

/// Only a person known by both ids or one of them under the same name is looked up in memory; anything new
/// about a person goes through the database.
fn cache_key(phone: &Phone, person: &Person) -> Option<String> {
    let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let wa_id = part(person.wa_id.as_ref().map(|id| id.as_str()));
    let user_id = part(person.user_id.as_ref().map(|id| id.as_str()));
    Some(format!("{}|{wa_id}|{user_id}", phone.key))
}

/// Writes one message with its jobs. `None`: it was known already.
fn arrive(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    media_wait: Duration,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let system = (arrival.kind == "system").then(|| system_change(&arrival.raw)).flatten();
    let chat_id = match &arrival.known_chat {
        Some(chat) if system.is_none() => chat.clone(),
        _ => open_chat(tx, arrival, system.as_ref(), now)?,
    };
    let has_file = matches!(arrival.kind.as_str(), "image" | "video" | "audio" | "document" | "sticker");
    let state = match arrival.direction {
        Direction::Inbound => DeliveryState::Pending,
        Direction::Outbound => DeliveryState::Accepted,
    };
    let message = NewMessage {
        chat_id: &chat_id,
        phone_id: arrival.phone.key.as_str(),
        direction: arrival.direction,
        kind: &arrival.kind,
        wamid: Some(arrival.wamid.as_str()),
        im: None,
        part: 0,
        state,
        body: "",
        payload: &arrival.raw,
        media_state: has_file.then_some("waiting"),
        blob_id: None,
        job_id: None,
    };
    let Some(message_id) = ledger::insert(tx.conn, &message, now)? else {
        return Ok(None);
    };
    if arrival.direction == Direction::Inbound && system.is_none() {
        chats::contact_wrote(tx.conn, &chat_id, arrival.wamid.as_str(), arrival.at.min(now))?;
    }
    let chat = ChatId::from(chat_id.as_str());
    let kind = match arrival.kind.as_str() {
        "edit" => Kind::Update,
        "revoke" => Kind::Delete,
        _ if has_file => Kind::File,
        _ => Kind::Message,
    };
    let relay = Job::Relay { chat_id: chat_id.clone(), late_file: false };
    let mut job = to_line(kind, &arrival.phone.key, &chat, Some(message_id.clone()), &relay);
    if has_file {
        // The line waits a little for the file; the fetch wakes it earlier, see `fetch`.
        job.not_before = Some(now + media_wait);
        jobs::enqueue(tx, &fetch_job(&arrival.phone, &chat_id, &message_id), now)?;
    }
    jobs::enqueue(tx, &job, now)?;
    Ok(Some(chat_id))
}

fn fetch_job(phone: &Phone, chat_id: &str, message_id: &str) -> NewJob {
    NewJob {
        kind: Kind::Fetch.as_str(),
        queue: Class::Media.queue(&phone.key),
        lane: format!("media:{message_id}"),
        dedupe_key: None,
        payload: Job::Fetch { chat_id: chat_id.to_owned() }.to_json(),
        message_id: Some(message_id.to_owned()),
        not_before: None,
    }
}

fn open_chat(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    system: Option<&System>,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let waba = arrival.waba_key.as_str();
    let text = |id: Option<&str>| id.map(clean);
    let previous = system.and_then(|system| system.previous_user_id.as_ref());
    let aliases = Aliases {
        user_id: text(previous.or(arrival.person.user_id.as_ref()).map(|id| id.as_str())),
        wa_id: text(arrival.person.wa_id.as_ref().map(|id| id.as_str())),
    };
    let name = arrival.person.name.as_deref().map(clean);
    let username = arrival.person.username.as_deref().map(clean);
    let contact = contacts::resolve(tx.conn, waba, &aliases, name.as_deref(), username.as_deref(), now)?;
    // A person known by the id of a group of portfolios alone has that as the user id.
    let contact = match contact {
        Some(contact) => contact,
        None => {
            let parent = arrival.person.parent_user_id.as_ref().map(|id| clean(id.as_str()));
            let aliases = Aliases { user_id: parent.or(Some(String::new())), wa_id: None };
            contacts::resolve(tx.conn, waba, &aliases, name.as_deref(), username.as_deref(), now)?
                .ok_or_else(|| StoreError::Corrupt("a contact without any id".into()))?
        }
    };
    if let Some(system) = system {
        // The chat goes on: the new number and the new id lead to the same person from now on.
        for (kind, value) in [
            ("wa_id", system.wa_id.as_ref().map(|id| id.as_str())),
            ("user_id", system.user_id.as_ref().map(|id| id.as_str())),
        ] {
            if let Some(value) = value {
                contacts::add_alias(tx.conn, waba, kind, &clean(value), &contact, now)?;
            }
        }
    }
    chats::open(tx.conn, &contact, arrival.phone.key.as_str(), now)
}

fn system_change(raw: &str) -> Option<System> {
    match WireMessage::parse(raw).ok()?.content {
        Content::System(system) => Some(system),
        _ => None,
    }
}

/// The lane of a chat into its line; public for those who erase a person.
pub fn lanes_of(chat_id: &str) -> [String; 2] {
    let chat = ChatId::from(chat_id);
    [lane_in(&chat), crate::queue::job::lane_out(&chat)]
}
