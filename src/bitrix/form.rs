//! PHP-style forms: `data[MESSAGES][0][im][chat_id]=1807` to a JSON value and back (bitrix24 facts §2.3).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value};
use thiserror::Error;

/// What a form may hold at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormLimits {
    /// Bytes of the whole body.
    pub bytes: usize,
    /// `key=value` pairs.
    pub pairs: usize,
    /// Levels of nesting, the name before the first bracket included.
    pub depth: usize,
}

impl Default for FormLimits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, pairs: 10_000, depth: 16 }
    }
}

/// Why a form is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormError {
    /// More bytes than the limit.
    #[error("the form is larger than {0} bytes")]
    TooLarge(usize),
    /// More pairs than the limit.
    #[error("the form has more than {0} fields")]
    TooManyFields(usize),
    /// A key with more brackets than the limit.
    #[error("the form is nested deeper than {0} levels")]
    TooDeep(usize),
}

/// Reads an urlencoded body into an object. Keys `0..n` become arrays, `[]` appends, the last of two equal
/// keys wins, broken percent codes stand for themselves and broken UTF-8 is replaced.
pub fn parse_form(body: &[u8], limits: FormLimits) -> Result<Value, FormError> {
    if body.len() > limits.bytes {
        return Err(FormError::TooLarge(limits.bytes));
    }
    let mut root = Branch::default();
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count >= limits.pairs {
            return Err(FormError::TooManyFields(limits.pairs));
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let key = decode(halves.next().unwrap_or_default());
        let value = decode(halves.next().unwrap_or_default());
        let path = split_key(&key);
        if path.len() > limits.depth {
            return Err(FormError::TooDeep(limits.depth));
        }
        root.insert(&path, value);
    }
    Ok(Value::Object(root.into_map()))
}

/// Writes a value as PHP's `http_build_query` does: nulls and empty lists vanish, booleans become `1`/`0`,
/// everything but letters, digits and `-_.~` is percent-encoded.
pub fn encode_form(value: &Value) -> String {
    let mut pairs = Vec::new();
    write_pairs(None, value, &mut pairs);
    pairs.join("&")
}

#[derive(Default)]
struct Branch {
    next_index: u64,
    children: BTreeMap<String, Node>,
}

enum Node {
    Leaf(String),
    Branch(Branch),
}

impl Branch {
    fn insert(&mut self, path: &[&str], value: String) {
        let Some((first, rest)) = path.split_first() else { return };
        let name = if first.is_empty() { self.next_index.to_string() } else { (*first).to_owned() };
        if let Some(index) = list_index(&name) {
            self.next_index = self.next_index.max(index.saturating_add(1));
        }
        if rest.is_empty() {
            self.children.insert(name, Node::Leaf(value));
            return;
        }
        let child = self.children.entry(name).or_insert_with(|| Node::Branch(Branch::default()));
        if let Node::Leaf(_) = child {
            *child = Node::Branch(Branch::default());
        }
        if let Node::Branch(branch) = child {
            branch.insert(rest, value);
        }
    }

    fn into_map(self) -> Map<String, Value> {
        self.children.into_iter().map(|(name, node)| (name, node.into_value())).collect()
    }

    fn is_list(&self) -> bool {
        let count = self.children.len() as u64;
        self.next_index == count && self.children.keys().all(|key| list_index(key).is_some())
    }
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Leaf(text) => Value::String(text),
            Self::Branch(branch) if branch.is_list() => {
                let mut members: Vec<_> = branch.children.into_iter().collect();
                members.sort_by_key(|(key, _)| list_index(key));
                Value::Array(members.into_iter().map(|(_, node)| node.into_value()).collect())
            }
            Self::Branch(branch) => Value::Object(branch.into_map()),
        }
    }
}

/// The number of a key that PHP would take for a list index: no sign, no leading zero.
fn list_index(key: &str) -> Option<u64> {
    let canonical = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { key.parse().ok() } else { None }
}

/// `a[b][]` to `["a", "b", ""]`; what is no well-formed bracket belongs to the name or is dropped.
fn split_key(key: &str) -> Vec<&str> {
    let Some((name, mut rest)) = key.split_once('[').filter(|(name, _)| !name.is_empty()) else {
        return if key.is_empty() { Vec::new() } else { vec![key] };
    };
    let mut path = vec![name];
    while let Some((segment, after)) = rest.split_once(']') {
        path.push(segment);
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None => return path,
        }
    }
    if path.len() == 1 { vec![key] } else { path }
}

