//! Reads message objects from JSON of any shape.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    CardPhone, ContactCard, Content, Context, Location, Media, MessageError, Order, OrderItem, Referral,
    ReferredProduct, System, WireError, WireMessage,
};
use crate::domain::{MediaId, UserId, WaId, Wamid};

/// Edits do not nest; a deeper one is not followed.
const EDIT_DEPTH: u8 = 1;

pub(super) fn message(value: &Value) -> Result<WireMessage, MessageError> {
    if !value.is_object() {
        return Err(MessageError::NotAnObject);
    }
    Ok(WireMessage {
        id: wamid(value, "id").ok_or(MessageError::NoId)?,
        from: text(value, "from").map(WaId::new),
        from_user_id: text(value, "from_user_id").map(UserId::new),
        to: text(value, "to").map(WaId::new),
        to_user_id: text(value, "to_user_id").map(UserId::new),
        timestamp: instant(value, "timestamp"),
        kind: text(value, "type").unwrap_or_default(),
        context: context(value.get("context")),
        referral: value.get("referral").filter(|referral| referral.is_object()).map(referral),
        group_id: text(value, "group_id"),
        errors: errors(value.get("errors")),
        standby: flag(value, super::STANDBY),
        content: content(value, 0),
    })
}

pub(super) fn errors(value: Option<&Value>) -> Vec<WireError> {
    list(value).filter(|error| error.is_object()).map(error).collect()
}

fn error(value: &Value) -> WireError {
    let data = value.get("error_data");
    WireError {
        code: number(value, "code").map(|code| code as i64),
        title: text(value, "title"),
        message: text(value, "message"),
        details: data.and_then(|data| text(data, "details")).or_else(|| text(value, "error_data")),
    }
}

/// The content by `type`; if the part of that name is missing or misshapen it is unknown.
fn content(message: &Value, depth: u8) -> Content {
    let kind = text(message, "type").unwrap_or_default();
    known_content(message, &kind, depth).unwrap_or(Content::Unknown { kind })
}

fn known_content(message: &Value, kind: &str, depth: u8) -> Option<Content> {
    // The part is named as the type; an unsupported message need not have it.
    let part = message.get(kind).filter(|part| part.is_object() || part.is_array());
    if kind == "unsupported" {
        let code = errors(message.get("errors")).into_iter().find_map(|error| error.code);
        return Some(Content::Unsupported { kind: part.and_then(|part| text(part, "type")), code });
    }
    let part = part?;
    Some(match kind {
        "text" => Content::Text { body: part.get("body")?.as_str()?.to_owned() },
        "image" => Content::Image(media(part)?),
        "video" => Content::Video(media(part)?),
        "audio" => Content::Audio(media(part)?),
        "voice" => Content::Audio(Media { voice: true, ..media(part)? }),
        "document" => Content::Document(media(part)?),
        "sticker" => Content::Sticker(media(part)?),
        "location" => Content::Location(location(part)?),
        "contacts" => Content::Contacts(contact_cards(part)?),
        "interactive" => interactive(part),
        "button" => button(part)?,
        "reaction" => {
            Content::Reaction { message_id: wamid(part, "message_id")?, emoji: text(part, "emoji") }
        }
        "order" => Content::Order(order(part)?),
        "system" => Content::System(system(part)?),
        "edit" if depth < EDIT_DEPTH => {
            let inner = part.get("message").filter(|inner| inner.is_object())?;
            Content::Edit {
                original: wamid(part, "original_message_id")?,
                content: Box::new(content(inner, depth + 1)),
                context: context(inner.get("context")),
            }
        }
        "revoke" => Content::Revoke { original: wamid(part, "original_message_id")? },
        _ => return None,
    })
}

fn context(value: Option<&Value>) -> Option<Context> {
    let value = value?;
    let product = value.get("referred_product").filter(|product| product.is_object());
    let context = Context {
        id: wamid(value, "id"),
        forwarded: flag(value, "forwarded"),
        frequently_forwarded: flag(value, "frequently_forwarded"),
        referred_product: product.map(|product| ReferredProduct {
            catalog_id: text(product, "catalog_id"),
            product_id: text(product, "product_retailer_id"),
        }),
    };
    (context != Context::default()).then_some(context)
}

fn referral(value: &Value) -> Referral {
    Referral {
        source_url: text(value, "source_url"),
        source_id: text(value, "source_id"),
        source_type: text(value, "source_type"),
        headline: text(value, "headline"),
        body: text(value, "body"),
        media_type: text(value, "media_type"),
        image_url: text(value, "image_url"),
        video_url: text(value, "video_url"),
        thumbnail_url: text(value, "thumbnail_url"),
        ctwa_clid: text(value, "ctwa_clid"),
        welcome_text: value.get("welcome_message").and_then(|welcome| text(welcome, "text")),
    }
}

fn media(value: &Value) -> Option<Media> {
    let media = Media {
        id: text(value, "id").map(MediaId::new),
        mime_type: text(value, "mime_type"),
        sha256: text(value, "sha256"),
        caption: text(value, "caption"),
        filename: text(value, "filename"),
        url: text(value, "url"),
        voice: flag(value, "voice"),
        animated: flag(value, "animated"),
    };
    (media != Media::default()).then_some(media)
}

