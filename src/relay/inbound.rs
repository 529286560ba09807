//! Takes in what Meta posts: committed with the jobs that it causes, in one write, then answered.
//!
//! Who makes what: `arrival` writes the message (unique by phone and wamid, so a repeat is a no-op), its job
//! into the line and, for a file, the job that fetches it. [`super::courier`] relays, [`super::fetch`]
//! fetches. Statuses are applied at once ([`super::statuses`]), fields in [`super::fields`].

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::arrival::{Arrival, arrive};
use super::known_chats::Known;
use super::{Relay, fields, statuses};
use crate::directory::{App, Phone, Snapshot};
use crate::domain::{ChatId, PhoneNumberId, WabaKey};
use crate::queue::job::{Job, Kind, to_line};
use crate::store::events::{self, Origin};
use crate::store::jobs;
use crate::store::statuses as echoes;
use crate::store::{StoreError, Tx, chats};
use crate::whatsapp::notification::{EchoedMessage, FieldUpdate, IncomingMessage};
use crate::whatsapp::{Notification, Update};

enum Step {
    Arrival(Box<Arrival>),
    Status(Box<statuses::Reported>),
    Field(fields::Change),
    Keep { field: String, reason: &'static str, payload: String },
}

/// Stores a notification whose signature was verified against one of `app`'s secrets. Gives whether it said anything.
///
/// # Errors
/// [`StoreError::Busy`] or another failure of the database: nothing is stored and Meta will repeat it.
pub async fn receive(relay: &Relay, app: &App, body: &[u8]) -> Result<bool, StoreError> {
    let now = relay.clock.now();
    let snapshot = relay.directory.now();
    let mut steps: Vec<Step> = match Notification::parse(body) {
        Ok(notification) => {
            notification.updates.into_iter().map(|update| plan(relay, &snapshot, app, update, now)).collect()
        }
        Err(error) => {
            tracing::warn!(app.id = %app.id, error = %error, "a signed notification cannot be read; it is kept");
            vec![keep("unreadable", "unreadable", String::from_utf8_lossy(body).into_owned())]
        }
    };
    if app.save_events {
        steps.push(keep("notification", SAVED, String::from_utf8_lossy(body).into_owned()));
    }
    count(relay, &steps);
    tell_kept(app, &steps);
    let about_templates =
        steps.iter().any(|step| matches!(step, Step::Field(change) if change.is_about_templates()));
    let steps = Arc::new(steps);
    let mut outcome = store(relay, app, &steps, now).await;
    if outcome.as_ref().is_err_and(chats::is_gone) {
        // Somebody was erased by another process, which could not tell us.
        relay.known_chats.forget_all();
        outcome = store(relay, app, &steps, now).await;
    }
    let stored = outcome?;
    for (key, known) in stored.opened {
        relay.known_chats.put(key, known);
    }
    for (lane, job) in stored.proven {
        relay.scheduler.wake(&lane, &job);
    }
    if about_templates {
        relay.template_wishes.notify_one();
    }
    if stored.reconfigured {
        relay.directory.reload().await?;
    }
    Ok(!steps.is_empty())
}

/// What was written, and what is to be done when it is on disk.
#[derive(Default)]
struct Stored {
    /// Whether the directory must be read again.
    reconfigured: bool,
    /// Chats by their keys in memory.
    opened: Vec<(String, Known)>,
    /// Lanes and jobs of sends that were in doubt and are proven.
    proven: Vec<(String, String)>,
}

async fn store(
    relay: &Relay,
    app: &App,
    steps: &Arc<Vec<Step>>,
    now: DateTime<Utc>,
) -> Result<Stored, StoreError> {
    let (steps, app_id) = (steps.clone(), app.id.to_string());
    let apps = siblings(&relay.directory.now(), app);
    let (known_chats, media_wait) = (relay.known_chats.clone(), relay.settings.media_wait);
    let write = move |tx: &mut Tx<'_>| {
        let mut stored = Stored::default();
        for step in steps.iter() {
            if !matches!(step, Step::Arrival(_)) {
                tx.catch_up()?;
            }
            match step {
                Step::Arrival(arrival) => {
                    let known = arrive(tx, arrival, &known_chats, media_wait, now)?;
                    stored.opened.extend(arrival.cache_key.clone().zip(known));
                }
                Step::Status(status) => stored.proven.extend(statuses::apply(tx, status, now)?),
                Step::Field(change) => {
                    stored.reconfigured |= fields::apply(tx, &apps, change, now)?;
                    let origin = Origin::App(&app_id);
                    events::keep(tx.conn, origin, change.field(), "field", change.raw(), now)?;
                }
                Step::Keep { field, reason, payload } => {
                    events::keep(tx.conn, Origin::App(&app_id), field, reason, payload, now)?;
                }
            }
        }
        Ok(stored)
    };
    relay.db.take_in(write).await
}

