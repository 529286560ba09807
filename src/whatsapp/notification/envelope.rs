//! The way from a body to its elements: `entry[] × changes[] × (messages[], statuses[], …)`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{self, Scope};
use super::lenient::{Text, elements, object, read};
use super::person::Contacts;
use super::updates;
use super::{NotificationError, UnreadableUpdate, Update};
use crate::domain::{PhoneNumberId, WabaId};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
    #[serde(borrow)]
    field: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    changes: Option<&'a RawValue>,
    #[serde(borrow)]
    field: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Change<'a> {
    #[serde(borrow)]
    field: Text<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// What a value of the messages kind may hold; `standby` may wrap the same once more (§1.11).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Value<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    contacts: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    statuses: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
    #[serde(borrow)]
    message_echoes: Option<&'a RawValue>,
    #[serde(borrow)]
    standby: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    display_phone_number: Text<'a>,
    #[serde(borrow)]
    phone_number_id: Text<'a>,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Update>, NotificationError> {
    // Meta writes ASCII. Should a byte be broken after all, its message is shown with a mark in that place.
    let text = String::from_utf8_lossy(body);
    let whole: &RawValue = serde_json::from_str(&text).map_err(NotificationError::Json)?;
    let envelope: Envelope = read(whole).ok_or(NotificationError::NoEntries)?;
    if envelope.entry.is_none() {
        return Err(NotificationError::NoEntries);
    }
    let mut updates = Vec::new();
    for raw in elements(envelope.entry) {
        match read::<Entry>(raw) {
            Some(entry) => entry_updates(&entry, &envelope.field, raw, &mut updates),
            None => updates.push(unreadable(Scope::default(), None, "an entry is not an object", raw)),
        }
    }
    Ok(updates)
}

fn entry_updates<'a>(entry: &Entry<'a>, outer: &Text<'a>, raw: &'a RawValue, updates: &mut Vec<Update>) {
    let waba_id: Option<WabaId> = entry.id.id();
    let scope = Scope { waba_id: waba_id.as_ref(), phone_number_id: None };
    if entry.changes.is_none() {
        updates.push(unreadable(scope, None, "an entry has no changes", raw));
    }
    for raw in elements(entry.changes) {
        let Some(change) = read::<Change>(raw) else {
            updates.push(unreadable(scope, None, "a change is not an object", raw));
            continue;
        };
        // One sample of Meta's has `field` beside its usual place (§1.6).
        let field = [&change.field, &entry.field, outer].into_iter().find_map(Text::as_str);
        match change.value {
            Some(value) => value_updates(scope, field, value, updates),
            None => updates.push(unreadable(scope, field, "a change has no value", raw)),
        }
    }
}

fn value_updates(scope: Scope, field: Option<&str>, raw: &RawValue, updates: &mut Vec<Update>) {
    let Some(value) = read::<Value>(raw) else {
        updates.push(unreadable(scope, field, "a value is not an object", raw));
        return;
    };
    let metadata: Metadata = object(value.metadata);
    let phone_number_id: Option<PhoneNumberId> = metadata.phone_number_id.id();
    let scope = Scope { phone_number_id: phone_number_id.as_ref(), ..scope };
    let as_messages = match field {
        Some("messages" | "standby" | "smb_message_echoes") => true,
        Some(_) => false,
        None => value.messages.is_some() || value.statuses.is_some() || value.message_echoes.is_some(),
    };
    if !as_messages {
        updates.push(Update::Field(fields::read(scope, field.unwrap_or("unknown"), raw)));
        return;
    }
    let before = updates.len();
    let standby = field == Some("standby");
    let place = updates::Place {
        waba_id: scope.waba_id.cloned(),
        phone_number_id: phone_number_id.clone(),
        display_phone_number: metadata.display_phone_number.owned(),
        field: field.unwrap_or("messages"),
        standby,
    };
    message_updates(&place, &value, updates);
    for raw in elements(value.standby) {
        let Some(nested) = read::<Value>(raw) else {
            updates.push(unreadable(scope, field, "standby holds no object", raw));
            continue;
        };
        let metadata: Metadata = object(nested.metadata);
        let own_phone = metadata.phone_number_id.id::<PhoneNumberId>();
        let place = updates::Place {
            display_phone_number: match own_phone {
                Some(_) => metadata.display_phone_number.owned(),
                None => place.display_phone_number.clone(),
            },
            phone_number_id: own_phone.or_else(|| phone_number_id.clone()),
            standby: true,
            ..place.clone()
        };
        let nested = Value { contacts: nested.contacts.or(value.contacts), ..nested };
        message_updates(&place, &nested, updates);
    }
    // A value with none of the known lists is kept rather than passed over.
    if updates.len() == before {
        updates.push(Update::Field(fields::other(scope, place.field, raw)));
    }
}

fn message_updates(place: &updates::Place, value: &Value, updates: &mut Vec<Update>) {
    let messages = elements(value.messages);
    let echoes = elements(value.message_echoes);
    let statuses = elements(value.statuses);
    let mut contacts = Contacts::read(value.contacts);
    contacts.alone_with(messages.len() + echoes.len() + statuses.len());
    updates.extend(messages.into_iter().map(|raw| updates::message(place, &contacts, raw)));
    updates.extend(echoes.into_iter().map(|raw| updates::echo(place, &contacts, raw)));
    updates.extend(statuses.into_iter().map(|raw| updates::status(place, &contacts, raw)));
    updates.extend(updates::account_error(place, value.errors));
}

fn unreadable(scope: Scope, field: Option<&str>, reason: &'static str, raw: &RawValue) -> Update {
    Update::Unreadable(UnreadableUpdate {
        waba_id: scope.waba_id.cloned(),
        phone_number_id: scope.phone_number_id.cloned(),
        field: field.map(str::to_owned),
        reason,
        raw: raw.get().to_owned(),
    })
}
