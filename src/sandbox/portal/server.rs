//! The HTTP side of the simulated portal: routes, outages, redirects, faults and limits before a call.

use std::any::Any;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, LOCATION, ORIGIN, USER_AGENT};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::faults::{FaultKind, Faults};
use super::rest::{self, RestError, fail};
use super::{Inner, oauth, views};

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 32 << 20;

/// The client's socket, so that a fault can cut it.
struct Socket(TcpStream);

/// Serves the routes on the listener; the caller spawns the server.
pub(super) fn start(
    listener: TcpListener,
    inner: Arc<Inner>,
    routes: fn(&mut web::ServiceConfig),
) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(inner.clone()))
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .configure(routes)
    });
    Ok(server.on_connect(keep_socket).workers(1).disable_signals().listen(listener)?.run())
}

pub(super) fn portal_routes(routes: &mut web::ServiceConfig) {
    routes
        .route("/rest/{tail:.*}", web::route().to(call))
        .route("/pub/im.file.php", web::get().to(file))
        .route("/~{short}", web::get().to(short_link))
        .route("/_sim/faults", web::get().to(faults))
        .route("/_sim/faults", web::post().to(set_faults))
        .route("/_sim/state", web::get().to(state));
}

pub(super) fn oauth_routes(routes: &mut web::ServiceConfig) {
    for path in ["/oauth/token/", "/oauth/token"] {
        routes.route(path, web::route().to(oauth_token));
    }
    for path in ["/rest/app.info", "/rest/app.info.json"] {
        routes.route(path, web::route().to(oauth_app_info));
    }
}

fn keep_socket(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>()
        && let Ok(copy) = stream.as_fd().try_clone_to_owned()
    {
        data.insert(Socket(TcpStream::from(copy)));
    }
}

/// Cuts the connection; the response that is returned after this reaches nobody.
fn cut(request: &HttpRequest) -> HttpResponse {
    if let Some(socket) = request.conn_data::<Socket>() {
        // An error means that the other side was faster.
        let _ = socket.0.shutdown(Shutdown::Both);
    }
    HttpResponse::ServiceUnavailable().force_close().finish()
}

async fn call(
    request: HttpRequest,
    tail: web::Path<String>,
    body: web::Bytes,
    inner: web::Data<Inner>,
) -> HttpResponse {
    let inner = inner.into_inner();
    if inner.state().faults.down {
        return cut(&request);
    }
    if let Some(moved) = moved(&inner, &request) {
        return moved;
    }
    let (method, webhook) = rest::method_of(&tail);
    let fault = {
        let mut state = inner.state();
        let state = &mut *state;
        state.faults.of_call(&mut state.dice, &method)
    };
    let refused = match fault {
        None | Some(FaultKind::DropAfter) => None,
        Some(FaultKind::DropBefore) => {
            inner.note_call(&method, json!({"fault": "drop_before"}));
            return cut(&request);
        }
        Some(FaultKind::Hang) => {
            inner.note_call(&method, json!({"fault": "hang"}));
            hang(&inner).await;
            return cut(&request);
        }
        Some(FaultKind::Status500) => return html(&inner, &method, 500),
        Some(FaultKind::Status502) => return html(&inner, &method, 502),
        Some(FaultKind::Status503) => return html(&inner, &method, 503),
        Some(FaultKind::OperationLimit) => Some(rest::operation_limit()),
        Some(FaultKind::ExpiredToken) => Some(rest::expired_token()),
        Some(FaultKind::Refused) => Some(rest::fail(400, "ERROR_ARGUMENT", "Argument is wrong.")),
        Some(_) => Some(rest::query_limit()),
    };
    let refused = refused.or_else(|| over_rate(&inner));
    let (status, answer) = match refused {
        Some(error) => {
            inner.note_call(&method, json!({"status": error.status, "error": error.code}));
            error.into_answer()
        }
        None => {
            let input = rest::Input {
                method,
                webhook,
                bearer: bearer(&request),
                query: request.query_string().to_owned(),
                json: is_json(&request),
                body,
                lost: fault.is_some(),
            };
            // A task of its own: a caller that gives up does not stop what the portal began.
            let answer = actix_web::rt::spawn(async move {
                if !inner.options.latency.is_zero() {
                    tokio::time::sleep(inner.options.latency).await;
                }
                rest::answer(&inner, input).await
            });
            match answer.await {
                Ok(answer) => answer,
                Err(_) => return cut(&request),
            }
        }
    };
    if fault == Some(FaultKind::DropAfter) {
        return cut(&request);
    }
    json_answer(status, &answer)
}

/// The bucket is per portal and source address; here all come from one.
fn over_rate(inner: &Inner) -> Option<RestError> {
    let (drain, burst) = inner.options.rate?;
    let now = inner.options.clock.now();
    (!inner.state().bucket.admit(now, drain, burst)).then(rest::query_limit)
}

async fn hang(inner: &Inner) {
    let seconds = match inner.state().faults.hang_seconds {
        0 => 120,
        set => set,
    };
    tokio::select! {
        () = inner.cancel.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
    }
}

