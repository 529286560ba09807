//! Connectors and their state on lines (bitrix24 facts §3.1–§3.7).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Inner;
use super::events::Event;
use super::rest::{Args, Caller, RestError, fail, missing, text};
use super::state::{Connector, State, Status};

/// Flags of `register` with their defaults.
const FLAGS: [(&str, bool); 7] = [
    ("DEL_EXTERNAL_MESSAGES", true),
    ("EDIT_INTERNAL_MESSAGES", true),
    ("DEL_INTERNAL_MESSAGES", true),
    ("NEWSLETTER", true),
    ("NEED_SYSTEM_MESSAGES", true),
    ("NEED_SIGNATURE", true),
    ("CHAT_GROUP", false),
];

pub(super) fn call(inner: &Inner, caller: &Caller, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "imconnector.register" => Ok(logical(register(inner, caller, args))),
        "imconnector.unregister" => Ok(logical(unregister(inner, caller, args))),
        "imconnector.activate" => activate(inner, args),
        "imconnector.connector.data.set" => set_data(inner, args),
        "imconnector.status" => status(inner, args),
        "imconnector.list" => list(inner, caller),
        "imconnector.set.error" => set_error(inner, args),
        "imconnector.chat.name.set" => set_chat_name(inner, args),
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

/// Refusals of register and unregister come with HTTP 200 and `result:false`.
fn logical(outcome: Result<(), (&str, &str)>) -> Value {
    match outcome {
        Ok(()) => json!({"result": true}),
        Err((code, text)) => json!({"result": false, "error": code, "error_description": text}),
    }
}

fn register(inner: &Inner, caller: &Caller, args: &Args) -> Result<(), (&'static str, &'static str)> {
    let id = args.text("ID").ok_or(("CONNECTOR_ID_REQUIRED", "The connector ID is required"))?.to_lowercase();
    if id.contains('.') {
        return Err(("APPLICATION_REGISTRATION_ERROR_POINT", "The connector ID must not contain a dot"));
    }
    if !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Err(("GENERAL_CONNECTOR_REGISTRATION_ERROR", "The connector ID has wrong characters"));
    }
    let name = args.text("NAME").ok_or(("NAME_REQUIRED", "The connector name is required"))?;
    let icon = args.get("ICON").get("DATA_IMAGE").and_then(Value::as_str).unwrap_or_default();
    if icon.is_empty() {
        return Err(("ICON_REQUIRED", "The connector icon is required"));
    }
    let placement_handler = args
        .text("PLACEMENT_HANDLER")
        .ok_or(("NO_PLACEMENT_HANDLER", "The handler of the settings page is required"))?;
    let flags = FLAGS.map(|(flag, default)| (flag, flag_of(args.get(flag)).unwrap_or(default)));
    let connector = Connector {
        client_id: caller.client_id.clone(),
        name,
        placement_handler,
        flags: BTreeMap::from(flags),
    };
    // No check of the owner: another application that registers the same id takes it over.
    inner.state().connectors.insert(id, connector);
    Ok(())
}

/// What the portal's boolean field accepts.
fn flag_of(value: &Value) -> Option<bool> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "1" | "true" | "y" => Some(true),
        "0" | "false" | "n" | "" => Some(false),
        _ => None,
    }
}

fn unregister(inner: &Inner, caller: &Caller, args: &Args) -> Result<(), (&'static str, &'static str)> {
    let refused = ("APPLICATION_UNREGISTRATION_ERROR", "The connector could not be removed");
    let id = args.text("ID").ok_or(refused)?.to_lowercase();
    let mut state = inner.state();
    if state.connectors.get(&id).is_none_or(|connector| connector.client_id != caller.client_id) {
        return Err(refused);
    }
    let lines: Vec<u64> =
        state.statuses.keys().filter(|(code, _)| *code == id).map(|(_, line)| *line).collect();
    for line in lines {
        disconnect(inner, &mut state, &id, line, Some(caller.user_id));
    }
    state.connectors.remove(&id);
    Ok(())
}

