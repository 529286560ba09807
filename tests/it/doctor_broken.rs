//! The doctor's other checks, each found in a simulator that is broken its way, with its repair.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use wabridge::config::Config;
use wabridge::domain::Actor;
use wabridge::queue::Class;
use wabridge::store::audit::{self, AuditFilter};
use wabridge::store::jobs::{self, NewJob, Settlement};

use crate::doctor::{finding, look};
use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, Options, PHONE_ID, PHONE_NUMBER, TestApp, WABA_ID, anna, http_client, listener,
};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// Asserts that a check ends so, with these words.
async fn found(app: &TestApp, id: &str, expected: &str, words: &str) {
    let report = look(app).await;
    let found = finding(&report, id);
    assert_eq!(found["result"], expected, "{found}");
    assert!(found["reason"].as_str().unwrap().contains(words), "{found}");
}

/// Lets a finding be repaired, and asserts that it then passes.
async fn repaired(app: &TestApp, id: &str) {
    let report = look(app).await;
    let found = finding(&report, id);
    let body = json!({"repair": found["repair"]["action"], "subject_id": found["subject"]["id"]});
    let after = app.api.post("/doctor/repair", body).await;
    assert_eq!(finding(&after, id)["result"], "pass", "{after:#}");
}

/// A job that is dead as soon as it is there.
pub async fn give_up_a_job(app: &TestApp) -> String {
    let now = app.clock.now();
    let job = NewJob {
        kind: "send",
        queue: Class::Send.queue(&app.phone_id()),
        lane: "out:nobody".into(),
        dedupe_key: None,
        payload: "{}".into(),
        message_id: None,
        not_before: Some(now + chrono::TimeDelta::days(1)),
    };
    let kill = move |tx: &mut wabridge::store::Tx<'_>| {
        let id = jobs::enqueue(tx, &job, now)?.unwrap();
        jobs::start(tx.conn, std::slice::from_ref(&id), "lease", now)?;
        jobs::finish(tx.conn, &id, "lease", &Settlement::Dead { error: "refused".into() }, false, now)?;
        Ok(id)
    };
    app.relay.db.write(kill).await.unwrap()
}

async fn graph(app: &TestApp, path: &str, body: Value) {
    let request = http_client().post(format!("{}/v25.0/{path}", app.cloud.url())).bearer_auth(ACCESS_TOKEN);
    assert_eq!(request.json(&body).send().await.unwrap().status(), 200);
}

