//! One message that came in or was written elsewhere in our name: into the ledger, with the jobs that it causes.

use chrono::{DateTime, Duration, Utc};

use super::known_chats::{Known, KnownChats};
use super::whose::{cache_key, clean_wamid, open_chat, system_change};
use super::{Relay, changes, held, permission, statuses};
use crate::directory::{Phone, Snapshot};
use crate::domain::stop_words::{self, MarketingWish};
use crate::domain::{ChatId, DeliveryState, Direction, Language, Wamid};
use crate::queue::job::{self, Class, Job, Kind, to_line};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::{self as ledger, NewMessage};
use crate::store::{StoreError, Tx, chats};
use crate::translate::to_line::standby_note;
use crate::whatsapp::message::{Content, WireMessage};
use crate::whatsapp::notification::{EchoedMessage, IncomingMessage, Person};

/// A message or echo with the phone it belongs to.
pub(super) struct Arrival {
    phone: Phone,
    direction: Direction,
    wamid: Wamid,
    kind: String,
    at: DateTime<Utc>,
    person: Person,
    raw: String,
    /// Where the chat is looked up in memory, and what was found there.
    pub(super) cache_key: Option<String>,
    known_chat: Option<Known>,
    /// The line is told in this language that Meta's AI agent holds the conversation.
    standby: Option<Language>,
}

/// Writes one message with its jobs. `None`: it was known already, or its chat was.
pub(super) fn arrive(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    known_chats: &KnownChats,
    media_wait: Duration,
    now: DateTime<Utc>,
) -> Result<Option<Known>, StoreError> {
    if let Some(known) = arrival.known_chat.as_ref().filter(|known| known_chats.is_current(known))
        && arrival.is_plain()
    {
        let message = arrival.new_message(&known.chat_id);
        let wrote_at = arrival.at.min(now);
        let jobs = |message_id: &str| arrival.jobs(known.chat_id.as_str(), None, message_id, media_wait, now);
        tx.arrives_later(&message, wrote_at, jobs, now);
        return Ok(None);
    }
    tx.catch_up()?;
    let system = (arrival.kind == "system").then(|| system_change(&arrival.raw)).flatten();
    if system.is_some() {
        // Ids are about to change hands; what follows in this very notification must see it as well.
        known_chats.forget_all();
    }
    let generation = known_chats.generation();
    let chat_id = match &arrival.known_chat {
        Some(known) if known.generation == generation => known.chat_id.clone(),
        _ => open_chat(tx, &arrival.phone, &arrival.person, system.as_ref(), now)?,
    };
    let Some(message_id) = ledger::insert(tx.conn, &arrival.new_message(&chat_id), now)? else {
        return Ok(None);
    };
    if arrival.direction == Direction::Inbound && system.is_none() {
        chats::contact_wrote(tx.conn, &chat_id, arrival.wamid.as_str(), arrival.at.min(now))?;
        if arrival.kind == "interactive" {
            permission::answered(tx, arrival.phone.key.as_str(), &arrival.person, &arrival.raw, now)?;
        }
        held::release(tx, &arrival.phone.key, &chat_id, now)?;
        note_wish(tx, arrival, &chat_id)?;
    }
    let change = match changes::named(&arrival.kind, &arrival.raw) {
        Some((kind, named)) => {
            let named = clean_wamid(&named);
            let is_known = has_any(tx, arrival, &chat_id, kind, &named)?;
            ledger::set_changes(tx.conn, &message_id, named.as_str())?;
            is_known.then_some(kind)
        }
        None => None,
    };
    if let Some(language) = arrival.standby {
        // Once a day is enough.
        let key = format!("standby:{chat_id}:{}", now.format("%Y-%m-%d"));
        let chat = ChatId::from(chat_id.as_str());
        let note = job::note(&arrival.phone.key, &chat, &key, standby_note(language));
        jobs::enqueue(tx, &note, now)?;
    }
    for job in arrival.jobs(&chat_id, change, &message_id, media_wait, now) {
        jobs::enqueue(tx, &job, now)?;
    }
    Ok(Some(Known { chat_id, generation }))
}

impl Arrival {
    /// What a contact wrote to a phone.
    pub(super) fn of_message(
        relay: &Relay,
        snapshot: &Snapshot,
        phone: &Phone,
        message: IncomingMessage,
        now: DateTime<Utc>,
    ) -> Self {
        let cache_key = cache_key(phone, &message.sender);
        let known_chat = cache_key.as_ref().and_then(|key| relay.known_chats.get(key));
        Self {
            phone: phone.clone(),
            direction: Direction::Inbound,
            wamid: clean_wamid(&message.wamid),
            kind: message.kind,
            at: message.timestamp.unwrap_or(now),
            person: message.sender,
            raw: match message.standby {
                true => WireMessage::mark_standby(&message.raw),
                false => message.raw,
            },
            cache_key,
            known_chat,
            standby: message.standby.then(|| statuses::language_of(snapshot, phone)),
        }
    }

