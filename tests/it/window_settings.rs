//! The phone's setting for texts outside of the 24 hours: told, carried by a template, or held.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use wabridge::clock::ManualClock;
use wabridge::sandbox::cloud::{ReceivedMessage, SendFault};

use crate::shorthand::with_templates;
use crate::support::{Options, PHONE_ID, TestApp, anna, file, jpeg, key_of};

/// A bridge with this setting and a clock of its own.
async fn with_setting(setting: Value) -> (TestApp, ManualClock) {
    let start: DateTime<Utc> = "2026-03-02T10:00:00Z".parse().unwrap();
    let hand = ManualClock::starting_at(start);
    let app = TestApp::with(Options { clock: Some(hand.clone()), ..Options::default() }).await;
    with_templates(&app).await;
    set(&app, setting).await;
    (app, hand)
}

async fn set(app: &TestApp, setting: Value) -> Value {
    let (status, phone) = app.api.call("PATCH", &format!("/phones/{}", app.phone_id()), Some(setting)).await;
    assert_eq!(status, 200, "{phone}");
    phone
}

async fn refused(app: &TestApp, setting: Value) -> Value {
    let (status, problem) =
        app.api.call("PATCH", &format!("/phones/{}", app.phone_id()), Some(setting)).await;
    assert_eq!(status, 422, "{problem}");
    problem
}

async fn held(app: &TestApp) -> Vec<Value> {
    app.api.get("/messages/held").await["items"].as_array().unwrap().clone()
}

