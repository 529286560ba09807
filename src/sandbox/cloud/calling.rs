//! Calls, as far as the Graph API and webhooks speak of them (whatsapp-sip facts §1, §3.3, §5).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::SimCloud;
use super::account::map;
use super::customer::{SimCustomer, contact, value_of};
use super::errors::{GraphError, webhook_error};
use super::ids::digits;
use super::server::{Call, Reply};
use super::state::Phone;
use super::tokens::Caller;
use super::webhooks::Update;

/// Longest name and value of `request_uri_user_params`.
const PARAM_LENGTH: usize = 128;
/// Requests for permission that a pair allows in a day and in a week.
const REQUESTS: [(&str, u32); 2] = [("PT24H", 1), ("P7D", 2)];
/// Connected calls that a pair allows in a day.
const CALLS_A_DAY: u32 = 100;

/// A customer's permission to be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SimPermission {
    /// None was given.
    #[default]
    None,
    /// Until this Unix time.
    Temporary(i64),
    /// For good.
    Permanent,
}

impl SimPermission {
    /// What is left of it at this Unix time.
    fn at(self, now: i64) -> Self {
        match self {
            Self::Temporary(until) if until <= now => Self::None,
            given => given,
        }
    }
}

/// A number's settings for calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Calling {
    /// Everything but the servers, as it was set.
    fields: Map<String, Value>,
    /// One server for each app, with the password that was made for it.
    servers: BTreeMap<String, (Value, String)>,
}

impl Calling {
    fn sip_enabled(&self) -> bool {
        self.fields.get("sip").and_then(|sip| sip.get("status")).and_then(Value::as_str) == Some("ENABLED")
    }

    fn enabled(&self) -> bool {
        self.fields.get("status").and_then(Value::as_str) == Some("ENABLED")
    }

    fn tells_of_calls(&self) -> bool {
        let delivery = self.fields.get("sip").and_then(|sip| sip.get("webhook_delivery"));
        !self.sip_enabled() || delivery.and_then(Value::as_str) == Some("ENABLED")
    }

    /// `calling` as GET shows it; the password only to the app whose server it is of.
    fn shown(&self, password_for: Option<&str>) -> Value {
        let mut calling = self.fields.clone();
        calling.entry("status").or_insert_with(|| "DISABLED".into());
        calling.entry("call_icon_visibility").or_insert_with(|| "DEFAULT".into());
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|(app, (server, password))| {
                let mut server = map(server.clone());
                server.insert("app_id".into(), app.as_str().into());
                if password_for == Some(app) {
                    server.insert("sip_user_password".into(), password.as_str().into());
                }
                Value::Object(server)
            })
            .collect();
        let mut sip = map(calling.remove("sip").unwrap_or_default());
        sip.entry("status").or_insert_with(|| "DISABLED".into());
        if !servers.is_empty() {
            sip.insert("servers".into(), servers.into());
        }
        calling.insert("sip".into(), Value::Object(sip));
        Value::Object(calling)
    }
}

pub(super) fn read(cloud: &SimCloud, call: &Call, caller: &Caller, id: &str) -> Result<Reply, GraphError> {
    let state = cloud.state();
    let with_password = call.query.get("include_sip_credentials").is_some_and(|wish| wish == "true");
    if with_password && state.faults.sip_password_hidden {
        return Err(GraphError::coded(10, "The token lacks the permission to read SIP credentials."));
    }
    let Some((_, phone)) = state.phone(id) else { return Err(GraphError::no_object("get", id)) };
    let shown = phone.calling.shown(with_password.then_some(caller.client_id.as_str()));
    Ok(Reply::ok(json!({ "calling": shown })))
}

