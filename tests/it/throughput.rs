//! How many messages a second a number may send: as Meta says, and no more.

use std::time::Duration;

use serde_json::json;
use wabridge::clock::ManualClock;
use wabridge::queue::Class;
use wabridge::sandbox::cloud::CloudOptions;
use wabridge::sandbox::portal::PortalOptions;

use crate::sms_templates::template;
use crate::support::{DEADLINE, Options, PHONE_ID, TestApp};

/// More than any level sends at once.
const ROBOTS: usize = 600;

impl TestApp {
    /// Sends that WhatsApp has taken by the time nothing may go any more while the clock stands still.
    async fn sent_at_this_moment(&self) -> u64 {
        let quiet = async {
            let mut before = None;
            loop {
                let is_quiet = self.relay.scheduler.is_quiet(Class::Send, self.relay.clock.now());
                let now = self.cloud.accepted();
                if is_quiet && before == Some(now) {
                    return now;
                }
                before = is_quiet.then_some(now);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, quiet).await.expect("the queue is never quiet")
    }

    /// The clock goes on by a part of a second; gives how many were sent then.
    async fn sent_after(&self, hand: &ManualClock, milliseconds: i64) -> u64 {
        let before = self.cloud.accepted();
        hand.advance(chrono::Duration::milliseconds(milliseconds));
        Class::ALL.into_iter().for_each(|class| self.relay.scheduler.ring(class));
        self.sent_at_this_moment().await - before
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_sends_as_fast_as_its_level_says_and_a_new_level_counts_when_it_is_read() {
    let hand = ManualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    let app = TestApp::with(Options {
        clock: Some(hand.clone()),
        cloud: Some(CloudOptions { max_batch: 200, status_delay: Duration::ZERO, ..CloudOptions::default() }),
        portal: Some(PortalOptions { rate: None, quiet: true, event_lanes: 8, ..PortalOptions::default() }),
        leaves_jobs: true,
        ..Options::default()
    })
    .await;
    let level = async |level: &str, on_app: bool| {
        let fields = json!({"throughput": {"level": level}, "is_on_biz_app": on_app,
            "whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED"});
        app.cloud.set_phone(PHONE_ID, fields);
        app.api.post("/templates/sync", json!({})).await;
    };
    app.sms_on().await;
    app.templates(&[template(1, "order_ready", "UTILITY", "Order {{1}} is ready.")]).await;
    level("STANDARD", false).await;
    for number in 0..ROBOTS {
        app.sms(&format!("+1650{:07}", 2_000_000 + number), &format!("order_ready+en_US+{number}"), None);
    }
    let waiting = async |count: usize| {
        app.eventually("all wait", async || {
            let phone = app.api.get(&format!("/phones/{}", app.phone_id())).await;
            (phone["waiting"].as_u64() == u64::try_from(count).ok()).then_some(())
        })
        .await;
    };
    // 80 a second: a quarter at once, and never more than 80 within any second.
    app.sent_at_this_moment().await;
    waiting(ROBOTS - 20).await;
    assert_eq!(app.cloud.accepted(), 20, "STANDARD");
    let mut second = 0;
    for _ in 0..4 {
        second += app.sent_after(&hand, 250).await;
    }
    assert!((50..=80).contains(&second), "{second} in a second of STANDARD");
    // 1,000 a second once Meta says so and the bridge has read it.
    level("HIGH", false).await;
    // The next message that goes tells the queue.
    app.sent_after(&hand, 250).await;
    let high = app.sent_after(&hand, 250).await;
    assert!((100..=250).contains(&high), "{high} in a quarter of a second of HIGH");
    // 20 a second for a number that the app on the telephone shares.
    level("HIGH", true).await;
    app.sent_after(&hand, 1_000).await;
    let mut second = 0;
    for _ in 0..4 {
        second += app.sent_after(&hand, 250).await;
    }
    assert!((8..=20).contains(&second), "{second} in a second of a number on the app");
    let metrics = app.relay.metrics.encode();
    assert!(
        !metrics.contains(r#"wabridge_graph_calls_total{kind="send",outcome="failed"}"#),
        "the simulated Meta, which counts by the level itself, refused one: {metrics}"
    );
    app.stop().await;
}
