//! Links a bridge to the simulated clouds by its API, in the order of the README.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::{SimApp, SimCloud};
use wabridge::sandbox::portal::SimPortal;

use super::api::Api;
use super::{ACCESS_TOKEN, APP_SECRET, CLIENT_ID, PHONE_ID, PHONE_NUMBER, WABA_ID};

/// What the bridge calls the things that were linked.
#[derive(Clone, Debug)]
pub struct Linked {
    pub phone_id: String,
    pub portal_id: String,
    pub line: String,
    pub client_id: String,
}

/// Prepares the simulated cloud: app, account, phone.
pub fn prepare_cloud(cloud: &SimCloud) {
    cloud.add_app(SimApp {
        client_id: CLIENT_ID.into(),
        client_secret: APP_SECRET.into(),
        access_token: ACCESS_TOKEN.into(),
        callback_url: None,
        verify_token: String::new(),
    });
    cloud.add_waba(WABA_ID, "Lucky Shrub");
    cloud.add_phone(WABA_ID, PHONE_ID, "+1 555-078-3881", "Lucky Shrub");
}

/// What the application asks for.
pub const SCOPES: [&str; 7] =
    ["imopenlines", "imconnector", "im", "messageservice", "telephony", "crm", "disk"];

/// Links everything.
pub async fn link(api: &Api, cloud: &SimCloud, portal: &SimPortal) -> Linked {
    link_with(api, cloud, portal, &SCOPES).await
}

/// The same with the scopes that the portal grants.
pub async fn link_with(api: &Api, cloud: &SimCloud, portal: &SimPortal, scopes: &[&str]) -> Linked {
    let (phone_id, callback_url) = link_whatsapp(api, cloud).await;
    let local = portal.create_local_app(
        &format!("{}/api/bitrix/", base_of(&callback_url)),
        &format!("{}/app-install/", base_of(&callback_url)),
        true,
        scopes,
    );
    api.post(
        "/portal-apps",
        json!({"name": "Test", "client_id": local.client_id, "client_secret": local.client_secret}),
    )
    .await;
    let installed = portal.install(&local.client_id).await;
    assert_eq!(installed.status, Some(200), "{installed:?}");
    portal.finish_install(&local.client_id);
    let portals = api.get("/portals").await;
    let portal_id = text(&portals["items"][0], "id");
    let line = api.put(&format!("/phones/{phone_id}/line"), json!({"portal_id": portal_id})).await;
    Linked { phone_id, portal_id, line: text(&line, "line_id"), client_id: local.client_id }
}

/// App, account and phone at the simulated cloud, and nothing of a portal: the phone's id, and where it is told of.
pub async fn link_whatsapp(api: &Api, cloud: &SimCloud) -> (String, String) {
    let app = api
        .post(
            "/apps",
            json!({"name": "Test", "site": "127.0.0.1", "client_id": CLIENT_ID,
                   "client_secret": APP_SECRET, "access_token": ACCESS_TOKEN}),
        )
        .await;
    let callback_url = text(&app, "callback_url");
    cloud.set_callback(CLIENT_ID, &callback_url, &text(&app, "verify_token")).await.unwrap();
    let waba = api.post("/wabas", json!({"app_id": app["id"], "waba_id": WABA_ID})).await;
    let created = api
        .post(
            "/phones",
            json!({"waba_id": waba["id"], "phone_number": format!("+{PHONE_NUMBER}"), "phone_number_id": PHONE_ID}),
        )
        .await;
    (text(&created, "id"), callback_url)
}

fn base_of(callback: &str) -> String {
    callback.split("/api/waba/").next().unwrap().to_owned()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned()
}