pub(super) fn write(cloud: &SimCloud, call: &Call, caller: &Caller, id: &str) -> Result<Reply, GraphError> {
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|_| GraphError::parameter("The parameter calling is required."))?;
    let Some(Value::Object(wish)) = body.get("calling").cloned() else {
        return Err(GraphError::parameter("The parameter calling is required."));
    };
    let mut state = cloud.state();
    match state.faults.calling_code {
        0 => {}
        100 => return Err(GraphError::parameter("Invalid parameter")),
        code => return Err(GraphError::coded(code, "This is what the switch panel was set to.")),
    }
    if state.faults.calling_ignored {
        return Ok(Reply::ok(json!({"success": true})));
    }
    let hears_of_calls = state
        .apps
        .get(&caller.client_id)
        .and_then(|app| app.fields.as_ref())
        .is_none_or(|fields| fields.iter().any(|field| field == "calls"));
    let Some((index, phone)) = state.phone(id) else { return Err(GraphError::no_object("post", id)) };
    let limit = phone.node.get("messaging_limit").and_then(Value::as_u64);
    let next = changed(&phone.calling, &wish, &caller.client_id)?;
    if next.enabled() && limit.is_some_and(|limit| limit < 2000) {
        return Err(GraphError::coded(138015, "The messaging limit of the number is below 2000."));
    }
    if next.enabled() && !next.sip_enabled() && !hears_of_calls {
        return Err(GraphError::coded(138018, "Subscribe the field calls or set a SIP server."));
    }
    let mut next = next;
    if let Some((_, password)) = next.servers.get_mut(&caller.client_id)
        && password.is_empty()
    {
        *password = hex::encode(state.rng.bytes::<16>());
    }
    let (waba_id, settings) = match state.phones.get_mut(index) {
        Some(phone) => {
            phone.calling = next;
            (phone.waba_id.clone(), settings_value(phone))
        }
        None => return Err(GraphError::no_object("post", id)),
    };
    let time = Some(state.now(cloud.clock()).timestamp());
    state.queue(Update {
        waba_id,
        phone_number_id: Some(id.to_owned()),
        field: "account_settings_update".to_owned(),
        value: settings,
        time,
        done: None,
    });
    Ok(Reply::ok(json!({"success": true})))
}

/// The webhook about changed settings; no servers in it.
fn settings_value(phone: &Phone) -> Value {
    let mut calling = map(phone.calling.shown(None));
    let sip_status = calling.get("sip").and_then(|sip| sip.get("status")).cloned();
    calling.insert("sip".into(), json!({ "status": sip_status }));
    json!({
        "messaging_product": "whatsapp", "type": "phone_number_settings",
        "phone_number_settings": {"phone_number_id": phone.id, "calling": calling},
    })
}

/// The settings after a POST of an app.
fn changed(now: &Calling, wish: &Map<String, Value>, app: &str) -> Result<Calling, GraphError> {
    let mut next = now.clone();
    for (key, value) in wish {
        match key.as_str() {
            "status" => one_of(key, value, &["ENABLED", "DISABLED"])?,
            "srtp_key_exchange_protocol" => one_of(key, value, &["DTLS", "SDES"])?,
            "callback_permission_status" => one_of(key, value, &["ENABLED", "DISABLED"])?,
            "sip" => {
                let Some(sip) = value.as_object() else {
                    return Err(GraphError::parameter("(sip) must be an object."));
                };
                change_sip(&mut next, sip, app)?;
                continue;
            }
            "call_icon_visibility" | "call_icons" | "call_hours" | "audio" | "voicemail" => {}
            _ => return Err(GraphError::parameter(format!("Unexpected key \"{key}\" on param calling."))),
        }
        next.fields.insert(key.clone(), value.clone());
    }
    if next.sip_enabled() && next.servers.is_empty() {
        return Err(GraphError::parameter("(sip.servers) must hold a server while SIP is enabled."));
    }
    Ok(next)
}

fn change_sip(next: &mut Calling, wish: &Map<String, Value>, app: &str) -> Result<(), GraphError> {
    let mut sip = map(next.fields.remove("sip").unwrap_or_default());
    for (key, value) in wish {
        match key.as_str() {
            "status" | "webhook_delivery" => one_of(key, value, &["ENABLED", "DISABLED"])?,
            "servers" => {
                let servers = value.as_array().map(Vec::as_slice).unwrap_or_default();
                match servers {
                    [] => {
                        next.servers.remove(app);
                    }
                    [server] => {
                        let password = next.servers.remove(app).map(|(_, password)| password);
                        next.servers.insert(app.to_owned(), (checked(server)?, password.unwrap_or_default()));
                    }
                    _ => return Err(GraphError::parameter("(sip.servers) takes one server.")),
                }
                continue;
            }
            _ => return Err(GraphError::parameter(format!("Unexpected key \"{key}\" on param sip."))),
        }
        sip.insert(key.clone(), value.clone());
    }
    next.fields.insert("sip".into(), Value::Object(sip));
    Ok(())
}

