//! What crossed the bridge: calls, webhooks, events and pulled files, the latest of them.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::Desk;

/// How many are kept.
const KEPT: usize = 400;
/// Longer bodies are not kept.
const LONGEST_BODY: usize = 128 * 1024;
/// Keys whose values give access.
const SECRET_KEYS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "auth",
    "access_token",
    "refresh_token",
    "application_token",
    "verify_token",
    "appsecret_proof",
    "client_secret",
    "sign",
    "hash",
];

/// The latest crossings with their numbers.
#[derive(Default)]
pub(super) struct Strip {
    last: u64,
    kept: VecDeque<Crossing>,
}

struct Crossing {
    number: u64,
    line: Arc<str>,
    body: Value,
}

impl Strip {
    /// The lines that are kept, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|crossing| &*crossing.line)
    }

    /// What one crossing carried.
    pub(super) fn whole(&self, number: u64) -> Option<Value> {
        self.kept.iter().find(|crossing| crossing.number == number).map(|crossing| crossing.body.clone())
    }

    fn add(&mut self, shown: Shown, at: &str, seen: Value) -> Arc<str> {
        self.last += 1;
        let line: Arc<str> = Arc::from(
            json!({"n": self.last, "at": at, "way": shown.way, "name": shown.name, "note": shown.note,
                   "status": shown.status, "good": shown.good})
            .to_string(),
        );
        let body = redacted(seen);
        let length = body.to_string().len();
        let body = if length > LONGEST_BODY { json!(format!("{length} bytes, not kept")) } else { body };
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Crossing { number: self.last, line: line.clone(), body });
        line
    }
}

/// One line for the eye.
struct Shown {
    /// `meta-in`, `meta-out`, `portal-in` or `portal-out`, as seen from the bridge.
    way: &'static str,
    name: String,
    note: String,
    status: String,
    good: bool,
}

/// Takes down what both simulators observe until the page stops.
pub(super) async fn listen(desk: Arc<Desk>) {
    let (mut cloud, mut portal) = (desk.cloud.subscribe_events(), desk.portal.subscribe_events());
    loop {
        let (seen, from_meta) = tokio::select! {
            () = desk.cancel.cancelled() => return,
            seen = cloud.recv() => (seen, true),
            seen = portal.recv() => (seen, false),
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(RecvError::Lagged(missed)) => json!({"kind": "missed", "count": missed}),
            Err(RecvError::Closed) => return,
        };
        let shown = if from_meta { of_meta(&seen) } else { of_portal(&seen) };
        let at = match text(&seen, "/at") {
            "" => desk.cloud.now().to_rfc3339(),
            at => at.to_owned(),
        };
        let line = desk.strip().add(shown, &at, seen);
        // Nobody may be looking.
        let _ = desk.lines.send(line);
    }
}

fn of_meta(seen: &Value) -> Shown {
    let (status, good) = http_status(seen.get("status"));
    match text(seen, "/kind") {
        "webhook" => {
            let again = seen.get("attempt").and_then(Value::as_u64).filter(|attempt| *attempt > 1);
            let again = again.map(|attempt| format!(" · attempt {attempt}")).unwrap_or_default();
            let note = format!("{}{again}", updates(seen));
            Shown { way: "meta-in", name: "webhook".to_owned(), note, status, good }
        }
        "call" => {
            let path = text(seen, "/path");
            let name = format!("{} {path}", text(seen, "/method"));
            let note = match text(seen, "/body/type") {
                "" if text(seen, "/body/status") == "read" => "mark as read".to_owned(),
                kind => kind.to_owned(),
            };
            let code = seen.pointer("/answer/error/code").map(|code| format!("code {code}"));
            let note = [note, code.unwrap_or_default()].into_iter().filter(|part| !part.is_empty());
            Shown { way: "meta-out", name, note: note.collect::<Vec<_>>().join(" · "), status, good }
        }
        _ => missed("meta-in", seen),
    }
}

fn of_portal(seen: &Value) -> Shown {
    match text(seen, "/kind") {
        "call" => {
            let fault = text(seen, "/outcome/fault");
            let (status, good) = match seen.pointer("/outcome/fault").and_then(Value::as_u64) {
                Some(fault) => (fault.to_string(), false),
                None if !fault.is_empty() => ("no answer".to_owned(), false),
                None => http_status(seen.pointer("/outcome/status")),
            };
            let lost = seen.pointer("/outcome/answer_lost") == Some(&Value::Bool(true));
            let count = seen.pointer("/outcome/args/MESSAGES").and_then(Value::as_array).map(Vec::len);
            let count = count.filter(|count| *count > 1).map(|count| format!("{count} messages"));
            let parts = [
                count.unwrap_or_default(),
                text(seen, "/outcome/error").to_owned(),
                fault.to_owned(),
                if lost { "answer lost".to_owned() } else { String::new() },
            ];
            let note = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
            let name = text(seen, "/method").to_owned();
            Shown { way: "portal-out", name, note, status, good: good && !lost }
        }
        "event" => {
            let lost = seen.get("lost").is_some();
            let (status, good) =
                if lost { ("lost".to_owned(), false) } else { http_status(seen.get("status")) };
            let name = text(seen, "/event").to_owned();
            Shown { way: "portal-in", name, note: String::new(), status, good }
        }
        "pull" => {
            let (status, good) = http_status(seen.get("status"));
            let bytes = seen.get("bytes").and_then(Value::as_u64).map(|bytes| format!(" · {bytes} bytes"));
            let note = format!("{}{}", text(seen, "/name"), bytes.unwrap_or_default());
            Shown { way: "portal-in", name: "GET file".to_owned(), note, status, good }
        }
        _ => missed("portal-in", seen),
    }
}

