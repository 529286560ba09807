//! What administrators, scripts and Meta see of the HTTP side.

use reqwest::Method;
use serde_json::{Value, json};
use wabridge::access::Role;
use wabridge::domain::Secret;
use wabridge::whatsapp::signature;

use crate::desk::{
    ACCESS_TOKEN, APP_SECRET, CLIENT_ID, Desk, NUMBER, PHONE_ID, WABA_ID, app_body, sim_app, token,
};

const NULL: Value = Value::Null;

#[actix_web::test]
async fn an_app_is_set_up_when_meta_confirms_its_token() {
    let desk = Desk::open().await;
    let app = desk.make_app().await;
    assert_eq!(app["site"], "bridge.example");
    let port = desk.base.rsplit(':').next().unwrap();
    let callback = app["callback_url"].as_str().unwrap();
    assert!(callback.starts_with(&format!("http://bridge.example:{port}/api/waba/?api-key=")), "{callback}");
    assert!(app["verify_token"].as_str().unwrap().len() > 20);
    let shown = desk.get(&format!("/apps/{}", app["id"].as_str().unwrap())).await;
    for secret in [APP_SECRET, ACCESS_TOKEN, "verify_token", "secret"] {
        assert!(!shown.to_string().contains(secret), "{secret} is shown: {shown}");
    }
    let (status, problem) = desk.call(Method::POST, "/apps", app_body()).await;
    assert_eq!((status.as_u16(), &problem["status"]), (409, &json!(409)));
    desk.close().await;
}

#[actix_web::test]
async fn what_meta_refuses_is_not_stored() {
    let desk = Desk::open().await;
    for (field, value) in [("client_secret", "wrong"), ("access_token", "wrong"), ("client_id", "999")] {
        let mut body = app_body();
        body[field] = json!(value);
        let (status, problem) = desk.call(Method::POST, "/apps", body).await;
        assert_eq!(status, 502, "{field}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("error"), "{problem}");
    }
    desk.cloud.change_faults(|faults| faults.cloud_down = true);
    let (status, _) = desk.call(Method::POST, "/apps", app_body()).await;
    assert_eq!(status, 502);
    assert_eq!(desk.get("/apps").await, json!({"items": [], "next": null}));
    desk.cloud.change_faults(|faults| faults.cloud_down = false);
    desk.cloud.add_app(sim_app("777", "s7", "t7"));
    let mut body = app_body();
    body["access_token"] = json!("t7");
    let (status, problem) = desk.call(Method::POST, "/apps", body).await;
    assert!(status == 422 || status == 502, "a token of another app: {problem}");
    desk.close().await;
}

#[actix_web::test]
async fn wrong_input_is_told_by_field() {
    let desk = Desk::open().await;
    let cases =
        [(json!({"name": "x"}), "site"), (json!({"name": 5}), "name"), (json!({"nonsense": 1}), "nonsense")];
    for (body, field) in cases {
        let (status, problem) = desk.call(Method::POST, "/apps", body.clone()).await;
        assert_eq!(
            (status.as_u16(), &problem["errors"][0]["field"]),
            (422, &json!(field)),
            "{body} {problem}"
        );
    }
    let mut body = app_body();
    (body["site"], body["name"]) = (json!("https://x/"), json!(""));
    let (status, problem) = desk.call(Method::POST, "/apps", body).await;
    assert_eq!((status.as_u16(), problem["errors"].as_array().unwrap().len()), (422, 2), "{problem}");
    for (path, field) in
        [("/apps?limit=0", "limit"), ("/messages?status=x", "status"), ("/jobs?state=x", "state")]
    {
        let (status, problem) = desk.call(Method::GET, path, NULL).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!(field)), "{path}");
    }
    let large = json!({"name": "x".repeat(300_000)});
    assert_eq!(desk.call(Method::POST, "/apps", large).await.0, 413);
    desk.close().await;
}