/// A server: a DNS name, a port, short parameters of the addresses.
fn checked(server: &Value) -> Result<Value, GraphError> {
    let name = server.get("hostname").and_then(Value::as_str).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let is_name = name.contains('.') && name.chars().all(plain) && name.parse::<std::net::IpAddr>().is_err();
    if !is_name {
        return Err(GraphError::parameter("(sip.servers[0].hostname) must be a host name."));
    }
    let port = server.get("port").map_or(Some(5061), Value::as_u64);
    let port = port.filter(|port| (1..=65535).contains(port));
    let port = port.ok_or_else(|| GraphError::parameter("(sip.servers[0].port) must be a port."))?;
    let mut shown = map(json!({"hostname": name, "port": port}));
    if let Some(params) = server.get("request_uri_user_params").and_then(Value::as_object) {
        let long = |text: &str| text.chars().count() > PARAM_LENGTH;
        if params.iter().any(|(key, value)| long(key) || value.as_str().is_none_or(long)) {
            return Err(GraphError::parameter("(request_uri_user_params) is too long."));
        }
        shown.insert("request_uri_user_params".into(), Value::Object(params.clone()));
    }
    Ok(Value::Object(shown))
}

fn one_of(key: &str, value: &Value, words: &[&str]) -> Result<(), GraphError> {
    match value.as_str() {
        Some(word) if words.contains(&word) => Ok(()),
        _ => Err(GraphError::parameter(format!("({key}) must be one of {}.", words.join(", ")))),
    }
}

/// `GET /{phone}/call_permissions` (facts §3.3).
pub(super) fn permissions(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
    let who = call.query.get("user_wa_id").or_else(|| call.query.get("recipient"));
    let who = who.ok_or_else(|| GraphError::parameter("The parameter user_wa_id is required."))?;
    let state = cloud.state();
    let Some((phone, _)) = state.phone(id) else { return Err(GraphError::no_object("get", id)) };
    let now = state.now(cloud.clock()).timestamp();
    let given = state.customer(who).and_then(|customer| state.call_permissions.get(&(phone, customer)));
    let given = given.copied().unwrap_or_default().at(now);
    let permission = match given {
        SimPermission::None => json!({"status": "no_permission"}),
        SimPermission::Temporary(until) => json!({"status": "temporary", "expiration_time": until}),
        SimPermission::Permanent => json!({"status": "permanent"}),
    };
    let limit =
        |(period, most): (&str, u32)| json!({"time_period": period, "max_allowed": most, "current_usage": 0});
    Ok(Reply::ok(json!({
        "messaging_product": "whatsapp",
        "permission": permission,
        "actions": [
            {"action_name": "send_call_permission_request",
             "can_perform_action": given != SimPermission::Permanent, "limits": REQUESTS.map(limit)},
            {"action_name": "start_call", "can_perform_action": given != SimPermission::None,
             "limits": [limit(("PT24H", CALLS_A_DAY))]},
        ],
    })))
}

/// `POST /{phone}/calls`: not in SIP mode.
pub(super) fn start_by_graph(cloud: &SimCloud, id: &str) -> GraphError {
    let sip = cloud.state().phone(id).is_some_and(|(_, phone)| phone.calling.sip_enabled());
    match sip {
        true => GraphError::coded(131055, "Graph calls are not allowed while SIP is enabled."),
        false => GraphError::coded(138000, "Calling is not enabled for this number."),
    }
}

impl SimCloud {
    /// `calling` of a number as Meta has it, without passwords.
    pub fn calling(&self, phone_number_id: &str) -> Value {
        self.state().phone(phone_number_id).map(|(_, phone)| phone.calling.shown(None)).unwrap_or_default()
    }

    /// The SIP password that was made for an app's server of a number.
    pub fn sip_password(&self, phone_number_id: &str, client_id: &str) -> Option<String> {
        let state = self.state();
        let (_, phone) = state.phone(phone_number_id)?;
        phone.calling.servers.get(client_id).map(|(_, password)| password.clone())
    }

    /// Whether a customer permits calls from a number.
    pub fn set_call_permission(
        &self,
        phone_number_id: &str,
        customer: &SimCustomer,
        permission: SimPermission,
    ) {
        {
            let mut state = self.state();
            let customer = state.meet(customer);
            let Some((phone, _)) = state.phone(phone_number_id) else { return };
            state.call_permissions.insert((phone, customer), permission);
        }
        self.touch();
    }

    /// Whether a customer permits calls from a number, as of now.
    pub fn call_permission(&self, phone_number_id: &str, customer: &SimCustomer) -> SimPermission {
        let state = self.state();
        let now = state.now(self.clock()).timestamp();
        let key = customer.user_id.as_deref().or(customer.wa_id.as_deref()).unwrap_or_default();
        let given = state.phone(phone_number_id).zip(state.customer(key));
        let given = given.and_then(|((phone, _), customer)| state.call_permissions.get(&(phone, customer)));
        given.copied().unwrap_or_default().at(now)
    }