fn texts(received: &[ReceivedMessage]) -> Vec<&str> {
    received
        .iter()
        .map(|message| {
            let text = message.body["text"]["body"].as_str();
            text.or(message.body["template"]["name"].as_str()).unwrap_or("file")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_before_24_hours_a_text_goes_and_at_24_hours_it_does_not() {
    let (app, hand) = with_setting(json!({"closed_window": "tell"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24) - Duration::seconds(1));
    app.operator(&chat, "in time", vec![]);
    assert_eq!(texts(&app.customer_has(&anna, 1).await), ["in time"]);
    app.settled().await;
    hand.advance(Duration::seconds(1));
    let late = app.operator(&chat, "too late", vec![]);
    let note = app.note(&chat, "more than 24 hours").await;
    // With templates to choose from, ready to be copied.
    for line in
        ["template-hello_world+en_US", "template-one+en_US+value1", "template-two+en_US+value1|value2"]
    {
        assert!(note.lines().any(|told| told == line), "{note}");
    }
    assert!(!note.contains("waiting"), "what is not approved is not offered: {note}");
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    assert!(app.acknowledged(&late).is_empty());
    // A line that was copied goes.
    app.operator(&chat, "template-one+en_US+value1", vec![]);
    assert_eq!(texts(&app.customer_has(&anna, 2).await), ["in time", "one"]);
    // The customer writes: it is open again.
    app.customer_writes(&anna, "yes?");
    app.until("the window is open", || async {
        app.webhooks_taken().await;
        app.conversation(&chat).iter().any(|entry| entry.text == "yes?")
    })
    .await;
    app.operator(&chat, "reopened", vec![]);
    assert_eq!(texts(&app.customer_has(&anna, 3).await), ["in time", "one", "reopened"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fallback_template_carries_the_text() {
    let (app, hand) = with_setting(json!({"closed_window": "template", "fallback_template": "one"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24));
    let id = app.operator(&chat, "We have\nyour [b]parts[/b] | really", vec![]);
    let received = app.customer_has(&anna, 1).await;
    let template = &received[0].body["template"];
    assert_eq!(template["name"], "one");
    assert_eq!(template["components"][0]["parameters"][0]["text"], "We have your *parts* | really");
    app.note(&chat, "About: We have your").await;
    app.settled().await;
    assert_eq!(app.acknowledged(&id).len(), 1);
    // What it cannot carry is told with the reason.
    app.operator(&chat, &"x".repeat(1100), vec![]);
    app.note(&chat, "WhatsApp takes at most 1024").await;
    app.operator(&chat, "see", vec![file("a.jpg", "image/jpeg", jpeg(100))]);
    app.note(&chat, "one takes no file").await;
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_texts_go_in_their_order_when_the_customer_writes() {
    let (mut app, hand) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24));
    let first = app.operator(&chat, "first", vec![file("a.jpg", "image/jpeg", jpeg(100))]);
    app.operator(&chat, "second", vec![]);
    app.note(&chat, "Held:").await;
    app.settled().await;
    let waiting = held(&app).await;
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[0]["text"], "first\na.jpg");
    assert_eq!(waiting[1]["text"], "second");
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    assert!(app.acknowledged(&first).is_empty());
    // They are on disk, and in nobody's way.
    app.restart().await;
    app.operator(&chat, "template-hello_world", vec![]);
    assert_eq!(texts(&app.customer_has(&anna, 1).await), ["hello_world"]);
    app.settled().await;
    assert_eq!(held(&app).await.len(), 2);
    app.customer_writes(&anna, "here I am");
    app.line_has(&chat, 6).await;
    app.operator(&chat, "third", vec![]);
    let received = app.customer_has(&anna, 4).await;
    assert_eq!(texts(&received), ["hello_world", "file", "second", "third"]);
    assert_eq!(received[1].body["image"]["caption"], "first");
    app.settled().await;
    assert_eq!(held(&app).await, Vec::<Value>::new());
    assert_eq!(app.acknowledged(&first).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_text_can_be_cancelled_and_expires_after_a_week() {
    let (app, hand) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24));
    app.operator(&chat, "never mind", vec![]);
    app.operator(&chat, "still wanted", vec![]);
    app.settled().await;
    let waiting = held(&app).await;
    let path = format!("/messages/{}", waiting[0]["id"].as_str().unwrap());
    assert_eq!(app.api.call("DELETE", &path, None).await.0, 204);
    assert_eq!(app.api.call("DELETE", &path, None).await.0, 404);
    app.note(&chat, "Cancelled, it will not be sent:\nnever mind").await;
    assert_eq!(held(&app).await.len(), 1);
    hand.advance(Duration::days(7) - Duration::seconds(1));
    app.relay.expire_held().await.unwrap();
    assert_eq!(held(&app).await.len(), 1);
    hand.advance(Duration::seconds(1));
    app.relay.expire_held().await.unwrap();
    app.note(&chat, "has not written for 7 days").await;
    assert_eq!(held(&app).await, Vec::<Value>::new());
    app.customer_writes(&anna, "hello?");
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_meta_refuses_for_the_window_is_held_too() {
    let (app, _) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::WindowAtOnce]);
    app.operator(&chat, "only Meta knew", vec![]);
    app.note(&chat, "Held:").await;
    app.settled().await;
    assert_eq!(held(&app).await.len(), 1);
    app.customer_writes(&anna, "hi");
    assert_eq!(texts(&app.customer_has(&anna, 1).await), ["only Meta knew"]);
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_meta_takes_and_refuses_afterwards_is_held_once() {
    let (app, _) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (2, 131_047));
    // In two parts, of which both fail.
    let id = app.operator(&chat, &format!("{} end", "word ".repeat(1000)), vec![]);
    app.note(&chat, "Held:").await;
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 2);
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    assert_eq!(held(&app).await.len(), 1);
    assert_eq!(app.notes(&chat).len(), 1, "{:?}", app.notes(&chat));
    app.customer_writes(&anna, "hi");
    let received = app.customer_has(&anna, 2).await;
    assert!(texts(&received)[1].ends_with("end"));
    app.settled().await;
    assert_eq!(held(&app).await, Vec::<Value>::new());
    assert_eq!(app.acknowledged(&id).len(), 1, "the portal is told once");
    assert_eq!(app.cloud.accepted(), 4);
    let states: Vec<String> = app.ledger_of(&chat).await.into_iter().map(|row| row.state).collect();
    assert_eq!(states.iter().filter(|state| *state == "failed").count(), 2, "{states:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_meta_takes_and_refuses_afterwards_is_carried_by_the_template_once() {
    let (app, _) = with_setting(json!({"closed_window": "template", "fallback_template": "one"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_047));
    app.operator(&chat, "your parts", vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(texts(&received), ["one"]);
    assert_eq!(received[0].body["template"]["components"][0]["parameters"][0]["text"], "your parts");
    app.note(&chat, "About: your parts").await;
    app.settled().await;
    assert_eq!(app.notes(&chat).len(), 1, "{:?}", app.notes(&chat));
    assert_eq!(app.cloud.accepted(), 2);
    // What the template cannot carry is told with its reason.
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_047));
    app.customer_writes(&anna, "hi");
    app.until("the window is open", || async {
        app.webhooks_taken().await;
        app.conversation(&chat).iter().any(|entry| entry.text == "hi")
    })
    .await;
    app.operator(&chat, "see", vec![file("a.jpg", "image/jpeg", jpeg(100))]);
    app.note(&chat, "takes no file").await;
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_comes_afterwards_is_told_with_the_templates_to_choose_from() {
    let (app, _) = with_setting(json!({"closed_window": "tell"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_047));
    app.operator(&chat, "hello", vec![]);
    let note = app.note(&chat, "131047").await;
    assert!(note.lines().any(|line| line == "template-hello_world+en_US"), "{note}");
    app.settled().await;
    assert_eq!(app.notes(&chat).len(), 1);
    assert_eq!(app.cloud.accepted(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_takes_back_in_the_line_what_is_held() {
    let (app, hand) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24));
    for text in ["first", "second", "third"] {
        app.operator(&chat, text, vec![]);
    }
    app.operator(&chat, "hold-cancel", vec![]);
    app.note(&chat, "Cancelled, it will not be sent:\nthird").await;
    app.settled().await;
    assert_eq!(held(&app).await.len(), 2);
    app.operator(&chat, "hold-cancel now", vec![]);
    app.note(&chat, "is no order").await;
    assert_eq!(held(&app).await.len(), 2);
    app.operator(&chat, "Hold-cancel+all", vec![]);
    app.note(&chat, "Cancelled, it will not be sent:\nsecond").await;
    app.note(&chat, "Cancelled, it will not be sent:\nfirst").await;
    app.operator(&chat, "hold-cancel", vec![]);
    app.note(&chat, "Nothing is held").await;
    app.settled().await;
    assert_eq!(held(&app).await, Vec::<Value>::new());
    app.customer_writes(&anna, "hello?");
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_contact_takes_held_texts_along() {
    let (app, hand) = with_setting(json!({"closed_window": "hold"})).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    hand.advance(Duration::hours(24));
    app.operator(&chat, "first", vec![]);
    app.note(&chat, "Held:").await;
    app.settled().await;
    let contact = app.api.get("/contacts").await["items"][0]["id"].as_str().unwrap().to_owned();
    let (status, _) = app.api.call("DELETE", &format!("/contacts/{contact}"), None).await;
    assert_eq!(status, 204);
    assert_eq!(held(&app).await, Vec::<Value>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_template_that_cannot_carry_a_text_is_no_setting() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    for (template, words) in [
        ("onne", "did you mean one?"),
        ("waiting", "its status is PENDING"),
        ("two", "exactly one variable"),
        ("hello_world", "exactly one variable"),
        ("invoice", "exactly one variable"),
        ("one+de", "it exists in: en_US"),
    ] {
        let problem = refused(&app, json!({"fallback_template": template})).await;
        assert_eq!(problem["errors"][0]["field"], "fallback_template");
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains(words), "{problem}");
    }
    for good in ["one", "one+en_US", "template-one+en-US"] {
        assert_eq!(set(&app, json!({"fallback_template": good})).await["fallback_template"], good);
    }
    assert_eq!(set(&app, json!({"default_language": "pt-br"})).await["default_language"], "pt_BR");
    let problem = refused(&app, json!({"default_language": "english"})).await;
    assert_eq!(problem["errors"][0]["field"], "default_language");
    assert_eq!(set(&app, json!({"default_language": null})).await["default_language"], Value::Null);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_carry_a_text_needs_a_template_that_carries_it() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let problem = refused(&app, json!({"closed_window": "template"})).await;
    assert_eq!(problem["errors"][0]["field"], "closed_window");
    let said = problem["errors"][0]["message"].as_str().unwrap();
    assert!(said.contains("needs a fallback_template"), "{problem}");
    let both = json!({"closed_window": "template", "fallback_template": "one"});
    assert_eq!(set(&app, both).await["closed_window"], "template");
    // Nor is it taken away while it is needed.
    let problem = refused(&app, json!({"fallback_template": null})).await;
    assert_eq!(problem["errors"][0]["field"], "fallback_template");
    let problem = refused(&app, json!({"closed_window": "template", "fallback_template": null})).await;
    assert_eq!(problem["errors"][0]["field"], "closed_window");
    assert_eq!(set(&app, json!({"read_receipts": true})).await["fallback_template"], "one");
    let both = json!({"closed_window": "tell", "fallback_template": null});
    assert_eq!(set(&app, both).await["fallback_template"], Value::Null);
    // A number that is so from before may change otherwise.
    app.sql("UPDATE phones SET closed_window = 'template'".to_owned()).await;
    app.relay.directory.reload().await.unwrap();
    assert_eq!(set(&app, json!({"read_receipts": false})).await["closed_window"], "template");
    app.stop().await;
}
