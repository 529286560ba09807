//! A number's settings for calls, and whom it may call (whatsapp-sip facts §1, §3.3).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CALL_TIMEOUT, GraphClient};
use crate::domain::{PhoneNumberId, Secret, UserId};
use crate::whatsapp::error::GraphError;

/// Members of an answer whose names hold this are secrets.
const SECRET_WORD: &str = "password";

/// What a number's settings for calls shall be. Only what stands here is written; call hours, icons and the
/// like stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallingWish {
    /// `ENABLED` or `DISABLED`: calls at all.
    pub status: String,
    /// `ENABLED` or `DISABLED`: calls by SIP.
    pub sip_status: String,
    /// `SDES` or `DTLS`.
    pub keying: String,
    /// `ENABLED` or `DISABLED`: webhooks about calls.
    pub webhook_delivery: String,
    /// Host name and port of the one SIP server; `None` removes it.
    pub server: Option<(String, u16)>,
    /// Parameters in the user part of the addresses that Meta calls (§1.4).
    pub user_params: BTreeMap<String, String>,
}

/// A number's settings for calls, as Meta has them. Words are Meta's: their lists are open.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CallingSettings {
    /// `ENABLED` or `DISABLED`.
    pub status: Option<String>,
    /// `ENABLED` or `DISABLED`.
    pub sip_status: Option<String>,
    /// `SDES` or `DTLS`; absent if it was never set.
    pub keying: Option<String>,
    /// `ENABLED` or `DISABLED`.
    pub webhook_delivery: Option<String>,
    /// SIP servers, one for each app that has set one.
    pub servers: Vec<SipServer>,
    /// The whole object, without secrets.
    pub shown: Value,
}

/// A SIP server that Meta calls.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SipServer {
    /// Host name.
    pub hostname: String,
    /// Port.
    pub port: u16,
    /// Meta's id of the app that set it.
    pub app_id: Option<String>,
    /// Password that Meta made for this number and app, if it was asked for.
    pub password: Option<Secret>,
    /// Parameters in the user part of the addresses that Meta calls.
    pub user_params: BTreeMap<String, String>,
}

impl SipServer {
    /// Their trunk group.
    pub fn tgrp(&self) -> Option<&str> {
        self.user_params.get("tgrp").map(String::as_str).filter(|tgrp| !tgrp.is_empty())
    }
}

impl CallingSettings {
    /// The server with this host name, else the only one.
    pub fn server(&self, hostname: Option<&str>) -> Option<&SipServer> {
        let named = |server: &&SipServer| {
            hostname.is_some_and(|hostname| server.hostname.eq_ignore_ascii_case(hostname))
        };
        self.servers.iter().find(named).or(match self.servers.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }

    /// Reads `calling`, whatever it lacks.
    pub fn read(calling: &Value) -> Self {
        let text = |path: &str| calling.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let servers = calling.pointer("/sip/servers").and_then(Value::as_array);
        Self {
            status: text("/status"),
            sip_status: text("/sip/status"),
            keying: text("/srtp_key_exchange_protocol"),
            webhook_delivery: text("/sip/webhook_delivery"),
            servers: servers.into_iter().flatten().map(server).collect(),
            shown: without_secrets(calling),
        }
    }
}

/// Whether a person may be called, as Meta says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallPermissions {
    /// `no_permission`, `pending`, `temporary`, `permanent`.
    pub status: Option<String>,
    /// When a temporary one ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether a call may be started now, limits included.
    pub can_call: Option<bool>,
    /// Whether a request for permission may be sent now.
    pub can_ask: Option<bool>,
}

impl CallPermissions {
    /// Whether a call may be started: Meta's word on the action, else what the permission says. `None`: it
    /// says neither.
    pub fn allows(&self) -> Option<bool> {
        self.can_call.or_else(|| match self.status.as_deref()?.to_ascii_lowercase().as_str() {
            "temporary" | "permanent" | "granted" | "approved" => Some(true),
            "no_permission" | "pending" | "denied" | "rejected" | "expired" | "revoked" => Some(false),
            _ => None,
        })
    }

    /// Reads the answer, whatever it lacks.
    pub fn read(answer: &Value) -> Self {
        let permission = answer.get("permission").unwrap_or(answer);
        let status = permission.get("status").or(Some(permission)).and_then(Value::as_str);
        let expires = ["expiration_time", "expiration_timestamp"]
            .into_iter()
            .find_map(|key| permission.get(key))
            .and_then(|at| at.as_i64().or_else(|| at.as_str()?.parse().ok()));
        let action = |words: &[&str]| {
            let actions = answer.get("actions").and_then(Value::as_array)?;
            let named = |action: &&Value| {
                let name = action.get("action_name").and_then(Value::as_str);
                name.is_some_and(|name| words.iter().any(|word| name.eq_ignore_ascii_case(word)))
            };
            actions.iter().find(named)?.get("can_perform_action")?.as_bool()
        };
        Self {
            status: status.map(str::to_owned),
            expires_at: expires
                .filter(|seconds| *seconds > 0)
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            can_call: action(&["start_call", "call"]),
            can_ask: action(&["send_call_permission_request", "request_call_permission"]),
        }
    }
}