#[actix_web::test]
async fn a_call_needs_a_token_with_its_role() {
    let desk = Desk::open().await;
    let url = desk.url("/api/v1/apps");
    let answer = desk.http.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(desk.call_as("wab_unknown", Method::GET, "/apps", NULL).await.0, 401);
    let read = token(&desk.state.db, "reader", Role::Read).await;
    let operate = token(&desk.state.db, "operator", Role::Operate).await;
    assert_eq!(desk.call_as(&read, Method::GET, "/apps", NULL).await.0, 200);
    assert_eq!(desk.call_as(&read, Method::POST, "/apps", app_body()).await.0, 403);
    assert_eq!(desk.call_as(&read, Method::POST, "/jobs/retry?state=dead", NULL).await.0, 403);
    assert_eq!(desk.call_as(&operate, Method::POST, "/apps", app_body()).await.0, 403);
    let (status, body) = desk.call_as(&operate, Method::POST, "/jobs/retry?state=dead", NULL).await;
    assert_eq!((status.as_u16(), body), (200, json!({"retried": 0})));
    assert_eq!(desk.call(Method::GET, "/nowhere", NULL).await.0, 404);
    let document = desk.http.get(desk.url("/api/v1/openapi.json")).send().await.unwrap();
    assert_eq!(document.status(), 200);
    desk.close().await;
}

#[actix_web::test]
async fn a_waba_is_subscribed_and_a_phone_is_one_of_its_own() {
    let desk = Desk::open().await;
    let app = desk.make_app().await;
    let (status, _) = desk.call(Method::POST, "/wabas", json!({"app_id": app["id"], "waba_id": "1"})).await;
    assert_eq!(status, 502);
    let body = json!({"app_id": "nobody", "waba_id": WABA_ID});
    let (status, problem) = desk.call(Method::POST, "/wabas", body).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!("app_id")));
    let waba = desk.make("/wabas", json!({"app_id": app["id"], "waba_id": WABA_ID})).await;
    assert_eq!((&waba["subscribed"], &waba["name"]), (&json!(true), &json!("Lucky Shrub")));

    let id = waba["id"].as_str().unwrap();
    let listed = desk.get(&format!("/wabas/{id}/available-phones")).await;
    assert_eq!(listed["items"][0]["phone_number"], NUMBER);
    let phone = |number: &str, phone_id: &str| json!({"waba_id": id, "phone_number": number, "phone_number_id": phone_id});
    for (body, field) in [
        (phone("+15550783882", PHONE_ID), "phone_number"),
        (phone(NUMBER, "1"), "phone_number_id"),
        (phone("hello", PHONE_ID), "phone_number"),
    ] {
        let (status, problem) = desk.call(Method::POST, "/phones", body).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let made = desk.make("/phones", phone("1 (555) 078-3881", PHONE_ID)).await;
    assert_eq!(made["phone_number"], NUMBER);
    assert_eq!(desk.call(Method::POST, "/phones", phone(NUMBER, PHONE_ID)).await.0, 409);
    for (path, held) in [("/wabas", id), ("/apps", app["id"].as_str().unwrap())] {
        let (status, _) = desk.call(Method::DELETE, &format!("{path}/{held}"), NULL).await;
        assert_eq!(status, 409, "{path} is still needed");
    }
    desk.close().await;
}

#[actix_web::test]
async fn settings_of_a_phone_change_one_by_one() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let path = format!("/phones/{}", phone["id"].as_str().unwrap());
    assert_eq!((&phone["system_messages"], &phone["signature"]), (&json!("drop"), &json!("strip")));
    let change = json!({"read_receipts": true, "closed_window": "hold", "default_language": "en_US"});
    let (status, changed) = desk.call(Method::PATCH, &path, change).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!((&changed["read_receipts"], &changed["closed_window"]), (&json!(true), &json!("hold")));
    let (_, changed) = desk.call(Method::PATCH, &path, json!({"default_language": null})).await;
    assert_eq!((&changed["default_language"], &changed["read_receipts"]), (&NULL, &json!(true)));
    for (change, field) in [
        (json!({"signature": "no"}), "signature"),
        (json!({"crm_user_id": "anna"}), "crm_user_id"),
        (json!({"phone_number": NUMBER}), "phone_number"),
    ] {
        let (status, problem) = desk.call(Method::PATCH, &path, change).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 204);
    assert_eq!(desk.call(Method::GET, &path, NULL).await.0, 404);
    desk.close().await;
}

