//! Calls from WhatsApp, up to the answer.

use super::meta::MetaCall;
use super::pair::*;
use crate::domain::call::{CallMoment, CallProof, DigestAlgorithm, EndCause, EndedBy, ScannerAnswer};
use crate::sip::core::*;

#[test]
fn a_call_from_whatsapp_is_proven_forwarded_answered_and_hung_up() {
    let mut pair = Pair::new();
    let (call, invite) = pair.call_in();
    assert_eq!(invite.to, To::Target(Target::parse("sip:10.0.0.1:5060;transport=udp", 0).unwrap()));
    assert_eq!(invite.uri(), "sip:100@10.0.0.1:5060");
    pair.pbx_replies(&invite, 180, "", "");
    let ringing = pair.meta();
    assert_eq!((ringing.status(), ringing.body.as_str()), (180, ""));
    pair.pbx_replies(&invite, 200, "P-Asserted-Identity: \"Ann\" <sip:201@10.0.0.1>\r\n", PBX_SDP);
    let ok = pair.meta();
    assert_eq!((ok.status(), ok.tag("To")), (200, ringing.tag("To")));
    assert_eq!(ok.body, PBX_SDP.replace("s=Asterisk", "s=wabridge"));
    let ack = pair.pbx();
    assert_eq!((ack.method(), ack.uri(), ack.seq()), ("ACK", "sip:100@10.0.0.1:5060", invite.seq()));
    let text = call.ack(&mut pair, &ok);
    pair.over(call.conn, &text);
    pair.quiet();

    let text = call.bye(&mut pair, &ok, "x-wa-meta-call-duration: 42\r\n");
    pair.over(call.conn, &text);
    assert_eq!(pair.meta().status(), 200);
    let bye = pair.pbx();
    assert_eq!((bye.method(), bye.get("Reason")), ("BYE", "Q.850;cause=16"));
    assert_eq!((bye.tag("To"), bye.tag("From")), ("as5f", invite.tag("From")));
    pair.pbx_sends(&bye.reply(200, "", "", ""));
    assert_eq!(pair.moments(), ["arrived", "forwarded", "ringing", "answered", "ended"]);
    let agent = CallMoment::Answered { agent: Some("201".into()) };
    assert!(pair.events.iter().any(|event| event.moment == agent));
    let end = pair.ended();
    assert_eq!((end.by, end.cause, end.meta_seconds), (EndedBy::Contact, EndCause::HungUp, Some(42)));
    pair.assert_clean();
}

#[test]
fn vias_and_record_routes_go_back_byte_for_byte_and_in_order() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", PBX_SDP);
    let ok = pair.meta();
    assert_eq!(
        ok.all("Record-Route"),
        ["<sip:wa.meta.vc;transport=tls;lr>", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"]
    );
    let vias = ok.all("Via");
    assert_eq!(vias.len(), 3);
    assert!(vias[0].contains("rport=51830;received=69.171.251.115;branch=z9hG4bKPj"), "{}", vias[0]);
    assert_eq!(vias[1], "SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPjsecond");
    assert_eq!(
        vias[2],
        "SIP/2.0/TLS [2803:6080:e888:51aa::3]:55319;rport=55319;received=2803:6080:e888:51aa::3;branch=z9hG4bKPjthird;alias"
    );
    assert_eq!(ok.get("Contact"), format!("<sip:+{PHONE}@{HOST}:5061;transport=tls>"));
}

