//! Webhooks: form, signature, repetition, batches, faults.

use super::*;

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

#[tokio::test]
async fn a_customers_message_is_posted_raw_and_signed() {
    let world = World::new().await;
    let mut message = text("Grüße, я 😀 <1/2>");
    message["context"] = json!({"id": "wamid.ORIG"});
    let wamid = world.cloud.customer_sends(PHONE, &World::customer(), message);
    world.until(|callback| callback.all().len() == 1).await;
    let post = &world.callback.all()[0];
    assert_eq!(post.content_type, "application/json");
    assert_eq!(post.signature, raw::signature(SECRET, &post.body));
    let bytes = std::str::from_utf8(&post.body).unwrap();
    assert!(bytes.is_ascii());
    assert!(bytes.contains(r"Gr\u00fc\u00dfe, \u044f \ud83d\ude00 \u003c1\/2>"), "{bytes}");
    let json = post.json();
    assert_like("webhook_text", &json);
    let value = &json["entry"][0]["changes"][0]["value"];
    assert_eq!(value["messages"][0]["id"], wamid);
    assert_eq!(value["messages"][0]["text"]["body"], "Grüße, я 😀 <1/2>");
    assert_eq!(value["metadata"]["display_phone_number"], "15550783881");
    world.cloud.stop().await;
}

#[tokio::test]
async fn somebody_without_a_number_has_no_number_anywhere() {
    let world = World::new().await;
    let hidden = SimCustomer::with_user_id("US.99", "");
    world.cloud.customer_sends(PHONE, &hidden, text("Hi"));
    world.until(|callback| callback.all().len() == 1).await;
    let value = world.callback.all()[0].json()["entry"][0]["changes"][0]["value"].clone();
    assert!(value["messages"][0].get("from").is_none());
    assert_eq!(value["messages"][0]["from_user_id"], "US.99");
    assert_eq!(value["contacts"], json!([{"profile": {}, "user_id": "US.99"}]));
    let to = json!({"messaging_product": "whatsapp", "recipient": "US.99", "text": {"body": "x"}});
    world.graph("POST", &format!("{PHONE}/messages"), Some(to)).await;
    world.until(|callback| callback.statuses().len() == 2).await;
    let status = &world.callback.elements("statuses")[0];
    assert!(status.get("recipient_id").is_none());
    assert_eq!(status["recipient_user_id"], "US.99");
    world.cloud.stop().await;
}

