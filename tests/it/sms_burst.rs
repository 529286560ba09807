//! Robots write to thousands: what Meta allows paces them, over two simulated days.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use wabridge::clock::ManualClock;
use wabridge::queue::{Class, Take};
use wabridge::relay::gate::LIMIT_WAIT;
use wabridge::sandbox::cloud::CloudOptions;
use wabridge::sandbox::portal::PortalOptions;
use wabridge::store::jobs;

use crate::sms_templates::template;
use crate::support::{Options, PHONE_ID, TestApp, WABA_ID, linking};

const MESSAGES: usize = 5_000;
const NUMBERS: usize = 3_000;
/// People a day, of the tier `TIER_2K`.
const A_DAY: usize = 2_000;
/// One number gets so many, which is more than Meta takes at once.
const TO_ONE: usize = 60;

fn number(index: usize) -> String {
    format!("1650{:07}", 2_000_000 + index)
}

/// Which number gets the n-th message: one many, the others one and some a second.
fn recipient(n: usize) -> usize {
    match n.checked_sub(NUMBERS) {
        None => n,
        Some(more) if more < TO_ONE - 1 => 0,
        Some(more) => more - (TO_ONE - 1) + 1,
    }
}

async fn bridge(hand: &ManualClock) -> TestApp {
    let app = TestApp::with(Options {
        clock: Some(hand.clone()),
        cloud: Some(CloudOptions { max_batch: 200, status_delay: Duration::ZERO, ..CloudOptions::default() }),
        portal: Some(PortalOptions { rate: None, quiet: true, event_lanes: 8, ..PortalOptions::default() }),
        unlinked: true,
        ..Options::default()
    });
    let mut app = app.await;
    // Without the right to write into the timeline, which would double the calls.
    let scopes = ["imopenlines", "imconnector", "im", "messageservice"];
    let linked = linking::link_with(&app.api, &app.cloud, &app.portal, &scopes).await;
    app.line = linked.line.clone();
    app.linked = Some(linked);
    app.cloud.set_phone(PHONE_ID, json!({"whatsapp_business_manager_messaging_limit": "TIER_2K"}));
    app.sql("UPDATE phones SET messaging_limit = 'TIER_2K'".to_owned()).await;
    app.relay.directory.reload().await.unwrap();
    app.sms_on().await;
    app.templates(&[template(1, "order_ready", "UTILITY", "Order {{1}} is ready.")]).await;
    app
}

impl TestApp {
    /// What is left to do, counted by kind, state and reason.
    async fn left(&self) -> BTreeMap<String, usize> {
        let page = wabridge::store::Page { limit: 100_000, cursor: None };
        let jobs = self.relay.db.read(move |conn| jobs::list(conn, None, &page)).await.unwrap();
        let mut counts = BTreeMap::new();
        for job in jobs {
            let (reason, due) = (job.last_error.unwrap_or_default(), job.not_before.map(|at| at.and_utc()));
            let due = if due.is_some_and(|due| due > self.relay.clock.now()) { "later" } else { "" };
            *counts.entry(format!("{} {} {due} {reason}", job.kind, job.state)).or_default() += 1;
        }
        counts.extend(self.portal.sms_counts());
        counts.insert(
            format!("accepted, at {}", self.relay.clock.now()),
            usize::try_from(self.cloud.accepted()).unwrap(),
        );
        counts.insert("webhooks".to_owned(), self.cloud.webhooks_pending());
        counts
    }

    /// When something may go to WhatsApp that may not now.
    fn next_send(&self) -> Option<DateTime<Utc>> {
        let take = Take { parallel: 16, jobs: 1, files: 1, newcomers: 1 };
        self.relay.scheduler.next_due(Class::Send, take)
    }

