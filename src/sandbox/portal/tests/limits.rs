//! Rate, operating time, batch and the faults of calls.

use std::collections::BTreeMap;

use chrono::{Duration, TimeZone, Utc};
use serde_json::{Value, json};

use super::super::{FaultKind, Faults, PortalOptions};
use super::rig::{DEADLINE, Rig, free, message, messages, same_shape, sample};
use crate::clock::{Clock, ManualClock};

fn standing_clock() -> (ManualClock, Clock) {
    let hand = ManualClock::starting_at(Utc.with_ymd_and_hms(2026, 1, 2, 12, 0, 0).unwrap());
    (hand.clone(), Clock::Manual(hand))
}

#[tokio::test]
async fn the_bucket_blocks_above_fifty_and_drains_two_a_second() {
    let (hand, clock) = standing_clock();
    let rig = Rig::new(PortalOptions { clock, ..PortalOptions::default() }).await;
    for _ in 0..50 {
        rig.ok("profile", json!({})).await;
    }
    assert_eq!(rig.refused("profile", json!({})).await, (503, "QUERY_LIMIT_EXCEEDED".to_owned()));
    hand.advance(Duration::seconds(1));
    rig.ok("profile", json!({})).await;
    rig.ok("profile", json!({})).await;
    assert_eq!(rig.refused("profile", json!({})).await.0, 503);
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_method_that_used_its_time_is_blocked_until_the_window_passes() {
    let (hand, clock) = standing_clock();
    let options = PortalOptions { clock, operating_budget_s: 2.0, operating_cost_s: 1.5, ..free() };
    let rig = Rig::new(options).await;
    rig.ok("profile", json!({})).await;
    let (_, answer) = rig.call("profile", json!({})).await;
    assert_eq!(answer["time"]["operating"], 3.0);
    let reset = answer["time"]["operating_reset_at"].as_i64().unwrap();
    assert_eq!(rig.refused("profile", json!({})).await, (429, "OPERATION_TIME_LIMIT".to_owned()));
    rig.ok("scope", json!({})).await;
    hand.advance(Utc.timestamp_opt(reset, 0).unwrap() - clock_now(&hand));
    rig.ok("profile", json!({})).await;
    rig.portal.stop().await;
}

fn clock_now(hand: &ManualClock) -> chrono::DateTime<Utc> {
    Clock::Manual(hand.clone()).now()
}

#[tokio::test]
async fn a_batch_is_one_hit_with_a_verdict_per_command() {
    let (_, clock) = standing_clock();
    let rig = Rig::new(PortalOptions { clock, rate: Some((2.0, 1.0)), ..PortalOptions::default() }).await;
    let body = json!({"halt": 0, "cmd": {
        "a": "imopenlines.config.add?PARAMS%5BLINE_NAME%5D=separator_1",
        "b": "no.such.method",
        "c": "imopenlines.config.get?CONFIG_ID=$result[a]",
        "d": "batch?cmd%5Bx%5D=profile",
        "e": 5,
    }});
    let (status, answer) = rig.call("batch", body).await;
    let result = &answer["result"];
    assert_eq!((status, &result["result"]["c"]["LINE_NAME"]), (200, &json!("separator_1")));
    assert_eq!(result["result_error"]["b"]["error"], "ERROR_METHOD_NOT_FOUND");
    assert_eq!(result["result_error"]["d"]["error"], "ERROR_BATCH_METHOD_NOT_ALLOWED");
    assert!(result["result"].get("e").is_none() && result["result_error"].get("e").is_none());
    assert_eq!(rig.refused("batch", json!({})).await.0, 503, "the first batch was the one hit");
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_batch_has_the_documented_shape_and_stops_when_asked() {
    let rig = Rig::new(free()).await;
    rig.ok("batch", json!({"cmd": {"a": "profile", "b": "none"}})).await;
    let (_, answer) = rig.call("batch", json!({"halt": 1, "cmd": ["none", "profile"]})).await;
    assert_eq!(answer["result"]["result"], json!([]));
    let many: BTreeMap<String, Value> = (0..51).map(|n| (format!("k{n:02}"), json!("scope"))).collect();
    let (_, answer) = rig.call("batch", json!({"cmd": many})).await;
    assert_eq!(answer["result"]["result_error"]["k50"]["error"], "ERROR_BATCH_LENGTH_EXCEEDED");
    assert_eq!(answer["result"]["result"].as_object().unwrap().len(), 50);
    rig.portal.stop().await;
}

#[tokio::test]
async fn faults_before_and_after_execution_differ_in_what_the_portal_holds() {
    let (rig, line) = Rig::with_line(free()).await;
    let url = format!("{}imconnector.send.messages", rig.portal.client_endpoint());
    let send = async |id: &str| {
        let body = messages(&line, vec![message(id, id)]);
        rig.http.post(&url).bearer_auth(&rig.token).json(&body).send().await
    };
    let kinds = [FaultKind::DropBefore, FaultKind::DropAfter];
    for kind in kinds {
        rig.portal.plan_fault(kind, Some("imconnector.send.messages"), 1);
        assert!(send(&format!("{kind:?}")).await.is_err(), "{kind:?} gives no answer");
    }
    for (kind, status) in
        [(FaultKind::Status500, 500), (FaultKind::Status502, 502), (FaultKind::Status503, 503)]
    {
        rig.portal.plan_fault(kind, None, 1);
        let answer = send("html").await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.text().await.unwrap().starts_with("<html>"));
    }
    let hang = Faults { hang_seconds: 1, ..Faults::default() };
    rig.portal.set_faults(hang);
    rig.portal.plan_fault(FaultKind::Hang, None, 1);
    assert!(send("hang").await.is_err());
    for (kind, status) in
        [(FaultKind::QueryLimit, 503), (FaultKind::OperationLimit, 429), (FaultKind::ExpiredToken, 401)]
    {
        rig.portal.plan_fault(kind, None, 1);
        let answer = send("json").await.unwrap();
        assert_eq!(answer.status(), status);
        same_shape("error", &sample("answers", "error"), &answer.json().await.unwrap());
    }
    let texts: Vec<_> = rig.portal.conversation(&line, "15550001111").into_iter().map(|e| e.text).collect();
    assert_eq!(texts, ["DropAfter"]);
    assert_eq!(rig.portal.call_count("imconnector.send.messages"), 9);
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_portal_that_is_down_cuts_every_connection() {
    let rig = Rig::new(free()).await;
    rig.portal.set_faults(Faults { down: true, ..Faults::default() });
    let url = format!("{}profile", rig.portal.client_endpoint());
    assert!(rig.http.get(&url).send().await.is_err());
    rig.portal.set_faults(Faults::default());
    rig.ok("profile", json!({})).await;
    rig.portal.stop().await;
}

#[tokio::test]
async fn items_fail_and_files_vanish_on_demand() {
    let (rig, line) = Rig::with_line(free()).await;
    rig.portal.plan_fault(FaultKind::ItemFails, None, 1);
    let items = vec![message("1", "a"), message("2", "b")];
    let (_, answer) = rig.call("imconnector.send.messages", messages(&line, items)).await;
    let verdicts: Vec<_> = answer["result"]["DATA"]["RESULT"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["SUCCESS"].as_bool().unwrap())
        .collect();
    assert_eq!(verdicts, [false, true]);
    rig.portal.plan_fault(FaultKind::FileDropped, None, 1);
    let mut item = message("3", "c");
    let url = format!("{}/picture", rig.bridge.url);
    item["message"]["files"] = json!([{"url": url}, {"url": url}]);
    rig.call("imconnector.send.messages", messages(&line, vec![item])).await;
    assert_eq!(rig.portal.conversation(&line, "15550001111")[1].files.len(), 1);
    rig.portal.stop().await;
}

#[tokio::test]
async fn calls_and_events_are_shown_without_tokens_and_a_quiet_portal_keeps_nothing() {
    let rig = Rig::new(free()).await;
    let mut feed = rig.portal.subscribe_events();
    let url = format!("{}profile?auth={}", rig.portal.client_endpoint(), rig.token);
    rig.http.get(&url).send().await.unwrap();
    let seen = feed.recv().await.unwrap();
    assert_eq!((&seen["kind"], &seen["method"]), (&json!("call"), &json!("profile")));
    assert!(!seen.to_string().contains(&rig.token));
    assert_eq!(rig.portal.calls("profile").len(), 1);
    rig.portal.stop().await;

    let rig = Rig::new(PortalOptions { quiet: true, ..free() }).await;
    rig.ok("profile", json!({})).await;
    assert_eq!((rig.portal.calls("profile").len(), rig.portal.call_count("profile")), (0, 1));
    rig.portal.stop().await;
}

#[tokio::test]
async fn one_call_at_a_time_holds_a_chat() {
    let (rig, line) = Rig::with_line(free()).await;
    let mut slow = message("1", "first");
    slow["message"]["files"] = json!([{"url": format!("{}/slow", rig.bridge.url)}]);
    let first = rig.call("imconnector.send.messages", messages(&line, vec![slow]));
    let second = async {
        assert!(rig.portal.wait_until(DEADLINE, |portal| !portal.inner.state().busy.is_empty()).await);
        rig.bridge.release.notify_one();
        rig.call("imconnector.send.messages", messages(&line, vec![message("2", "second")])).await
    };
    tokio::join!(first, second);
    let texts: Vec<_> = rig.portal.conversation(&line, "15550001111").into_iter().map(|e| e.text).collect();
    assert_eq!(texts, ["first", "second"]);
    rig.portal.stop().await;
}
