//! From one element to its update: only the head is read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{self, Scope};
use super::lenient::{Text, elements, object, read, tidy};
use super::person::{Contacts, Person};
use super::{
    AccountError, EchoedMessage, ErrorBody, IncomingMessage, StatusUpdate, UnreadableUpdate, Update,
};
use crate::domain::{DeliveryState, PhoneNumberId, WabaId, Wamid};

/// Longest id that is taken, in bytes. Real ones have less than 150; an index of PostgreSQL takes 2,700, and a
/// webhook that can never be stored would come again for days.
pub const LONGEST_ID: usize = 1_000;

pub(super) fn too_long(id: &str) -> bool {
    id.len() > LONGEST_ID
}

/// Where an element was found.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) waba_id: Option<WabaId>,
    pub(super) phone_number_id: Option<PhoneNumberId>,
    pub(super) display_phone_number: Option<String>,
    pub(super) field: &'a str,
    pub(super) standby: bool,
}

impl Place<'_> {
    fn waba(&self) -> WabaId {
        self.waba_id.clone().unwrap_or_else(|| WabaId::new(""))
    }

    fn unreadable(&self, reason: &'static str, raw: &RawValue) -> Update {
        Update::Unreadable(UnreadableUpdate {
            waba_id: self.waba_id.clone(),
            phone_number_id: self.phone_number_id.clone(),
            field: Some(self.field.to_owned()),
            reason,
            raw: raw.get().to_owned(),
        })
    }

    fn kept(&self, raw: &RawValue) -> Update {
        let scope = Scope { waba_id: self.waba_id.as_ref(), phone_number_id: self.phone_number_id.as_ref() };
        Update::Field(fields::other(scope, self.field, raw))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MessageHead<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    from: Text<'a>,
    #[serde(borrow)]
    from_user_id: Text<'a>,
    #[serde(borrow)]
    from_parent_user_id: Text<'a>,
    #[serde(borrow)]
    to: Text<'a>,
    #[serde(borrow)]
    to_user_id: Text<'a>,
    #[serde(borrow)]
    to_parent_user_id: Text<'a>,
    #[serde(borrow)]
    group_id: Text<'a>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

impl MessageHead<'_> {
    fn kind(&self) -> String {
        self.kind.as_str().unwrap_or("unknown").to_owned()
    }

    fn context_id(&self) -> Option<Wamid> {
        object::<Context>(self.context).id.id()
    }
}

pub(super) fn message(place: &Place, contacts: &Contacts, raw: &RawValue) -> Update {
    let Some(head) = read::<MessageHead>(raw) else {
        return place.unreadable("a message is not an object", raw);
    };
    if head.group_id.as_str().is_some() {
        return place.kept(raw);
    }
    let Some(phone_number_id) = place.phone_number_id.clone() else {
        return place.unreadable("a message has no phone_number_id", raw);
    };
    let Some(wamid) = head.id.id::<Wamid>() else {
        return place.unreadable("a message has no id", raw);
    };
    let sender = contacts.complete(Person::of_ids(&head.from, &head.from_user_id, &head.from_parent_user_id));
    if too_long(wamid.as_str()) || sender.ids().any(too_long) {
        return place.unreadable("an id is too long", raw);
    }
    Update::Message(IncomingMessage {
        waba_id: place.waba(),
        phone_number_id,
        display_phone_number: place.display_phone_number.clone(),
        standby: place.standby,
        wamid,
        kind: head.kind(),
        timestamp: head.timestamp.time(),
        sender,
        context_id: head.context_id(),
        raw: tidy(raw.get()).into_owned(),
    })
}

