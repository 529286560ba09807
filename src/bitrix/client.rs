//! One REST call to a portal, and what came of it. Never retries, never follows a redirect (bitrix24
//! facts §1).

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{ACCEPT, LOCATION};
use serde_json::{Value, json};
use url::Url;

use super::error::CallError;
use super::form::encode_form;
use super::lenient::{at, float, get, int_at, text_at};
use crate::domain::Secret;

/// Longer than the 60 s that a portal gives itself (facts §1.3).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(70);
/// Commands in one batch (facts §1.2).
pub const BATCH_SIZE: usize = 50;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than servers keep idle connections: a reused dead one would leave a call in doubt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// The HTTP client for portals and OAuth servers. Ignores proxies of the environment.
pub fn http_client(mut tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    if tls.alpn_protocols.is_empty() {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("wabridge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// A good answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// `result`, whatever it is.
    pub result: Value,
    /// Offset of the next page.
    pub next: Option<i64>,
    /// Rows in all pages.
    pub total: Option<i64>,
    /// Seconds that this method has used up in its window of ten minutes (facts §1.1).
    pub operating: Option<f64>,
    /// Unix seconds at which some of them are given back.
    pub operating_reset_at: Option<i64>,
}

/// One command of a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Name of the result; letters, digits and `_`.
    pub key: String,
    /// Method's name.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

/// Makes calls.
#[derive(Clone, Debug)]
pub struct RestClient {
    http: reqwest::Client,
    timeout: Duration,
}

impl RestClient {
    /// Calls through a client that follows no redirects, see [`http_client`].
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, timeout: CALL_TIMEOUT }
    }

    /// Another time limit for a whole call.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// POSTs `params` as JSON to `{endpoint}{method}` with the token in a header.
    pub async fn call(
        &self,
        endpoint: &Url,
        token: &Secret,
        method: &str,
        params: &Value,
    ) -> Result<Answer, CallError> {
        let request = self.http.post(join(endpoint, method)).bearer_auth(token.expose()).json(params);
        read_answer(&self.exchange(request).await?)
    }

    /// Up to [`BATCH_SIZE`] commands in one call; what is over the limit is refused as the portal would.
    /// Not for text of users: a `$result[…]` in it would be replaced (facts §1.2).
    pub async fn batch(
        &self,
        endpoint: &Url,
        token: &Secret,
        commands: &[Command],
    ) -> Result<BTreeMap<String, Result<Answer, CallError>>, CallError> {
        let (sent, over) = commands.split_at(commands.len().min(BATCH_SIZE));
        let mut answers = BTreeMap::new();
        if !sent.is_empty() {
            let answer = self.call(endpoint, token, "batch", &batch_params(sent)).await?;
            answers = read_batch(sent, &answer.result);
        }
        answers.extend(over.iter().map(|command| {
            (command.key.clone(), Err(CallError::refused("ERROR_BATCH_LENGTH_EXCEEDED", "")))
        }));
        Ok(answers)
    }

    /// Sends and reads an answer of Bitrix24's kind: JSON whose `error` key counts, not its status.
    pub(super) async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Value, CallError> {
        let request = request.header(ACCEPT, "application/json").timeout(self.timeout);
        let mut response = request.send().await.map_err(|source| CallError::Transport {
            in_doubt: !(source.is_connect() || source.is_builder()),
            source,
        })?;
        let http = response.status().as_u16();
        if response.status().is_redirection() {
            return Err(match location(&response) {
                Some(location) => CallError::Moved { location },
                None => CallError::Unreadable { http },
            });
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(CallError::Unreadable { http }),
                Ok(None) => break,
                Err(source) => return Err(CallError::Transport { in_doubt: true, source }),
            }
        }
        let value: Value = serde_json::from_slice(&body).map_err(|_| CallError::Unreadable { http })?;
        match read_error(&value, http) {
            Some(error) => Err(error),
            None if http >= 400 => Err(CallError::Unreadable { http }),
            None => Ok(value),
        }
    }

    /// The client underneath, for the OAuth server's own calls.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// `{endpoint}{method}`, also for an endpoint without its last slash.
pub(super) fn join(endpoint: &Url, method: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/{method}", endpoint.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn location(response: &reqwest::Response) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(text).ok()
}

fn read_answer(value: &Value) -> Result<Answer, CallError> {
    let result = get(value, "result").ok_or(CallError::Shape { what: "result" })?;
    Ok(Answer {
        result: result.clone(),
        next: int_at(value, &["next"]),
        total: int_at(value, &["total"]),
        operating: at(value, &["time", "operating"]).and_then(float),
        operating_reset_at: int_at(value, &["time", "operating_reset_at"]),
    })
}

/// Reads `{"error": "CODE", "error_description": …}`, or the newer `{"error": {"code", "message"}}`.
pub(super) fn read_error(value: &Value, http: u16) -> Option<CallError> {
    let (code, description) = match text_at(value, &["error"]) {
        Some(code) => (code, text_at(value, &["error_description"])),
        None => (text_at(value, &["error", "code"])?, text_at(value, &["error", "message"])),
    };
    let description = description.unwrap_or_default();
    Some(CallError::Refused { http, code: code.trim().to_uppercase(), description })
}

/// Parameters of `batch`.
pub fn batch_params(commands: &[Command]) -> Value {
    let line = |command: &Command| match encode_form(&command.params) {
        query if query.is_empty() => command.method.clone(),
        query => format!("{}?{query}", command.method),
    };
    let cmd: serde_json::Map<_, _> =
        commands.iter().map(|command| (command.key.clone(), Value::String(line(command)))).collect();
    json!({"halt": 0, "cmd": cmd})
}

/// The outcome of each command of `batch`, by its key.
pub fn read_batch(commands: &[Command], result: &Value) -> BTreeMap<String, Result<Answer, CallError>> {
    commands
        .iter()
        .map(|command| {
            let key = command.key.as_str();
            let part = |name: &str| at(result, &[name, key]);
            let outcome = if let Some(error) = part("result_error") {
                let bare = || CallError::refused(text_at(error, &[]).unwrap_or_default(), "");
                Err(read_error(error, 200).unwrap_or_else(bare))
            } else if let Some(found) = part("result") {
                Ok(Answer {
                    result: found.clone(),
                    next: int_at(result, &["result_next", key]),
                    total: int_at(result, &["result_total", key]),
                    operating: at(result, &["result_time", key, "operating"]).and_then(float),
                    operating_reset_at: int_at(result, &["result_time", key, "operating_reset_at"]),
                })
            } else {
                Err(CallError::Shape { what: "the command's result" })
            };
            (command.key.clone(), outcome)
        })
        .collect()
}

#[cfg(test)]
#[path = "client/tests.rs"]
pub(crate) mod tests;