#[actix_web::test]
async fn a_connector_that_the_portal_lost_is_found_and_registered() {
    let app = TestApp::start().await;
    app.portal.lose_connector("wabridge");
    found(&app, "portal.connector", "fail", "not registered").await;
    repaired(&app, "portal.connector").await;
    assert!(app.portal.connectors().iter().any(|one| one.to_string().contains("wabridge")));
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_profile_that_others_changed_is_found_and_written_back() {
    let app = TestApp::start().await;
    let profile =
        |about: &str| json!({"messaging_product": "whatsapp", "about": about, "vertical": "RETAIL"});
    let path = format!("{PHONE_ID}/whatsapp_business_profile");
    graph(&app, &path, profile("Flowers")).await;
    found(&app, "meta.phone.profile", "pass", "noted").await;
    found(&app, "meta.phone.profile", "pass", "Nobody else").await;
    graph(&app, &path, profile("Weapons")).await;
    found(&app, "meta.phone.profile", "warn", "about").await;
    repaired(&app, "meta.phone.profile").await;
    let request = http_client().get(format!("{}/v25.0/{path}?fields=about", app.cloud.url()));
    let now: Value = request.bearer_auth(ACCESS_TOKEN).send().await.unwrap().json().await.unwrap();
    assert_eq!(now["data"][0]["about"], "Flowers");
    app.stop().await;
}

#[actix_web::test]
async fn repairs_are_in_the_audit_log_and_answered_in_both_languages() {
    let app = TestApp::start().await;
    app.cloud.unsubscribe(WABA_ID, CLIENT_ID);
    let report = look(&app).await;
    let found = finding(&report, "meta.waba.subscribed");
    let body = json!({"repair": found["repair"]["action"], "subject_id": found["subject"]["id"]});
    let after = app.api.post("/doctor/repair?lang=ru", body).await;
    let told = finding(&after, "meta.waba.subscribed")["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("подписано"), "{told}");
    let page = wabridge::store::Page { limit: 1, cursor: None };
    let filter = AuditFilter { actor: Some("test".into()), ..AuditFilter::default() };
    let entry = app.relay.db.read(move |conn| audit::list(conn, &filter, &page)).await.unwrap().remove(0);
    assert_eq!(
        (entry.actor_kind.as_str(), entry.action.as_str()),
        (Actor::Token(String::new()).kind(), "repair")
    );
    assert_eq!(
        (entry.object.as_str(), entry.object_id.as_str()),
        ("waba", found["subject"]["id"].as_str().unwrap())
    );
    assert!(entry.state_after.contains("waba.subscription"), "{entry:?}");
    app.stop().await;
}

#[actix_web::test]
async fn a_clock_that_is_wrong_is_found() {
    let app = TestApp::start().await;
    app.cloud.change_faults(|faults| faults.clock_ahead_seconds = 120);
    found(&app, "bridge.clock", "warn", "seconds away").await;
    app.cloud.change_faults(|faults| faults.clock_ahead_seconds = -3600);
    found(&app, "bridge.clock", "fail", "seconds away").await;
    app.stop().await;
}

/// A proxy before the bridge that takes bodies of up to `limit` bytes, and writes over them if told so.
async fn proxy(limit: usize, spoils: bool) -> (String, actix_web::dev::ServerHandle) {
    let port = listener();
    let address = format!("http://{}", port.local_addr().unwrap());
    let target = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let pass = move |request: HttpRequest, body: web::Bytes, target: web::Data<std::sync::Mutex<String>>| async move {
        if let Some(told) = request.path().strip_prefix("/_to/") {
            *target.lock().unwrap() = told.to_owned();
            return HttpResponse::Ok().finish();
        }
        if body.len() > limit {
            return HttpResponse::PayloadTooLarge().finish();
        }
        let url = format!("http://{}{}", target.lock().unwrap(), request.uri());
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
        let mut forward = http_client().request(method, url);
        for name in ["x-hub-signature-256", "content-type"] {
            if let Some(value) = request.headers().get(name) {
                forward = forward.header(name, value.to_str().unwrap());
            }
        }
        let body = if spoils && !body.is_empty() { [&body[..], b" "].concat() } else { body.to_vec() };
        let answer = forward.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        HttpResponse::build(status.try_into().unwrap()).body(answer.bytes().await.unwrap())
    };
    let data = web::Data::from(target);
    let server = actix_web::HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(16 * 1024 * 1024))
            .default_service(web::to(pass))
    });
    let server = server.workers(1).disable_signals().listen(port).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);
    (address, handle)
}

/// A linked bridge behind such a proxy.
async fn behind(limit: usize, spoils: bool) -> (TestApp, actix_web::dev::ServerHandle) {
    let (address, handle) = proxy(limit, spoils).await;
    let public = address.clone();
    let config: Change = Box::new(move |config| config.public_url = public.parse().unwrap());
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    let own = app.base_url.trim_start_matches("http://").to_owned();
    http_client().get(format!("{address}/_to/{own}")).send().await.unwrap();
    let made = json!({"name": "Test", "site": "127.0.0.1", "client_id": CLIENT_ID,
                      "client_secret": crate::support::APP_SECRET, "access_token": ACCESS_TOKEN});
    app.api.post("/apps", made).await;
    (app, handle)
}

#[actix_web::test]
async fn a_proxy_that_takes_no_large_bodies_is_found() {
    let (app, proxy) = behind(1024 * 1024, false).await;
    found(&app, "meta.app.handshake", "pass", "answers the handshake").await;
    found(&app, "meta.app.delivery", "fail", "refuses bodies of 3 MB").await;
    proxy.stop(true).await;
    found(&app, "meta.app.handshake", "fail", "cannot be reached").await;
    app.stop().await;
}

#[actix_web::test]
async fn a_proxy_that_changes_bodies_is_found() {
    let (app, proxy) = behind(16 * 1024 * 1024, true).await;
    found(&app, "meta.app.delivery", "fail", "arrives changed").await;
    proxy.stop(true).await;
    app.stop().await;
}

