//! Messages to a line, and what became of operators' messages (bitrix24 facts §3.8, §3.10, §3.11).

use serde_json::{Map, Value, json};

use super::line_value;
use super::reply::SendReply;
use super::user::UserObject;
use crate::bitrix::error::CallError;
use crate::bitrix::lenient::{items, text_at, yes_at};
use crate::bitrix::method::Method;
use crate::domain::{ChatId, ImMessageId, LineId, Wamid};

/// `imconnector.send.messages`: taken in order, not idempotent. Never in a batch, where `$result[…]` in a
/// customer's text would be replaced (facts §1.2).
#[derive(Clone, Debug)]
pub struct SendMessages<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// Messages of one or more chats.
    pub messages: &'a [LineMessage],
}

/// One message of a contact, or a note (`user_id` 0).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineMessage {
    /// The contact, the same to the byte each time.
    pub user: UserObject,
    /// What it says.
    pub message: OutMessage,
    /// Where.
    pub chat: LineChat,
}

/// `message` of a [`LineMessage`]; text or files are needed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OutMessage {
    /// External id, found again as `connectorMid`.
    pub id: String,
    /// Unix seconds; the portal shows the time of arrival instead.
    pub date: Option<i64>,
    /// BBCode, at most 20,000 characters.
    pub text: String,
    /// Files that the portal pulls during the call.
    pub files: Vec<LineFile>,
    /// Keeps the message from the CRM tracker.
    pub disable_crm: bool,
    /// `None` = the contact, `Some(0)` = a note of the system, else an employee (which comes back as an
    /// event).
    pub user_id: Option<i64>,
}

/// A file at an address that needs no login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineFile {
    /// Where to pull it.
    pub url: String,
    /// Name; the portal keeps the last 50 characters.
    pub name: String,
}

/// `chat` of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineChat {
    /// Our id of the chat, no `|`.
    pub id: ChatId,
    /// Title.
    pub name: Option<String>,
    /// Link; becomes a hidden note in the chat.
    pub url: Option<String>,
}

impl LineChat {
    /// A chat by its id alone.
    pub fn new(id: ChatId) -> Self {
        Self { id, name: None, url: None }
    }
}

impl Method for SendMessages<'_> {
    const NAME: &'static str = "imconnector.send.messages";
    type Output = SendReply;

    fn params(&self) -> Value {
        let messages: Vec<Value> = self.messages.iter().map(line_message).collect();
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line), "MESSAGES": messages})
    }

    fn read(&self, result: &Value) -> Result<SendReply, CallError> {
        SendReply::read(result)
    }
}

/// `imconnector.update.messages`: new text of a contact's message; its files stay. Succeeds also where
/// nothing was found.
#[derive(Clone, Debug)]
pub struct UpdateMessages<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// Messages to change.
    pub messages: &'a [LineChange],
}

/// A message with its new text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineChange {
    /// The whole object: a shorter one would rewrite the contact's profile.
    pub user: UserObject,
    /// External id that the message was sent with.
    pub message_id: String,
    /// BBCode.
    pub text: String,
    /// Our chat.
    pub chat_id: ChatId,
}

impl Method for UpdateMessages<'_> {
    const NAME: &'static str = "imconnector.update.messages";
    type Output = SendReply;

    fn params(&self) -> Value {
        let change = |change: &LineChange| {
            json!({
                "user": change.user,
                "message": {"id": change.message_id, "text": change.text},
                "chat": {"id": change.chat_id.as_str()},
            })
        };
        let messages: Vec<Value> = self.messages.iter().map(change).collect();
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line), "MESSAGES": messages})
    }

    fn read(&self, result: &Value) -> Result<SendReply, CallError> {
        SendReply::read(result)
    }
}

/// `imconnector.delete.messages`: shows contacts' messages as removed.
#[derive(Clone, Debug)]
pub struct DeleteMessages<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// Messages to remove.
    pub messages: &'a [LineRemoval],
}

