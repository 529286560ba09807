//! The answers of a flow or address form as a readable list.

use serde_json::Value;

use super::View;
use super::words::shortened;
use crate::translate::markup::neutralise;

/// A form has some dozens of fields at most.
const MAX_LINES: usize = 100;
/// Longest answer shown.
const MAX_VALUE: usize = 2_000;
const MAX_DEPTH: usize = 4;

/// A line `field: answer` for each answer; Meta's own token is left out.
pub fn list(view: &View<'_>, response: &Value) -> String {
    let mut lines = Vec::new();
    match response {
        Value::Object(_) => collect(view, "", response, 0, &mut lines),
        Value::Null => {}
        other => lines.push(value_text(view, other)),
    }
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        lines.push("…".to_owned());
    }
    shortened(&lines.join("\n"), 15_000)
}

fn collect(view: &View<'_>, path: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    if lines.len() > MAX_LINES {
        return;
    }
    let Value::Object(fields) = value else {
        lines.push(format!("• {path}: {}", value_text(view, value)));
        return;
    };
    for (key, value) in fields {
        if depth == 0 && key == "flow_token" {
            continue;
        }
        let label = label(key);
        // The address form wraps its fields in `values`, which says nothing.
        let path = match (path.is_empty(), key.as_str()) {
            (true, "values") if value.is_object() => String::new(),
            (true, _) => label,
            (false, _) => format!("{path}, {label}"),
        };
        if depth < MAX_DEPTH {
            collect(view, &path, value, depth + 1, lines);
        } else {
            lines.push(format!("• {path}: {}", value_text(view, value)));
        }
    }
}

/// `screen_0_Your_name_1` → `Your name`: Meta's form builder adds the screen and the number.
fn label(key: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut name = key;
    if let Some((number, rest)) = name.strip_prefix("screen_").and_then(|rest| rest.split_once('_'))
        && is_number(number)
    {
        name = rest;
        if let Some((rest, number)) = name.rsplit_once('_')
            && is_number(number)
        {
            name = rest;
        }
    }
    let name = name.replace('_', " ");
    neutralise(&shortened(if name.trim().is_empty() { key } else { name.trim() }, 100)).replace('\n', " ")
}

fn value_text(view: &View<'_>, value: &Value) -> String {
    neutralise(&shortened(&plain(view, value), MAX_VALUE))
}

fn plain(view: &View<'_>, value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(true) => view.say("yes", "да").to_owned(),
        Value::Bool(false) => view.say("no", "нет").to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(|value| !value.is_object() && !value.is_array()) => {
            values.iter().map(|value| plain(view, value)).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