#[actix_web::test]
async fn a_change_of_settings_leaves_what_meta_said_meanwhile() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let id = phone["id"].as_str().unwrap().to_owned();
    let waba = desk.get("/wabas").await["items"][0]["id"].as_str().unwrap().to_owned();
    // Meta's word stands before the change in the same group of writes.
    let (held, release) = crate::store::hold(&desk.state.db).await;
    let (of_phone, of_waba) = (id.clone(), waba.clone());
    let said = desk.state.db.write(move |tx| {
        let mut row = wabridge::store::phones::get(tx.conn, &of_phone)?.unwrap();
        (row.quality, row.messaging_limit) = (Some("YELLOW".into()), Some("TIER_10K".into()));
        wabridge::store::phones::update(tx.conn, &row)?;
        let mut row = wabridge::store::wabas::get(tx.conn, &of_waba)?.unwrap();
        row.status = "restricted".into();
        wabridge::store::wabas::update(tx.conn, &row)
    });
    let (phone_path, waba_path) = (format!("/phones/{id}"), format!("/wabas/{waba}"));
    let change = desk.call(Method::PATCH, &phone_path, json!({"read_receipts": true}));
    let token = desk.call(Method::PATCH, &waba_path, json!({"access_token": ACCESS_TOKEN}));
    let released = async {
        // Time for both to have read what they change.
        for _ in 0..20 {
            desk.get(&phone_path).await;
        }
        release.send(()).unwrap();
    };
    let (said, change, token, ()) = tokio::join!(said, change, token, released);
    held.await.unwrap();
    assert!(said.unwrap());
    assert_eq!((change.0.as_u16(), token.0.as_u16()), (200, 200), "{} {}", change.1, token.1);
    let phone = desk.get(&phone_path).await;
    assert_eq!((&phone["read_receipts"], &phone["quality"]), (&json!(true), &json!("YELLOW")), "{phone}");
    assert_eq!(phone["messaging_limit"], "TIER_10K");
    assert_eq!(desk.get(&waba_path).await["status"], "restricted");
    desk.close().await;
}

#[actix_web::test]
async fn the_handshake_knows_our_verify_tokens() {
    let desk = Desk::open().await;
    let app = desk.make_app().await;
    let verify = app["verify_token"].as_str().unwrap();
    for path in ["/api/waba/?", "/api/waba?", "/api/waba/?api-key=x&other=1&"] {
        let url =
            desk.url(&format!("{path}hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={verify}"));
        let answer = desk.http.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "1158201444");
    }
    for query in ["", "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong"] {
        let answer = desk.http.get(desk.url(&format!("/api/waba/{query}"))).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{query}");
    }
    desk.cloud.set_callback(CLIENT_ID, &desk.url("/api/waba/"), verify).await.unwrap();
    desk.close().await;
}

fn notification(wamid: &str) -> Vec<u8> {
    json!({"object": "whatsapp_business_account", "entry": [{"id": WABA_ID, "changes": [{"field": "messages",
        "value": {"messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": PHONE_ID},
            "contacts": [{"profile": {"name": "Anna Sample"}, "wa_id": "16505551234"}],
            "messages": [{"from": "16505551234", "id": wamid, "timestamp": "1739321024", "type": "text",
                "text": {"body": "Hello"}}]}}]}]})
    .to_string()
    .into_bytes()
}

impl Desk {
    async fn post_webhook(&self, query: &str, body: &[u8], secret: &str) -> u16 {
        let header = signature::sign(&Secret::from(secret), body);
        let request =
            self.http.post(self.url(&format!("/api/waba/{query}"))).header(signature::HEADER, header);
        request.body(body.to_vec()).send().await.unwrap().status().as_u16()
    }

    async fn message_count(&self) -> usize {
        self.get("/messages").await["items"].as_array().unwrap().len()
    }
}