#[actix_web::test]
async fn what_meta_told_last_is_told_for_each_app() {
    let app = TestApp::start().await;
    found(&app, "meta.app.last_webhook", "unknown", "nothing yet").await;
    app.customer_writes(&anna(), "Hello");
    app.shown(1).await;
    found(&app, "meta.app.last_webhook", "pass", "last told us something").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_account_that_meta_does_not_show_or_has_restricted_is_found() {
    let app = TestApp::start().await;
    let restricted = json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "X"}]});
    app.cloud.post_change(WABA_ID, "account_update", restricted);
    app.webhooks_taken().await;
    found(&app, "meta.waba.status", "warn", "restricted").await;
    app.cloud.post_change(WABA_ID, "account_update", json!({"event": "PARTNER_REMOVED"}));
    app.webhooks_taken().await;
    found(&app, "meta.waba.status", "fail", "disconnected").await;
    app.cloud.change_faults(|faults| faults.templates_fail = true);
    let report = look(&app).await;
    assert_ne!(finding(&report, "meta.waba.templates")["result"], "pass");
    app.stop().await;
}

#[actix_web::test]
async fn a_number_whose_pin_others_touched_or_that_feeds_no_line_is_found() {
    let app = TestApp::start().await;
    let touched = json!({"display_phone_number": PHONE_NUMBER, "event": "PIN_CHANGED", "requester": "61"});
    app.cloud.post_change(WABA_ID, "security", touched);
    app.webhooks_taken().await;
    found(&app, "meta.phone.security", "warn", "PIN_CHANGED").await;
    let path = format!("/phones/{}/line", app.phone_id());
    assert_eq!(app.api.call("DELETE", &path, None).await.0, 204);
    found(&app, "phone.line", "warn", "linked to no line").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_application_that_is_not_paid_for_is_found() {
    let app = TestApp::start().await;
    app.portal.change_faults(|faults| faults.payment_expired = true);
    found(&app, "portal.licence", "fail", "payment has expired").await;
    app.portal.change_faults(|faults| faults.payment_expired = false);
    found(&app, "portal.licence", "pass", "unpaid").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_app_that_was_imported_without_its_secrets_is_found() {
    let app = TestApp::start().await;
    let vault = app.relay.directory.vault().clone();
    let empty = vault.seal(&wabridge::domain::Secret::default(), wabridge::directory::context::APP_TOKEN);
    let change = move |tx: &mut wabridge::store::Tx<'_>| {
        let mut row = wabridge::store::apps::list(tx.conn)?.remove(0);
        row.access_token_sealed = empty.clone();
        wabridge::store::apps::update(tx.conn, &row)
    };
    app.relay.db.write(change).await.unwrap();
    app.relay.directory.reload().await.unwrap();
    found(&app, "meta.app.secrets", "fail", "missing").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_account_whose_token_cannot_be_opened_or_that_meta_does_not_show_is_found() {
    let app = TestApp::start().await;
    let write = async |change: fn(&mut wabridge::store::wabas::WabaRow)| {
        let change = move |tx: &mut wabridge::store::Tx<'_>| {
            let mut row = wabridge::store::wabas::list(tx.conn)?.remove(0);
            change(&mut row);
            wabridge::store::wabas::update(tx.conn, &row)
        };
        app.relay.db.write(change).await.unwrap();
        app.relay.directory.reload().await.unwrap();
    };
    write(|row| row.access_token_sealed = Some("damaged".into())).await;
    found(&app, "meta.waba.secrets", "fail", "cannot be decrypted").await;
    let russian = app.api.get("/doctor?lang=ru&last=true").await;
    let reason = finding(&russian, "meta.waba.secrets")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("не расшифровать") && !reason.contains("decrypted"), "{reason}");
    write(|row| row.access_token_sealed = None).await;
    found(&app, "meta.waba.secrets", "pass", "can be read").await;
    write(|row| row.waba_id = "999999999999999".into()).await;
    found(&app, "meta.waba.readable", "fail", "Meta does not show it").await;
    write(|row| row.waba_id = WABA_ID.into()).await;
    found(&app, "meta.waba.readable", "pass", "shows us").await;
    app.stop().await;
}

