//! The HTTP server: takes a call apart, finds who answers it, and can close a connection instead.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, Data, Payload, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};

use super::errors::GraphError;
use super::{SimCloud, control, graph, media, messages};

/// The largest body: a document of 100 MB and its form.
const BODY_LIMIT: usize = 101 * 1024 * 1024;

/// A second handle on the connection's socket, so that a fault can close it without an answer.
struct Wire(std::net::TcpStream);

impl Wire {
    fn close(&self) {
        // Fails only if the other side has closed it already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// One call, taken apart.
pub(super) struct Call {
    pub method: Method,
    /// Path without version.
    pub segments: Vec<String>,
    pub query: HashMap<String, String>,
    /// From `Authorization` or `access_token`.
    pub token: Option<String>,
    pub content_type: String,
    pub user_agent: bool,
    pub host: String,
    pub origin: Option<String>,
    pub body: Bytes,
}

impl Call {
    /// The body as JSON; an empty one is an empty object.
    pub fn json(&self) -> Result<Value, GraphError> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| GraphError::parameter("The request body is not valid JSON."))
    }
}

/// What is answered.
pub(super) enum Reply {
    Json(u16, Value),
    Other(HttpResponse),
    /// Close the connection without an answer.
    Close,
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }
}

/// A server on this listener, not yet running.
pub(super) fn bind(cloud: SimCloud, listener: TcpListener) -> io::Result<Server> {
    let workers = cloud.inner.options.workers.max(1);
    let server = HttpServer::new(move || {
        App::new().app_data(Data::new(cloud.clone())).default_service(actix_web::web::to(dispatch))
    })
    .on_connect(|io, extensions| {
        let Some(stream) = io.downcast_ref::<tokio::net::TcpStream>() else { return };
        let Ok(fd) = stream.as_fd().try_clone_to_owned() else { return };
        extensions.insert(Wire(std::net::TcpStream::from(fd)));
    })
    .workers(workers)
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

async fn dispatch(cloud: Data<SimCloud>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let (down, latency) = {
        let state = cloud.state();
        (state.faults.cloud_down, state.faults.latency_ms)
    };
    let control = request.path().starts_with("/_sim/");
    if down && !control {
        return close(&request);
    }
    let body = match payload.to_bytes_limited(BODY_LIMIT).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return close(&request),
        Err(_) => return HttpResponse::PayloadTooLarge().finish(),
    };
    if latency > 0 && !control {
        cloud.state().held_back += 1;
        cloud.touch();
        tokio::time::sleep(Duration::from_millis(latency)).await;
        cloud.state().held_back -= 1;
    }
    let call = take_apart(&request, body);
    let reply = if control {
        control::answer(&cloud, &call).await
    } else if call.segments.first().is_some_and(|first| first == "whatsapp_business") {
        media::download(&cloud, &call).await
    } else {
        graph_answer(&cloud, &call).await
    };
    if !control {
        tell(&cloud, &call, &reply);
        cloud.touch();
    }
    match reply {
        Reply::Json(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = HttpResponse::build(status);
            let ahead = cloud.state().faults.clock_ahead_seconds;
            if ahead != 0 {
                let now = cloud.inner.options.clock.now() + chrono::TimeDelta::seconds(ahead);
                answer.insert_header((header::DATE, now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
            }
            if !control {
                answer.insert_header(("X-App-Usage", r#"{"call_count":1,"total_time":1,"total_cputime":1}"#));
            }
            answer
                .insert_header((header::CONTENT_TYPE, "application/json; charset=UTF-8"))
                .body(body.to_string())
        }
        Reply::Other(response) => response,
        Reply::Close => close(&request),
    }
}

async fn graph_answer(cloud: &SimCloud, call: &Call) -> Reply {
    let sends = call.method == Method::POST && call.segments.get(1).is_some_and(|edge| edge == "messages");
    let answer = if sends { messages::post(cloud, call).await } else { graph::answer(cloud, call).await };
    answer.unwrap_or_else(|error| {
        let body = error.body(&mut cloud.state().rng);
        Reply::Json(error.status, body)
    })
}

fn close(request: &HttpRequest) -> HttpResponse {
    if let Some(wire) = request.conn_data::<Wire>() {
        wire.close();
    }
    // Never arrives: the socket is closed.
    HttpResponse::InternalServerError().force_close().finish()
}

fn take_apart(request: &HttpRequest, body: Bytes) -> Call {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let query: HashMap<String, String> =
        Query::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default();
    let mut segments: Vec<String> = request
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    if segments.first().is_some_and(|first| is_version(first)) {
        segments.remove(0);
    }
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") || scheme == "OAuth").then(|| token.trim().to_owned())
    });
    Call {
        method: request.method().clone(),
        segments,
        token: bearer.or_else(|| query.get("access_token").cloned()),
        query,
        content_type: text("content-type").unwrap_or_default().to_owned(),
        user_agent: text("user-agent").is_some_and(|agent| !agent.is_empty()),
        host: text("host").unwrap_or_default().to_owned(),
        origin: text("origin").map(str::to_owned),
        body,
    }
}

/// `v25.0`
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok())
}

/// Tells the call without its query and headers, where tokens stand; bodies only of sends.
fn tell(cloud: &SimCloud, call: &Call, reply: &Reply) {
    cloud.tell(|| {
        let sends = call.segments.get(1).is_some_and(|edge| edge == "messages");
        let secret = call.segments.first().is_some_and(|first| first == "oauth" || first == "debug_token");
        let (status, answer) = match reply {
            Reply::Json(status, body) => (Some(*status), (!secret).then_some(body)),
            Reply::Other(response) => (Some(response.status().as_u16()), None),
            Reply::Close => (None, None),
        };
        let body: Option<Value> = sends.then(|| call.json().ok()).flatten();
        json!({
            "kind": "call",
            "at": cloud.now().to_rfc3339(),
            "method": call.method.as_str(),
            "path": format!("/{}", call.segments.join("/")),
            "status": status,
            "body": body,
            "answer": answer,
        })
    });
}
