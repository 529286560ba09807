//! An error of the Graph API as it stands in the answer (whatsapp-messaging facts §5.1, §6.3).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use super::catalogue::rule;
use super::verdict_of_http;
use crate::domain::{Secret, Verdict};

/// Meta's error: decide on [`Refusal::code`] and [`Refusal::details`], not on the HTTP status.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refusal {
    /// HTTP status; the same code may come with 400 or 429.
    pub http: u16,
    /// Meta's code (§5.2).
    pub code: i64,
    /// Deprecated, still seen (463: the token has expired).
    pub subcode: Option<i64>,
    /// `(#131047) Re-engagement message`.
    pub message: String,
    /// `error_data.details`, or `error_data` itself where it is a text.
    pub details: Option<String>,
    /// Title meant for people.
    pub user_title: Option<String>,
    /// Text meant for people.
    pub user_msg: Option<String>,
    /// Whether Meta says itself that it will pass.
    pub is_transient: bool,
    /// When to come back, as told by `Retry-After` or the usage headers.
    pub retry_after: Option<Duration>,
    /// `fbtrace_id`: what Meta's support asks for.
    pub trace: Option<String>,
}

impl Refusal {
    /// What the queue should do: the table's verdict with Meta's own time where it gave one.
    pub(super) fn verdict(&self) -> Verdict {
        // The token lacks its proof: a matter of the app's settings, under the code of a wrong parameter.
        if self.code == 100 && self.message.contains("appsecret_proof") {
            return Verdict::Reauthorize;
        }
        match rule(self.code).map(|rule| rule.verdict) {
            // 100 stands for too much: here Meta's own word counts.
            Some(Verdict::GiveUp) if self.code == 100 && self.is_transient => Verdict::Retry,
            Some(Verdict::RetryAfter(delay)) => Verdict::RetryAfter(self.retry_after.unwrap_or(delay)),
            Some(Verdict::Retry) => self.retry_after.map_or(Verdict::Retry, Verdict::RetryAfter),
            Some(verdict) => verdict,
            None if self.is_transient => self.retry_after.map_or(Verdict::Retry, Verdict::RetryAfter),
            None => verdict_of_http(self.http, self.retry_after),
        }
    }