/// A message to remove.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineRemoval {
    /// The whole object: a shorter one would rewrite the contact's profile.
    pub user: UserObject,
    /// External id that the message was sent with.
    pub message_id: String,
    /// Our chat.
    pub chat_id: ChatId,
}

impl Method for DeleteMessages<'_> {
    const NAME: &'static str = "imconnector.delete.messages";
    type Output = SendReply;

    fn params(&self) -> Value {
        let removal = |removal: &LineRemoval| {
            json!({
                "user": removal.user,
                "message": {"id": removal.message_id},
                "chat": {"id": removal.chat_id.as_str()},
            })
        };
        let messages: Vec<Value> = self.messages.iter().map(removal).collect();
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line), "MESSAGES": messages})
    }

    fn read(&self, result: &Value) -> Result<SendReply, CallError> {
        SendReply::read(result)
    }
}

/// `imconnector.send.status.delivery`: an operator's message is accepted. Only the first call for a
/// message stores its wamids, so it comes with all of them (facts §3.11).
#[derive(Clone, Debug)]
pub struct SendDelivery<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// Messages that are accepted.
    pub deliveries: &'a [Delivery],
}

/// An operator's message that Meta has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Portal's chat, from the event.
    pub im_chat_id: String,
    /// Portal's message, from the event.
    pub im_message_id: ImMessageId,
    /// Ids of every part.
    pub wamids: Vec<Wamid>,
    /// Unix seconds.
    pub date: i64,
    /// Our chat.
    pub chat_id: ChatId,
}

impl Method for SendDelivery<'_> {
    const NAME: &'static str = "imconnector.send.status.delivery";
    type Output = ();

    fn params(&self) -> Value {
        let delivery = |delivery: &Delivery| {
            let ids: Vec<&str> = delivery.wamids.iter().map(Wamid::as_str).collect();
            json!({
                "im": {
                    "chat_id": number_or_text(&delivery.im_chat_id),
                    "message_id": number_or_text(delivery.im_message_id.as_str()),
                },
                "message": {"id": ids, "date": delivery.date},
                "chat": {"id": delivery.chat_id.as_str()},
            })
        };
        let messages: Vec<Value> = self.deliveries.iter().map(delivery).collect();
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line), "MESSAGES": messages})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        if yes_at(result, &["SUCCESS"]) || result == &Value::Bool(true) {
            return Ok(());
        }
        Err(refusal(result))
    }
}

/// An answer whose `SUCCESS` is missing or false.
pub(super) fn refusal(result: &Value) -> CallError {
    let texts: Vec<String> = crate::bitrix::lenient::get(result, "ERRORS")
        .map(items)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|error| text_at(error, &[]).or_else(|| text_at(error, &["message"])))
        .collect();
    let code = text_at(result, &["error"]).unwrap_or_else(|| "RESULT_FALSE".to_owned());
    CallError::refused(code, texts.join("; "))
}

fn line_message(line: &LineMessage) -> Value {
    let mut message = Map::new();
    message.insert("id".into(), json!(line.message.id));
    if let Some(date) = line.message.date {
        message.insert("date".into(), json!(date));
    }
    if !line.message.text.is_empty() {
        message.insert("text".into(), json!(line.message.text));
    }
    if !line.message.files.is_empty() {
        let files: Vec<Value> =
            line.message.files.iter().map(|file| json!({"url": file.url, "name": file.name})).collect();
        message.insert("files".into(), Value::Array(files));
    }
    if line.message.disable_crm {
        message.insert("disable_crm".into(), json!("Y"));
    }
    if let Some(user_id) = line.message.user_id {
        message.insert("user_id".into(), json!(user_id));
    }
    let mut chat = Map::new();
    chat.insert("id".into(), json!(line.chat.id.as_str()));
    if let Some(name) = &line.chat.name {
        chat.insert("name".into(), json!(name));
    }
    if let Some(url) = &line.chat.url {
        chat.insert("url".into(), json!(url));
    }
    json!({"user": line.user, "message": message, "chat": chat})
}

