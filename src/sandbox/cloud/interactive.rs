//! Form and limits of interactive messages (whatsapp facts §2.4). Pure.

use std::collections::HashSet;

use serde_json::Value;

use super::errors::GraphError;
use super::validate::{Send, at_most, media, missing, needed, wrong};

/// Checks `interactive` (facts §2.4); the ids of header files are added to `send`.
pub(super) fn check(object: &Value, send: &mut Send) -> Result<(), GraphError> {
    let kind = needed(object, "type", "interactive['type']")?;
    let action = object.get("action").ok_or_else(|| missing("interactive['action']"))?;
    let body = object.pointer("/body/text").and_then(Value::as_str);
    if let Some(header) = object.get("header") {
        let form = needed(header, "type", "interactive['header']['type']")?;
        if kind == "list" && form != "text" {
            return Err(wrong("A list has a text header only."));
        }
        match form {
            "text" => at_most(needed(header, "text", "header['text']")?, 60, "header['text']")?,
            "image" | "video" | "document" => {
                media(form, header.get(form).ok_or_else(|| missing(form))?, send)?;
            }
            _ => return Err(wrong("interactive['header']['type']")),
        }
    }
    if let Some(footer) = object.pointer("/footer/text").and_then(Value::as_str) {
        at_most(footer, 60, "footer['text']")?;
    }
    if !matches!(kind, "catalog_message" | "product" | "carousel") || body.is_some() {
        let body =
            body.filter(|body| !body.is_empty()).ok_or_else(|| missing("interactive['body']['text']"))?;
        at_most(body, if kind == "list" { 4096 } else { 1024 }, "body['text']")?;
    }
    match kind {
        "button" => buttons(action),
        "list" => list(action),
        "cta_url" => {
            let label = action.pointer("/parameters/display_text").and_then(Value::as_str);
            at_most(label.ok_or_else(|| missing("display_text"))?, 20, "display_text")?;
            let url = action.pointer("/parameters/url").and_then(Value::as_str).unwrap_or_default();
            if url.starts_with("http") { Ok(()) } else { Err(wrong("action['parameters']['url']")) }
        }
        "flow"
        | "location_request_message"
        | "voice_call"
        | "call_permission_request"
        | "catalog_message"
        | "product"
        | "product_list"
        | "address_message"
        | "carousel"
        | "request_contact_info" => Ok(()),
        _ => Err(wrong("interactive['type']")),
    }
}

fn buttons(action: &Value) -> Result<(), GraphError> {
    let all = action.get("buttons").and_then(Value::as_array).ok_or_else(|| missing("action['buttons']"))?;
    if !(1..=3).contains(&all.len()) {
        return Err(wrong("There must be 1 to 3 buttons."));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in all {
        let reply = button.get("reply").ok_or_else(|| missing("button['reply']"))?;
        let id = needed(reply, "id", "reply['id']")?;
        let title = needed(reply, "title", "reply['title']")?;
        at_most(id, 256, "reply['id']")?;
        at_most(title, 20, "reply['title']")?;
        if id.trim() != id || !ids.insert(id) || !titles.insert(title) {
            return Err(wrong("Ids and titles of buttons must be unique, ids without spaces around them."));
        }
    }
    Ok(())
}

fn list(action: &Value) -> Result<(), GraphError> {
    at_most(needed(action, "button", "action['button']")?, 20, "action['button']")?;
    let sections =
        action.get("sections").and_then(Value::as_array).ok_or_else(|| missing("action['sections']"))?;
    if !(1..=10).contains(&sections.len()) {
        return Err(wrong("There must be 1 to 10 sections."));
    }
    let mut ids = HashSet::new();
    for section in sections {
        match section.get("title").and_then(Value::as_str) {
            Some(title) => at_most(title, 24, "section['title']")?,
            None if sections.len() > 1 => return Err(missing("section['title']")),
            None => {}
        }
        for row in section.get("rows").and_then(Value::as_array).ok_or_else(|| missing("section['rows']"))? {
            let id = needed(row, "id", "row['id']")?;
            at_most(id, 200, "row['id']")?;
            at_most(needed(row, "title", "row['title']")?, 24, "row['title']")?;
            at_most(row.get("description").and_then(Value::as_str).unwrap_or_default(), 72, "description")?;
            if !ids.insert(id) {
                return Err(wrong("Ids of rows must be unique."));
            }
        }
    }
    if ids.is_empty() || ids.len() > 10 { Err(wrong("There must be 1 to 10 rows in total.")) } else { Ok(()) }
}