fn location(value: &Value) -> Option<Location> {
    let location = Location {
        point: number(value, "latitude").zip(number(value, "longitude")),
        name: text(value, "name"),
        address: text(value, "address"),
        url: text(value, "url"),
    };
    (location != Location::default()).then_some(location)
}

fn contact_cards(value: &Value) -> Option<Vec<ContactCard>> {
    let cards: Vec<_> = list(Some(value)).filter(|card| card.is_object()).map(contact_card).collect();
    (!cards.is_empty()).then_some(cards)
}

fn contact_card(value: &Value) -> ContactCard {
    let name = value.get("name");
    let full = name.and_then(|name| text(name, "formatted_name"));
    let parts = || joined(name?, &["prefix", "first_name", "middle_name", "last_name", "suffix"], " ");
    let organisation =
        value.get("org").and_then(|org| joined(org, &["company", "department", "title"], ", "));
    let address_keys = ["street", "city", "state", "zip", "country"];
    ContactCard {
        name: full.or_else(parts),
        phones: list(value.get("phones")).filter_map(card_phone).collect(),
        emails: list(value.get("emails")).filter_map(|email| text(email, "email")).collect(),
        addresses: list(value.get("addresses")).filter_map(|at| joined(at, &address_keys, ", ")).collect(),
        organisation,
        urls: list(value.get("urls")).filter_map(|url| text(url, "url")).collect(),
        birthday: text(value, "birthday"),
        is_own: text(value, "origin").is_some_and(|origin| origin == "contact_request"),
    }
}

fn card_phone(value: &Value) -> Option<CardPhone> {
    let wa_id = text(value, "wa_id").map(WaId::new);
    let phone = text(value, "phone").or_else(|| wa_id.as_ref().map(|wa_id| format!("+{wa_id}")))?;
    Some(CardPhone { phone, wa_id, kind: text(value, "type") })
}

fn interactive(value: &Value) -> Content {
    let kind = text(value, "type").unwrap_or_else(|| "interactive".to_owned());
    known_reply(value, &kind).unwrap_or(Content::Unknown { kind })
}

fn known_reply(value: &Value, kind: &str) -> Option<Content> {
    let part = value.get(kind).filter(|part| part.is_object())?;
    let (id, title) = (text(part, "id"), text(part, "title"));
    Some(match kind {
        "button_reply" => {
            id.as_ref().or(title.as_ref())?;
            Content::ButtonReply { id, title }
        }
        "list_reply" => {
            id.as_ref().or(title.as_ref())?;
            Content::ListReply { id, title, description: text(part, "description") }
        }
        "nfm_reply" => Content::FlowReply {
            name: text(part, "name"),
            body: text(part, "body"),
            response: flow_response(part.get("response_json")),
        },
        "call_permission_reply" => Content::CallPermission {
            response: text(part, "response")?,
            permanent: flag(part, "is_permanent"),
            expires: instant(part, "expiration_timestamp"),
        },
        _ => return None,
    })
}

/// `response_json` is text that holds JSON; an object in its place is taken too.
fn flow_response(value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(raw)) => serde_json::from_str(raw).unwrap_or_else(|_| Value::String(raw.clone())),
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

fn button(value: &Value) -> Option<Content> {
    let (label, payload) = (text(value, "text"), text(value, "payload"));
    label.as_ref().or(payload.as_ref())?;
    Some(Content::Button { text: label, payload })
}

fn order(value: &Value) -> Option<Order> {
    let item = |item: &Value| OrderItem {
        product_id: text(item, "product_retailer_id"),
        quantity: number(item, "quantity"),
        price: number(item, "item_price"),
        currency: text(item, "currency"),
    };
    let items = list(value.get("product_items")).filter(|item| item.is_object()).map(item).collect();
    let order = Order { catalog_id: text(value, "catalog_id"), text: text(value, "text"), items };
    (order != Order::default()).then_some(order)
}

fn system(value: &Value) -> Option<System> {
    let system = System {
        kind: text(value, "type").unwrap_or_default(),
        body: text(value, "body"),
        wa_id: text(value, "wa_id").or_else(|| text(value, "new_wa_id")).map(WaId::new),
        user_id: text(value, "user_id").map(UserId::new),
        previous_user_id: text(value, "previous_user_id").map(UserId::new),
    };
    (system != System::default()).then_some(system)
}

/// Text that says something; numbers are taken as their digits, empty text as missing.
fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn wamid(value: &Value, key: &str) -> Option<Wamid> {
    text(value, key).map(Wamid::new)
}

fn flag(value: &Value, key: &str) -> bool {
    match value.get(key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn number(value: &Value, key: &str) -> Option<f64> {
    match value.get(key)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

fn instant(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    let seconds = number(value, key).filter(|seconds| (1.0..1e11).contains(seconds))?;
    DateTime::from_timestamp(seconds as i64, 0)
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

fn joined(value: &Value, keys: &[&str], separator: &str) -> Option<String> {
    let parts: Vec<String> = keys.iter().filter_map(|key| text(value, key)).collect();
    (!parts.is_empty()).then(|| parts.join(separator))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
