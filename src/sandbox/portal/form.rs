//! Forms with nested keys as PHP writes and reads them (bitrix24 facts §2.3).

use serde_json::{Map, Value};
use url::form_urlencoded;

/// Deepest nesting of keys that is kept; what lies deeper is dropped.
const MAX_DEPTH: usize = 12;

/// Reads `a[b][0]=x` into nested objects and arrays; every leaf is text.
pub(super) fn parse(encoded: &[u8]) -> Map<String, Value> {
    let mut root = Map::new();
    for (key, value) in form_urlencoded::parse(encoded) {
        let path = path_of(&key);
        if path.len() <= MAX_DEPTH {
            insert(&mut root, &path, value.into_owned());
        }
    }
    root.into_iter().map(|(key, value)| (key, lists(value))).collect()
}

/// Writes a value as a form: percent-encoded brackets, no keys for empty arrays and nulls.
pub(super) fn build(value: &Value) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    flatten(&mut out, "", value);
    out.finish()
}

fn path_of(key: &str) -> Vec<String> {
    let Some((head, rest)) = key.split_once('[') else { return vec![key.to_owned()] };
    let mut path = vec![head.to_owned()];
    let rest = rest.strip_suffix(']').unwrap_or(rest);
    path.extend(rest.split("][").map(str::to_owned));
    path
}

fn insert(into: &mut Map<String, Value>, path: &[String], value: String) {
    let Some((head, rest)) = path.split_first() else { return };
    // `a[]` takes the next free number, as PHP does.
    let key = if head.is_empty() { into.len().to_string() } else { head.clone() };
    if rest.is_empty() {
        into.insert(key, Value::String(value));
        return;
    }
    let slot = into.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(inner) = slot {
        insert(inner, rest, value);
    }
}

/// Objects whose keys are 0, 1, 2… become arrays.
fn lists(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: Map<String, Value> = map.into_iter().map(|(k, v)| (k, lists(v))).collect();
            if is_list(&map) { Value::Array(in_order(map)) } else { Value::Object(map) }
        }
        other => other,
    }
}

fn is_list(map: &Map<String, Value>) -> bool {
    !map.is_empty() && (0..map.len()).all(|index| map.contains_key(&index.to_string()))
}

fn in_order(mut map: Map<String, Value>) -> Vec<Value> {
    (0..map.len()).filter_map(|index| map.remove(&index.to_string())).collect()
}

/// A keyed PHP array as JSON shows it: a list when its keys are 0, 1, 2…, `[]` when empty.
pub(super) fn php_array(map: Map<String, Value>) -> Value {
    if map.is_empty() {
        Value::Array(Vec::new())
    } else if is_list(&map) {
        Value::Array(in_order(map))
    } else {
        Value::Object(map)
    }
}

fn flatten(out: &mut form_urlencoded::Serializer<'_, String>, prefix: &str, value: &Value) {
    let nested = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}[{key}]") };
    match value {
        Value::Null => {}
        Value::Bool(flag) => {
            out.append_pair(prefix, if *flag { "1" } else { "0" });
        }
        Value::Number(number) => {
            out.append_pair(prefix, &number.to_string());
        }
        Value::String(text) => {
            out.append_pair(prefix, text);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(out, &nested(&index.to_string()), item);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                flatten(out, &nested(key), item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_keys_survive_the_way_there_and_back() {
        let value = json!({"ts": "1", "data": {"MESSAGES": [{"im": {"chat_id": "7"}, "files": []}]}});
        let form = build(&value);
        assert_eq!(form, "data%5BMESSAGES%5D%5B0%5D%5Bim%5D%5Bchat_id%5D=7&ts=1");
        assert_eq!(
            Value::Object(parse(form.as_bytes())),
            json!({"ts": "1", "data": {"MESSAGES": [{"im": {"chat_id": "7"}}]}})
        );
    }

    #[test]
    fn a_key_with_empty_brackets_takes_the_next_number() {
        assert_eq!(parse(b"a[]=1&a[]=2").get("a"), Some(&json!(["1", "2"])));
    }

    #[test]
    fn a_bottomless_key_is_dropped() {
        let key = format!("a{}=1", "[b]".repeat(400));
        assert!(parse(key.as_bytes()).is_empty());
    }
}
