//! Whose chat a message belongs to: people are known by a number, by a user id, or by both, and each may come
//! later or change.

use chrono::{DateTime, Duration, Utc};

use crate::directory::Phone;
use crate::domain::Wamid;
use crate::store::contacts::{self, Aliases};
use crate::store::{StoreError, Tx, chats};
use crate::translate::crm_number;
use crate::whatsapp::message::{Content, System, WireMessage};
use crate::whatsapp::notification::{LONGEST_ID, Person};

/// Under which key a chat is known in memory: a person is looked up there by exactly the ids that were there before; anything new about a person goes
/// through the database.
pub(super) fn cache_key(phone: &Phone, person: &Person) -> Option<String> {
    if person.wa_id.is_none() && person.user_id.is_none() {
        return None;
    }
    let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let wa_id = part(person.wa_id.as_ref().map(|id| id.as_str()));
    let user_id = part(person.user_id.as_ref().map(|id| id.as_str()));
    Some(format!("{}|{wa_id}|{user_id}", phone.key))
}

/// The chat of a message, made at first contact. `system`: what the message says has changed about the person.
pub(super) fn open_chat(
    tx: &mut Tx<'_>,
    phone: &Phone,
    person: &Person,
    system: Option<&System>,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let waba = phone.waba_key.as_str();
    let previous = system
        .and_then(|system| system.previous_user_id.as_ref())
        .filter(|id| id.as_str().len() <= LONGEST_ID);
    let (user_id, parent) = (person.user_id.as_ref(), person.parent_user_id.as_ref());
    // Whom Meta says to have another id now is found by the one of before.
    let aliases = Aliases {
        user_id: previous.or(user_id).map(|id| clean(id.as_str())),
        wa_id: person.wa_id.as_ref().map(|id| clean(id.as_str())),
        others: [user_id.filter(|_| previous.is_some()), parent]
            .into_iter()
            .flatten()
            .map(|id| clean(id.as_str()))
            .collect(),
    };
    let name = person.name.as_deref().map(clean);
    let username = person.username.as_deref().map(clean);
    let contact = contacts::resolve(tx.conn, waba, &aliases, name.as_deref(), username.as_deref(), now)?
        .ok_or_else(|| StoreError::Corrupt("a contact without any id".into()))?;
    if let Some(system) = system {
        // The chat goes on: the new number and the new id lead to the same person from now on, and are newer
        // than all that were attached above.
        let now = now + Duration::microseconds(1);
        for (kind, value) in [
            ("wa_id", system.wa_id.as_ref().map(|id| id.as_str())),
            ("user_id", system.user_id.as_ref().map(|id| id.as_str())),
        ] {
            if let Some(value) = value.filter(|value| value.len() <= LONGEST_ID) {
                contacts::take_over(tx.conn, waba, kind, &clean(value), &contact, now)?;
            }
        }
    }
    chats::open(tx.conn, &contact, phone.key.as_str(), now)
}

/// The chat of somebody whose number the CRM gave, made if nobody is known by it. WhatsApp may know the number
/// in another spelling (whatsapp-messaging facts §8.2).
pub(super) fn chat_of_number(
    tx: &mut Tx<'_>,
    phone: &Phone,
    number: &str,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    chat_of_number_named(tx, phone, number, None, now)
}

/// The same for a chat that the portal knows by a name from before us.
pub(super) fn chat_of_number_named(
    tx: &mut Tx<'_>,
    phone: &Phone,
    number: &str,
    name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let waba = phone.waba_key.as_str();
    let spellings = crm_number::spellings(number);
    let others = spellings.iter().map(|spelling| ("wa_id", spelling.as_str()));
    let mut known = None;
    for (kind, value) in [("wa_id", number), ("phone", number)].into_iter().chain(others) {
        if known.is_none() {
            known = contacts::by_alias(tx.conn, waba, kind, value)?;
        }
    }
    let contact = match known {
        Some(contact) => {
            contacts::add_alias(tx.conn, waba, "phone", number, &contact, now)?;
            contact
        }
        None => {
            let aliases = Aliases { wa_id: Some(number.to_owned()), ..Aliases::default() };
            contacts::resolve(tx.conn, waba, &aliases, None, None, now)?
                .ok_or_else(|| StoreError::Corrupt("a contact without any id".into()))?
        }
    };
    chats::open_as(tx.conn, &contact, phone.key.as_str(), name, now)
}

/// What a system message says has changed.
pub(super) fn system_change(raw: &str) -> Option<System> {
    match WireMessage::parse(raw).ok()?.content {
        Content::System(system) => Some(system),
        _ => None,
    }
}

/// PostgreSQL takes no NUL in text, and a poisoned id must not make Meta repeat a batch for days.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

pub(super) fn clean_wamid(wamid: &Wamid) -> Wamid {
    Wamid::from(clean(wamid.as_str()))
}
