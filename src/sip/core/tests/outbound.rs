//! Calls from a trunk to WhatsApp.

use super::pair::*;
use crate::domain::Direction;
use crate::domain::call::{CallMoment, CallPermission, EndCause, EndedBy};
use crate::sip::core::*;

/// The trunk's INVITE.
fn invite(pair: &mut Pair, uri: &str, extra: &str) -> Msg {
    let branch = pair.token("z9hG4bKas");
    let call_id = pair.token("as-call-");
    let head = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: \"Ann\" <sip:201@10.0.0.1>;tag=as9\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nCSeq: 102 INVITE\r\n\
         Contact: <sip:201@10.0.0.1:5060>\r\n{extra}"
    );
    let text = with_body(head, PBX_SDP);
    pair.pbx_sends(&text);
    Msg::read(To::Datagram(PBX.parse().unwrap()), text.as_bytes())
}

fn call_out(pair: &mut Pair) -> (Msg, Msg) {
    let request =
        invite(pair, &format!("sip:+{CUSTOMER}@10.0.0.9:5062"), &format!("X-WA-Phone: +{PHONE}\r\n"));
    assert_eq!(pair.pbx().status(), 100);
    let at_meta = pair.meta();
    assert_eq!(at_meta.method(), "INVITE");
    (request, at_meta)
}

/// Meta answers over the connection that we dialled.
fn meta_replies(pair: &mut Pair, request: &Msg, status: u16, extra: &str, body: &str) {
    let conn = pair.dialled[&Target::meta("wa.meta.vc:5061").unwrap()];
    let contact = format!(
        "Contact: <sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob;X-FB-Sip-Smc-Tier=collaboration.sip_gateway.sip.prod>;isfocus\r\n\
         Record-Route: <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>\r\n\
         Record-Route: <sip:wa.meta.vc;transport=tls;lr>\r\n"
    );
    let extra = if (200..300).contains(&status) { format!("{contact}{extra}") } else { extra.to_owned() };
    pair.over(conn, &request.reply(status, "meta-tag", &extra, body));
}

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"wa.meta.vc\",nonce=\"419ac2415577f8e1\",\
                         opaque=\"440badfc05072367\",algorithm=MD5,qop=\"auth\"\r\n";

