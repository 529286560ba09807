//! Takes in what operators write: committed with the jobs that it causes, in one write, then answered.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::whose::chat_of_number_named;
use super::{Relay, inbound, statuses};
use crate::bitrix::event::{EventBody, OperatorMessage, PortalEvent};
use crate::directory::{Phone, Portal, Snapshot};
use crate::domain::{ChatId, LineId, PhoneNumber};
use crate::queue::job::{self, Class, Job, Kind, OperatorFile, OperatorItem, lane_out};
use crate::store::chats::{self, ChatRow};
use crate::store::events::{self, Origin};
use crate::store::jobs::{self, NewJob};
use crate::store::{StoreError, Tx};
use crate::translate::markup;
use crate::translate::notes::{self, Note};
use crate::translate::to_whatsapp::{OperatorOptions, operator_text};

/// What became of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Messages that will be sent.
    pub taken: usize,
    /// Messages that were known already.
    pub repeated: usize,
    /// Messages that are not for the contact: automatic ones, our own echoes.
    pub left_out: usize,
    /// Messages that could not be placed; the event is kept.
    pub kept: usize,
}

/// One message of the event.
struct Placed {
    /// The phone that feeds the line now.
    bound: Option<Phone>,
    /// `portal:line` of the event, as chats name it.
    line_key: String,
    item: OperatorMessage,
}

impl Placed {
    /// The phone that a chat's message goes out by. A chat stays with the phone that it came by: what an
    /// operator writes in a line that was unlinked, or feeds from another phone by now, still reaches the
    /// person, if it was in this very line that the portal was given the chat.
    fn phone_of(&self, chat: &ChatRow, snapshot: &Snapshot) -> Option<Phone> {
        if let Some(bound) = self.bound.as_ref().filter(|bound| bound.key.as_str() == chat.phone_id) {
            return Some(bound.clone());
        }
        let same_line = chat.portal_line.as_deref() == Some(self.line_key.as_str());
        snapshot.phone(&chat.phone_id.as_str().into()).filter(|_| same_line).cloned()
    }
}

/// A note about a message that was changed.
struct Told {
    phone: Phone,
    chat: ChatId,
    key: String,
    text: String,
}

