//! Tokens, accounts, numbers, subscriptions and the switch panel.

use super::*;

fn app_token() -> String {
    format!("{APP}|{SECRET}")
}

#[tokio::test]
async fn a_token_tells_what_it_is() {
    let world = World::new().await;
    let path = format!("debug_token?input_token={TOKEN}");
    let (status, answer) = world.graph_as(&app_token(), "GET", &path, None).await;
    assert_eq!(status, 200);
    assert_like("debug_token", &answer);
    assert_eq!(answer["data"]["app_id"], APP);
    assert_eq!(answer["data"]["granular_scopes"][0]["target_ids"], json!([WABA]));
    let (_, answer) = world.graph_as(&app_token(), "GET", "debug_token?input_token=unknown", None).await;
    assert_eq!(answer["data"]["is_valid"], false);
    world.cloud.change_faults(|faults| faults.token_expired = true);
    let (_, mut answer) = world.graph_as(&app_token(), "GET", &path, None).await;
    answer["data"]["scopes"] = json!(["no scopes are left of it"]);
    assert_like("debug_token_expired", &answer);
    assert_eq!(world.graph_as("nonsense", "GET", &path, None).await.0, 401);
    let url =
        format!("oauth/access_token?grant_type=client_credentials&client_id={APP}&client_secret={SECRET}");
    assert_eq!(world.graph_as("", "GET", &url, None).await.1["access_token"], app_token());
    world.cloud.stop().await;
}

#[tokio::test]
async fn the_proof_of_the_secret_is_checked_when_given_and_when_needed() {
    let world = World::new().await;
    let proof = raw::hmac_hex(SECRET.as_bytes(), TOKEN.as_bytes());
    let good = format!("{WABA}?appsecret_proof={proof}");
    assert_eq!(world.graph("GET", &good, None).await.0, 200);
    let (status, answer) = world.graph("GET", &format!("{WABA}?appsecret_proof=00"), None).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));
    world.cloud.change_faults(|faults| faults.require_appsecret_proof = true);
    assert_eq!(world.graph("GET", WABA, None).await.0, 400);
    assert_eq!(world.graph("GET", &good, None).await.0, 200);
    world.cloud.stop().await;
}

#[tokio::test]
async fn an_account_and_its_numbers_are_read() {
    let world = World::new().await;
    let (status, answer) = world.graph("GET", WABA, None).await;
    assert_eq!(status, 200);
    assert_like("waba", &answer);
    let fields = "id,display_phone_number,verified_name,quality_rating";
    world.cloud.add_phone(WABA, "2", "+1 631-555-5556", "Second");
    world.cloud.add_phone(WABA, "3", "+1 631-555-5557", "Third");
    let path = format!("{WABA}/phone_numbers?fields={fields}&limit=2");
    let (_, first) = world.graph("GET", &path, None).await;
    assert_like("phone_numbers", &first);
    let after = first["paging"]["cursors"]["after"].as_str().unwrap();
    let (_, second) = world.graph("GET", &format!("{path}&after={after}"), None).await;
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["data"][0]["id"], "3");
    assert!(second["paging"].get("next").is_none());

    let fields = "id,display_phone_number,verified_name,status,quality_rating,name_status,\
                  code_verification_status,platform_type,account_mode,throughput,webhook_configuration,health_status";
    let (_, phone) = world.graph("GET", &format!("{PHONE}?fields={fields}"), None).await;
    assert_like("phone", &phone);
    let (status, answer) = world.graph("GET", &format!("{PHONE}?fields=colour"), None).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));
    assert_eq!(world.graph("GET", "404", None).await.1["error"]["error_subcode"], 33);
    world.cloud.stop().await;
}

#[tokio::test]
async fn apps_subscribe_to_accounts_and_can_override_the_callback() {
    let world = World::new().await;
    let path = format!("{WABA}/subscribed_apps");
    let (_, answer) = world.graph("DELETE", &path, None).await;
    assert_like("success", &answer);
    assert_eq!(world.graph("GET", &path, None).await.1, json!({"data": []}));
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "lost"}}));

    let other = Callback::default();
    let override_to = |token: &str| json!({"override_callback_uri": other.url(), "verify_token": token});
    let (status, answer) = world.graph("POST", &path, Some(override_to("wrong"))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(2200)));
    let (_, answer) = world.graph("POST", &path, Some(override_to("verify"))).await;
    assert_like("success", &answer);
    let (_, answer) = world.graph("GET", &path, None).await;
    assert_like("subscribed_apps", &answer);
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "a"}}));
    world.cloud.post_change(WABA, "account_review_update", json!({"decision": "APPROVED"}));
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    assert_eq!(other.elements("messages").len(), 1);
    assert_eq!(world.callback.all().len(), 1, "an override holds for messages only");

    world.graph("POST", &path, None).await;
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "b"}}));
    world.until(|callback| callback.elements("messages").len() == 1).await;
    assert_eq!(world.callback.elements("messages")[0]["text"]["body"], "b");
    world.cloud.stop().await;
}

