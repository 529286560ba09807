//! How calls end, races included, and what is asked within them.

use std::time::Duration;

use super::meta::MetaCall;
use super::pair::*;
use crate::domain::call::{EndCause, EndedBy};
use crate::sip::core::*;

#[test]
fn a_cancel_while_it_rings_ends_both_legs() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 180, "", "");
    pair.meta();
    pair.over(call.conn, &call.cancel());
    let (first, second) = (pair.meta(), pair.meta());
    assert_eq!((first.status(), first.get("CSeq")), (200, "2825 CANCEL"));
    assert_eq!((second.status(), second.get("CSeq")), (487, "2825 INVITE"));
    let cancel = pair.pbx();
    assert_eq!((cancel.method(), cancel.get("Via")), ("CANCEL", invite.get("Via")));
    assert_eq!(cancel.get("CSeq"), "1 CANCEL");
    pair.pbx_sends(&cancel.reply(200, "", "", ""));
    pair.pbx_replies(&invite, 487, "", "");
    assert_eq!(pair.pbx().method(), "ACK");
    pair.over(call.conn, &call.ack_failure(&second));
    let end = pair.ended();
    assert_eq!((end.by, end.cause), (EndedBy::Contact, EndCause::Cancelled));
    pair.assert_clean();
}

#[test]
fn a_cancel_before_the_trunk_has_answered_waits_for_its_first_answer() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.over(call.conn, &call.cancel());
    assert_eq!((pair.meta().status(), pair.meta().status()), (200, 487));
    assert!(pair.at_pbx.is_empty());
    pair.pbx_replies(&invite, 100, "", "");
    assert_eq!(pair.pbx().method(), "CANCEL");
    pair.assert_clean();
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 180, "", "");
    pair.meta();
    pair.over(call.conn, &call.cancel());
    pair.at_meta.clear();
    assert_eq!(pair.pbx().method(), "CANCEL");
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let (ack, bye) = (pair.pbx(), pair.pbx());
    assert_eq!((ack.method(), bye.method()), ("ACK", "BYE"));
    assert_eq!((ack.seq(), bye.seq()), (1, 2));
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    assert_eq!(pair.pbx().method(), "ACK", "a repeated 200 is acknowledged again");
    pair.quiet();
    pair.pbx_sends(&bye.reply(200, "", "", ""));
    assert_eq!(pair.ended().cause, EndCause::Cancelled);
    pair.assert_clean();
}

#[test]
fn a_cancel_after_our_200_changes_nothing() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let ok = pair.meta();
    pair.pbx();
    pair.over(call.conn, &call.cancel());
    assert_eq!(pair.meta().get("CSeq"), "2825 CANCEL");
    pair.quiet();
    let text = call.ack(&mut pair, &ok);
    pair.over(call.conn, &text);
    assert_eq!(pair.end.running_calls(), 1);
}

#[test]
fn a_cancel_of_nothing_is_481_and_a_second_one_is_answered() {
    let mut pair = Pair::new();
    let (call, _) = pair.call_in();
    let mut other = call.clone();
    other.branch = "z9hG4bKunknown".into();
    pair.over(call.conn, &other.cancel());
    assert_eq!(pair.meta().status(), 481);
    pair.over(call.conn, &call.cancel());
    pair.at_meta.clear();
    pair.over(call.conn, &call.cancel());
    assert_eq!(pair.meta().status(), 200);
}

#[test]
fn our_200_is_repeated_over_tls_until_the_ack() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let ok = pair.meta();
    pair.wait(Duration::from_millis(500));
    assert_eq!(pair.meta().status(), 200);
    pair.seconds(1);
    assert_eq!(pair.meta().status(), 200);
    let other = pair.meta_connects();
    let text = call.ack(&mut pair, &ok);
    pair.over(other, &text);
    pair.seconds(60);
    assert!(pair.at_meta.is_empty(), "the ACK came on another connection");
    assert_eq!(pair.end.running_calls(), 1);
}

#[test]
fn without_an_ack_both_legs_get_a_bye_with_cause_102() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    pair.pbx();
    pair.seconds(33);
    let bye = pair.at_meta.pop_back().unwrap();
    assert_eq!((bye.method(), bye.get("Reason")), ("BYE", "Q.850;cause=102"));
    assert_eq!(
        bye.all("Route"),
        ["<sip:wa.meta.vc;transport=tls;lr>", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"]
    );
    assert_eq!(bye.uri(), format!("sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob"));
    let bye = pair.pbx();
    assert_eq!((bye.method(), bye.get("Reason")), ("BYE", "Q.850;cause=102"));
    assert_eq!(pair.ended().cause, EndCause::Lost);
    pair.assert_clean();
}

