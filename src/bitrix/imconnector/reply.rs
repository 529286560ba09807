//! The answer to messages: a verdict for each of them (bitrix24 facts §3.8).

use serde_json::Value;

use super::messages::refusal;
use crate::bitrix::error::CallError;
use crate::bitrix::lenient::{at, filled, get, items, text_at, yes_at};

/// What became of the messages of one call, in their order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SendReply {
    /// One for each message.
    pub items: Vec<ItemReply>,
}

/// What became of one message.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ItemReply {
    /// It is in the chat.
    pub success: bool,
    /// Why not, in the portal's words.
    pub errors: Vec<String>,
    /// Files that the portal has taken; fewer than were sent means that some were dropped silently.
    pub files: usize,
    /// Our external id.
    pub message_id: Option<String>,
    /// Our chat.
    pub chat_external_id: Option<String>,
    /// Portal's user of the contact.
    pub portal_user: Option<String>,
    /// Open-line session; missing on success is suspicious.
    pub session_id: Option<String>,
    /// Portal's chat, `im.chat_id` of events.
    pub portal_chat_id: Option<String>,
}

impl SendReply {
    /// Reads `{"SUCCESS", "DATA": {"RESULT": […]}}`. The outer `SUCCESS` says only that the call was worked
    /// off.
    pub fn read(result: &Value) -> Result<Self, CallError> {
        let list = at(result, &["DATA", "RESULT"]).or_else(|| at(result, &["RESULT"]));
        match list {
            // PHP's empty list and a list are alike; each item bears its own verdict.
            Some(list) if list.is_array() || list.is_object() => {
                Ok(Self { items: items(list).into_iter().map(ItemReply::read).collect() })
            }
            _ if get(result, "SUCCESS").is_some() && !yes_at(result, &["SUCCESS"]) => Err(refusal(result)),
            _ => Err(CallError::Shape { what: "the verdicts on the messages" }),
        }
    }

    /// The verdict on the message at this place of the call with this external id: by place, unless the
    /// item there names another message.
    pub fn item(&self, index: usize, message_id: &str) -> Option<&ItemReply> {
        let fits = |item: &&ItemReply| item.message_id.as_deref().is_none_or(|id| id == message_id);
        self.items
            .get(index)
            .filter(fits)
            .or_else(|| self.items.iter().find(|item| item.message_id.as_deref() == Some(message_id)))
    }
}

impl ItemReply {
    fn read(item: &Value) -> Self {
        Self {
            success: yes_at(item, &["SUCCESS"]),
            errors: at(item, &["ERRORS"]).or_else(|| at(item, &["ERROR"])).map(errors).unwrap_or_default(),
            files: at(item, &["message", "files"]).map_or(0, |files| items(files).len()),
            message_id: text_at(item, &["message", "id"]),
            chat_external_id: text_at(item, &["chat", "id"]),
            portal_user: text_at(item, &["user"]).or_else(|| text_at(item, &["user", "id"])),
            session_id: text_at(item, &["session", "ID"]),
            portal_chat_id: text_at(item, &["session", "CHAT_ID"]),
        }
    }
}

fn errors(value: &Value) -> Vec<String> {
    if let Some(text) = filled(value) {
        return vec![text];
    }
    let text = |error: &Value| {
        filled(error).or_else(|| text_at(error, &["message"])).or_else(|| text_at(error, &["code"]))
    };
    items(value).into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({"SUCCESS": true, "DATA": {"RESULT": [
            {"user": "585", "message": {"id": "wamid.1", "date": {}, "text": "Hello", "files": []},
             "chat": {"id": "79990000000", "name": "…", "description": "…"},
             "extra": {"skip_phone_validate": "Y", "disable_tracker": "Y"},
             "SUCCESS": true, "session": {"ID": "323", "CHAT_ID": "1767"}},
            {"user": 586, "message": {"id": "wamid.2", "files": {"0": {"name": "a"}}}, "chat": {"id": "c"},
             "SUCCESS": false, "ERRORS": ["Not all the required data"]}]}})
    }

    #[test]
    fn each_message_has_its_own_verdict() {
        let reply = SendReply::read(&sample()).unwrap();
        let [first, second] = reply.items.as_slice() else { panic!() };
        assert!(first.success && first.errors.is_empty());
        assert_eq!(first.files, 0);
        assert_eq!(first.portal_user.as_deref(), Some("585"));
        assert_eq!(first.session_id.as_deref(), Some("323"));
        assert_eq!(first.portal_chat_id.as_deref(), Some("1767"));
        assert_eq!(first.chat_external_id.as_deref(), Some("79990000000"));
        assert!(!second.success);
        assert_eq!((second.files, second.errors.len()), (1, 1));
        assert_eq!(second.session_id, None);
    }

    #[test]
    fn a_verdict_is_found_by_place_and_id() {
        let reply = SendReply::read(&sample()).unwrap();
        assert!(reply.item(0, "wamid.1").unwrap().success);
        assert!(!reply.item(0, "wamid.2").unwrap().success);
        assert_eq!(reply.item(2, "wamid.3"), None);
        assert_eq!(reply.item(1, "wamid.3"), None);
    }

    #[test]
    fn answers_without_verdicts_are_errors() {
        let refused = json!({"SUCCESS": false, "ERRORS": ["Line is off"]});
        assert!(matches!(SendReply::read(&refused), Err(CallError::Refused { http: 200, .. })));
        assert!(matches!(SendReply::read(&json!({"SUCCESS": true})), Err(CallError::Shape { .. })));
        assert!(matches!(SendReply::read(&json!(null)), Err(CallError::Shape { .. })));
    }
}
