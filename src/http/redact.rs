//! Payloads as they are shown to people: without the secrets in them.

use serde_json::Value;

/// Keys whose values are never shown.
const SECRETS: [&str; 13] = [
    "access_token",
    "refresh_token",
    "application_token",
    "auth_id",
    "refresh_id",
    "client_secret",
    "verify_token",
    "app_secret",
    "password",
    "pin",
    "verification_code",
    "token",
    "auth",
];

/// A stored payload, JSON or a form's text, with its secrets taken out.
pub(super) fn redacted(payload: &str) -> Value {
    match serde_json::from_str(payload) {
        Ok(mut value) => {
            redact(&mut value);
            value
        }
        Err(_) => Value::String(redact_form(payload)),
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                let secret = SECRETS.iter().any(|name| key.eq_ignore_ascii_case(name));
                match inner {
                    Value::String(_) | Value::Number(_) if secret => *inner = Value::from("••••"),
                    inner => redact(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// A form's text: the value of each `…secret]=value` pair.
fn redact_form(text: &str) -> String {
    if !text.contains('=') {
        return text.to_owned();
    }
    let shown = |pair: &str| match pair.split_once('=') {
        Some((key, _)) => {
            let lower = key.to_ascii_lowercase().replace("%5d", "").replace("%5b", "[");
            let last = lower.trim_end_matches(']').rsplit('[').next().unwrap_or_default().to_owned();
            if SECRETS.contains(&last.as_str()) { format!("{key}=••••") } else { pair.to_owned() }
        }
        None => pair.to_owned(),
    };
    text.split('&').map(shown).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_taken_out_at_any_depth() {
        let mut value = json!({"auth": {"access_token": "a", "domain": "p"}, "data": [{"PIN": 123456}]});
        redact(&mut value);
        assert_eq!(
            value,
            json!({"auth": {"access_token": "••••", "domain": "p"}, "data": [{"PIN": "••••"}]})
        );
        assert_eq!(
            redact_form("event=X&auth%5Baccess_token%5D=a&auth[application_token]=b&ts=1"),
            "event=X&auth%5Baccess_token%5D=••••&auth[application_token]=••••&ts=1"
        );
        assert_eq!(redact_form("{broken"), "{broken");
    }
}
