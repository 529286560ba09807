//! The switch panel: `GET /_sim/state`, `GET|POST /_sim/faults`, for this machine only.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::SimCloud;
use super::account::map;
use super::server::{Call, Reply};
use super::state::SimStatus;

pub(super) async fn answer(cloud: &SimCloud, call: &Call) -> Reply {
    if !is_loopback(&call.host) || !call.origin.as_deref().is_none_or(is_own_origin) {
        return refuse(403, "This is for pages and programs of this machine only.");
    }
    match (call.method.as_str(), call.segments.get(1).map(String::as_str)) {
        ("GET", Some("state")) => Reply::ok(state(cloud)),
        ("GET", Some("faults")) => faults(cloud),
        ("POST", Some("faults")) => set_faults(cloud, call),
        _ if call.method == Method::GET => refuse(404, "Not here."),
        _ => refuse(405, "Not so."),
    }
}

fn faults(cloud: &SimCloud) -> Reply {
    serde_json::to_value(cloud.faults()).map_or_else(|_| refuse(500, "Cannot be shown."), Reply::ok)
}

/// Takes a part of the switches and leaves the others; an unknown key changes nothing.
fn set_faults(cloud: &SimCloud, call: &Call) -> Reply {
    // A form of a foreign page could be posted without a preflight; JSON cannot.
    if !call.content_type.starts_with("application/json") {
        return refuse(415, "JSON, please.");
    }
    let Ok(Value::Object(change)) = serde_json::from_slice(&call.body) else {
        return refuse(400, "A JSON object, please.");
    };
    let mut all = map(serde_json::to_value(cloud.faults()).unwrap_or_default());
    all.extend(change);
    match serde_json::from_value(Value::Object(all)) {
        Ok(new) => {
            cloud.set_faults(new);
            faults(cloud)
        }
        Err(error) => refuse(400, &error.to_string()),
    }
}

fn refuse(status: u16, reason: &str) -> Reply {
    Reply::Json(status, json!({ "error": reason }))
}

/// What there is, without secrets and texts.
fn state(cloud: &SimCloud) -> Value {
    let pending = cloud.webhooks_pending();
    let state = cloud.state();
    let apps: Vec<Value> = state
        .apps
        .values()
        .map(|app| {
            json!({"client_id": app.info.client_id, "callback_url": app.info.callback_url,
                "fields": app.fields, "webhooks_pending": app.outbox.pending()})
        })
        .collect();
    let wabas: Vec<Value> = state
        .wabas
        .values()
        .map(|waba| {
            let subscribed: Vec<&str> =
                waba.subscribed.iter().map(|entry| entry.client_id.as_str()).collect();
            json!({"id": waba.id, "name": waba.node.get("name"), "subscribed_apps": subscribed})
        })
        .collect();
    let phones: Vec<Value> = state
        .phones
        .iter()
        .map(|phone| {
            json!({"id": phone.id, "waba_id": phone.waba_id, "display_phone_number": phone.node.get("display_phone_number"),
                "verified_name": phone.node.get("verified_name")})
        })
        .collect();
    let messages = state.chats.values().flat_map(|chat| chat.items.iter());
    let failed = messages.filter(|item| item.message.status == SimStatus::Failed).count();
    json!({
        "now": state.now(cloud.clock()).to_rfc3339(),
        "apps": apps,
        "wabas": wabas,
        "phones": phones,
        "customers": state.customers.len(),
        "chats": state.chats.len(),
        "media": state.media.len(),
        "accepted": state.accepted,
        "failed": failed,
        "webhooks_pending": pending,
        "webhooks_dropped": state.dropped_webhooks,
        "faults": state.faults,
    })
}

/// `Host` of a loopback address, with or without a port: refuses names that were made to point here.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_own_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_origins_pass() {
        for yes in ["127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:80"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["", "example.com", "127.0.0.1.example.com", "192.168.0.1:80", "localhost.example.com"] {
            assert!(!is_loopback(no), "{no}");
        }
        assert!(is_own_origin("http://127.0.0.1:8080"));
        for no in ["null", "http://example.com", "file://"] {
            assert!(!is_own_origin(no), "{no}");
        }
    }
}