impl GraphClient {
    /// Writes a number's settings for calls (§1.1).
    pub async fn set_calling(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        wish: &CallingWish,
    ) -> Result<(), GraphError> {
        let server = |(hostname, port): &(String, u16)| {
            let mut server = json!({"hostname": hostname, "port": port});
            if let (false, Some(server)) = (wish.user_params.is_empty(), server.as_object_mut()) {
                server.insert("request_uri_user_params".to_owned(), json!(wish.user_params));
            }
            server
        };
        let servers: Vec<Value> = wish.server.iter().map(server).collect();
        let body = json!({"calling": {
            "status": wish.status,
            "srtp_key_exchange_protocol": wish.keying,
            "sip": {
                "status": wish.sip_status,
                "webhook_delivery": wish.webhook_delivery,
                "servers": servers,
            },
        }});
        let request = self.call(Method::POST, token, &[phone.as_str(), "settings"])?.json(&body);
        self.success(request, token).await
    }

    /// Reads a number's settings for calls; `with_password`: with the SIP password, which the token must be
    /// allowed to see (§1.5).
    pub async fn calling(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        with_password: bool,
    ) -> Result<CallingSettings, GraphError> {
        let mut request = self.call(Method::GET, token, &[phone.as_str(), "settings"])?;
        if with_password {
            request = request.query(&[("include_sip_credentials", "true")]);
        }
        let answer: Value = self.answer(request, token).await?;
        Ok(CallingSettings::read(answer.get("calling").unwrap_or(&Value::Null)))
    }

    /// Whether a person, named by number (digits) or else by user id, may be called (§3.3).
    pub async fn call_permissions(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        number: Option<&str>,
        user_id: Option<&UserId>,
    ) -> Result<CallPermissions, GraphError> {
        let request = self.call(Method::GET, token, &[phone.as_str(), "call_permissions"])?;
        let request = match (number, user_id) {
            (Some(number), _) => request.query(&[("user_wa_id", number)]),
            (None, Some(user_id)) => request.query(&[("recipient", user_id.as_str())]),
            (None, None) => request,
        };
        let answer: Value = self.answer(request.timeout(CALL_TIMEOUT), token).await?;
        Ok(CallPermissions::read(&answer))
    }
}

fn server(value: &Value) -> SipServer {
    let text = |key: &str| match value.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let params = value.get("request_uri_user_params").and_then(Value::as_object);
    let params = params.into_iter().flatten();
    SipServer {
        hostname: text("hostname").unwrap_or_default(),
        port: text("port").and_then(|port| port.parse().ok()).unwrap_or(5061),
        app_id: text("app_id"),
        password: text("sip_user_password").map(Secret::new),
        user_params: params
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
    }
}

/// The same without members that hold passwords, and without NUL, which no database takes.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, _)| !key.to_ascii_lowercase().contains(SECRET_WORD))
                .map(|(key, value)| (key.replace('\0', ""), without_secrets(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(list) => list.iter().map(without_secrets).collect(),
        Value::String(text) => Value::String(text.replace('\0', "")),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_whatever_they_lack() {
        let settings = CallingSettings::read(&json!({
            "status": "ENABLED", "call_icon_visibility": "HIDE_IN_CHAT", "video": {"status": "X"},
            "sip": {"status": "ENABLED", "servers": [
                {"hostname": "sip.example.com", "port": "5070", "app_id": 12, "sip_user_password": "p4ss",
                 "request_uri_user_params": {"tgrp": "wacall", "trunk-context": "byoc.example.com"}},
                {"hostname": "other.example.com"}]},
        }));
        assert_eq!(settings.keying, None);
        let server = settings.server(Some("SIP.example.com")).unwrap();
        assert_eq!((server.port, server.app_id.as_deref()), (5070, Some("12")));
        assert_eq!(server.tgrp(), Some("wacall"));
        assert_eq!(server.password.as_ref().unwrap().expose(), "p4ss");
        assert_eq!(settings.servers[1].port, 5061);
        assert!(settings.server(Some("third.example.com")).is_none());
        assert!(!settings.shown.to_string().contains("p4ss"));
        for nothing in [json!(null), json!([]), json!({"sip": 5}), json!({"sip": {"servers": "x"}})] {
            assert!(CallingSettings::read(&nothing).servers.is_empty(), "{nothing}");
        }
    }

    #[test]
    fn the_action_decides_and_else_the_permission() {
        let read = |value: Value| CallPermissions::read(&value);
        let answer = read(json!({
            "messaging_product": "whatsapp", "permission": {"status": "temporary", "expiration_time": 1745343479},
            "actions": [
                {"action_name": "send_call_permission_request", "can_perform_action": false, "limits": []},
                {"action_name": "start_call", "can_perform_action": false, "limits": [{"time_period": "PT24H"}]}],
        }));
        assert_eq!((answer.allows(), answer.can_ask), (Some(false), Some(false)));
        assert_eq!(answer.expires_at.unwrap().timestamp(), 1_745_343_479);
        assert_eq!(read(json!({"permission": {"status": "PERMANENT"}})).allows(), Some(true));
        assert_eq!(read(json!({"permission": "no_permission"})).allows(), Some(false));
        assert_eq!(read(json!({"status": "pending"})).allows(), Some(false));
        assert_eq!(read(json!({"status": "new_word"})).allows(), None);
        assert_eq!(read(json!({})).allows(), None);
    }
}