fn decode(raw: &[u8]) -> String {
    let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn write_pairs(prefix: Option<&str>, value: &Value, pairs: &mut Vec<String>) {
    let mut member = |key: &str, value: &Value| {
        let name = utf8_percent_encode(key, RESERVED);
        let name = match prefix {
            Some(prefix) => format!("{prefix}%5B{name}%5D"),
            None => name.to_string(),
        };
        write_pairs(Some(&name), value, pairs);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| member(key, value)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| member(&index.to_string(), value));
        }
        Value::Null => {}
        scalar => {
            let text = super::lenient::text(scalar).unwrap_or_default();
            pairs.push(format!("{}={}", prefix.unwrap_or_default(), utf8_percent_encode(&text, RESERVED)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Value {
        parse_form(body.as_bytes(), FormLimits::default()).unwrap()
    }

    #[test]
    fn nested_keys_are_read_encoded_and_bare() {
        let bare = "event=X&data[MESSAGES][0][im][chat_id]=1807&data[MESSAGES][0][message][text]=a+b%0Ac";
        let expected = json!({
            "event": "X",
            "data": {"MESSAGES": [{"im": {"chat_id": "1807"}, "message": {"text": "a b\nc"}}]},
        });
        assert_eq!(parse(bare), expected);
        assert_eq!(parse(&bare.replace('[', "%5B").replace(']', "%5d")), expected);
    }

    #[test]
    fn lists_maps_and_scalars_are_told_apart() {
        let table = [
            ("data=107", json!({"data": "107"})),
            ("a[]=x&a[]=y", json!({"a": ["x", "y"]})),
            ("a[1]=y&a[0]=x", json!({"a": ["x", "y"]})),
            ("a[5]=x", json!({"a": {"5": "x"}})),
            ("a[5]=x&a[]=y", json!({"a": {"5": "x", "6": "y"}})),
            ("a[00]=x", json!({"a": {"00": "x"}})),
            ("a[0]=x&a[b]=y", json!({"a": {"0": "x", "b": "y"}})),
            ("a=1&a=2", json!({"a": "2"})),
            ("a=1&a[x]=2", json!({"a": {"x": "2"}})),
            ("a[x]=2&a=1", json!({"a": "1"})),
            ("a", json!({"a": ""})),
            ("=x&&[b]=y", json!({"[b]": "y"})),
            ("a[b=x", json!({"a[b": "x"})),
            ("a[b]c=x", json!({"a": {"b": "x"}})),
            ("a=%zz%4", json!({"a": "%zz%4"})),
            ("", json!({})),
        ];
        for (body, expected) in table {
            assert_eq!(parse(body), expected, "{body}");
        }
    }

    #[test]
    fn ten_and_more_list_elements_stay_in_order() {
        let body: String = (0..12).rev().map(|index| format!("a[{index}]={index}&")).collect();
        let expected: Vec<Value> = (0..12).map(|index| json!(index.to_string())).collect();
        assert_eq!(parse(&body), json!({"a": expected}));
    }

    #[test]
    fn bodies_beyond_the_limits_are_refused() {
        let limits = FormLimits { bytes: 400, pairs: 3, depth: 16 };
        assert_eq!(parse_form(&[b'a'; 401], limits), Err(FormError::TooLarge(400)));
        assert_eq!(parse_form(b"a=1&b=2&c=3&d=4", limits), Err(FormError::TooManyFields(3)));
        assert!(parse_form(format!("a{}=1", "[x]".repeat(15)).as_bytes(), limits).is_ok());
        assert_eq!(
            parse_form(format!("a{}=1", "[x]".repeat(16)).as_bytes(), limits),
            Err(FormError::TooDeep(16))
        );
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for seed in 0u32..2_000 {
            let mut state = seed.wrapping_mul(2_654_435_761);
            let body: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"a0[]=&%+\xff5"[(state >> 16) as usize % 10]
                })
                .collect();
            parse_form(&body, FormLimits::default()).unwrap();
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({"MESSAGES": [{"user": {"id": "7&=[x] ü"}}], "LINE": 107, "ON": true, "NO": null});
        let text = encode_form(&value);
        assert!(text.contains("MESSAGES%5B0%5D%5Buser%5D%5Bid%5D=7%26%3D%5Bx%5D%20%C3%BC"), "{text}");
        let expected = json!({"MESSAGES": [{"user": {"id": "7&=[x] ü"}}], "LINE": "107", "ON": "1"});
        assert_eq!(parse(&text), expected);
    }
}
