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
const ROBOTS: u64 = 600;

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

    async fn sent_in_a_second(&self, hand: &ManualClock) -> u64 {
        let mut sent = 0;
        for _ in 0..4 {
            sent += self.sent_after(hand, 250).await;
        }
        sent
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
    // 20 a second for a number that the app on the telephone shares.
    level("STANDARD", true).await;
    for number in 0..ROBOTS {
        app.sms(&format!("+1650{:07}", 2_000_000 + number), &format!("order_ready+en_US+{number}"), None);
    }
    app.eventually("all are taken in", async || {
        let phone = app.api.get(&format!("/phones/{}", app.phone_id())).await;
        (phone["waiting"].as_u64()? + app.cloud.accepted() == ROBOTS).then_some(())
    })
    .await;
    app.sent_at_this_moment().await;
    app.sent_after(&hand, 1_000).await;
    let shared = app.sent_in_a_second(&hand).await;
    assert!((8..=20).contains(&shared), "{shared} in a second of a number that the app shares");
    // 80 a second, and then 1,000, once Meta says so and the bridge has read it; the next message that goes tells
    // the queue.
    level("STANDARD", false).await;
    app.sent_after(&hand, 250).await;
    let standard = app.sent_in_a_second(&hand).await;
    assert!((50..=80).contains(&standard), "{standard} in a second of STANDARD");
    level("HIGH", false).await;
    app.sent_after(&hand, 250).await;
    let high = app.sent_after(&hand, 250).await;
    assert!((100..=250).contains(&high), "{high} in a quarter of a second of HIGH");
    let metrics = app.relay.metrics.encode();
    assert!(
        !metrics.contains(r#"wabridge_graph_calls_total{kind="send",outcome="failed"}"#),
        "the simulated Meta, which counts by the level itself, refused one: {metrics}"
    );
    app.stop().await;
}
