//! The snapshot that the page draws, and the files in it.

use actix_web::web::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::bubble::bubbles;
use super::{Desk, Scene, calls};
use crate::sandbox::cloud::{SimCustomer, SimPermission};
use crate::sandbox::portal::{Author, ChatInfo, LineEntry, SimPortal};

/// More chats of a line than this are not listed.
const CHATS: usize = 100;
/// The latest messages of a chat that are drawn.
const ENTRIES: usize = 300;

/// The latest messages of the CRM that are listed.
const SENT: usize = 40;

/// Everything that the page shows but the strip.
pub(super) fn snapshot(desk: &Desk) -> Value {
    let Desk { cloud, portal, scene, .. } = desk;
    let (name, number) = cloud.business(&scene.phone_number_id);
    let people = people(desk);
    let chats = portal.chats(&scene.line_id);
    let of = |key: &str| {
        let person = people.iter().find(|person| key_of(person) == key)?;
        chat_of(person, &chats).map(|chat| chat.external_id.clone())
    };
    let templates = cloud.templates_of_phone(&scene.phone_number_id);
    let customers = people.iter().map(|person| {
        let key = key_of(person);
        let view = cloud.customer_view(&scene.phone_number_id, &key);
        let thread = cloud.thread(&scene.phone_number_id, &key);
        let permits = cloud.call_permission(&scene.phone_number_id, person) != SimPermission::None;
        json!({"key": key, "name": person.name, "detail": detail(person), "online": view.online,
               "permits_calls": permits, "open": view.open, "window_until": view.window_until, "chat": of(&key),
               "messages": bubbles(&key, &thread, &templates)})
    });
    let skip = chats.len().saturating_sub(CHATS);
    let shown_chats = chats.iter().skip(skip).map(|chat| {
        let entries = portal.conversation(&scene.line_id, &chat.external_id);
        let skip = entries.len().saturating_sub(ENTRIES);
        let messages = entries.iter().skip(skip).map(|entry| shown_entry(portal, chat, entry));
        json!({"id": chat.external_id, "name": client_name(chat), "title": chat.name, "phone": chat.phone,
               "open": chat.open, "sessions": chat.sessions, "messages": messages.collect::<Vec<_>>()})
    });
    json!({
        "business": {"name": name, "number": number},
        "bridge": scene.bridge_url,
        "line": line(portal, scene),
        "customers": customers.collect::<Vec<_>>(),
        "chats": shown_chats.collect::<Vec<_>>(),
        "calls": calls::snapshot(desk),
        "templates": lines_of(scene),
        "sms": {"senders": senders(portal), "sent": portal.sms_list(SENT), "counts": portal.sms_counts()},
        "faults": {"cloud": cloud.faults(), "portal": portal.faults()},
        "waiting": {"webhooks": cloud.webhooks_pending(), "events": portal.events_waiting()},
    })
}

/// The CRM's senders: code and name.
fn senders(portal: &SimPortal) -> Value {
    let senders = portal.sms_senders();
    senders.iter().map(|sender| json!({"code": sender.get("code"), "name": sender.get("name")})).collect()
}

/// The templates as the bridge lists them, each with the line that sends it.
fn lines_of(scene: &Scene) -> Value {
    let Some(bridge) = &scene.bridge else { return json!([]) };
    let lines = bridge.templates.borrow();
    let lines = lines.iter().map(|one| json!({"name": one.name, "status": one.status, "line": one.line}));
    Value::Array(lines.collect())
}

/// The customers of the scene, and whoever else has a thread.
fn people(desk: &Desk) -> Vec<SimCustomer> {
    let mut people = desk.scene.customers.clone();
    for seen in desk.cloud.customers(&desk.scene.phone_number_id) {
        let same = |person: &SimCustomer| {
            let by_id = person.user_id.is_some() && person.user_id == seen.user_id;
            by_id || (person.wa_id.is_some() && person.wa_id == seen.wa_id)
        };
        if people.len() < 20 && !people.iter().any(same) && !key_of(&seen).is_empty() {
            people.push(seen);
        }
    }
    people
}

/// The customer of the page's requests by the key that the snapshot gave.
pub(super) fn person(desk: &Desk, key: &str) -> Option<SimCustomer> {
    people(desk).into_iter().find(|person| key_of(person) == key)
}

/// The user id, else the number: what the simulated cloud finds a customer by.
pub(super) fn key_of(person: &SimCustomer) -> String {
    person.user_id.clone().or_else(|| person.wa_id.clone()).unwrap_or_default()
}

/// What tells customers apart at a glance: the number, or that there is none.
fn detail(person: &SimCustomer) -> String {
    match &person.wa_id {
        Some(number) => format!("+{}", number.trim_start_matches('+')),
        None => "no number".to_owned(),
    }
}

