//! A portal with an installed application, a fake bridge that records what is posted, and shape checks.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::super::{PortalOptions, SimApp, SimPortal, form, pull};

pub(super) const SCOPES: [&str; 5] = ["imopenlines", "imconnector", "im", "messageservice", "user_brief"];
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\nbytes";

/// A POST that arrived at the fake bridge.
pub(super) struct Posted {
    pub(super) query: Value,
    pub(super) body: Value,
    pub(super) raw: String,
}

/// The fake bridge: records POSTs to `/h`, serves files.
pub(super) struct Bridge {
    pub(super) url: String,
    pub(super) posts: mpsc::UnboundedReceiver<Posted>,
    pub(super) status: Arc<Mutex<u16>>,
    pub(super) agents: Arc<Mutex<Vec<String>>>,
    /// `/slow` answers when this is notified.
    pub(super) release: Arc<Notify>,
}

pub(super) async fn bridge() -> Bridge {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, posts) = mpsc::unbounded_channel();
    let status = Arc::new(Mutex::new(200));
    let agents = Arc::new(Mutex::new(Vec::new()));
    let release = Arc::new(Notify::new());
    let (answer, seen, held) = (status.clone(), agents.clone(), release.clone());
    let server = HttpServer::new(move || {
        let (sender, answer, seen) = (sender.clone(), answer.clone(), seen.clone());
        let held = held.clone();
        let slow = move || {
            let held = held.clone();
            async move {
                held.notified().await;
                HttpResponse::Ok().content_type("image/png").body(PNG)
            }
        };
        let take = move |request: HttpRequest, body: web::Bytes| {
            let posted = Posted {
                query: Value::Object(form::parse(request.query_string().as_bytes())),
                body: Value::Object(form::parse(&body)),
                raw: String::from_utf8_lossy(&body).into_owned(),
            };
            sender.send(posted).unwrap();
            let status = *answer.lock().unwrap();
            async move {
                HttpResponse::build(status.try_into().unwrap()).content_type("text/html").body("<p>page</p>")
            }
        };
        let file = move |request: HttpRequest| {
            let agent = request.headers().get("user-agent").unwrap().to_str().unwrap().to_owned();
            seen.lock().unwrap().push(agent);
            async { HttpResponse::Ok().content_type("image/png").body(PNG) }
        };
        App::new()
            .route("/h", web::post().to(take))
            .route(
                "/moved",
                web::get()
                    .to(|| async { HttpResponse::Found().insert_header(("Location", "/picture")).finish() }),
            )
            .route("/picture", web::get().to(file))
            .route("/slow", web::get().to(slow))
            .route("/missing", web::get().to(|| async { HttpResponse::NotFound().finish() }))
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
    Bridge { url, posts, status, agents, release }
}

impl Bridge {
    /// The next POST, whatever it is.
    pub(super) async fn next(&mut self) -> Posted {
        tokio::time::timeout(DEADLINE, self.posts.recv()).await.expect("nothing was posted").unwrap()
    }

    /// The next event, which must be this one.
    pub(super) async fn event(&mut self, name: &str) -> Posted {
        let posted = self.next().await;
        assert_eq!(posted.body["event"], name, "{}", posted.body);
        posted
    }
}

pub(super) struct Rig {
    pub(super) portal: SimPortal,
    pub(super) bridge: Bridge,
    pub(super) app: SimApp,
    pub(super) token: String,
    pub(super) refresh: String,
    pub(super) http: reqwest::Client,
}

pub(super) async fn portal(options: PortalOptions) -> SimPortal {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    SimPortal::start(bind(), bind(), options).await.unwrap()
}

pub(super) fn free() -> PortalOptions {
    PortalOptions { rate: None, ..PortalOptions::default() }
}

impl Rig {
    /// An application without UI, installed.
    pub(super) async fn new(options: PortalOptions) -> Self {
        let portal = portal(options).await;
        let mut bridge = bridge().await;
        let handler = format!("{}/h", bridge.url);
        let app = portal.create_local_app(&handler, &handler, false, &SCOPES);
        assert_eq!(portal.install(&app.client_id).await.status, Some(200));
        let install = bridge.event("ONAPPINSTALL").await.body;
        let text = |key: &str| install["auth"][key].as_str().unwrap().to_owned();
        let (token, refresh) = (text("access_token"), text("refresh_token"));
        let http = pull::client(Policy::none()).unwrap();
        Self { portal, bridge, app, token, refresh, http }
    }

    /// … with a connector on a line and message events bound. Gives the line's id.
    pub(super) async fn with_line(options: PortalOptions) -> (Self, String) {
        let rig = Self::new(options).await;
        rig.ok("imconnector.register", register()).await;
        for event in ["MessageAdd", "MessageUpdate", "MessageDelete", "StatusDelete", "LineDelete"] {
            let body =
                json!({"event": format!("OnImConnector{event}"), "handler": format!("{}/h", rig.bridge.url)});
            rig.ok("event.bind", body).await;
        }
        let line = rig.portal.add_line("separator_123");
        let on = json!({"CONNECTOR": "wa_bridge", "LINE": line, "ACTIVE": 1});
        rig.ok("imconnector.activate", on).await;
        (rig, line)
    }

    pub(super) async fn call(&self, method: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{method}", self.portal.client_endpoint());
        let answer = self.http.post(url).bearer_auth(&self.token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The result of a call that must succeed in the shape of the sample.
    pub(super) async fn ok(&self, method: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, body).await;
        assert_eq!(status, 200, "{method}: {answer}");
        same_shape("time", &sample("answers", "time"), &answer["time"]);
        same_shape(method, &sample("answers", method), &answer["result"]);
        answer["result"].clone()
    }

    /// Status and code of a call that must be refused.
    pub(super) async fn refused(&self, method: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.call(method, body).await;
        same_shape(method, &sample("answers", "error"), &answer);
        (status, answer["error"].as_str().unwrap().to_owned())
    }

    /// One client's message in the shape of the fact sheet; gives the item of the answer.
    pub(super) async fn client_writes(&self, line: &str, id: &str, text: &str) -> Value {
        let result = self.ok("imconnector.send.messages", messages(line, vec![message(id, text)])).await;
        result["DATA"]["RESULT"][0].clone()
    }
}

pub(super) fn register() -> Value {
    json!({"ID": "WA_Bridge", "NAME": "WhatsApp", "ICON": {"DATA_IMAGE": "data:image/svg+xml,x"},
           "PLACEMENT_HANDLER": "http://127.0.0.1:9/settings", "CHAT_GROUP": false})
}

pub(super) fn messages(line: &str, items: Vec<Value>) -> Value {
    json!({"CONNECTOR": "wa_bridge", "LINE": line, "MESSAGES": items})
}

pub(super) fn message(id: &str, text: &str) -> Value {
    json!({
        "user": {"id": "15550001111", "name": "Ivan Petrov", "phone": "+15550001111", "skip_phone_validate": "Y"},
        "message": {"id": id, "date": 1773265993, "text": text, "disable_crm": "Y"},
        "chat": {"id": "15550001111", "name": "WhatsApp", "url": "https://wa.me/15550001111"},
    })
}

/// A sample of `tests/facts/bitrix/FILE.json`.
pub(super) fn sample(file: &str, name: &str) -> Value {
    let path = format!("{}/tests/facts/bitrix/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all.get(name).unwrap_or_else(|| panic!("no sample {name} in {file}")).clone()
}

/// Same keys, same types; a key `...` in the sample allows further keys. Elements of a list are compared
/// with the first one of the sample.
pub(super) fn same_shape(at: &str, sample: &Value, actual: &Value) {
    match (sample, actual) {
        (Value::Object(sample), Value::Object(actual)) => {
            for (key, value) in sample.iter().filter(|(key, _)| *key != "...") {
                let found = actual.get(key).unwrap_or_else(|| panic!("{at}: no key {key} in {actual:?}"));
                same_shape(&format!("{at}.{key}"), value, found);
            }
            if !sample.contains_key("...") {
                for key in actual.keys() {
                    assert!(sample.contains_key(key), "{at}: unknown key {key}");
                }
            }
        }
        (Value::Array(sample), Value::Array(actual)) => match sample.first() {
            Some(first) => actual.iter().for_each(|item| same_shape(&format!("{at}[]"), first, item)),
            None => assert!(actual.is_empty(), "{at}: expected no elements"),
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => {}
        _ => panic!("{at}: expected the type of {sample}, got {actual}"),
    }
}
