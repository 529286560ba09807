//! The portal's rate limits: kept to, learned, and no reason for a message to wait for another's sake.

use std::time::Duration;

use wabridge::bitrix::RateLimits;
use wabridge::bitrix::users::{AppInfoGet, ProfileGet};
use wabridge::sandbox::cloud::CloudOptions;
use wabridge::sandbox::portal::{FaultKind, PortalOptions};

use crate::support::{Options, TestApp, anna, customer, name};

const SEND: &str = "imconnector.send.messages";

/// Makes calls at once, and counts those that failed.
async fn ask(app: &TestApp, calls: usize) -> usize {
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..calls {
        let (gateway, portal) = (app.relay.gateway.clone(), app.portal_id());
        asked.spawn(async move { gateway.call(&portal, &AppInfoGet).await.is_err() });
    }
    asked.join_all().await.into_iter().filter(|failed| *failed).count()
}

fn refusals(app: &TestApp, code: &str) -> usize {
    let refused = |call: &&serde_json::Value| call["outcome"]["error"] == code;
    app.sends().iter().filter(refused).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_of_fifty_chats_pass_two_calls_a_second_within_a_minute() {
    let app = TestApp::with(Options {
        cloud: Some(CloudOptions { max_batch: 100, ..CloudOptions::default() }),
        ..Options::default()
    })
    .await;
    // A bucket that is full from the start: what counts is what two calls a second carry.
    ask(&app, 60).await;
    let began = tokio::time::Instant::now();
    let messages = 20;
    for message in 0..messages {
        for number in 0..50 {
            app.customer_writes(&customer(number), &format!("{message}"));
        }
    }
    let all = app.portal.wait_until(Duration::from_secs(60), |portal| portal.message_count() >= 1000).await;
    assert!(all, "{} of 1000 arrived", app.portal.message_count());
    assert!(began.elapsed() < Duration::from_secs(60));
    let expected: Vec<String> = (0..messages).map(|message| message.to_string()).collect();
    for number in 0..50 {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), expected, "the order of a chat holds");
    }
    assert!(refusals(&app, "QUERY_LIMIT_EXCEEDED") <= 1, "no storm of refusals");
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_portal_sees_no_storm_of_refused_calls() {
    let app = TestApp::start().await;
    // Fifty calls at once empty the bucket; some more find it full.
    let refused = ask(&app, 58).await;
    assert!(refused <= 8, "{refused} of 58 calls were refused or told to wait");
    let limited = app.portal.calls("app.info").iter().filter(|call| call["outcome"]["status"] == 503).count();
    assert!(limited <= 2, "{limited} calls went beyond the limit");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_an_enterprise_portal_are_learned_from_its_plan() {
    let portal = PortalOptions { license: "ent250".into(), rate: Some((5.0, 250.0)), ..Default::default() };
    let app = TestApp::with(Options { portal: Some(portal), ..Options::default() }).await;
    app.customer_writes(&anna(), "hello");
    app.chat_of("Anna").await;
    app.settled().await;
    assert_eq!(app.relay.gateway.limits(&app.portal_id()), RateLimits::ENTERPRISE);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_503_is_waited_for_and_counts_against_no_message() {
    let app = TestApp::start().await;
    app.portal.plan_fault(FaultKind::QueryLimit, Some(SEND), 1);
    app.customer_writes(&anna(), "hello");
    let chat = app.chat_of("Anna").await;
    app.settled().await;
    assert_eq!(app.texts(&chat), ["hello"]);
    let job = &app.jobs_of("message").await[0];
    assert_eq!((job.attempts, job.maybe_twice), (0, false));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_operating_budget_holds_that_method_alone() {
    // Each call costs 40 of 480 seconds; from 80 % on what is left is spread over ten minutes.
    let portal = PortalOptions { operating_cost_s: 40.0, ..Default::default() };
    let app = TestApp::with(Options { portal: Some(portal), leaves_jobs: true, ..Options::default() }).await;
    let mut sent = 0;
    for number in 0..14 {
        app.customer_writes(&customer(number), "hello");
        sent = app
            .wait_for("sent or held", async |app| {
                let count = app.portal.message_count();
                let waits = app.jobs("ready").await.iter().any(|job| job.last_error.is_some());
                (count > number || waits).then_some(count)
            })
            .await;
    }
    assert!((9..=12).contains(&sent), "{sent}");
    let refused = refusals(&app, "OPERATION_TIME_LIMIT");
    assert_eq!(refused, 0, "nothing is asked for that would be refused");
    assert!(app.jobs("ready").await.iter().all(|job| job.attempts == 0 && !job.doubtful));
    // Other methods go on.
    app.relay.gateway.call(&app.portal_id(), &ProfileGet).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_is_believed_without_asking_again() {
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    app.portal.plan_fault(FaultKind::OperationLimit, Some(SEND), 1);
    app.customer_writes(&anna(), "hello");
    app.wait_for("the refusal", async |app| {
        app.jobs("ready").await.iter().any(|job| job.last_error.is_some()).then_some(())
    })
    .await;
    let job = &app.jobs_of("message").await[0];
    assert_eq!((job.attempts, job.doubtful), (0, false));
    assert!(job.last_error.as_deref().unwrap().contains("OPERATION_TIME_LIMIT"));
    app.customer_writes(&customer(1), "hello");
    app.wait_for("it is stored", async |app| (app.relay.scheduler.pending() == 2).then_some(())).await;
    assert_eq!(app.portal.call_count(SEND), 1);
    app.stop().await;
}