/// The chat of a customer: the id of a chat is the bridge's own, so it is found by phone, else by name.
fn chat_of<'a>(person: &SimCustomer, chats: &'a [ChatInfo]) -> Option<&'a ChatInfo> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let number = person.wa_id.as_deref().map(digits).filter(|number| !number.is_empty());
    let by_phone = number.and_then(|number| chats.iter().rev().find(|chat| digits(&chat.phone) == number));
    let letters = |text: &str| {
        text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect::<String>()
    };
    let names = [person.name.as_str(), person.username.as_deref().unwrap_or_default()].map(letters);
    by_phone.or_else(|| {
        let same = |chat: &&ChatInfo| {
            let client = letters(&client_name(chat));
            !client.is_empty() && names.contains(&client) && (chat.phone.is_empty() || person.wa_id.is_none())
        };
        chats.iter().rev().find(same)
    })
}

fn client_name(chat: &ChatInfo) -> String {
    format!("{} {}", chat.client.0, chat.client.1).trim().to_owned()
}

fn line(portal: &SimPortal, scene: &Scene) -> Value {
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let name = portal
        .lines()
        .iter()
        .find(|line| text(line, "ID") == scene.line_id)
        .map(|line| text(line, "LINE_NAME"));
    let works = |connector: &Value| {
        let lines = connector.get("lines").and_then(Value::as_array);
        lines.into_iter().flatten().any(|line| {
            let is = |key: &str| line.get(key) == Some(&Value::Bool(true));
            text(line, "line") == scene.line_id && is("active") && !is("error")
        })
    };
    json!({"id": scene.line_id, "name": name, "active": portal.connectors().iter().any(works)})
}

fn shown_entry(portal: &SimPortal, chat: &ChatInfo, entry: &LineEntry) -> Value {
    let (who, name) = match entry.author {
        Author::Client => ("client", client_name(chat)),
        Author::Operator => ("operator", portal.user_name(entry.author_id)),
        Author::System => ("system", "System".to_owned()),
    };
    let files = entry.files.iter().enumerate().map(|(index, file)| {
        let external = utf8_percent_encode(&chat.external_id, NON_ALPHANUMERIC);
        json!({"url": format!("line/{external}/{}/{index}", entry.im_message_id), "name": file.name,
               "mime": file.mime, "size": file.size})
    });
    json!({
        "id": entry.im_message_id, "who": who, "name": name, "text": entry.text,
        "files": files.collect::<Vec<_>>(), "sending": entry.sending, "deleted": entry.deleted,
        "edited": entry.edited, "at": entry.at,
        "delivered": entry.author == Author::Operator && !entry.connector_mids.is_empty(),
        "reached": entry.event_answered,
    })
}

/// Type, name and content of a file.
type Found = (String, String, Bytes);

/// The file of a message on a customer's phone.
pub(super) fn phone_file(desk: &Desk, customer: &str, wamid: &str) -> Option<Found> {
    let thread = desk.cloud.thread(&desk.scene.phone_number_id, customer);
    let media = thread.into_iter().find(|message| message.wamid == wamid)?.media?;
    Some((media.mime, media.filename.unwrap_or_else(|| "file".to_owned()), media.bytes))
}

/// A file of a message in the line.
pub(super) fn line_file(desk: &Desk, chat: &str, message: &str, index: usize) -> Option<Found> {
    let entries = desk.portal.conversation(&desk.scene.line_id, chat);
    let file =
        entries.into_iter().find(|entry| entry.im_message_id == message)?.files.into_iter().nth(index)?;
    Some((file.mime, file.name, Bytes::from_owner(file.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(external_id: &str, first: &str, last: &str, phone: &str) -> ChatInfo {
        ChatInfo {
            chat_id: "1".to_owned(),
            code: String::new(),
            external_id: external_id.to_owned(),
            name: String::new(),
            client: (first.to_owned(), last.to_owned()),
            phone: phone.to_owned(),
            profile_rewrites: 0,
            picture_pulls: 0,
            sessions: 1,
            open: true,
        }
    }

    #[test]
    fn a_customer_s_chat_is_found_by_number_and_else_by_name() {
        let chats = [
            chat("a", "Maria", "Lopez", "+1 555 000 1111"),
            chat("b", "Maria", "Lopez", "+15550002222"),
            chat("c", "Omar", "Haddad", ""),
        ];
        let found = |person: &SimCustomer| chat_of(person, &chats).map(|chat| chat.external_id.as_str());
        assert_eq!(found(&SimCustomer::with_number("15550001111", "Other Name")), Some("a"));
        assert_eq!(found(&SimCustomer::with_user_id("US.1", "Omar Haddad")), Some("c"));
        assert_eq!(found(&SimCustomer::with_user_id("US.2", "Nobody")), None);
        assert_eq!(found(&SimCustomer::with_number("15550003333", "Maria Lopez")), None);
    }
}
