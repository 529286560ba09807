//! Reading JSON that may be shaped a little otherwise than promised: nothing here fails.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A text that may be absent, `null`, empty (all the same to us) or written as a number.
#[derive(Debug, Default, Clone)]
pub(crate) struct Text<'a>(Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// Reads a JSON value; lists and objects count as absent.
    pub(crate) fn from_json(json: &'a str) -> Self {
        let text = match json.as_bytes().first() {
            Some(b'"') => string(json),
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => Cow::Borrowed(json),
            _ => return Self(None),
        };
        Self(Some(text).filter(|text| !text.is_empty()))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn owned(&self) -> Option<String> {
        self.as_str().map(str::to_owned)
    }

    /// As an id of whatever kind.
    pub(crate) fn id<T: From<String>>(&self) -> Option<T> {
        self.owned().map(T::from)
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        self.as_str()?.trim().parse().ok()
    }

    /// Unix seconds, as text or number; what lies beyond the year 2999 is no time.
    pub(crate) fn time(&self) -> Option<DateTime<Utc>> {
        const YEAR_3000: i64 = 32_503_680_000;
        self.integer()
            .filter(|seconds| (1..YEAR_3000).contains(seconds))
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self::from_json(raw.get()))
    }
}

/// The string behind a JSON string token. Half of a surrogate pair (a name cut inside an emoji) becomes
/// U+FFFD; NUL goes, as PostgreSQL takes none in a text.
fn string(json: &str) -> Cow<'_, str> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| {
        let bytes = serde_json::from_str::<Bytes>(json).unwrap_or_default();
        String::from_utf8_lossy(&bytes.0).into_owned()
    });
    Cow::Owned(if text.contains('\0') { text.replace('\0', "") } else { text })
}

/// JSON text without what no database and no cloud takes: the escapes of NUL go, half surrogate pairs become
/// U+FFFD. Everything else stays to the byte.
pub(crate) fn tidy(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let taken = match unit(escape) {
            Some(0) => 6,
            Some(0xd800..=0xdbff) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => {
                out.push_str(escape.get(..12).unwrap_or_default());
                12
            }
            Some(0xd800..=0xdfff) => {
                out.push_str("\\ufffd");
                6
            }
            // An escape of two characters; the second may be a backslash itself.
            _ => {
                let two = escape.get(..2).unwrap_or(escape);
                out.push_str(two);
                two.len()
            }
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The UTF-16 unit that a text begins with as an escape.
fn unit(text: &str) -> Option<u16> {
    text.strip_prefix("\\u").and_then(|rest| rest.get(..4)).and_then(|hex| u16::from_str_radix(hex, 16).ok())
}

/// A JSON string as bytes: the one way in which `serde_json` lets a lone surrogate pass.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// The elements of a list; something else than a list is its only element, absent is none.
pub(crate) fn elements(list: Option<&RawValue>) -> Vec<&RawValue> {
    match list {
        None => Vec::new(),
        Some(raw) if raw.get().starts_with('[') => serde_json::from_str(raw.get()).unwrap_or_default(),
        Some(raw) => vec![raw],
    }
}

/// An object read into its wire struct. Asked for by its brace, as serde would also fill a struct from a
/// list.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// The same, or the struct of an absent object.
pub(crate) fn object<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(read).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_from_whatever_stands_there() {
        let cases = [
            (r#""abc""#, Some("abc")),
            (r#""a\/\u00e4""#, Some("a/ä")),
            (r#""""#, None),
            ("null", None),
            ("17", Some("17")),
            ("true", Some("true")),
            ("[1]", None),
            (r#"{"a":1}"#, None),
            (r#""cut \ud83d""#, Some("cut \u{fffd}\u{fffd}\u{fffd}")),
            (r#""nul\u0000 goes""#, Some("nul goes")),
        ];
        for (json, expected) in cases {
            assert_eq!(Text::from_json(json).as_str(), expected, "{json}");
        }
    }

    #[test]
    fn json_is_tidied_of_what_nothing_takes_and_else_left_alone() {
        for (json, expected) in [
            (r#"{"a":"plain \n \u00e4 \ud83d\ude00"}"#, r#"{"a":"plain \n \u00e4 \ud83d\ude00"}"#),
            (r#""a\u0000b""#, r#""ab""#),
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\ude00\ud83d\ud83d\ude00\uD83D x""#, r#""\ufffd\ufffd\ud83d\ude00\ufffd x""#),
            (r#""typed \\u0000 \\\ud83d""#, r#""typed \\u0000 \\\ufffd""#),
        ] {
            assert_eq!(tidy(json), expected);
            assert!(serde_json::from_str::<serde_json::Value>(&tidy(json)).is_ok(), "{json}");
        }
    }

    #[test]
    fn times_are_unix_seconds_as_text_or_number() {
        let expected = "2025-06-08T20:46:23Z".parse::<DateTime<Utc>>().ok();
        for (json, expected) in [
            (r#""1749415583""#, expected),
            ("1749415583", expected),
            ("1749415583000", None),
            (r#""soon""#, None),
            ("0", None),
        ] {
            assert_eq!(Text::from_json(json).time(), expected, "{json}");
        }
    }
}
