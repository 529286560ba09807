//! What the simulated cloud remembers. One lock holds it all and is never held across an await.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use actix_web::web::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::calling::{Calling, SimPermission};
use super::customer::SimCustomer;
use super::faults::Faults;
use super::ids::{Rng, digits};
use super::media::Stored;
use super::options::SimApp;
use super::templates::Session;
use super::webhooks::{Outbox, Update};
use crate::clock::Clock;

/// How far a message has come (facts §1.9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SimStatus {
    /// The POST was answered with 200.
    Accepted,
    /// On WhatsApp's servers.
    Sent,
    /// On the customer's phone.
    Delivered,
    /// Opened.
    Read,
    /// A voice note was played.
    Played,
    /// It will never arrive.
    Failed,
}

impl SimStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }
}

/// A file as the customer's phone has it.
#[derive(Clone, Debug)]
pub struct ReceivedMedia {
    /// Meta's media id.
    pub id: String,
    /// As it was declared at the upload.
    pub mime: String,
    /// As it was given at the upload.
    pub filename: Option<String>,
    /// The content.
    pub bytes: Bytes,
}

/// One message of a thread as the customer's phone shows it.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    /// Meta's message id.
    pub wamid: String,
    /// Whether the customer wrote it.
    pub from_customer: bool,
    /// `to` or `recipient` as the business wrote it; the phone number id for the customer's own.
    pub to: String,
    /// The whole body of the POST, or the `messages[]` element of the webhook.
    pub body: Value,
    /// Order of acceptance in the whole cloud.
    pub seq: u64,
    /// When it was accepted.
    pub at: DateTime<Utc>,
    /// For the customer's own: `Read` when the business has marked it.
    pub status: SimStatus,
    /// Why it failed.
    pub failed: Option<u32>,
    /// The file, if the message has one by id.
    pub media: Option<ReceivedMedia>,
}

pub(super) struct App {
    pub info: SimApp,
    /// Subscribed webhook fields; `None` = all.
    pub fields: Option<Vec<String>>,
    /// What `debug_token` says otherwise of the app's token.
    pub token: Map<String, Value>,
    /// The subscription is switched off.
    pub inactive: bool,
    pub outbox: Arc<Outbox>,
}

pub(super) struct Subscription {
    pub client_id: String,
    pub override_url: Option<String>,
}

pub(super) struct Waba {
    pub id: String,
    pub node: Map<String, Value>,
    pub subscribed: Vec<Subscription>,
    pub templates: Vec<Value>,
}

pub(super) struct Phone {
    pub id: String,
    pub waba_id: String,
    pub node: Map<String, Value>,
    pub override_url: Option<String>,
    pub bucket: Bucket,
    pub calling: Calling,
}

impl Phone {
    /// Digits only, as webhooks show it.
    pub fn display_digits(&self) -> String {
        digits(self.node.get("display_phone_number").and_then(Value::as_str).unwrap_or_default())
    }

    /// The country code, where the display number tells it (`+1 631-…`).
    pub fn country_code(&self) -> Option<String> {
        let display = self.node.get("display_phone_number")?.as_str()?.strip_prefix('+')?;
        let (code, _) = display.split_once([' ', '-'])?;
        Some(digits(code))
    }
}

pub(super) struct Customer {
    pub seen: SimCustomer,
    pub on_whatsapp: bool,
    pub online: bool,
}

#[derive(Default)]
pub(super) struct Chat {
    pub last_inbound: Option<DateTime<Utc>>,
    pub open: bool,
    pub items: Vec<Item>,
    pub bucket: Bucket,
}

pub(super) struct Item {
    pub message: ReceivedMessage,
    pub kind: String,
    pub opaque: Option<String>,
    pub by_user_id: bool,
    pub category: Option<String>,
    /// The failed status it will end in.
    pub doom: Option<u32>,
    pub media_id: Option<String>,
    pub window_open: bool,
}

/// Tokens that come back with time.
#[derive(Default)]
pub(super) struct Bucket(Option<(f64, DateTime<Utc>)>);

impl Bucket {
    /// Takes one of at most `capacity` tokens that return at `per_second`; false if there is none.
    pub fn take(&mut self, capacity: f64, per_second: f64, now: DateTime<Utc>) -> bool {
        let (had, at) = self.0.unwrap_or((capacity, now));
        let passed = (now - at).num_microseconds().unwrap_or(i64::MAX).max(0) as f64 / 1e6;
        let tokens = (had + passed * per_second).min(capacity);
        let granted = tokens >= 1.0;
        self.0 = Some((if granted { tokens - 1.0 } else { tokens }, now));
        granted
    }
}

#[derive(Clone, Copy)]
pub(super) struct Place {
    pub phone: usize,
    pub customer: usize,
    pub item: usize,
}

pub(super) struct State {
    /// Calls that [`Faults::latency_ms`] holds back at present.
    pub held_back: usize,
    pub apps: BTreeMap<String, App>,
    pub wabas: BTreeMap<String, Waba>,
    pub phones: Vec<Phone>,
    pub phone_index: HashMap<String, usize>,
    pub customers: Vec<Customer>,
    pub by_number: HashMap<String, usize>,
    pub by_user_id: HashMap<String, usize>,
    /// Dialled digits → the `wa_id` that WhatsApp knows (Brazil, Mexico, Argentina).
    pub number_aliases: HashMap<String, String>,
    pub absent: HashSet<String>,
    pub chats: HashMap<(usize, usize), Chat>,
    pub places: HashMap<String, Place>,
    pub media: HashMap<String, Stored>,
    /// By phone and customer.
    pub call_permissions: HashMap<(usize, usize), SimPermission>,
    pub uploads: HashMap<String, Session>,
    /// By portfolio and person: when the business wrote first, last.
    pub first_writes: HashMap<String, HashMap<usize, DateTime<Utc>>>,
    /// Codes of logins: whose, and for which address.
    pub codes: HashMap<String, (String, String)>,
    /// Two-step PINs of numbers.
    pub pins: HashMap<String, String>,
    /// Business profiles of numbers.
    pub profiles: HashMap<String, Map<String, Value>>,
    pub faults: Faults,
    pub rng: Rng,
    pub dice: Rng,
    pub offset: TimeDelta,
    pub seq: u64,
    pub accepted: u64,
    pub dropped_webhooks: u64,
}

