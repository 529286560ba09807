//! What paces or stops a template before Meta is asked: the messaging limit, and a person's wish for no
//! advertising.

use serde_json::json;
use wabridge::clock::ManualClock;
use wabridge::relay::gate::LIMIT_WAIT;
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::store::chats;

use crate::support::{Options, PHONE_ID, TestApp, WABA_ID, customer, key_of};

fn template(id: u32, name: &str, category: &str) -> serde_json::Value {
    json!({"id": id.to_string(), "name": name, "language": "en_US", "status": "APPROVED", "category": category,
        "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": format!("This is {name}.")}]})
}

async fn with_templates(options: Options) -> TestApp {
    let app = TestApp::with(options).await;
    app.cloud.add_template(WABA_ID, template(1, "notice", "UTILITY"));
    app.cloud.add_template(WABA_ID, template(2, "offer", "MARKETING"));
    app.api.post("/templates/sync", json!({})).await;
    app
}

/// With a limit that is smaller than any of Meta's.
async fn limited(to: &str, options: Options) -> TestApp {
    let app = with_templates(options).await;
    app.sql(format!("UPDATE phones SET messaging_limit = '{to}'")).await;
    app.relay.directory.reload().await.unwrap();
    app
}

/// The chat of a customer whose window is over.
async fn closed(app: &TestApp, customer: &SimCustomer) -> String {
    let chat = app.opened(customer).await;
    app.cloud.close_window(PHONE_ID, &key_of(customer));
    let id = chat.clone();
    app.relay.db.write(move |tx| chats::window_closed(tx.conn, &id)).await.unwrap();
    chat
}

