//! What the Graph API checks in a send before it accepts it (whatsapp facts §2.1–2.5). Pure.

use serde_json::Value;

use super::errors::GraphError;
use super::interactive;

const TYPES: [&str; 11] = [
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
];

/// Where a send goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Recipient {
    /// `to`, as written.
    Number(String),
    /// `recipient`: a business-scoped user id.
    UserId(String),
}

/// A send whose form is right.
#[derive(Debug)]
pub(super) struct Send {
    pub to: Recipient,
    pub kind: String,
    pub opaque: Option<String>,
    /// Media by id, of the message itself or of a header: (kind, id).
    pub media: Vec<(String, String)>,
    /// Whether it names a `link` for Meta to fetch.
    pub linked: bool,
}

/// Checks the form of a send.
pub(super) fn check(body: &Value) -> Result<Send, GraphError> {
    if body.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    match body.get("recipient_type").map(|value| value.as_str().unwrap_or_default()) {
        None | Some("individual") => {}
        Some("group") => return Err(wrong("recipient_type: groups are not enabled for this number.")),
        Some(_) => return Err(wrong("recipient_type must be individual or group.")),
    }
    let to = recipient(body)?;
    let kind = match body.get("type") {
        None => "text",
        Some(kind) => kind.as_str().unwrap_or_default(),
    };
    if !TYPES.contains(&kind) {
        return Err(GraphError::parameter(format_args!(
            "Param type must be one of {{{}}} - got \"{kind}\".",
            TYPES.join(", ").to_uppercase()
        )));
    }
    let object = body.get(kind).ok_or_else(|| missing(kind))?;
    if !object.is_object() && kind != "contacts" {
        return Err(wrong(&format!("{kind} must be an object.")));
    }
    let opaque = body.get("biz_opaque_callback_data");
    let opaque = opaque.map(|value| value.as_str().ok_or_else(|| wrong("biz_opaque_callback_data")));
    let opaque = opaque.transpose()?.map(str::to_owned);
    if let Some(opaque) = &opaque {
        at_most(opaque, 512, "biz_opaque_callback_data")?;
    }
    if let Some(context) = body.get("context") {
        if kind == "reaction" {
            return Err(wrong("context is not allowed for a reaction."));
        }
        needed(context, "message_id", "context['message_id']")?;
    }
    let mut send = Send { to, kind: kind.to_owned(), opaque, media: Vec::new(), linked: false };
    match kind {
        "text" => text(object)?,
        "image" | "video" | "document" | "audio" | "sticker" => file(kind, object, &mut send)?,
        "location" => location(object)?,
        "contacts" => contacts(object)?,
        "reaction" => {
            needed(object, "message_id", "reaction['message_id']")?;
            if object.get("emoji").and_then(Value::as_str).is_none() {
                return Err(missing("reaction['emoji']"));
            }
        }
        "interactive" => interactive::check(object, &mut send)?,
        _ => template(object, &mut send)?,
    }
    Ok(send)
}

/// If both are given, `to` wins (facts §1.8).
fn recipient(body: &Value) -> Result<Recipient, GraphError> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(to) = text("to") {
        let fits = to.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
        let digits = super::ids::digits(to).len();
        if !fits || !(7..=17).contains(&digits) {
            return Err(wrong("to is not a phone number."));
        }
        return Ok(Recipient::Number(to.to_owned()));
    }
    let user = text("recipient").ok_or_else(|| missing("to"))?;
    if !super::ids::is_user_id(user) {
        return Err(wrong("recipient is not a business-scoped user id."));
    }
    Ok(Recipient::UserId(user.to_owned()))
}

fn text(object: &Value) -> Result<(), GraphError> {
    at_most(needed(object, "body", "text['body']")?, 4096, "text['body']")
}

