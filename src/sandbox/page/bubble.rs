//! The thread as the phone shows it: edits, deletions and reactions taken into the messages they are about.

use std::collections::HashMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::template;
use crate::sandbox::cloud::{ReceivedMessage, SimStatus};

/// The latest messages that are drawn; a phone scrolls no further back either.
const SHOWN: usize = 300;

/// The bubbles of one customer, oldest first. `customer` is the key in the addresses of files, `templates` are
/// those of the business's account.
pub(super) fn bubbles(customer: &str, thread: &[ReceivedMessage], templates: &[Value]) -> Vec<Value> {
    let shown: Vec<&ReceivedMessage> = thread.iter().filter(|message| message.failed.is_none()).collect();
    let mut about: HashMap<&str, About> = HashMap::new();
    for message in &shown {
        note(&mut about, message);
    }
    let bubbles = shown.iter().filter(|message| !is_about_another(kind_of(message)));
    let skip = bubbles.clone().count().saturating_sub(SHOWN);
    bubbles
        .skip(skip)
        .map(|message| {
            let mut bubble = bubble(customer, message, &shown, about.get(message.wamid.as_str()));
            if let ("template", Some(bubble)) = (kind_of(message), bubble.as_object_mut()) {
                let sent = message.body.get("template").unwrap_or(&Value::Null);
                bubble.insert("text".to_owned(), template::words(sent, templates).into());
                bubble.insert("choices".to_owned(), template::choices(sent, templates).into());
            }
            bubble
        })
        .collect()
}

/// What later messages say about one.
#[derive(Default)]
struct About {
    /// The latest text, when it was edited.
    text: Option<String>,
    deleted: bool,
    customer_reacts: Option<String>,
    business_reacts: Option<String>,
}

fn note<'a>(about: &mut HashMap<&'a str, About>, message: &'a ReceivedMessage) {
    let body = &message.body;
    match kind_of(message) {
        "edit" => {
            let of = about.entry(text(body, "/edit/original_message_id")).or_default();
            let inner = body.pointer("/edit/message").unwrap_or(&Value::Null);
            of.text = Some(words(text(inner, "/type"), inner));
        }
        "revoke" => {
            about.entry(text(body, "/revoke/original_message_id")).or_default().deleted = true;
        }
        "reaction" => {
            let of = about.entry(text(body, "/reaction/message_id")).or_default();
            let emoji = Some(text(body, "/reaction/emoji").to_owned()).filter(|emoji| !emoji.is_empty());
            if message.from_customer {
                of.customer_reacts = emoji;
            } else {
                of.business_reacts = emoji;
            }
        }
        _ => {}
    }
}

fn is_about_another(kind: &str) -> bool {
    matches!(kind, "edit" | "revoke" | "reaction")
}

fn bubble(
    customer: &str,
    message: &ReceivedMessage,
    thread: &[&ReceivedMessage],
    about: Option<&About>,
) -> Value {
    let body = &message.body;
    let kind = kind_of(message);
    let quoted =
        ["/context/id", "/context/message_id"].map(|at| text(body, at)).into_iter().find(|id| !id.is_empty());
    let media = message.media.as_ref().map(|media| {
        let wamid = utf8_percent_encode(&message.wamid, NON_ALPHANUMERIC);
        let customer = utf8_percent_encode(customer, NON_ALPHANUMERIC);
        let name = media.filename.as_deref().or_else(|| body.pointer(&format!("/{kind}/filename"))?.as_str());
        json!({"url": format!("phone/{customer}/{wamid}"), "mime": media.mime, "name": name,
               "size": media.bytes.len()})
    });
    let reactions: Vec<Value> = about
        .map(|about| [(&about.customer_reacts, true), (&about.business_reacts, false)])
        .into_iter()
        .flatten()
        .filter_map(|(emoji, mine)| Some(json!({"emoji": emoji.as_ref()?, "mine": mine})))
        .collect();
    let deleted = about.is_some_and(|about| about.deleted);
    json!({
        "id": message.wamid,
        "mine": message.from_customer,
        "at": message.at,
        "status": message.status,
        "kind": kind,
        "voice": body.pointer("/audio/voice") == Some(&Value::Bool(true)),
        "text": about.and_then(|about| about.text.clone()).unwrap_or_else(|| words(kind, body)),
        "media": media,
        "place": body.get("location"),
        "cards": body.get("contacts"),
        "choices": choices(body),
        "referral": body.get("referral"),
        "quote": quoted.map(|id| quote(id, thread)),
        "reactions": reactions,
        "edited": about.is_some_and(|about| about.text.is_some()),
        "deleted": deleted,
        "heard": message.status == SimStatus::Played,
    })
}

fn quote(id: &str, thread: &[&ReceivedMessage]) -> Value {
    match thread.iter().find(|message| message.wamid == id) {
        Some(message) => {
            let kind = kind_of(message);
            let words = words(kind, &message.body);
            json!({"id": id, "mine": message.from_customer, "kind": kind, "text": words})
        }
        None => json!({"id": id, "mine": false, "kind": "text", "text": "Message not available"}),
    }
}