fn missed(way: &'static str, seen: &Value) -> Shown {
    let count = seen.get("count").and_then(Value::as_u64).unwrap_or(0);
    let name = "…".to_owned();
    Shown { way, name, note: format!("{count} more, too fast to show"), status: String::new(), good: true }
}

fn http_status(status: Option<&Value>) -> (String, bool) {
    match status.and_then(Value::as_u64) {
        Some(status) => (status.to_string(), (200..400).contains(&status)),
        None => ("no answer".to_owned(), false),
    }
}

/// What a notification tells, in a few words.
fn updates(seen: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for change in
        seen.get("body").iter().flat_map(|body| list(body, "entry")).flat_map(|entry| list(&entry, "changes"))
    {
        let value = change.get("value").cloned().unwrap_or_default();
        words.extend(
            list(&value, "messages").iter().map(|message| format!("message: {}", text(message, "/type"))),
        );
        words.extend(
            list(&value, "statuses").iter().map(|status| format!("status: {}", text(status, "/status"))),
        );
        if text(&change, "/field") != "messages" {
            words.push(text(&change, "/field").to_owned());
        }
    }
    let rest = words.len().saturating_sub(3);
    words.truncate(3);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    words.join(", ") + &more
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Without what gives access: values of secret keys, and signatures and tokens inside addresses.
fn redacted(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().map(redacted_member).collect::<Map<_, _>>()),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::String(text) => Value::String(redacted_text(&text)),
        other => other,
    }
}

fn redacted_member((key, value): (String, Value)) -> (String, Value) {
    let secret = SECRET_KEYS.iter().any(|secret| key.eq_ignore_ascii_case(secret));
    let value = if secret && !value.is_null() { json!("•••") } else { redacted(value) };
    (key, value)
}

fn redacted_text(text: &str) -> String {
    if !text.contains("://") && !text.starts_with('/') {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let (path, query) = word.split_once('?').unwrap_or((word, ""));
        // The bridge's links to files are `/media/TOKEN/NAME`, those to its SMS handler `/sms/SECRET/`.
        let mut parts: Vec<&str> = path.split('/').collect();
        for index in 1..parts.len() {
            let follows = parts.get(index - 1).is_some_and(|before| matches!(*before, "media" | "sms"));
            if let Some(part) = parts.get_mut(index).filter(|part| follows && part.len() >= 20) {
                *part = "•••";
            }
        }
        let query: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((key, _)) if SECRET_KEYS.iter().any(|s| key.eq_ignore_ascii_case(s)) => {
                    format!("{key}=•••")
                }
                _ => pair.to_owned(),
            })
            .collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        words.push(parts.join("/") + &query);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_without_what_gives_access() {
        let body = json!({
            "access_token": "EAAG", "auth": {"x": 1}, "text": "50% off? a&b=c", "token": null,
            "list": [{"url": "http://h/a/?mid=1&hash=abc&ext=2"}],
            "file": "http://127.0.0.1:1/media/0123456789abcdef0123456789/picture.jpg",
            "link": "see http://h/pub/im.file.php?FILE_ID=7&SIGN=00ff here",
        });
        assert_eq!(
            redacted(body),
            json!({
                "access_token": "•••", "auth": "•••", "text": "50% off? a&b=c", "token": null,
                "list": [{"url": "http://h/a/?mid=1&hash=•••&ext=2"}],
                "file": "http://127.0.0.1:1/media/•••/picture.jpg",
                "link": "see http://h/pub/im.file.php?FILE_ID=7&SIGN=••• here",
            })
        );
    }

    #[test]
    fn a_notification_is_told_in_a_few_words() {
        let body = json!({"entry": [{"changes": [{"field": "messages", "value": {
            "messages": [{"type": "text"}, {"type": "image"}], "statuses": [{"status": "read"}, {"status": "sent"}]}}]}]});
        let shown = of_meta(&json!({"kind": "webhook", "attempt": 2, "status": 500, "body": body}));
        assert_eq!(shown.note, "message: text, message: image, status: read and 1 more · attempt 2");
        assert_eq!((shown.way, shown.status.as_str(), shown.good), ("meta-in", "500", false));
    }

    #[test]
    fn the_latest_crossings_are_kept() {
        let mut strip = Strip::default();
        for number in 0..KEPT + 5 {
            strip.add(of_portal(&json!({"kind": "pull", "status": 200})), "", json!(number));
        }
        assert_eq!(strip.lines().count(), KEPT);
        assert_eq!(strip.whole(5), None);
        assert_eq!(strip.whole(6), Some(json!(5)));
    }
}
