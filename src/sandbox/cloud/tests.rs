//! The simulated cloud is tried over HTTP alone, and its shapes against samples from the fact sheet.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};

use super::*;

mod accounts;
mod calls;
mod delivery;
mod files;
mod sending;
mod templates;

pub(super) const WABA: &str = "524126980791429";
pub(super) const PHONE: &str = "106540352242922";
pub(super) const APP: &str = "1001";
pub(super) const SECRET: &str = "test_app_secret";
pub(super) const TOKEN: &str = "user-token";
pub(super) const NUMBER: &str = "16505551234";
pub(super) const LONG: Duration = Duration::from_secs(20);

/// A callback that records what comes and answers as scripted, else 200.
#[derive(Clone, Default)]
pub(super) struct Callback {
    pub posts: Arc<Mutex<Vec<Post>>>,
    pub answers: Arc<Mutex<VecDeque<u16>>>,
}

#[derive(Clone)]
pub(super) struct Post {
    pub signature: String,
    pub content_type: String,
    pub body: Bytes,
}

impl Post {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Callback {
    pub fn url(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/whatsapp", listener.local_addr().unwrap());
        let this = self.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(Data::new(this.clone())).default_service(actix_web::web::to(Self::take))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .unwrap();
        tokio::spawn(server.run());
        url
    }

    async fn take(this: Data<Callback>, request: HttpRequest, body: Bytes) -> HttpResponse {
        if request.method() == "GET" {
            let query: Vec<(String, String)> =
                url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
            let value = |key: &str| query.iter().find(|pair| pair.0 == key).map(|pair| pair.1.clone());
            assert_eq!(value("hub.mode").as_deref(), Some("subscribe"));
            return match value("hub.verify_token").as_deref() {
                Some("verify") => HttpResponse::Ok().body(value("hub.challenge").unwrap()),
                _ => HttpResponse::Forbidden().finish(),
            };
        }
        let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let post =
            Post { signature: header("x-hub-signature-256"), content_type: header("content-type"), body };
        this.posts.lock().unwrap().push(post);
        let status = this.answers.lock().unwrap().pop_front().unwrap_or(200);
        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).finish()
    }

    pub fn all(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Every `messages[]` or `statuses[]` element that came, in order.
    pub fn elements(&self, key: &str) -> Vec<Value> {
        let mut out = Vec::new();
        for post in self.all() {
            for entry in post.json()["entry"].as_array().unwrap() {
                for change in entry["changes"].as_array().unwrap() {
                    out.extend(change["value"][key].as_array().cloned().unwrap_or_default());
                }
            }
        }
        out
    }

    pub fn statuses(&self) -> Vec<String> {
        self.elements("statuses").iter().map(|s| s["status"].as_str().unwrap().to_owned()).collect()
    }
}

/// A cloud with an app, an account, a number and a callback.
pub(super) struct World {
    pub cloud: SimCloud,
    pub callback: Callback,
    pub http: reqwest::Client,
}

impl World {
    pub async fn new() -> World {
        Self::with(CloudOptions::default()).await
    }

    pub async fn with(options: CloudOptions) -> World {
        Self::around(bare(CloudOptions { status_delay: Duration::ZERO, ..options }).await).await
    }

    pub async fn with_status_delay(status_delay: Duration) -> World {
        let world = Self::around(bare(CloudOptions { status_delay, ..CloudOptions::default() }).await).await;
        world.cloud.meet_for_test();
        world
    }

    async fn around(cloud: SimCloud) -> World {
        let callback = Callback::default();
        cloud.set_callback(APP, &callback.url(), "verify").await.unwrap();
        cloud.subscribe(WABA, APP);
        World { cloud, callback, http: webhooks::client(LONG).unwrap() }
    }

    pub fn customer() -> SimCustomer {
        SimCustomer {
            wa_id: Some(NUMBER.into()),
            user_id: Some("US.13491208655302741918".into()),
            name: "Sheena Nelson".into(),
            username: Some("@sheena".into()),
        }
    }

    /// The customer has written, so the window is open.
    pub async fn with_open_window() -> World {
        let world = Self::new().await;
        world.cloud.meet_for_test();
        world
    }

    pub async fn graph(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.graph_as(TOKEN, method, path, body).await
    }

    pub async fn graph_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/v25.0/{path}", self.cloud.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn send(&self, kind: &str, object: Value) -> (u16, Value) {
        let body = json!({"messaging_product": "whatsapp", "to": format!("+{NUMBER}"), "type": kind,
            kind: object, "biz_opaque_callback_data": "outbox:42"});
        self.graph("POST", &format!("{PHONE}/messages"), Some(body)).await
    }

    pub async fn send_text(&self, text: &str) -> (u16, Value) {
        self.send("text", json!({ "body": text })).await
    }

    pub async fn until(&self, predicate: impl Fn(&Callback) -> bool) {
        let callback = self.callback.clone();
        let held = self.cloud.wait_until(LONG, move |_| predicate(&callback)).await;
        assert!(held, "came: {:?}", self.callback.all().iter().map(Post::json).collect::<Vec<_>>());
    }

    pub fn texts(&self) -> Vec<String> {
        let shown = self.cloud.received(PHONE, NUMBER);
        shown.iter().filter_map(|m| Some(m.body["text"]["body"].as_str()?.to_owned())).collect()
    }
}

impl SimCloud {
    fn meet_for_test(&self) {
        let index = self.state().meet(&World::customer());
        assert_eq!(index, 0);
        self.open_window(PHONE, NUMBER);
    }
}

/// A cloud with an app, an account and a number, nothing subscribed.
pub(super) async fn bare(options: CloudOptions) -> SimCloud {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = SimCloud::start(listener, options).await.unwrap();
    cloud.add_app(SimApp {
        client_id: APP.into(),
        client_secret: SECRET.into(),
        access_token: TOKEN.into(),
        callback_url: None,
        verify_token: "verify".into(),
    });
    cloud.add_waba(WABA, "Lucky Shrub");
    cloud.add_phone(WABA, PHONE, "+1 555-078-3881", "Lucky Shrub");
    cloud
}

/// A sample of the fact sheet.
pub(super) fn sample(name: &str) -> Value {
    let path = format!("{}/tests/facts/meta/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

/// The answer has exactly the sample's keys and types; every element of an array is like the sample's first.
#[track_caller]
pub(super) fn assert_like(name: &str, actual: &Value) {
    assert_shape(&sample(name), actual, name);
}

#[track_caller]
pub(super) fn assert_shape(sample: &Value, actual: &Value, at: &str) {
    match (sample, actual) {
        (Value::Object(sample), Value::Object(actual)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(sample), keys(actual), "keys at {at}");
            for (key, value) in sample {
                assert_shape(value, &actual[key], &format!("{at}.{key}"));
            }
        }
        (Value::Array(sample), Value::Array(actual)) => {
            assert!(!actual.is_empty() || sample.is_empty(), "empty at {at}");
            for element in actual {
                assert_shape(&sample[0], element, &format!("{at}[]"));
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(sample),
            std::mem::discriminant(actual),
            "type at {at}: {sample} and {actual}"
        ),
    }
}
