//! What Meta tells of templates by webhook: stored at once; what it does not tell whole is read anew.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::WabaId;
use crate::store::templates::{self, TemplateRow};
use crate::store::{StoreError, Tx, wabas};
use crate::whatsapp::notification::{TemplateNews, TemplateRef};

/// Applies news of a template of one of these apps' accounts.
pub fn apply(
    tx: &mut Tx<'_>,
    apps: &[String],
    waba_id: &WabaId,
    template: &TemplateRef,
    news: &TemplateNews,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(waba) = wabas::by_waba_id(tx.conn, waba_id.as_str())? else { return Ok(()) };
    if !apps.contains(&waba.app_id) {
        return Ok(());
    }
    let by_id = templates::by_meta_id(tx.conn, &waba.id, &template.id)?;
    let known = match by_id {
        Some(row) => Some(row),
        None => templates::by_name(tx.conn, &waba.id, &template.name, &template.language)?,
    };
    let Some(row) = known else {
        // Somebody made it in WhatsApp Manager.
        return templates::want_sync(tx.conn, &waba.id, now);
    };
    let old = row.clone();
    let row = TemplateRow { updated_at: now.naive_utc(), ..row };
    match news {
        TemplateNews::Status { event, .. } if event == "DELETED" => {
            templates::delete(tx.conn, &row.id).map(drop)
        }
        TemplateNews::Status { event, reason, category } => {
            let status = if event == "REINSTATED" { "APPROVED" } else { event.as_str() };
            tracing::info!(template = row.name, status, "Meta changed the state of a template");
            let category = category.clone().unwrap_or(old.category);
            let row = TemplateRow { status: status.to_owned(), reason: reason.clone(), category, ..row };
            templates::update(tx.conn, &row).map(drop)
        }
        TemplateNews::Quality(quality) => {
            let row = TemplateRow { quality: Some(quality.clone()), ..row };
            templates::update(tx.conn, &row).map(drop)
        }
        TemplateNews::Category { now, next } => {
            let category = now.clone().unwrap_or_else(|| old.category.clone());
            let next_category = next.clone().filter(|next| *next != category);
            let (moved_from, moved_at) = old.moves(&category, row.updated_at);
            let row = TemplateRow { category, next_category, moved_from, moved_at, ..row };
            templates::update(tx.conn, &row).map(drop)
        }
        TemplateNews::Components { .. } => {
            let row = TemplateRow { components: with_texts(&old.components, news), ..row };
            templates::update(tx.conn, &row)?;
            // Examples and media headers are not told.
            templates::want_sync(tx.conn, &old.waba_key, now)
        }
    }
}

/// The stored components with the texts and buttons that Meta told.
fn with_texts(stored: &str, news: &TemplateNews) -> String {
    let TemplateNews::Components { header, body, footer, buttons } = news else { return stored.to_owned() };
    let mut components: Vec<Value> = serde_json::from_str(stored).unwrap_or_default();
    for (kind, text) in [("HEADER", header), ("BODY", body), ("FOOTER", footer)] {
        let Some(text) = text else { continue };
        let place = components.iter_mut().find(|component| is(component, "type", kind));
        match place.and_then(Value::as_object_mut) {
            // A media header has no text; what came as its title is none.
            Some(known) if kind == "HEADER" && known.get("text").is_none() => {}
            Some(known) => {
                known.insert("text".into(), text.as_str().into());
            }
            None if kind == "HEADER" => {
                components.insert(0, json!({"type": "HEADER", "format": "TEXT", "text": text}));
            }
            None => components.push(json!({"type": kind, "text": text})),
        }
    }
    if !buttons.is_empty() {
        components.retain(|component| !is(component, "type", "BUTTONS"));
        components.push(json!({"type": "BUTTONS", "buttons": buttons}));
    }
    Value::Array(components).to_string()
}

fn is(value: &Value, key: &str, word: &str) -> bool {
    value.get(key).and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_webhook_take_the_place_of_the_stored_ones() {
        let stored = json!([{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "old {{1}}",
            "example": {"body_text": [["a"]]}}, {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY"}]}]);
        let news = TemplateNews::Components {
            header: Some("title".into()),
            body: Some("new {{1}}".into()),
            footer: Some("bye".into()),
            buttons: vec![json!({"type": "URL", "text": "x"})],
        };
        let components: Value = serde_json::from_str(&with_texts(&stored.to_string(), &news)).unwrap();
        assert_eq!(
            components,
            json!([{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "new {{1}}",
                "example": {"body_text": [["a"]]}}, {"type": "FOOTER", "text": "bye"},
                {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "x"}]}])
        );
    }
}
