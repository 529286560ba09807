//! The customer's side: writing, opening, and what the phone shows.

use actix_web::web::Bytes;
use chrono::DateTime;
use chrono::Utc;
use serde_json::{Map, Value, json};

use super::SimCloud;
use super::account::map;
use super::media::Stored;
use super::state::{Chat, Item, ReceivedMedia, ReceivedMessage, SimStatus, State};
use super::webhooks::Update;

/// A person on WhatsApp as the webhook shows them. What is absent is left out (facts §1.8).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SimCustomer {
    /// Digits of the phone number.
    pub wa_id: Option<String>,
    /// Business-scoped user id, `US.…`.
    pub user_id: Option<String>,
    /// The profile's name; empty = left out.
    pub name: String,
    /// `@name`.
    pub username: Option<String>,
}

impl SimCustomer {
    /// Somebody with a phone number and no user id.
    pub fn with_number(wa_id: &str, name: &str) -> Self {
        Self { wa_id: Some(wa_id.to_owned()), name: name.to_owned(), ..Self::default() }
    }

    /// Somebody whose number the business does not see.
    pub fn with_user_id(user_id: &str, name: &str) -> Self {
        Self { user_id: Some(user_id.to_owned()), name: name.to_owned(), ..Self::default() }
    }
}

/// A file that a customer sends.
#[derive(Clone, Debug, Default)]
pub struct SimMedia {
    /// `image`, `video`, `audio`, `voice`, `document` or `sticker`.
    pub kind: String,
    /// The content.
    pub bytes: Bytes,
    /// As the webhook declares it, e.g. `audio/ogg; codecs=opus`.
    pub mime: String,
    /// Documents only.
    pub filename: Option<String>,
    /// Images, videos and documents only.
    pub caption: Option<String>,
    /// More keys of the message, e.g. `{"context":{"id":"wamid.…"}}`.
    pub more: Value,
}

impl SimCloud {
    /// The customer writes: `message` is the partial `messages[]` element, e.g.
    /// `{"type":"text","text":{"body":"Hi"}}`; sender, id, timestamp and contact are added. Opens the
    /// 24-hour window. Returns the wamid; empty if there is no such phone.
    pub fn customer_sends(&self, phone_number_id: &str, customer: &SimCustomer, message: Value) -> String {
        let wamid = self.customer_message(&mut self.state(), phone_number_id, customer, message, None);
        self.touch();
        wamid
    }

    /// The customer sends a file; it is kept for seven days and bears an id and a five-minute address.
    pub fn customer_sends_media(
        &self,
        phone_number_id: &str,
        customer: &SimCustomer,
        media: SimMedia,
    ) -> String {
        let wamid = {
            let mut state = self.state();
            let now = state.now(self.clock());
            let stored = Stored::inbound(phone_number_id, &media, now);
            let id = state.rng.object_id();
            let mut object = json!({
                "id": id,
                "mime_type": media.mime,
                "sha256": stored.sha256_base64(),
                "url": self.media_url(&id, "webhook", now),
            });
            let kind = if media.kind == "voice" { "audio" } else { media.kind.as_str() };
            if let Some(object) = object.as_object_mut() {
                if let Some(caption) = &media.caption {
                    object.insert("caption".into(), caption.as_str().into());
                }
                match kind {
                    "document" => {
                        if let Some(filename) = &media.filename {
                            object.insert("filename".into(), filename.as_str().into());
                        }
                    }
                    "audio" => {
                        object.insert("voice".into(), (media.kind == "voice").into());
                    }
                    "sticker" => {
                        object.insert("animated".into(), false.into());
                    }
                    _ => {}
                }
            }
            state.media.insert(id.clone(), stored);
            let mut message = map(media.more.clone());
            message.insert("type".into(), kind.into());
            message.insert(kind.into(), object);
            self.customer_message(&mut state, phone_number_id, customer, Value::Object(message), Some(id))
        };
        self.touch();
        wamid
    }

    /// What the customer's phone shows of the business's messages, in the order of acceptance: without
    /// those that failed, and those that wait for a phone that is off. `customer` is a number or user id.
    pub fn received(&self, phone_number_id: &str, customer: &str) -> Vec<ReceivedMessage> {
        let shown = |message: &ReceivedMessage| !message.from_customer && message.failed.is_none();
        self.thread(phone_number_id, customer).into_iter().filter(shown).collect()
    }

    /// The whole thread, both directions, in order; failed messages of the business included.
    pub fn thread(&self, phone_number_id: &str, customer: &str) -> Vec<ReceivedMessage> {
        let state = self.state();
        let found = state.phone(phone_number_id).zip(state.customer(customer));
        let Some(((phone, _), customer)) = found else { return Vec::new() };
        let online = state.customers.get(customer).is_some_and(|customer| customer.online);
        let Some(chat) = state.chats.get(&(phone, customer)) else { return Vec::new() };
        chat.items
            .iter()
            .filter(|item| {
                let arrived = online || item.message.status >= SimStatus::Delivered;
                item.message.from_customer || item.message.failed.is_some() || arrived
            })
            .map(|item| self.with_media(&state, item))
            .collect()
    }

    /// How many messages [`SimCloud::received`] would give, without copying them.
    pub fn received_count(&self, phone_number_id: &str, customer: &str) -> usize {
        let state = self.state();
        let found = state.phone(phone_number_id).map(|(index, _)| index).zip(state.customer(customer));
        let online = found.and_then(|key| state.customers.get(key.1)).is_some_and(|customer| customer.online);
        let items = found.and_then(|key| state.chats.get(&key)).map(|chat| chat.items.as_slice());
        let shown = |item: &&Item| {
            let message = &item.message;
            let arrived = online || message.status >= SimStatus::Delivered;
            !message.from_customer && message.failed.is_none() && arrived
        };
        items.unwrap_or_default().iter().filter(shown).count()
    }