#[actix_web::test]
async fn the_limit_of_a_number_is_told_as_far_as_meta_tells() {
    let app = TestApp::start().await;
    app.cloud.set_phone(PHONE_ID, json!({"whatsapp_business_manager_messaging_limit": "TIER_10K"}));
    found(&app, "meta.phone.limit", "pass", "TIER_10K").await;
    app.cloud.set_phone(PHONE_ID, json!({"whatsapp_business_manager_messaging_limit": null}));
    found(&app, "meta.phone.limit", "unknown", "does not tell").await;
    app.stop().await;
}

#[actix_web::test]
async fn a_password_for_calls_that_the_token_may_not_see_is_found_and_read_once_it_may() {
    let config: Change = Box::new(crate::support::calls::with_trunk);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    app.cloud.set_phone(PHONE_ID, json!({"messaging_limit": 2000}));
    app.cloud.change_faults(|faults| faults.sip_password_hidden = true);
    app.api.put(&app.calling_path(), crate::support::calls::wanted()).await;
    found(&app, "calls.password", "fail", "cannot be read").await;
    app.cloud.change_faults(|faults| faults.sip_password_hidden = false);
    // Each look reads it anew.
    found(&app, "calls.password", "pass", "is known").await;
    found(&app, "calls.settings", "pass", "has our settings").await;
    app.stop().await;
}

#[actix_web::test]
async fn a_week_without_a_word_of_customers_or_meta_is_found() {
    let clock = wabridge::clock::ManualClock::starting_at(chrono::Utc::now());
    let app = TestApp::with(Options { clock: Some(clock), ..Options::default() }).await;
    app.opened(&anna()).await;
    found(&app, "bridge.last_webhook", "pass", "last wrote").await;
    app.advance(chrono::TimeDelta::days(8));
    found(&app, "bridge.last_webhook", "warn", "No customer has written since").await;
    found(&app, "meta.app.last_webhook", "warn", "told us nothing since").await;
    app.stop().await;
}

#[actix_web::test]
async fn jobs_that_were_given_up_and_a_queue_that_stands_are_found() {
    let clock = wabridge::clock::ManualClock::starting_at(chrono::Utc::now());
    let app = TestApp::with(Options { clock: Some(clock), leaves_jobs: true, ..Options::default() }).await;
    app.opened(&anna()).await;
    let refused = wabridge::sandbox::portal::FaultKind::Status502;
    app.portal.plan_fault(refused, Some("imconnector.send.messages"), 1000);
    app.customer_writes(&anna(), "Are you there?");
    app.webhooks_taken().await;
    app.advance(chrono::TimeDelta::minutes(6));
    // Between two tries.
    app.wait_for("the old job", async |app| {
        let report = look(app).await;
        (finding(&report, "bridge.queue.age")["result"] == "fail").then_some(())
    })
    .await;
    app.portal.change_faults(|faults| faults.planned.clear());
    // However long the pause is by now.
    app.wait_for("the job's turn", async |app| {
        app.advance(chrono::TimeDelta::minutes(2));
        (app.relay.scheduler.pending() == 0).then_some(())
    })
    .await;
    found(&app, "bridge.queue.age", "pass", "Nothing waits long").await;
    give_up_a_job(&app).await;
    found(&app, "bridge.queue.dead", "warn", "1 jobs were given up").await;
    app.stop().await;
}

#[actix_web::test]
async fn saving_settings_for_calls_is_noted_and_checked_soon() {
    let config: Change = Box::new(|config| {
        crate::support::calls::with_trunk(config);
        config.doctor.interval = Some(std::time::Duration::from_secs(3600));
    });
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    app.cloud.set_phone(PHONE_ID, json!({"messaging_limit": 2000}));
    app.api.put(&app.calling_path(), crate::support::calls::wanted()).await;
    app.wait_for("the check after the change", async |app| {
        let last = app.api.get("/doctor?last=true").await;
        let findings = last["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|one| one["id"] == "calls.settings" && one["result"] == "pass")
    })
    .await;
    let page = wabridge::store::Page { limit: 1, cursor: None };
    let filter = AuditFilter { actor: Some("test".into()), ..AuditFilter::default() };
    let entry = app.relay.db.read(move |conn| audit::list(conn, &filter, &page)).await.unwrap().remove(0);
    assert_eq!(entry.action, "calling");
    assert!(entry.state_after.contains("asterisk"), "{entry:?}");
    app.stop().await;
}
