//! The doctor's page of the panel: what was found, a look on wish, repairs with their entry in the log, and the
//! alarms on Home.

use serde_json::json;
use wabridge::access::Role;
use wabridge::sandbox::portal::PortalOptions;
use wabridge::store::audit;

use crate::support::calls::{HOSTNAME, with_trunk};
use crate::support::panel::Panel;
use crate::support::{CLIENT_ID, Options, PHONE_ID, TestApp, WABA_ID};

/// A linked bridge whose portal counts no calls: one after the other the checks are many.
async fn unhurried() -> (TestApp, Panel) {
    let portal = PortalOptions { rate: None, ..PortalOptions::default() };
    let app = TestApp::with(Options { portal: Some(portal), ..Options::default() }).await;
    let panel = Panel::enter(&app, "Ann", Role::Admin).await;
    (app, panel)
}

async fn audit_of(app: &TestApp) -> Vec<audit::AuditRow> {
    let page = wabridge::store::Page { limit: 1000, cursor: None };
    let filter = audit::AuditFilter::default();
    app.relay.db.read(move |conn| audit::list(conn, &filter, &page)).await.unwrap()
}

const DOCTOR: &str = "/admin/doctor/";

#[actix_web::test]
async fn the_doctors_page_shows_what_was_found_and_repairs_it_with_an_entry_in_the_log() {
    let (app, mut panel) = unhurried().await;
    assert!(panel.page(DOCTOR).await.says("Nothing was looked at since the start"));
    app.cloud.unsubscribe(WABA_ID, CLIENT_ID);
    let looked = panel.submit(DOCTOR, "/admin/doctor/check", &[]).await;
    assert_eq!(looked.location, "/admin/doctor/?done=checked", "{}", looked.html);
    let page = panel.page(DOCTOR).await;
    for told in [
        "meta.waba.subscribed",
        "does not work",
        "not subscribed",
        "Subscribe the app to this account",
        "meta.token.valid",
        "Well: ",
        "Set <code>public_url</code> to https://",
    ] {
        assert!(page.says(told), "{told}: {}", page.html);
    }
    let home = panel.page("/admin/").await;
    assert!(home.says("open alarms") && home.says("not subscribed"), "{}", home.html);

    let waba = app.relay.directory.now().wabas[0].key.to_string();
    let wish = [("repair", "waba.subscription"), ("subject_id", waba.as_str())];
    let repaired = panel.submit(DOCTOR, "/admin/doctor/repair", &wish).await;
    assert_eq!(repaired.location, "/admin/doctor/?done=repaired", "{}", repaired.html);
    assert!(app.cloud.is_subscribed(WABA_ID, CLIENT_ID));
    assert!(!panel.page(DOCTOR).await.says("Subscribe the app to this account"));
    assert!(!panel.page("/admin/").await.says("not subscribed"));
    let rows = audit_of(&app).await;
    let entry = rows.iter().find(|row| row.action == "repair").unwrap();
    assert_eq!((entry.actor.as_str(), entry.object.as_str(), &entry.object_id), ("Ann", "waba", &waba));
    assert!(entry.state_after.contains("waba.subscription"), "{}", entry.state_after);
    app.stop().await;
}

#[actix_web::test]
async fn an_apps_page_names_every_field_and_lets_the_bridge_tell_meta() {
    let (app, mut panel) = unhurried().await;
    app.cloud.tick_fields(CLIENT_ID, &["messages"]);
    let page = format!("/admin/apps/{}/", app.relay.directory.now().apps[0].id);
    let shown = panel.page(&page).await;
    for field in wabridge::setup::doctor::webhook_fields(false) {
        assert!(shown.says(&format!("<code>{field}</code>")), "{field}: {}", shown.html);
    }
    let wish = [("repair", &*shown.hidden("repair")), ("subject_id", &*shown.hidden("subject_id"))];
    let told = panel.submit(&page, "/admin/doctor/repair", &wish).await;
    assert_eq!(told.location, "/admin/doctor/?done=repaired", "{}", told.html);
    let report = app.api.get("/doctor").await;
    assert_eq!(crate::doctor::finding(&report, "meta.app.fields")["result"], "pass");
    app.stop().await;
}

#[actix_web::test]
async fn a_repair_that_is_refused_is_told_and_forms_of_others_repair_nothing() {
    let (app, mut panel) = unhurried().await;
    app.cloud.set_phone(PHONE_ID, json!({"platform_type": "NOT_APPLICABLE", "status": "PENDING"}));
    panel.submit(DOCTOR, "/admin/doctor/check", &[]).await;
    let page = panel.page(DOCTOR).await;
    assert!(page.says("Register with this PIN") && page.says("name=\"pin\""), "{}", page.html);
    let phone = app.phone_id();
    let wish = [("repair", "phone.registration"), ("subject_id", phone.as_str()), ("pin", "12")];
    let told = panel.submit(DOCTOR, "/admin/doctor/repair", &wish).await;
    assert_eq!(told.status, 422);
    assert!(told.says("ust be six digits"), "{}", told.html);
    assert_eq!(panel.post("/admin/doctor/repair", &wish).await.status, 403, "without the form's token");
    let unknown = [("repair", "everything"), ("subject_id", phone.as_str())];
    assert_eq!(panel.submit(DOCTOR, "/admin/doctor/repair", &unknown).await.status, 403);
    assert!(audit_of(&app).await.iter().all(|row| row.action != "repair"));

    // Operators look, and leave repairs to administrators.
    let mut operator = Panel::enter(&app, "Otto", Role::Operate).await;
    let looked = operator.submit(DOCTOR, "/admin/doctor/check", &[]).await;
    assert_eq!(looked.location, "/admin/doctor/?done=checked", "{}", looked.html);
    assert!(!operator.page(DOCTOR).await.says("Register with this PIN"));
    assert_eq!(operator.submit(DOCTOR, "/admin/doctor/repair", &wish).await.status, 403);
    app.stop().await;
}

#[actix_web::test]
async fn a_save_of_calls_is_followed_by_a_look_at_the_phone() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> = Box::new(|config| {
        with_trunk(config);
        config.doctor.interval = Some(std::time::Duration::from_secs(3600));
    });
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    app.cloud.set_phone(PHONE_ID, json!({"quality_rating": "RED"}));
    let page = format!("/admin/phones/{}/", app.phone_id());
    let fields = [
        ("status", "on"),
        ("sip.hostname", HOSTNAME),
        ("sip.port", "5061"),
        ("srtp_key_exchange_protocol", "SDES"),
        ("trunk", "asterisk"),
        ("extension", "100"),
        ("webhook_delivery", "on"),
    ];
    let saved = panel.submit(&page, &format!("{page}calling"), &fields).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    app.eventually("the doctor has looked", async || {
        let last = app.api.get("/doctor?last=true").await;
        let found = last["findings"].as_array().unwrap().clone();
        found.into_iter().find(|one| one["id"] == "meta.phone.quality" && one["result"] != "pass")
    })
    .await;
    app.stop().await;
}
