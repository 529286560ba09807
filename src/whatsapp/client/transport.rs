//! One request and its answer: address, token, limits, and errors read as Meta writes them.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{CALL_TIMEOUT, GraphClient};
use crate::domain::Secret;
use crate::whatsapp::error::{GraphError, Refusal, retry_after};

/// Largest JSON answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

impl GraphClient {
    /// `base/version/part/part`; each part is one segment, whatever it holds.
    pub(super) fn address(&self, parts: &[&str]) -> Result<Url, GraphError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| GraphError::Address)?
            .pop_if_empty()
            .push(&self.version)
            .extend(parts);
        Ok(url)
    }

    /// A call with the token in its header.
    pub(super) fn call(
        &self,
        method: Method,
        token: &Secret,
        parts: &[&str],
    ) -> Result<RequestBuilder, GraphError> {
        let url = self.address(parts)?;
        Ok(self.http.request(method, url).bearer_auth(token.expose()).timeout(CALL_TIMEOUT))
    }

    /// Sends and reads the answer.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        token: &Secret,
    ) -> Result<T, GraphError> {
        let response = request.send().await.map_err(GraphError::transport)?;
        let response = accepted(response, token).await?;
        let (http, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = limited(response).await?;
        serde_json::from_slice(&body).map_err(|_| GraphError::Unreadable { http, retry_after })
    }

    /// Sends and wants `{"success": true}`.
    pub(super) async fn success(&self, request: RequestBuilder, token: &Secret) -> Result<(), GraphError> {
        let answer: Value = self.answer(request, token).await?;
        match answer.get("success") {
            Some(Value::Bool(true)) => Ok(()),
            Some(Value::String(text)) if text == "true" => Ok(()),
            _ => Err(GraphError::Unreadable { http: 200, retry_after: None }),
        }
    }
}

/// The response if it is a success, else Meta's error.
pub(super) async fn accepted(response: Response, token: &Secret) -> Result<Response, GraphError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let http = response.status().as_u16();
    let headers = response.headers().clone();
    let pause: Option<Duration> = retry_after(&headers);
    // An error whose body breaks off is still an answer.
    let body = limited(response).await.unwrap_or_default();
    Err(match Refusal::read(http, &headers, &body) {
        Some(refusal) => GraphError::Refused(Box::new(refusal)).without(token),
        None => GraphError::Unreadable { http, retry_after: pause },
    })
}

async fn limited(mut response: Response) -> Result<Vec<u8>, GraphError> {
    let http = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(GraphError::transport)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(GraphError::Unreadable { http, retry_after: None });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