#[test]
fn the_trunk_hangs_up_over_meta_s_connection_if_it_is_alive() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "BYE", 7, "Reason: Q.850;cause=31\r\n", "");
    assert_eq!(pair.pbx().status(), 200);
    let bye = pair.meta();
    assert_eq!((bye.method(), &bye.to), ("BYE", &To::Conn(call.conn)));
    assert_eq!(bye.get("From").split(";tag").next().unwrap(), format!("<sip:+{PHONE}@{HOST}>"));
    pair.over(call.conn, &bye.reply(200, "", "", ""));
    let end = pair.ended();
    assert_eq!((end.by, end.cause, end.q850), (EndedBy::Trunk, EndCause::HungUp, Some(31)));
    pair.assert_clean();
}

#[test]
fn a_bye_goes_to_the_first_route_when_the_connection_is_gone() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.hang_connection(call.conn);
    pair.pbx_request(&invite, "BYE", 7, "", "");
    let bye = pair.meta();
    assert_eq!(bye.to, To::Target(Target::meta("wa.meta.vc:5061").unwrap()));
    assert_eq!(bye.all("Route").len(), 2);
}

#[test]
fn a_bye_whose_connection_breaks_before_its_answer_is_sent_by_the_route() {
    let mut pair = Pair::new();
    let (call, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "BYE", 7, "", "");
    assert_eq!(pair.meta().to, To::Conn(call.conn));
    pair.hang_connection(call.conn);
    assert_eq!(pair.meta().to, To::Target(Target::meta("wa.meta.vc:5061").unwrap()));
}

#[test]
fn the_trunk_s_bye_before_meta_s_ack_waits_for_it() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let ok = pair.meta();
    pair.pbx();
    pair.pbx_request(&invite, "BYE", 7, "", "");
    assert_eq!(pair.pbx().status(), 200);
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.ended().by, EndedBy::Trunk);
    let text = call.ack(&mut pair, &ok);
    pair.over(call.conn, &text);
    assert_eq!(pair.meta().method(), "BYE");
    pair.assert_clean();
}

#[test]
fn byes_that_cross_end_the_call_once() {
    let mut pair = Pair::new();
    let (call, ok, invite, _) = pair.talk();
    let text = call.bye(&mut pair, &ok, "");
    pair.over(call.conn, &text);
    pair.pbx_request(&invite, "BYE", 7, "", "");
    assert_eq!(pair.meta().status(), 200);
    assert_eq!(pair.pbx().method(), "BYE");
    assert_eq!(pair.pbx().status(), 481);
    assert_eq!(pair.ended().by, EndedBy::Contact);
    pair.assert_clean();
}

#[test]
fn ringing_ends_after_its_limit() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 180, "", "");
    pair.meta();
    pair.seconds(54);
    pair.quiet();
    pair.seconds(1);
    assert_eq!((pair.meta().status(), pair.pbx().method()), (480, "CANCEL"));
    let end = pair.ended();
    assert_eq!((end.by, end.cause), (EndedBy::Bridge, EndCause::NoAnswer));
    pair.assert_clean();
}

#[test]
fn a_call_ends_after_the_longest_time() {
    let mut pair = Pair::with(|config| config.idle = Duration::from_secs(1_000_000));
    pair.talk();
    pair.seconds(14_400);
    assert_eq!((pair.meta().method(), pair.pbx().method()), ("BYE", "BYE"));
    assert_eq!(pair.ended().cause, EndCause::TooLong);
}