fn keep(field: &str, reason: &'static str, payload: String) -> Step {
    Step::Keep { field: field.to_owned(), reason, payload }
}

/// Keeps an element whose phone cannot be used, with the phone that it is for.
fn keep_unknown(list: &'static str, reason: &'static str, phone: &PhoneNumberId, raw: &str) -> Step {
    let id = serde_json::Value::from(phone.as_str());
    keep(list, reason, format!("{{\"metadata\":{{\"phone_number_id\":{id}}},\"{list}\":[{raw}]}}"))
}

/// The app keeps all that comes.
const SAVED: &str = "saved by wish";
const UNKNOWN_PHONE: &str = "unknown phone";
const FOREIGN_PHONE: &str = "phone of another app";

/// Our ids of the Meta app that signed: one Meta app may be set up for several sites.
fn siblings(snapshot: &Snapshot, app: &App) -> Vec<String> {
    let same = snapshot.apps.iter().filter(|other| other.id == app.id || other.client_id == app.client_id);
    same.map(|app| app.id.to_string()).collect()
}

/// Whether the app that signed may speak of this WABA: whoever knows the secret of one app is nobody to others.
fn is_of(snapshot: &Snapshot, app: &App, waba: &WabaKey) -> bool {
    snapshot.waba(waba).is_some_and(|waba| {
        let owner = snapshot.app(&waba.app_id);
        waba.app_id == app.id || owner.is_some_and(|owner| owner.client_id == app.client_id)
    })
}

/// The phone that an update is for, if the app that signed may speak of it; else why not.
fn phone_of<'a>(snapshot: &'a Snapshot, app: &App, id: &PhoneNumberId) -> Result<&'a Phone, &'static str> {
    let phone = snapshot.phone_by_id(id).ok_or(UNKNOWN_PHONE)?;
    if is_of(snapshot, app, &phone.waba_key) { Ok(phone) } else { Err(FOREIGN_PHONE) }
}

/// Whether a field speaks of a WABA or phone of another app.
fn is_foreign(snapshot: &Snapshot, app: &App, field: &FieldUpdate) -> bool {
    let waba = field.waba_id.as_ref().and_then(|id| snapshot.waba_by_id(id)).map(|waba| &waba.key);
    let phone = field.phone_number_id.as_ref().and_then(|id| snapshot.phone_by_id(id));
    [waba, phone.map(|phone| &phone.waba_key)].into_iter().flatten().any(|waba| !is_of(snapshot, app, waba))
}

fn count(relay: &Relay, steps: &[Step]) {
    let mut counts = [("message", 0), ("status", 0), ("field", 0), ("unknown_phone", 0), ("kept", 0)];
    for step in steps {
        let kind = match step {
            Step::Arrival(_) => 0,
            Step::Status(_) => 1,
            Step::Field(_) => 2,
            Step::Keep { reason, .. } if *reason == UNKNOWN_PHONE => 3,
            Step::Keep { .. } => 4,
        };
        if let Some((_, count)) = counts.get_mut(kind) {
            *count += 1;
        }
    }
    for (kind, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        relay.metrics.updates(kind, count);
    }
}

