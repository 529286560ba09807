//! Around every request: what is logged of it, and what every answer bears.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tokio::time::Instant;

/// Paths that are called thousands of times a second or every few seconds: logged only when they fail.
const BUSY: [&str; 5] = ["/api/waba", "/api/bitrix", "/healthz", "/readyz", "/metrics"];

/// Answers with safe headers and an access log without query strings and secrets of paths.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), shown_path(request.path()));
    let outcome = next.call(request).await;
    let status = match &outcome {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let ms = started.elapsed().as_millis();
    let (status, quiet) = (status.as_u16(), BUSY.iter().any(|busy| path.trim_end_matches('/') == *busy));
    if quiet && status < 400 {
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
    fn secrets_of_a_path_are_not_logged() {
        assert_eq!(shown_path("/media/TOKEN/a.jpg"), "/media/…");
        assert_eq!(shown_path("/api/bitrix/sms/SECRET/"), "/api/bitrix/sms/…");
        assert_eq!(shown_path("/api/v1/apps"), "/api/v1/apps");
    }
}
