//! The owner's side of the simulated cloud: apps, accounts, numbers, templates and the hands on the clock.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::SimCloud;
use super::calling::Calling;
use super::ids::digits;
use super::options::SimApp;
use super::state::{App, Bucket, Phone, Subscription, Waba};
use super::webhooks::{self, Outbox, Update};

/// The business portfolio that owns every account unless a test says otherwise.
const PORTFOLIO: &str = "506914307656634";

impl SimCloud {
    /// Adds an app. No handshake is made with a callback given here.
    pub fn add_app(&self, app: SimApp) {
        let outbox = Arc::new(Outbox::default());
        let client_id = app.client_id.clone();
        {
            let mut state = self.state();
            let known =
                App { info: app, fields: None, token: Map::new(), inactive: false, outbox: outbox.clone() };
            if let Some(before) = state.apps.insert(client_id.clone(), known) {
                // The same app again, say with a new secret: what waits for it goes on waiting.
                if let Some(app) = state.apps.get_mut(&client_id) {
                    app.outbox = before.outbox;
                }
                return;
            }
        }
        let pump = webhooks::pump(self.clone(), client_id, outbox);
        self.inner.tasks.spawn_on(pump, &self.inner.runtime);
    }

    /// Sets the callback after the GET handshake; the error says what the callback did wrong.
    pub async fn set_callback(&self, client_id: &str, url: &str, verify_token: &str) -> Result<(), String> {
        webhooks::handshake(self, url, verify_token).await?;
        self.place_callback(client_id, url, verify_token)
    }

    /// Sets the callback without a handshake: for a callback that has moved, or to break it.
    pub fn place_callback(&self, client_id: &str, url: &str, verify_token: &str) -> Result<(), String> {
        let mut state = self.state();
        let app = state.apps.get_mut(client_id).ok_or_else(|| format!("no app {client_id}"))?;
        app.info.callback_url = Some(url.to_owned());
        verify_token.clone_into(&mut app.info.verify_token);
        app.outbox.wake();
        Ok(())
    }

    /// Changes what `debug_token` says of the app's token, e.g. `{"type":"USER","expires_at":1767225600}`.
    pub fn set_token(&self, client_id: &str, fields: Value) {
        if let Some(app) = self.state().apps.get_mut(client_id) {
            app.token.extend(map(fields));
        }
    }

    /// Ticks these webhook fields of the app in the dashboard and no others.
    pub fn tick_fields(&self, client_id: &str, fields: &[&str]) {
        if let Some(app) = self.state().apps.get_mut(client_id) {
            app.fields = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        }
    }

    /// Switches the app's callback off or on, as Meta does with one that fails for long.
    pub fn set_callback_active(&self, client_id: &str, active: bool) {
        if let Some(app) = self.state().apps.get_mut(client_id) {
            app.inactive = !active;
        }
    }

    /// Takes an app off a WABA, as `DELETE /{waba}/subscribed_apps` does.
    pub fn unsubscribe(&self, waba_id: &str, client_id: &str) {
        if let Some(waba) = self.state().wabas.get_mut(waba_id) {
            waba.subscribed.retain(|entry| entry.client_id != client_id);
        }
    }

    /// Whether an app hears of a WABA.
    pub fn is_subscribed(&self, waba_id: &str, client_id: &str) -> bool {
        let state = self.state();
        let waba = state.wabas.get(waba_id);
        waba.is_some_and(|waba| waba.subscribed.iter().any(|entry| entry.client_id == client_id))
    }

    /// Somebody logs in at Facebook for this app: the code that is sent to the redirect address.
    pub fn login_code(&self, client_id: &str, redirect_uri: &str) -> String {
        let mut state = self.state();
        let code = format!("AQ{}", state.rng.trace_id());
        state.codes.insert(code.clone(), (client_id.to_owned(), redirect_uri.to_owned()));
        code
    }

    /// Gives the app another secret, as a reset in the dashboard does.
    pub fn rotate_secret(&self, client_id: &str, client_secret: &str) {
        if let Some(app) = self.state().apps.get_mut(client_id) {
            client_secret.clone_into(&mut app.info.client_secret);
        }
    }

    /// Gives the app another access token; the old one is invalid.
    pub fn rotate_token(&self, client_id: &str, access_token: &str) {
        if let Some(app) = self.state().apps.get_mut(client_id) {
            access_token.clone_into(&mut app.info.access_token);
        }
    }

    /// Adds a WhatsApp Business Account. No app is subscribed to it yet.
    pub fn add_waba(&self, waba_id: &str, name: &str) {
        let node = json!({
            "id": waba_id,
            "name": name,
            "timezone_id": "1",
            "message_template_namespace": "58e6d318_b627_4112_b9c7_2961197553ea",
            "account_review_status": "APPROVED",
            "business_verification_status": "verified",
            "country": "US",
            "currency": "USD",
            "ownership_type": "SELF",
            "primary_business_location": "US",
            "owner_business_info": {"name": "Lucky Shrub Inc", "id": PORTFOLIO},
        });
        let waba =
            Waba { id: waba_id.to_owned(), node: map(node), subscribed: Vec::new(), templates: Vec::new() };
        self.state().wabas.insert(waba_id.to_owned(), waba);
    }