fn file(kind: &str, object: &Value, send: &mut Send) -> Result<(), GraphError> {
    let captioned = matches!(kind, "image" | "video" | "document");
    match object.get("caption") {
        Some(_) if !captioned => {
            return Err(GraphError::parameter(format_args!(
                "Unexpected key \"caption\" on param \"{kind}\"."
            )));
        }
        Some(caption) => {
            let caption = caption.as_str().ok_or_else(|| wrong(&format!("{kind}['caption']")))?;
            at_most(caption, 1024, &format!("{kind}['caption']"))?;
        }
        None => {}
    }
    if object.get("filename").is_some() && kind != "document" {
        return Err(GraphError::parameter(format_args!("Unexpected key \"filename\" on param \"{kind}\".")));
    }
    media(kind, object, send)
}

pub(super) fn media(kind: &str, object: &Value, send: &mut Send) -> Result<(), GraphError> {
    match (object.get("id"), object.get("link")) {
        (Some(_), Some(_)) => Err(wrong(&format!("{kind}: id and link exclude each other."))),
        (Some(id), None) => {
            let id =
                id.as_str().filter(|id| !id.is_empty()).ok_or_else(|| wrong(&format!("{kind}['id']")))?;
            send.media.push((kind.to_owned(), id.to_owned()));
            Ok(())
        }
        (None, Some(link)) => {
            let link = link.as_str().unwrap_or_default();
            if !link.starts_with("https://") && !link.starts_with("http://") {
                return Err(wrong(&format!("{kind}['link'] is not a valid URL.")));
            }
            send.linked = true;
            Ok(())
        }
        (None, None) => Err(missing(&format!("{kind}['id'] or {kind}['link']"))),
    }
}

fn location(object: &Value) -> Result<(), GraphError> {
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let value = object.get(key).ok_or_else(|| missing(&format!("location['{key}']")))?;
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        if !number.is_some_and(|number| number.abs() <= most) {
            return Err(wrong(&format!("location['{key}']")));
        }
    }
    Ok(())
}

fn contacts(object: &Value) -> Result<(), GraphError> {
    let all =
        object.as_array().filter(|all| !all.is_empty()).ok_or_else(|| wrong("contacts must be a list."))?;
    for contact in all {
        let name = contact.get("name").ok_or_else(|| missing("contacts['name']"))?;
        needed(name, "formatted_name", "contacts['name']['formatted_name']")?;
    }
    Ok(())
}

