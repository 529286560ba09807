//! Settings for calls, permissions, webhooks about calls.

use super::*;

const SETTINGS: &str = "106540352242922/settings";

fn wish() -> Value {
    json!({"calling": {
        "status": "ENABLED", "srtp_key_exchange_protocol": "SDES",
        "sip": {"status": "ENABLED", "webhook_delivery": "ENABLED", "servers": [{
            "hostname": "sip.example.com", "port": 5061,
            "request_uri_user_params": {"tgrp": "wacall", "trunk-context": "byoc.example.com"}}]},
    }})
}

#[tokio::test]
async fn settings_are_kept_and_the_password_is_shown_on_request_alone() {
    let world = World::new().await;
    let (status, answer) = world.graph("POST", SETTINGS, Some(wish())).await;
    assert_eq!((status, answer), (200, json!({"success": true})));
    let path = format!("{SETTINGS}?include_sip_credentials=true");
    let (status, answer) = world.graph("GET", &path, None).await;
    assert_eq!(status, 200);
    assert_like("calling_settings", &answer);
    let password = answer["calling"]["sip"]["servers"][0]["sip_user_password"].clone();
    let (_, answer) = world.graph("GET", SETTINGS, None).await;
    assert!(answer["calling"]["sip"]["servers"][0]["sip_user_password"].is_null());
    // Off and on again: another password.
    let off = json!({"calling": {"status": "DISABLED", "sip": {"status": "DISABLED", "servers": []}}});
    assert_eq!(world.graph("POST", SETTINGS, Some(off)).await.0, 200);
    assert!(world.graph("GET", SETTINGS, None).await.1["calling"]["sip"]["servers"].is_null());
    world.graph("POST", SETTINGS, Some(wish())).await;
    let (_, answer) = world.graph("GET", &path, None).await;
    assert_ne!(answer["calling"]["sip"]["servers"][0]["sip_user_password"], password);
    world.until(|callback| callback.all().len() == 3).await;
    let change = &world.callback.all()[0].json()["entry"][0]["changes"][0];
    assert_eq!(
        (&change["field"], &change["value"]["type"]),
        (&json!("account_settings_update"), &json!("phone_number_settings"))
    );
    world.cloud.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_metas_codes() {
    let world = World::new().await;
    let sip = |sip: Value| json!({"calling": {"status": "ENABLED", "sip": sip}});
    for (body, code) in [
        (json!({}), 100),
        (json!({"calling": {"status": "ON"}}), 100),
        (json!({"calling": {"unheard": 1}}), 100),
        (sip(json!({"status": "ENABLED"})), 100),
        (sip(json!({"status": "ENABLED", "servers": [{"hostname": "127.0.0.1"}]})), 100),
        (
            sip(
                json!({"status": "ENABLED", "servers": [{"hostname": "a.example"}, {"hostname": "b.example"}]}),
            ),
            100,
        ),
    ] {
        let (status, answer) = world.graph("POST", SETTINGS, Some(body.clone())).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{body}");
    }
    world.cloud.set_phone(PHONE, json!({"messaging_limit": 250}));
    let (_, answer) = world.graph("POST", SETTINGS, Some(wish())).await;
    assert_like("error_coded", &answer);
    assert_eq!(answer["error"]["code"], 138_015);
    world.cloud.set_phone(PHONE, json!({"messaging_limit": 2000}));
    let graph_calls = format!("{PHONE}/calls");
    let (status, answer) = world.graph("POST", &graph_calls, Some(json!({}))).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(138_000)));
    world.graph("POST", SETTINGS, Some(wish())).await;
    assert_eq!(world.graph("POST", &graph_calls, Some(json!({}))).await.1["error"]["code"], 131_055);
    world.cloud.change_faults(|faults| faults.sip_password_hidden = true);
    assert_eq!(world.graph("GET", &format!("{SETTINGS}?include_sip_credentials=true"), None).await.0, 403);
    world.cloud.stop().await;
}

#[tokio::test]
async fn permissions_are_told_with_what_may_be_done() {
    let world = World::new().await;
    let customer = World::customer();
    let path = format!("{PHONE}/call_permissions?user_wa_id={NUMBER}");
    let (_, answer) = world.graph("GET", &path, None).await;
    assert_eq!(answer["permission"]["status"], "no_permission");
    assert_eq!(answer["actions"][1]["can_perform_action"], false);
    let until = world.cloud.now().timestamp() + 100;
    world.cloud.customer_answers_call_request(PHONE, &customer, SimPermission::Temporary(until));
    let (status, answer) = world.graph("GET", &path, None).await;
    assert_eq!(status, 200);
    assert_like("call_permissions", &answer);
    world.until(|callback| callback.elements("messages").len() == 1).await;
    let reply = &world.callback.elements("messages")[0]["interactive"]["call_permission_reply"];
    assert_eq!((&reply["response"], &reply["expiration_timestamp"]), (&json!("accept"), &json!(until)));
    world.cloud.advance_time(chrono::TimeDelta::seconds(101));
    assert_eq!(world.graph("GET", &path, None).await.1["permission"]["status"], "no_permission");
    assert_eq!(world.graph("GET", &format!("{PHONE}/call_permissions"), None).await.0, 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn webhooks_about_calls_come_where_they_are_wanted() {
    let world = World::new().await;
    let customer = World::customer();
    let mut silent = wish();
    silent["calling"]["sip"]["webhook_delivery"] = json!("DISABLED");
    world.graph("POST", SETTINGS, Some(silent)).await;
    world.cloud.call_created(PHONE, &customer, "wacid.1", true);
    world.graph("POST", SETTINGS, Some(wish())).await;
    world.cloud.call_terminated(PHONE, &customer, "wacid.2", true, Some(30), &[138_021]);
    world.until(|callback| callback.elements("calls").len() == 1).await;
    let post = world.callback.all().pop().unwrap().json();
    assert_like("webhook_call_terminate", &post);
    world.cloud.call_terminated(PHONE, &customer, "wacid.3", false, None, &[]);
    world.until(|callback| callback.elements("calls").len() == 2).await;
    let failed = &world.callback.elements("calls")[1];
    assert_eq!((&failed["status"], &failed["duration"]), (&json!("FAILED"), &Value::Null));
    assert_eq!((&failed["direction"], &failed["to"]), (&json!("BUSINESS_INITIATED"), &json!(NUMBER)));
    world.cloud.stop().await;
}
