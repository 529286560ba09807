//! A few lines that stand in the bridge's place, so that the page can be tried with the simulators alone:
//! texts and files go through, every other kind by its name.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use wabridge::sandbox::cloud::{CloudOptions, SimApp, SimCloud, SimCustomer};
use wabridge::sandbox::page::{SandboxPage, Scene};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};

const WABA: &str = "524126980791429";
const PHONE: &str = "106540352242922";
const SCOPES: [&str; 3] = ["imopenlines", "imconnector", "im"];

/// What runs until it is stopped.
pub struct Stop {
    pub page: SandboxPage,
    pub cloud: SimCloud,
    pub portal: SimPortal,
    bridge: actix_web::dev::ServerHandle,
}

impl Stop {
    pub async fn stop(self) {
        self.page.stop().await;
        self.bridge.stop(false).await;
        self.cloud.stop().await;
        self.portal.stop().await;
    }
}

struct StandIn {
    url: String,
    cloud: SimCloud,
    portal: SimPortal,
    http: reqwest::Client,
    line: OnceLock<String>,
    /// The portal's access token.
    token: OnceLock<String>,
}

pub async fn start_sandbox() -> (String, Stop) {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = SimCloud::start(bind(), CloudOptions::default()).await.unwrap();
    let portal = SimPortal::start(bind(), bind(), PortalOptions::default()).await.unwrap();
    let listener = bind();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bridge = Arc::new(StandIn {
        url: url.clone(),
        cloud: cloud.clone(),
        portal: portal.clone(),
        http: client(),
        line: OnceLock::new(),
        token: OnceLock::new(),
    });
    let shared = bridge.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::from(shared.clone()))
            .app_data(web::PayloadConfig::new(64 << 20))
            .route("/meta", web::post().to(from_meta))
            .route("/portal", web::post().to(from_portal))
            .route("/file/{id}", web::get().to(file))
    });
    let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);

    cloud.add_app(SimApp {
        client_id: "1001".into(),
        client_secret: "app-secret".into(),
        access_token: "user-token".into(),
        callback_url: Some(format!("{url}/meta")),
        verify_token: "verify".into(),
    });
    cloud.add_waba(WABA, "Blue Mug Shop");
    cloud.add_phone(WABA, PHONE, "+1 631-555-5555", "Blue Mug Shop");
    cloud.subscribe(WABA, "1001");

    let handler = format!("{url}/portal");
    let app = portal.create_local_app(&handler, &handler, false, &SCOPES);
    portal.install(&app.client_id).await;
    let line = portal.add_line("separator_16315555555");
    bridge.line.set(line.clone()).unwrap();
    let settings = format!("{url}/portal");
    bridge
        .call(
            "imconnector.register",
            json!({"ID": "wabridge", "NAME": "WhatsApp",
        "ICON": {"DATA_IMAGE": "data:image/svg+xml,x"}, "PLACEMENT_HANDLER": settings, "CHAT_GROUP": false,
        "NEED_SIGNATURE": false}),
        )
        .await;
    bridge.call("event.bind", json!({"event": "OnImConnectorMessageAdd", "handler": handler})).await;
    bridge.call("imconnector.activate", json!({"CONNECTOR": "wabridge", "LINE": line, "ACTIVE": 1})).await;

    let scene = Scene {
        phone_number_id: PHONE.into(),
        line_id: line,
        customers: vec![
            SimCustomer::with_number("15550101234", "Maria Lopez"),
            SimCustomer {
                username: Some("omar.h".into()),
                ..SimCustomer::with_user_id("US.13491208655302741918", "Omar Haddad")
            },
            SimCustomer {
                user_id: Some("DE.40912086553027419181".into()),
                ..SimCustomer::with_number("4915112345678", "Jonas Weber")
            },
        ],
        bridge_url: url,
    };
    let page = SandboxPage::start(bind(), cloud.clone(), portal.clone(), scene).await.unwrap();
    (page.address(), Stop { page, cloud, portal, bridge: handle })
}

/// A client for loopback alone; the crate is built without a provider of its own.
pub fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .user_agent("stand-in")
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