    /// Whom a number or user id belongs to; `None`: nobody on WhatsApp.
    pub fn customer_of(&self, key: &str) -> Option<SimCustomer> {
        let state = self.state();
        state.customer(key).and_then(|index| state.customers.get(index)).map(|known| known.seen.clone())
    }

    /// The customer answers a request to be called (facts §5.3): the permission changes, and the business is
    /// told. Gives the message's id.
    pub fn customer_answers_call_request(
        &self,
        phone_number_id: &str,
        customer: &SimCustomer,
        permission: SimPermission,
    ) -> String {
        self.set_call_permission(phone_number_id, customer, permission);
        let mut reply = map(json!({
            "response": if permission == SimPermission::None { "reject" } else { "accept" },
            "is_permanent": permission == SimPermission::Permanent,
            "response_source": "user_action",
        }));
        if let SimPermission::Temporary(until) = permission {
            reply.insert("expiration_timestamp".into(), until.into());
        }
        let message = json!({
            "type": "interactive",
            "interactive": {"type": "call_permission_reply", "call_permission_reply": reply},
        });
        self.customer_sends(phone_number_id, customer, message)
    }

    /// A new id of a call.
    pub fn new_wacid(&self, customer: &SimCustomer) -> String {
        let person = customer.wa_id.clone().or(customer.user_id.clone()).unwrap_or_default();
        self.state().rng.wamid(&person, false).replacen("wamid.", "wacid.", 1)
    }

    /// Tells `call_created` of a call of a customer's (`inbound`) or to a customer, if the number's settings
    /// want that.
    pub fn call_created(&self, phone_number_id: &str, customer: &SimCustomer, wacid: &str, inbound: bool) {
        self.tell_call(phone_number_id, customer, wacid, inbound, json!({"event": "call_created"}));
    }

    /// Tells `terminate`: with seconds if it was picked up, else as failed; with these errors.
    pub fn call_terminated(
        &self,
        phone_number_id: &str,
        customer: &SimCustomer,
        wacid: &str,
        inbound: bool,
        seconds: Option<i64>,
        errors: &[u32],
    ) {
        let now = self.now().timestamp();
        let mut call = map(json!({
            "event": "terminate", "status": if seconds.is_some() { "COMPLETED" } else { "FAILED" },
        }));
        if let Some(seconds) = seconds {
            call.insert("start_time".into(), (now - seconds).to_string().into());
            call.insert("end_time".into(), now.to_string().into());
            call.insert("duration".into(), seconds.into());
        }
        if !errors.is_empty() {
            let errors: Vec<Value> = errors.iter().map(|code| webhook_error(*code, "Of the call.")).collect();
            call.insert("errors".into(), errors.into());
        }
        self.tell_call(phone_number_id, customer, wacid, inbound, Value::Object(call));
    }

    fn tell_call(
        &self,
        phone_number_id: &str,
        customer: &SimCustomer,
        wacid: &str,
        inbound: bool,
        more: Value,
    ) {
        {
            let mut state = self.state();
            state.meet(customer);
            let Some((_, phone)) = state.phone(phone_number_id) else { return };
            if !phone.calling.tells_of_calls() {
                return;
            }
            let (display, waba_id) = (phone.display_digits(), phone.waba_id.clone());
            let now = state.now(self.clock()).timestamp();
            let person = customer.wa_id.as_deref().map(digits).unwrap_or_default();
            let (from, to) = if inbound { (person, display.clone()) } else { (display.clone(), person) };
            let mut call = map(json!({
                "id": wacid, "from": from, "to": to, "timestamp": now.to_string(),
                "direction": if inbound { "USER_INITIATED" } else { "BUSINESS_INITIATED" },
            }));
            if let (Some(user_id), key) =
                (&customer.user_id, if inbound { "from_user_id" } else { "to_user_id" })
            {
                call.insert(key.into(), user_id.as_str().into());
            }
            call.extend(map(more));
            let mut value = value_of(phone_number_id, &display);
            value.insert("contacts".into(), json!([contact(customer, true)]));
            value.insert("calls".into(), json!([call]));
            state.queue(Update {
                waba_id,
                phone_number_id: Some(phone_number_id.to_owned()),
                field: "calls".to_owned(),
                value: Value::Object(value),
                time: Some(now),
                done: None,
            });
        }
        self.touch();
    }
}
