//! Facts about a portal's rate.

use serde_json::Value;

use super::*;

const SEND: &str = "imconnector.send.messages";

fn start() -> DateTime<Utc> {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn at(milliseconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::milliseconds(milliseconds)
}

fn good(operating: f64, reset_in_seconds: i64) -> Result<Answer, CallError> {
    Ok(Answer {
        result: Value::Null,
        next: None,
        total: None,
        operating: Some(operating),
        operating_reset_at: Some(at(reset_in_seconds * 1000).timestamp()),
    })
}

fn refused(http: u16, code: &str) -> Result<Answer, CallError> {
    Err(CallError::Refused { http, code: code.into(), description: String::new() })
}

/// Calls that go in `seconds` when the caller waits exactly as long as it is told.
fn calls_in(governor: &mut Governor, seconds: i64) -> usize {
    let (mut now, mut calls) = (at(0), 0);
    while now < at(seconds * 1000) {
        match governor.admit(now, SEND) {
            Ok(()) => calls += 1,
            Err(wait) => now += TimeDelta::from_std(wait).unwrap(),
        }
    }
    calls
}

#[test]
fn a_burst_goes_at_once_and_then_the_drain_sets_the_pace() {
    for (limits, seconds, expected) in [
        (RateLimits::STANDARD, 0, 0),
        (RateLimits::STANDARD, 60, 45 + 120),
        (RateLimits::ENTERPRISE, 60, 225 + 300),
        (RateLimits { drain_per_second: 2.0, burst: 1.0 }, 10, 1 + 20),
    ] {
        let calls = calls_in(&mut Governor::new(limits, start()), seconds);
        assert!(calls.abs_diff(expected) <= 1, "{limits:?}: {calls}");
    }
}

#[test]
fn the_portal_never_holds_more_than_its_bucket() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    let mut now = at(0);
    let mut portal = (0.0_f64, now);
    for _ in 0..500 {
        while let Err(wait) = governor.admit(now, SEND) {
            now += TimeDelta::from_std(wait).unwrap();
        }
        let elapsed = (now - portal.1).num_microseconds().unwrap() as f64 / 1e6;
        portal = ((portal.0 - 2.0 * elapsed).max(0.0) + 1.0, now);
        assert!(portal.0 <= 50.0);
    }
}

#[test]
fn after_503_it_waits_longer_each_time_until_a_call_succeeds() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    let mut now = at(0);
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        governor.observe(now, SEND, &refused(503, "QUERY_LIMIT_EXCEEDED"));
        let wait = governor.admit(now, SEND).unwrap_err();
        assert_eq!(wait.as_secs(), expected);
        now += TimeDelta::from_std(wait).unwrap();
    }
    governor.observe(now, SEND, &good(1.0, 600));
    governor.observe(now, SEND, &refused(503, "QUERY_LIMIT_EXCEEDED"));
    assert_eq!(governor.admit(now, SEND).unwrap_err().as_secs(), 1);
}

#[test]
fn after_503_the_bucket_counts_as_full() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.observe(at(0), SEND, &refused(503, "QUERY_LIMIT_EXCEEDED"));
    assert!(governor.admit(at(1000), SEND).is_err());
    assert!(governor.admit(at(3001), SEND).is_ok());
    assert!(governor.admit(at(3001), SEND).is_err());
}

#[test]
fn from_80_percent_on_a_method_is_spread_over_what_is_left() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.observe(at(0), "first.seen", &good(400.0, 160));
    assert_eq!(governor.admit(at(0), "first.seen"), Err(Duration::from_secs(2)));
    governor.observe(at(0), SEND, &good(380.0, 300));
    assert_eq!(governor.admit(at(0), SEND), Ok(()));
    governor.observe(at(0), SEND, &good(400.0, 300));
    // 80 s are left, a call costs 20 s: four calls in 300 s, held to a minute at most.
    assert_eq!(governor.admit(at(0), SEND), Err(Duration::from_secs(60)));
    governor.observe(at(0), SEND, &good(402.0, 78));
    assert_eq!(governor.admit(at(0), SEND), Err(Duration::from_secs(2)));
    assert_eq!(governor.admit(at(0), "profile"), Ok(()));
    assert_eq!(governor.admit(at(2000), SEND), Ok(()));
}

