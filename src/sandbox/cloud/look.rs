//! What the sandbox page may look at beside the threads.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::SimCloud;

/// How things stand between one customer and one business number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerView {
    /// The customer's phone is on.
    pub online: bool,
    /// The customer keeps the chat open, so messages are read as they come.
    pub open: bool,
    /// Until when the business may write freely; `None` = not now.
    pub window_until: Option<DateTime<Utc>>,
}

impl SimCloud {
    /// Calls that arrived and wait for their answer because of the switched-on latency.
    pub fn calls_held_back(&self) -> usize {
        self.state().held_back
    }

    /// Counts up with each change in the cloud.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// How things stand with this customer (by number or user id). Somebody unknown has a phone that is on.
    pub fn customer_view(&self, phone_number_id: &str, customer: &str) -> CustomerView {
        let state = self.state();
        let now = state.now(self.clock());
        let customer = state.customer(customer);
        let online = customer.and_then(|index| state.customers.get(index)).is_none_or(|known| known.online);
        let chat = state
            .phone(phone_number_id)
            .zip(customer)
            .and_then(|((phone, _), customer)| state.chats.get(&(phone, customer)));
        let until = chat.and_then(|chat| chat.last_inbound).map(|at| at + TimeDelta::hours(24));
        CustomerView {
            online,
            open: chat.is_some_and(|chat| chat.open),
            window_until: until.filter(|until| now < *until),
        }
    }

    /// Verified name and display number of a business number; empty if there is none.
    pub fn business(&self, phone_number_id: &str) -> (String, String) {
        let state = self.state();
        let node = state.phone(phone_number_id).map(|(_, phone)| &phone.node);
        let text = |key: &str| node.and_then(|node| node.get(key)?.as_str()).unwrap_or_default().to_owned();
        (text("verified_name"), text("display_phone_number"))
    }
}
