//! The contact-center connector: registration, lines, and messages in [`messages`] (bitrix24 facts §3).

pub mod messages;
mod reply;
mod user;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

pub use messages::{
    DeleteMessages, Delivery, LineChange, LineChat, LineFile, LineMessage, LineRemoval, OutMessage,
    SendDelivery, SendMessages, UpdateMessages,
};
pub use reply::{ItemReply, SendReply};
pub use user::{UserObject, portal_name};

use super::error::CallError;
use super::lenient::{filled, text_at, yes, yes_at};
use super::method::Method;
use crate::domain::LineId;

/// Speech bubble with a handset, drawn for this connector.
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 70 71\">\
    <path fill=\"#fff\" d=\"M35 13a22 22 0 0 0-19 33l-3 11 11-3a22 22 0 1 0 11-41z\"/>\
    <path fill=\"#25d366\" d=\"M28 25c-2 0-5 3-4 7 2 7 8 13 15 15 4 1 7-2 7-4 0-1-5-4-6-4l-3 3c-4-1-8-5-9-9l3-3c0-1-2-5-3-5z\"/>\
    </svg>";

/// `imconnector.register`: a connector for chats of two, without edit and delete on the operator's side.
/// Idempotent; another app with the same id would take it over (facts §3.1).
#[derive(Clone, Debug)]
pub struct Register<'a> {
    /// Connector's id: lower case, no dot.
    pub id: &'a str,
    /// Name in the contact center.
    pub name: &'a str,
    /// Address of the settings page.
    pub placement_handler: &'a Url,
    /// Whether automatic messages of the line reach us.
    pub system_messages: bool,
}

impl Method for Register<'_> {
    const NAME: &'static str = "imconnector.register";
    type Output = ();

    fn params(&self) -> Value {
        let image = format!("data:image/svg+xml,{}", utf8_percent_encode(ICON, NON_ALPHANUMERIC));
        json!({
            "ID": self.id,
            "NAME": self.name,
            "ICON": {"DATA_IMAGE": image, "COLOR": "#25d366", "SIZE": "90%", "POSITION": "center"},
            "PLACEMENT_HANDLER": self.placement_handler.as_str(),
            "CHAT_GROUP": false,
            "NEED_SIGNATURE": false,
            "NEED_SYSTEM_MESSAGES": self.system_messages,
            "DEL_INTERNAL_MESSAGES": false,
            "EDIT_INTERNAL_MESSAGES": false,
            "DEL_EXTERNAL_MESSAGES": true,
            "NEWSLETTER": false,
        })
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_inner(result)
    }
}

/// `imconnector.unregister`: also switches it off on every line, which comes back as events (facts §3.2).
#[derive(Clone, Debug)]
pub struct Unregister<'a> {
    /// Connector's id.
    pub id: &'a str,
}

impl Method for Unregister<'_> {
    const NAME: &'static str = "imconnector.unregister";
    type Output = ();

    fn params(&self) -> Value {
        json!({"ID": self.id})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_inner(result)
    }
}

/// `imconnector.activate`. Switching off comes back as `ONIMCONNECTORSTATUSDELETE` (facts §3.3).
#[derive(Clone, Debug)]
pub struct Activate<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// On or off.
    pub active: bool,
}

impl Method for Activate<'_> {
    const NAME: &'static str = "imconnector.activate";
    type Output = ();

    fn params(&self) -> Value {
        // A text "N" would switch it on.
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line), "ACTIVE": i32::from(self.active)})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_true(result)
    }
}

/// `imconnector.connector.data.set`: what the contact center shows of the channel; after
/// [`Activate`] (facts §3.4).
#[derive(Clone, Debug)]
pub struct ConnectorDataSet<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
    /// The channel's own id.
    pub id: &'a str,
    /// Link to the channel, also for chats.
    pub url: &'a str,
    /// The channel's name.
    pub name: &'a str,
}

impl Method for ConnectorDataSet<'_> {
    const NAME: &'static str = "imconnector.connector.data.set";
    type Output = ();

    fn params(&self) -> Value {
        json!({
            "CONNECTOR": self.connector,
            "LINE": line_value(self.line),
            "DATA": {"ID": self.id, "URL": self.url, "URL_IM": self.url, "NAME": self.name},
        })
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_true(result)
    }
}

/// `imconnector.status`.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Connector's id.
    pub connector: &'a str,
    /// Line.
    pub line: &'a LineId,
}

/// State of a connector on a line (facts §3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectorStatus {
    /// Registered and switched on.
    pub configured: bool,
    /// Configured and free of errors: operators can send.
    pub working: bool,
    /// Marked as faulty.
    pub error: bool,
}