#[test]
fn a_call_to_whatsapp_is_challenged_rings_is_answered_and_hung_up() {
    let mut pair = Pair::new();
    let (request, first) = call_out(&mut pair);
    assert_eq!(first.uri(), format!("sip:+{CUSTOMER}@wa.meta.vc;transport=tls"));
    assert_eq!(first.get("From").split(";tag").next().unwrap(), format!("<sip:+{PHONE}@{HOST}>"));
    assert_eq!(first.get("To"), format!("<sip:+{CUSTOMER}@wa.meta.vc>"));
    assert_eq!(first.get("Contact"), format!("<sip:+{PHONE}@{HOST}:5061;transport=tls>"));
    assert!(first.get("Via").starts_with(&format!("SIP/2.0/TLS {HOST}:5061;branch=z9hG4bK")));
    assert!(!first.has("Session-Expires") && !first.has("Require") && !first.has("Supported"));
    meta_replies(&mut pair, &first, 407, CHALLENGE, "");
    let ack = pair.meta();
    assert_eq!((ack.method(), ack.get("Via")), ("ACK", first.get("Via")));
    let second = pair.meta();
    assert_eq!((second.seq(), second.get("Call-ID")), (first.seq() + 1, first.get("Call-ID")));
    let name = "Proxy-Authorization";
    let response = md5_response(
        PHONE,
        "wa.meta.vc",
        PASSWORD,
        "INVITE",
        second.uri(),
        "419ac2415577f8e1",
        "00000001",
        &second.digest(name, "cnonce"),
    );
    assert_eq!(
        (second.digest(name, "response"), second.digest(name, "username")),
        (response, PHONE.to_owned())
    );
    meta_replies(&mut pair, &second, 180, "", "");
    let ringing = pair.pbx();
    assert_eq!((ringing.status(), ringing.body.as_str()), (180, ""));
    meta_replies(&mut pair, &second, 200, "x-wa-meta-wacid: wacid.1\r\n", META_SDP);
    let ok = pair.pbx();
    assert_eq!((ok.status(), ok.body.contains("57.144.135.35")), (200, true));
    let ack = pair.meta();
    assert_eq!(
        ack.uri(),
        format!(
            "sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob;X-FB-Sip-Smc-Tier=collaboration.sip_gateway.sip.prod"
        )
    );
    assert_eq!(
        ack.all("Route"),
        ["<sip:wa.meta.vc;transport=tls;lr>", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"]
    );
    ack_from_pbx(&mut pair, &request, &ok);
    // The next call uses the nonce again.
    let (_, next) = call_out(&mut pair);
    assert!(next.get(name).contains("nc=00000002"));
    // The trunk hangs up.
    in_dialog(&mut pair, &request, &ok, "BYE", 103);
    assert_eq!(pair.pbx().status(), 200);
    let bye = pair.meta();
    assert_eq!((bye.method(), bye.seq()), ("BYE", second.seq() + 1));
    assert_eq!(pair.events[0].moment.clone(), pair.events[0].moment);
    let CallMoment::Arrived(arrival) = &pair.events[0].moment else { panic!() };
    assert_eq!((arrival.direction, arrival.trunk.as_deref()), (Direction::Outbound, Some("asterisk")));
    assert!(pair.moments().contains(&"identified"));
    let end = pair.ended();
    assert_eq!((end.by, end.cause), (EndedBy::Trunk, EndCause::HungUp));
}

fn ack_from_pbx(pair: &mut Pair, request: &Msg, ok: &Msg) {
    in_dialog(pair, request, ok, "ACK", request.seq());
}

fn in_dialog(pair: &mut Pair, request: &Msg, ok: &Msg, method: &str, seq: u32) {
    let branch = pair.token("z9hG4bKas");
    let text = format!(
        "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch={branch}\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: {seq} {method}\r\nContent-Length: 0\r\n\r\n",
        ok.contact(),
        request.get("From"),
        ok.get("To"),
        request.get("Call-ID"),
    );
    pair.pbx_sends(&text);
}

#[test]
fn meta_hangs_up_a_call_of_the_trunk() {
    let mut pair = Pair::new();
    let (request, at_meta) = call_out(&mut pair);
    meta_replies(&mut pair, &at_meta, 200, "", META_SDP);
    let ok = pair.pbx();
    ack_from_pbx(&mut pair, &request, &ok);
    pair.meta();
    let conn = pair.meta_connects();
    let text = format!(
        "BYE {} SIP/2.0\r\n{META_ROUTE}Via: SIP/2.0/TLS [2803::1]:5061;branch=z9hG4bKb;alias\r\nFrom: {};tag=meta-tag\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nx-wa-meta-wacid: wacid.9\r\nx-wa-meta-call-duration: 7\r\nContent-Length: 0\r\n\r\n",
        at_meta.contact(),
        at_meta.get("To"),
        at_meta.get("From"),
        at_meta.get("Call-ID"),
    );
    pair.over(conn, &text);
    assert_eq!(pair.meta().status(), 200);
    let bye = pair.pbx();
    assert_eq!((bye.method(), bye.uri()), ("BYE", "sip:201@10.0.0.1:5060"));
    let end = pair.ended();
    assert_eq!((end.by, end.meta_seconds), (EndedBy::Contact, Some(7)));
    assert!(pair.moments().contains(&"identified"));
    pair.pbx_sends(&bye.reply(200, "", "", ""));
    pair.assert_clean();
}

#[test]
fn without_permission_the_call_is_refused_at_once_with_what_to_do() {
    let mut pair = Pair::new();
    pair.permission = Some(CallPermission::Refused("send a call permission request first".into()));
    invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &format!("X-WA-Phone: {PHONE}\r\n"));
    assert_eq!(pair.pbx().status(), 100);
    let refused = pair.pbx();
    assert_eq!(refused.status(), 403);
    assert!(refused.get("Reason").starts_with("Q.850;cause=21"));
    assert!(refused.get("X-WA-Error").contains("call permission request"));
    assert!(refused.get("Warning").starts_with("399 bridge.example \""));
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.ended().cause, EndCause::NoPermission);
    pair.assert_clean();
}

