//! Open lines: their list and settings, dialogs and history (bitrix24 facts §5).

use serde_json::{Value, json};

use super::error::CallError;
use super::imconnector::line_value;
use super::lenient::{at, get, int, int_at, items, keyed, text_at, texts, yes_at};
use super::method::Method;
use crate::domain::{ChatId, LineId};

/// Rows of one page of [`ConfigList`].
pub const LINES_PER_PAGE: usize = 200;

/// A line's settings, as far as they matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineConfig {
    /// Line.
    pub id: LineId,
    /// Its name.
    pub name: String,
    /// It is switched on.
    pub active: bool,
}

/// `imopenlines.config.list.get`: one page, by id. A page of [`LINES_PER_PAGE`] rows is followed by another.
#[derive(Clone, Copy, Default, Debug)]
pub struct ConfigList {
    /// Rows to leave out.
    pub offset: usize,
}

impl Method for ConfigList {
    const NAME: &'static str = "imopenlines.config.list.get";
    type Output = Vec<LineConfig>;

    fn params(&self) -> Value {
        // No filter by name: `_` and `%` in it may be wildcards. See `find_by_name`.
        json!({"PARAMS": {
            "select": ["ID", "LINE_NAME", "ACTIVE"],
            "order": {"ID": "ASC"},
            "limit": LINES_PER_PAGE,
            "offset": self.offset,
        }})
    }

    fn read(&self, result: &Value) -> Result<Vec<LineConfig>, CallError> {
        if !(result.is_array() || result.is_object()) {
            return Err(CallError::Shape { what: "the list of lines" });
        }
        Ok(items(result).into_iter().filter_map(line_config).collect())
    }
}

/// The line of this very name; the oldest, should there be several.
pub fn find_by_name<'a>(lines: &'a [LineConfig], name: &str) -> Option<&'a LineConfig> {
    lines
        .iter()
        .filter(|line| line.name == name)
        .min_by_key(|line| line.id.as_str().parse::<u64>().unwrap_or(u64::MAX))
}

/// `imopenlines.config.add`: a line without welcome message and vote.
#[derive(Clone, Debug)]
pub struct ConfigAdd<'a> {
    /// Its name.
    pub name: &'a str,
    /// Employees who answer it.
    pub operators: &'a [String],
}

impl Method for ConfigAdd<'_> {
    const NAME: &'static str = "imopenlines.config.add";
    type Output = LineId;

    fn params(&self) -> Value {
        let queue: Vec<Value> =
            self.operators.iter().map(|id| json!({"ENTITY_TYPE": "user", "ENTITY_ID": id})).collect();
        let mut params = json!({
            "LINE_NAME": self.name,
            "ACTIVE": "Y",
            "CRM": "Y",
            "WELCOME_MESSAGE": "N",
            "VOTE_MESSAGE": "N",
        });
        if let Some(map) = params.as_object_mut().filter(|_| !queue.is_empty()) {
            map.insert("QUEUE".into(), Value::Array(queue));
            map.insert("QUEUE_TYPE".into(), json!("evenly"));
        }
        json!({"PARAMS": params})
    }

    fn read(&self, result: &Value) -> Result<LineId, CallError> {
        let id = int(result).or_else(|| int_at(result, &["ID"])).filter(|id| *id > 0);
        id.map(|id| LineId::new(id.to_string()))
            .ok_or_else(|| CallError::refused("LINE_NOT_CREATED", "the number of lines may be exhausted"))
    }
}

/// `imopenlines.config.get`.
#[derive(Clone, Debug)]
pub struct ConfigGet<'a> {
    /// Line.
    pub line: &'a LineId,
}

impl Method for ConfigGet<'_> {
    const NAME: &'static str = "imopenlines.config.get";
    /// `None` if there is no such line.
    type Output = Option<LineConfig>;

    fn params(&self) -> Value {
        json!({"CONFIG_ID": line_value(self.line)})
    }

    fn read(&self, result: &Value) -> Result<Option<LineConfig>, CallError> {
        Ok(line_config(result))
    }
}