#[test]
fn the_trunk_is_told_who_calls_and_nothing_of_meta_s_addresses() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.from = format!("\"Zoë 🙂\" <sip:+{CUSTOMER}@wa.meta.vc>");
    call.extra
        .push_str("x-wa-meta-user-id: US.13491208655302741918\r\nx-wa-meta-cta-payload: order=7&x=1\r\n");
    let (call, invite) = pair.place(call);
    assert_eq!(
        invite.get("From").split(";tag").next().unwrap(),
        format!("\"Zoë 🙂\" <sip:+{CUSTOMER}@10.0.0.9>")
    );
    assert_eq!(invite.get("X-WA-Call-ID"), call.call_id.strip_prefix("outgoing:").unwrap());
    assert_eq!(invite.get("X-WA-Phone"), format!("+{PHONE}"));
    assert_eq!(invite.get("X-WA-User-ID"), "US.13491208655302741918");
    assert_eq!(invite.get("X-WA-Name"), "Zoë 🙂");
    assert_eq!(invite.get("X-WA-Payload"), "order=7&x=1");
    assert_eq!(invite.get("Max-Forwards"), "68");
    assert_eq!(invite.body, META_SDP.replace("s=-", "s=wabridge"));
    for (name, value) in &invite.headers {
        assert!(
            !value.contains("meta") && !value.contains("fbinfra") && !value.contains("2803:"),
            "{name}: {value}"
        );
    }
    let CallMoment::Arrived(arrival) = &pair.events[0].moment else { panic!() };
    assert_eq!(arrival.peer.digits.as_deref(), Some(CUSTOMER));
    assert_eq!(arrival.report.user_agent.as_deref(), Some("Facebook SipGateway"));
    assert_eq!(arrival.report.tls_version.as_deref(), Some("TLSv1.3"));
    assert_eq!(arrival.report.proof, CallProof::Digest);
    let told = format!("{:?} {:?}", arrival.report.headers, arrival.report.offer);
    assert!(told.contains("Facebook SipGateway") && told.contains("telephone-event"), "{told}");
    assert!(!told.contains(CUSTOMER) && !told.contains("order=7"), "{told}");
}

/// Codec and keying are between Meta and the trunk: what the trunk answers is what Meta gets.
#[test]
fn the_trunk_s_answer_reaches_meta_with_its_payloads_keys_and_roles() {
    let dtls = "v=0\r\no=- 7 7 IN IP4 10.0.0.1\r\ns=Asterisk\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                a=group:BUNDLE audio\r\nm=audio 12000 UDP/TLS/RTP/SAVPF 111 126\r\na=mid:audio\r\n\
                a=setup:active\r\na=fingerprint:sha-256 AB:CD\r\na=ice-ufrag:abcd\r\n\
                a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=candidate:1 1 UDP 2130706431 10.0.0.1 12000 typ host\r\n\
                a=ssrc:1 cname:x\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
                a=rtpmap:126 telephone-event/8000\r\n";
    for answer in [PBX_SDP, dtls] {
        let mut pair = Pair::new();
        let (_, invite) = pair.call_in();
        pair.pbx_replies(&invite, 200, "", answer);
        assert_eq!(pair.meta().body, answer.replace("s=Asterisk", "s=wabridge"));
    }
}

#[test]
fn a_customer_without_a_number_gets_a_safe_anonymous_form() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.from = "<sip:US.13491208655302741918@wa.meta.vc>".into();
    let (_, invite) = pair.place(call);
    assert!(invite.get("From").starts_with("\"Anonymous\" <sip:anonymous@10.0.0.9>;tag="));
    assert_eq!(invite.get("X-WA-User-ID"), "US.13491208655302741918");
}

#[test]
fn names_and_payloads_cannot_inject_headers() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.from = format!("\"a\\\" <sip:evil@x>\\r\u{1}\u{85}\" <sip:+{CUSTOMER}@wa.meta.vc>");
    call.extra.push_str("x-wa-meta-cta-payload: a\r\n X-Evil: 1\r\nx-wa-meta-username: b\u{b}c\u{0}d\r\n");
    let (_, invite) = pair.place(call);
    assert!(!invite.has("X-Evil"));
    assert_eq!(invite.get("X-WA-Payload"), "a X-Evil: 1");
    assert!(invite.get("From").ends_with(&format!("<sip:+{CUSTOMER}@10.0.0.9>;tag={}", invite.tag("From"))));
    assert!(invite.headers.iter().all(|(_, value)| value.chars().all(|c| !c.is_control())));
}