#[test]
fn a_late_answer_about_the_permission_lets_meta_decide() {
    let mut pair = Pair::new();
    pair.permission = None;
    invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &format!("X-WA-Phone: {PHONE}\r\n"));
    pair.seconds(4);
    assert!(pair.at_meta.is_empty());
    pair.seconds(1);
    let at_meta = pair.meta();
    assert_eq!(at_meta.method(), "INVITE");
    let call = pair.asked[0].clone();
    pair.input(Input::Permission { call, answer: CallPermission::Refused("x".into()) });
    meta_replies(&mut pair, &at_meta, 403, "Warning: 399 wa.meta.vc \"No approved call permission\"\r\n", "");
    pair.pbx();
    let refused = pair.pbx();
    assert_eq!(refused.status(), 403);
    assert!(refused.get("X-WA-Error").contains("permission"));
    assert_eq!(pair.ended().cause, EndCause::NoPermission);
}

#[test]
fn a_caller_who_gives_up_while_the_permission_is_asked_leaves_nothing() {
    let mut pair = Pair::new();
    pair.permission = None;
    let request = invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &format!("X-WA-Phone: {PHONE}\r\n"));
    pair.pbx();
    let cancel = format!(
        "CANCEL {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 102 CANCEL\r\nContent-Length: 0\r\n\r\n",
        request.uri(),
        request.get("Via"),
        request.get("From"),
        request.get("To"),
        request.get("Call-ID")
    );
    pair.pbx_sends(&cancel);
    assert_eq!((pair.pbx().status(), pair.pbx().status()), (200, 487));
    let call = pair.asked[0].clone();
    pair.input(Input::Permission { call, answer: CallPermission::Allowed });
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.ended().by, EndedBy::Trunk);
    pair.assert_clean();
}

#[test]
fn a_second_challenge_without_stale_stops() {
    let mut pair = Pair::new();
    let (_, first) = call_out(&mut pair);
    meta_replies(&mut pair, &first, 407, CHALLENGE, "");
    pair.meta();
    let second = pair.meta();
    meta_replies(&mut pair, &second, 407, CHALLENGE, "");
    assert_eq!(pair.meta().method(), "ACK");
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.pbx().status(), 403);
    assert_eq!(pair.ended().cause, EndCause::Refused);
}

#[test]
fn a_sporadic_sdp_validation_error_is_tried_once_more() {
    let mut pair = Pair::new();
    let (_, first) = call_out(&mut pair);
    let warning = "Warning: 399 wa.meta.vc \"SDP Validation Error\"\r\n";
    meta_replies(&mut pair, &first, 403, warning, "");
    assert_eq!(pair.meta().method(), "ACK");
    let second = pair.meta();
    assert_eq!(second.method(), "INVITE");
    meta_replies(&mut pair, &second, 403, warning, "");
    assert_eq!(pair.meta().method(), "ACK");
    assert!(pair.at_meta.is_empty());
    assert_eq!(pair.pbx().status(), 488);
    assert!(pair.ended().text.unwrap().contains("srtp_key_exchange_protocol"));
}