#[tokio::test]
async fn what_is_not_answered_with_200_comes_again_and_in_order() {
    let world = World::new().await;
    world.callback.answers.lock().unwrap().extend([500, 204, 302, 200]);
    for n in 1..=3 {
        world.cloud.customer_sends(PHONE, &World::customer(), text(&n.to_string()));
    }
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    let bodies: Vec<Value> =
        world.callback.elements("messages").iter().map(|m| m["text"]["body"].clone()).collect();
    assert_eq!(bodies, ["1", "1", "1", "1", "2", "3"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn only_subscribed_apps_hear_of_an_account() {
    let world = World::new().await;
    let other = Callback::default();
    world.cloud.add_app(SimApp {
        client_id: "1002".into(),
        client_secret: "other".into(),
        access_token: "other-token".into(),
        callback_url: Some(other.url()),
        verify_token: "verify".into(),
    });
    world.cloud.customer_sends(PHONE, &World::customer(), text("one"));
    world.until(|callback| callback.all().len() == 1).await;
    world.cloud.subscribe(WABA, "1002");
    world.cloud.customer_sends(PHONE, &World::customer(), text("two"));
    assert!(
        world.cloud.wait_until(LONG, |_| other.all().len() == 1 && world.callback.all().len() == 2).await
    );
    assert_eq!(other.elements("messages")[0]["text"]["body"], "two");
    assert_eq!(other.all()[0].signature, raw::signature("other", &other.all()[0].body));
    world.cloud.stop().await;
}

#[tokio::test]
async fn updates_are_batched_on_demand() {
    let world = World::new().await;
    world.cloud.batch_next(3);
    for n in 1..=4 {
        world.cloud.customer_sends(PHONE, &World::customer(), text(&n.to_string()));
    }
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    let posts = world.callback.all();
    assert_eq!(posts.len(), 2);
    let value = &posts[0].json()["entry"][0]["changes"][0]["value"];
    assert_eq!(value["messages"].as_array().unwrap().len(), 3);
    assert_eq!(value["contacts"].as_array().unwrap().len(), 1);
    world.cloud.stop().await;
}

#[tokio::test]
async fn webhooks_can_be_held_doubled_and_signed_wrongly() {
    let world = World::new().await;
    world.cloud.change_faults(|faults| {
        faults.webhooks_paused = true;
        faults.webhook_bad_signature_next = 1;
        faults.webhook_doubled = 1.0;
    });
    world.callback.answers.lock().unwrap().push_back(401);
    world.cloud.customer_sends(PHONE, &World::customer(), text("x"));
    assert_eq!(world.cloud.webhooks_pending(), 1);
    assert!(world.callback.all().is_empty());
    world.cloud.change_faults(|faults| faults.webhooks_paused = false);
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    let posts = world.callback.all();
    assert_eq!(posts.len(), 3);
    let good: Vec<bool> =
        posts.iter().map(|post| post.signature == raw::signature(SECRET, &post.body)).collect();
    assert_eq!(good, [false, true, true]);
    assert!(posts.iter().all(|post| post.body == posts[0].body));
    world.cloud.stop().await;
}

#[tokio::test]
async fn statuses_can_be_reversed_doubled_withheld_and_early() {
    let world = World::with_open_window().await;
    world.cloud.change_faults(|faults| faults.statuses_reversed = true);
    world.send_text("x").await;
    world.until(|callback| callback.statuses() == ["delivered", "sent"]).await;
    world.cloud.set_faults(Faults { statuses_doubled: true, ..Faults::default() });
    world.send_text("x").await;
    world.until(|callback| callback.statuses().len() == 6).await;
    assert_eq!(world.callback.statuses()[2..], ["sent", "sent", "delivered", "delivered"]);

    world.cloud.set_faults(Faults { status_before_answer: true, ..Faults::default() });
    world.send_text("x").await;
    assert_eq!(world.callback.statuses().len(), 8, "both came before the answer");

    world.cloud.set_faults(Faults { fail_next: 1, fail_code: 131042, ..Faults::default() });
    world.send_text("x").await;
    world.until(|callback| callback.statuses().len() == 9).await;
    assert_eq!(world.callback.elements("statuses")[8]["errors"][0]["code"], 131042);

    world.cloud.set_faults(Faults { statuses_withheld: true, ..Faults::default() });
    world.send_text("last").await;
    let shown = |cloud: &SimCloud| cloud.received(PHONE, NUMBER).pop().map(|message| message.status);
    assert!(world.cloud.wait_until(LONG, |cloud| shown(cloud) == Some(SimStatus::Delivered)).await);
    assert_eq!(world.callback.statuses().len(), 9);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_phone_that_is_off_gets_its_messages_later() {
    let world = World::with_open_window().await;
    world.cloud.set_online(NUMBER, false);
    world.send_text("x").await;
    world.until(|callback| callback.statuses() == ["sent"]).await;
    assert!(world.cloud.received(PHONE, NUMBER).is_empty());
    world.cloud.set_online(NUMBER, true);
    world.until(|callback| callback.statuses() == ["sent", "delivered"]).await;
    world.cloud.open_chat(PHONE, NUMBER, true);
    world.until(|callback| callback.statuses().len() == 3).await;
    world.send_text("y").await;
    world.until(|callback| callback.statuses().len() == 5).await;
    assert_eq!(world.callback.statuses()[2..], ["read", "sent", "read"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn other_fields_go_out_as_given_with_a_time() {
    let world = World::new().await;
    let value = json!({"decision": "APPROVED"});
    world.cloud.post_change(WABA, "account_review_update", value.clone());
    world.until(|callback| callback.all().len() == 1).await;
    let entry = &world.callback.all()[0].json()["entry"][0];
    assert_eq!(entry["changes"], json!([{"field": "account_review_update", "value": value}]));
    assert!(entry["time"].is_i64());
    world.cloud.stop().await;
}

#[tokio::test]
async fn everything_that_crosses_is_told_without_tokens() {
    let world = World::with_open_window().await;
    let mut events = world.cloud.subscribe_events();
    world.send_text("x").await;
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let event = tokio::time::timeout(LONG, events.recv()).await.unwrap().unwrap();
        assert!(!event.to_string().contains(TOKEN));
        if event["kind"] == "call" {
            assert_eq!(event["path"], format!("/{PHONE}/messages"));
            assert_eq!(event["body"]["text"]["body"], "x");
        } else {
            assert_eq!(event["status"], 200);
        }
        kinds.push(event["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["call", "webhook", "webhook"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn several_notifications_can_be_under_way_at_once() {
    let world = World::with(CloudOptions { concurrency: 8, ..CloudOptions::default() }).await;
    for n in 0..40 {
        world.cloud.customer_sends(PHONE, &World::customer(), text(&n.to_string()));
    }
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    assert_eq!(world.callback.elements("messages").len(), 40);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_repetition_can_reach_every_app() {
    let world = World::new().await;
    let other = Callback::default();
    world.cloud.add_app(SimApp {
        client_id: "1002".into(),
        client_secret: "other".into(),
        access_token: "other-token".into(),
        callback_url: Some(other.url()),
        verify_token: "verify".into(),
    });
    world.cloud.subscribe(WABA, "1002");
    world.cloud.change_faults(|faults| faults.retries_reach_all_apps = true);
    world.callback.answers.lock().unwrap().push_back(503);
    world.cloud.customer_sends(PHONE, &World::customer(), text("x"));
    assert!(world.cloud.wait_until(LONG, |cloud| cloud.webhooks_pending() == 0).await);
    assert_eq!((world.callback.all().len(), other.all().len()), (2, 2));
    world.cloud.stop().await;
}
