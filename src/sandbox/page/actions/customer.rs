//! What the customer writes, as Meta gets it.

use serde_json::{Value, json};

use super::done;
use crate::sandbox::cloud::SimCustomer;
use crate::sandbox::page::samples::Sample;
use crate::sandbox::page::{Desk, view};

pub(super) fn person(desk: &Desk, customer: &str) -> Result<SimCustomer, String> {
    view::person(desk, customer).ok_or_else(|| "There is no such customer.".to_owned())
}

/// Who writes has the chat before them, so what has arrived is read.
pub(super) fn send(desk: &Desk, customer: &str, message: Value) -> Result<String, String> {
    let who = person(desk, customer)?;
    let phone = &desk.scene.phone_number_id;
    desk.cloud.customer_reads(phone, customer);
    sent(desk.cloud.customer_sends(phone, &who, message))
}

pub(super) fn send_sample(desk: &Desk, customer: &str, sample: Sample) -> Result<String, String> {
    match sample {
        Sample::Message(message) => send(desk, customer, message),
        Sample::Media(media) => {
            let who = person(desk, customer)?;
            let phone = &desk.scene.phone_number_id;
            desk.cloud.customer_reads(phone, customer);
            sent(desk.cloud.customer_sends_media(phone, &who, media))
        }
        Sample::Burst(count) => {
            for number in 1..=count {
                let text = format!("Message {number} of {count}");
                send(desk, customer, json!({"type": "text", "text": {"body": text}}))?;
            }
            done()
        }
    }
}

pub(super) fn sent(wamid: String) -> Result<String, String> {
    if wamid.is_empty() { Err("There is no such business number.".to_owned()) } else { Ok(wamid) }
}

/// Makes it a reply. `from` is whoever wrote what is quoted; the business is filled in by the cloud.
pub(super) fn add_context(desk: &Desk, customer: &str, message: &mut Value, reply_to: &str) {
    let thread = desk.cloud.thread(&desk.scene.phone_number_id, customer);
    let Some(quoted) = thread.iter().find(|message| message.wamid == reply_to) else { return };
    let mut context = json!({ "id": reply_to });
    let own =
        quoted.from_customer.then(|| quoted.body.get("from").or_else(|| quoted.body.get("from_user_id")));
    if let (Some(Some(from)), Some(context)) = (own, context.as_object_mut()) {
        context.insert("from".to_owned(), from.clone());
    }
    if let Some(message) = message.as_object_mut() {
        message.insert("context".to_owned(), context);
    }
}

/// An edit bears the whole message anew (facts §1.6).
pub(super) fn edit(desk: &Desk, customer: &str, wamid: &str, text: &str) -> Result<String, String> {
    let thread = desk.cloud.thread(&desk.scene.phone_number_id, customer);
    let original = thread.iter().find(|message| message.wamid == wamid && message.from_customer);
    let original = original.ok_or("Only the customer's own messages can be edited.")?;
    let kind = original.body.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut content = original.body.get(&kind).cloned().unwrap_or_default();
    let key = match kind.as_str() {
        "text" => "body",
        "image" | "video" | "document" => "caption",
        _ => return Err("Only texts and captions can be edited.".to_owned()),
    };
    if let Some(content) = content.as_object_mut() {
        content.insert(key.to_owned(), json!(text));
    }
    let mut message = json!({ "type": kind });
    if let Some(map) = message.as_object_mut() {
        map.insert(kind, content);
        // What it answers stays what it answers.
        if let Some(context) = original.body.get("context") {
            map.insert("context".to_owned(), context.clone());
        }
    }
    let edit = json!({"original_message_id": wamid, "message": message});
    send(desk, customer, json!({"type": "edit", "edit": edit}))
}