#[test]
fn meta_s_refusals_are_something_a_dialplan_can_act_on() {
    for (status, told, cause, q850) in [
        (403, 403, EndCause::Failed, "21"),
        (404, 404, EndCause::UnknownNumber, "1"),
        (480, 480, EndCause::NoAnswer, "18"),
        (486, 486, EndCause::Declined, "17"),
        (500, 503, EndCause::Failed, "41"),
        (503, 503, EndCause::Failed, "41"),
    ] {
        let mut pair = Pair::new();
        let (_, at_meta) = call_out(&mut pair);
        meta_replies(&mut pair, &at_meta, status, "Warning: 399 wa.meta.vc \"why so\"\r\n", "");
        let refused = pair.pbx();
        assert_eq!(refused.status(), told);
        assert!(refused.get("Reason").starts_with(&format!("Q.850;cause={q850};text=\"")), "{refused:#?}");
        assert!(refused.get("Warning").contains("why so"));
        let end = pair.ended();
        assert_eq!((end.cause, end.status), (cause, Some(status)));
    }
}

#[test]
fn meta_that_cannot_be_reached_is_503() {
    let mut pair = Pair::new();
    pair.dead.insert("wa.meta.vc".into());
    invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &format!("X-WA-Phone: {PHONE}\r\n"));
    assert_eq!((pair.pbx().status(), pair.pbx().status()), (100, 503));
    assert_eq!(pair.ended().cause, EndCause::Lost);
    pair.assert_clean();
}

#[test]
fn only_a_configured_trunk_with_its_digest_may_call() {
    let mut pair = Pair::with(|config| {
        config.trunks[0].inbound_login = Some(login("pbx"));
    });
    let phone = format!("X-WA-Phone: {PHONE}\r\n");
    let uri = format!("sip:{CUSTOMER}@10.0.0.9");
    let request = invite(&mut pair, &uri, &phone);
    assert_eq!(pair.pbx().status(), 100);
    let challenge = pair.pbx();
    assert_eq!(challenge.status(), 407);
    let name = "Proxy-Authenticate";
    let (realm, nonce) = (challenge.digest(name, "realm"), challenge.digest(name, "nonce"));
    let response = md5_response("pbx", &realm, "pw", "INVITE", &uri, &nonce, "00000001", "c");
    let credentials = format!(
        "{phone}Proxy-Authorization: Digest username=\"pbx\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",\
         response=\"{response}\",algorithm=MD5,cnonce=\"c\",qop=auth,nc=00000001\r\n"
    );
    invite(&mut pair, &uri, &credentials);
    assert_eq!(pair.meta().method(), "INVITE");
    pair.at_pbx.clear();
    let text = request.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect::<String>();
    let text = format!("{}\r\n{text}\r\n{}", request.start, request.body)
        .replace("z9hG4bKas", "z9hG4bKxx")
        .replace("as-call-", "forged-");
    let peer = "198.51.100.7:5060".parse().unwrap();
    pair.input(Input::Datagram { peer, trunk: None, bytes: text.into_bytes() });
    assert_eq!(pair.pbx().status(), 403);
}

#[test]
fn the_phone_must_be_ours_and_of_that_trunk_and_the_called_one_a_number() {
    let mut pair = Pair::new();
    invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), "");
    pair.pbx();
    let refused = pair.pbx();
    assert_eq!(refused.status(), 403, "From is an extension");
    assert!(refused.get("Warning").contains("X-WA-Phone"));
    invite(&mut pair, "sip:echo@10.0.0.9", &format!("X-WA-Phone: {PHONE}\r\n"));
    pair.pbx();
    assert_eq!(pair.pbx().status(), 484);
    invite(&mut pair, "sip:US.1349120@10.0.0.9", &format!("X-WA-Phone: {PHONE}\r\n"));
    assert_eq!(pair.meta().uri(), "sip:US.1349120@wa.meta.vc;transport=tls");
}