impl StandIn {
    async fn call(&self, method: &str, body: Value) -> Value {
        let url = format!("{}{method}", self.portal.client_endpoint());
        let request = self.http.post(url).bearer_auth(self.token.get().unwrap()).json(&body);
        match request.send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    async fn graph(&self, request: reqwest::RequestBuilder) -> Value {
        match request.bearer_auth("user-token").send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    async fn to_line(&self, contact: &Value, message: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = [&contact["wa_id"], &contact["user_id"]].map(text).into_iter().find(|id| !id.is_empty());
        let id = id.unwrap_or_default();
        let kind = text(&message["type"]);
        let media = &message[kind.as_str()];
        let mut item = json!({
            "user": {"id": id, "name": contact["profile"]["name"], "skip_phone_validate": "Y"},
            "message": {"id": message["id"], "date": 1_773_265_993, "disable_crm": "Y"},
            "chat": {"id": format!("wa-{id}"), "name": "WhatsApp"},
        });
        if let Some(wa_id) = contact["wa_id"].as_str() {
            item["user"]["phone"] = json!(format!("+{wa_id}"));
        }
        let words = match kind.as_str() {
            "text" => text(&message["text"]["body"]),
            _ if media["id"].is_string() => text(&media["caption"]),
            _ => format!("[i]{kind}[/i]"),
        };
        item["message"]["text"] = json!(words);
        if let Some(media_id) = media["id"].as_str() {
            let name = media["filename"].as_str().map_or_else(
                || {
                    let mime = media["mime_type"].as_str().unwrap_or_default();
                    let mime = mime.split(';').next().unwrap_or_default();
                    format!("{kind}.{}", mime.rsplit('/').next().unwrap_or_default())
                },
                str::to_owned,
            );
            item["message"]["files"] =
                json!([{"url": format!("{}/file/{media_id}", self.url), "name": name}]);
        }
        let line = self.line.get();
        self.call(
            "imconnector.send.messages",
            json!({"CONNECTOR": "wabridge", "LINE": line, "MESSAGES": [item]}),
        )
        .await;
    }

    async fn to_whatsapp(&self, form: &HashMap<String, String>) {
        let part = |key: &str| form.get(&format!("data[MESSAGES][0]{key}")).cloned().unwrap_or_default();
        let chat = part("[chat][id]");
        let id = chat.strip_prefix("wa-").unwrap_or_default().to_owned();
        let to = if id.contains('.') { "recipient" } else { "to" };
        let file = part("[message][files][0][downloadLink]");
        let text = part("[message][text]").replace("[br]", "\n").replace("[b]", "*").replace("[/b]", "*");
        let mut body = json!({"messaging_product": "whatsapp"});
        body[to] = json!(id);
        if file.is_empty() {
            body["type"] = json!("text");
            body["text"] = json!({ "body": text });
        } else {
            let mime = part("[message][files][0][mime]");
            let name = part("[message][files][0][name]");
            let kind = match mime.split('/').next() {
                Some("image") => "image",
                Some("audio") => "audio",
                _ => "document",
            };
            let Ok(answer) = self.http.get(file).send().await else { return };
            let bytes = answer.bytes().await.unwrap_or_default().to_vec();
            let part = Part::bytes(bytes).file_name(name.clone()).mime_str(&mime).unwrap();
            let form =
                Form::new().text("messaging_product", "whatsapp").text("type", mime).part("file", part);
            let uploaded =
                self.graph(self.http.post(self.graph_url(&format!("{PHONE}/media"))).multipart(form)).await;
            body["type"] = json!(kind);
            body[kind] = json!({"id": uploaded["id"]});
            match kind {
                "document" => body[kind]["filename"] = json!(name),
                "audio" => body[kind]["voice"] = json!(true),
                _ => {}
            }
        }
        let sent = self.graph(self.http.post(self.graph_url(&format!("{PHONE}/messages"))).json(&body)).await;
        let Some(wamid) = sent["messages"][0]["id"].as_str() else { return };
        let item = json!({"im": {"chat_id": part("[im][chat_id]"), "message_id": part("[im][message_id]")},
                          "message": {"id": [wamid]}, "chat": {"id": chat}});
        let line = self.line.get();
        self.call(
            "imconnector.send.status.delivery",
            json!({"CONNECTOR": "wabridge", "LINE": line, "MESSAGES": [item]}),
        )
        .await;
    }

    fn graph_url(&self, path: &str) -> String {
        format!("{}/v25.0/{path}", self.cloud.url())
    }
}

async fn from_meta(this: Data<StandIn>, body: Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let this = this.into_inner();
    actix_web::rt::spawn(async move {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for change in list(&body["entry"]).iter().flat_map(|entry| list(&entry["changes"])) {
            for message in list(&change["value"]["messages"]) {
                this.to_line(&change["value"]["contacts"][0], &message).await;
            }
        }
    });
    HttpResponse::Ok().finish()
}

async fn from_portal(this: Data<StandIn>, body: Bytes) -> HttpResponse {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    match form.get("event").map(String::as_str) {
        Some("ONAPPINSTALL") => {
            let _ = this.token.set(form["auth[access_token]"].clone());
        }
        Some("ONIMCONNECTORMESSAGEADD") => {
            let this = this.into_inner();
            actix_web::rt::spawn(async move { this.to_whatsapp(&form).await });
        }
        _ => {}
    }
    HttpResponse::Ok().finish()
}

async fn file(this: Data<StandIn>, id: web::Path<String>) -> HttpResponse {
    let known = this.graph(this.http.get(this.graph_url(&id))).await;
    let url = known["url"].as_str().unwrap_or_default();
    match this.http.get(url).bearer_auth("user-token").send().await {
        Ok(answer) => {
            let mime = known["mime_type"].as_str().unwrap_or("application/octet-stream").to_owned();
            HttpResponse::Ok().content_type(mime).body(answer.bytes().await.unwrap_or_default())
        }
        Err(_) => HttpResponse::BadGateway().finish(),
    }
}