    /// What was written elsewhere in a phone's name.
    pub(super) fn of_echo(phone: &Phone, echo: EchoedMessage, now: DateTime<Utc>) -> Self {
        Self {
            phone: phone.clone(),
            direction: Direction::Outbound,
            wamid: clean_wamid(&echo.wamid),
            kind: echo.kind,
            at: echo.timestamp.unwrap_or(now),
            person: echo.recipient,
            raw: match echo.standby {
                true => WireMessage::mark_standby(&echo.raw),
                false => echo.raw,
            },
            cache_key: None,
            known_chat: None,
            standby: None,
        }
    }

    /// Whether nothing but the message, its jobs and its chat's window has to be written once the chat is known:
    /// a chat in memory has nothing held, see [`KnownChats`].
    fn is_plain(&self) -> bool {
        let changes_something = matches!(self.kind.as_str(), "system" | "edit" | "revoke" | "interactive");
        self.direction == Direction::Inbound
            && self.standby.is_none()
            && !changes_something
            && !self.may_be_a_wish()
    }

    fn may_be_a_wish(&self) -> bool {
        !self.phone.row.stop_words.is_empty() && matches!(self.kind.as_str(), "text" | "button")
    }

    fn has_file(&self) -> bool {
        matches!(self.kind.as_str(), "image" | "video" | "audio" | "document" | "sticker")
    }

    fn new_message<'a>(&'a self, chat_id: &'a str) -> NewMessage<'a> {
        NewMessage {
            chat_id,
            phone_id: self.phone.key.as_str(),
            direction: self.direction,
            kind: &self.kind,
            wamid: Some(self.wamid.as_str()),
            im: None,
            part: 0,
            state: match self.direction {
                Direction::Inbound => DeliveryState::Pending,
                Direction::Outbound => DeliveryState::Accepted,
            },
            body: "",
            payload: &self.raw,
            media_state: self.has_file().then_some("waiting"),
            blob_id: None,
            job_id: None,
        }
    }

    /// What is to be done about it. `change`: it changes a message that the line has.
    fn jobs(
        &self,
        chat_id: &str,
        change: Option<Kind>,
        message_id: &str,
        media_wait: Duration,
        now: DateTime<Utc>,
    ) -> Vec<NewJob> {
        let has_file = self.has_file();
        let kind = change.unwrap_or(if has_file { Kind::File } else { Kind::Message });
        let relay = Job::Relay { chat_id: chat_id.to_owned(), late_file: false, as_link: false };
        let chat = ChatId::from(chat_id);
        let mut job = to_line(kind, &self.phone.key, &chat, Some(message_id.to_owned()), &relay);
        if !has_file {
            return vec![job];
        }
        // The line waits a little for the file; the fetch wakes it earlier, see `fetch`.
        job.not_before = Some(now + media_wait);
        vec![fetch_job(&self.phone, chat_id, message_id), job]
    }
}

/// A word like STOP ends marketing messages to its writer, where the phone's setting says so.
fn note_wish(tx: &mut Tx<'_>, arrival: &Arrival, chat_id: &str) -> Result<(), StoreError> {
    if !arrival.may_be_a_wish() {
        return Ok(());
    }
    let text = match WireMessage::parse(&arrival.raw).map(|wire| wire.content) {
        Ok(Content::Text { body, .. }) => body,
        Ok(Content::Button { text: Some(text), .. }) => text,
        _ => return Ok(()),
    };
    let Some(wish) = stop_words::wish(&text, &arrival.phone.row.stop_words) else { return Ok(()) };
    let Some(chat) = chats::get(tx.conn, chat_id)? else { return Ok(()) };
    chats::set_marketing_stopped(tx.conn, &chat.contact_id, wish == MarketingWish::Stop)
}

/// Whether an edit or revocation is of a message that the line has: what it has not can be neither changed nor
/// deleted there, though the portal would answer that it was; then the line gets a message. An edit that came alone
/// can be deleted with what it changes.
fn has_any(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    chat_id: &str,
    change: Kind,
    named: &Wamid,
) -> Result<bool, StoreError> {
    let phone = arrival.phone.key.as_str();
    if let Some(original) = ledger::by_wamid(tx.conn, phone, named.as_str())? {
        return Ok(original.chat_id == chat_id);
    }
    let edits = ledger::changes_of(tx.conn, phone, &[named.to_string()])?;
    Ok(change == Kind::Delete && edits.iter().any(|(_, edit)| edit.kind == "edit" && edit.chat_id == chat_id))
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
