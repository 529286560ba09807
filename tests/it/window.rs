//! The service window: known before sending, told in the line.

use chrono::TimeDelta;
use wabridge::clock::{Clock, ManualClock};
use wabridge::config::Config;
use wabridge::sandbox::cloud::SendFault;
use wabridge::store::chats;

use crate::support::{Options, PHONE_ID, TestApp, anna, file, jpeg, key_of};

/// As if the contact's last message were so many hours old.
async fn set_window(app: &TestApp, chat: &str, ago_hours: i64) {
    forget_window(app, chat).await;
    let (chat, now) = (chat.to_owned(), app.clock.now());
    app.relay
        .db
        .write(move |tx| {
            chats::contact_wrote(tx.conn, &chat, "wamid.old", now - chrono::Duration::hours(ago_hours))
        })
        .await
        .unwrap();
}

/// As in a chat that was imported.
async fn forget_window(app: &TestApp, chat: &str) {
    let reset = "UPDATE chats SET last_inbound_at = NULL, window_until = NULL, window_closed = FALSE";
    app.sql(format!("{reset} WHERE id = '{chat}'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_the_window_nothing_is_sent_and_the_operator_is_told() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    set_window(&app, &chat, 25).await;
    let id = app.operator(&chat, "too late", vec![file("a.jpg", "image/jpeg", jpeg(100))]);
    app.note(&chat, "more than 24 hours").await;
    app.settled().await;
    assert!(app.cloud.thread(PHONE_ID, &key_of(&anna)).iter().all(|message| message.from_customer));
    assert_eq!(app.acknowledged(&id), Vec::<Vec<String>>::new());
    assert_eq!(app.notes(&chat).len(), 1);
    // As soon as the contact answers it is open again.
    app.customer_writes(&anna, "here I am");
    app.line_has(&chat, 4).await;
    app.operator(&chat, "in time", vec![]);
    app.customer_has(&anna, 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_window_is_tried_and_131047_closes_it() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    forget_window(&app, &chat).await;
    app.operator(&chat, "hello", vec![]);
    app.customer_has(&anna, 1).await;
    // It is closed at Meta: once by a status, and from then on nothing is tried.
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_047));
    app.operator(&chat, "second", vec![]);
    app.note(&chat, "131047").await;
    app.operator(&chat, "third", vec![]);
    app.note(&chat, "more than 24 hours have passed since").await;
    app.settled().await;
    let sent = app.cloud.thread(PHONE_ID, &key_of(&anna));
    assert_eq!(sent.iter().filter(|message| !message.from_customer).count(), 2);
    app.stop().await;
}

/// Whether the customer has it is not known: to send it anew or to call it undelivered would both be guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_in_doubt_whose_window_closes_is_neither_sent_anew_nor_called_undelivered() {
    for setting in ["tell", "hold"] {
        let options = Options {
            clock: Some(ManualClock::starting_at(Clock::System.now())),
            config: Some(Box::new(|config: &mut Config| {
                config.relay.doubt = std::time::Duration::from_secs(60);
            })),
            phone: Some(Box::new(|row| row.closed_window = setting.to_owned())),
            leaves_jobs: true,
            ..Options::default()
        };
        let app = TestApp::with(options).await;
        let anna = anna();
        let chat = app.opened(&anna).await;
        app.cloud.change_faults(|faults| {
            (faults.send_next, faults.statuses_withheld) = (vec![SendFault::LostAnswer], true);
        });
        app.operator(&chat, "the price is 100", vec![]);
        app.wait_for("doubt", async |app| {
            app.send_jobs().await.iter().any(|job| job.doubtful && job.state == "ready").then_some(())
        })
        .await;
        set_window(&app, &chat, 25).await;
        app.advance(TimeDelta::minutes(2));
        app.note(&chat, "may have got it or not").await;
        app.customer_writes(&anna, "here I am");
        app.operator(&chat, "later", vec![]);
        let received = app.customer_has(&anna, 2).await;
        assert_eq!(received[1].body["text"]["body"], "later", "{setting}");
        assert_eq!(app.notes(&chat).len(), 1, "{:?}", app.notes(&chat));
        assert_eq!(app.jobs("dead").await.len(), 1);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_once_closes_the_window_too() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    forget_window(&app, &chat).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::WindowAtOnce]);
    app.operator(&chat, "first", vec![]);
    app.note(&chat, "131047").await;
    app.operator(&chat, "second", vec![]);
    app.settled().await;
    assert_eq!(app.notes(&chat).len(), 2, "{:?}", app.notes(&chat));
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_until_the_window_closed_is_not_sent() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.token_expired = true);
    app.operator(&chat, "before", vec![]);
    app.until("it is put off", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some())
    })
    .await;
    set_window(&app, &chat, 25).await;
    app.cloud.change_faults(|faults| faults.token_expired = false);
    app.relay.scheduler.resume(&app.send_queue());
    app.note(&chat, "24 hours").await;
    app.settled().await;
    assert!(app.cloud.thread(PHONE_ID, &key_of(&anna)).iter().all(|message| message.from_customer));
    assert_eq!(app.ledger_of(&chat).await[0].state, "failed");
    app.stop().await;
}
