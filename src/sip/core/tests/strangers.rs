//! Who is neither Meta nor a trunk: what floods, silence and forged addresses cost.

use super::meta::MetaCall;
use super::pair::*;
use crate::domain::call::ScannerAnswer;
use crate::sip::core::*;

impl Pair {
    /// A connection from this address, which is in no network of Meta's.
    fn from(&mut self, address: &str) -> ConnId {
        self.stranger_at(address, Origin::Stranger)
    }

    /// So many INVITEs for a number of ours, whose challenges nobody answers.
    fn flood(&mut self, conn: ConnId, count: usize) {
        for _ in 0..count {
            let call = MetaCall::new(self, conn);
            self.over(conn, &call.invite(""));
        }
    }

    fn count(&self, status: u16) -> usize {
        self.at_meta.iter().filter(|msg| msg.status() == status).count()
    }
}

#[test]
fn who_leaves_challenges_unanswered_is_silenced_and_others_are_not() {
    let mut pair = Pair::new();
    let (flooding, other) = (pair.from("203.0.113.9:4000"), pair.from("203.0.113.10:4000"));
    pair.flood(flooding, 1000);
    assert_eq!(pair.count(407), 201);
    pair.flood(other, 1);
    assert_eq!(pair.count(407), 202);
    assert!(pair.events.is_empty(), "none of it is a call");
}

#[test]
fn who_proves_itself_may_call_as_often_as_it_likes_from_wherever() {
    let mut pair = Pair::with(|config| config.max_calls_per_minute = 100_000);
    let conn = pair.from("203.0.113.9:4000");
    for _ in 0..300 {
        let mut call = MetaCall::new(&mut pair, conn);
        pair.prove(&mut call);
        assert_eq!((pair.meta().status(), pair.pbx().method()), (100, "INVITE"));
    }
}

#[test]
fn a_flood_from_many_addresses_leaves_room_for_meta() {
    let mut pair = Pair::with(|config| config.max_calls = 10);
    for number in 0..60 {
        let conn = pair.from(&format!("203.0.113.{number}:4000"));
        pair.flood(conn, 200);
    }
    assert_eq!(pair.count(407), 12_000);
    assert_eq!(pair.end.counts().servers, 0, "of none anything is kept");
    pair.at_meta.clear();
    pair.call_in();
}

#[test]
fn a_datagram_whose_sender_may_be_forged_is_answered_once_and_not_kept() {
    let mut pair = Pair::new();
    let invite = "INVITE sip:1@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1\r\n\
                  From: <sip:a@b>;tag=1\r\nTo: <sip:1@10.0.0.9>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
                  Contact: <sip:a@b>\r\nContent-Length: 0\r\n\r\n";
    let peer = "198.51.100.7:5060".parse().unwrap();
    pair.input(Input::Datagram { peer, trunk: None, bytes: invite.as_bytes().to_vec() });
    pair.seconds(40);
    let answers: Vec<u16> = pair.at_pbx.iter().map(Msg::status).collect();
    assert_eq!(answers, [403]);
    assert_eq!(pair.end.counts().servers, 0);
}

#[test]
fn a_silent_connection_from_elsewhere_is_closed_after_a_minute_unless_it_has_called() {
    let mut pair = Pair::new();
    let silent = pair.from("203.0.113.9:4000");
    let mut call = MetaCall::new(&mut pair, silent);
    call.conn = pair.from("203.0.113.10:4000");
    let (call, invite) = pair.place(call);
    pair.pbx_replies(&invite, 486, "", "");
    pair.seconds(61);
    assert_eq!(pair.closed, [silent]);
    pair.seconds(900);
    assert_eq!(pair.closed, [silent, call.conn]);
}

#[test]
fn every_failure_of_a_stranger_counts_and_nothing_is_kept_of_it() {
    type Change = fn(&MetaCall) -> String;
    let changes: [(u16, Change); 4] = [
        (481, |call| call.request("BYE", &call.uri, "none", 1, &call.branch, "", "")),
        (481, MetaCall::cancel),
        (483, |call| call.invite("").replace("Max-Forwards: 69", "Max-Forwards: 0")),
        (420, |call| call.invite("Require: 100rel\r\n")),
    ];
    for (status, change) in changes {
        let mut pair = Pair::new();
        let conn = pair.from("203.0.113.9:4000");
        for _ in 0..300 {
            let call = MetaCall::new(&mut pair, conn);
            pair.over(conn, &change(&call));
        }
        assert_eq!((pair.count(status), pair.at_meta.len()), (20, 20));
        assert_eq!(pair.end.counts().servers, 0);
    }
}

#[test]
fn names_of_transactions_and_dialogs_have_a_longest_length() {
    let long = "x".repeat(30_000);
    for (name, value) in
        [("branch=z9hG4bK", "branch=z9hG4bK"), ("Call-ID: ", "Call-ID: "), (";tag=5", ";tag=5")]
    {
        let mut pair = Pair::new();
        let conn = pair.meta_connects();
        let call = MetaCall::new(&mut pair, conn);
        pair.over(conn, &call.invite("").replacen(name, &format!("{value}{long}"), 1));
        assert_eq!(pair.meta().status(), 400, "{name}");
        assert_eq!(pair.end.counts().servers, 0);
    }
}

#[test]
fn silence_hides_us_from_whoever_is_not_meta() {
    let mut pair = Pair::with(|config| config.scanners = ScannerAnswer::Silence);
    let (stranger, meta) = (pair.from("203.0.113.9:4000"), pair.meta_connects());
    let mut unknown = MetaCall::new(&mut pair, stranger);
    unknown.uri = format!("sip:+4930123456@{HOST};transport=tls");
    let register = |call: &MetaCall| call.request("REGISTER", &call.uri, "", 1, &call.branch, "", "");
    for text in [unknown.invite(""), register(&unknown), unknown.cancel()] {
        pair.over(stranger, &text);
        pair.quiet();
    }
    let call = MetaCall::new(&mut pair, stranger);
    pair.over(stranger, &call.invite(""));
    let challenge = pair.at_meta.pop_back().unwrap();
    pair.at_meta.clear();
    let mut call = MetaCall::new(&mut pair, stranger);
    call.branch = "z9hG4bKguess".into();
    pair.over(stranger, &call.invite(&MetaCall::credentials(&challenge, "guess")));
    assert_eq!(pair.meta().status(), 100);
    pair.quiet();
    assert_eq!(pair.end.counts().servers, 0);
    let mut unknown = MetaCall::new(&mut pair, meta);
    unknown.uri = format!("sip:+4930123456@{HOST};transport=tls");
    pair.over(meta, &unknown.invite(""));
    assert_eq!(pair.meta().status(), 404);
    pair.over(meta, &register(&unknown));
    assert_eq!(pair.meta().status(), 405);
}

#[test]
fn who_is_silenced_may_still_take_back_a_call() {
    let mut pair = Pair::new();
    let (first, second) = (pair.from("203.0.113.9:4000"), pair.from("203.0.113.9:4001"));
    let call = MetaCall::new(&mut pair, first);
    let (call, invite) = pair.place(call);
    pair.pbx_replies(&invite, 180, "", "");
    assert_eq!(pair.meta().status(), 180);
    for _ in 0..100 {
        let nobody = MetaCall::new(&mut pair, second);
        pair.over(second, &nobody.cancel());
    }
    pair.at_meta.clear();
    pair.over(second, &call.cancel());
    assert_eq!((pair.meta().status(), pair.meta().status()), (200, 487));
    assert_eq!(pair.pbx().method(), "CANCEL");
}