enum Step {
    Send(Box<Placed>),
    Note(Box<Told>),
    Lost { reason: &'static str },
}

/// Stores an event whose portal and application token were verified. Only events about messages have an
/// effect here.
///
/// # Errors
/// A failure of the database: nothing is stored, and the portal will not repeat the event.
pub async fn receive(relay: &Relay, portal: &Portal, event: &PortalEvent) -> Result<Receipt, StoreError> {
    let now = relay.clock.now();
    let snapshot = relay.directory.now();
    let steps = plan(&relay.settings.connector, &snapshot, portal, event);
    if steps.is_empty() {
        return Ok(Receipt::default());
    }
    let (portal_id, name) = (portal.id.to_string(), event.name.clone());
    let kept_body = steps.iter().any(|step| matches!(step, Step::Lost { .. })).then(|| kept(event));
    relay
        .db
        .write(move |tx| {
            let mut receipt = Receipt::default();
            for step in &steps {
                match step {
                    Step::Send(placed) => take(tx, &snapshot, &portal_id, placed, now, &mut receipt)?,
                    Step::Note(told) => {
                        let Told { phone, chat, key, text } = told.as_ref();
                        let known = chat_named(tx, Some(phone), chat)?;
                        let known = known.filter(|known| known.phone_id == phone.key.as_str());
                        let Some(known) = known else {
                            tracing::warn!(chat.id = %chat, "an operator changed a message in a chat that is not known here");
                            receipt.kept += 1;
                            continue;
                        };
                        let chat = ChatId::from(known.id.as_str());
                        jobs::enqueue(tx, &job::note(&phone.key, &chat, key, text.clone()), now)?;
                        receipt.taken += 1;
                    }
                    Step::Lost { reason } => {
                        tracing::warn!(
                            event = name,
                            reason,
                            "an operator's message cannot be placed; the event is kept"
                        );
                        let body = kept_body.as_deref().unwrap_or_default();
                        events::keep(tx.conn, Origin::Portal(&portal_id), &name, reason, body, now)?;
                        receipt.kept += 1;
                    }
                }
            }
            Ok(receipt)
        })
        .await
}

/// What is kept of an event that cannot be placed: its messages without the links of their files, which open
/// without a login.
fn kept(event: &PortalEvent) -> String {
    let messages: Vec<serde_json::Value> = match &event.body {
        EventBody::MessageAdd { items, .. } => items
            .iter()
            .map(|item| {
                let files: Vec<&str> = item.files.iter().map(|file| file.name.as_str()).collect();
                serde_json::json!({
                    "im": {"chat_id": item.im_chat_id, "message_id": item.im_message_id},
                    "chat": {"id": item.chat_id}, "text": item.text, "files": files,
                })
            })
            .collect(),
        _ => Vec::new(),
    };
    serde_json::json!({"event": event.name, "messages": messages}).to_string()
}

fn plan(connector: &str, snapshot: &Snapshot, portal: &Portal, event: &PortalEvent) -> Vec<Step> {
    let ours = |named: &str| match named.eq_ignore_ascii_case(connector) {
        true => Ok(()),
        false => Err("another connector"),
    };
    let phone_of = |named: &str, line: &LineId| -> Result<Phone, &'static str> {
        ours(named)?;
        let binding = snapshot.binding_of_line(&portal.id, line).ok_or("no phone on this line")?;
        snapshot.phone(&binding.phone).cloned().ok_or("no phone on this line")
    };
    let note = |phone: Result<Phone, &'static str>, chat: &ChatId, key: String, note: &Note| match phone {
        Ok(phone) => {
            let text = notes::text(note, statuses::language_of(snapshot, &phone));
            Step::Note(Box::new(Told { phone, chat: chat.clone(), key, text }))
        }
        Err(reason) => Step::Lost { reason },
    };
    match &event.body {
        EventBody::MessageAdd { connector, line, items, unreadable } => {
            let unreadable = (0..*unreadable).map(|_| Step::Lost { reason: "unreadable item" });
            let placed = items.iter().map(|item| match ours(connector) {
                Ok(()) => Step::Send(Box::new(Placed {
                    bound: phone_of(connector, line).ok(),
                    line_key: format!("{}:{line}", portal.id),
                    item: item.clone(),
                })),
                Err(reason) => Step::Lost { reason },
            });
            placed.chain(unreadable).collect()
        }
        EventBody::MessageUpdate { connector, line, items, .. } => items
            .iter()
            .map(|item| {
                let key = format!("edit:{}:{}:{}", portal.id, item.im_message_id, text_hash(&item.text));
                note(phone_of(connector, line), &item.chat_id, key, &Note::EditNotPossible)
            })
            .collect(),
        EventBody::MessageDelete { connector, line, items, .. } => items
            .iter()
            .map(|item| {
                let key = format!("delete:{}:{}", portal.id, item.im_message_id);
                note(phone_of(connector, line), &item.chat_id, key, &Note::DeleteNotPossible)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn take(
    tx: &mut Tx<'_>,
    snapshot: &Snapshot,
    portal_id: &str,
    placed: &Placed,
    now: DateTime<Utc>,
    receipt: &mut Receipt,
) -> Result<(), StoreError> {
    let item = &placed.item;
    let mut known = chat_named(tx, placed.bound.as_ref(), &item.chat_id)?;
    if let (None, Some(phone)) = (&known, &placed.bound) {
        known = chat_from_before(tx, phone, &item.chat_id, now)?;
    }
    let found = known.and_then(|chat| placed.phone_of(&chat, snapshot).map(|phone| (chat, phone)));
    let Some((chat, phone)) = found else {
        tracing::warn!(chat.id = %item.chat_id, "an operator wrote in a chat that is not known here");
        let body = format!("message {} of chat {}", item.im_message_id, item.chat_id);
        events::keep(
            tx.conn,
            Origin::Portal(portal_id),
            "ONIMCONNECTORMESSAGEADD",
            "unknown chat",
            &body,
            now,
        )?;
        receipt.kept += 1;
        return Ok(());
    };
    if item.is_automatic() && phone.row.system_messages == "drop" {
        receipt.left_out += 1;
        return Ok(());
    }
    if !item.is_automatic() && events::swallow_echo(tx.conn, &chat.id, &text_hash(&item.text))? {
        let im = (item.im_chat_id.as_str(), item.im_message_id.as_str());
        inbound::echo_came_back(tx, &phone, &ChatId::from(chat.id.as_str()), portal_id, im, now)?;
        receipt.left_out += 1;
        return Ok(());
    }
    let chat_id = ChatId::from(chat.id.as_str());
    let payload = Job::Send { chat_id: chat.id, item: stored_item(portal_id, item) };
    let job = NewJob {
        kind: Kind::Send.as_str(),
        queue: Class::Send.queue(&phone.key),
        lane: lane_out(&chat_id),
        dedupe_key: Some(format!("operator:{portal_id}:{}", item.im_message_id)),
        payload: payload.to_json(),
        message_id: None,
        not_before: None,
    };
    match jobs::enqueue(tx, &job, now)? {
        Some(_) => receipt.taken += 1,
        None => receipt.repeated += 1,
    }
    tracing::debug!(chat.id = %chat_id, "an operator's message is stored");
    Ok(())
}

/// The chat that the portal names so: by our id, or as the product before us named it.
fn chat_named(tx: &mut Tx<'_>, bound: Option<&Phone>, name: &ChatId) -> Result<Option<ChatRow>, StoreError> {
    if let Some(chat) = chats::get(tx.conn, name.as_str())? {
        return Ok(Some(chat));
    }
    match bound {
        Some(phone) => chats::by_name(tx.conn, phone.key.as_str(), name.as_str()),
        None => Ok(None),
    }
}

/// A chat of the product before us in which an operator writes before its contact did: its name is `+` and the
/// number.
fn chat_from_before(
    tx: &mut Tx<'_>,
    phone: &Phone,
    name: &ChatId,
    now: DateTime<Utc>,
) -> Result<Option<ChatRow>, StoreError> {
    let number = name.as_str().strip_prefix('+').filter(|_| phone.row.chat_names == "number");
    let Some(Ok(number)) = number.map(PhoneNumber::parse) else { return Ok(None) };
    let id = chat_of_number_named(tx, phone, number.digits(), Some(name.as_str()), now)?;
    chats::get(tx.conn, &id)
}

fn stored_item(portal_id: &str, item: &OperatorMessage) -> OperatorItem {
    // PostgreSQL takes no NUL in text.
    let clean = |text: &str| text.replace('\0', "\u{2400}");
    let file = |file: &crate::bitrix::event::OperatorFile| OperatorFile {
        name: clean(&file.name),
        kind: format!("{:?}", file.kind).to_lowercase(),
        mime: clean(&file.mime),
        links: [&file.download_link, &file.link]
            .into_iter()
            .flatten()
            .map(|link| link.split('#').next().unwrap_or_default().to_owned())
            .filter(|link| !link.is_empty())
            .collect(),
        size: file.size,
        here: None,
    };
    OperatorItem {
        portal_id: portal_id.to_owned(),
        im_chat_id: item.im_chat_id.clone(),
        im_message_id: item.im_message_id.to_string(),
        text: clean(&item.text),
        first_part: 0,
        files: item.files.iter().map(file).collect(),
    }
}

/// What a text is recognised by when the portal sends it back: without signature, markup and outer space.
pub(super) fn text_hash(text: &str) -> String {
    let options = OperatorOptions { strip_signature: true, portal_host: "", has_files: true };
    let bare = operator_text(text, &options).body_with_quote;
    hex::encode(Sha256::digest(markup::plain_key(&bare).as_bytes()))
}
