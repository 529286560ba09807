//! Statuses of sent messages (whatsapp facts §1.9): what the cloud and the customer's phone report back.

use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::SimCloud;
use super::customer::{SimCustomer, contact, value_of};
use super::errors::{usual_details, webhook_error};
use super::state::{Item, SimStatus, State};
use super::webhooks::Update;

/// Statuses of one message that fall due.
pub(super) struct Due {
    /// Runs since the send was accepted; `None` = now.
    pub wait: Option<Pin<Box<Sleep>>>,
    pub wamid: String,
    pub statuses: Vec<SimStatus>,
    pub done: Option<mpsc::Sender<()>>,
}

/// Reports what falls due, in order, until the cloud stops.
pub(super) async fn pump(cloud: SimCloud, mut due: mpsc::UnboundedReceiver<Due>) {
    loop {
        let next = tokio::select! {
            () = cloud.inner.cancel.cancelled() => return,
            next = due.recv() => next,
        };
        let Some(next) = next else { return };
        if let Some(wait) = next.wait {
            tokio::select! {
                () = cloud.inner.cancel.cancelled() => return,
                () = wait => {}
            }
        }
        {
            let mut state = cloud.state();
            for status in next.statuses {
                cloud.report(&mut state, &next.wamid, status, next.done.clone());
            }
        }
        cloud.touch();
    }
}

impl SimCloud {
    /// The customer opens the chat: everything that has arrived is read. Returns how many messages.
    pub fn customer_reads(&self, phone_number_id: &str, customer: &str) -> usize {
        let unread: Vec<String> = {
            let state = self.state();
            let found = state.phone(phone_number_id).map(|(index, _)| index).zip(state.customer(customer));
            let Some(chat) = found.and_then(|key| state.chats.get(&key)) else { return 0 };
            chat.items.iter().filter(|item| unread(item)).map(|item| item.message.wamid.clone()).collect()
        };
        for wamid in &unread {
            self.due_now(wamid, SimStatus::Read);
        }
        unread.len()
    }

    /// The customer plays a voice note.
    pub fn customer_plays(&self, wamid: &str) {
        self.due_now(wamid, SimStatus::Played);
    }

    /// The customer keeps the chat open: messages are read as they come, without `delivered`.
    pub fn open_chat(&self, phone_number_id: &str, customer: &str, open: bool) {
        self.with_chat(phone_number_id, customer, |chat| chat.open = open);
        if open {
            self.customer_reads(phone_number_id, customer);
        }
    }

    /// Turns the customer's phone on or off. What waited is delivered when it comes back.
    pub fn set_online(&self, customer: &str, online: bool) {
        let waiting: Vec<String> = {
            let mut state = self.state();
            let Some(index) = state.customer(customer) else { return };
            if let Some(customer) = state.customers.get_mut(index) {
                customer.online = online;
            }
            let waits = |item: &&Item| {
                online && !item.message.from_customer && item.message.status == SimStatus::Sent
            };
            let chats = state.chats.iter().filter(|(key, _)| key.1 == index);
            let mut items: Vec<&Item> = chats.flat_map(|(_, chat)| chat.items.iter()).filter(waits).collect();
            items.sort_by_key(|item| item.message.seq);
            items.iter().map(|item| item.message.wamid.clone()).collect()
        };
        for wamid in waiting {
            self.due_now(&wamid, SimStatus::Delivered);
        }
        self.touch();
    }

    /// Reports a status whatever came before: a repetition, a step back, a late failure (with this code).
    pub fn post_status(&self, wamid: &str, status: SimStatus, code: Option<u32>) {
        if let Some(item) = self.state().item_mut(wamid)
            && status == SimStatus::Failed
        {
            item.doom = code.or(item.doom).or(Some(131000));
        }
        self.due_now(wamid, status);
    }

    fn due_now(&self, wamid: &str, status: SimStatus) {
        let due = Due { wait: None, wamid: wamid.to_owned(), statuses: vec![status], done: None };
        // The receiver ends only with the cloud.
        let _ = self.inner.due.send(due);
    }

    /// Queues one status webhook and moves the message on.
    pub(super) fn report(
        &self,
        state: &mut State,
        wamid: &str,
        status: SimStatus,
        done: Option<mpsc::Sender<()>>,
    ) {
        let now = state.now(self.clock());
        let Some((place, item)) = state.item(wamid) else { return };
        let Some(customer) = state.customers.get(place.customer) else { return };
        let Some(phone) = state.phones.get(place.phone) else { return };
        if status == SimStatus::Delivered && !customer.online {
            return;
        }
        let element = element(item, &customer.seen, status, now);
        let mut value = value_of(&phone.id, &phone.display_digits());
        if status != SimStatus::Failed {
            value.insert("contacts".into(), json!([contact(&customer.seen, status != SimStatus::Sent)]));
        }
        value.insert("statuses".into(), json!([element]));
        let update = Update {
            waba_id: phone.waba_id.clone(),
            phone_number_id: Some(phone.id.clone()),
            field: "messages".to_owned(),
            value: Value::Object(value),
            time: None,
            done,
        };
        if let Some(item) = state.item_mut(wamid) {
            item.message.status = item.message.status.max(status);
            if status == SimStatus::Failed {
                item.message.failed = item.doom.or(Some(131000));
            }
        }
        if state.faults.statuses_withheld {
            return;
        }
        if state.faults.statuses_doubled {
            state.queue(update.clone());
        }
        state.queue(update);
    }
}

fn unread(item: &Item) -> bool {
    let message = &item.message;
    !message.from_customer
        && item.doom.is_none()
        && message.status < SimStatus::Read
        && item.kind != "reaction"
}

fn element(item: &Item, to: &SimCustomer, status: SimStatus, now: DateTime<Utc>) -> Value {
    let mut element = Map::new();
    element.insert("id".into(), item.message.wamid.as_str().into());
    element.insert("status".into(), status.name().into());
    element.insert("timestamp".into(), now.timestamp().to_string().into());
    if let Some(wa_id) = &to.wa_id {
        element.insert("recipient_id".into(), wa_id.as_str().into());
    }
    let hidden = status == SimStatus::Failed && !item.by_user_id;
    if let Some(user_id) = to.user_id.as_ref().filter(|_| !hidden) {
        element.insert("recipient_user_id".into(), user_id.as_str().into());
    }
    if let Some(opaque) = &item.opaque {
        element.insert("biz_opaque_callback_data".into(), opaque.as_str().into());
    }
    let priced = match status {
        SimStatus::Sent | SimStatus::Delivered => true,
        SimStatus::Read => item.message.status < SimStatus::Delivered,
        _ => false,
    };
    if priced {
        element.insert("pricing".into(), pricing(item, now));
    }
    if status == SimStatus::Failed {
        let code = item.doom.unwrap_or(131000);
        element.insert("errors".into(), json!([webhook_error(code, usual_details(code))]));
    }
    Value::Object(element)
}

/// From 1 October 2026 free-form messages and templates inside the window are charged too.
fn pricing(item: &Item, now: DateTime<Utc>) -> Value {
    let category = item.category.as_deref().unwrap_or("service");
    let charged_now = now.timestamp() >= 1_790_812_800;
    let within = item.window_open && matches!(category, "service" | "utility");
    let free = within && !charged_now;
    json!({
        "billable": !free,
        "pricing_model": "PMP",
        "type": if free { "free_customer_service" } else { "regular" },
        "category": category,
    })
}