#[test]
fn the_phone_is_found_by_its_trunk_group() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.uri = format!("sip:+{PHONE};tgrp=wacall;trunk-context=byoc.example.com@{HOST};transport=tls");
    pair.place(call);
    let mut call = MetaCall::new(&mut pair, conn);
    call.uri = format!("sip:x;tgrp=wacall@{HOST}");
    pair.over(conn, &call.invite(""));
    assert_eq!((pair.meta().status(), pair.meta().status()), (100, 407));
}

#[test]
fn an_unknown_number_gets_404_and_a_record() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.uri = format!("sip:+4930123456@{HOST};transport=tls");
    pair.over(conn, &call.invite(""));
    assert_eq!(pair.meta().status(), 404);
    assert_eq!(pair.ended().cause, EndCause::UnknownNumber);
}

#[test]
fn a_183_with_sdp_is_a_bare_180() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 100, "", "");
    pair.quiet();
    pair.pbx_replies(&invite, 183, "", PBX_SDP);
    let ringing = pair.meta();
    assert_eq!((ringing.status(), ringing.body.as_str(), ringing.has("Content-Type")), (180, "", false));
    pair.pbx_replies(&invite, 180, "", "");
    pair.quiet();
}

#[test]
fn wrong_digests_from_meta_s_networks_never_silence_meta() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    let challenge = pair.at_meta.pop_back().unwrap();
    for _ in 0..100 {
        let call = MetaCall::new(&mut pair, conn);
        pair.over(conn, &call.invite(&MetaCall::credentials(&challenge, "guess")));
    }
    assert_eq!(pair.at_meta.iter().filter(|msg| msg.status() == 403).count(), 100);
    assert_eq!(pair.moments().iter().filter(|one| **one == "ended").count(), 20, "records are bounded");
    pair.at_meta.clear();
    pair.call_in();
}

#[test]
fn a_wrong_password_is_refused_and_a_replay_too() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    pair.meta();
    let challenge = pair.meta();
    call.seq += 1;
    call.branch = "z9hG4bKwrong".into();
    pair.over(conn, &call.invite(&MetaCall::credentials(&challenge, "guess")));
    assert_eq!((pair.meta().status(), pair.meta().status()), (100, 403));
    let credentials = MetaCall::credentials(&challenge, PASSWORD);
    for (branch, status) in [("z9hG4bKright", None), ("z9hG4bKreplay", Some(403))] {
        let mut call = MetaCall::new(&mut pair, conn);
        call.branch = branch.into();
        pair.over(conn, &call.invite(&credentials));
        assert_eq!(pair.meta().status(), 100);
        assert_eq!(pair.at_meta.pop_front().map(|msg| msg.status()), status);
    }
    assert_eq!(pair.at_pbx.len(), 1);
    // The refused ones are records of their own, since they came from Meta's networks.
    assert_eq!(pair.moments(), ["arrived", "ended", "arrived", "forwarded", "arrived", "ended"]);
}

#[test]
fn an_old_nonce_is_stale() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    pair.meta();
    let challenge = pair.meta();
    pair.seconds(61);
    call.seq += 1;
    call.branch = "z9hG4bKlate".into();
    pair.over(conn, &call.invite(&MetaCall::credentials(&challenge, PASSWORD)));
    assert_eq!(pair.meta().status(), 100);
    let again = pair.meta();
    assert_eq!(again.status(), 407);
    assert!(again.get("Proxy-Authenticate").contains("stale=true"));
}

#[test]
fn sha_256_is_offered_by_setting_and_before_md5_if_named_first() {
    let mut pair =
        Pair::with(|config| config.digest_algorithms = vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5]);
    let conn = pair.meta_connects();
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    pair.meta();
    let challenge = pair.meta();
    let lines = challenge.all("Proxy-Authenticate");
    assert!(lines[0].contains("algorithm=SHA-256") && lines[1].contains("algorithm=MD5"));
}