#[test]
fn a_spent_method_stands_still_until_its_reset_and_the_others_go_on() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.observe(at(0), SEND, &good(480.0, 45));
    assert_eq!(governor.admit(at(0), SEND), Err(Duration::from_secs(45)));
    assert_eq!(governor.admit(at(0), "profile"), Ok(()));
    assert_eq!(governor.admit(at(45_000), SEND), Ok(()));
}

#[test]
fn a_429_blocks_the_method_until_the_known_reset_or_a_minute() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.observe(at(0), SEND, &refused(429, "OPERATION_TIME_LIMIT"));
    assert_eq!(governor.admit(at(0), SEND), Err(Duration::from_secs(60)));
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.observe(at(0), SEND, &good(300.0, 200));
    governor.observe(at(0), SEND, &refused(429, "OPERATION_TIME_LIMIT"));
    assert_eq!(governor.method_wait(at(0), SEND), Some(Duration::from_secs(200)));
    // The lower limit is learned: now 300 s are the end, not 480.
    governor.observe(at(200_000), SEND, &good(301.0, 260));
    assert_eq!(governor.admit(at(200_000), SEND), Err(Duration::from_secs(60)));
}

#[test]
fn enterprise_is_believed_only_by_its_name() {
    for (license, enterprise) in [
        ("ent", true),
        ("ru_ent10000", true),
        ("en_enterprise", true),
        ("pro100", false),
        ("en_entry", false),
        ("", false),
    ] {
        assert_eq!(RateLimits::for_license(license) == RateLimits::ENTERPRISE, enterprise, "{license}");
    }
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    governor.set_limits(at(0), RateLimits::ENTERPRISE);
    assert!(calls_in(&mut governor, 1).abs_diff(225 + 5) <= 1);
}

/// Calls that a portal with this bucket takes and refuses in `seconds`.
fn against(governor: &mut Governor, drain: f64, burst: f64, seconds: i64) -> (usize, usize) {
    let (mut now, mut level, mut taken, mut refused_calls) = (at(0), 0.0_f64, 0, 0);
    let mut drained_at = now;
    while now < at(seconds * 1000) {
        match governor.admit(now, SEND) {
            Ok(()) => {
                let elapsed = (now - drained_at).num_microseconds().unwrap() as f64 / 1e6;
                (level, drained_at) = ((level - elapsed * drain).max(0.0), now);
                if level + 1.0 > burst {
                    refused_calls += 1;
                    governor.observe(now, SEND, &refused(503, "QUERY_LIMIT_EXCEEDED"));
                } else {
                    level += 1.0;
                    taken += 1;
                    governor.observe(now, SEND, &good(1.0, 600));
                }
            }
            Err(wait) => now += TimeDelta::from_std(wait).unwrap(),
        }
    }
    (taken, refused_calls)
}

#[test]
fn a_larger_bucket_is_learned_from_answers_and_a_smaller_one_costs_one_refusal_an_hour() {
    let learning = || Governor::learning(RateLimits::STANDARD, start());
    let (taken, refused_calls) = against(&mut learning(), 2.0, 50.0, 600);
    assert_eq!(refused_calls, 1);
    assert!(taken.abs_diff(50 + 1200) <= 10, "{taken}");
    let mut governor = learning();
    let (taken, refused_calls) = against(&mut governor, 5.0, 250.0, 600);
    assert_eq!((refused_calls, governor.limits()), (1, RateLimits::ENTERPRISE));
    assert!(taken.abs_diff(250 + 3000) <= 40, "{taken}");
    let mut governor = learning();
    while governor.limits() != RateLimits::NONE {
        governor.admit(at(0), SEND).unwrap();
        governor.observe(at(0), SEND, &good(0.0, 600));
    }
    assert_eq!(governor.admit(at(0), SEND), Ok(()));
}

#[test]
fn a_clock_that_steps_back_opens_nothing() {
    let mut governor = Governor::new(RateLimits::STANDARD, start());
    while governor.admit(at(0), SEND).is_ok() {}
    assert!(governor.admit(at(-60_000), SEND).is_err());
    assert!(governor.admit(at(0), SEND).is_err());
    assert!(governor.admit(at(500), SEND).is_ok());
}
