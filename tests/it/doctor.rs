//! The doctor: every place where people get stuck, in clouds that are broken that way, found by its own check; and
//! its repair.

use chrono::Datelike as _;
use serde_json::{Value, json};
use wabridge::config::{Config, TlsFiles};

use crate::support::{CLIENT_ID, Options, PHONE_ID, TestApp, WABA_ID, anna, http_client, listener};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// The finding of a check about anything of a kind.
pub fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

/// What the doctor says now.
pub async fn look(app: &TestApp) -> Value {
    app.api.get("/doctor").await
}

fn result_of(report: &Value, id: &str) -> String {
    finding(report, id)["result"].as_str().unwrap().to_owned()
}

async fn result(app: &TestApp, id: &str) -> String {
    result_of(&look(app).await, id)
}

/// Repairs what a finding offers to repair, and gives what the doctor then says.
async fn repair(app: &TestApp, id: &str) -> Value {
    let report = look(app).await;
    let found = finding(&report, id);
    assert_ne!(found["result"], "pass", "{found}");
    let mut body = json!({"repair": found["repair"]["action"], "subject_id": found["subject"]["id"]});
    if found["repair"]["wants_pin"] == true {
        body["pin"] = "123456".into();
    }
    app.api.post("/doctor/repair", body).await
}

/// Asserts that a check fails with these words and, once repaired, passes.
async fn found_and_repaired(app: &TestApp, id: &str, words: &str) {
    let report = look(app).await;
    let found = finding(&report, id);
    assert_eq!(found["result"], "fail", "{found}");
    assert!(found["reason"].as_str().unwrap().contains(words), "{found}");
    assert!(found["advice"].is_string());
    assert_eq!(report["status"], "failed");
    let after = repair(app, id).await;
    assert_eq!(result_of(&after, id), "pass", "{after:#}");
    assert_eq!(result(app, id).await, "pass");
}

/// Asserts that a check ends so, with these words.
async fn found(app: &TestApp, id: &str, expected: &str, words: &str) {
    let report = look(app).await;
    let found = finding(&report, id);
    assert_eq!(found["result"], expected, "{found}");
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.contains(words), "{reason}");
    assert!(found["advice"].is_string(), "{found}");
}