/// One line a reason: a single notification may hold very many elements.
fn tell_kept(app: &App, steps: &[Step]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Keep { reason, .. } if *reason != SAVED => *counts.entry(reason).or_default() += 1,
            _ => {}
        }
    }
    for (reason, count) in counts {
        tracing::warn!(app.id = %app.id, reason, count, "elements of a notification are kept and not relayed");
    }
}

fn plan(relay: &Relay, snapshot: &Snapshot, app: &App, update: Update, now: DateTime<Utc>) -> Step {
    match update {
        Update::Message(message) => arrival(relay, snapshot, app, message, now),
        Update::Echo(echo) => echoed(snapshot, app, echo, now),
        Update::Status(status) => match phone_of(snapshot, app, &status.phone_number_id) {
            Ok(phone) => Step::Status(Box::new(statuses::Reported::new(snapshot, phone, status, now))),
            Err(reason) => keep_unknown("statuses", reason, &status.phone_number_id, &status.raw),
        },
        Update::Error(error) => {
            let codes: Vec<i64> = error.errors.iter().map(|error| error.code).collect();
            tracing::warn!(waba.id = %error.waba_id, ?codes, "Meta reports an error of the account");
            keep("errors", "account error", error.raw)
        }
        Update::Field(field) if is_foreign(snapshot, app, &field) => {
            keep(&field.field, FOREIGN_PHONE, field.raw)
        }
        Update::Field(field) => Step::Field(fields::Change::new(field)),
        Update::Unreadable(unreadable) => {
            keep(unreadable.field.as_deref().unwrap_or("messages"), "unreadable", unreadable.raw)
        }
    }
}

fn arrival(
    relay: &Relay,
    snapshot: &Snapshot,
    app: &App,
    message: IncomingMessage,
    now: DateTime<Utc>,
) -> Step {
    let phone = match phone_of(snapshot, app, &message.phone_number_id) {
        Ok(phone) => phone,
        Err(reason) => return keep_unknown("messages", reason, &message.phone_number_id, &message.raw),
    };
    if message.sender.is_anonymous() {
        return keep("messages", "no sender", message.raw);
    }
    Step::Arrival(Box::new(Arrival::of_message(relay, snapshot, phone, message, now)))
}

fn echoed(snapshot: &Snapshot, app: &App, echo: EchoedMessage, now: DateTime<Utc>) -> Step {
    let phone = match phone_of(snapshot, app, &echo.phone_number_id) {
        Ok(phone) => phone,
        Err(reason) => return keep_unknown("message_echoes", reason, &echo.phone_number_id, &echo.raw),
    };
    if echo.recipient.is_anonymous() {
        return keep("message_echoes", "no recipient", echo.raw);
    }
    Step::Arrival(Box::new(Arrival::of_echo(phone, echo, now)))
}

/// The portal sent back what was posted on behalf of its user: the spinner that it shows at such a message ends,
/// since WhatsApp has that message from elsewhere.
pub(super) fn echo_came_back(
    tx: &mut Tx<'_>,
    phone: &Phone,
    chat_id: &ChatId,
    portal_id: &str,
    im: (&str, &str),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (im_chat_id, im_message_id) = im;
    echoes::came_back(tx.conn, chat_id.as_str(), portal_id, im_chat_id, im_message_id)?;
    let acknowledge = Job::Acknowledge {
        chat_id: chat_id.to_string(),
        portal_id: portal_id.to_owned(),
        im_chat_id: im_chat_id.to_owned(),
        im_message_id: im_message_id.to_owned(),
    };
    let mut job = to_line(Kind::Acknowledge, &phone.key, chat_id, None, &acknowledge);
    job.dedupe_key = Some(format!("acknowledge:{portal_id}:{im_message_id}"));
    jobs::enqueue(tx, &job, now).map(drop)
}
