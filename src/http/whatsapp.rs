//! What Meta calls: the handshake and its notifications (whatsapp-messaging facts §1.1, §1.2).

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{Problem, State};
use crate::directory::App;
use crate::relay::inbound;
use crate::whatsapp::signature;

/// The handshake's query; other keys are accepted.
#[derive(Deserialize)]
pub(super) struct Handshake {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// What a webhook's address selects.
#[derive(Deserialize)]
pub(super) struct Selector {
    #[serde(rename = "api-key")]
    api_key: Option<String>,
    app_id: Option<String>,
}

/// `GET /api/waba/`: the raw challenge to who knows one of our verify tokens.
pub(super) async fn handshake(
    state: web::Data<State>,
    query: web::Query<Handshake>,
) -> Result<HttpResponse, Problem> {
    let snapshot = state.directory.now();
    let given = query.verify_token.as_bytes();
    let known = snapshot.apps.iter().fold(false, |known, app| {
        let token = app.verify_token.expose().as_bytes();
        known | (!token.is_empty() && bool::from(token.ct_eq(given)))
    });
    if query.mode == "subscribe" && known {
        Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(query.into_inner().challenge))
    } else {
        Err(Problem::new(StatusCode::FORBIDDEN, "the verify token is none of ours"))
    }
}

/// `POST /api/waba/`: proven by its signature, stored with the jobs that it causes, then answered.
pub(super) async fn webhook(
    state: web::Data<State>,
    request: HttpRequest,
    selector: web::Query<Selector>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let snapshot = state.directory.now();
    let host = host_of(&request, &state);
    let app = snapshot.select_app(selector.api_key.as_deref(), selector.app_id.as_deref(), host.as_deref());
    let app = app.ok_or_else(|| unsigned(&state, "no app is selected by this address"))?;
    check(&state, app, &request, &body)?;
    match inbound::receive(&state.relay, app, &body).await {
        Ok(has_news) => {
            state.metrics.notification("accepted");
            // The doctor's own notification bears no news.
            if has_news {
                state.setup.webhook_seen(&app.id);
            }
            Ok(HttpResponse::Ok().finish())
        }
        Err(error) => {
            state.metrics.notification("busy");
            Err(error.into())
        }
    }
}

fn check(state: &State, app: &App, request: &HttpRequest, body: &[u8]) -> Result<(), Problem> {
    if app.secrets.is_empty() {
        // Only we are at fault: Meta repeats it for days, in which the secret can be entered again.
        state.metrics.notification("broken");
        let detail = "the app's secret cannot be decrypted; enter it again";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    let header = request.headers().get(signature::HEADER).and_then(|value| value.to_str().ok());
    signature::verify(&app.secrets, body, header).map_err(|error| {
        // A stranger can post as many as he likes: each is a refused request in the log, counted in the metrics and
        // by the doctor.
        tracing::debug!(app.id = %app.id, error = %error, "a webhook is not proven and not stored");
        unsigned(state, &error.to_string())
    })
}

fn unsigned(state: &State, why: &str) -> Problem {
    state.metrics.signature_failure();
    state.metrics.notification("unsigned");
    Problem::new(StatusCode::UNAUTHORIZED, why)
}

/// The host that was called, without port and brackets; a trusted proxy's word goes first.
fn host_of(request: &HttpRequest, state: &State) -> Option<String> {
    let text = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let proxied = request.peer_addr().is_some_and(|peer| {
        state.config.http.trusted_proxies.iter().any(|network| network.contains(peer.ip()))
    });
    let forwarded = text(header::X_FORWARDED_HOST).filter(|_| proxied);
    let host = forwarded.or_else(|| text(header::HOST)).or_else(|| request.uri().host())?;
    let host = host.split(',').next()?.trim();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.split(':').next()?,
    };
    Some(bare.to_ascii_lowercase())
}