    /// Customers that have a thread with this phone, as far as they are known.
    pub fn customers(&self, phone_number_id: &str) -> Vec<SimCustomer> {
        let state = self.state();
        let Some((phone, _)) = state.phone(phone_number_id) else { return Vec::new() };
        let mut indexes: Vec<usize> =
            state.chats.keys().filter(|key| key.0 == phone).map(|key| key.1).collect();
        indexes.sort_unstable();
        indexes.iter().filter_map(|index| Some(state.customers.get(*index)?.seen.clone())).collect()
    }

    pub(super) fn with_chat(&self, phone_number_id: &str, customer: &str, change: impl FnOnce(&mut Chat)) {
        {
            let mut state = self.state();
            let found = state.phone(phone_number_id).map(|(index, _)| index).zip(state.customer(customer));
            let Some(key) = found else { return };
            change(state.chats.entry(key).or_default());
        }
        self.touch();
    }

    fn with_media(&self, state: &State, item: &Item) -> ReceivedMessage {
        let mut message = item.message.clone();
        message.media = item.media_id.as_ref().and_then(|id| {
            let stored = state.media.get(id)?;
            Some(ReceivedMedia {
                id: id.clone(),
                mime: stored.mime.clone(),
                filename: stored.filename.clone(),
                bytes: stored.bytes.clone(),
            })
        });
        message
    }

    fn customer_message(
        &self,
        state: &mut State,
        phone_number_id: &str,
        who: &SimCustomer,
        message: Value,
        media_id: Option<String>,
    ) -> String {
        let now = state.now(self.clock());
        let customer = state.meet(who);
        let Some((index, phone)) = state.phone(phone_number_id) else { return String::new() };
        let display = phone.display_digits();
        let waba_id = phone.waba_id.clone();
        let known = state.customers.get(customer).map(|known| known.seen.clone()).unwrap_or_default();
        // The number is shown only if it was given now: it may be hidden from some day on.
        let shown = SimCustomer { wa_id: who.wa_id.as_deref().map(super::ids::digits), ..known };
        let person = shown.wa_id.clone().or(shown.user_id.clone()).unwrap_or_default();
        let wamid = state.rng.wamid(&person, false);

        let mut message = map(message);
        let kind = message.get("type").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        complete(&mut message, &shown, &wamid, now, &display);
        let mut value = value_of(phone_number_id, &display);
        if kind != "system" {
            value.insert("contacts".into(), json!([contact(&shown, true)]));
        }
        let message = Value::Object(message);
        value.insert("messages".into(), json!([message]));

        let seq = state.next_seq();
        let chat = state.chats.entry((index, customer)).or_default();
        if kind != "system" {
            chat.last_inbound = Some(now);
        }
        if !self.inner.options.quiet {
            let message = ReceivedMessage {
                wamid: wamid.clone(),
                from_customer: true,
                to: phone_number_id.to_owned(),
                body: message,
                seq,
                at: now,
                status: SimStatus::Delivered,
                failed: None,
                media: None,
            };
            let item = Item {
                message,
                kind,
                opaque: None,
                by_user_id: false,
                category: None,
                doom: None,
                media_id,
                window_open: true,
            };
            state.keep(index, customer, item);
        }
        state.queue(Update {
            waba_id,
            phone_number_id: Some(phone_number_id.to_owned()),
            field: "messages".to_owned(),
            value: Value::Object(value),
            time: None,
            done: None,
        });
        wamid
    }
}

/// Adds what every message bears; what the caller gave stays.
fn complete(
    message: &mut Map<String, Value>,
    shown: &SimCustomer,
    wamid: &str,
    now: DateTime<Utc>,
    display: &str,
) {
    if let Some(wa_id) = &shown.wa_id {
        message.entry("from").or_insert_with(|| wa_id.as_str().into());
    }
    if let Some(user_id) = &shown.user_id {
        message.entry("from_user_id").or_insert_with(|| user_id.as_str().into());
    }
    message.insert("id".into(), wamid.into());
    message.entry("timestamp").or_insert_with(|| now.timestamp().to_string().into());
    if let Some(context) = message.get_mut("context").and_then(Value::as_object_mut)
        && context.contains_key("id")
    {
        context.entry("from").or_insert_with(|| display.into());
    }
}

/// `value` of the field `messages`, without its arrays.
pub(super) fn value_of(phone_number_id: &str, display: &str) -> Map<String, Value> {
    map(json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": display, "phone_number_id": phone_number_id},
    }))
}

/// An element of `contacts[]` in a webhook.
pub(super) fn contact(shown: &SimCustomer, with_username: bool) -> Value {
    let mut profile = Map::new();
    if !shown.name.is_empty() {
        profile.insert("name".into(), shown.name.as_str().into());
    }
    if let Some(username) = shown.username.as_ref().filter(|_| with_username) {
        profile.insert("username".into(), username.as_str().into());
    }
    let mut contact = map(json!({ "profile": profile }));
    if let Some(wa_id) = &shown.wa_id {
        contact.insert("wa_id".into(), wa_id.as_str().into());
    }
    if let Some(user_id) = &shown.user_id {
        contact.insert("user_id".into(), user_id.as_str().into());
    }
    Value::Object(contact)
}