fn template(object: &Value, send: &mut Send) -> Result<(), GraphError> {
    needed(object, "name", "template['name']")?;
    let language = object.get("language").ok_or_else(|| missing("template['language']"))?;
    needed(language, "code", "template['language']['code']")?;
    for component in object.get("components").and_then(Value::as_array).into_iter().flatten() {
        needed(component, "type", "component['type']")?;
        for parameter in component.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let kind = needed(parameter, "type", "parameter['type']")?;
            match kind {
                "text" => {
                    let text = needed(parameter, "text", "parameter['text']")?;
                    if text.contains(['\n', '\t']) || text.contains("     ") {
                        return Err(GraphError::parameter(
                            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
                        ));
                    }
                }
                "image" | "video" | "document" => {
                    media(kind, parameter.get(kind).ok_or_else(|| missing(kind))?, send)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

pub(super) fn needed<'a>(object: &'a Value, key: &str, path: &str) -> Result<&'a str, GraphError> {
    let value = object.get(key).ok_or_else(|| missing(path))?;
    let text = value.as_str().ok_or_else(|| wrong(path))?;
    if text.is_empty() { Err(missing(path)) } else { Ok(text) }
}

pub(super) fn at_most(text: &str, most: usize, path: &str) -> Result<(), GraphError> {
    if text.len() > most && text.chars().count() > most {
        return Err(GraphError::parameter(format_args!(
            "Param {path} must be at most {most} characters long."
        )));
    }
    Ok(())
}

pub(super) fn missing(path: &str) -> GraphError {
    GraphError::coded(131_008, format!("The parameter {path} is required."))
}

pub(super) fn wrong(details: &str) -> GraphError {
    GraphError::coded(131_009, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn send(kind: &str, object: Value) -> Value {
        json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": kind, kind: object})
    }

    #[test]
    fn a_wrong_send_is_refused_with_its_code() {
        let buttons = |count: usize, title: &str| {
            let all: Vec<Value> = (0..count)
                .map(|n| json!({"type": "reply", "reply": {"id": n.to_string(), "title": format!("{title}{n}")}}))
                .collect();
            send("interactive", json!({"type": "button", "body": {"text": "?"}, "action": {"buttons": all}}))
        };
        let rows: Vec<Value> = (0..11).map(|n| json!({"id": n.to_string(), "title": "t"})).collect();
        let cases = [
            (json!({"to": "+16505551234", "type": "text", "text": {"body": "a"}}), 100),
            (json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": "a"}}), 131008),
            (json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": "text"}), 131008),
            (send("text", json!({})), 131008),
            (send("text", json!({"body": ""})), 131008),
            (send("text", json!({"body": 5})), 131009),
            (send("text", json!({"body": "ä".repeat(4097)})), 100),
            (send("poll", json!({})), 100),
            (send("image", json!({"caption": "no file"})), 131008),
            (send("image", json!({"id": "1", "link": "https://x"})), 131009),
            (send("image", json!({"id": "1", "caption": "x".repeat(1025)})), 100),
            (send("image", json!({"id": "1", "filename": "x"})), 100),
            (send("audio", json!({"id": "1", "caption": "x"})), 100),
            (send("sticker", json!({"id": "1", "caption": "x"})), 100),
            (send("location", json!({"latitude": 91, "longitude": 1})), 131009),
            (send("location", json!({"latitude": 9})), 131008),
            (send("contacts", json!([{"name": {}}])), 131008),
            (send("reaction", json!({"emoji": "x"})), 131008),
            (send("interactive", json!({"type": "button", "body": {"text": "?"}})), 131008),
            (buttons(4, "a"), 131009),
            (buttons(1, &"a".repeat(20)), 100),
            (
                send(
                    "interactive",
                    json!({"type": "list", "body": {"text": "?"}, "action": {"button": "b", "sections": [{"rows": rows}]}}),
                ),
                131009,
            ),
            (send("template", json!({"name": "x"})), 131008),
            (
                send(
                    "template",
                    json!({"name": "x", "language": {"code": "en"}, "components": [
                        {"type": "body", "parameters": [{"type": "text", "text": "a\nb"}]}]}),
                ),
                100,
            ),
        ];
        for (body, code) in cases {
            let error = check(&body).expect_err(&body.to_string());
            assert_eq!(error.code, code, "{body}");
            assert_eq!(error.status, 400, "{body}");
        }
    }

    #[test]
    fn a_right_send_passes() {
        for body in [
            send("text", json!({"body": "ä".repeat(4096)})),
            send("audio", json!({"id": "1", "voice": true})),
            send("document", json!({"id": "1", "filename": "a.pdf", "caption": "c"})),
            send("reaction", json!({"message_id": "wamid.x", "emoji": ""})),
            send("location", json!({"latitude": "37.4", "longitude": -122.1})),
            send(
                "interactive",
                json!({"type": "request_contact_info", "body": {"text": "?"}, "action": {"name": "request_contact_info"}}),
            ),
            json!({"messaging_product": "whatsapp", "recipient": "US.123", "text": {"body": "no type is text"}}),
        ] {
            check(&body).unwrap_or_else(|error| panic!("{body}: {error:?}"));
        }
    }

    #[test]
    fn to_wins_over_recipient() {
        let body = json!({"messaging_product": "whatsapp", "to": "+16505551234", "recipient": "US.1", "text": {"body": "a"}});
        assert_eq!(check(&body).unwrap().to, Recipient::Number("+16505551234".into()));
    }
}
