//! Bad days: tokens that end, portals that move, go away and come back, a bridge that is stopped or killed.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wabridge::bitrix::users::ProfileGet;
use wabridge::clock::{Clock, ManualClock};
use wabridge::sandbox::portal::{FaultKind, PlannedFault};
use wabridge::store::jobs::JobRow;

use crate::support::{Options, TestApp, anna, customer, name};

const SEND: &str = "imconnector.send.messages";

async fn status(app: &TestApp) -> String {
    app.portal_row().await.status
}

/// A bridge whose chat with Anna the portal knows.
async fn with_anna(options: Options) -> (TestApp, String) {
    let app = TestApp::with(options).await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    (app, chat)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_refreshed_once_for_many_calls() {
    let (app, _) = with_anna(Options::default()).await;
    let before = app.portal.call_count("oauth.token");
    app.portal.change_faults(|faults| faults.expire_tokens = true);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (gateway, portal) = (app.relay.gateway.clone(), app.portal_id());
        asked.spawn(async move { gateway.call(&portal, &ProfileGet).await.is_ok() });
    }
    assert!(asked.join_all().await.into_iter().all(|good| good));
    assert_eq!(app.portal.call_count("oauth.token") - before, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_on_disk_before_it_is_used() {
    let (mut app, chat) = with_anna(Options::default()).await;
    let (tokens, profiles) = (app.portal.call_count("oauth.token"), app.portal.call_count("profile"));
    app.portal.change_faults(|faults| faults.expire_tokens = true);
    let (held, release) = hold_writer(&app).await;
    let (gateway, portal) = (app.relay.gateway.clone(), app.portal_id());
    let call = tokio::spawn(async move { gateway.call(&portal, &ProfileGet).await.map(drop) });
    app.wait_for("the refresh", async |app| {
        (app.portal.call_count("oauth.token") == tokens + 1).then_some(())
    })
    .await;
    assert_eq!(
        app.portal.call_count("profile"),
        profiles + 1,
        "the new token is not used while it is not stored"
    );
    release.send(()).unwrap();
    held.await.unwrap();
    call.await.unwrap().unwrap();
    assert_eq!(app.portal.call_count("profile"), profiles + 2);
    app.crash().await;
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert_eq!(
        app.portal.call_count("oauth.token"),
        tokens + 1,
        "the token that was stored is the one in use"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_tokens_that_could_not_be_stored_are_stored_later_and_never_asked_for_twice() {
    let (app, chat) = with_anna(Options::default()).await;
    let tokens = app.portal.call_count("oauth.token");
    app.portal.change_faults(|faults| faults.expire_tokens = true);
    let (held, release) = hold_writer(&app).await;
    let (gateway, portal) = (app.relay.gateway.clone(), app.portal_id());
    let call = tokio::spawn(async move { gateway.call(&portal, &ProfileGet).await.map(drop) });
    app.wait_for("the refresh", async |app| {
        (app.portal.call_count("oauth.token") == tokens + 1).then_some(())
    })
    .await;
    // The caller gives up before the database takes the tokens.
    call.abort();
    assert!(call.await.is_err());
    release.send(()).unwrap();
    held.await.unwrap();
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert_eq!((app.portal.call_count("oauth.token"), status(&app).await.as_str()), (tokens + 1, "active"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_refresh_asks_for_a_person_counts_against_no_message_and_ends_with_a_new_installation() {
    let (app, chat) = with_anna(Options::default()).await;
    app.portal.change_faults(|faults| (faults.expire_tokens, faults.refresh_refused) = (true, true));
    app.customer_writes(&anna(), "second");
    app.wait_for("the status", async |app| (status(app).await == "reauthorize").then_some(())).await;
    app.customer_writes(&anna(), "third");
    app.waiting(2).await;
    assert!(app.jobs("ready").await.iter().all(|job| job.attempts == 0));
    app.portal.change_faults(|faults| faults.refresh_refused = false);
    app.reinstall().await;
    app.shown(3).await;
    assert_eq!(app.texts(&chat), ["first", "second", "third"]);
    assert_eq!(status(&app).await, "active");
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0 && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_portal_is_followed_to_its_new_address() {
    let (app, chat) = with_anna(Options::default()).await;
    let host = app.portal.rename();
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert_eq!(app.portal_row().await.client_endpoint, format!("http://{host}/rest/"));
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0 && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_does_not_answer_as_a_portal_is_not_stored() {
    let (app, chat) = with_anna(Options::default()).await;
    let before = app.portal_row().await.client_endpoint;
    let host = app.portal.rename();
    // A page of somebody else, where the redirect leads to.
    app.portal.plan_fault(FaultKind::Status502, None, 2);
    app.customer_writes(&anna(), "second");
    app.wait_for("the failure", async |app| {
        app.jobs("ready").await.iter().any(|job| job.last_error.is_some()).then_some(())
    })
    .await;
    assert_eq!(app.portal_row().await.client_endpoint, before);
    app.line_has(&chat, 2).await;
    assert_eq!(app.portal_row().await.client_endpoint, format!("http://{host}/rest/"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_messages_of_a_portal_that_removed_the_application_wait_for_it() {
    let (app, _) = with_anna(Options { leaves_jobs: true, ..Options::default() }).await;
    app.portal.uninstall(app.client_id(), false).await;
    app.customer_writes(&anna(), "second");
    app.wait_for("the status", async |app| (status(app).await == "uninstalled").then_some(())).await;
    // A call that was on its way when the application went has come back.
    app.wait_for("the line waits", async |app| (!app.relay.scheduler.held().is_empty()).then_some(())).await;
    app.waiting(1).await;
    let calls = app.portal.call_count(SEND);
    app.customer_writes(&anna(), "third");
    app.waiting(2).await;
    let jobs = app.jobs("ready").await;
    assert!(jobs.iter().all(|job| job.attempts == 0 && !job.doubtful), "{jobs:#?}");
    assert_eq!(app.portal.call_count(SEND), calls, "a portal without our application is not called");
    app.reinstall().await;
    app.wait_for("it is called again", async |app| (app.portal.call_count(SEND) > calls).then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_over_within_eight_seconds_while_calls_hang_and_the_next_start_finds_out() {
    let (mut app, chat) = with_anna(Options::default()).await;
    app.portal.plan_fault(FaultKind::Hang, Some(SEND), 1);
    app.customer_writes(&anna(), "second");
    app.wait_for("the call that hangs", async |app| (app.portal.call_count(SEND) == 2).then_some(())).await;
    app.customer_writes(&customer(1), "waits");
    app.waiting(2).await;
    let began = tokio::time::Instant::now();
    app.restart().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    app.shown(3).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert_eq!(app.texts(&app.chat_of(&name(1)).await), ["waits"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_bridge_had_sent_is_found_and_not_sent_again() {
    let (mut app, chat) = with_anna(Options::default()).await;
    // The portal takes the message; the bridge never hears of it.
    let (held, release) = hold_writer_at(&app, 2).await;
    app.customer_writes(&anna(), "second");
    let shown = app.portal.wait_until(crate::support::DEADLINE, |portal| portal.message_count() == 2).await;
    assert!(shown);
    app.go_down().await;
    let _ = release.send(());
    let _ = held.await;
    app.boot().await;
    app.settled().await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    let jobs = app.jobs_of("message").await;
    assert!(jobs.iter().all(|job| job.state == "done" && !job.maybe_twice), "{jobs:#?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_portal_counts_against_no_message_and_order_holds() {
    let (app, chat) = with_anna(Options::default()).await;
    app.portal.change_faults(|faults| faults.down = true);
    let texts: Vec<String> = (0..20).map(|number| format!("message {number}")).collect();
    texts.iter().for_each(|text| drop(app.customer_writes(&anna(), text)));
    app.waiting(20).await;
    app.wait_for("several tries", async |app| {
        (app.relay.scheduler.held().is_empty()
            && app.jobs("ready").await.iter().any(|job| job.last_error.is_some()))
        .then_some(())
    })
    .await;
    app.portal.change_faults(|faults| faults.down = false);
    app.shown(21).await;
    assert_eq!(app.texts(&chat)[1..], texts);
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_meta_counts_against_no_message_and_order_holds() {
    let (app, chat) = with_anna(Options::default()).await;
    app.cloud.change_faults(|faults| faults.cloud_down = true);
    let texts: Vec<String> = (0..10).map(|number| format!("reply {number}")).collect();
    for (number, text) in texts.iter().enumerate() {
        let files = match number {
            4 => vec![crate::support::file("a.jpg", "image/jpeg", crate::support::jpeg(500))],
            _ => vec![],
        };
        app.operator(&chat, text, files);
    }
    app.until("several tries", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some())
    })
    .await;
    assert!(app.notes(&chat).is_empty(), "an outage is no failure of a message");
    app.cloud.change_faults(|faults| faults.cloud_down = false);
    let received = app.customer_has(&anna(), texts.len()).await;
    let shown: Vec<&str> = received
        .iter()
        .map(|message| {
            let body = &message.body;
            body["text"]["body"].as_str().or(body["image"]["caption"].as_str()).unwrap_or_default()
        })
        .collect();
    assert_eq!(shown, texts);
    app.settled().await;
    let jobs = app.send_jobs().await;
    assert!(jobs.iter().all(|job| job.attempts == 0));
    // Of the first nobody knows whether it had arrived when the line was cut; the others were never sent.
    assert!(jobs.iter().skip(1).all(|job| !job.maybe_twice), "{jobs:#?}");
    app.stop().await;
}

/// What is old because it had no line has not been tried for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_its_line_for_days_outlives_a_hiccup() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let (app, chat) = with_anna(Options { clock: Some(hand), ..Options::default() }).await;
    let line = format!("/phones/{}/line", app.phone_id());
    assert_eq!(app.api.call("DELETE", &line, None).await.0, 204);
    app.customer_writes(&anna(), "nobody is there");
    app.waiting(1).await;
    app.advance(TimeDelta::days(8));
    let method = Some("imconnector.send.messages".to_owned());
    app.portal.change_faults(|faults| {
        faults.planned = vec![PlannedFault { kind: FaultKind::QueryLimit, method, times: 2 }];
    });
    app.api.put(&line, json!({"portal_id": app.portal_id().into_string()})).await;
    app.wait_for("the message after the hiccups", async |app| {
        app.advance(TimeDelta::seconds(10));
        app.texts(&chat).contains(&"nobody is there".to_owned()).then_some(())
    })
    .await;
    app.settled().await;
    assert!(app.jobs("dead").await.is_empty() && app.notes(&chat).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_waited_for_seven_days_and_then_told_in_the_chat() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let (app, chat) = with_anna(Options { clock: Some(hand), ..Options::default() }).await;
    app.portal.change_faults(|faults| faults.down = true);
    app.customer_writes(&anna(), "of the first day");
    app.waiting(1).await;
    let put_off = |jobs: Vec<JobRow>| jobs.iter().all(|job| job.state == "ready" && job.last_error.is_some());
    for _day in 0..6 {
        app.advance(TimeDelta::days(1));
        app.wait_for("another try in vain", async |app| {
            let messages = app.jobs_of("message").await;
            put_off(messages.into_iter().filter(|job| job.state != "done").collect()).then_some(())
        })
        .await;
    }
    app.customer_writes(&anna(), "of the seventh day");
    app.waiting(2).await;
    let waits = app.jobs("ready").await;
    assert!(waits.iter().all(|job| job.attempts == 0 && !job.maybe_twice), "{waits:#?}");

    app.advance(TimeDelta::days(1) + TimeDelta::hours(1));
    app.wait_for("the end of the first", async |app| {
        // The pause of the line ends by the clock.
        app.advance(TimeDelta::minutes(1));
        app.jobs("dead").await.first().map(|job| job.last_error.clone())
    })
    .await;
    let dead = app.jobs("dead").await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].last_error.as_deref().unwrap().contains("7 days"), "{dead:#?}");

    app.portal.change_faults(|faults| faults.down = false);
    app.advance(TimeDelta::minutes(1));
    app.wait_for("what came later, and the note", async |app| {
        app.advance(TimeDelta::minutes(1));
        (app.conversation(&chat).len() >= 3).then_some(())
    })
    .await;
    app.settled().await;
    let mut shown = app.texts(&chat);
    assert!(
        shown.contains(&"of the seventh day".to_owned()) && !shown.contains(&"of the first day".to_owned())
    );
    assert_eq!(app.notes(&chat).len(), 1, "{shown:?}");

    // It is not lost: a person can have it sent after all.
    let (status, answer) = app.api.call("POST", "/jobs/retry?state=dead", None).await;
    assert_eq!((status, &answer["retried"]), (200, &serde_json::json!(1)));
    app.line_has(&chat, 4).await;
    app.settled().await;
    shown = app.texts(&chat);
    assert_eq!(shown.last().map(String::as_str), Some("of the first day"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_lets_what_waited_for_it_go_at_once() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let (app, chat) = with_anna(Options { clock: Some(hand), ..Options::default() }).await;
    app.cloud.change_faults(|faults| faults.token_expired = true);
    app.operator(&chat, "one", vec![]);
    app.until("it is put off", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some())
    })
    .await;
    app.cloud.change_faults(|faults| faults.token_expired = false);
    // The clock stands still: nothing but the change of the app ends the pause.
    let id = app.api.get("/apps").await["items"][0]["id"].as_str().unwrap().to_owned();
    let token = serde_json::json!({"access_token": crate::support::ACCESS_TOKEN});
    assert_eq!(app.api.call("PATCH", &format!("/apps/{id}"), Some(token)).await.0, 200);
    app.customer_has(&anna(), 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_a_gateway_on_the_way_is_waited_out() {
    let (app, chat) = with_anna(Options::default()).await;
    for kind in [FaultKind::Status500, FaultKind::Status502, FaultKind::Status503] {
        app.portal.plan_fault(kind, Some(SEND), 1);
    }
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0));
    app.stop().await;
}

type Held = (tokio::task::JoinHandle<()>, std::sync::mpsc::Sender<()>);

/// Keeps the writer busy until it is released.
async fn hold_writer(app: &TestApp) -> Held {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let (db, mut entered) = (app.relay.db.clone(), Some(entered));
    let held = tokio::spawn(async move {
        db.write(move |_| {
            if let Some(entered) = entered.take() {
                let _ = entered.send(());
            }
            let _ = wait.recv_timeout(crate::support::DEADLINE);
            Ok(())
        })
        .await
        .unwrap();
    });
    inside.await.unwrap();
    (held, release)
}

/// Keeps the writer busy as soon as the portal has `count` messages.
async fn hold_writer_at(app: &TestApp, count: usize) -> Held {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (db, portal) = (app.relay.db.clone(), app.portal.clone());
    let held = tokio::spawn(async move {
        let deadline = crate::support::DEADLINE;
        assert!(portal.wait_until(deadline, |portal| portal.message_count() >= count).await);
        let wait = std::sync::Mutex::new(wait);
        let _ = db
            .write(move |_| {
                let _ = wait.lock().unwrap().recv_timeout(deadline);
                Ok(())
            })
            .await;
    });
    (held, release)
}
