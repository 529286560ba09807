//! Several targets of one trunk: which is called after which, and what each of them asks for.

use super::pair::*;
use crate::domain::call::{EndCause, EndedBy};

#[test]
fn the_next_target_is_tried_when_one_is_dead_silent_or_overloaded() {
    let uris = ["sip:dead:5060;transport=tcp", "sip:10.0.0.1:5060", "sip:10.0.0.2:5060", "sip:10.0.0.3:5060"];
    let mut pair = Pair::with(|config| config.trunks = vec![trunk(&uris)]);
    pair.dead.insert("dead".into());
    let (_, invite) = pair.call_in();
    assert_eq!(invite.uri(), "sip:100@10.0.0.1:5060", "a refused connection fails at once");
    pair.seconds(3);
    let repeated = pair.at_pbx.iter().filter(|msg| msg.uri() == "sip:100@10.0.0.1:5060").count();
    assert_eq!(repeated, 2, "a silent one is repeated to and given up after three seconds");
    let second = pair.at_pbx.pop_back().unwrap();
    assert_eq!(second.uri(), "sip:100@10.0.0.2:5060");
    assert_ne!(second.get("Call-ID"), invite.get("Call-ID"));
    pair.at_pbx.clear();
    pair.pbx_sends(&second.reply(503, "x", "", ""));
    assert_eq!(pair.pbx().method(), "ACK");
    let third = pair.pbx();
    assert_eq!(third.uri(), "sip:100@10.0.0.3:5060");
    pair.quiet();
    pair.pbx_replies(&third, 486, "", "");
    assert_eq!(pair.meta().status(), 486);
    assert_eq!(pair.ended().cause, EndCause::Declined);
}

#[test]
fn when_no_target_answers_meta_gets_480() {
    let mut pair = Pair::with(|config| config.trunks = vec![trunk(&["sip:a;transport=tcp", "sip:10.0.0.1"])]);
    pair.dead.insert("a".into());
    let (_, _) = pair.call_in();
    pair.seconds(3);
    assert_eq!(pair.meta().status(), 480);
    let end = pair.ended();
    assert_eq!((end.cause, end.by), (EndCause::TrunkUnreachable, EndedBy::Bridge));
    pair.assert_clean();
}

#[test]
fn an_answer_of_a_target_that_was_given_up_is_hung_up() {
    let mut pair = Pair::with(|config| config.trunks = vec![trunk(&["sip:10.0.0.1", "sip:10.0.0.2"])]);
    let (_, first) = pair.call_in();
    pair.seconds(3);
    pair.at_pbx.clear();
    pair.pbx_replies(&first, 180, "", "");
    assert_eq!(pair.pbx().method(), "CANCEL");
    pair.pbx_replies(&first, 200, "", PBX_SDP);
    assert_eq!((pair.pbx().method(), pair.pbx().method()), ("ACK", "BYE"));
    assert!(pair.at_meta.is_empty());
}

#[test]
fn each_target_of_a_trunk_may_challenge_us() {
    let mut pair = Pair::with(|config| {
        config.trunks = vec![trunk(&["sip:10.0.0.1", "sip:10.0.0.2"])];
        config.trunks[0].login = Some(login("bridge"));
    });
    let (_, invite) = pair.call_in();
    let challenge = |nonce: &str| {
        format!("WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"{nonce}\",qop=\"auth\"\r\n")
    };
    pair.pbx_sends(&invite.reply(401, "x", &challenge("of-a"), ""));
    assert_eq!(pair.pbx().method(), "ACK");
    let proven = pair.pbx();
    pair.pbx_sends(&proven.reply(503, "x", "", ""));
    assert_eq!(pair.pbx().method(), "ACK");
    let second = pair.pbx();
    assert_eq!(second.uri(), "sip:100@10.0.0.2:5060");
    pair.pbx_sends(&second.reply(401, "x", &challenge("of-b"), ""));
    assert_eq!(pair.pbx().method(), "ACK");
    let proven = pair.pbx();
    assert_eq!(proven.digest("Authorization", "nonce"), "of-b");
    pair.pbx_replies(&proven, 180, "", "");
    assert_eq!(pair.meta().status(), 180);
}

#[test]
fn a_target_that_falls_silent_after_its_challenge_is_followed_by_the_next() {
    let mut pair = Pair::with(|config| {
        config.trunks = vec![trunk(&["sip:10.0.0.1", "sip:10.0.0.2"])];
        config.trunks[0].login = Some(login("bridge"));
    });
    let (_, invite) = pair.call_in();
    pair.seconds(2);
    let challenge = "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"n\",qop=\"auth\"\r\n";
    pair.pbx_sends(&invite.reply(401, "x", challenge, ""));
    pair.seconds(2);
    assert!(pair.at_pbx.iter().all(|msg| msg.uri() == "sip:100@10.0.0.1:5060"));
    pair.seconds(1);
    assert_eq!(pair.at_pbx.pop_back().unwrap().uri(), "sip:100@10.0.0.2:5060");
}
