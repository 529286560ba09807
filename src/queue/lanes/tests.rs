//! Facts about the order of work.

use chrono::Duration;

use super::*;

const TAKE: Take = Take { parallel: 4, jobs: 1, files: 1, newcomers: 1 };

fn now() -> DateTime<Utc> {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn offer(seq: i64, lane: &str) -> Offer {
    offer_of(seq, lane, "message", "line:p1")
}

fn offer_of(seq: i64, lane: &str, kind: &str, queue: &str) -> Offer {
    Offer {
        id: format!("j{seq}"),
        kind: kind.into(),
        queue: queue.into(),
        lane: lane.into(),
        seq,
        not_before: None,
    }
}

fn ids(claim: &Claim) -> Vec<&str> {
    claim.jobs.iter().map(|job| job.id.as_str()).collect()
}

#[test]
fn what_an_operator_writes_does_not_stand_behind_what_robots_send() {
    let mut lanes = Lanes::default();
    let sms = (0..5).map(|seq| offer_of(seq, &format!("out:{seq}"), "sms", "send:p1"));
    lanes.offer(sms.collect());
    lanes.offer(vec![offer_of(9, "out:9", "send", "send:p1")]);
    assert_eq!(ids(&lanes.claim(Class::Send, TAKE, now()).unwrap()), ["j9"]);
    assert_eq!(ids(&lanes.claim(Class::Send, TAKE, now()).unwrap()), ["j0"]);
}

#[test]
fn a_queue_that_rests_goes_on_by_itself_and_with_all_its_room() {
    let mut lanes = Lanes::default();
    lanes.offer((0..2).map(|seq| offer_of(seq, &format!("out:{seq}"), "send", "send:p1")).collect());
    lanes.set_pace("send:p1", 80);
    while lanes.admit("send:p1", now()).is_ok() {}
    lanes.resume("send:p1");
    assert_eq!(lanes.claim(Class::Send, TAKE, now()), None);
    let until = lanes.next_due(Class::Send, TAKE).unwrap();
    assert!(until > now() && lanes.is_quiet(Class::Send, now()));
    assert!(lanes.claim(Class::Send, TAKE, until).is_some());
    assert!(lanes.claim(Class::Send, TAKE, until).is_some());
}

#[test]
fn a_job_takes_its_place_in_the_pace_when_it_is_claimed() {
    let mut lanes = Lanes::default();
    let jobs = (0..50).map(|seq| offer_of(seq, &format!("out:{seq}"), "sms", "send:p1"));
    lanes.offer(jobs.collect());
    lanes.set_pace("send:p1", 80);
    let claimed = (0..50).take_while(|_| lanes.claim(Class::Send, TAKE, now()).is_some()).count();
    assert_eq!(claimed, 20, "as many at once as the other side takes, whatever else may run at once");
    assert!(lanes.admit("send:p1", now()).is_err());
}

#[test]
fn a_lane_runs_one_job_at_a_time_in_the_order_of_commit() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(2, "a"), offer(1, "a"), offer(3, "b")]);
    let first = lanes.claim(Class::Line, TAKE, now()).unwrap();
    assert_eq!(ids(&first), ["j1"]);
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, now()).unwrap()), ["j3"]);
    assert_eq!(lanes.claim(Class::Line, TAKE, now()), None);
    lanes.settle(&first.jobs[0].lane, "j1", None);
    lanes.release("line:p1");
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, now()).unwrap()), ["j2"]);
}

#[test]
fn a_batch_takes_one_job_of_each_lane_one_family_and_one_file() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![
        offer(1, "a"),
        offer(2, "a"),
        offer_of(3, "b", "file", "line:p1"),
        offer_of(4, "c", "file", "line:p1"),
        offer_of(5, "d", "update", "line:p1"),
        offer_of(6, "e", "note", "line:p1"),
    ]);
    let take = Take { parallel: 1, jobs: 50, files: 1, newcomers: 5 };
    assert_eq!(ids(&lanes.claim(Class::Line, take, now()).unwrap()), ["j1", "j3", "j6"]);
    assert_eq!(lanes.claim(Class::Line, take, now()), None, "one claim of the queue at a time");
}

#[test]
fn a_job_that_waits_holds_its_own_lane_only() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a"), offer(2, "a"), offer(3, "b")]);
    let claim = lanes.claim(Class::Line, TAKE, now()).unwrap();
    let later = now() + Duration::seconds(5);
    lanes.settle(&claim.jobs[0].lane, "j1", Some(Some(later)));
    lanes.release("line:p1");
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, now()).unwrap()), ["j3"]);
    assert_eq!(lanes.next_due(Class::Line, TAKE), Some(later));
    assert_eq!(lanes.claim(Class::Line, TAKE, now()), None);
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, later).unwrap()), ["j1"]);
}

#[test]
fn a_paused_queue_sends_one_probe_and_holds_no_other_queue() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a"), offer(2, "b"), offer_of(3, "c", "send", "send:p1")]);
    let claim = lanes.claim(Class::Line, TAKE, now()).unwrap();
    let until = lanes.pause("line:p1", None, now());
    lanes.settle(&claim.jobs[0].lane, "j1", Some(None));
    lanes.release("line:p1");
    assert_eq!(lanes.claim(Class::Line, TAKE, now()), None);
    assert!(lanes.claim(Class::Send, TAKE, now()).is_some());
    assert_eq!(lanes.next_due(Class::Line, TAKE), Some(until));
    assert!(lanes.claim(Class::Line, TAKE, until).is_some());
    assert_eq!(lanes.claim(Class::Line, TAKE, until), None, "the probe goes alone");
    lanes.resume("line:p1");
    assert!(lanes.claim(Class::Line, TAKE, until).is_some());
}

