//! What happened to a call, as it is stored: a JSON list of moments.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A call has no more moments than this; what comes after is left out, but for its end.
const MOST: usize = 200;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// What, as a word.
    pub what: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Serialize)]
struct Stored<'a> {
    at: String,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The moments of a stored list.
pub fn read(json: &str) -> Vec<Moment> {
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether such a moment is there.
pub fn has(json: &str, what: &str) -> bool {
    read(json).iter().any(|moment| moment.what == what)
}

/// The list with one moment more.
pub fn with(json: &str, at: DateTime<Utc>, what: &str, detail: Option<String>) -> String {
    let mut moments = read(json);
    if moments.len() < MOST || what == "ended" {
        moments.push(Moment { at, what: what.to_owned(), detail });
    }
    write(&moments)
}

/// Two lists as one, in the order of time.
pub fn merged(one: &str, other: &str) -> String {
    let mut moments = read(one);
    moments.extend(read(other));
    moments.sort_by_key(|moment| moment.at);
    moments.dedup_by(|a, b| a.what == b.what && a.at == b.at);
    write(&moments)
}

fn write(moments: &[Moment]) -> String {
    let stored: Vec<Stored> = moments
        .iter()
        .map(|moment| Stored {
            at: moment.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            what: &moment.what,
            detail: moment.detail.as_deref(),
        })
        .collect();
    serde_json::to_string(&stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_stand_in_order_and_are_not_without_number() {
        let at = |second: u32| format!("2026-03-01T10:00:{second:02}Z").parse::<DateTime<Utc>>().unwrap();
        let one = with("[]", at(1), "arrived", None);
        let other = with("[]", at(0), "meta_call_created", Some("x".into()));
        let both = merged(&one, &other);
        assert_eq!(read(&both)[0].what, "meta_call_created");
        assert!(has(&both, "arrived") && !has(&both, "ended"));
        let full = (0..300).fold(both, |list, _| with(&list, at(2), "noted", None));
        assert_eq!(read(&full).len(), 200);
        assert_eq!(read(&with(&full, at(3), "ended", None)).len(), 201);
        assert!(read("not json").is_empty());
    }
}
