//! BYEs that are challenged.

use super::pair::*;
use crate::sip::core::*;

const OF_TRUNK: &str =
    "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"n1\",algorithm=MD5,qop=\"auth\"\r\n";
const OF_META: &str =
    "Proxy-Authenticate: Digest realm=\"wa.meta.vc\",nonce=\"n2\",algorithm=SHA-256,qop=\"auth\"\r\n";

fn with_password() -> Pair {
    Pair::with(|config| config.trunks[0].login = Some(login("bridge")))
}

#[test]
fn a_trunk_that_challenges_our_bye_is_answered_once() {
    let mut pair = with_password();
    let (call, ok, ..) = pair.talk();
    let text = call.bye(&mut pair, &ok, "");
    pair.over(call.conn, &text);
    let bye = pair.pbx();
    assert!(!bye.has("Authorization"));
    pair.pbx_sends(&bye.reply(401, "", OF_TRUNK, ""));
    let again = pair.pbx();
    assert_eq!((again.method(), again.seq()), ("BYE", bye.seq() + 1));
    assert_eq!((again.get("Call-ID"), again.get("To")), (bye.get("Call-ID"), bye.get("To")));
    assert_ne!(again.get("Via"), bye.get("Via"), "it is a transaction of its own");
    assert_eq!(again.get("Reason"), bye.get("Reason"));
    let cnonce = again.digest("Authorization", "cnonce");
    let expected = md5_response("bridge", "asterisk", "pw", "BYE", again.uri(), "n1", "00000001", &cnonce);
    assert_eq!(again.digest("Authorization", "response"), expected);
    pair.pbx_sends(&again.reply(401, "", OF_TRUNK, ""));
    assert!(pair.at_pbx.is_empty(), "a second challenge means that the password is wrong");
    pair.assert_clean();
}

#[test]
fn meta_that_challenges_our_bye_is_answered_with_the_phone_s_password() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "BYE", 7, "", "");
    let bye = pair.meta();
    pair.over(call.conn, &bye.reply(407, "", OF_META, ""));
    let again = pair.meta();
    assert_eq!((again.method(), again.seq(), again.to.clone()), ("BYE", bye.seq() + 1, To::Conn(call.conn)));
    assert_eq!(again.all("Route"), bye.all("Route"));
    assert_eq!(again.digest("Proxy-Authorization", "username"), PHONE);
    assert_eq!(again.digest("Proxy-Authorization", "algorithm"), "SHA-256");
    pair.over(call.conn, &again.reply(200, "", "", ""));
    pair.pbx();
    pair.assert_clean();
}

#[test]
fn a_challenge_that_comes_when_the_connection_is_gone_is_answered_by_the_route() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "BYE", 7, "", "");
    let bye = pair.meta();
    pair.hang_connection(call.conn);
    let again = pair.meta();
    assert_eq!(again.start, bye.start);
    let conn = pair.meta_connects();
    pair.over(conn, &again.reply(407, "", OF_META, ""));
    let proven = pair.meta();
    assert_eq!(proven.to, To::Target(Target::meta("wa.meta.vc:5061").unwrap()));
    assert!(proven.has("Proxy-Authorization"));
}

#[test]
fn a_bye_that_nobody_answers_leaves_nothing() {
    let mut pair = with_password();
    let (call, ok, ..) = pair.talk();
    let text = call.bye(&mut pair, &ok, "");
    pair.over(call.conn, &text);
    assert_eq!(pair.end.counts().farewells, 1);
    pair.assert_clean();
}

#[test]
fn a_bye_that_an_open_connection_swallows_goes_by_the_route() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "BYE", 7, "", "");
    let bye = pair.meta();
    assert_eq!(bye.to, To::Conn(call.conn));
    pair.seconds(31);
    pair.at_pbx.clear();
    pair.quiet();
    pair.seconds(1);
    let again = pair.meta();
    assert_eq!((again.start.as_str(), again.get("Via")), (bye.start.as_str(), bye.get("Via")));
    assert_eq!(again.to, To::Target(Target::meta("wa.meta.vc:5061").unwrap()));
    let conn = pair.meta_connects();
    pair.over(conn, &again.reply(200, "", "", ""));
    pair.quiet();
    pair.assert_clean();
}

#[test]
fn an_answer_that_nobody_waits_for_is_hung_up_with_a_reason_and_what_it_takes() {
    let mut pair = with_password();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 180, "", "");
    pair.over(call.conn, &call.cancel());
    assert_eq!(pair.pbx().method(), "CANCEL");
    // Without a Contact it is spoken to where it was called.
    pair.pbx_sends(&invite.reply(200, "as5f", "", PBX_SDP));
    let (ack, bye) = (pair.pbx(), pair.pbx());
    assert_eq!((ack.method(), ack.uri()), ("ACK", invite.uri()));
    assert_eq!((bye.method(), bye.uri(), bye.get("Reason")), ("BYE", invite.uri(), "Q.850;cause=16"));
    pair.pbx_sends(&bye.reply(401, "", OF_TRUNK, ""));
    let again = pair.pbx();
    assert_eq!((again.method(), again.digest("Authorization", "username").as_str()), ("BYE", "bridge"));
    pair.pbx_sends(&again.reply(200, "", "", ""));
    pair.assert_clean();
}