fn activate(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let connector = args.required("CONNECTOR")?;
    let line = args.required_int("LINE")?;
    let active = match args.get("ACTIVE") {
        Value::Null => return Err(missing("ACTIVE")),
        // As PHP's `empty`: "N" is not empty and so enables.
        given => !matches!(text(given).as_deref(), None | Some("" | "0")),
    };
    let mut state = inner.state();
    if !state.connectors.contains_key(&connector) {
        return Err(fail(400, "IMCONNECTOR_NO_CORRECT_PROVIDER", "Failed to find a suitable provider"));
    }
    if active {
        let status = state.statuses.entry((connector, line)).or_default();
        *status = Status { active: true, error: false, data: std::mem::take(&mut status.data) };
    } else {
        disconnect(inner, &mut state, &connector, line, None);
    }
    Ok(json!(true))
}

/// Deletes the status row and tells the application, also one that asked for it.
pub(super) fn disconnect(inner: &Inner, state: &mut State, connector: &str, line: u64, user: Option<u64>) {
    if state.statuses.remove(&(connector.to_owned(), line)).is_none() {
        return;
    }
    let owner = state.connectors.get(connector).map(|connector| connector.client_id.clone());
    let event = Event {
        name: "ONIMCONNECTORSTATUSDELETE",
        client_id: owner.as_deref(),
        data: json!({"connector": connector, "line": line}),
        user: user.or(Some(super::state::ADMIN)),
        lane: "",
        messages: Vec::new(),
    };
    inner.queue(state, event);
}

fn set_data(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let connector = args.required("CONNECTOR")?;
    let line = args.required_int("LINE")?;
    let Value::Object(data) = args.get("DATA") else { return Err(missing("DATA")) };
    let given: Map<String, Value> = data
        .iter()
        .map(|(key, value)| (key.to_uppercase(), value.clone()))
        .filter(|(_, value)| text(value).is_some_and(|text| !text.is_empty()))
        .collect();
    // Merged with the old data, as the source does; the docs say overwritten.
    inner.state().statuses.entry((connector, line)).or_default().data.extend(given);
    Ok(json!(true))
}

fn status(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let connector = args.required("CONNECTOR")?;
    let line = args.int("LINE").unwrap_or(0);
    let state = inner.state();
    let status = state.statuses.get(&(connector.clone(), line)).cloned().unwrap_or_default();
    Ok(json!({"LINE": line, "CONNECTOR": connector, "ERROR": status.error,
              "CONFIGURED": status.active, "STATUS": status.active && !status.error}))
}

fn list(inner: &Inner, caller: &Caller) -> Result<Value, RestError> {
    if !caller.admin {
        return Err(fail(400, "ACCESS_DENIED", "You dont have access to this action"));
    }
    let state = inner.state();
    let mut all = Map::from_iter([("livechat".to_owned(), json!("Live Chat"))]);
    all.extend(state.connectors.iter().map(|(code, connector)| (code.clone(), json!(connector.name))));
    Ok(Value::Object(all))
}

fn set_error(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let key = (args.required("CONNECTOR")?, args.required_int("LINE")?);
    if let Some(status) = inner.state().statuses.get_mut(&key) {
        status.error = true;
    }
    Ok(json!({"SUCCESS": true, "DATA": []}))
}

fn set_chat_name(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let connector = args.required("CONNECTOR")?;
    let line = args.required_int("LINE")?;
    let chat_id = args.required("CHAT_ID")?;
    let name = args.required("NAME")?;
    let mut state = inner.state();
    require_working(&state, &connector, line)?;
    let group = state.connectors.get(&connector).is_some_and(|connector| connector.flag("CHAT_GROUP"));
    let client = if group {
        0
    } else {
        let xml_id = format!("{connector}|{}", args.required("USER_ID")?);
        state.users_by_xml_id.get(&xml_id).copied().unwrap_or(u64::MAX)
    };
    let code = format!("{connector}|{line}|{chat_id}|{client}");
    let chat = state.chats_by_code.get(&code).copied().and_then(|id| state.chats.get_mut(&id));
    let chat = chat.ok_or_else(|| fail(400, "CHAT_RENAMING_FAILED", "Failed to rename the chat"))?;
    chat.name = name;
    Ok(json!({"SUCCESS": true, "DATA": {"RESULT": {}}}))
}

/// The checks that all calls on messages begin with.
pub(super) fn require_working(state: &State, connector: &str, line: u64) -> Result<(), RestError> {
    if !state.connectors.contains_key(connector) {
        return Err(fail(400, "IMCONNECTOR_NO_CORRECT_PROVIDER", "Failed to find a suitable provider"));
    }
    if !state.line_works(connector, line) {
        return Err(fail(400, "NOT_ACTIVE_LINE", "Line with this ID is not active or does not exist"));
    }
    Ok(())
}
