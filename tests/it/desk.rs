//! The HTTP side of a bridge between two simulated clouds, with nothing set up yet and no worker running.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{HttpServer, web};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use wabridge::access::{self, NewToken, Role};
use wabridge::app::App;
use wabridge::clock::Clock;
use wabridge::config::Config;
use wabridge::http::{State, configure, configure_internal};
use wabridge::sandbox::cloud::{CloudOptions, SimApp, SimCloud};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};
use wabridge::setup::{Parts, Setup};
use wabridge::store::Db;

use crate::support::database::TestDatabase;
use crate::support::listener;

pub const APP_SECRET: &str = "desk_app_secret";
pub const ACCESS_TOKEN: &str = "EAAG-desk-token";
pub const CLIENT_ID: &str = "1029384756";
pub const WABA_ID: &str = "104996122399160";
pub const PHONE_ID: &str = "106540352242922";
pub const NUMBER: &str = "+15550783881";

/// A bridge as an administrator finds it after the first start.
pub struct Desk {
    pub cloud: SimCloud,
    pub portal: SimPortal,
    pub state: Arc<State>,
    pub base: String,
    pub internal: String,
    pub http: reqwest::Client,
    pub token: String,
    servers: Vec<ServerHandle>,
    _app: App,
    _database: TestDatabase,
    _data: TempDir,
}

impl Desk {
    pub async fn open() -> Self {
        let options = PortalOptions { rate: None, ..PortalOptions::default() };
        let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
        let portal = SimPortal::start(listener(), listener(), options).await.unwrap();
        cloud.add_app(sim_app(CLIENT_ID, APP_SECRET, ACCESS_TOKEN));
        cloud.add_waba(WABA_ID, "Lucky Shrub");
        cloud.add_phone(WABA_ID, PHONE_ID, "+1 555-078-3881", "Lucky Shrub");
        let (public, internal) = (listener(), listener());
        let base = format!("http://{}", public.local_addr().unwrap());
        let inside = format!("http://{}", internal.local_addr().unwrap());
        let data = TempDir::new().unwrap();
        let database = TestDatabase::create(data.path()).await;
        let mut config = Config::default();
        config.public_url = base.parse().unwrap();
        config.data_dir = data.path().to_owned();
        config.secrets.master_key_path = data.path().join("secret.key");
        config.database.url = database.url();
        config.meta.graph_url = cloud.url().parse().unwrap();
        config.bitrix.oauth_servers = vec![portal.oauth_url().parse().unwrap()];
        config.outbound.allow_private_networks = true;
        let app = App::build(config.clone(), Clock::System).await.unwrap();
        let state = state_of(&app, Arc::new(config));
        let data_of = web::Data::from(state.clone());
        let inner = data_of.clone();
        let servers = vec![
            HttpServer::new(move || actix_web::App::new().configure(|cfg| configure(cfg, data_of.clone())))
                .workers(1)
                .disable_signals()
                .listen(public)
                .unwrap()
                .run(),
            HttpServer::new(move || {
                actix_web::App::new().configure(|cfg| configure_internal(cfg, inner.clone()))
            })
            .workers(1)
            .disable_signals()
            .listen(internal)
            .unwrap()
            .run(),
        ];
        let handles = servers.iter().map(|server| server.handle()).collect();
        servers.into_iter().for_each(|server| drop(tokio::spawn(server)));
        let tls = wabridge::tls::client_config(None).unwrap();
        let token = token(&state.db, "desk", Role::Admin).await;
        Self {
            cloud,
            portal,
            state,
            base,
            internal: inside,
            http: wabridge::bitrix::client::http_client(tls).unwrap(),
            token,
            servers: handles,
            _app: app,
            _database: database,
            _data: data,
        }
    }

    pub async fn close(self) {
        for server in &self.servers {
            server.stop(false).await;
        }
        self.cloud.stop().await;
        self.portal.stop().await;
    }

    /// A call of the API with the desk's token; `Null` = no body.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        self.call_as(&self.token, method, path, body).await
    }

    pub async fn call_as(&self, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Posts what must be made, and gives it.
    pub async fn make(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.call(Method::POST, path, body).await;
        assert_eq!(status, 201, "{path}: {made}");
        made
    }

    pub async fn make_app(&self) -> Value {
        self.make("/apps", app_body()).await
    }

    /// App, WABA and phone; gives the phone.
    pub async fn make_phone(&self) -> Value {
        let app = self.make_app().await;
        let waba = self.make("/wabas", json!({"app_id": app["id"], "waba_id": WABA_ID})).await;
        let body = json!({"waba_id": waba["id"], "phone_number": NUMBER, "phone_number_id": PHONE_ID});
        self.make("/phones", body).await
    }

    /// A local application of the portal, known to the bridge; gives its client id.
    pub async fn make_portal_app(&self, ui: bool) -> String {
        let scopes = ["imopenlines", "imconnector", "im"];
        let (handler, install) = (self.url("/api/bitrix/"), self.url("/app-install/"));
        let sim = self.portal.create_local_app(&handler, &install, ui, &scopes);
        let body = json!({"name": "Portal", "client_id": sim.client_id, "client_secret": sim.client_secret});
        let made = self.make("/portal-apps", body).await;
        assert_eq!((&made["handler_url"], &made["install_url"]), (&json!(handler), &json!(install)));
        sim.client_id
    }

    /// An installed portal; gives its client id and itself.
    pub async fn installed(&self) -> (String, Value) {
        let client_id = self.make_portal_app(false).await;
        let outcome = self.portal.install(&client_id).await;
        assert_eq!(outcome.status, Some(200), "{}", outcome.html);
        (client_id, self.only_portal().await)
    }

    pub async fn only_portal(&self) -> Value {
        let list = self.get("/portals").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        list["items"][0].clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Waits until the API answers what is wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&StatusCode, &Value) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (status, body) = self.call(Method::GET, path, Value::Null).await;
            if wanted(&status, &body) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} stays {status} {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub fn app_body() -> Value {
    json!({"name": "Main", "site": "Bridge.Example", "client_id": CLIENT_ID, "client_secret": APP_SECRET,
        "access_token": ACCESS_TOKEN})
}

pub fn sim_app(client_id: &str, secret: &str, token: &str) -> SimApp {
    SimApp {
        client_id: client_id.into(),
        client_secret: secret.into(),
        access_token: token.into(),
        callback_url: None,
        verify_token: "unused".into(),
    }
}

pub async fn token(db: &Db, name: &str, role: Role) -> String {
    let new = NewToken { name: name.into(), role, expires_days: None };
    access::create(db, &Clock::System, new).await.unwrap().expose().to_owned()
}

fn state_of(app: &App, config: Arc<Config>) -> Arc<State> {
    let relay = app.relay.clone();
    let setup = Setup::new(Parts {
        db: relay.db.clone(),
        directory: relay.directory.clone(),
        clock: relay.clock.clone(),
        gateway: relay.gateway.clone(),
        graph: relay.graph.clone(),
        config: config.clone(),
        scheduler: relay.scheduler.clone(),
        blobs: relay.blobs.clone(),
        fetcher: app.relay.fetcher.clone(),
        metrics: relay.metrics.clone(),
        probe: crate::support::http_client(),
    });
    Arc::new(State {
        config,
        db: relay.db.clone(),
        directory: relay.directory.clone(),
        clock: relay.clock.clone(),
        setup: Arc::new(setup),
        blobs: relay.blobs.clone(),
        metrics: relay.metrics.clone(),
        access: wabridge::access::Access::new(relay.db.clone(), relay.clock.clone()),
        texts: Arc::default(),
        stop: Default::default(),
        relay,
    })
}