#[actix_web::test]
async fn a_linked_bridge_has_nothing_that_fails_but_its_address() {
    let app = TestApp::start().await;
    let report = look(&app).await;
    let bad: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["result"] == "fail" || one["result"] == "warn")
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let described = include_str!("../../docs/doctor.md");
    for one in report["findings"].as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        assert!(described.contains(&format!("`{id}`")), "docs/doctor.md does not describe {id}");
    }
    // The test's own address is of this machine, without TLS.
    assert_eq!(bad, ["bridge.public.address"], "{report:#}");
    for id in [
        "bridge.public.reached",
        "bridge.clock",
        "bridge.disk",
        "bridge.database",
        "bridge.schema",
        "bridge.queue.age",
        "bridge.queue.dead",
        "bridge.signatures",
        "meta.app.secrets",
        "meta.app.version",
        "meta.token.valid",
        "meta.token.expiry",
        "meta.token.scopes",
        "meta.app.secret",
        "meta.app.callback",
        "meta.app.fields",
        "meta.app.handshake",
        "meta.app.delivery",
        "meta.waba.readable",
        "meta.waba.subscribed",
        "meta.waba.override",
        "meta.waba.other_apps",
        "meta.waba.health",
        "meta.waba.templates",
        "meta.phone.of_waba",
        "meta.phone.number",
        "meta.phone.registered",
        "meta.phone.status",
        "meta.phone.name",
        "meta.phone.quality",
        "meta.phone.limit",
        "meta.phone.pin",
        "meta.phone.profile",
        "meta.phone.override",
        "meta.phone.security",
        "meta.phone.health",
        "phone.line",
        "portal.status",
        "portal.token",
        "portal.finished",
        "portal.licence",
        "portal.scopes",
        "portal.events",
        "portal.connector",
        "line.exists",
        "line.connector",
    ] {
        assert_eq!(result_of(&report, id), "pass", "{id}: {}", finding(&report, id));
    }
    // Nobody tells of these: they are not green.
    for id in [
        "meta.app.live",
        "meta.app.last_webhook",
        "meta.business.health",
        "meta.waba.payment",
        "bridge.last_webhook",
    ] {
        assert_eq!(result_of(&report, id), "unknown");
    }
    let text = report.to_string();
    for secret in [crate::support::APP_SECRET, crate::support::ACCESS_TOKEN, "api-key="] {
        assert!(!text.contains(secret), "a report holds {secret}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn reports_speak_both_languages_and_keep_the_last_look() {
    let app = TestApp::start().await;
    assert_eq!(app.api.get("/doctor?last=true").await["findings"], json!([]));
    let english = look(&app).await;
    let russian = app.api.get("/doctor?lang=ru&last=true").await;
    assert_eq!(russian["findings"].as_array().unwrap().len(), english["findings"].as_array().unwrap().len());
    for (one, other) in
        english["findings"].as_array().unwrap().iter().zip(russian["findings"].as_array().unwrap())
    {
        let (id, reason) = (&one["id"], other["reason"].as_str().unwrap());
        let here = english["findings"].as_array().unwrap().iter().filter(|one| one["id"] == other["id"]);
        assert!(here.count() > 0, "{id}");
        assert!(reason.chars().any(|c| ('а'..='я').contains(&c)), "{id}: {reason}");
    }
    let phone = app.api.get(&format!("/doctor?kind=phone&id={}", app.phone_id())).await;
    let about = |one: &Value| ["phone", "line"].map(Value::from).contains(&one["subject"]["kind"]);
    assert!(phone["findings"].as_array().unwrap().iter().all(about), "{phone:#}");
    for (query, field) in [("kind=phone", "id"), ("kind=phone&id=", "id"), ("id=1", "kind")] {
        let (status, refused) = app.api.call("GET", &format!("/doctor?{query}"), None).await;
        assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!(field)), "{query}: {refused}");
    }
    assert_eq!(app.api.call("GET", "/doctor?kind=moon", None).await.0, 422);
    let wrong = json!({"repair": "moon", "subject_id": "1"});
    assert_eq!(app.api.call("POST", "/doctor/repair", Some(wrong)).await.0, 422);
    let gone = json!({"repair": "waba.subscription", "subject_id": "1"});
    assert_eq!(app.api.call("POST", "/doctor/repair", Some(gone)).await.0, 404);
    app.stop().await;
}