#[test]
fn forged_headers_from_elsewhere_prove_nothing() {
    let mut pair = Pair::new();
    let conn = pair.stranger(Origin::Refused);
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    assert_eq!(pair.meta().status(), 403);
    assert!(pair.notices.iter().any(|notice| matches!(notice, Notice::Scanner { .. })));
    let conn = pair.stranger(Origin::Stranger);
    let mut call = MetaCall::new(&mut pair, conn);
    pair.prove(&mut call);
    assert_eq!((pair.meta().status(), pair.pbx().method()), (100, "INVITE"), "the digest is what counts");
    assert!(pair.notices.iter().any(|notice| matches!(notice, Notice::Stranger { .. })));
}

#[test]
fn scanners_get_silence_by_setting_and_in_any_case_after_too_many() {
    let mut pair = Pair::with(|config| config.scanners = ScannerAnswer::Silence);
    let conn = pair.stranger(Origin::Refused);
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    pair.quiet();
    assert_eq!(pair.end.counts().servers, 0);
    let mut pair = Pair::new();
    let conn = pair.stranger(Origin::Refused);
    for _ in 0..50 {
        let call = MetaCall::new(&mut pair, conn);
        pair.over(conn, &call.invite(""));
    }
    assert_eq!(pair.at_meta.len(), 20);
    assert!(pair.events.is_empty());
    pair.seconds(61);
    // Its silent connection was closed meanwhile.
    let conn = pair.stranger(Origin::Refused);
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    assert_eq!(pair.at_meta.len(), 21);
}

#[test]
fn an_invite_without_an_offer_gets_488_and_with_something_else_415() {
    let mut pair = Pair::with(|config| config.require_digest = false);
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    call.sdp = String::new();
    pair.over(conn, &call.invite(""));
    assert_eq!((pair.meta().status(), pair.meta().status()), (100, 488));
    let mut call = MetaCall::new(&mut pair, conn);
    call.sdp = String::new();
    let text = call
        .invite("Content-Type: text/plain\r\n")
        .replace("Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\nhi");
    pair.over(conn, &text);
    assert_eq!(pair.meta().status(), 100);
    let refused = pair.meta();
    assert_eq!((refused.status(), refused.get("Accept")), (415, "application/sdp"));
}

#[test]
fn a_flood_is_shed_with_486_while_running_calls_live() {
    let mut pair = Pair::with(|config| {
        config.require_digest = false;
        config.max_calls_per_minute = 3;
    });
    let (running, ok, ..) = {
        let conn = pair.meta_connects();
        let call = MetaCall::new(&mut pair, conn);
        pair.over(conn, &call.invite(""));
        pair.meta();
        let invite = pair.pbx();
        pair.pbx_replies(&invite, 200, "", PBX_SDP);
        (call, pair.meta(), pair.pbx())
    };
    for _ in 0..20 {
        let call = MetaCall::new(&mut pair, running.conn);
        pair.over(running.conn, &call.invite(""));
    }
    let busy = pair.at_meta.iter().filter(|msg| msg.status() == 486).count();
    assert_eq!((busy, pair.at_pbx.len()), (18, 2));
    pair.at_meta.clear();
    let text = running.ack(&mut pair, &ok);
    pair.over(running.conn, &text);
    let text = running.bye(&mut pair, &ok, "");
    pair.over(running.conn, &text);
    assert_eq!(pair.meta().status(), 200);
}

#[test]
fn refusals_of_the_trunk_reach_meta_as_the_policy_says() {
    for (status, extra, told, cause) in [
        (486, "", 486, EndCause::Declined),
        (603, "", 603, EndCause::Declined),
        (488, "", 488, EndCause::Media),
        (404, "", 404, EndCause::UnknownNumber),
        (500, "", 480, EndCause::Failed),
        (503, "", 480, EndCause::Failed),
        (480, "Reason: Q.850;cause=17\r\n", 486, EndCause::Declined),
    ] {
        let mut pair = Pair::new();
        let (call, invite) = pair.call_in();
        pair.pbx_replies(&invite, status, extra, "");
        assert_eq!(pair.pbx().method(), "ACK");
        let refused = pair.meta();
        assert_eq!(refused.status(), told);
        assert_eq!(pair.ended().cause, cause);
        pair.over(call.conn, &call.ack_failure(&refused));
        pair.assert_clean();
    }
}

