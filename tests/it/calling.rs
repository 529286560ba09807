//! A phone's settings for calls: written at Meta, read back, compared, refused.

use serde_json::{Value, json};
use wabridge::store::calling;

use crate::support::calls::{HOSTNAME, line_number, wanted, with_trunk};
use crate::support::{CLIENT_ID, Options, PHONE_ID, PHONE_NUMBER, TestApp};

async fn with_trunk_only() -> TestApp {
    TestApp::with(Options { config: Some(Box::new(with_trunk)), ..Options::default() }).await
}

async fn stored(app: &TestApp) -> Option<calling::CallingRow> {
    let id = app.phone_id().to_string();
    app.relay.db.read(move |conn| calling::get(conn, &id)).await.unwrap()
}

fn faulty(answer: &Value) -> Vec<String> {
    let errors = answer["errors"].as_array().unwrap();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_written_at_meta_read_back_and_kept_with_the_password() {
    let app = with_trunk_only().await;
    let saved = app.api.put(&app.calling_path(), wanted()).await;
    assert_eq!(saved["status"], "ENABLED");
    assert_eq!(saved["sip"]["status"], "ENABLED");
    assert_eq!((&saved["sip"]["hostname"], &saved["sip"]["port"]), (&json!(HOSTNAME), &json!(5061)));
    assert_eq!(saved["srtp_key_exchange_protocol"], "SDES");
    assert_eq!(saved["webhook_delivery"], "ENABLED");
    assert_eq!((&saved["trunk"], &saved["extension"]), (&json!("asterisk"), &json!("100")));
    assert_eq!((&saved["edge"], &saved["error"]), (&json!("own"), &Value::Null));
    assert_eq!(saved["sip_password_known"], true);
    let meta = app.cloud.calling(PHONE_ID);
    assert_eq!(meta["sip"]["servers"][0]["hostname"], HOSTNAME);
    assert_eq!(meta["srtp_key_exchange_protocol"], "SDES");
    let password = app.cloud.sip_password(PHONE_ID, CLIENT_ID).unwrap();
    assert!(!saved.to_string().contains(&password));
    let row = stored(&app).await.unwrap();
    assert!(!format!("{row:?}").contains(&password), "the password is sealed at rest");
    let routes = app.eventually("the edge knows the way", async || app.routes().routes.pop()).await;
    assert_eq!((routes.digits.as_str(), routes.extension.as_str()), (PHONE_NUMBER, "100"));
    assert_eq!((routes.hostname.as_str(), routes.trunk.as_str()), (HOSTNAME, "asterisk"));
    assert_eq!(routes.sip_password.unwrap().expose(), password);
    let shown = app.api.get(&app.calling_path()).await;
    assert_eq!((&shown["status"], &shown["error"]), (&json!("ENABLED"), &Value::Null));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_refused_before_meta_is_asked() {
    let app = with_trunk_only().await;
    for (body, fields) in [
        (json!({"status": "ON", "trunk": "asterisk", "extension": "1"}), vec!["status", "sip.status"]),
        (json!({"status": "ENABLED"}), vec!["trunk", "extension"]),
        (
            json!({"status": "ENABLED", "trunk": "other", "extension": "1 2"}),
            vec!["trunk", "extension", "trunk", "extension"],
        ),
        (
            json!({"status": "ENABLED", "sip": {"hostname": "127.0.0.1", "port": 0}, "trunk": "asterisk", "extension": "1"}),
            vec!["sip.hostname", "sip.port"],
        ),
        (
            json!({"status": "ENABLED", "srtp_key_exchange_protocol": "ZRTP", "webhook_delivery": "yes", "trunk": "asterisk", "extension": "1"}),
            vec!["srtp_key_exchange_protocol", "webhook_delivery"],
        ),
    ] {
        let (status, answer) = app.api.call("PUT", &app.calling_path(), Some(body.clone())).await;
        assert_eq!(status, 422, "{body}: {answer}");
        let mut told = faulty(&answer);
        told.dedup();
        for field in &told {
            assert!(fields.contains(&field.as_str()), "{body}: {told:?}");
        }
        assert!(!told.is_empty());
    }
    let (status, _) = app.api.call("PUT", &app.calling_path(), Some(json!({"state": "x"}))).await;
    assert_eq!(status, 422);
    assert_eq!(app.api.call("PUT", "/phones/none/calling", Some(wanted())).await.0, 404);
    assert!(stored(&app).await.is_none());
    assert!(app.cloud.calling(PHONE_ID)["sip"]["servers"].is_null());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_group_is_set_kept_and_removed_and_calls_are_found_by_it() {
    let app = with_trunk_only().await;
    let group = async || app.eventually("a route", async || app.routes().routes.pop()).await.tgrp;
    let mut body = wanted();
    body["sip"]["request_uri_user_params"] = json!({"tgrp": "sales", "trunk-context": "byoc.example.com"});
    let saved = app.api.put(&app.calling_path(), body.clone()).await;
    assert_eq!(saved["error"], Value::Null);
    assert_eq!(saved["sip"]["servers"][0]["request_uri_user_params"]["tgrp"], "sales");
    let at_meta = || app.cloud.calling(PHONE_ID)["sip"]["servers"][0]["request_uri_user_params"].clone();
    assert_eq!(at_meta(), json!({"tgrp": "sales", "trunk-context": "byoc.example.com"}));
    app.eventually("the edge knows the group", async || {
        (group().await.as_deref() == Some("sales")).then_some(())
    })
    .await;
    // What is not said stays.
    app.api.put(&app.calling_path(), wanted()).await;
    assert_eq!(at_meta()["tgrp"], "sales");
    body["sip"]["request_uri_user_params"] = json!({"tgrp": "a;b"});
    let (status, answer) = app.api.call("PUT", &app.calling_path(), Some(body.clone())).await;
    assert_eq!((status, faulty(&answer)), (422, vec!["sip.request_uri_user_params".to_owned()]));
    body["sip"]["request_uri_user_params"] = json!({});
    app.api.put(&app.calling_path(), body).await;
    assert_eq!(at_meta(), Value::Null);
    app.eventually("the group is gone", async || group().await.is_none().then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_refuses_is_told_with_its_code_and_explained() {
    let app = with_trunk_only().await;
    for code in [100, 138_015, 138_018, 131_009] {
        app.cloud.change_faults(|faults| faults.calling_code = code);
        let saved = app.api.put(&app.calling_path(), wanted()).await;
        assert_eq!(saved["error"]["code"], code, "{saved}");
        assert!(!saved["error"]["title"].as_str().unwrap().is_empty());
        assert!(saved["error"]["explanation"].as_str().unwrap().len() > 40);
        assert_eq!(saved["status"], "DISABLED", "what Meta has");
        assert_eq!(saved["wanted"]["status"], "ENABLED", "what was asked for");
    }
    let shown = app.api.get(&app.calling_path()).await;
    assert_eq!(shown["error"]["code"], 131_009, "a refusal stays told until it is made good");
    app.cloud.change_faults(|faults| faults.calling_code = 0);
    assert_eq!(app.api.put(&app.calling_path(), wanted()).await["error"], Value::Null);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta_that_cannot_be_reached_is_502_and_nothing_is_stored() {
    let app = with_trunk_only().await;
    app.cloud.change_faults(|faults| faults.cloud_down = true);
    let (status, _) = app.api.call("PUT", &app.calling_path(), Some(wanted())).await;
    assert_eq!(status, 502);
    assert_eq!(app.api.call("GET", &app.calling_path(), None).await.0, 502);
    assert!(stored(&app).await.is_none());
    app.cloud.change_faults(|faults| faults.cloud_down = false);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_meta_took_and_did_not_keep_are_told() {
    let app = with_trunk_only().await;
    app.cloud.change_faults(|faults| faults.calling_ignored = true);
    let saved = app.api.put(&app.calling_path(), wanted()).await;
    assert_eq!(saved["error"]["code"], 0);
    let explanation = saved["error"]["explanation"].as_str().unwrap();
    assert!(explanation.contains("status is DISABLED, not ENABLED"), "{explanation}");
    app.cloud.change_faults(|faults| faults.calling_ignored = false);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_the_token_may_not_see_is_told() {
    let app = with_trunk_only().await;
    app.cloud.change_faults(|faults| faults.sip_password_hidden = true);
    let saved = app.api.put(&app.calling_path(), wanted()).await;
    assert_eq!((&saved["sip_password_known"], &saved["error"]["code"]), (&json!(false), &json!(0)));
    assert!(saved["error"]["title"].as_str().unwrap().contains("password"));
    let route = app.eventually("the phone has a way", async || app.routes().routes.pop()).await;
    assert!(route.sip_password.is_none());
    app.cloud.change_faults(|faults| faults.sip_password_hidden = false);
    // The next look finds it: nothing has to be saved or started again.
    assert_eq!(app.api.get(&app.calling_path()).await["error"], Value::Null);
    app.eventually("the password is there", async || app.routes().routes.pop()?.sip_password).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_hostname_is_another_server_and_our_edge_ignores_the_phone() {
    let app = with_trunk_only().await;
    app.api.put(&app.calling_path(), wanted()).await;
    app.eventually("the edge knows the way", async || app.routes().routes.pop()).await;
    let body = json!({"status": "ENABLED", "sip": {"hostname": "pbx.example.com", "port": 5071},
                      "srtp_key_exchange_protocol": "DTLS", "webhook_delivery": "DISABLED"});
    let saved = app.api.put(&app.calling_path(), body).await;
    assert_eq!((&saved["edge"], &saved["error"]), (&json!("external"), &Value::Null), "{saved}");
    assert_eq!((&saved["sip"]["hostname"], &saved["sip"]["port"]), (&json!("pbx.example.com"), &json!(5071)));
    assert_eq!(saved["webhook_delivery"], "DISABLED");
    app.eventually("the way is gone", async || app.routes().routes.is_empty().then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_off_removes_server_password_and_way() {
    let app = TestApp::with_calls().await;
    app.eventually("the edge knows the way", async || app.routes().routes.pop()).await;
    assert_eq!(app.portal.phone_lines()[0]["NUMBER"], line_number());
    let old = app.cloud.sip_password(PHONE_ID, CLIENT_ID).unwrap();
    let saved = app.api.put(&app.calling_path(), json!({"status": "DISABLED"})).await;
    assert_eq!((&saved["status"], &saved["error"]), (&json!("DISABLED"), &Value::Null), "{saved}");
    assert_eq!((&saved["sip"]["servers"], &saved["sip_password_known"]), (&json!([]), &json!(false)));
    assert_eq!(
        (&saved["trunk"], &saved["extension"]),
        (&json!("asterisk"), &json!("100")),
        "kept for the next time"
    );
    app.eventually("the way is gone", async || app.routes().routes.is_empty().then_some(())).await;
    assert!(app.portal.phone_lines().is_empty(), "no line of the telephony any more");
    app.api.put(&app.calling_path(), json!({"status": "ENABLED"})).await;
    let route = app.eventually("the way is back", async || app.routes().routes.pop()).await;
    assert_ne!(route.sip_password.unwrap().expose(), old, "Meta makes a new password");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_elsewhere_is_seen_by_the_webhook() {
    let app = TestApp::with_calls().await;
    // As a person does in WhatsApp Manager.
    let value = json!({"messaging_product": "whatsapp", "type": "phone_number_settings",
        "phone_number_settings": {"phone_number_id": PHONE_ID, "calling": {"status": "DISABLED", "sip": {"status": "ENABLED"}}}});
    app.cloud.post_change(crate::support::WABA_ID, "account_settings_update", value);
    app.eventually("the change is told", async || {
        stored(&app).await.unwrap().error_title.filter(|title| title.contains("Changed at Meta"))
    })
    .await;
    let kept = app.events().await;
    assert!(kept.iter().any(|event| event.field == "account_settings_update"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_with_calls_is_a_line_of_the_portals_telephony() {
    let app = with_trunk_only().await;
    assert!(app.portal.phone_lines().is_empty());
    app.api.put(&app.calling_path(), wanted()).await;
    let lines = app.portal.phone_lines();
    assert_eq!((&lines[0]["NUMBER"], &lines[0]["CRM_AUTO_CREATE"]), (&json!(line_number()), &json!("N")));
    let mut body = wanted();
    body["crm_create"] = json!(true);
    assert_eq!(app.api.put(&app.calling_path(), body).await["crm_create"], true);
    assert_eq!(app.portal.phone_lines()[0]["CRM_AUTO_CREATE"], "Y");
    // What a portal lost comes back with the next set-up.
    app.reinstall().await;
    app.eventually("the set-up has run", async || {
        (app.portal.call_count("telephony.externalline.add") > 2).then_some(())
    })
    .await;
    assert_eq!(app.portal.phone_lines().len(), 1);
    app.api.call("DELETE", &format!("/phones/{}/line", app.phone_id()), None).await;
    assert!(app.portal.phone_lines().is_empty());
    app.stop().await;
}