#[actix_web::test]
async fn a_webhook_is_stored_only_with_a_good_signature() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let app = desk.get("/apps").await["items"][0].clone();
    let query = app["callback_url"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    let (by_key, by_id) = (format!("?{query}"), format!("?app_id={CLIENT_ID}"));

    assert_eq!(desk.post_webhook(&by_key, &notification("wamid.1"), "wrong").await, 401);
    assert_eq!(desk.post_webhook("?api-key=wrong", &notification("wamid.1"), APP_SECRET).await, 401);
    assert_eq!(desk.post_webhook("", &notification("wamid.1"), APP_SECRET).await, 401);
    let bare = desk.http.post(desk.url(&format!("/api/waba/{by_key}"))).body("{}").send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(desk.message_count().await, 0);
    assert_eq!(desk.get("/events").await["items"], json!([]));

    assert_eq!(desk.post_webhook(&by_key, &notification("wamid.1"), APP_SECRET).await, 200);
    assert_eq!(desk.post_webhook(&by_id, &notification("wamid.1"), APP_SECRET).await, 200);
    assert_eq!(desk.message_count().await, 1);
    let body = notification("wamid.2");
    let by_host = desk
        .http
        .post(desk.url("/api/waba"))
        .header("host", "bridge.example:443")
        .header(signature::HEADER, signature::sign(&Secret::from(APP_SECRET), &body))
        .body(body);
    assert_eq!(by_host.send().await.unwrap().status(), 200);
    let message = desk.get("/messages?contact=%2B16505551234").await["items"][0].clone();
    assert_eq!((&message["wamid"], &message["direction"]), (&json!("wamid.2"), &json!("inbound")));
    assert_eq!(message["phone_id"], phone["id"]);

    assert_eq!(desk.post_webhook(&by_key, b"{not json", APP_SECRET).await, 200);
    assert_eq!(desk.get("/events").await["items"][0]["payload"], "{not json");
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(desk.post_webhook(&by_key, &large, APP_SECRET).await, 413);
    desk.close().await;
}

#[actix_web::test]
async fn both_secrets_of_a_rotation_are_believed() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    assert!(phone["line"].is_null());
    let app = desk.get("/apps").await["items"][0].clone();
    let path = format!("/apps/{}", app["id"].as_str().unwrap());
    let (status, _) = desk.call(Method::PATCH, &path, json!({"client_secret": "not-yet"})).await;
    assert_eq!(status, 502);
    desk.cloud.rotate_secret(CLIENT_ID, "renewed");
    let (status, changed) = desk.call(Method::PATCH, &path, json!({"client_secret": "renewed"})).await;
    assert_eq!((status.as_u16(), &changed["rotating"]), (200, &json!(true)), "{changed}");
    let query = format!("?app_id={CLIENT_ID}");
    for (wamid, secret) in [("wamid.1", APP_SECRET), ("wamid.2", "renewed")] {
        assert_eq!(desk.post_webhook(&query, &notification(wamid), secret).await, 200, "{secret}");
    }
    assert_eq!(desk.post_webhook(&query, &notification("wamid.3"), "not-yet").await, 401);
    // The new one entered again ends it.
    let (status, changed) = desk.call(Method::PATCH, &path, json!({"client_secret": "renewed"})).await;
    assert_eq!((status.as_u16(), &changed["rotating"]), (200, &json!(false)), "{changed}");
    assert_eq!(desk.post_webhook(&query, &notification("wamid.4"), APP_SECRET).await, 401);
    assert_eq!(desk.post_webhook(&query, &notification("wamid.5"), "renewed").await, 200);
    desk.close().await;
}

#[actix_web::test]
async fn lists_are_read_page_by_page() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    for number in 1..=5 {
        let body = notification(&format!("wamid.{number}"));
        assert_eq!(desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &body, APP_SECRET).await, 200);
    }
    let mut path = "/messages?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = desk.get(&path).await;
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|row| row["wamid"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/messages?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["wamid.5", "wamid.4", "wamid.3", "wamid.2", "wamid.1"]);
    desk.close().await;
}

#[actix_web::test]
async fn a_person_is_exported_and_erased() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &notification("wamid.1"), APP_SECRET).await;
    let contact = desk.get("/contacts").await["items"][0].clone();
    assert_eq!(contact["name"], "Anna Sample");
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    let export = desk.get(&format!("{path}/export")).await;
    assert_eq!(export["chats"][0]["messages"][0]["wamid"], "wamid.1");
    assert!(export.to_string().contains("Hello"), "{export}");
    assert_eq!(desk.get("/jobs?state=ready").await["items"].as_array().unwrap().len(), 1);

    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 204);
    assert_eq!(desk.call(Method::GET, &path, NULL).await.0, 404);
    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 404);
    assert_eq!(desk.message_count().await, 0);
    assert_eq!(desk.get("/jobs").await["items"], json!([]));
    assert_eq!(desk.state.relay.scheduler.pending(), 0, "nothing waits in memory either");
    desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &notification("wamid.2"), APP_SECRET).await;
    assert_eq!(desk.message_count().await, 1, "an erased person may write again");
    desk.close().await;
}