/// The text of a message, or what it says beside its file.
fn words(kind: &str, body: &Value) -> String {
    let of = |pointer: &str| text(body, pointer).to_owned();
    match kind {
        "text" => of("/text/body"),
        "image" | "video" | "document" => of(&format!("/{kind}/caption")),
        "button" => of("/button/text"),
        "template" => format!("Template “{}”", text(body, "/template/name")),
        "order" => order(body),
        "system" => of("/system/body"),
        "interactive" => ["button_reply/title", "list_reply/title", "nfm_reply/body", "body/text"]
            .map(|at| of(&format!("/interactive/{at}")))
            .into_iter()
            .find(|words| !words.is_empty())
            .unwrap_or_default(),
        "unsupported" => "A message of a kind that businesses do not get (for example a poll)".to_owned(),
        _ => String::new(),
    }
}

fn order(body: &Value) -> String {
    let items = body.pointer("/order/product_items").and_then(Value::as_array);
    let lines = items.into_iter().flatten().map(|item| {
        let plain =
            |key: &str| item.get(key).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        format!(
            "{} × {} — {} {}",
            plain("quantity"),
            plain("product_retailer_id"),
            plain("item_price"),
            plain("currency")
        )
    });
    let note = Some(text(body, "/order/text").to_owned()).filter(|note| !note.is_empty());
    ["Order".to_owned()].into_iter().chain(lines).chain(note).collect::<Vec<_>>().join("\n")
}

/// Buttons and list rows that the business offers.
fn choices(body: &Value) -> Vec<Value> {
    let list = |at: &str| body.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let buttons = list("/interactive/action/buttons");
    let buttons = buttons.iter().filter_map(|button| button.get("reply").cloned()).map(|mut reply| {
        if let Some(reply) = reply.as_object_mut() {
            reply.insert("list".to_owned(), json!(false));
        }
        reply
    });
    let sections = list("/interactive/action/sections");
    let rows = sections.iter().flat_map(|section| section.get("rows").and_then(Value::as_array).cloned());
    let rows = rows.flatten().map(|row| {
        json!({"id": row.get("id"), "title": row.get("title"), "description": row.get("description"), "list": true})
    });
    buttons.chain(rows).collect()
}

/// A send without `type` is a text.
fn kind_of(message: &ReceivedMessage) -> &str {
    message.body.get("type").and_then(Value::as_str).unwrap_or("text")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn message(wamid: &str, from_customer: bool, body: Value) -> ReceivedMessage {
        ReceivedMessage {
            wamid: wamid.to_owned(),
            from_customer,
            to: String::new(),
            body,
            seq: 1,
            at: DateTime::UNIX_EPOCH,
            status: SimStatus::Delivered,
            failed: None,
            media: None,
        }
    }

    #[test]
    fn edits_reactions_and_deletions_are_taken_into_their_message() {
        let thread = [
            message("a", true, json!({"type": "text", "text": {"body": "Helo"}})),
            message("b", false, json!({"text": {"body": "Hi"}, "context": {"message_id": "a"}})),
            message(
                "c",
                true,
                json!({"type": "edit", "edit": {"original_message_id": "a",
                "message": {"type": "text", "text": {"body": "Hello"}}}}),
            ),
            message("d", true, json!({"type": "reaction", "reaction": {"message_id": "b", "emoji": "👍"}})),
            message("e", true, json!({"type": "text", "text": {"body": "x"}})),
            message("f", true, json!({"type": "revoke", "revoke": {"original_message_id": "e"}})),
        ];
        let bubbles = bubbles("k", &thread, &[]);
        assert_eq!(bubbles.len(), 3);
        assert_eq!((&bubbles[0]["text"], &bubbles[0]["edited"]), (&json!("Hello"), &json!(true)));
        assert_eq!(bubbles[1]["quote"]["text"], "Helo");
        assert_eq!(bubbles[1]["reactions"], json!([{"emoji": "👍", "mine": true}]));
        assert_eq!(bubbles[2]["deleted"], true);
    }

    #[test]
    fn a_reaction_that_was_taken_back_is_gone() {
        let thread = [
            message("a", false, json!({"type": "text", "text": {"body": "Hi"}})),
            message("b", true, json!({"type": "reaction", "reaction": {"message_id": "a", "emoji": "👍"}})),
            message("c", true, json!({"type": "reaction", "reaction": {"message_id": "a"}})),
        ];
        assert_eq!(bubbles("k", &thread, &[])[0]["reactions"], json!([]));
    }

    #[test]
    fn what_failed_is_not_on_the_phone() {
        let mut failed = message("a", false, json!({"type": "text", "text": {"body": "Hi"}}));
        failed.failed = Some(131_047);
        assert!(bubbles("k", &[failed], &[]).is_empty());
    }
}