#[test]
fn an_answer_without_usable_audio_is_488_and_hung_up() {
    let mut pair = Pair::new();
    let (_, invite) = pair.call_in();
    pair.pbx_replies(&invite, 200, "", &PBX_SDP.replace("audio 12000", "audio 0"));
    assert_eq!((pair.pbx().method(), pair.pbx().method()), ("ACK", "BYE"));
    assert_eq!(pair.meta().status(), 488);
    assert_eq!(pair.ended().cause, EndCause::Media);
}

#[test]
fn the_trunk_s_challenge_is_answered() {
    let mut pair = Pair::with(|config| {
        config.trunks[0].login = Some(login("bridge"));
    });
    let (_, invite) = pair.call_in();
    let challenge = "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"n1\",opaque=\"o\",algorithm=MD5,qop=\"auth\"\r\n";
    pair.pbx_sends(&invite.reply(401, "x", challenge, ""));
    assert_eq!(pair.pbx().method(), "ACK");
    let again = pair.pbx();
    assert_eq!((again.seq(), again.get("Call-ID")), (invite.seq() + 1, invite.get("Call-ID")));
    let name = "Authorization";
    let expected = md5_response(
        "bridge",
        "asterisk",
        "pw",
        "INVITE",
        again.uri(),
        "n1",
        "00000001",
        &again.digest(name, "cnonce"),
    );
    assert_eq!(again.digest(name, "response"), expected);
    pair.pbx_sends(&again.reply(401, "x", challenge, ""));
    assert_eq!(pair.pbx().method(), "ACK");
    pair.quiet_pbx();
    assert_eq!(pair.meta().status(), 480);
}

impl Pair {
    fn quiet_pbx(&self) {
        assert!(self.at_pbx.is_empty(), "{:#?}", self.at_pbx);
    }
}

#[test]
fn the_same_invite_by_another_way_is_merged_away() {
    let mut pair = Pair::with(|config| config.require_digest = false);
    let conn = pair.meta_connects();
    let mut call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    pair.meta();
    pair.over(conn, &call.invite(""));
    assert_eq!(pair.meta().status(), 100, "a repetition gets the last answer again");
    call.branch = "z9hG4bKother".into();
    pair.over(conn, &call.invite(""));
    assert_eq!(pair.meta().status(), 482);
    assert_eq!(pair.at_pbx.len(), 1);
}

#[test]
fn without_hops_left_it_is_483() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite("").replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!(pair.meta().status(), 483);
}

#[test]
fn a_phone_whose_password_is_not_known_yet_takes_no_call() {
    let mut pair = Pair::new();
    let table = crate::domain::call::RouteTable {
        routes: vec![crate::domain::call::CallRoute { sip_password: None, ..route() }],
    };
    pair.input(Input::Routes(table));
    let conn = pair.meta_connects();
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite(""));
    assert_eq!((pair.meta().status(), pair.meta().status()), (100, 480));
    assert!(pair.ended().text.unwrap().contains("SIP password"));
}

#[test]
fn calls_that_are_shed_have_records_and_a_flood_has_only_so_many() {
    let mut pair = Pair::with(|config| {
        config.require_digest = false;
        config.max_calls_per_minute = 1;
    });
    let conn = pair.meta_connects();
    for _ in 0..200 {
        let call = MetaCall::new(&mut pair, conn);
        pair.over(conn, &call.invite(""));
    }
    let shed = pair.events.iter().filter(|event| {
        matches!(&event.moment, CallMoment::Ended(end) if end.cause == EndCause::Overload && end.status == Some(486))
    });
    assert_eq!(shed.count(), 60);
    assert_eq!(pair.at_meta.iter().filter(|msg| msg.status() == 486).count(), 199, "each is answered");
}

#[test]
fn only_what_is_not_here_is_told_as_unsupported() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let call = MetaCall::new(&mut pair, conn);
    pair.over(conn, &call.invite("Require: timer, 100rel, Privacy\r\n"));
    let refused = pair.meta();
    assert_eq!((refused.status(), refused.get("Unsupported")), (420, "100rel, Privacy"));
}
