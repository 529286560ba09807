//! The JSON API, as an administrator's script would call it.

use serde_json::Value;

/// A caller with a token.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub fn new(base_url: &str, token: &str) -> Self {
        // The API is called on this machine without TLS.
        let http =
            wabridge::bitrix::client::http_client(wabridge::tls::client_config(None).unwrap()).unwrap();
        Self::over(http, base_url, token)
    }

    /// By another client, as for HTTPS.
    pub fn over(http: reqwest::Client, base_url: &str, token: &str) -> Self {
        Self { http, base: format!("{base_url}/api/v1"), token: token.to_owned() }
    }

    /// What the caller shows.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Calls and returns status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// POSTs and expects what the contract says of success: 200 or 201.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert!(matches!(status, 200 | 201), "POST {path}: {status} {answer}");
        answer
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("PUT", path, Some(body)).await;
        assert_eq!(status, 200, "PUT {path}: {answer}");
        answer
    }
}
