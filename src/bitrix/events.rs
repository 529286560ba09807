//! Which events of the portal reach us: `event.get`, `event.bind`, `event.unbind` (bitrix24 facts §2.3).

use serde_json::{Value, json};

use super::client::Answer;
use super::error::CallError;
use super::lenient::{int_at, items, text_at, yes, yes_at};
use super::method::Method;

/// The events that the bridge binds (facts §10.3).
pub const EVENTS: [&str; 9] = [
    "ONIMCONNECTORMESSAGEADD",
    "ONIMCONNECTORMESSAGEUPDATE",
    "ONIMCONNECTORMESSAGEDELETE",
    "ONIMCONNECTORDIALOGSTART",
    "ONIMCONNECTORDIALOGFINISH",
    "ONIMCONNECTORSTATUSDELETE",
    "ONIMCONNECTORLINEDELETE",
    "ONAPPUNINSTALL",
    "ONAPPUPDATE",
];

/// One bound event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventBinding {
    /// Name in upper case.
    pub event: String,
    /// Address that it is posted to.
    pub handler: String,
    /// Portal's user whose tokens it carries; `None` or 0 = the user behind the event.
    pub auth_type: Option<i64>,
    /// It is only kept for us to fetch.
    pub offline: bool,
}

/// `event.get`: what this app has bound.
#[derive(Clone, Copy, Debug)]
pub struct EventGet;

impl Method for EventGet {
    const NAME: &'static str = "event.get";
    type Output = Vec<EventBinding>;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<Vec<EventBinding>, CallError> {
        if !(result.is_array() || result.is_object()) {
            return Err(CallError::Shape { what: "the list of events" });
        }
        let read = |binding: &Value| {
            Some(EventBinding {
                event: text_at(binding, &["event"])?.to_uppercase(),
                handler: text_at(binding, &["handler"]).unwrap_or_default(),
                auth_type: int_at(binding, &["auth_type"]).filter(|user| *user != 0),
                offline: yes_at(binding, &["offline"]),
            })
        };
        Ok(items(result).into_iter().filter_map(read).collect())
    }
}

/// `event.bind`. Bound already is success.
#[derive(Clone, Debug)]
pub struct EventBind<'a> {
    /// Name in any case.
    pub event: &'a str,
    /// Address to post to.
    pub handler: &'a str,
}

impl Method for EventBind<'_> {
    const NAME: &'static str = "event.bind";
    type Output = ();

    fn params(&self) -> Value {
        json!({"event": self.event, "handler": self.handler})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        if yes(result) { Ok(()) } else { Err(CallError::refused("RESULT_FALSE", "")) }
    }

    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<(), CallError> {
        match outcome {
            Err(CallError::Refused { description, .. })
                if description.to_lowercase().contains("already bind") =>
            {
                Ok(())
            }
            other => self.read(&other?.result),
        }
    }
}

/// `event.unbind`.
#[derive(Clone, Debug)]
pub struct EventUnbind<'a> {
    /// What is bound now, from [`EventGet`].
    pub binding: &'a EventBinding,
}

impl Method for EventUnbind<'_> {
    const NAME: &'static str = "event.unbind";
    /// How many were unbound.
    type Output = i64;

    fn params(&self) -> Value {
        let EventBinding { event, handler, auth_type, offline } = self.binding;
        let mut params = json!({"event": event});
        if let Some(map) = params.as_object_mut() {
            if *offline {
                map.insert("event_type".into(), json!("offline"));
            } else {
                map.insert("handler".into(), json!(handler));
            }
            if let Some(user) = auth_type {
                map.insert("auth_type".into(), json!(user));
            }
        }
        params
    }

    fn read(&self, result: &Value) -> Result<i64, CallError> {
        int_at(result, &["count"]).ok_or(CallError::Shape { what: "the count" })
    }
}

/// What to do so that each event is posted to `handler` exactly once: bindings to remove (doubles, other
/// users' tokens, stale addresses that `ours` recognises) and events to bind. Bindings to addresses that
/// are not ours stay.
pub fn plan<'a, 'b>(
    bound: &'a [EventBinding],
    wanted: &'b [&'b str],
    handler: &str,
    ours: impl Fn(&str) -> bool,
) -> (Vec<&'a EventBinding>, Vec<&'b str>) {
    let mut kept: Vec<&str> = Vec::new();
    let mut stale = Vec::new();
    for binding in bound {
        let name = binding.event.as_str();
        let good = binding.handler == handler && !binding.offline && binding.auth_type.is_none();
        if good && wanted.contains(&name) && !kept.contains(&name) {
            kept.push(name);
        } else if binding.handler == handler || ours(&binding.handler) {
            stale.push(binding);
        }
    }
    let missing = wanted.iter().copied().filter(|event| !kept.contains(event)).collect();
    (stale, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(event: &str, handler: &str) -> EventBinding {
        EventBinding { event: event.into(), handler: handler.into(), auth_type: None, offline: false }
    }

    #[test]
    fn what_is_bound_already_counts_as_bound() {
        let bind = EventBind { event: "ONAPPUPDATE", handler: "https://bridge.example/api/bitrix/" };
        let refused = |description: &str| {
            Err(CallError::Refused { http: 400, code: "ERROR_CORE".into(), description: description.into() })
        };
        assert!(bind.settle(refused("Unable to set event handler: Handler already binded")).is_ok());
        assert!(bind.settle(refused("Unable to set event handler: no")).is_err());
        assert!(bind.read(&json!(true)).is_ok());
        assert!(bind.read(&json!(false)).is_err());
    }

    #[test]
    fn bindings_are_read_and_unbound_as_they_are() {
        let bound = EventGet
            .read(&json!([
                {"event": "OnAppUpdate", "handler": "https://b.example/", "auth_type": "0", "offline": 0},
                {"event": "X", "handler": "https://b.example/", "auth_type": 5, "offline": "0"}]))
            .unwrap();
        assert_eq!(bound[0], binding("ONAPPUPDATE", "https://b.example/"));
        assert_eq!(
            EventUnbind { binding: &bound[1] }.params(),
            json!({"event": "X", "handler": "https://b.example/", "auth_type": 5})
        );
        assert_eq!(EventUnbind { binding: &bound[0] }.read(&json!({"count": "1"})).unwrap(), 1);
        assert!(EventGet.read(&json!([])).unwrap().is_empty());
    }

    #[test]
    fn each_event_ends_up_bound_exactly_once() {
        let handler = "https://bridge.example/api/bitrix/";
        let bound = [
            binding("A", handler),
            binding("A", "https://old.example/api/bitrix/"),
            binding("B", "https://stranger.example/"),
            EventBinding { auth_type: Some(5), ..binding("C", handler) },
            binding("GONE", handler),
        ];
        let (stale, missing) = plan(&bound, &["A", "B", "C"], handler, |url| url.contains("old.example"));
        assert_eq!(stale, vec![&bound[1], &bound[3], &bound[4]]);
        assert_eq!(missing, vec!["B", "C"]);
    }
}