#[tokio::test]
async fn the_apps_callback_is_set_after_a_handshake() {
    let world = World::new().await;
    let path = format!("{APP}/subscriptions");
    let (_, answer) = world.graph_as(&app_token(), "GET", &path, None).await;
    assert_like("subscriptions", &answer);
    assert_eq!(world.graph("GET", &path, None).await.0, 400, "needs the app token");
    let new = Callback::default();
    let set = |token: &str| {
        let url = new.url();
        format!(
            "{path}?object=whatsapp_business_account&callback_url={url}&verify_token={token}&fields=messages&include_values=true"
        )
    };
    assert_eq!(world.graph_as(&app_token(), "POST", &set("wrong"), None).await.0, 400);
    let (_, answer) = world.graph_as(&app_token(), "POST", &set("verify"), None).await;
    assert_like("success", &answer);
    let (_, answer) = world.graph_as(&app_token(), "GET", &path, None).await;
    assert_eq!(answer["data"][0]["fields"], json!([{"name": "messages", "version": "v25.0"}]));
    world.cloud.post_change(WABA, "account_alerts", json!({}));
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "a"}}));
    assert!(world.cloud.wait_until(LONG, |_| new.all().len() == 1).await);
    assert_eq!(new.elements("messages").len(), 1, "account_alerts is not subscribed");
    let refused = world.cloud.set_callback(APP, &new.url(), "wrong").await;
    assert_eq!(refused.unwrap_err(), "HTTP Status Code = 403");
    world.cloud.stop().await;
}

#[tokio::test]
async fn the_switch_panel_is_for_this_machine_alone() {
    let world = World::new().await;
    let url = format!("{}/_sim/faults", world.cloud.url());
    let body = json!({"send_next": ["lost_answer"], "send": {"internal": 0.25}}).to_string();
    let post = |host: Option<&'static str>, origin: Option<&'static str>, body: String| {
        let mut request = world.http.post(&url).header("Content-Type", "application/json").body(body);
        if let Some(host) = host {
            request = request.header("Host", host);
        }
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(Some("evil.example"), None, body.clone()).await, 403);
    assert_eq!(post(None, Some("http://evil.example"), body.clone()).await, 403);
    assert_eq!(post(None, None, json!({"nonsense": 1}).to_string()).await, 400);
    assert_eq!(world.cloud.faults(), Faults::default());
    // Cloud down does not close the panel.
    world.cloud.change_faults(|faults| faults.cloud_down = true);
    assert_eq!(post(None, Some("http://127.0.0.1:9"), body).await, 200);
    let faults = world.cloud.faults();
    assert_eq!(faults.send_next, [SendFault::LostAnswer]);
    assert_eq!(faults.send[&SendFault::Internal], 0.25);
    assert!(faults.cloud_down, "the other switches stay");
    let state = world.http.get(format!("{}/_sim/state", world.cloud.url())).send().await.unwrap();
    let state: Value = state.json().await.unwrap();
    assert_eq!(state["phones"][0]["id"], PHONE);
    assert!(!state.to_string().contains(TOKEN) && !state.to_string().contains(SECRET));
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_number_is_proven_by_a_code_and_registered_in_the_form_of_the_facts() {
    let world = World::new().await;
    let code = format!("{PHONE}/request_code?code_method=SMS&language=en_US");
    assert_like("request_code", &world.graph("POST", &code, None).await.1);
    assert_like(
        "verify_code",
        &world.graph("POST", &format!("{PHONE}/verify_code?code=123456"), None).await.1,
    );
    let register = |pin: &str| json!({"messaging_product": "whatsapp", "pin": pin});
    let path = format!("{PHONE}/register");
    assert_like("register", &world.graph("POST", &path, Some(register("212834"))).await.1);
    let (status, answer) = world.graph("POST", &path, Some(register("999999"))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(133005)));
    let (status, _) = world.graph("POST", &format!("{PHONE}/verify_code?code=1"), None).await;
    assert_eq!(status, 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_business_profile_is_read_in_the_form_of_the_facts() {
    let world = World::new().await;
    let path = format!("{PHONE}/whatsapp_business_profile");
    let mut profile = sample("business_profile")["data"][0].clone();
    profile.as_object_mut().unwrap().remove("profile_picture_url");
    assert_like("success", &world.graph("POST", &path, Some(profile)).await.1);
    let picture = json!({"messaging_product": "whatsapp", "profile_picture_handle": "4::aW1hZ2U="});
    assert_like("success", &world.graph("POST", &path, Some(picture)).await.1);
    let fields = "about,address,description,email,profile_picture_url,websites,vertical";
    let (status, answer) = world.graph("GET", &format!("{path}?fields={fields}"), None).await;
    assert_eq!(status, 200);
    assert_like("business_profile", &answer);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_login_is_exchanged_for_a_token_once_in_the_form_of_the_facts() {
    let world = World::new().await;
    let redirect = "https://bridge.example/admin/facebook/callback";
    let code = world.cloud.login_code(APP, redirect);
    let path = |redirect: &str| {
        format!(
            "oauth/access_token?client_id={APP}&client_secret={SECRET}&redirect_uri={redirect}&code={code}"
        )
    };
    let (status, answer) = world.graph_as("", "GET", &path(redirect), None).await;
    assert_eq!(status, 200);
    assert_like("login_exchange", &answer);
    assert_eq!(world.graph_as("", "GET", &path(redirect), None).await.0, 400, "a code works once");
    world.cloud.stop().await;
}
