//! The HTTP side of the tests.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use wabridge::bitrix::event::PortalEvent;
use wabridge::bitrix::form::{FormLimits, parse_form};
use wabridge::directory::context;
use wabridge::relay::{Relay, inbound, outbound};
use wabridge::store::{apps, lines, phones, portal_apps, portals, wabas};
use wabridge::whatsapp::signature;

use super::*;

pub struct Front {
    handle: actix_web::dev::ServerHandle,
    installs: Arc<Mutex<Vec<PortalEvent>>>,
}

struct Shared {
    relay: Arc<Relay>,
    installs: Arc<Mutex<Vec<PortalEvent>>>,
}

impl Front {
    pub async fn start(listener: TcpListener, relay: &Arc<Relay>) -> Self {
        let installs: Arc<Mutex<Vec<PortalEvent>>> = Arc::default();
        let shared = web::Data::new(Shared { relay: relay.clone(), installs: installs.clone() });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(4_000_000))
                .route("/api/waba/", web::post().to(waba))
                .route("/api/bitrix/", web::post().to(bitrix))
                .route("/media/{token}/{name}", web::get().to(media))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { handle, installs }
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn waba(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let snapshot = shared.relay.directory.now();
    let app = snapshot.apps.first().unwrap();
    let header = request.headers().get(signature::HEADER).and_then(|value| value.to_str().ok());
    if signature::verify(&app.secrets, &body, header).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    match inbound::receive(&shared.relay, app, &body).await {
        Ok(_) => HttpResponse::Ok().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn bitrix(shared: web::Data<Shared>, body: web::Bytes) -> HttpResponse {
    let event = PortalEvent::decode(&parse_form(&body, FormLimits::default()).unwrap()).unwrap();
    let snapshot = shared.relay.directory.now();
    match snapshot.portals.first() {
        None => shared.installs.lock().unwrap().push(event),
        Some(portal) if event.auth.refresh_token.is_some() => {
            install_again(&shared.relay, portal, &event).await
        }
        Some(portal) => {
            outbound::receive(&shared.relay, portal, &event).await.unwrap();
        }
    }
    HttpResponse::Ok().finish()
}

/// As the set-up does it when an administrator installs the application again.
async fn install_again(relay: &Relay, portal: &wabridge::directory::Portal, event: &PortalEvent) {
    let vault = relay.directory.vault();
    let mut row = portal.row.clone();
    row.access_token_sealed = vault.seal(event.auth.access_token.as_ref().unwrap(), context::PORTAL_ACCESS);
    row.refresh_token_sealed =
        vault.seal(event.auth.refresh_token.as_ref().unwrap(), context::PORTAL_REFRESH);
    row.access_expires_at = relay.clock.now().naive_utc() + chrono::Duration::hours(1);
    row.status = "active".into();
    row.updated_at = relay.clock.now().naive_utc();
    relay.db.write(move |tx| portals::update(tx.conn, &row).map(drop)).await.unwrap();
    relay.directory.reload().await.unwrap();
}

async fn media(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> HttpResponse {
    let hash = wabridge::media::link::hash_token(&path.0).unwrap();
    let now = shared.relay.clock.now();
    let blob =
        shared.relay.db.read(move |conn| wabridge::store::blobs::by_link(conn, &hash, now)).await.unwrap();
    let Some(blob) = blob else { return HttpResponse::NotFound().finish() };
    let file = shared.relay.blobs.path(&blob.id.as_str().into()).unwrap();
    let range = request.headers().get("range").and_then(|value| value.to_str().ok());
    let shown =
        wabridge::media::serve::Shown { path: &file, mime: &blob.mime, name: &blob.name, tag: &blob.sha256 };
    wabridge::media::serve::serve(shown, range, None).await.unwrap()
}

pub async fn seed(test: &mut TestApp, change: Option<Change<phones::PhoneRow>>) {
    let handler = format!("{}/api/bitrix/", test.base_url);
    let sim = test.portal.create_local_app(&handler, &handler, false, &["imopenlines", "imconnector", "im"]);
    test.client_id = sim.client_id.clone();
    test.portal.install(&sim.client_id).await;
    let event = test.running.as_ref().unwrap().front.installs.lock().unwrap().pop().unwrap();
    let now = test.clock.now().naive_utc();
    let vault = test.relay.directory.vault();
    let seal = |text: &str, context: &str| vault.seal(&text.into(), context);
    let app = apps::AppRow {
        id: "app".into(),
        name: "Test".into(),
        site: "127.0.0.1".into(),
        client_id: CLIENT_ID.into(),
        client_secret_sealed: seal(APP_SECRET, context::APP_SECRET),
        second_secret_sealed: None,
        access_token_sealed: seal(ACCESS_TOKEN, context::APP_TOKEN),
        verify_token_sealed: seal(VERIFY_TOKEN, context::VERIFY_TOKEN),
        api_key: "key".into(),
        graph_version: None,
        save_events: false,
        created_at: now,
        updated_at: now,
    };
    let waba = wabas::WabaRow {
        id: "waba".into(),
        app_id: "app".into(),
        waba_id: WABA_ID.into(),
        access_token_sealed: None,
        name: "Lucky Shrub".into(),
        subscribed: true,
        status: "active".into(),
        status_reason: None,
        created_at: now,
        updated_at: now,
    };
    let mut phone = phones::PhoneRow {
        id: "phone".into(),
        waba_key: "waba".into(),
        phone_number: PHONE_NUMBER.into(),
        phone_number_id: PHONE_ID.into(),
        display_name: "Lucky Shrub".into(),
        status: None,
        quality: None,
        messaging_limit: None,
        name_status: None,
        security_note: None,
        sms_service: false,
        read_receipts: false,
        system_messages: "drop".into(),
        signature: "strip".into(),
        closed_window: "tell".into(),
        fallback_template: None,
        default_language: None,
        sms_to_chat: false,
        crm_user_id: None,
        created_at: now,
        updated_at: now,
    };
    if let Some(change) = change {
        change(&mut phone);
    }
    let portal_app = portal_apps::PortalAppRow {
        id: "papp".into(),
        name: "x".into(),
        client_id: sim.client_id.clone(),
        client_secret_sealed: seal(&sim.client_secret, context::PORTAL_APP_SECRET),
        created_at: now,
        updated_at: now,
    };
    let auth = &event.auth;
    let portal = portals::PortalRow {
        id: "portal".into(),
        member_id: test.portal.member_id().to_string(),
        portal_app_id: "papp".into(),
        domain: test.portal.domain().to_string(),
        client_endpoint: test.portal.client_endpoint().to_string(),
        server_endpoint: format!("{}/rest/", test.portal.oauth_url()),
        access_token_sealed: seal(auth.access_token.as_ref().unwrap().expose(), context::PORTAL_ACCESS),
        access_expires_at: now + chrono::Duration::hours(1),
        refresh_token_sealed: seal(auth.refresh_token.as_ref().unwrap().expose(), context::PORTAL_REFRESH),
        application_token_sealed: auth
            .application_token
            .as_ref()
            .map(|token| seal(token.expose(), context::APPLICATION_TOKEN)),
        sms_secret_sealed: seal("sms", context::SMS_SECRET),
        user_id: "1".into(),
        scopes: String::new(),
        status: "active".into(),
        status_reason: None,
        language: "en".into(),
        default_country: None,
        alarm_user_id: None,
        created_at: now,
        updated_at: now,
    };
    test.line = test.portal.add_line("separator_15550783881");
    let binding = lines::LineBindingRow {
        id: "line".into(),
        phone_id: "phone".into(),
        portal_id: "portal".into(),
        line_id: test.line.clone(),
        line_name: "separator_15550783881".into(),
        created_at: now,
    };
    test.relay
        .db
        .write(move |tx| {
            apps::insert(tx.conn, &app)?;
            wabas::insert(tx.conn, &waba)?;
            phones::insert(tx.conn, &phone)?;
            portal_apps::insert(tx.conn, &portal_app)?;
            portals::insert(tx.conn, &portal)?;
            lines::insert(tx.conn, &binding)
        })
        .await
        .unwrap();
    test.relay.directory.reload().await.unwrap();
    use wabridge::bitrix::{
        events::EventBind,
        imconnector::{Activate, Register},
    };
    let portal_id = "portal".into();
    let connector = test.config.bitrix.connector_code.clone();
    let url: url::Url = handler.parse().unwrap();
    let register =
        Register { id: &connector, name: "WhatsApp", placement_handler: &url, system_messages: true };
    test.relay.gateway.call(&portal_id, &register).await.unwrap();
    for event in wabridge::bitrix::events::EVENTS {
        test.relay.gateway.call(&portal_id, &EventBind { event, handler: &handler }).await.unwrap();
    }
    let line = test.line.clone().into();
    test.relay
        .gateway
        .call(&portal_id, &Activate { connector: &connector, line: &line, active: true })
        .await
        .unwrap();
}
