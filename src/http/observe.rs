//! Around every request: what is logged of it, and what every answer bears.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tokio::time::Instant;

use super::State;

/// Paths that are called thousands of times a second or every few seconds: logged only when they fail.
const BUSY: [&str; 5] = ["/api/waba", "/api/bitrix", "/healthz", "/readyz", "/metrics"];

/// Refused requests that a thread tells of in a minute: a stranger can make as many as he likes.
const REFUSED: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);

/// How long browsers ask by https only, of this name alone.
const HALF_A_YEAR: &str = "max-age=15552000";

/// How many refused requests were told of lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    since: Option<Instant>,
    count: u32,
}

impl Refusals {
    /// Whether one more is worth a line; what was left out is told when the minute is over.
    pub(super) fn is_told(&self, now: Instant) -> bool {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.since.is_none_or(|since| now - since >= MINUTE) {
            let left_out = lately.count.saturating_sub(REFUSED);
            if left_out > 0 {
                tracing::info!(left_out, "more requests were refused than are told of one by one");
            }
            *lately = Lately { since: Some(now), count: 0 };
        }
        lately.count = lately.count.saturating_add(1);
        lately.count <= REFUSED
    }
}

/// Answers with safe headers and an access log without query strings and secrets of paths.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), shown_path(request.path()));
    let refusals = request.app_data::<web::Data<Refusals>>().cloned();
    let is_https = request.app_data::<web::Data<State>>().is_some_and(|state| state.config.is_https());
    let outcome = next.call(request).await;
    let status = match &outcome {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let ms = started.elapsed().as_millis();
    let (status, quiet) = (status.as_u16(), BUSY.iter().any(|busy| path.trim_end_matches('/') == *busy));
    let refused = (400..500).contains(&status);
    let left_out = refused && refusals.is_some_and(|refusals| !refusals.is_told(started));
    if (quiet && status < 400) || left_out {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, ms, "request");
    }
    let mut response = outcome?;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        insert_absent(headers, name, value);
    }
    if is_https {
        insert_absent(headers, header::STRICT_TRANSPORT_SECURITY, HALF_A_YEAR);
    }
    Ok(response)
}

fn insert_absent(headers: &mut header::HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The path without what must not be written down: tokens of links and handlers.
fn shown_path(path: &str) -> String {
    for secret in ["/media/", "/api/bitrix/sms/", "/sms/", "/admin/login/"] {
        if path.starts_with(secret) {
            return format!("{secret}…");
        }
    }
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_repeats_does_not_fill_the_log() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let told = (0..1000).filter(|_| refusals.is_told(now)).count();
        assert_eq!(told, 30);
        assert!(refusals.is_told(now + MINUTE), "the next minute is told of again");
    }

    #[test]
    fn secrets_of_a_path_are_not_logged() {
        assert_eq!(shown_path("/media/TOKEN/a.jpg"), "/media/…");
        assert_eq!(shown_path("/api/bitrix/sms/SECRET/"), "/api/bitrix/sms/…");
        assert_eq!(shown_path("/api/v1/apps"), "/api/v1/apps");
    }
}