#[test]
fn a_waiting_job_can_be_woken() {
    let mut lanes = Lanes::default();
    let mut waiting = offer(1, "a");
    waiting.not_before = Some(now() + Duration::seconds(10));
    lanes.offer(vec![waiting]);
    assert_eq!(lanes.claim(Class::Line, TAKE, now()), None);
    assert_eq!(lanes.wake("a", "j1"), Some(Class::Line));
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, now()).unwrap()), ["j1"]);
    assert_eq!(lanes.next_due(Class::Line, TAKE), None);
}

#[test]
fn a_full_queue_is_not_due_before_a_claim_of_it_ends() {
    let take = Take { parallel: 1, ..TAKE };
    let mut lanes = Lanes::default();
    let mut waiting = offer(2, "b");
    waiting.not_before = Some(now() + Duration::seconds(1));
    lanes.offer(vec![offer(1, "a"), waiting]);
    let claim = lanes.claim(Class::Line, take, now()).unwrap();
    let later = now() + Duration::seconds(5);
    assert_eq!(lanes.claim(Class::Line, take, later), None);
    assert_eq!(lanes.next_due(Class::Line, take), None, "looking again would find nothing");
    lanes.settle(&claim.jobs[0].lane, "j1", None);
    lanes.release("line:p1");
    assert_eq!(lanes.next_due(Class::Line, take), Some(now() + Duration::seconds(1)));
    assert!(lanes.claim(Class::Line, take, later).is_some());
}

#[test]
fn a_paused_queue_is_due_at_the_end_of_its_pause() {
    let mut lanes = Lanes::default();
    let mut waiting = offer(1, "a");
    waiting.not_before = Some(now() + Duration::milliseconds(1));
    lanes.offer(vec![waiting]);
    let until = lanes.pause("line:p1", Some(Duration::seconds(9)), now());
    assert_eq!(until, now() + Duration::seconds(9));
    assert_eq!(lanes.next_due(Class::Line, TAKE), Some(until));
    lanes.offer(vec![offer(2, "b")]);
    assert_eq!(lanes.next_due(Class::Line, TAKE), Some(until));
    assert_eq!(lanes.claim(Class::Line, TAKE, until - Duration::milliseconds(1)), None);
    assert!(lanes.claim(Class::Line, TAKE, until).is_some());
}

#[test]
fn calls_that_fail_together_lengthen_the_pause_once_and_never_shorten_it() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a")]);
    let until = lanes.pause("line:p1", Some(Duration::seconds(60)), now());
    for _ in 0..16 {
        assert_eq!(lanes.pause("line:p1", None, now()), until);
    }
    assert_eq!(lanes.pause("line:p1", None, until), until + policy::circuit_delay(1));
}

#[test]
fn a_queue_that_is_held_tells_what_it_waits_for() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a")]);
    lanes.hold("line:p1", "no line".into(), Duration::seconds(30), now());
    assert_eq!(lanes.held(), [("line:p1".to_owned(), "no line".to_owned())]);
    lanes.resume("line:p1");
    assert!(lanes.held().is_empty() && lanes.claim(Class::Line, TAKE, now()).is_some());
}

#[test]
fn known_lanes_do_not_stand_behind_newcomers() {
    let take = Take { parallel: 1, jobs: 3, files: 1, newcomers: 1 };
    let mut lanes = Lanes::default();
    lanes.offer((1..=4).map(|seq| offer(seq, &format!("new{seq}"))).collect());
    lanes.offer(vec![offer(5, "old")]);
    (1..=4).for_each(|seq| lanes.set_aside(&format!("new{seq}")));
    let claim = lanes.claim(Class::Line, take, now()).unwrap();
    assert_eq!(ids(&claim), ["j1", "j5"]);
    for job in &claim.jobs {
        lanes.settle(&job.lane, &job.id, None);
    }
    lanes.release("line:p1");
    lanes.offer(vec![offer(6, "new1")]);
    assert_eq!(ids(&lanes.claim(Class::Line, take, now()).unwrap()), ["j2", "j6"]);
}

#[test]
fn a_late_end_of_a_run_that_was_broken_off_lets_no_second_job_of_the_lane_run() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a"), offer(2, "a"), offer(3, "a")]);
    let first = lanes.claim(Class::Line, TAKE, now()).unwrap();
    lanes.settle(&first.jobs[0].lane, "j1", None);
    assert_eq!(ids(&lanes.claim(Class::Line, TAKE, now()).unwrap()), ["j2"]);
    lanes.settle(&first.jobs[0].lane, "j1", Some(None));
    assert_eq!(lanes.claim(Class::Line, TAKE, now()), None);
}

#[test]
fn queues_take_turns() {
    let mut lanes = Lanes::default();
    for seq in 0..6 {
        let queue = if seq < 4 { "send:p1" } else { "send:p2" };
        lanes.offer(vec![offer_of(seq, &format!("l{seq}"), "send", queue)]);
    }
    let claims: Vec<_> = (0..4).map(|_| lanes.claim(Class::Send, TAKE, now()).unwrap().queue).collect();
    let second = claims.iter().filter(|queue| &***queue == "send:p2").count();
    assert_eq!(second, 2, "{claims:?}");
}

#[test]
fn a_forgotten_lane_is_gone() {
    let mut lanes = Lanes::default();
    lanes.offer(vec![offer(1, "a"), offer(2, "a")]);
    lanes.forget("a");
    assert_eq!((lanes.pending(), lanes.claim(Class::Line, TAKE, now())), (0, None));
}