/// `imopenlines.dialog.get` by the portal's chat.
#[derive(Clone, Debug)]
pub struct DialogGet<'a> {
    /// `im.chat_id` of events.
    pub im_chat_id: &'a str,
}

/// An open-line chat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineDialog {
    /// Portal's chat.
    pub im_chat_id: String,
    /// `connector|line|chat|user`, to be taken as it is.
    pub entity_id: String,
    /// Connector's id.
    pub connector: String,
    /// Line.
    pub line: LineId,
    /// Our chat.
    pub chat_id: ChatId,
    /// Session that is or was last open.
    pub session_id: Option<String>,
}

impl Method for DialogGet<'_> {
    const NAME: &'static str = "imopenlines.dialog.get";
    type Output = LineDialog;

    fn params(&self) -> Value {
        json!({"CHAT_ID": self.im_chat_id})
    }

    fn read(&self, result: &Value) -> Result<LineDialog, CallError> {
        let entity_id = text_at(result, &["entity_id"]).ok_or(CallError::Shape { what: "entity_id" })?;
        let mut parts = entity_id.split('|');
        let (Some(connector), Some(line), Some(chat)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CallError::Shape { what: "the parts of entity_id" });
        };
        let session = text_at(result, &["entity_data_1"])
            .and_then(|data| data.split('|').nth(5).map(str::to_owned))
            .filter(|session| !matches!(session.as_str(), "" | "0"));
        Ok(LineDialog {
            im_chat_id: text_at(result, &["id"]).unwrap_or_else(|| self.im_chat_id.to_owned()),
            connector: connector.to_owned(),
            line: LineId::from(line),
            chat_id: ChatId::from(chat),
            session_id: session,
            entity_id,
        })
    }
}

/// `imopenlines.session.history.get` by the portal's chat or by a session.
#[derive(Clone, Copy, Debug)]
pub enum SessionHistory<'a> {
    /// The chat's last session.
    Chat(&'a str),
    /// This session.
    Session(&'a str),
}

/// A message of the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryMessage {
    /// Portal's message.
    pub id: String,
    /// Portal's user; `"0"` = system.
    pub sender_id: String,
    /// As it stands in the chat.
    pub text: String,
    /// External ids that it was sent or delivered with.
    pub connector_mids: Vec<String>,
    /// Files.
    pub files: usize,
    /// When, ISO 8601, as the portal writes it.
    pub date: Option<String>,
}

impl Method for SessionHistory<'_> {
    const NAME: &'static str = "imopenlines.session.history.get";
    /// In the order of the portal's ids.
    type Output = Vec<HistoryMessage>;

    fn params(&self) -> Value {
        match self {
            Self::Chat(id) => json!({"CHAT_ID": id}),
            Self::Session(id) => json!({"SESSION_ID": id}),
        }
    }

    fn read(&self, result: &Value) -> Result<Vec<HistoryMessage>, CallError> {
        let messages = get(result, "message").ok_or(CallError::Shape { what: "the messages" })?;
        let read = |(key, message): (String, &Value)| HistoryMessage {
            id: text_at(message, &["id"]).unwrap_or(key),
            sender_id: text_at(message, &["senderid"])
                .or_else(|| text_at(message, &["sender_id"]))
                .unwrap_or_else(|| "0".to_owned()),
            text: text_at(message, &["text"]).unwrap_or_default(),
            connector_mids: at(message, &["params", "connectorMid"])
                .or_else(|| at(message, &["params", "CONNECTOR_MID"]))
                .map(texts)
                .unwrap_or_default(),
            files: at(message, &["params", "fileId"])
                .or_else(|| at(message, &["params", "FILE_ID"]))
                .map_or(0, |files| texts(files).len()),
            date: text_at(message, &["date"]),
        };
        let mut history: Vec<HistoryMessage> = keyed(messages).into_iter().map(read).collect();
        history.sort_by_key(|message| message.id.parse::<u64>().unwrap_or(u64::MAX));
        Ok(history)
    }
}