fn number_or_text(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> UserObject {
        UserObject::named("79990000000", "Ivan Petrov").with_phone("+79990000000")
    }

    #[test]
    fn a_message_has_the_shape_of_the_facts_and_nothing_empty() {
        let messages = [
            LineMessage {
                user: contact(),
                message: OutMessage {
                    id: "wamid.HBg=".into(),
                    date: Some(1_773_265_993),
                    text: "Hello".into(),
                    files: vec![LineFile {
                        url: "https://bridge.example/m/1".into(),
                        name: "spec.pdf".into(),
                    }],
                    disable_crm: true,
                    user_id: Some(0),
                },
                chat: LineChat {
                    id: "79990000000".into(),
                    name: Some("WhatsApp".into()),
                    url: Some("https://wa.me/79990000000".into()),
                },
            },
            LineMessage {
                user: UserObject { id: "c".into(), ..UserObject::default() },
                message: OutMessage { id: "m".into(), text: "x".into(), ..OutMessage::default() },
                chat: LineChat::new("c".into()),
            },
        ];
        let line = LineId::from("107");
        let send = SendMessages { connector: "wabridge", line: &line, messages: &messages };
        assert_eq!(
            send.params(),
            json!({"CONNECTOR": "wabridge", "LINE": 107, "MESSAGES": [
                {"user": {"id": "79990000000", "name": "Ivan", "last_name": "Petrov",
                          "phone": "+79990000000", "skip_phone_validate": "Y"},
                 "message": {"id": "wamid.HBg=", "date": 1_773_265_993, "text": "Hello",
                             "files": [{"url": "https://bridge.example/m/1", "name": "spec.pdf"}],
                             "disable_crm": "Y", "user_id": 0},
                 "chat": {"id": "79990000000", "name": "WhatsApp", "url": "https://wa.me/79990000000"}},
                {"user": {"id": "c"}, "message": {"id": "m", "text": "x"}, "chat": {"id": "c"}},
            ]})
        );
    }

    #[test]
    fn changes_and_removals_carry_the_whole_contact() {
        let line = LineId::from("107");
        let change =
            LineChange { user: contact(), message_id: "m".into(), text: "new".into(), chat_id: "c".into() };
        let changes = [change];
        let params = UpdateMessages { connector: "w", line: &line, messages: &changes }.params();
        assert_eq!(params["MESSAGES"][0]["message"], json!({"id": "m", "text": "new"}));
        assert_eq!(params["MESSAGES"][0]["user"]["last_name"], "Petrov");
        let removals = [LineRemoval { user: contact(), message_id: "m".into(), chat_id: "c".into() }];
        let params = DeleteMessages { connector: "w", line: &line, messages: &removals }.params();
        assert_eq!(params["MESSAGES"][0]["message"], json!({"id": "m"}));
        assert_eq!(params["MESSAGES"][0]["user"]["phone"], "+79990000000");
    }

    #[test]
    fn a_delivery_names_all_parts_in_a_list() {
        let line = LineId::from("107");
        let deliveries = [Delivery {
            im_chat_id: "1807".into(),
            im_message_id: "86497".into(),
            wamids: vec!["wamid.OUT1".into()],
            date: 1_773_760_000,
            chat_id: "79990000000".into(),
        }];
        let delivery = SendDelivery { connector: "wabridge", line: &line, deliveries: &deliveries };
        assert_eq!(
            delivery.params(),
            json!({"CONNECTOR": "wabridge", "LINE": 107, "MESSAGES": [
                {"im": {"chat_id": 1807, "message_id": 86497},
                 "message": {"id": ["wamid.OUT1"], "date": 1_773_760_000},
                 "chat": {"id": "79990000000"}}]})
        );
        assert!(delivery.read(&json!({"SUCCESS": true, "DATA": []})).is_ok());
        assert!(delivery.read(&json!({"SUCCESS": false})).is_err());
    }
}
