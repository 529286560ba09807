//! What Meta reports of our sends: only forward, matched or parked, failures told in the line.

use serde_json::{Value, json};
use wabridge::config::Config;
use wabridge::sandbox::cloud::{Faults, SimStatus};
use wabridge::sandbox::portal::Author;
use wabridge::store::chats;

use crate::support::{Options, PHONE_ID, TestApp, anna};

/// A chat in which the operator has answered, with the wamid of the answer.
async fn answered(app: &TestApp) -> (String, String) {
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    app.portal.operator_writes(&app.line, &chat, "Good day", vec![]).unwrap();
    let wamid = app.customer_has(&anna(), 1).await[0].wamid.clone();
    app.settled().await;
    (chat, wamid)
}

fn status(wamid: &str, state: &str, at: i64) -> Value {
    json!({"id": wamid, "status": state, "timestamp": at.to_string(), "recipient_id": "16505551234"})
}

/// A cloud that reports nothing of its own accord.
async fn silent_app() -> TestApp {
    let app = TestApp::start().await;
    app.cloud.change_faults(|faults| faults.statuses_withheld = true);
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_state_is_kept_apart_with_its_time() {
    let app = silent_app().await;
    let (_, wamid) = answered(&app).await;
    let row = app.message_is(&wamid, "accepted").await;
    assert!(row.accepted_at.is_some() && row.sent_at.is_none());
    for (at, state) in [
        (1_763_700_001, "sent"),
        (1_763_700_002, "delivered"),
        (1_763_700_003, "read"),
        (1_763_700_004, "played"),
    ] {
        app.notify(json!({"statuses": [status(&wamid, state, at)]})).await;
        assert_eq!(app.message(&wamid).await.state, state);
    }
    let row = app.message(&wamid).await;
    let seconds = |at: Option<chrono::NaiveDateTime>| at.unwrap().and_utc().timestamp();
    assert_eq!((seconds(row.sent_at), seconds(row.delivered_at)), (1_763_700_001, 1_763_700_002));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clouds_own_statuses_arrive_reversed_and_doubled_and_end_in_the_last() {
    let app = TestApp::start().await;
    app.cloud.set_faults(Faults { statuses_reversed: true, statuses_doubled: true, ..Faults::default() });
    let (_, wamid) = answered(&app).await;
    app.message_is(&wamid, "delivered").await;
    app.cloud.customer_reads(PHONE_ID, "16505551234");
    app.message_is(&wamid, "read").await;
    app.cloud.post_status(&wamid, SimStatus::Sent, None);
    app.cloud.post_status(&wamid, SimStatus::Failed, Some(131026));
    app.webhooks_taken().await;
    assert_eq!(app.message(&wamid).await.state, "read", "no way leads back");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_only_move_forward_in_whatever_order_they_come() {
    let app = silent_app().await;
    let (_, wamid) = answered(&app).await;
    let orders =
        ["delivered", "sent", "delivered", "pending", "warning", "", "read", "sent", "delivered", "read"];
    let expected = [
        "delivered",
        "delivered",
        "delivered",
        "delivered",
        "delivered",
        "delivered",
        "read",
        "read",
        "read",
        "read",
    ];
    for (state, expected) in orders.into_iter().zip(expected) {
        app.notify(json!({"statuses": [status(&wamid, state, 1_763_700_000)]})).await;
        assert_eq!(app.message(&wamid).await.state, expected, "after {state:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_before_the_answer_of_the_send_is_matched() {
    let app = TestApp::start().await;
    app.cloud.set_faults(Faults { status_before_answer: true, ..Faults::default() });
    let (chat, wamid) = answered(&app).await;
    app.message_is(&wamid, "delivered").await;
    let rows: Vec<_> = app.ledger().await.into_iter().filter(|row| row.direction == "outbound").collect();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].accepted_at.is_some());
    assert!(!app.conversation(&chat)[1].sending);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_without_our_mark_before_the_answer_waits_for_its_message() {
    let app = silent_app().await;
    app.notify(json!({"statuses": [status("wamid.early", "delivered", 1_763_700_000)]})).await;
    // An echo makes a message with that id known; the sender does the same when the answer comes.
    let (_, wamid) = answered(&app).await;
    let phone = app.relay.directory.now().phones[0].clone();
    app.relay
        .db
        .write(move |tx| {
            let row = wabridge::store::messages::by_wamid(tx.conn, phone.key.as_str(), &wamid)?.unwrap();
            let now = chrono::Utc::now();
            wabridge::store::messages::accepted(tx.conn, &row.id, &row.phone_id, "wamid.early", now)?;
            wabridge::relay::statuses::apply_parked(
                tx,
                &phone,
                wabridge::domain::Language::En,
                "wamid.early",
                now,
            )
        })
        .await
        .unwrap();
    assert_eq!(app.message("wamid.early").await.state, "delivered");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_of_other_apps_change_nothing() {
    let app = silent_app().await;
    let (chat, wamid) = answered(&app).await;
    let mut theirs = status("wamid.theirs", "failed", 1_763_700_000);
    theirs["errors"] = json!([{"code": 131026, "title": "Message undeliverable"}]);
    theirs["biz_opaque_callback_data"] = json!("order-17.0");
    app.notify(json!({"statuses": [theirs, status("wamid.theirs2", "read", 1), status(&wamid, "sent", 1_763_700_000)]})).await;
    app.settled().await;
    assert_eq!(app.ledger().await.len(), 2);
    assert_eq!(app.message(&wamid).await.state, "sent");
    assert_eq!(app.conversation(&chat).len(), 2, "no note");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_told_once_in_the_line_in_the_portals_language() {
    for (language, code, words, tag) in [
        ("en", 131026, "Not delivered:", "(WhatsApp code 131026)"),
        ("ru", 131026, "Не доставлено:", "(код WhatsApp 131026)"),
        ("en", 131042, "Not delivered:", "(WhatsApp code 131042)"),
        ("ru", 199999, "Не доставлено:", "(код WhatsApp 199999)"),
    ] {
        let app = silent_app().await;
        app.set_language(language).await;
        let (chat, wamid) = answered(&app).await;
        let mut failed = status(&wamid, "failed", 1_763_700_000);
        failed["errors"] =
            json!([{"code": code, "title": "Oh [b]no[/b]", "error_data": {"details": "Details of it"}}]);
        for _ in 0..3 {
            app.notify(json!({"statuses": [failed, status(&wamid, "sent", 1_763_700_000)]})).await;
        }
        app.settled().await;
        let entries = app.conversation(&chat);
        assert_eq!(entries.len(), 3, "{entries:#?}");
        assert_eq!(entries[2].author, Author::System);
        let note = &entries[2].text;
        assert!(note.starts_with("[color=#ff0000]") && note.contains(words) && note.contains(tag), "{note}");
        assert!(!note.contains("[b]"), "Meta's words are neutralised: {note}");
        if code == 199_999 {
            assert!(note.contains("Details of it"), "{note}");
        }
        let row = app.message(&wamid).await;
        assert_eq!((row.state.as_str(), row.error_code), ("failed", Some(code)));
        assert!(row.failed_at.is_some());
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_without_a_readable_reason_is_told_without_a_code() {
    let app = silent_app().await;
    let (chat, wamid) = answered(&app).await;
    let mut failed = status(&wamid, "failed", 1_763_700_000);
    failed["errors"] = json!("what?");
    app.notify(json!({"statuses": [failed]})).await;
    app.settled().await;
    let note = app.conversation(&chat)[2].text.clone();
    assert!(note.contains("WhatsApp gave no reason.") && !note.contains("code"), "{note}");
    app.stop().await;
}

async fn window_is_open(app: &TestApp, chat: &str) -> bool {
    let chat = chat.to_owned();
    let row = app.relay.db.read(move |conn| chats::get(conn, &chat)).await.unwrap().unwrap();
    !row.window_closed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failure_131047_closes_the_window_until_the_contact_writes() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    app.settled().await;
    app.cloud.close_window(PHONE_ID, "16505551234");
    app.portal.operator_writes(&app.line, &chat, "Are you there?", vec![]).unwrap();
    let entries = app.line_has(&chat, 3).await;
    assert!(entries[2].text.contains("131047"), "{}", entries[2].text);
    app.settled().await;
    assert!(!window_is_open(&app, &chat).await);
    let accepted = app.cloud.accepted();
    app.portal.operator_writes(&app.line, &chat, "Hello?", vec![]).unwrap();
    let entries = app.line_has(&chat, 5).await;
    assert!(entries[4].text.contains("24 hours"), "{}", entries[4].text);
    assert_eq!(app.cloud.accepted(), accepted, "nothing is sent that Meta would refuse");
    app.customer_writes(&anna(), "I am back");
    app.line_has(&chat, 6).await;
    assert!(window_is_open(&app, &chat).await);
    app.portal.operator_writes(&app.line, &chat, "Welcome", vec![]).unwrap();
    app.customer_has(&anna(), 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_131047_does_not_close_a_window_that_the_contact_has_opened_since() {
    let app = silent_app().await;
    let (chat, wamid) = answered(&app).await;
    // Later than the answer by Meta's clock, which tells whole seconds.
    let sent = app.message(&wamid).await.created_at.and_utc().timestamp();
    let later = app
        .eventually("a second passes", async || {
            Some(chrono::Utc::now().timestamp()).filter(|now| *now > sent)
        })
        .await;
    let value = json!({"messages": [{"from": "16505551234", "id": "wamid.later", "timestamp": later.to_string(), "type": "text", "text": {"body": "Me"}}]});
    app.notify(value).await;
    let mut failed = status(&wamid, "failed", later);
    failed["errors"] = json!([{"code": 131047, "title": "Re-engagement message"}]);
    app.notify(json!({"statuses": [failed]})).await;
    assert!(window_is_open(&app, &chat).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_answer_was_lost_is_proven_by_its_status_and_not_repeated() {
    let doubt = |config: &mut Config| config.relay.doubt = std::time::Duration::from_secs(600);
    let app = TestApp::with(Options { config: Some(Box::new(doubt)), ..Options::default() }).await;
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    app.settled().await;
    app.cloud.change_faults(|faults| faults.send_next.push(wabridge::sandbox::cloud::SendFault::LostAnswer));
    app.portal.operator_writes(&app.line, &chat, "Once", vec![]).unwrap();
    let wamid = app.customer_has(&anna(), 1).await[0].wamid.clone();
    app.message_is(&wamid, "delivered").await;
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 1);
    assert!(!app.conversation(&chat)[1].sending);
    app.stop().await;
}