pub(super) fn echo(place: &Place, contacts: &Contacts, raw: &RawValue) -> Update {
    let Some(head) = read::<MessageHead>(raw) else {
        return place.unreadable("an echo is not an object", raw);
    };
    if head.group_id.as_str().is_some() {
        return place.kept(raw);
    }
    let Some(phone_number_id) = place.phone_number_id.clone() else {
        return place.unreadable("an echo has no phone_number_id", raw);
    };
    let Some(wamid) = head.id.id::<Wamid>() else {
        return place.unreadable("an echo has no id", raw);
    };
    let recipient = contacts.complete(Person::of_ids(&head.to, &head.to_user_id, &head.to_parent_user_id));
    if too_long(wamid.as_str()) || recipient.ids().any(too_long) {
        return place.unreadable("an id is too long", raw);
    }
    Update::Echo(EchoedMessage {
        waba_id: place.waba(),
        phone_number_id,
        standby: place.standby,
        wamid,
        kind: head.kind(),
        timestamp: head.timestamp.time(),
        recipient,
        context_id: head.context_id(),
        raw: tidy(raw.get()).into_owned(),
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusWire<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    recipient_type: Text<'a>,
    #[serde(borrow)]
    recipient_id: Text<'a>,
    #[serde(borrow)]
    recipient_user_id: Text<'a>,
    // Two spellings of one key; both may stand there, so this is no alias.
    #[serde(borrow)]
    parent_recipient_user_id: Text<'a>,
    #[serde(borrow)]
    recipient_parent_user_id: Text<'a>,
    #[serde(borrow)]
    biz_opaque_callback_data: Text<'a>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

pub(super) fn status(place: &Place, contacts: &Contacts, raw: &RawValue) -> Update {
    let Some(wire) = read::<StatusWire>(raw) else {
        return place.unreadable("a status is not an object", raw);
    };
    if wire.recipient_type.as_str() == Some("group") {
        return place.kept(raw);
    }
    let Some(phone_number_id) = place.phone_number_id.clone() else {
        return place.unreadable("a status has no phone_number_id", raw);
    };
    let Some(wamid) = wire.id.id::<Wamid>() else {
        return place.unreadable("a status has no id", raw);
    };
    if too_long(wamid.as_str()) {
        return place.unreadable("an id is too long", raw);
    }
    let parent = match wire.parent_recipient_user_id.as_str() {
        Some(_) => &wire.parent_recipient_user_id,
        None => &wire.recipient_parent_user_id,
    };
    let recipient = Person::of_ids(&wire.recipient_id, &wire.recipient_user_id, parent);
    let state_text = wire.status.owned().unwrap_or_default();
    Update::Status(StatusUpdate {
        waba_id: place.waba(),
        phone_number_id,
        wamid,
        state: state(&state_text),
        state_text,
        timestamp: wire.timestamp.time(),
        opaque: wire.biz_opaque_callback_data.owned(),
        recipient: contacts.complete(recipient),
        errors: errors(wire.errors),
        raw: raw.get().to_owned(),
    })
}

/// `pending` and `accepted` are our own words: as Meta's they say nothing (§1.9).
fn state(text: &str) -> Option<DeliveryState> {
    DeliveryState::parse(text)
        .filter(|state| !matches!(state, DeliveryState::Pending | DeliveryState::Accepted))
}

pub(super) fn account_error(place: &Place, list: Option<&RawValue>) -> Option<Update> {
    let raw = list.filter(|raw| !elements(Some(raw)).is_empty())?;
    Some(Update::Error(AccountError {
        waba_id: place.waba(),
        phone_number_id: place.phone_number_id.clone(),
        errors: errors(list),
        raw: raw.get().to_owned(),
    }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorWire<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    error_data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorData<'a> {
    #[serde(borrow)]
    details: Text<'a>,
}

/// `errors[]` as webhooks word them; `error_data` may be a plain text (§5.1).
pub(super) fn errors(list: Option<&RawValue>) -> Vec<ErrorBody> {
    elements(list)
        .into_iter()
        .map(|raw| {
            let wire: ErrorWire = object(Some(raw));
            let data: ErrorData = object(wire.error_data);
            let plain =
                || wire.error_data.map(|raw| Text::from_json(raw.get())).and_then(|text| text.owned());
            ErrorBody {
                code: wire.code.integer().unwrap_or_default(),
                title: wire.title.owned().unwrap_or_default(),
                message: wire.message.owned().unwrap_or_default(),
                details: data.details.owned().or_else(plain),
            }
        })
        .collect()
}
