//! SMS providers of the CRM (bitrix24 facts §6).

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::events::Event;
use super::rest::{Args, Caller, RestError, fail};
use super::state::{Sms, SmsSender};
use super::system::check_handler;
use super::{Inner, SimPortal, form};

const STATUSES: [&str; 5] = ["queued", "sent", "delivered", "undelivered", "failed"];

pub(super) fn call(inner: &Inner, caller: &Caller, method: &str, args: &Args) -> Result<Value, RestError> {
    if !caller.admin {
        return Err(fail(403, "ACCESS_DENIED", "Access denied!"));
    }
    let mine = |code: String| (caller.client_id.clone(), code);
    match method {
        "messageservice.sender.add" => add(inner, caller, args),
        "messageservice.sender.update" => update(inner, caller, args),
        "messageservice.sender.delete" => {
            let key = mine(args.text("CODE").ok_or_else(code_required)?);
            inner.state().sms_senders.remove(&key).ok_or_else(not_found)?;
            Ok(json!(true))
        }
        "messageservice.sender.list" => {
            let state = inner.state();
            let senders = state.sms_senders.values().zip(state.sms_senders.keys());
            Ok(senders
                .filter(|(sender, _)| sender.client_id == caller.client_id)
                .map(|(_, (_, code))| json!(code))
                .collect())
        }
        "messageservice.message.status.update" => {
            let (code, status) = (args.required("CODE")?, args.required("STATUS")?);
            let message = args.required("MESSAGE_ID")?;
            if !STATUSES.contains(&status.as_str()) {
                return Err(fail(400, "ERROR_MESSAGE_STATUS_INCORRECT", "Message status incorrect!"));
            }
            let (now, mut state) = (inner.options.clock.now(), inner.state());
            let sms = state.sms.get_mut(&message).filter(|sms| sms.written <= now);
            let sms = sms.filter(|sms| sms.client_id == caller.client_id && sms.code == code);
            let sms = sms.ok_or_else(|| fail(400, "ERROR_MESSAGE_NOT_FOUND", "Message not found!"))?;
            sms.statuses.push(status);
            Ok(json!(true))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

fn code_required() -> RestError {
    fail(400, "ERROR_SENDER_CODE_REQUIRED", "Sender code is required!")
}

fn not_found() -> RestError {
    fail(400, "ERROR_SENDER_NOT_FOUND", "Sender not found!")
}

fn add(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let invalid = |text: &str| fail(400, "ERROR_SENDER_VALIDATION_FAILURE", text);
    let code = args.text("CODE").ok_or_else(|| invalid("Empty sender code!"))?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    if code.chars().count() > 128 || !code.chars().all(allowed) {
        return Err(invalid("Wrong sender code!"));
    }
    if args.text("TYPE").as_deref() != Some("SMS") {
        return Err(invalid("Unknown sender type!"));
    }
    let handler = args.text("HANDLER").ok_or_else(|| invalid("Empty sender handler!"))?;
    check_handler(&handler)?;
    if args.get("NAME").is_null() {
        return Err(invalid("Empty sender name!"));
    }
    let sender = SmsSender {
        client_id: caller.client_id.clone(),
        handler,
        name: args.get("NAME").clone(),
        description: args.get("DESCRIPTION").clone(),
    };
    let mut state = inner.state();
    let key = (caller.client_id.clone(), code);
    if state.sms_senders.contains_key(&key) {
        return Err(fail(400, "ERROR_SENDER_ALREADY_INSTALLED", "Sender already installed!"));
    }
    state.sms_senders.insert(key, sender);
    Ok(json!(true))
}

fn update(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let code = args.text("CODE").ok_or_else(code_required)?;
    let handler = args.text("HANDLER");
    let (name, description) = (args.get("NAME"), args.get("DESCRIPTION"));
    if handler.is_none() && name.is_null() && description.is_null() {
        return Err(fail(400, "ERROR_SENDER_OTHER_PARAMS_REQUIRED", "Other parameters are required!"));
    }
    handler.as_deref().map_or(Ok(()), check_handler)?;
    let mut state = inner.state();
    let sender = state.sms_senders.get_mut(&(caller.client_id.clone(), code)).ok_or_else(not_found)?;
    if let Some(handler) = handler {
        sender.handler = handler;
    }
    for (slot, given) in [(&mut sender.name, name), (&mut sender.description, description)] {
        if !given.is_null() {
            *slot = given.clone();
        }
    }
    Ok(json!(true))
}

impl SimPortal {
    /// The CRM sends an SMS through a sender: posts to its handler like an event, once. Without an author
    /// (robots) the `auth` block is absent (bitrix24 facts §6.2). Gives the message id, `None` if no
    /// application has a sender with this code.
    pub fn send_sms(&self, code: &str, to: &str, body: &str, author: Option<u64>) -> Option<String> {
        let inner = &self.inner;
        let id = Uuid::new_v4().simple().to_string();
        {
            let mut state = inner.state();
            let found = state.sms_senders.iter().find(|((_, known), _)| known == code);
            let (client_id, handler) = found.map(|(_, s)| (s.client_id.clone(), s.handler.clone()))?;
            let auth = author.map(|user| inner.auth_block(&mut state, &client_id, Some(user), false));
            let data = json!({
                "module_id": "crm", "bindings": [{"OWNER_TYPE_ID": 3, "OWNER_ID": 123}],
                "properties": {"phone_number": to, "message_text": body}, "type": "SMS", "code": code,
                "message_id": id, "message_to": to, "message_body": body,
                "ts": inner.options.clock.now().timestamp(), "auth": auth,
            });
            let form = form::build(&data);
            let sms = Sms {
                client_id,
                code: code.to_owned(),
                to: to.to_owned(),
                body: body.to_owned(),
                author,
                written: inner.options.clock.now() + TimeDelta::seconds(state.faults.sms_written_late.into()),
                // Handed to the queue = sent, as the portal sees it.
                statuses: vec!["sent".to_owned()],
            };
            state.sms.insert(id.clone(), sms);
            state.sms_order.push(id.clone());
            let event =
                Event { name: "SMS", client_id: None, data, user: author, lane: to, messages: Vec::new() };
            inner.post(&mut state, handler, &event, form);
        }
        inner.changed();
        Some(id)
    }

    /// The state of an SMS as the CRM shows it.
    pub fn sms_status(&self, message_id: &str) -> Option<String> {
        self.inner.state().sms.get(message_id).and_then(|sms| sms.statuses.last().cloned())
    }

    /// Every state that an SMS was in, the newest last; the first is the portal's own.
    pub fn sms_statuses(&self, message_id: &str) -> Vec<String> {
        self.inner.state().sms.get(message_id).map(|sms| sms.statuses.clone()).unwrap_or_default()
    }

    /// How many SMS are in each state.
    pub fn sms_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for status in self.inner.state().sms.values().filter_map(|sms| sms.statuses.last()) {
            *counts.entry(status.clone()).or_default() += 1;
        }
        counts
    }

    /// What the CRM sent, the newest first: `id`, `code`, `to`, `body`, `author`, `status`.
    pub fn sms_list(&self, most: usize) -> Vec<Value> {
        let state = self.inner.state();
        let newest = state.sms_order.iter().rev().take(most);
        newest
            .filter_map(|id| {
                let sms = state.sms.get(id)?;
                Some(json!({"id": id, "code": sms.code, "to": sms.to, "body": sms.body, "author": sms.author,
                            "status": sms.statuses.last()}))
            })
            .collect()
    }
}