async fn waits(app: &TestApp, count: usize) {
    app.wait_for("jobs that wait for the limit", async |app| {
        let jobs = app.send_jobs().await;
        let waiting = jobs.iter().filter(|job| job.last_error.as_deref() == Some(LIMIT_WAIT));
        (waiting.count() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_over_the_limit_waits_and_a_restart_forgets_nothing() {
    let mut app = limited("2", Options { leaves_jobs: true, ..Options::default() }).await;
    let people: Vec<SimCustomer> = (1..=4).map(customer).collect();
    let mut chat_ids = Vec::new();
    for person in &people {
        chat_ids.push(closed(&app, person).await);
    }
    for at in 0..2 {
        app.operator(&chat_ids[at], "template-notice+en_US", vec![]);
        app.customer_has(&people[at], 1).await;
    }
    app.operator(&chat_ids[2], "template-notice+en_US", vec![]);
    waits(&app, 1).await;
    app.note(&chat_ids[2], "The template waits").await;
    let job =
        app.send_jobs().await.into_iter().find(|job| job.last_error.as_deref() == Some(LIMIT_WAIT)).unwrap();
    let hours = (job.not_before.unwrap().and_utc() - app.clock.now()).num_minutes();
    assert!((24 * 60 - 10..=24 * 60 + 1).contains(&hours), "{hours}");
    assert_eq!(job.attempts, 0);
    // Who counts already may be written to again.
    app.operator(&chat_ids[0], "template-notice+en_US", vec![]);
    app.customer_has(&people[0], 2).await;
    let health = app.api.get("/health").await;
    assert_eq!(health["queue"]["limit_waiting"], 1, "{health}");
    let limit = &health["limits"][0];
    assert_eq!(
        (&limit["limit"], &limit["used"], &limit["waiting"]),
        (&json!(2), &json!(2), &json!(1)),
        "{health}"
    );

    app.restart().await;
    app.operator(&chat_ids[3], "template-notice+en_US", vec![]);
    waits(&app, 2).await;
    app.note(&chat_ids[3], "The template waits").await;
    assert_eq!(app.notes(&chat_ids[2]).len(), 1, "told once, also after a restart");
    assert!(app.cloud.received(PHONE_ID, &key_of(&people[2])).is_empty());
    assert_eq!(app.cloud.first_writes(WABA_ID), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_within_the_window_is_a_reply_and_counts_against_no_limit() {
    let app = limited("0", Options::default()).await;
    let anna = customer(1);
    let chat = app.opened(&anna).await;
    app.operator(&chat, "template-notice+en_US", vec![]);
    app.customer_has(&anna, 1).await;
    assert_eq!(app.cloud.first_writes(WABA_ID), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_is_paused_while_it_waits_is_not_sent_when_its_turn_comes() {
    let hand = ManualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    let app = limited("1", Options { clock: Some(hand.clone()), ..Options::default() }).await;
    let (anna, bob) = (customer(1), customer(2));
    let (chat, other) = (closed(&app, &anna).await, closed(&app, &bob).await);
    app.operator(&chat, "template-notice+en_US", vec![]);
    app.customer_has(&anna, 1).await;
    app.operator(&other, "template-notice+en_US", vec![]);
    waits(&app, 1).await;
    app.cloud.decide_template("1", "PAUSED", Some("FIRST_PAUSE"));
    app.webhooks_taken().await;
    app.advance(chrono::Duration::hours(25));
    let note = app.note(&other, "132015").await;
    assert!(note.contains("Meta has paused the template"), "{note}");
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 1, "Meta was not asked");
    let metrics = app.relay.metrics.encode();
    assert!(!metrics.contains(r#"wabridge_graph_calls_total{kind="send",outcome="failed"}"#), "{metrics}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_meta_refuses_takes_no_place() {
    let app = limited("1", Options::default()).await;
    let (anna, bob) = (customer(1), customer(2));
    let chat = closed(&app, &anna).await;
    let other = closed(&app, &bob).await;
    // Meta has another opinion of the template than was read.
    app.cloud.forget_template("1");
    app.operator(&chat, "template-notice+en_US", vec![]);
    app.note(&chat, "132001").await;
    app.cloud.add_template(WABA_ID, template(1, "notice", "UTILITY"));
    app.operator(&other, "template-notice+en_US", vec![]);
    app.customer_has(&bob, 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stopped_marketing_gets_no_more_of_it() {
    let app = with_templates(Options::default()).await;
    let anna = customer(1);
    let chat = app.opened(&anna).await;
    let stop = |value: &str| {
        json!({"messaging_product": "whatsapp", "metadata": {"phone_number_id": PHONE_ID},
            "user_preferences": [{"wa_id": anna.wa_id, "category": "marketing_messages", "value": value,
                "timestamp": 1_731_705_721}]})
    };
    app.cloud.post_change(WABA_ID, "user_preferences", stop("stop"));
    app.webhooks_taken().await;
    app.operator(&chat, "template-offer+en_US", vec![]);
    app.note(&chat, "stopped marketing messages").await;
    assert!(app.cloud.received(PHONE_ID, &key_of(&anna)).is_empty());
    // What is no advertising still goes, and advertising again when it is wished again.
    app.operator(&chat, "template-notice+en_US", vec![]);
    app.customer_has(&anna, 1).await;
    app.cloud.post_change(WABA_ID, "user_preferences", stop("resume"));
    app.webhooks_taken().await;
    app.operator(&chat, "template-offer+en_US", vec![]);
    app.customer_has(&anna, 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_word_counts_where_the_phone_says_so() {
    let app = with_templates(Options::default()).await;
    let anna = customer(1);
    let chat = app.opened(&anna).await;
    app.customer_writes(&anna, "STOP");
    app.webhooks_taken().await;
    app.operator(&chat, "template-offer+en_US", vec![]);
    app.customer_has(&anna, 1).await;

    let path = format!("/phones/{}", app.phone_id());
    let (status, problem) = app.api.call("PATCH", &path, Some(json!({"stop_words": ["xx"]}))).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("stop_words")));
    let (_, phone) = app.api.call("PATCH", &path, Some(json!({"stop_words": ["en", "ru"]}))).await;
    assert_eq!(phone["stop_words"], json!(["en", "ru"]));
    app.customer_writes(&anna, "Стоп!");
    app.webhooks_taken().await;
    app.operator(&chat, "template-offer+en_US", vec![]);
    app.note(&chat, "stopped marketing messages").await;
    app.customer_writes(&anna, "start");
    app.webhooks_taken().await;
    app.operator(&chat, "template-offer+en_US", vec![]);
    app.customer_has(&anna, 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_does_not_deliver_ends_that_message_alone() {
    let app = with_templates(Options::default()).await;
    let anna = customer(1);
    let chat = app.opened(&anna).await;
    for code in [131_049, 131_050] {
        app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, code));
        app.operator(&chat, "template-offer+en_US", vec![]);
        app.note(&chat, &code.to_string()).await;
    }
    app.operator(&chat, "template-notice+en_US", vec![]);
    app.customer_has(&anna, 1).await;
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 3, "nothing was sent again");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_read_from_meta_and_shared_by_a_portfolio() {
    let app = with_templates(Options::default()).await;
    let path = format!("/phones/{}", app.phone_id());
    assert_eq!(app.api.get(&path).await["messaging_limit"], "TIER_250");
    app.cloud.set_phone(PHONE_ID, json!({"whatsapp_business_manager_messaging_limit": "TIER_2K"}));
    app.api.post("/templates/sync", json!({})).await;
    assert_eq!(app.api.get(&path).await["messaging_limit"], "TIER_2K");
    // So is the throughput of the phone.
    let phone = app.api.get(&path).await;
    assert_eq!((&phone["throughput"], &phone["on_business_app"]), (&json!("STANDARD"), &json!(false)));
    app.cloud.set_phone(PHONE_ID, json!({"throughput": {"level": "HIGH"}, "is_on_biz_app": true}));
    app.api.post("/templates/sync", json!({})).await;
    let phone = app.api.get(&path).await;
    assert_eq!((&phone["throughput"], &phone["on_business_app"]), (&json!("HIGH"), &json!(true)));
    app.cloud.post_change(
        WABA_ID,
        "business_capability_update",
        json!({"max_daily_conversations_per_business": 10000, "max_phone_numbers_per_waba": 25}),
    );
    app.wait_for("the new limit", async |app| {
        (app.api.get(&path).await["messaging_limit"] == "10000").then_some(())
    })
    .await;
    let health = app.api.get("/health").await;
    let waba = &app.api.get("/wabas").await["items"][0];
    assert_eq!(health["limits"][0]["limit"], 10_000);
    assert_eq!(health["limits"][0]["portfolio"], waba["portfolio"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_all_accounts_of_a_portfolio_share_its_limit() {
    let app = with_templates(Options { leaves_jobs: true, ..Options::default() }).await;
    let first = app.sms_on().await;
    // Another account of the same business, with a number of its own.
    let (waba_id, phone_id) = ("204996122399161", "206540352242923");
    app.cloud.add_waba(waba_id, "Lucky Two");
    app.cloud.add_phone(waba_id, phone_id, "+1 555-078-3882", "Lucky Two");
    app.cloud.add_template(waba_id, template(3, "notice", "UTILITY"));
    let app_id = app.api.get("/apps").await["items"][0]["id"].clone();
    let waba = app.api.post("/wabas", json!({"app_id": app_id, "waba_id": waba_id})).await;
    let new = json!({"waba_id": waba["id"], "phone_number": "+15550783882", "phone_number_id": phone_id});
    let phone = app.api.post("/phones", new).await;
    let path = format!("/phones/{}", phone["id"].as_str().unwrap());
    let portal = app.portal_id();
    app.api.put(&format!("{path}/line"), json!({"portal_id": portal.as_str()})).await;
    let (status, changed) = app.api.call("PATCH", &path, Some(json!({"sms_service": true}))).await;
    assert_eq!(status, 200, "{changed}");
    app.api.post("/templates/sync", json!({})).await;
    app.sql("UPDATE phones SET messaging_limit = '1'".to_owned()).await;
    app.relay.directory.reload().await.unwrap();
    let second = "wa_15550783882";
    let send = |code: &str, to: &str| app.portal.send_sms(code, to, "template-notice+en_US", None).unwrap();

    let id = send(&first, "+16505550001");
    app.sms_is(&id, "delivered").await;
    // By the other number nobody else may be written to today, but the same person may.
    send(second, "+16505550002");
    app.wait_for("the other person waits", async |app| {
        let health = app.api.get("/health").await;
        (health["queue"]["limit_waiting"] == 1).then_some(())
    })
    .await;
    let id = send(second, "+16505550001");
    app.sms_is(&id, "delivered").await;
    assert_eq!((app.cloud.first_writes(WABA_ID), app.cloud.accepted()), (1, 2));
    let limits = app.api.get("/health").await["limits"].clone();
    assert_eq!(limits.as_array().unwrap().len(), 1, "{limits}");
    assert_eq!((&limits[0]["used"], &limits[0]["waiting"]), (&json!(1), &json!(1)));
    app.stop().await;
}