#[actix_web::test]
async fn dead_jobs_are_listed_retried_and_dropped() {
    use wabridge::store::jobs::{self, Settlement};
    let desk = Desk::open().await;
    desk.make_phone().await;
    desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &notification("wamid.1"), APP_SECRET).await;
    let id = desk.get("/jobs").await["items"][0]["id"].as_str().unwrap().to_owned();
    let now = desk.state.clock.now();
    let kill = |id: String| {
        desk.state.db.write(move |tx| {
            jobs::start(tx.conn, std::slice::from_ref(&id), "lease", now)?;
            jobs::finish(tx.conn, &id, "lease", &Settlement::Dead { error: "refused".into() }, false, now)
        })
    };
    kill(id.clone()).await.unwrap();
    let dead = desk.get("/jobs?state=dead").await["items"][0].clone();
    assert_eq!((&dead["id"], &dead["last_error"]), (&json!(id), &json!("refused")));
    assert_eq!(desk.get("/health").await["status"], "attention");
    let retried = desk.call(Method::POST, &format!("/jobs/{id}/retry"), NULL).await;
    assert_eq!((retried.0.as_u16(), &retried.1["state"]), (200, &json!("ready")));
    assert_eq!(desk.call(Method::POST, &format!("/jobs/{id}/drop"), NULL).await.0, 409);
    kill(id.clone()).await.unwrap();
    assert_eq!(desk.call(Method::POST, "/jobs/retry?state=dead", NULL).await.1, json!({"retried": 1}));
    kill(id.clone()).await.unwrap();
    let dropped = desk.call(Method::POST, &format!("/jobs/{id}/drop"), NULL).await;
    assert_eq!((dropped.0.as_u16(), &dropped.1["state"]), (200, &json!("dropped")));
    assert_eq!(desk.call(Method::POST, "/jobs/nobody/retry", NULL).await.0, 404);
    assert_eq!(desk.call(Method::POST, "/jobs/retry", NULL).await.0, 422);
    desk.close().await;
}

#[actix_web::test]
async fn media_are_served_to_who_holds_their_link() {
    use wabridge::media::link::MediaToken;
    use wabridge::store::blobs::{self, BlobRow};
    let desk = Desk::open().await;
    let stored = desk.state.blobs.write_bytes(b"\x89PNG picture".to_vec()).await.unwrap();
    let token = MediaToken::generate().unwrap();
    let (hash, now) = (token.hash.clone(), desk.state.clock.now());
    let row = BlobRow {
        id: stored.id.to_string(),
        sha256: stored.sha256_hex,
        mime: "image/png".into(),
        name: "a.png".into(),
        size: 12,
        created_at: now.naive_utc(),
    };
    let id = row.id.clone();
    desk.state
        .db
        .write(move |tx| {
            blobs::insert(tx.conn, &row)?;
            blobs::link(tx.conn, &hash, &row.id, None, now)
        })
        .await
        .unwrap();
    let url = desk.url(&format!("/media/{}/a.png", token.token.expose()));
    let answer = desk.http.get(&url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-content-type-options"]),
        (200, &"nosniff".parse().unwrap())
    );
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(desk.http.head(&url).send().await.unwrap().status(), 200);
    let wrong = desk.url(&format!("/media/{}/a.png", "a".repeat(43)));
    assert_eq!(desk.http.get(wrong).send().await.unwrap().status(), 404);
    desk.state.db.write(move |tx| blobs::revoke_links(tx.conn, &id)).await.unwrap();
    assert_eq!(desk.http.get(&url).send().await.unwrap().status(), 404);
    desk.close().await;
}