#[actix_web::test]
async fn stuck_1_an_account_without_subscription_is_found_and_subscribed() {
    let app = TestApp::start().await;
    app.cloud.unsubscribe(WABA_ID, CLIENT_ID);
    found_and_repaired(&app, "meta.waba.subscribed", "not subscribed").await;
    assert!(app.cloud.is_subscribed(WABA_ID, CLIENT_ID));
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_2_a_field_that_is_not_ticked_is_found_and_ticked() {
    let app = TestApp::start().await;
    app.cloud.tick_fields(CLIENT_ID, &["account_update", "calls"]);
    found_and_repaired(&app, "meta.app.fields", "`messages` is not ticked").await;
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_3_mixed_up_ids_are_refused_at_once_and_found_later() {
    let app = TestApp::start().await;
    let wabas = app.api.get("/wabas").await;
    let waba = &wabas["items"][0]["id"];
    let swapped = json!({"waba_id": waba, "phone_number": "+15550783881", "phone_number_id": WABA_ID});
    assert_eq!(app.api.call("POST", "/phones", Some(swapped)).await.0, 422);
    // A number that has moved on to another account.
    app.cloud.add_waba("204996122399161", "Other");
    app.cloud.add_phone("204996122399161", PHONE_ID, "+1 555-078-3881", "Lucky Shrub");
    found(&app, "meta.phone.of_waba", "fail", "not among the numbers").await;
    app.cloud.add_phone(WABA_ID, PHONE_ID, "+1 555-078-3882", "Lucky Shrub");
    found(&app, "meta.phone.number", "fail", "+15550783882").await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_4_a_token_of_a_day_is_found() {
    let app = TestApp::start().await;
    let until = (app.clock.now() + chrono::TimeDelta::hours(20)).timestamp();
    app.cloud.set_token(CLIENT_ID, json!({"type": "USER", "expires_at": until}));
    found(&app, "meta.token.expiry", "fail", "temporary token").await;
    let until = (app.clock.now() + chrono::TimeDelta::days(5)).timestamp();
    app.cloud.set_token(CLIENT_ID, json!({"type": "SYSTEM_USER", "expires_at": until}));
    found(&app, "meta.token.expiry", "warn", "less than 7 days").await;
    app.cloud.set_token(CLIENT_ID, json!({"scopes": ["whatsapp_business_messaging"], "expires_at": 0}));
    found(&app, "meta.token.scopes", "fail", "whatsapp_business_management").await;
    app.cloud.rotate_token(CLIENT_ID, "EAAG-new");
    found(&app, "meta.token.valid", "fail", "does not take").await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_5_an_address_without_a_good_certificate_is_found() {
    let (address, server) = self_signed().await;
    let config: Change = Box::new(move |config| config.public_url = address.parse().unwrap());
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    found(&app, "bridge.public.reached", "fail", "certificate").await;
    let report = look(&app).await;
    assert!(finding(&report, "bridge.public.reached")["advice"].as_str().unwrap().contains("whole chain"));
    server.stop(true).await;
    found(&app, "bridge.public.reached", "fail", "cannot be reached").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_address_at_which_somebody_else_answers_is_found() {
    let stranger = listener();
    let address = format!("http://{}", stranger.local_addr().unwrap());
    let answers = || actix_web::HttpResponse::Ok().body("<html>Welcome to nginx!</html>");
    let server = actix_web::HttpServer::new(move || {
        actix_web::App::new().default_service(actix_web::web::to(move || async move { answers() }))
    });
    let server = server.workers(1).disable_signals().listen(stranger).unwrap().run();
    let handle = server.handle();
    let task = tokio::spawn(server);
    let config: Change = Box::new(move |config| config.public_url = address.parse().unwrap());
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    found(&app, "bridge.public.address", "fail", "not HTTPS").await;
    found(&app, "bridge.public.reached", "fail", "Somebody else answers").await;
    handle.stop(true).await;
    task.await.unwrap().unwrap();
    app.stop().await;
}

#[actix_web::test]
async fn stuck_6_a_number_that_is_not_registered_is_found_and_registered_with_its_pin() {
    let app = TestApp::start().await;
    app.cloud.set_phone(PHONE_ID, json!({"platform_type": "NOT_APPLICABLE", "status": "PENDING"}));
    found(&app, "meta.phone.status", "warn", "PENDING").await;
    let report = look(&app).await;
    let subject = &finding(&report, "meta.phone.registered")["subject"]["id"];
    for pin in [Value::Null, "12345".into(), "12345x".into()] {
        let body = json!({"repair": "phone.registration", "subject_id": subject, "pin": pin});
        assert_eq!(app.api.call("POST", "/doctor/repair", Some(body)).await.0, 422);
    }
    found_and_repaired(&app, "meta.phone.registered", "not registered").await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_7_an_installation_that_is_not_finished_is_found() {
    let app = TestApp::start().await;
    assert_eq!(app.portal.install(app.client_id()).await.status, Some(200));
    found(&app, "portal.finished", "fail", "not finished").await;
    // The page that the administrator opens is the repair.
    app.portal.finish_install(app.client_id());
    assert_eq!(result(&app, "portal.finished").await, "pass");
    app.stop().await;
}

#[actix_web::test]
async fn stuck_8_a_scope_that_is_missing_is_found() {
    let app = TestApp::start().await;
    app.portal.set_scopes(app.client_id(), &["imconnector", "imopenlines"]);
    found(&app, "portal.scopes", "fail", "im").await;
    app.portal.set_scopes(app.client_id(), &["im"]);
    let report = look(&app).await;
    let advice = finding(&report, "portal.connector")["advice"].as_str().unwrap();
    assert!(advice.contains("scopes"), "{report:#}");
    app.stop().await;
}

#[actix_web::test]
async fn stuck_9_handlers_of_an_old_address_are_found_and_unbound() {
    let app = TestApp::start().await;
    let old = "https://old.bridge.example/api/bitrix/";
    app.portal.bind_event(app.client_id(), "OnImConnectorMessageAdd", old);
    found_and_repaired(&app, "portal.events", "bound twice or to an old address").await;
    let bound = app.portal.event_bindings();
    assert!(!bound.iter().any(|one| one["handler"] == old), "{bound:?}");
    app.portal.lose_bindings(app.client_id(), "ONIMCONNECTORMESSAGEADD");
    found_and_repaired(&app, "portal.events", "ONIMCONNECTORMESSAGEADD").await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_10_a_connector_that_is_not_active_is_found_and_switched_on() {
    let app = TestApp::start().await;
    // The event that tells of it never came.
    app.portal.change_faults(|faults| faults.events_lost = true);
    app.portal.disconnect("wabridge", &app.line);
    app.settled().await;
    app.portal.change_faults(|faults| faults.events_lost = false);
    found_and_repaired(&app, "line.connector", "not active").await;
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn stuck_11_an_app_in_development_mode_is_told_in_metas_own_words() {
    let app = TestApp::start().await;
    let entities = json!([
        {"entity_type": "WABA", "id": WABA_ID, "can_send_message": "BLOCKED",
         "errors": [{"error_code": 141006, "error_description": "There is an error with the payment method.",
                     "possible_solution": "Add a payment method."}]},
        {"entity_type": "BUSINESS", "id": "1", "can_send_message": "AVAILABLE"},
        {"entity_type": "APP", "id": CLIENT_ID, "can_send_message": "LIMITED",
         "additional_info": ["Your app is in development mode."]},
    ]);
    let health = json!({"can_send_message": "BLOCKED", "entities": entities});
    app.cloud.set_waba(WABA_ID, json!({"health_status": health}));
    found(&app, "meta.app.live", "warn", "development mode").await;
    found(&app, "meta.waba.payment", "fail", "payment method").await;
    found(&app, "meta.waba.health", "fail", "error with the payment method").await;
    let report = look(&app).await;
    assert_eq!(finding(&report, "meta.waba.payment")["advice"], "Add a payment method.");
    assert_eq!(result_of(&report, "meta.business.health"), "pass");
    app.stop().await;
}

#[actix_web::test]
async fn stuck_12_a_tier_below_that_of_calls_is_found_and_the_settings_are_written_again() {
    let config: Change = Box::new(crate::support::calls::with_trunk);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    assert_eq!(result(&app, "calls.settings").await, "skipped");
    app.cloud.set_phone(PHONE_ID, json!({"messaging_limit": 250}));
    app.api.put(&app.calling_path(), crate::support::calls::wanted()).await;
    found(&app, "calls.tier", "fail", "TIER_250").await;
    found(&app, "calls.settings", "fail", "Meta does not have our settings").await;
    app.cloud.set_phone(
        PHONE_ID,
        json!({"messaging_limit": 2000, "whatsapp_business_manager_messaging_limit": "TIER_2K"}),
    );
    found_and_repaired(&app, "calls.settings", "Meta does not have our settings").await;
    let report = look(&app).await;
    for id in ["calls.tier", "calls.password"] {
        assert_eq!(result_of(&report, id), "pass");
    }
    app.stop().await;
}

#[actix_web::test]
async fn stuck_12_a_certificate_that_meta_would_not_take_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        TlsFiles { certificate: folder.path().join("c.pem"), private_key: folder.path().join("k.pem") };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let end = chrono::Utc::now() + chrono::TimeDelta::days(10);
    let (year, month, day) = (end.year(), end.month(), end.day());
    params.not_after = rcgen::date_time_ymd(year, month.try_into().unwrap(), day.try_into().unwrap());
    std::fs::write(&files.private_key, key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    let port = crate::support::process::free_port();
    let config: Change = Box::new(move |config| {
        crate::support::calls::with_trunk(config);
        config.sip.enabled = true;
        config.sip.hostname = Some("localhost".into());
        config.sip.listen = format!("127.0.0.1:{port}").parse().unwrap();
        config.sip.trunk_listen = "127.0.0.1:0".parse().unwrap();
        config.sip.tls = Some(files);
    });
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    found(&app, "sip.certificate", "warn", "expires in").await;
    found(&app, "sip.reached", "fail", "would not take the certificate of localhost").await;
    app.stop().await;
}

#[actix_web::test]
async fn a_callback_at_another_address_is_found_and_taken_back() {
    let app = TestApp::start().await;
    app.cloud.place_callback(CLIENT_ID, "https://old.bridge.example/hook", "x").unwrap();
    found_and_repaired(&app, "meta.app.callback", "another address (at old.bridge.example)").await;
    app.cloud.set_callback_active(CLIENT_ID, false);
    found_and_repaired(&app, "meta.app.callback", "switched it off").await;
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn addresses_that_override_the_apps_are_found_and_removed() {
    let app = TestApp::start().await;
    let (address, server) = answering().await;
    let call = |path: &str, body: Value| {
        http_client()
            .post(format!("{}/v25.0/{path}", app.cloud.url()))
            .bearer_auth("EAAG-test-token")
            .json(&body)
            .send()
    };
    let body = json!({"override_callback_uri": address, "verify_token": "x"});
    assert_eq!(call(&format!("{WABA_ID}/subscribed_apps"), body.clone()).await.unwrap().status(), 200);
    found_and_repaired(&app, "meta.waba.override", "its messages go to 127.0.0.1").await;
    let body = json!({"webhook_configuration": body});
    assert_eq!(call(PHONE_ID, body).await.unwrap().status(), 200);
    found_and_repaired(&app, "meta.phone.override", "its messages go to 127.0.0.1").await;
    server.stop(true).await;
    app.opened(&anna()).await;
    app.stop().await;
}

#[actix_web::test]
async fn other_findings_of_meta_are_told() {
    let app = TestApp::start().await;
    app.cloud.subscribe(WABA_ID, "777");
    found(&app, "meta.waba.other_apps", "warn", "777").await;
    app.cloud.set_phone(
        PHONE_ID,
        json!({"quality_rating": "RED", "name_status": "DECLINED", "is_pin_enabled": false,
               "health_status": {"can_send_message": "LIMITED", "entities": [
                   {"entity_type": "PHONE_NUMBER", "id": PHONE_ID, "can_send_message": "LIMITED",
                    "additional_info": ["Your display name has not been approved yet."]}]}}),
    );
    found(&app, "meta.phone.quality", "fail", "low").await;
    found(&app, "meta.phone.name", "warn", "DECLINED").await;
    found(&app, "meta.phone.pin", "warn", "no two-step PIN").await;
    found(&app, "meta.phone.health", "warn", "display name has not been approved").await;
    app.cloud.rotate_secret(CLIENT_ID, "another_secret");
    found(&app, "meta.app.secret", "fail", "not that of the app").await;
    app.cloud.set_faults(wabridge::sandbox::cloud::Faults { cloud_down: true, ..Default::default() });
    let report = look(&app).await;
    assert_eq!(result_of(&report, "meta.token.valid"), "unknown");
    assert_eq!(result_of(&report, "bridge.clock"), "unknown");
    app.stop().await;
}

#[actix_web::test]
async fn a_version_that_ends_is_told() {
    let app = TestApp::start().await;
    let apps = app.api.get("/apps").await;
    let id = apps["items"][0]["id"].as_str().unwrap().to_owned();
    let change = json!({"graph_version": "v20.0"});
    assert_eq!(app.api.call("PATCH", &format!("/apps/{id}"), Some(change)).await.0, 200);
    found(&app, "meta.app.version", "fail", "v20.0").await;
    app.stop().await;
}

#[actix_web::test]
async fn other_findings_of_a_portal_are_told() {
    let app = TestApp::start().await;
    app.portal.set_line(&app.line, "ACTIVE", "N");
    found(&app, "line.exists", "warn", "switched off").await;
    app.portal.change_faults(|faults| faults.events_lost = true);
    app.portal.delete_line(&app.line);
    found(&app, "line.exists", "fail", "gone").await;
    app.portal.change_faults(|faults| {
        faults.expire_tokens = true;
        faults.refresh_refused = true;
    });
    found(&app, "portal.token", "fail", "refuses").await;
    found(&app, "portal.status", "fail", "refuses our tokens").await;
    app.stop().await;
}

#[actix_web::test]
async fn an_sms_sender_that_the_crm_lost_is_found_and_registered() {
    let app = TestApp::start().await;
    assert_eq!(result(&app, "portal.senders").await, "skipped");
    let path = format!("/phones/{}", app.phone_id());
    assert_eq!(app.api.call("PATCH", &path, Some(json!({"sms_service": true}))).await.0, 200);
    assert_eq!(result(&app, "portal.senders").await, "pass");
    app.portal.lose_senders(app.client_id());
    found_and_repaired(&app, "portal.senders", "wa_15550783881").await;
    assert_eq!(app.portal.sms_senders().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn templates_that_meta_stopped_and_a_fallback_that_is_none_are_told() {
    let app = TestApp::start().await;
    let template = |name: &str, status: &str| {
        json!({"id": format!("9{}", name.len()), "name": name, "language": "en", "status": status,
               "category": "UTILITY", "parameter_format": "POSITIONAL",
               "components": [{"type": "BODY", "text": "News: {{1}}!", "example": {"body_text": [["x"]]}}]})
    };
    app.cloud.add_template(WABA_ID, template("plain", "APPROVED"));
    app.api.post("/templates/sync", json!({})).await;
    let path = format!("/phones/{}", app.phone_id());
    let change = json!({"fallback_template": "plain", "closed_window": "template"});
    assert_eq!(app.api.call("PATCH", &path, Some(change)).await.0, 200);
    assert_eq!(result(&app, "meta.phone.fallback").await, "pass");
    assert_eq!(result(&app, "meta.templates.state").await, "pass");
    let paused = json!({"event": "PAUSED", "message_template_id": 95, "message_template_name": "plain",
                        "message_template_language": "en", "reason": "NONE"});
    app.cloud.post_change(WABA_ID, "message_template_status_update", paused);
    app.webhooks_taken().await;
    app.wait_for("the pause", async |app| {
        (result(app, "meta.templates.state").await == "warn").then_some(())
    })
    .await;
    found(&app, "meta.templates.state", "warn", "plain (en)").await;
    found(&app, "meta.phone.fallback", "fail", "plain").await;
    app.stop().await;
}

#[actix_web::test]
async fn what_the_bridge_refused_and_gave_up_is_told() {
    let app = TestApp::start().await;
    let forged = http_client().post(format!("{}/api/waba/?app_id={CLIENT_ID}", app.base_url)).body("{}");
    assert_eq!(forged.send().await.unwrap().status(), 401);
    found(&app, "bridge.signatures", "warn", "1 webhooks were refused").await;
    app.customer_writes(&anna(), "Hello");
    app.shown(1).await;
    assert_eq!(result(&app, "bridge.last_webhook").await, "pass");
    app.stop().await;
}

#[actix_web::test]
async fn a_changed_object_is_checked_in_the_background() {
    let config: Change =
        Box::new(|config| config.doctor.interval = Some(std::time::Duration::from_secs(3600)));
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let told = async |app: &TestApp, id: &str| {
        let last = app.api.get("/doctor?last=true").await;
        last["findings"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned()
    };
    for id in ["meta.app.handshake", "meta.waba.subscribed", "meta.phone.registered", "line.connector"] {
        let found = app.wait_for(id, async |app| told(app, id).await).await;
        assert_eq!(found["result"], "pass");
    }
    app.stop().await;
}

/// A server whose certificate nobody trusts.
async fn self_signed() -> (String, actix_web::dev::ServerHandle) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, private) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&private, key.serialize_pem()).unwrap();
    std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    let files = wabridge::tls::ReloadingCert::load(&certificate, &private).unwrap();
    let tls = wabridge::tls::server_config(files, &[b"http/1.1"]).unwrap();
    let port = listener();
    let address = format!("https://{}", port.local_addr().unwrap());
    let server = actix_web::HttpServer::new(actix_web::App::new);
    let server = server.workers(1).disable_signals().listen_rustls_0_23(port, (*tls).clone()).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);
    (address, handle)
}

/// A server that answers every handshake.
async fn answering() -> (String, actix_web::dev::ServerHandle) {
    let port = listener();
    let address = format!("http://{}/hook", port.local_addr().unwrap());
    let answer = |query: actix_web::web::Query<std::collections::HashMap<String, String>>| async move {
        query.get("hub.challenge").cloned().unwrap_or_default()
    };
    let server =
        actix_web::HttpServer::new(move || actix_web::App::new().default_service(actix_web::web::to(answer)));
    let server = server.workers(1).disable_signals().listen(port).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);
    (address, handle)
}
