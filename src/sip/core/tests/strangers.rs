//! Who is neither Meta nor a trunk: what floods, silence and forged addresses cost.

use super::meta::MetaCall;
use super::pair::*;
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
    let held = pair.end.counts().servers;
    assert!((5000..5100).contains(&held), "{held} of 12,000 are held");
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