#[actix_web::test]
async fn health_and_metrics_stay_inside() {
    let desk = Desk::open().await;
    for (base, path, status) in [
        (&desk.base, "/healthz", 200),
        (&desk.internal, "/healthz", 200),
        (&desk.internal, "/readyz", 200),
        (&desk.internal, "/metrics", 200),
        (&desk.base, "/readyz", 404),
        (&desk.base, "/metrics", 404),
        (&desk.internal, "/api/v1/apps", 404),
    ] {
        let answer = desk.http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    // Watchers that want no body.
    let answer = desk.http.head(format!("{}/healthz", desk.base)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let metrics =
        desk.http.get(format!("{}/metrics", desk.internal)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("wabridge_queue_oldest_seconds"), "{metrics}");
    desk.close().await;
}

#[actix_web::test]
async fn a_secret_that_cannot_be_decrypted_breaks_its_object_alone() {
    let desk = Desk::open().await;
    let app = desk.make_app().await;
    desk.cloud.add_app(sim_app("777", "s7", "t7"));
    let mut body = app_body();
    for (field, value) in
        [("client_id", "777"), ("client_secret", "s7"), ("access_token", "t7"), ("site", "b.example")]
    {
        body[field] = json!(value);
    }
    desk.make("/apps", body).await;
    let id = app["id"].as_str().unwrap().to_owned();
    desk.state
        .db
        .write(move |tx| {
            let mut row = wabridge::store::apps::get(tx.conn, &id)?.unwrap();
            row.client_secret_sealed = "v1:damaged".into();
            wabridge::store::apps::update(tx.conn, &row)
        })
        .await
        .unwrap();
    desk.state.directory.reload().await.unwrap();
    let apps = desk.get("/apps").await;
    assert!(apps["items"][0]["broken"].as_str().unwrap().contains("cannot be decrypted"), "{apps}");
    assert!(apps["items"][1]["broken"].is_null(), "{apps}");
    assert_eq!(desk.get("/health").await["status"], "attention");
    // Meta repeats a webhook for days, in which the secret can be entered again.
    assert_eq!(
        desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &notification("w.1"), APP_SECRET).await,
        503
    );
    assert_eq!(desk.post_webhook("?app_id=777", &notification("w.1"), "s7").await, 200);
    let path = format!("/apps/{}", app["id"].as_str().unwrap());
    let (status, mended) = desk.call(Method::PATCH, &path, json!({"client_secret": APP_SECRET})).await;
    assert_eq!((status.as_u16(), &mended["broken"]), (200, &NULL), "{mended}");
    assert_eq!(
        desk.post_webhook(&format!("?app_id={CLIENT_ID}"), &notification("w.2"), APP_SECRET).await,
        200
    );
    desk.close().await;
}

#[actix_web::test]
async fn two_changes_of_an_app_at_once_both_stand() {
    let desk = Desk::open().await;
    let app = desk.make_app().await;
    let path = format!("/apps/{}", app["id"].as_str().unwrap());
    desk.cloud.change_faults(|faults| faults.latency_ms = 300);
    let slow =
        desk.call(Method::PATCH, &path, json!({"access_token": ACCESS_TOKEN, "graph_version": "v26.0"}));
    let quick = async {
        // While Meta thinks about the token of the other.
        let asked = |cloud: &wabridge::sandbox::cloud::SimCloud| cloud.calls_held_back() > 0;
        assert!(desk.cloud.wait_until(std::time::Duration::from_secs(10), asked).await);
        desk.call(Method::PATCH, &path, json!({"name": "Renamed", "save_events": true})).await
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!((slow.0.as_u16(), quick.0.as_u16()), (200, 200), "{slow:?} {quick:?}");
    let now = desk.get(&path).await;
    assert_eq!((&now["name"], &now["graph_version"]), (&json!("Renamed"), &json!("v26.0")));
    assert_eq!(now["save_events"], json!(true));
    desk.close().await;
}

#[actix_web::test]
async fn a_nul_in_an_address_is_the_address_of_nothing() {
    let desk = Desk::open().await;
    for path in ["/jobs/%00", "/apps/a%00b", "/contacts/%00/export", "/messages/%00"] {
        assert_eq!(desk.call(Method::GET, path, NULL).await.0, 404, "{path}");
    }
    for path in ["/messages?contact=%00", "/messages?phone_id=a%00", "/events?app_id=%00"] {
        assert_eq!(desk.call(Method::GET, path, NULL).await.0, 422, "{path}");
    }
    desk.close().await;
}