fn line_config(value: &Value) -> Option<LineConfig> {
    Some(LineConfig {
        id: LineId::new(text_at(value, &["ID"])?),
        name: text_at(value, &["LINE_NAME"]).unwrap_or_default(),
        active: yes_at(value, &["ACTIVE"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_very_name() {
        let lines = ConfigList::default()
            .read(&json!([
                {"ID": "30", "LINE_NAME": "separator_7999", "ACTIVE": "Y"},
                {"ID": "4", "LINE_NAME": "separator_7999", "ACTIVE": "N"},
                {"ID": 15, "LINE_NAME": "separatorX7999", "ACTIVE": "Y"}]))
            .unwrap();
        assert_eq!(find_by_name(&lines, "separator_7999").unwrap().id.as_str(), "4");
        assert_eq!(find_by_name(&lines, "separator_1"), None);
        assert!(ConfigList::default().read(&json!([])).unwrap().is_empty());
        assert!(ConfigList::default().read(&json!(false)).is_err());
    }

    #[test]
    fn a_line_that_could_not_be_made_is_an_error() {
        let add = ConfigAdd { name: "separator_7999", operators: &["1".to_owned()] };
        assert_eq!(add.read(&json!(107)).unwrap(), LineId::from("107"));
        assert_eq!(add.read(&json!("107")).unwrap(), LineId::from("107"));
        assert_eq!(add.read(&json!(false)).unwrap_err().code(), "LINE_NOT_CREATED");
        assert_eq!(add.params()["PARAMS"]["QUEUE"], json!([{"ENTITY_TYPE": "user", "ENTITY_ID": "1"}]));
        let line = LineId::from("107");
        assert_eq!(ConfigGet { line: &line }.read(&json!(false)).unwrap(), None);
    }

    #[test]
    fn a_dialog_names_line_chat_and_session() {
        let dialog = DialogGet { im_chat_id: "1767" }
            .read(&json!({"id": 1767, "entity_id": "wabridge|107|79990000000|585",
                "entity_data_1": "Y|DEAL|3|N|N|323|1773759161|0|0|0", "entity_data_2": "LEAD|0"}))
            .unwrap();
        assert_eq!(dialog.line.as_str(), "107");
        assert_eq!(dialog.chat_id.as_str(), "79990000000");
        assert_eq!(dialog.session_id.as_deref(), Some("323"));
        assert_eq!(dialog.im_chat_id, "1767");
        assert!(DialogGet { im_chat_id: "1" }.read(&json!({"entity_id": "x"})).is_err());
    }

    #[test]
    fn the_history_is_in_the_order_of_its_ids_and_names_our_ids() {
        let history = SessionHistory::Chat("1767")
            .read(&json!({"chatId": 1767, "message": {
                "100": {"id": 100, "senderid": "585", "text": "b", "params": {"connectorMid": ["wamid.2"]}},
                "99": {"id": "99", "senderid": "585", "text": "a", "params":
                    {"connectorMid": {"0": "wamid.1"}, "fileId": [5, 6]}},
                "101": {"id": "101", "senderid": "0", "text": "note", "params": []}}}))
            .unwrap();
        let ids: Vec<&str> = history.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids, ["99", "100", "101"]);
        assert_eq!(history[0].connector_mids, ["wamid.1"]);
        assert_eq!(history[0].files, 2);
        assert!(history[2].connector_mids.is_empty());
        assert_eq!(history[2].sender_id, "0");
        assert!(SessionHistory::Session("323").read(&json!({"message": []})).unwrap().is_empty());
        assert!(SessionHistory::Session("323").read(&json!([])).is_err());
    }
}
