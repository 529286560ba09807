//! Over which ways a trunk calls us, and what each of them proves.

use super::pair::*;
use crate::domain::call::EndedBy;
use crate::sip::core::*;

/// A call of the trunk by the transport of a Via.
fn invite(pair: &mut Pair, via: &str) -> String {
    let (branch, call_id) = (pair.token("z9hG4bKas"), pair.token("pbx-call-"));
    let head = format!(
        "INVITE sip:+{CUSTOMER}@bridge.example SIP/2.0\r\nVia: SIP/2.0/{via} 10.0.0.1:5060;rport;branch={branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+{PHONE}@10.0.0.1>;tag=pbx\r\nTo: <sip:+{CUSTOMER}@bridge.example>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:101@10.0.0.1:5060;transport={}>\r\n",
        via.to_lowercase()
    );
    with_body(head, PBX_SDP)
}

/// A connection that the trunk has opened.
fn connects(pair: &mut Pair, transport: Transport) -> ConnId {
    let conn = ConnId(1000 + pair.serial);
    pair.serial += 1;
    pair.sides.insert(conn, Side::Pbx);
    pair.open(conn, "10.0.0.1:40001", Origin::Trunk(Some(0)), transport, None);
    conn
}

#[test]
fn a_trunk_calls_over_a_connection_of_its_own_and_is_spoken_to_over_it() {
    for (transport, via) in [(Transport::Tcp, "TCP"), (Transport::Tls, "TLS")] {
        let mut pair = Pair::new();
        let conn = connects(&mut pair, transport);
        let text = invite(&mut pair, via);
        pair.over(conn, &text);
        assert_eq!(pair.pbx().status(), 100);
        let to_meta = pair.meta();
        let contact = "Contact: <sip:+1@wa.meta.vc;transport=tls>\r\n";
        let meta = pair.meta_connects();
        pair.over(meta, &to_meta.reply(200, "m", contact, META_SDP));
        let ok = pair.pbx();
        assert_eq!((ok.status(), ok.to.clone()), (200, To::Conn(conn)));
        // The name that the certificate is for, where there is one to be checked.
        let expected =
            if via == "TLS" { "bridge.example:5061;transport=tls" } else { "10.0.0.9:5062;transport=tcp" };
        assert!(ok.contact().ends_with(expected), "{}", ok.contact());
        let ack = text.replace("INVITE", "ACK").replace("Length: ", "Length: 0\r\nX: ");
        let ack = ack.split("X: ").next().unwrap().to_owned() + "\r\n";
        pair.over(
            conn,
            &ack.replace("z9hG4bKas", "z9hG4bKack")
                .replace(">\r\nCall", &format!(">;tag={}\r\nCall", ok.tag("To"))),
        );
        pair.at_meta.clear();
        let bye = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bKb\r\nMax-Forwards: 70\r\nFrom: {};tag=m\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            to_meta.contact(),
            to_meta.get("To"),
            to_meta.get("From"),
            to_meta.get("Call-ID")
        );
        pair.over(meta, &bye);
        let bye = pair.pbx();
        assert_eq!((bye.method(), bye.to.clone()), ("BYE", To::Conn(conn)));
        assert_eq!(pair.ended().by, EndedBy::Contact);
    }
}

#[test]
fn a_trunk_that_must_come_by_tls_is_refused_on_every_other_way() {
    let mut pair = Pair::with(|config| config.trunks[0].calls_by_tls = true);
    let text = invite(&mut pair, "UDP");
    pair.pbx_sends(&text);
    assert_eq!(pair.pbx().status(), 403, "a sender's address is no proof on UDP");
    let conn = connects(&mut pair, Transport::Tcp);
    let text = invite(&mut pair, "TCP");
    pair.over(conn, &text);
    assert_eq!(pair.pbx().status(), 403);
    pair.quiet();
    let conn = connects(&mut pair, Transport::Tls);
    let text = invite(&mut pair, "TLS");
    pair.over(conn, &text);
    assert_eq!(pair.pbx().status(), 100);
    assert_eq!(pair.meta().method(), "INVITE");
}

/// Asterisk tells who will talk as soon as it knows, which may be before its 200.
#[test]
fn an_update_of_the_trunk_before_its_answer_is_answered_here() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 180, "", "");
    assert_eq!(pair.meta().status(), 180);
    pair.pbx_request(&invite, "UPDATE", 7, "P-Asserted-Identity: <sip:101@10.0.0.1>\r\n", "");
    let answer = pair.pbx();
    assert_eq!((answer.status(), answer.contact()), (200, invite.contact()));
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    assert_eq!(pair.pbx().method(), "ACK");
    assert_eq!(pair.meta().status(), 200);
}
