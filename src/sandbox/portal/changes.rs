//! Messages of a connector changed, removed and acknowledged (bitrix24 facts §3.10–§3.12).

use serde_json::{Value, json};

use super::Inner;
use super::imconnector::require_working;
use super::messages::{NOT_ALL_DATA, envelope, field, refused};
use super::rest::{Args, RestError, fail, text};
use super::state::{LineEntry, State};
use super::text::shown_text;

/// All methods on messages but `send`.
pub(super) fn call(inner: &Inner, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "imconnector.update.messages" | "imconnector.delete.messages" => change(inner, method, args),
        "imconnector.send.status.delivery" => delivered(inner, args),
        // A no-op at the real portal as well.
        "imconnector.send.status.reading" => {
            envelope(args)?;
            Ok(json!({"SUCCESS": true, "DATA": []}))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

/// update.messages and delete.messages: success even when nothing matched.
fn change(inner: &Inner, method: &str, args: &Args) -> Result<Value, RestError> {
    let (connector, line, items) = envelope(args)?;
    let mut state = inner.state();
    require_working(&state, &connector, line)?;
    let delete = method.starts_with("imconnector.delete");
    let mut results = Vec::with_capacity(items.len());
    for item in &items {
        let ids = (field(item, "/user/id"), field(item, "/message/id"), field(item, "/chat/id"));
        let body = field(item, "/message/text");
        let (Some(user), Some(mid), Some(chat)) = ids else {
            results.push(refused(item, NOT_ALL_DATA));
            continue;
        };
        if !delete && body.is_none() {
            results.push(refused(item, NOT_ALL_DATA));
            continue;
        }
        if let Some(entry) = by_mid(&mut state, &connector, line, &user, &chat, &mid) {
            if delete {
                entry.deleted = true;
            } else {
                entry.text = shown_text(&body.unwrap_or_default());
                entry.edited = true;
            }
        }
        let mut answer = item.clone();
        if let Some(map) = answer.as_object_mut() {
            map.insert("SUCCESS".to_owned(), json!(true));
        }
        results.push(answer);
    }
    Ok(json!({"SUCCESS": true, "DATA": {"RESULT": results}}))
}

fn by_mid<'a>(
    state: &'a mut State,
    connector: &str,
    line: u64,
    user: &str,
    chat: &str,
    mid: &str,
) -> Option<&'a mut LineEntry> {
    let client = *state.users_by_xml_id.get(&format!("{connector}|{user}"))?;
    let id = [client, 0]
        .into_iter()
        .find_map(|part| state.chats_by_code.get(&format!("{connector}|{line}|{chat}|{part}")).copied())?;
    let chat = state.chats.get_mut(&id)?;
    chat.entries.iter_mut().rev().find(|entry| entry.connector_mids.iter().any(|known| known == mid))
}

/// Clears the spinner and stores the ids, the first time only; unknown ids do nothing.
fn delivered(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let (_, _, items) = envelope(args)?;
    let mut state = inner.state();
    for item in &items {
        let id = field(item, "/im/message_id").and_then(|id| id.parse().ok()).unwrap_or(0);
        let Some(entry) = state.entry_mut(id).filter(|entry| entry.sending) else { continue };
        entry.sending = false;
        // Ids that are no array are not stored.
        let mids = item.pointer("/message/id").and_then(Value::as_array);
        entry.connector_mids.extend(mids.into_iter().flatten().filter_map(text));
    }
    Ok(json!({"SUCCESS": true, "DATA": []}))
}