#[test]
fn the_phone_may_stand_in_from() {
    let mut pair = Pair::new();
    let text = invite(&mut pair, &format!("sip:00{CUSTOMER}@10.0.0.9"), "");
    pair.at_pbx.clear();
    let text = text.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect::<String>();
    let text = text
        .replace("<sip:201@", &format!("<sip:+{PHONE}@"))
        .replace("as-call-", "from-")
        .replace("z9hG4bKas", "z9hG4bKfrom");
    pair.pbx_sends(&format!("INVITE sip:00{CUSTOMER}@10.0.0.9 SIP/2.0\r\n{text}\r\n{PBX_SDP}"));
    assert_eq!(pair.meta().uri(), format!("sip:+{CUSTOMER}@wa.meta.vc;transport=tls"));
}

#[test]
fn a_session_timer_that_the_trunk_wishes_is_granted_and_kept_from_meta() {
    let mut pair = Pair::new();
    let wish = format!("X-WA-Phone: {PHONE}\r\nSupported: timer\r\nSession-Expires: 1800\r\n");
    invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &wish);
    pair.pbx();
    let at_meta = pair.meta();
    assert!(!at_meta.has("Session-Expires") && !at_meta.has("Supported"));
    meta_replies(&mut pair, &at_meta, 200, "Supported: timer\r\n", META_SDP);
    assert_eq!(pair.pbx().get("Session-Expires"), "1800;refresher=uac");
}

#[test]
fn an_invite_that_nobody_read_goes_out_once_more_when_its_connection_breaks() {
    let mut pair = Pair::new();
    let (_, first) = call_out(&mut pair);
    let target = Target::meta("wa.meta.vc:5061").unwrap();
    let conn = pair.dialled[&target];
    pair.hang_connection(conn);
    let again = pair.meta();
    assert_eq!((again.get("Via"), &again.to), (first.get("Via"), &To::Target(target.clone())));
    meta_replies(&mut pair, &again, 180, "", "");
    assert_eq!(pair.pbx().status(), 180);
    let conn = pair.dialled[&target];
    pair.hang_connection(conn);
    assert_eq!(pair.pbx().status(), 503, "but a call that rang over it is lost");
}

#[test]
fn calls_of_a_trunk_are_capped_a_minute() {
    let mut pair = Pair::with(|config| config.max_calls_per_minute = 2);
    for _ in 0..3 {
        invite(&mut pair, &format!("sip:{CUSTOMER}@10.0.0.9"), &format!("X-WA-Phone: {PHONE}\r\n"));
    }
    let last = pair.at_pbx.pop_back().unwrap();
    assert_eq!((last.status(), last.has("Retry-After")), (503, true));
    assert_eq!(pair.at_meta.len(), 2);
    assert_eq!(pair.ended().cause, EndCause::Overload, "it has a record all the same");
}

#[test]
fn a_call_that_comes_back_from_the_trunk_is_a_loop() {
    let mut pair = Pair::new();
    let (_, forwarded) = pair.call_in();
    let mark = forwarded.get("X-WA-Call-ID").to_owned();
    invite(
        &mut pair,
        &format!("sip:{CUSTOMER}@10.0.0.9"),
        &format!("X-WA-Phone: {PHONE}\r\nX-WA-Call-ID: {mark}\r\n"),
    );
    assert_eq!(pair.pbx().status(), 482);
}

#[test]
fn a_caller_who_gives_up_cancels_at_meta_after_its_first_answer() {
    let mut pair = Pair::new();
    let (request, at_meta) = call_out(&mut pair);
    let cancel = format!(
        "CANCEL {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 102 CANCEL\r\nContent-Length: 0\r\n\r\n",
        request.uri(),
        request.get("Via"),
        request.get("From"),
        request.get("To"),
        request.get("Call-ID")
    );
    pair.pbx_sends(&cancel);
    assert_eq!((pair.pbx().status(), pair.pbx().status()), (200, 487));
    assert!(pair.at_meta.is_empty());
    meta_replies(&mut pair, &at_meta, 100, "", "");
    assert_eq!(pair.meta().method(), "CANCEL");
    meta_replies(&mut pair, &at_meta, 487, "", "");
    assert_eq!(pair.meta().method(), "ACK");
    pair.assert_clean();
}