    /// Until something is true: whenever nothing runs, moves the clock to when something may, so that no call is
    /// under way while it moves.
    async fn play_until(&self, hand: &ManualClock, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(300);
        loop {
            let now = self.relay.clock.now();
            let quiet =
                [Class::Send, Class::Portal].iter().all(|class| self.relay.scheduler.is_quiet(*class, now));
            if quiet && self.portal.events_waiting() == 0 {
                if holds().await {
                    return;
                }
                if let Some(due) = self.next_send() {
                    hand.advance((due - now).max(TimeDelta::zero()));
                    Class::ALL.into_iter().for_each(|class| self.relay.scheduler.ring(class));
                }
            }
            if tokio::time::Instant::now() > deadline {
                panic!("it never came true that {what}: {:#?}", self.left().await);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_robots_is_paced_by_what_meta_allows_and_nothing_is_lost() {
    let start: DateTime<Utc> = "2026-03-02T09:00:00Z".parse().unwrap();
    let hand = ManualClock::starting_at(start);
    let app = bridge(&hand).await;
    let ids: Vec<String> = (0..MESSAGES)
        .map(|n| app.sms(&format!("+{}", number(recipient(n))), &format!("order_ready+en_US+{n}"), None))
        .collect();

    app.play_until(&hand, "the others wait for the next day", async || {
        app.next_send().is_some_and(|due| due - app.relay.clock.now() > TimeDelta::hours(12))
    })
    .await;
    let waiting = app.relay.db.read(|conn| jobs::waiting_for(conn, LIMIT_WAIT)).await.unwrap();
    assert_eq!(usize::try_from(waiting).unwrap(), NUMBERS - A_DAY);
    assert_eq!(app.cloud.first_writes(WABA_ID), A_DAY);
    let phone = app.api.get(&format!("/phones/{}", app.phone_id())).await;
    let waiting = usize::try_from(phone["waiting"].as_u64().unwrap()).unwrap();
    assert!(waiting >= NUMBERS - A_DAY, "the length of the queue is seen: {waiting}");
    let (day_one, next) = (app.cloud.accepted(), app.next_send().unwrap());
    assert!(next - start > TimeDelta::hours(24), "nobody goes before a day is over");

    app.play_until(&hand, "all are sent and told", async || {
        app.cloud.accepted() == u64::try_from(MESSAGES).unwrap()
            && app.cloud.webhooks_pending() == 0
            && app.relay.scheduler.pending() == 0
    })
    .await;
    app.settled().await;
    assert!(app.relay.clock.now() - start < TimeDelta::hours(48), "two days are enough");
    assert!(day_one < u64::try_from(MESSAGES).unwrap());

    assert_eq!(app.cloud.accepted(), u64::try_from(MESSAGES).unwrap(), "none lost, none twice");
    let metrics = app.relay.metrics.encode();
    let refused = r#"wabridge_graph_calls_total{kind="send",outcome="failed"}"#;
    assert!(!metrics.contains(refused), "Meta refused none for a limit: {metrics}");
    within_metas_limits(&app);
    let mut order: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    (0..MESSAGES).for_each(|n| order.entry(recipient(n)).or_default().push(n));
    for (index, expected) in order {
        let received = app.cloud.received(PHONE_ID, &number(index));
        let value = |body: &serde_json::Value| {
            body["template"]["components"][0]["parameters"][0]["text"]
                .as_str()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        let received: Vec<usize> = received.iter().map(|message| value(&message.body)).collect();
        assert_eq!(received, expected, "in order to {}", number(index));
    }
    for id in &ids {
        let told = app.portal.sms_statuses(id);
        assert_eq!(told.last().map(String::as_str), Some("delivered"));
        assert!(
            told.iter().skip_while(|state| *state == "sent").all(|state| state == "delivered"),
            "{told:?}"
        );
    }
    let phone = app.api.get(&format!("/phones/{}", app.phone_id())).await;
    assert_eq!(phone["waiting"], 0);
    app.stop().await;
}

/// Counted from what WhatsApp has got, by its own clock and without a word of the bridge's: people within any 24
/// hours, messages of the number within any second, and to one person a burst of 45 and one in six seconds.
fn within_metas_limits(app: &TestApp) {
    let mut sends: Vec<(DateTime<Utc>, usize)> = Vec::new();
    for person in 0..NUMBERS {
        let times: Vec<DateTime<Utc>> =
            app.cloud.received(PHONE_ID, &number(person)).iter().map(|message| message.at).collect();
        let mut level = 0.0;
        for (at, before) in times.iter().zip([None].into_iter().chain(times.iter().map(Some))) {
            let passed = before.map_or(0, |before| (*at - *before).num_milliseconds());
            level = (level - passed as f64 / 6_000.0).max(0.0) + 1.0;
            assert!(level <= 45.0, "{level} at once to {}", number(person));
        }
        sends.extend(times.into_iter().map(|at| (at, person)));
    }
    sends.sort_unstable();
    assert_eq!(sends.len(), MESSAGES);
    let (mut of_day, mut most) = (0, 0);
    let mut people: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, person) in &sends {
        *people.entry(*person).or_default() += 1;
        while *at - sends[of_day].0 >= TimeDelta::hours(24) {
            let left = people.get_mut(&sends[of_day].1).unwrap();
            *left -= 1;
            if *left == 0 {
                people.remove(&sends[of_day].1);
            }
            of_day += 1;
        }
        assert!(people.len() <= A_DAY, "{} people within 24 hours before {at}", people.len());
        most = most.max(people.len());
    }
    assert_eq!(most, A_DAY, "the limit is used");
    let mut first = 0;
    for (index, (at, _)) in sends.iter().enumerate() {
        while *at - sends[first].0 >= TimeDelta::seconds(1) {
            first += 1;
        }
        assert!(index - first < 80, "{} within the second before {at}", index - first + 1);
    }
}