    /// Reads an error out of an answer's body; `None` if it is none of Meta's.
    pub(in crate::whatsapp) fn read(http: u16, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let error = answer.error;
        let details = match &error.error_data {
            Value::Object(data) => data.get("details").and_then(Value::as_str),
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        Some(Self {
            http,
            code: integer(&error.code)?,
            subcode: integer(&error.error_subcode),
            message: text(&error.message).unwrap_or_default(),
            details: details.filter(|text| !text.is_empty()).map(str::to_owned),
            user_title: text(&error.error_user_title),
            user_msg: text(&error.error_user_msg),
            is_transient: error.is_transient == Value::Bool(true),
            retry_after: retry_after(headers),
            trace: text(&error.fbtrace_id),
        })
    }

    /// Takes the token out of the texts: "Malformed access token …" repeats it.
    pub(super) fn redact(&mut self, token: &Secret) {
        if !token.is_empty() {
            let texts = [&mut self.details, &mut self.user_title, &mut self.user_msg];
            for text in texts.into_iter().flatten().chain([&mut self.message]) {
                if text.contains(token.expose()) {
                    *text = text.replace(token.expose(), "••••");
                }
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meta refused with code {}: {}", self.code, self.message)?;
        match &self.details {
            Some(details) => write!(f, " – {details}"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    error: Wire,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    code: Value,
    error_subcode: Value,
    message: Value,
    error_data: Value,
    is_transient: Value,
    error_user_title: Value,
    error_user_msg: Value,
    fbtrace_id: Value,
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `Retry-After` in seconds, else the minutes of `X-Business-Use-Case-Usage`.
pub(in crate::whatsapp) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let seconds = seconds.or_else(|| {
        let usage = headers.get("x-business-use-case-usage")?.to_str().ok()?;
        regain_minutes(usage).map(|minutes| minutes.saturating_mul(60))
    });
    // A day is longer than any window of Meta's and keeps a nonsense value from stopping a phone.
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.min(86_400)))
}

fn regain_minutes(usage: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Usage {
        #[serde(default)]
        estimated_time_to_regain_access: u64,
    }
    let usage: HashMap<String, Vec<Usage>> = serde_json::from_str(usage).ok()?;
    usage.into_values().flatten().map(|usage| usage.estimated_time_to_regain_access).max()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const LIMIT: &[u8] =
        br##"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,
        "error_subcode":2494055,"error_data":{"messaging_product":"whatsapp","details":"Throughput reached."},
        "is_transient":false,"error_user_title":"T","error_user_msg":"M","fbtrace_id":"Az8"}}"##;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    fn refusal(http: u16, body: &str) -> Refusal {
        Refusal::read(http, &HeaderMap::new(), body.as_bytes()).unwrap()
    }

    #[test]
    fn the_error_of_the_facts_is_read_whole() {
        let refusal = Refusal::read(400, &HeaderMap::new(), LIMIT).unwrap();
        assert_eq!((refusal.http, refusal.code, refusal.subcode), (400, 130_429, Some(2_494_055)));
        assert_eq!(refusal.details.as_deref(), Some("Throughput reached."));
        assert_eq!(refusal.user_title.as_deref(), Some("T"));
        assert_eq!(refusal.trace.as_deref(), Some("Az8"));
        assert_eq!(refusal.verdict(), Verdict::RetryAfter(Duration::from_secs(2)));
        assert_eq!(
            refusal.to_string(),
            "Meta refused with code 130429: (#130429) Rate limit hit – Throughput reached."
        );
    }

    #[test]
    fn what_is_none_of_metas_errors_is_not_read_as_one() {
        for body in ["<html>", "{}", r#"{"error":"text"}"#, r#"{"error":{"message":"no code"}}"#, ""] {
            assert_eq!(Refusal::read(500, &HeaderMap::new(), body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn details_may_be_a_plain_text_and_codes_may_be_texts() {
        let refusal = refusal(400, r#"{"error":{"code":"131009","error_data":"bad value"}}"#);
        assert_eq!((refusal.code, refusal.details.as_deref()), (131_009, Some("bad value")));
    }

    #[test]
    fn an_unknown_code_is_judged_by_transience_and_status() {
        let cases = [
            (400, r#"{"error":{"code":999999}}"#, Verdict::GiveUp),
            (500, r#"{"error":{"code":999999}}"#, Verdict::Retry),
            (400, r#"{"error":{"code":999999,"is_transient":true}}"#, Verdict::Retry),
            (400, r#"{"error":{"code":131009,"is_transient":true}}"#, Verdict::GiveUp),
            (400, r#"{"error":{"code":100,"is_transient":true}}"#, Verdict::Retry),
            (400, r#"{"error":{"code":100,"message":"Invalid appsecret_proof"}}"#, Verdict::Reauthorize),
            (500, r#"{"error":{"code":190}}"#, Verdict::Reauthorize),
        ];
        for (http, body, verdict) in cases {
            assert_eq!(refusal(http, body).verdict(), verdict, "{http} {body}");
        }
    }

    #[test]
    fn metas_own_time_counts_more_than_ours() {
        let usage =
            r#"{"102":[{"type":"messaging","call_count":100,"estimated_time_to_regain_access":7},{}]}"#;
        let cases = [
            (headers("retry-after", "30"), Some(30)),
            (headers("x-business-use-case-usage", usage), Some(420)),
            (headers("retry-after", "soon"), None),
            (headers("x-business-use-case-usage", "nonsense"), None),
            (headers("retry-after", "99999999999"), Some(86_400)),
        ];
        for (headers, seconds) in cases {
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{headers:?}");
        }
        let refusal = Refusal::read(429, &headers("retry-after", "30"), LIMIT).unwrap();
        assert_eq!(refusal.verdict(), Verdict::RetryAfter(Duration::from_secs(30)));
    }

    #[test]
    fn a_token_that_meta_repeats_is_taken_out() {
        let body = r#"{"error":{"code":190,"message":"Malformed access token EAAGsecret"}}"#;
        let mut refusal = refusal(400, body);
        refusal.redact(&Secret::new("EAAGsecret"));
        assert_eq!(refusal.message, "Malformed access token ••••");
    }
}
