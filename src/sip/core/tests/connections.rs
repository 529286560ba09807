//! Which connection a message comes by matters to no dialog; silent and slow connections.

use super::pair::*;
use crate::sip::core::*;

#[test]
fn the_ack_may_come_by_another_connection_and_the_bye_by_a_third() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let ok = pair.meta();
    pair.pbx();
    let (second, third) = (pair.meta_connects(), pair.meta_connects());
    let ack = call.ack(&mut pair, &ok);
    pair.over(second, &ack);
    pair.seconds(40);
    assert!(
        pair.at_meta.is_empty(),
        "our 200 is not repeated, and the call is not given up: {:#?}",
        pair.at_meta
    );
    let bye = call.bye(&mut pair, &ok, "");
    pair.over(third, &bye);
    let answer = pair.meta();
    assert_eq!((answer.status(), answer.to.clone()), (200, To::Conn(third)));
    assert_eq!(pair.pbx().method(), "BYE");
}

#[test]
fn the_invite_s_connection_may_be_gone_when_the_answer_comes() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    pair.hang_connection(call.conn);
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    assert_eq!(pair.pbx().method(), "ACK");
    // Nobody can acknowledge what nobody got: both legs end.
    pair.seconds(33);
    assert_eq!(pair.pbx().method(), "BYE");
    assert_eq!(pair.ended().cause, crate::domain::call::EndCause::Lost);
}

#[test]
fn a_bye_of_meta_on_a_third_connection_is_found_by_its_tags() {
    let mut pair = Pair::new();
    let (call, ok, ..) = pair.talk();
    let other = pair.stranger(Origin::Refused);
    let text = call.bye(&mut pair, &ok, "");
    pair.over(other, &text.replace(&call.tag, "another"));
    assert_eq!(pair.meta().status(), 481, "with another tag it is another dialog");
    let text = call.bye(&mut pair, &ok, "");
    pair.over(other, &text);
    assert_eq!(pair.meta().status(), 200);
    assert_eq!(pair.pbx().method(), "BYE");
}

#[test]
fn a_connection_with_a_dialog_is_not_closed_for_silence_and_others_are() {
    let mut pair = Pair::new();
    let (call, ok, ..) = pair.talk();
    let other = pair.meta_connects();
    pair.seconds(1000);
    assert_eq!(pair.closed, [other]);
    let text = call.bye(&mut pair, &ok, "");
    pair.over(call.conn, &text);
    pair.seconds(2000);
    assert_eq!(pair.closed, [other, call.conn]);
}

#[test]
fn keep_alives_are_answered_and_half_a_message_is_not_waited_for_long() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    pair.over(conn, "\r\n\r\n");
    assert_eq!(pair.raw, [(To::Conn(conn), b"\r\n".to_vec())]);
    pair.over(conn, "INVITE sip:a@b SIP/2.0\r\n");
    pair.seconds(9);
    assert!(pair.closed.is_empty());
    pair.seconds(1);
    assert_eq!(pair.closed, [conn]);
}

#[test]
fn a_busy_connection_is_not_closed_while_every_message_is_whole() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let options = |number: usize| {
        format!(
            "OPTIONS sip:a@bridge.example SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bKo{number}\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:a@bridge.example>\r\nCall-ID: o{number}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    // Each write holds the end of one and the beginning of the next.
    pair.over(conn, &options(0)[..40]);
    for number in 0..60 {
        pair.seconds(1);
        let text = format!("{}{}", &options(number)[40..], &options(number + 1)[..40]);
        pair.over(conn, &text);
        assert_eq!(pair.meta().status(), 200);
    }
    assert!(pair.closed.is_empty());
    pair.seconds(10);
    assert_eq!(pair.closed, [conn], "but one that was begun and not ended is not waited for");
}

#[test]
fn half_a_message_closes_no_connection_that_a_call_uses() {
    let mut pair = Pair::new();
    let (call, ok, ..) = pair.talk();
    pair.over(call.conn, "OPTIONS sip:a@b SIP/2.0\r\n");
    pair.seconds(60);
    assert!(pair.closed.is_empty());
    let other = pair.meta_connects();
    let text = call.bye(&mut pair, &ok, "");
    pair.over(other, &text);
    pair.seconds(10);
    assert_eq!(pair.closed, [call.conn]);
}