impl Method for Status<'_> {
    const NAME: &'static str = "imconnector.status";
    type Output = ConnectorStatus;

    fn params(&self) -> Value {
        json!({"CONNECTOR": self.connector, "LINE": line_value(self.line)})
    }

    fn read(&self, result: &Value) -> Result<ConnectorStatus, CallError> {
        if !result.is_object() {
            return Err(CallError::Shape { what: "the connector's status" });
        }
        Ok(ConnectorStatus {
            configured: yes_at(result, &["CONFIGURED"]),
            working: yes_at(result, &["STATUS"]),
            error: yes_at(result, &["ERROR"]),
        })
    }
}

/// `imconnector.list`: ids of the connectors that the portal knows.
#[derive(Clone, Copy, Debug)]
pub struct ConnectorList;

impl Method for ConnectorList {
    const NAME: &'static str = "imconnector.list";
    type Output = Vec<String>;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<Vec<String>, CallError> {
        match result {
            Value::Object(known) => Ok(known.keys().cloned().collect()),
            // An empty list of PHP.
            Value::Array(none) if none.is_empty() => Ok(Vec::new()),
            _ => Err(CallError::Shape { what: "the list of connectors" }),
        }
    }
}

/// A line's id as the integer that the methods ask for, if it is one.
pub(super) fn line_value(line: &LineId) -> Value {
    line.as_str().parse::<u64>().map_or_else(|_| json!(line.as_str()), |number| json!(number))
}

/// `{"result": true}`, or with HTTP 200 `{"result": false, "error": …}` (facts §3.1).
fn read_inner(result: &Value) -> Result<(), CallError> {
    if yes(result) || yes_at(result, &["result"]) {
        return Ok(());
    }
    let code = text_at(result, &["error"]).unwrap_or_else(|| "RESULT_FALSE".to_owned());
    Err(CallError::refused(code, text_at(result, &["error_description"]).unwrap_or_default()))
}

/// `true`, or a list that says nothing but came without an error.
fn read_true(result: &Value) -> Result<(), CallError> {
    match result {
        Value::Bool(false) | Value::Null => Err(CallError::refused("RESULT_FALSE", "")),
        text if filled(text).is_some_and(|_| !yes(text)) => Err(CallError::refused("RESULT_FALSE", "")),
        object if object.is_object() && text_at(object, &["error"]).is_some() => read_inner(object),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connector_is_registered_for_chats_of_two_without_signature() {
        let url = Url::parse("https://bridge.example/api/bitrix/connector/").unwrap();
        let register =
            Register { id: "wabridge", name: "WhatsApp", placement_handler: &url, system_messages: false };
        let params = register.params();
        for (key, value) in [
            ("CHAT_GROUP", false),
            ("NEED_SIGNATURE", false),
            ("NEED_SYSTEM_MESSAGES", false),
            ("EDIT_INTERNAL_MESSAGES", false),
            ("DEL_INTERNAL_MESSAGES", false),
            ("DEL_EXTERNAL_MESSAGES", true),
        ] {
            assert_eq!(params[key], json!(value), "{key}");
        }
        let image = params["ICON"]["DATA_IMAGE"].as_str().unwrap();
        assert!(image.starts_with("data:image/svg+xml,%3Csvg"));
        assert!(!image.contains(['\'', '"', '<', '#']));
        assert_eq!(params["PLACEMENT_HANDLER"], "https://bridge.example/api/bitrix/connector/");
    }

    #[test]
    fn http_200_is_not_yet_success() {
        let register = Unregister { id: "wabridge" };
        assert!(register.read(&json!({"result": true})).is_ok());
        let refused = json!({"result": false, "error": "NO_APPLICATION_ID", "error_description": "x"});
        assert_eq!(register.read(&refused).unwrap_err().code(), "NO_APPLICATION_ID");
        assert!(register.read(&json!([])).is_err());
        let line = LineId::from("107");
        let activate = Activate { connector: "wabridge", line: &line, active: true };
        assert!(activate.read(&json!(true)).is_ok());
        assert!(activate.read(&json!(false)).is_err());
        assert!(activate.read(&json!("N")).is_err());
    }

    #[test]
    fn switching_on_and_off_is_told_in_integers() {
        let line = LineId::from("107");
        let activate = Activate { connector: "wabridge", line: &line, active: false };
        assert_eq!(activate.params(), json!({"CONNECTOR": "wabridge", "LINE": 107, "ACTIVE": 0}));
    }

    #[test]
    fn a_connectors_status_is_read() {
        let line = LineId::from("107");
        let status = Status { connector: "wabridge", line: &line };
        let sample = json!({"LINE": "107", "CONNECTOR": "wabridge", "ERROR": false, "CONFIGURED": true, "STATUS": true});
        let expected = ConnectorStatus { configured: true, working: true, error: false };
        assert_eq!(status.read(&sample).unwrap(), expected);
        assert!(status.read(&json!(null)).is_err());
    }
}