#[test]
fn a_hold_or_refresh_of_the_trunk_is_answered_here() {
    let mut pair = Pair::new();
    let (_, _, invite, _) = pair.talk();
    let hold = PBX_SDP.replace("7 7", "7 8").replace("a=sendrecv", "a=sendonly");
    pair.pbx_request(
        &invite,
        "INVITE",
        7,
        "Session-Expires: 1800;refresher=uac\r\nSupported: timer\r\n",
        &hold,
    );
    let ok = pair.pbx();
    assert_eq!(ok.status(), 200);
    assert_eq!(ok.get("Session-Expires"), "1800;refresher=uac");
    assert!(ok.body.contains("57.144.135.35") && ok.body.contains("a=recvonly"));
    pair.seconds(1);
    assert_eq!(pair.pbx().status(), 200, "it is repeated until the ACK");
    pair.at_pbx.clear();
    pair.pbx_request(&invite, "ACK", 7, "", "");
    pair.seconds(10);
    pair.quiet();
    pair.pbx_request(&invite, "UPDATE", 8, "", "");
    let ok = pair.pbx();
    assert_eq!((ok.status(), ok.body.as_str()), (200, ""));
    pair.pbx_request(&invite, "INVITE", 9, "", PBX_SDP);
    let ok = pair.pbx();
    assert_eq!((ok.status(), ok.body.contains("a=sendrecv")), (200, true));
    pair.pbx_request(&invite, "ACK", 9, "", "");
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.end.running_calls(), 1);
    assert!(pair.moments().contains(&"noted"));
}

#[test]
fn a_change_of_address_port_key_or_codec_gets_488_and_the_call_lives() {
    let mut pair = Pair::new();
    let (_, _, invite, _) = pair.talk();
    for (seq, (from, to)) in [
        ("IN IP4 10.0.0.1\r\nt", "IN IP4 10.0.0.2\r\nt"),
        ("12000", "12002"),
        ("BBBB", "CCCC"),
        ("opus/48000/2", "PCMA/8000"),
    ]
    .into_iter()
    .enumerate()
    {
        let changed = PBX_SDP.replace(from, to);
        assert_ne!(changed, PBX_SDP);
        let seq = 10 + u32::try_from(seq).unwrap();
        pair.pbx_request(&invite, "INVITE", seq, "", &changed);
        assert_eq!(pair.pbx().status(), 488);
        pair.pbx_request(&invite, "UPDATE", seq, "", &changed);
        assert_eq!(pair.pbx().status(), 488);
    }
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.end.running_calls(), 1);
}

#[test]
fn a_re_invite_of_meta_is_answered_by_the_same_rule() {
    let mut pair = Pair::new();
    let (call, ok, ..) = pair.talk();
    for (seq, sdp, status) in [(1, META_SDP.to_owned(), 200), (2, META_SDP.replace("3480", "3482"), 488)] {
        let branch = pair.token("z9hG4bKre");
        let text = call.request("INVITE", ok.contact(), ok.tag("To"), ok.seq() + seq, &branch, "", &sdp);
        pair.over(call.conn, &text);
        let answer = pair.meta();
        assert_eq!(answer.status(), status);
        let branch = pair.token("z9hG4bKre");
        let ack = call.request("ACK", ok.contact(), ok.tag("To"), ok.seq() + seq, &branch, "", "");
        pair.over(call.conn, &ack);
    }
    assert!(pair.at_pbx.is_empty());
    assert_eq!(pair.end.running_calls(), 1);
}

/// It may ring there, and only an answer of it lets us cancel (§9.1).
#[test]
fn an_invite_whose_first_answers_were_lost_is_repeated_until_it_can_be_cancelled() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.over(call.conn, &call.cancel());
    assert!(pair.at_pbx.is_empty());
    pair.wait(Duration::from_millis(500));
    assert_eq!(pair.pbx().start, invite.start);
    pair.pbx_replies(&invite, 180, "", "");
    assert_eq!(pair.pbx().method(), "CANCEL");
    pair.assert_clean();
}

#[test]
fn a_second_re_invite_before_the_ack_of_the_first_waits() {
    let mut pair = Pair::new();
    let (_, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "INVITE", 7, "", PBX_SDP);
    assert_eq!(pair.pbx().status(), 200);
    pair.pbx_request(&invite, "INVITE", 8, "", PBX_SDP);
    let refused = pair.pbx();
    assert_eq!((refused.status(), refused.has("Retry-After")), (500, true));
    pair.pbx_request(&invite, "INVITE", 6, "", PBX_SDP);
    assert_eq!(pair.pbx().status(), 500, "out of order");
}

