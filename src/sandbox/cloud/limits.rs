//! The messaging limit (whatsapp facts §6.2): people that a business portfolio wrote to first, outside a service
//! window, within rolling 24 hours.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::SimCloud;
use super::state::State;

/// Counts a person unless the limit of the sending number's tier is reached; false: it is.
pub(super) fn admit(state: &mut State, phone: usize, customer: usize, now: DateTime<Utc>) -> bool {
    let Some(business) = state.phones.get(phone) else { return true };
    let tier = business.node.get("whatsapp_business_manager_messaging_limit").and_then(Value::as_str);
    let limit = match tier.unwrap_or_default() {
        "TIER_50" => 50,
        "TIER_250" => 250,
        "TIER_1K" => 1_000,
        "TIER_2K" => 2_000,
        "TIER_10K" => 10_000,
        "TIER_100K" => 100_000,
        _ => return true,
    };
    let owner = portfolio(state, &business.waba_id);
    let people = state.first_writes.entry(owner).or_default();
    people.retain(|_, at| now - *at < TimeDelta::hours(24));
    if people.len() >= limit && !people.contains_key(&customer) {
        return false;
    }
    people.insert(customer, now);
    true
}

fn portfolio(state: &State, waba_id: &str) -> String {
    let owner =
        state.wabas.get(waba_id).and_then(|waba| waba.node.get("owner_business_info")?.get("id")?.as_str());
    owner.unwrap_or(waba_id).to_owned()
}

impl SimCloud {
    /// People that this account's portfolio wrote to first within the last 24 hours.
    pub fn first_writes(&self, waba_id: &str) -> usize {
        let state = self.state();
        let now = state.now(self.clock());
        let people = state.first_writes.get(&portfolio(&state, waba_id));
        people.map_or(0, |people| people.values().filter(|at| now - **at < TimeDelta::hours(24)).count())
    }
}