impl State {
    pub fn new(rng: Rng, dice: Rng) -> Self {
        Self {
            held_back: 0,
            apps: BTreeMap::new(),
            wabas: BTreeMap::new(),
            phones: Vec::new(),
            phone_index: HashMap::new(),
            customers: Vec::new(),
            by_number: HashMap::new(),
            by_user_id: HashMap::new(),
            number_aliases: HashMap::new(),
            absent: HashSet::new(),
            chats: HashMap::new(),
            places: HashMap::new(),
            media: HashMap::new(),
            call_permissions: HashMap::new(),
            uploads: HashMap::new(),
            first_writes: HashMap::new(),
            codes: HashMap::new(),
            pins: HashMap::new(),
            profiles: HashMap::new(),
            faults: Faults::default(),
            rng,
            dice,
            offset: TimeDelta::zero(),
            seq: 0,
            accepted: 0,
            dropped_webhooks: 0,
        }
    }

    pub fn now(&self, clock: &Clock) -> DateTime<Utc> {
        clock.now() + self.offset
    }

    pub fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub fn phone(&self, id: &str) -> Option<(usize, &Phone)> {
        let index = *self.phone_index.get(id)?;
        Some((index, self.phones.get(index)?))
    }

    /// A customer by `wa_id` (any notation) or business-scoped user id.
    pub fn customer(&self, key: &str) -> Option<usize> {
        self.by_user_id.get(key).or_else(|| self.by_number.get(&digits(key))).copied()
    }

    /// Knows this customer from now on; what is `None` keeps what was known.
    pub fn meet(&mut self, who: &SimCustomer) -> usize {
        let number = who.wa_id.as_deref().map(digits);
        let found = who
            .user_id
            .as_ref()
            .and_then(|id| self.by_user_id.get(id))
            .or_else(|| number.as_ref().and_then(|number| self.by_number.get(number)))
            .copied();
        let index = found.unwrap_or(self.customers.len());
        if found.is_none() {
            self.customers.push(Customer { seen: who.clone(), on_whatsapp: true, online: true });
        } else if let Some(known) = self.customers.get_mut(index) {
            let seen = &mut known.seen;
            seen.wa_id = number.clone().or(seen.wa_id.take());
            seen.user_id = who.user_id.clone().or(seen.user_id.take());
            seen.username = who.username.clone().or(seen.username.take());
            if !who.name.is_empty() {
                seen.name.clone_from(&who.name);
            }
        }
        if let Some(id) = &who.user_id {
            self.by_user_id.insert(id.clone(), index);
        }
        if let Some(number) = number {
            self.by_number.insert(number, index);
        }
        index
    }

    pub fn item(&self, wamid: &str) -> Option<(Place, &Item)> {
        let place = *self.places.get(wamid)?;
        let item = self.chats.get(&(place.phone, place.customer))?.items.get(place.item)?;
        Some((place, item))
    }

    pub fn item_mut(&mut self, wamid: &str) -> Option<&mut Item> {
        let place = *self.places.get(wamid)?;
        self.chats.get_mut(&(place.phone, place.customer))?.items.get_mut(place.item)
    }

    pub fn keep(&mut self, phone: usize, customer: usize, item: Item) {
        let chat = self.chats.entry((phone, customer)).or_default();
        let place = Place { phone, customer, item: chat.items.len() };
        self.places.insert(item.message.wamid.clone(), place);
        chat.items.push(item);
    }

    /// Queues an update for every app that is subscribed to the WABA and field and has a callback.
    pub fn queue(&mut self, update: Update) {
        let Some(waba) = self.wabas.get(&update.waba_id) else { return };
        for subscription in &waba.subscribed {
            let Some(app) = self.apps.get(&subscription.client_id) else { continue };
            let wanted = app.fields.as_ref().is_none_or(|fields| fields.contains(&update.field));
            if wanted && self.callback(&subscription.client_id, &update).is_some() {
                app.outbox.push(update.clone());
            } else {
                self.dropped_webhooks += 1;
            }
        }
    }

    /// Where an update goes: phone override, WABA override, app (facts §1.4). Overrides hold for `messages`.
    pub fn callback(&self, client_id: &str, update: &Update) -> Option<String> {
        let app = self.apps.get(client_id)?.info.callback_url.clone();
        if update.field != "messages" {
            return app;
        }
        let by_phone = update
            .phone_number_id
            .as_deref()
            .and_then(|id| self.phone(id))
            .and_then(|(_, phone)| phone.override_url.clone());
        let by_waba = self
            .wabas
            .get(&update.waba_id)
            .and_then(|waba| waba.subscribed.iter().find(|entry| entry.client_id == client_id))
            .and_then(|entry| entry.override_url.clone());
        by_phone.or(by_waba).or(app)
    }

    pub fn wake_outboxes(&self) {
        for app in self.apps.values() {
            app.outbox.wake();
        }
    }
}