#[test]
fn refer_and_info_stay_at_the_trunk_s_side() {
    let mut pair = Pair::new();
    let (_, _, invite, _) = pair.talk();
    pair.pbx_request(&invite, "REFER", 7, "Refer-To: <sip:200@10.0.0.1>\r\n", "");
    assert_eq!(pair.pbx().status(), 603);
    let info = "Content-Type: application/dtmf-relay\r\nContent-Length: 9\r\n\r\nSignal=1\n";
    pair.pbx_request(&invite, "INFO", 8, "", "");
    assert_eq!(pair.pbx().status(), 200);
    let branch = pair.token("z9hG4bKas");
    let text = format!(
        "INFO {} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\nFrom: {};tag=as5f\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: 9 INFO\r\n{info}",
        invite.contact(),
        invite.get("To"),
        invite.get("From"),
        invite.get("Call-ID"),
    );
    pair.pbx_sends(&text);
    assert_eq!(pair.pbx().status(), 200);
    assert_eq!(pair.moments().iter().filter(|one| **one == "noted").count(), 2);
    pair.pbx_request(&invite, "MESSAGE", 10, "", "");
    assert_eq!(pair.pbx().status(), 405);
    assert!(pair.at_meta.is_empty());
}

#[test]
fn a_lost_ack_of_ours_is_repeated_when_the_200_comes_again() {
    let mut pair = Pair::new();
    let (_, _, invite, ack) = pair.talk();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let again = pair.pbx();
    assert_eq!((again.method(), again.get("Via")), ("ACK", ack.get("Via")));
    assert!(pair.at_meta.is_empty());
    let fork = invite.reply(200, "fork", "Contact: <sip:100@10.0.0.7>\r\n", PBX_SDP);
    pair.pbx_sends(&fork);
    let (ack, bye) = (pair.pbx(), pair.pbx());
    assert_eq!((ack.method(), bye.method(), bye.uri()), ("ACK", "BYE", "sip:100@10.0.0.7"));
    assert_eq!(pair.end.running_calls(), 1);
}

#[test]
fn stopping_hangs_up_everything_and_draining_takes_no_more() {
    let mut pair = Pair::new();
    pair.input(Input::Drain);
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    pair.prove(&mut call);
    assert_eq!((pair.meta().status(), pair.meta().status()), (100, 480));
    assert_eq!(pair.ended().cause, EndCause::Stopped);

    let mut pair = Pair::new();
    pair.talk();
    let (_, ringing) = pair.call_in();
    pair.pbx_replies(&ringing, 180, "", "");
    pair.meta();
    pair.input(Input::Stop);
    let statuses: Vec<String> = pair.at_meta.iter().map(|msg| msg.start.clone()).collect();
    assert!(statuses.iter().any(|start| start.starts_with("BYE")), "{statuses:?}");
    assert!(statuses.iter().any(|start| start.starts_with("SIP/2.0 480")), "{statuses:?}");
    let methods: Vec<&str> = pair.at_pbx.iter().map(Msg::method).collect();
    assert_eq!(methods, ["BYE", "CANCEL"]);
    pair.assert_clean();
}

#[test]
fn pings_of_the_trunk_are_answered_and_ours_tell_its_state() {
    let mut pair = Pair::with(|config| config.trunks[0].options_interval = Some(Duration::from_secs(30)));
    let ping = pair.pbx();
    assert_eq!(ping.method(), "OPTIONS");
    pair.pbx_sends(&ping.reply(404, "x", "", ""));
    assert!(matches!(pair.notices[..], [Notice::TrunkState { up: true, .. }]));
    pair.seconds(200);
    assert!(matches!(pair.notices[..], [_, Notice::TrunkState { up: false, .. }]));
    pair.at_pbx.clear();
    pair.pbx_sends(
        "OPTIONS sip:10.0.0.9:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKq\r\n\
         From: <sip:a@10.0.0.1>;tag=1\r\nTo: <sip:10.0.0.9>\r\nCall-ID: q\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
    );
    let ok = pair.at_pbx.iter().find(|msg| msg.start.starts_with("SIP/2.0 200")).unwrap();
    assert!(ok.get("Allow").contains("UPDATE"));
    assert_eq!(ok.to, To::Datagram(PBX.parse().unwrap()));
}

#[test]
fn a_trunk_that_restarts_while_it_rings_fails_the_call_at_once() {
    let mut pair = Pair::with(|config| config.trunks = vec![trunk(&["sip:10.0.0.1;transport=tcp"])]);
    let (_, invite) = pair.call_in();
    let To::Target(target) = invite.to.clone() else { panic!() };
    let conn = pair.dialled[&target];
    pair.over(conn, &invite.reply(180, "as5f", "", ""));
    assert_eq!(pair.meta().status(), 180);
    pair.hang_connection(conn);
    assert_eq!(pair.meta().status(), 480);
    assert_eq!(pair.ended().cause, EndCause::TrunkUnreachable);
    pair.assert_clean();
}