/// Asterisk tells of a change of its caller by UPDATE, which counts the CSeq of the dialog up.
#[test]
fn an_update_of_the_trunk_before_the_answer_does_not_hide_its_ack() {
    let mut pair = Pair::new();
    let (request, at_meta) = call_out(&mut pair);
    meta_replies(&mut pair, &at_meta, 180, "", "");
    let ringing = pair.pbx();
    in_dialog(&mut pair, &request, &ringing, "UPDATE", 103);
    assert_eq!(pair.pbx().status(), 200);
    meta_replies(&mut pair, &at_meta, 200, "", META_SDP);
    let ok = pair.pbx();
    ack_from_pbx(&mut pair, &request, &ok);
    pair.seconds(60);
    assert!(pair.at_pbx.is_empty(), "our 200 was acknowledged: {:#?}", pair.at_pbx);
    assert_eq!(pair.end.running_calls(), 1);
}

#[test]
fn a_new_nonce_after_a_sporadic_sdp_validation_error_is_answered() {
    let mut pair = Pair::new();
    let (_, first) = call_out(&mut pair);
    meta_replies(&mut pair, &first, 407, CHALLENGE, "");
    assert_eq!(pair.meta().method(), "ACK");
    let second = pair.meta();
    let warning = "Warning: 399 wa.meta.vc \"SDP Validation Error\"\r\n";
    meta_replies(&mut pair, &second, 403, warning, "");
    assert_eq!(pair.meta().method(), "ACK");
    let third = pair.meta();
    meta_replies(&mut pair, &third, 407, &CHALLENGE.replace("419ac2415577f8e1", "another"), "");
    assert_eq!(pair.meta().method(), "ACK");
    let fourth = pair.meta();
    assert_eq!(fourth.digest("Proxy-Authorization", "nonce"), "another");
    meta_replies(&mut pair, &fourth, 180, "", "");
    assert_eq!(pair.pbx().status(), 180);
}

#[test]
fn meta_s_id_of_a_call_is_learned_from_its_answer_to_our_bye() {
    let mut pair = Pair::new();
    let (request, at_meta) = call_out(&mut pair);
    meta_replies(&mut pair, &at_meta, 200, "", META_SDP);
    let ok = pair.pbx();
    ack_from_pbx(&mut pair, &request, &ok);
    assert_eq!(pair.meta().method(), "ACK");
    in_dialog(&mut pair, &request, &ok, "BYE", 103);
    let bye = pair.meta();
    meta_replies(&mut pair, &bye, 200, "x-wa-meta-wacid: wacid.late\r\n", "");
    assert_eq!(pair.events.last().unwrap().moment, CallMoment::Identified("wacid.late".into()));
    pair.ended();
    pair.assert_clean();
}

#[test]
fn a_call_of_the_trunk_that_is_not_placed_has_a_record_where_a_phone_is_known() {
    let phone = format!("X-WA-Phone: +{PHONE}\r\n");
    let customer = format!("sip:{CUSTOMER}@10.0.0.9");
    for (uri, is_draining, trunk, status, cause) in [
        ("sip:echo@10.0.0.9", false, "asterisk", 484, EndCause::UnknownNumber),
        (&customer, false, "another", 403, EndCause::Refused),
        (&customer, true, "asterisk", 503, EndCause::Stopped),
    ] {
        let mut pair = Pair::new();
        let routes = vec![crate::domain::call::CallRoute { trunk: trunk.into(), ..route() }];
        pair.input(Input::Routes(crate::domain::call::RouteTable { routes }));
        if is_draining {
            pair.input(Input::Drain);
        }
        invite(&mut pair, uri, &phone);
        assert_eq!((pair.pbx().status(), pair.pbx().status()), (100, status));
        let end = pair.ended();
        assert_eq!((end.cause, end.status, end.by), (cause, Some(status), EndedBy::Bridge));
    }
}
