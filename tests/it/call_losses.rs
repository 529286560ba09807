//! Calls that run when the bridge ends: what their records say of how long they lasted.

use chrono::TimeDelta;
use wabridge::clock::{Clock, ManualClock};
use wabridge::domain::call::{CallMoment, EndCause, EndedBy};
use wabridge::store::calls;

use crate::support::calls::{answered, end, forwarded};
use crate::support::{Options, PHONE_ID, TestApp, anna};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_left_open_by_a_crash_are_closed_as_lost() {
    let mut app = TestApp::with_calls().await;
    let mut calls: Vec<_> = (0..3).map(|_| app.customer_calls(&anna())).collect();
    app.goes_on(&mut calls[1], vec![forwarded(), CallMoment::Ringing]);
    app.goes_on(&mut calls[2], vec![forwarded(), answered(None)]);
    app.call_is(&calls[2], "answered").await;
    app.crash().await;
    for call in &calls {
        let row = app.call_is(call, "ended").await;
        assert_eq!((row.end_cause.as_deref(), row.ended_by.as_deref()), (Some("lost"), Some("bridge")));
    }
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert!(card.end.is_some());
    app.settled().await;
    assert!(app.portal.cards().iter().all(|card| card.end.is_some()), "{:#?}", app.portal.cards());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_the_bridge_was_away_is_no_talk() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let options = Options { clock: Some(hand), ..Options::default() };
    let mut app = TestApp::with_calls_and(options).await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None)]);
    app.call_is(&call, "answered").await;
    app.advance(TimeDelta::seconds(32));
    let alive = app.clock.now().naive_utc();
    app.eventually("the call shows life", async || {
        let open = app.relay.db.read(calls::open).await.unwrap();
        open.iter().any(|(_, seen)| *seen == Some(alive)).then_some(())
    })
    .await;
    app.go_down().await;
    app.advance(TimeDelta::minutes(40));
    app.boot().await;
    let row = app.call_is(&call, "ended").await;
    assert_eq!((row.end_cause.as_deref(), row.seconds()), (Some("lost"), Some(30)));
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert_eq!(card.end.unwrap().duration, 30);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metas_end_stands_for_one_that_nobody_here_saw() {
    let mut app = TestApp::with_calls().await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None)]);
    app.call_is(&call, "answered").await;
    app.cloud.call_terminated(PHONE_ID, &anna(), &call.wacid, true, Some(7), &[]);
    app.webhooks_taken().await;
    app.eventually("Meta's end is known", async || {
        let shown = app.api.get(&format!("/calls/{}", call.id)).await;
        (shown["meta_duration"] == 7).then_some(())
    })
    .await;
    app.crash().await;
    app.call_is(&call, "ended").await;
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert_eq!(card.end.unwrap().duration, 7);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_the_edge_are_written_at_a_stop() {
    let mut app = TestApp::with_calls().await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None)]);
    app.call_is(&call, "answered").await;
    app.goes_on(&mut call, vec![end(EndedBy::Bridge, EndCause::Stopped)]);
    app.restart().await;
    let row = app.call_is(&call, "ended").await;
    assert_eq!(row.end_cause.as_deref(), Some("stopped"));
    app.stop().await;
}
