//! Requests: who may ask, and what is answered.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{Bytes, Data, Path, Payload, Query, get, post, scope};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::sync::broadcast::error::RecvError;

use super::actions::{self, Upload};
use super::{Desk, view};

/// The largest file, as WhatsApp's.
const UPLOAD_LIMIT: usize = 100 * 1024 * 1024;
/// Longest silence on the stream, so that a connection that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// A file that somebody sent must not run as a page of ours.
const FILE_POLICY: &str = "default-src 'none'; sandbox";

/// A server on this listener, not yet running.
pub(super) fn bind(desk: &Arc<Desk>, listener: TcpListener) -> io::Result<Server> {
    let desk = desk.clone();
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add(("Cache-Control", "no-store"))
            .add(("Content-Security-Policy", POLICY))
            .add(("Cross-Origin-Opener-Policy", "same-origin"))
            .add(("Cross-Origin-Resource-Policy", "same-origin"))
            .add(("Referrer-Policy", "no-referrer"))
            .add(("X-Content-Type-Options", "nosniff"))
            .add(("X-Frame-Options", "DENY"));
        App::new()
            .app_data(Data::from(desk.clone()))
            .wrap(from_fn(guard))
            .wrap(headers)
            .route("/", get().to(enter))
            .service(
                scope("/s/{token}")
                    .route("/", get().to(|| text("text/html; charset=utf-8", HTML)))
                    .route("/page.css", get().to(|| text("text/css; charset=utf-8", CSS)))
                    .route("/page.js", get().to(|| text("text/javascript; charset=utf-8", JS)))
                    .route("/events", get().to(events))
                    .route("/strip/{number}", get().to(crossing))
                    .route("/phone/{customer}/{message}", get().to(phone_file))
                    .route("/line/{chat}/{message}/{index}", get().to(line_file))
                    .route("/do", post().to(act))
                    .route("/file", post().to(upload)),
            )
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// Refuses other names for this machine (a rebound name), pages of other origins, and a wrong token.
async fn guard(
    desk: Data<Desk>,
    request: ServiceRequest,
    next: Next<impl actix_web::body::MessageBody + 'static>,
) -> Result<ServiceResponse<impl actix_web::body::MessageBody>, actix_web::Error> {
    if let Some(reason) = refusal(&desk, &request) {
        let answer = HttpResponse::Forbidden().content_type("text/plain; charset=utf-8").body(reason);
        return Ok(request.into_response(answer).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn refusal(desk: &Desk, request: &ServiceRequest) -> Option<&'static str> {
    let port = desk.address.port();
    let own = |host: &str| {
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
    };
    let headers = request.headers();
    if !text_of(headers, "host").is_some_and(own) {
        return Some("This page answers to the names of this machine only.\n");
    }
    if let Some(origin) = text_of(headers, "origin")
        && !origin.strip_prefix("http://").is_some_and(own)
    {
        return Some("Not for pages of other origins.\n");
    }
    let site = text_of(headers, "sec-fetch-site").unwrap_or("none");
    let cross = !matches!(site, "none" | "same-origin");
    if cross && !(request.method() == Method::GET && request.path() == "/") {
        return Some("Not for pages of other origins.\n");
    }
    let given = match request.path().strip_prefix("/s/") {
        Some(path) => path.split('/').next().unwrap_or_default().to_owned(),
        None => request.query_string().strip_prefix("token=").unwrap_or_default().to_owned(),
    };
    let right = bool::from(given.as_bytes().ct_eq(desk.token.as_bytes()));
    (!right).then_some("Open the address that `wabridge sandbox` printed: it has a token in it.\n")
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is there but cannot be read must not pass as absent.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

async fn enter(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("Location", format!("/s/{}/", desk.token))).finish()
}

async fn text(kind: &'static str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(content)
}

/// The stream: `state` with a whole snapshot after each change, `strip` for each crossing.
async fn events(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream_of(desk.into_inner()))
}

fn stream_of(desk: Arc<Desk>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let snapshots = desk.snapshot.subscribe();
    let lines = desk.lines.subscribe();
    desk.looked.notify_one();
    // The page leaves out numbers that it has, so a line in both is shown once.
    let first: String = desk.strip().lines().map(|line| event("strip", line)).collect();
    let first = format!("retry: 1000\n\n{first}");
    stream::unfold((desk, snapshots, lines, Some(first)), |(desk, mut snapshots, mut lines, first)| async {
        if let Some(first) = first {
            return Some((Ok(Bytes::from(first)), (desk, snapshots, lines, None)));
        }
        let chunk = tokio::select! {
            biased;
            () = desk.cancel.cancelled() => return None,
            line = lines.recv() => match line {
                Ok(line) => event("strip", &line),
                Err(RecvError::Lagged(_)) => ": behind\n\n".to_owned(),
                Err(RecvError::Closed) => return None,
            },
            changed = snapshots.changed() => {
                changed.ok()?;
                event("state", &snapshots.borrow_and_update())
            }
            () = tokio::time::sleep(HEARTBEAT) => ": still here\n\n".to_owned(),
        };
        Some((Ok(Bytes::from(chunk)), (desk, snapshots, lines, None)))
    })
}

/// JSON has no raw line breaks, so one `data:` line holds it.
fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The whole of one crossing.
async fn crossing(desk: Data<Desk>, path: Path<(String, u64)>) -> HttpResponse {
    match desk.strip().whole(path.1) {
        Some(body) => HttpResponse::Ok().json(body),
        None => HttpResponse::NotFound().json(json!({"error": "No longer kept."})),
    }
}

async fn phone_file(
    desk: Data<Desk>,
    path: Path<(String, String, String)>,
    request: HttpRequest,
) -> HttpResponse {
    match view::phone_file(&desk, &path.1, &path.2) {
        Some((mime, name, bytes)) => file(&request, &mime, &name, bytes),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn line_file(
    desk: Data<Desk>,
    path: Path<(String, String, String, usize)>,
    request: HttpRequest,
) -> HttpResponse {
    match view::line_file(&desk, &path.1, &path.2, path.3) {
        Some((mime, name, bytes)) => file(&request, &mime, &name, bytes),
        None => HttpResponse::NotFound().finish(),
    }
}

/// A file that somebody sent. Players ask for ranges.
fn file(request: &HttpRequest, mime: &str, name: &str, bytes: Bytes) -> HttpResponse {
    let essence = mime.split(';').next().unwrap_or_default().trim();
    let shown = matches!(essence, "image/jpeg" | "image/png" | "image/webp" | "image/gif" | "image/bmp")
        || essence.starts_with("audio/")
        || essence.starts_with("video/");
    let total = bytes.len();
    let range = text_of(request.headers(), "range").and_then(|range| wanted(range, total));
    let mut answer =
        HttpResponse::build(if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let disposition = if shown { "inline" } else { "attachment" };
    answer
        .content_type(if shown { mime } else { "application/octet-stream" })
        .insert_header(("Content-Security-Policy", FILE_POLICY))
        .insert_header((header::CONTENT_DISPOSITION, format!("{disposition}; filename*=UTF-8''{name}")))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        // What a message holds never changes.
        .insert_header(("Cache-Control", "private, max-age=3600"));
    match range {
        Some((from, to)) => answer
            .insert_header((header::CONTENT_RANGE, format!("bytes {from}-{to}/{total}")))
            .body(bytes.slice(from..=to)),
        None => answer.body(bytes),
    }
}

/// First and last byte of a single range; what cannot be had is answered with the whole.
fn wanted(range: &str, total: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let last = total.checked_sub(1)?;
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from, to.min(last)),
        (Ok(from), Err(_)) if to.is_empty() => (from, last),
        (Err(_), Ok(tail)) if from.is_empty() => (total.saturating_sub(tail), last),
        _ => return None,
    };
    (from <= to).then_some((from, to))
}

async fn act(desk: Data<Desk>, request: HttpRequest, payload: Payload) -> HttpResponse {
    // A form of a foreign page could be posted without a preflight; JSON cannot.
    if !text_of(request.headers(), "content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON, please.");
    }
    let Ok(Ok(body)) = payload.to_bytes_limited(1024 * 1024).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Too long.");
    };
    match serde_json::from_slice(&body) {
        Ok(action) => outcome(actions::act(&desk, action)),
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// What stands in the address of an upload.
#[derive(Deserialize)]
struct UploadQuery {
    #[serde(default)]
    customer: String,
    #[serde(default)]
    chat: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reply_to: String,
}

async fn upload(
    desk: Data<Desk>,
    query: Query<UploadQuery>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if text_of(request.headers(), "x-sandbox").is_none() {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Only from the page itself.");
    }
    let Ok(Ok(bytes)) = payload.to_bytes_limited(UPLOAD_LIMIT).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Files end at 100 MB.");
    };
    let mime = text_of(request.headers(), "content-type").unwrap_or("application/octet-stream").to_owned();
    let query = query.into_inner();
    let upload = Upload { mime, name: query.name, text: query.text, reply_to: query.reply_to, bytes };
    outcome(if query.chat.is_empty() {
        actions::customer_file(&desk, &query.customer, &query.kind, upload)
    } else {
        actions::operator_file(&desk, &query.chat, upload)
    })
}

fn outcome(outcome: Result<String, String>) -> HttpResponse {
    match outcome {
        Ok(id) => HttpResponse::Ok().json(json!({ "id": id })),
        Err(reason) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &reason),
    }
}

fn refuse(status: StatusCode, reason: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": reason }))
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn ranges_of_players_are_understood() {
        for (range, expected) in [
            ("bytes=0-", Some((0, 9))),
            ("bytes=2-4", Some((2, 4))),
            ("bytes=8-99", Some((8, 9))),
            ("bytes=-3", Some((7, 9))),
            ("bytes=10-", None),
            ("bytes=5-2", None),
            ("bytes=0-1,4-5", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), None);
    }
}