/// A renamed portal answers on its old host with 302, whatever the method (bitrix24 facts §1).
fn moved(inner: &Inner, request: &HttpRequest) -> Option<HttpResponse> {
    let host = header(request, HOST)?;
    let state = inner.state();
    let old = host != state.domain && state.old_domains.contains(&host);
    let target = || format!("{}{}", inner.url(&state), request.uri());
    old.then(|| {
        HttpResponse::Found()
            .insert_header((LOCATION, target()))
            .content_type("text/html")
            .body("<html><body><h1>302 Found</h1></body></html>")
    })
}

fn html(inner: &Inner, method: &str, status: u16) -> HttpResponse {
    inner.note_call(method, json!({"fault": status}));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .content_type("text/html")
        .body(format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"))
}

fn json_answer(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).json(body)
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let value = header(request, AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn is_json(request: &HttpRequest) -> bool {
    header(request, CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}

/// The bytes of an operator's file: no login, a signature in the query; odd user agents see a fake 404.
async fn file(request: HttpRequest, inner: web::Data<Inner>) -> HttpResponse {
    if inner.state().faults.down {
        return cut(&request);
    }
    if let Some(moved) = moved(&inner, &request) {
        return moved;
    }
    let query = super::form::parse(request.query_string().as_bytes());
    let text = |key| query.get(key).and_then(Value::as_str).unwrap_or_default();
    let agent = header(&request, USER_AGENT).unwrap_or_default();
    let state = inner.state();
    let found = text("FILE_ID").parse().ok().and_then(|id: u64| state.files.get(&id));
    match found.filter(|stored| stored.sign == text("SIGN") && !agent.is_empty()) {
        Some(stored) => HttpResponse::Ok()
            .content_type(stored.file.mime.clone())
            .insert_header(("Content-Disposition", disposition(&stored.file.name)))
            .body(stored.file.bytes.to_vec()),
        None => HttpResponse::NotFound().content_type("text/html").body("<html>Not found</html>"),
    }
}

fn disposition(name: &str) -> String {
    format!("attachment; filename*=utf-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

async fn short_link(request: HttpRequest, short: web::Path<String>, inner: web::Data<Inner>) -> HttpResponse {
    if inner.state().faults.down {
        return cut(&request);
    }
    if let Some(moved) = moved(&inner, &request) {
        return moved;
    }
    let state = inner.state();
    match state.files.iter().find(|(_, stored)| stored.short == *short) {
        Some((id, _)) => HttpResponse::Found()
            .insert_header((LOCATION, super::events::download_link(&state, *id)))
            .finish(),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn oauth_token(request: HttpRequest, body: web::Bytes, inner: web::Data<Inner>) -> HttpResponse {
    if inner.state().faults.oauth_down {
        return cut(&request);
    }
    let (status, answer) = oauth::token(&inner, &rest::parameters(request.query_string(), &body, false));
    json_answer(status, &answer)
}

async fn oauth_app_info(request: HttpRequest, body: web::Bytes, inner: web::Data<Inner>) -> HttpResponse {
    if inner.state().faults.oauth_down {
        return cut(&request);
    }
    let parameters = rest::parameters(request.query_string(), &body, is_json(&request));
    let (status, answer) = oauth::app_info(&inner, bearer(&request), &parameters);
    json_answer(status, &answer)
}

/// Only pages and programs of this machine may turn switches.
fn from_loopback(request: &HttpRequest) -> Result<(), RestError> {
    let local = |authority: &str| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        ["127.0.0.1", "localhost", "[::1]"].contains(&host)
    };
    let host = header(request, HOST).is_some_and(|host| local(&host));
    let origin = header(request, ORIGIN)
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, authority)| local(authority)));
    if host && origin { Ok(()) } else { Err(fail(403, "ACCESS_DENIED", "Only from this machine")) }
}

fn guarded(request: &HttpRequest, answer: impl FnOnce() -> Result<Value, RestError>) -> HttpResponse {
    let (status, body) = match from_loopback(request).and_then(|()| answer()) {
        Ok(body) => (200, body),
        Err(error) => error.into_answer(),
    };
    json_answer(status, &body)
}

async fn faults(request: HttpRequest, inner: web::Data<Inner>) -> HttpResponse {
    guarded(&request, || Ok(json!(inner.state().faults)))
}

async fn set_faults(request: HttpRequest, body: web::Bytes, inner: web::Data<Inner>) -> HttpResponse {
    guarded(&request, || {
        // A page of another site can post a form without asking first, but not JSON.
        if !is_json(&request) {
            return Err(fail(415, "ERROR_ARGUMENT", "JSON expected"));
        }
        let faults: Faults =
            serde_json::from_slice(&body).map_err(|error| fail(400, "ERROR_ARGUMENT", &error.to_string()))?;
        inner.change_faults(|present| *present = faults);
        Ok(json!(inner.state().faults))
    })
}

async fn state(request: HttpRequest, inner: web::Data<Inner>) -> HttpResponse {
    guarded(&request, || Ok(views::summary(&inner)))
}