    /// Adds a business number, connected and healthy. Meta formats display numbers (`+1 631-555-5555`).
    pub fn add_phone(&self, waba_id: &str, phone_number_id: &str, display_number: &str, verified_name: &str) {
        let node = json!({
            "id": phone_number_id,
            "display_phone_number": display_number,
            "verified_name": verified_name,
            "status": "CONNECTED",
            "quality_rating": "GREEN",
            "quality_score": {"score": "GREEN"},
            "name_status": "APPROVED",
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API",
            "throughput": {"level": "STANDARD"},
            "account_mode": "LIVE",
            "is_official_business_account": false,
            "is_on_biz_app": false,
            "is_pin_enabled": true,
            "search_visibility": "VISIBLE",
            "last_onboarded_time": "2026-01-15T10:00:00+0000",
            "whatsapp_business_manager_messaging_limit": "TIER_250",
        });
        let mut state = self.state();
        let phone = Phone {
            id: phone_number_id.to_owned(),
            waba_id: waba_id.to_owned(),
            node: map(node),
            override_url: None,
            bucket: Bucket::default(),
            calling: Calling::default(),
        };
        if let Some(index) = state.phone_index.get(phone_number_id).copied() {
            if let Some(known) = state.phones.get_mut(index) {
                *known = phone;
            }
            return;
        }
        let index = state.phones.len();
        state.phones.push(phone);
        state.phone_index.insert(phone_number_id.to_owned(), index);
    }

    /// Changes fields of a business number, e.g. `{"status":"FLAGGED"}` or `{"platform_type":"NOT_APPLICABLE"}`.
    pub fn set_phone(&self, phone_number_id: &str, fields: Value) {
        let mut state = self.state();
        let Some(index) = state.phone_index.get(phone_number_id).copied() else { return };
        if let Some(phone) = state.phones.get_mut(index) {
            phone.node.extend(map(fields));
        }
    }

    /// Changes fields of an account, e.g. the portfolio that owns it or its `health_status`.
    pub fn set_waba(&self, waba_id: &str, fields: Value) {
        if let Some(waba) = self.state().wabas.get_mut(waba_id) {
            waba.node.extend(map(fields));
        }
    }

    /// Subscribes an app to a WABA, as `POST /{waba}/subscribed_apps` does.
    pub fn subscribe(&self, waba_id: &str, client_id: &str) {
        if let Some(waba) = self.state().wabas.get_mut(waba_id)
            && !waba.subscribed.iter().any(|entry| entry.client_id == client_id)
        {
            waba.subscribed.push(Subscription { client_id: client_id.to_owned(), override_url: None });
        }
    }

    /// Adds a template as `GET /{waba}/message_templates` shows it (facts §4.1); sends to others get 132001.
    pub fn add_template(&self, waba_id: &str, template: Value) {
        if let Some(waba) = self.state().wabas.get_mut(waba_id) {
            waba.templates.push(template);
        }
        self.touch();
    }

    /// Makes WhatsApp know a dialled number under another `wa_id` (facts §8.2).
    pub fn alias_number(&self, dialled: &str, wa_id: &str) {
        self.state().number_aliases.insert(digits(dialled), digits(wa_id));
    }

    /// A number that is not on WhatsApp: sends to it end in 131026.
    pub fn not_on_whatsapp(&self, number: &str) {
        self.state().absent.insert(digits(number));
    }

    /// Moves the cloud's time forward, beside what its clock shows.
    pub fn advance_time(&self, by: TimeDelta) {
        self.state().offset += by;
        self.touch();
    }

    /// The cloud's time.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.state().now(self.clock())
    }

    /// Lets the 24-hour window of this customer (by number or user id) be over.
    pub fn close_window(&self, phone_number_id: &str, customer: &str) {
        self.with_chat(phone_number_id, customer, |chat| chat.last_inbound = None);
    }

    /// Opens the 24-hour window without a message, as a call does.
    pub fn open_window(&self, phone_number_id: &str, customer: &str) {
        let now = self.now();
        self.with_chat(phone_number_id, customer, |chat| chat.last_inbound = Some(now));
    }

    /// Posts any other webhook field; `value` goes out as it is.
    pub fn post_change(&self, waba_id: &str, field: &str, value: Value) {
        let phone_number_id =
            value.pointer("/metadata/phone_number_id").and_then(Value::as_str).map(str::to_owned);
        let mut state = self.state();
        let time = (field != "messages").then(|| state.now(self.clock()).timestamp());
        state.queue(Update {
            waba_id: waba_id.to_owned(),
            phone_number_id,
            field: field.to_owned(),
            value,
            time,
            done: None,
        });
    }

    /// The next `count` updates of each app go out in one notification, once there are so many.
    pub fn batch_next(&self, count: usize) {
        for app in self.state().apps.values() {
            app.outbox.batch_next(count);
        }
    }

    /// Updates that wait for a 200, over all apps.
    pub fn webhooks_pending(&self) -> usize {
        self.state().apps.values().map(|app| app.outbox.pending()).sum()
    }

    /// Sends that were answered with 200 (or would have been, where the answer was lost).
    pub fn accepted(&self) -> u64 {
        self.state().accepted
    }

    /// Media that the cloud holds.
    pub fn media_count(&self) -> usize {
        self.state().media.len()
    }
}

/// The members of an object; nothing of any other value.
pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
