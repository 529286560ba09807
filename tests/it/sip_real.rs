//! Calls through the edge between real programs: SIPp and baresip as Meta and the customer's phone, Asterisk
//! with the configuration that `docs/calls.md` gives. `scripts/sip-tools` gets them; where they are missing the
//! tests say so and pass.

use std::path::Path;
use std::sync::Arc;

use wabridge::domain::Secret;
use wabridge::domain::call::{CallEvent, CallMoment, EndCause, EndedBy, Login};

use crate::support::sip::hosts::OtherHost;
use crate::support::sip::message::{Message, MetaCall, proves_the_password};
use crate::support::sip::peers::Connection;
use crate::support::sip::phone::{Phone, hears_the_tone};
use crate::support::sip::programs::{Additions, Asterisk, Sipp, baresip, listens, port, tools, uri};
use crate::support::sip::together::{edge_and_asterisk, edge_and_asterisk_of, edge_and_asterisk_with};
use crate::support::sip::{CUSTOMER, Certificates, EdgeSetup, PASSWORD, PHONE, TestEdge};

/// A SIPp that calls as Meta does.
fn meta(tools: &Path, scenario: &str, edge: &TestEdge) -> Sipp {
    let (target, uri) = (edge.meta.to_string(), format!("+{PHONE}@sip.example.com"));
    Sipp::new(tools, scenario, &edge.certificates)
        .args(&[&target, "-t", "ln", "-max_socket", "8", "-auth_uri", &uri])
        .args(&["-cid_str", "outgoing:wacid.SIPp%u-%p=="])
        .key("phone", PHONE)
        .key("password", PASSWORD)
        .key("customer", CUSTOMER)
}

/// The answer to the INVITE bears every Via and Record-Route as it was sent, in order; its body.
fn assert_untouched(messages: &str) -> String {
    let answer = messages.split("SIP/2.0 200 OK").nth(1).expect("a 200");
    let (head, body) = answer.split_once("\r\n\r\n").or_else(|| answer.split_once("\n\n")).unwrap();
    let lines = |name: &str| -> Vec<String> {
        head.lines().filter_map(|line| line.strip_prefix(name)).map(|line| line.trim().to_owned()).collect()
    };
    assert_eq!(
        lines("Record-Route:"),
        ["<sip:wa.meta.vc;transport=tls;lr>", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"]
    );
    let vias = lines("Via:");
    assert_eq!(vias.len(), 3, "{head}");
    assert!(vias[1].starts_with("SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPjmiddle"));
    assert!(vias[2].contains("rport=55319;received=2803:6080:e888:51aa::3;branch=z9hG4bKPjlow"));
    body.split("\n-----").next().unwrap().to_owned()
}

#[tokio::test]
async fn meta_calls_asterisk_answers_and_meta_hangs_up_over_another_connection() {
    let Some(tools) = tools() else { return };
    let (edge, asterisk) = edge_and_asterisk(&tools, "echo", Additions::default()).await;
    let messages = meta(&tools, "meta_calls.xml", &edge).start().succeeds().await;
    let body = assert_untouched(&messages);
    assert!(body.contains("RTP/SAVP 111") && body.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80"), "{body}");
    assert!(body.contains("a=rtcp-mux") && !body.contains("Asterisk"), "{body}");
    let end = edge.ends(1).await.remove(0);
    assert_eq!((end.by, end.cause, end.meta_seconds), (EndedBy::Contact, EndCause::HungUp, Some(1)));
    asterisk.says("core show channels", "0 active channels").await;
    edge.stop().await;
}

#[tokio::test]
async fn meta_calls_by_dtls_and_asterisk_answers_in_kind() {
    let Some(tools) = tools() else { return };
    let additions = Additions { keying: "dtls", ..Additions::default() };
    let (edge, asterisk) = edge_and_asterisk(&tools, "echo", additions).await;
    let messages = meta(&tools, "meta_calls_dtls.xml", &edge).start().succeeds().await;
    let body = assert_untouched(&messages);
    assert!(body.contains("UDP/TLS/RTP/SAVPF 111"), "{body}");
    assert!(body.to_lowercase().contains("a=fingerprint:sha-256"), "{body}");
    assert!(body.contains("a=setup:active") && body.contains("a=ice-ufrag:"), "{body}");
    assert_eq!(edge.ends(1).await[0].cause, EndCause::HungUp);
    asterisk.says("core show channels", "0 active channels").await;
    edge.stop().await;
}

#[tokio::test]
async fn asterisk_hangs_up_and_meta_hears_it() {
    let Some(tools) = tools() else { return };
    let (edge, asterisk) = edge_and_asterisk(&tools, "echo", Additions::default()).await;
    let calling = meta(&tools, "meta_hears_bye.xml", &edge).start();
    edge.answered().await;
    asterisk.says("core show channels", "1 active call").await;
    asterisk.tell("channel request hangup all").await;
    let messages = calling.succeeds().await;
    let bye = messages.split("BYE sip:").nth(1).expect("a BYE");
    let routes = bye.lines().filter(|line| line.starts_with("Route:")).collect::<String>();
    assert!(routes.find("wa.meta.vc") < routes.find("onevc-sip-proxy.fbinfra.net"), "{bye}");
    assert_eq!(edge.ends(1).await[0].by, EndedBy::Trunk);
    edge.stop().await;
}

#[tokio::test]
async fn asterisk_calls_meta_which_challenges_answers_and_hangs_up() {
    let Some(tools) = tools() else { return };
    let meta_port = port();
    let change = move |options: &mut wabridge::sip::EdgeOptions| {
        options.config.meta_host = format!("localhost:{meta_port}");
    };
    let (edge, asterisk) = edge_and_asterisk_with(&tools, "echo", Additions::default(), change).await;
    asterisk_calls_meta(&tools, &edge, &asterisk, meta_port).await;
    let end = edge.ends(1).await.remove(0);
    assert_eq!((end.by, end.cause), (EndedBy::Contact, EndCause::HungUp));
    let events = edge.stop().await;
    let CallMoment::Arrived(arrival) = &events[0].moment else { panic!("{events:#?}") };
    assert_eq!(arrival.peer.digits.as_deref(), Some(CUSTOMER));
}

#[tokio::test]
async fn both_sides_prove_themselves_where_the_trunk_has_passwords() {
    let Some(tools) = tools() else { return };
    let trunk = "username = \"wabridge\"\npassword = \"to-asterisk\"\ninbound_username = \"asterisk\"\n\
                 inbound_password = \"to-wabridge\"\n";
    let additions = Additions { trunk: trunk.to_owned(), ..Additions::default() };
    let meta_port = port();
    let change = move |options: &mut wabridge::sip::EdgeOptions| {
        options.config.meta_host = format!("localhost:{meta_port}");
        let login = |username: &str, password: &str| {
            Some(Login { username: username.to_owned(), password: Secret::from(password.to_owned()) })
        };
        let trunk = &mut options.config.trunks[0];
        (trunk.login, trunk.inbound_login) =
            (login("wabridge", "to-asterisk"), login("asterisk", "to-wabridge"));
    };
    let (edge, asterisk) = edge_and_asterisk_with(&tools, "echo", additions, change).await;
    meta(&tools, "meta_calls.xml", &edge).start().succeeds().await;
    edge.ends(1).await;
    asterisk_calls_meta(&tools, &edge, &asterisk, meta_port).await;
    assert_eq!(edge.ends(2).await[1].cause, EndCause::HungUp);
    edge.stop().await;
}

#[tokio::test]
async fn asterisk_is_spoken_to_by_tcp() {
    both_ways_by("tcp").await;
}

#[tokio::test]
async fn asterisk_is_spoken_to_by_tls_and_both_sides_check_the_others_certificate() {
    both_ways_by("tls").await;
}

/// A call in each direction, each over a connection of whoever calls; hung up by Meta, then by Asterisk.
async fn both_ways_by(transport: &'static str) {
    let Some(tools) = tools() else { return };
    let (certificates, bridge_port, asterisk_port, meta_port) = (Certificates::new(), port(), port(), port());
    let ca = certificates.path("ca.pem");
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![uri(transport, asterisk_port)],
        extension: Some("echo"),
        certificates: Some(certificates.clone()),
        options: Some(Box::new(move |options| {
            // Asterisk asks only a name server for names, and there is none in a test.
            options.config.hostname = Some("127.0.0.1".to_owned());
            options.config.trunk_listen.set_port(bridge_port);
            options.config.trunk_advertised.set_port(bridge_port);
            options.config.trunks[0].tls_ca_file = Some(ca);
            options.config.meta_host = format!("localhost:{meta_port}");
        })),
        ..EdgeSetup::default()
    })
    .await;
    let additions = Additions { transport: Some((transport, certificates)), ..Additions::default() };
    let asterisk = Asterisk::start(&tools, bridge_port, asterisk_port, additions).await;
    meta(&tools, "meta_calls.xml", &edge).start().succeeds().await;
    assert_eq!(edge.ends(1).await[0].by, EndedBy::Contact);
    let calling = meta(&tools, "meta_hears_bye.xml", &edge).start();
    asterisk.says("core show channels", "1 active call").await;
    edge.told("the second answer", |events| {
        let is_answer = |event: &&CallEvent| matches!(event.moment, CallMoment::Answered { .. });
        (events.iter().filter(is_answer).count() == 2).then_some(())
    })
    .await;
    asterisk.tell("channel request hangup all").await;
    calling.succeeds().await;
    assert_eq!(edge.ends(2).await[1].by, EndedBy::Trunk);
    asterisk_calls_meta(&tools, &edge, &asterisk, meta_port).await;
    let end = edge.ends(3).await.remove(2);
    assert_eq!((end.by, end.cause), (EndedBy::Contact, EndCause::HungUp));
    asterisk.says("core show channels", "0 active channels").await;
    let taken = "wabridge_sip_connections_total{side=\"trunk\",outcome=\"accepted\"}";
    assert!(edge.metric(taken) >= 1.0, "Asterisk came by a connection of its own");
    edge.stop().await;
}

#[tokio::test]
async fn asterisk_gets_the_headers_of_the_customer() {
    let Some(tools) = tools() else { return };
    let show = "\n[from-whatsapp]\nexten => show,1,Answer()\n same => n,Set(CHANNEL(accountcode)=${PJSIP_HEADER(read,X-WA-Name)})\n \
                same => n,Set(CALLERID(name)=${PJSIP_HEADER(read,X-WA-Call-ID)}/${PJSIP_HEADER(read,X-WA-Phone)}/${WA_USER}${PJSIP_HEADER(read,X-WA-User-ID)}/${PJSIP_HEADER(read,X-WA-Payload)})\n \
                same => n,Echo()\n";
    let additions = Additions { extensions: show.to_owned(), ..Additions::default() };
    let (edge, asterisk) = edge_and_asterisk(&tools, "show", additions).await;
    let mut connection = Connection::open(&edge).await;
    let mut call = MetaCall::new("headers");
    let more = "x-wa-meta-wacid: wacid.headers==\r\nx-wa-meta-user-id: US.1349\r\nx-wa-meta-cta-payload: order-17\r\n";
    call_with(&mut connection, &mut call, more).await;
    asterisk.says("core show channels concise", "!Echo!").await;
    let channel = asterisk.tell("core show channels concise").await;
    let name = channel.split('!').next().unwrap().trim().to_owned();
    let shown = asterisk.tell(&format!("core show channel {name}")).await;
    assert!(shown.contains(&format!("wacid.headers==/+{PHONE}/US.1349/order-17")), "{shown}");
    assert!(shown.contains(&format!("Caller ID: +{CUSTOMER}")), "{shown}");
    connection.send(&call.bye()).await;
    connection.status(200).await;
    edge.stop().await;
}

/// Early media of an agent's phone stops at Asterisk: nothing comes to Meta's address before the answer.
#[tokio::test]
async fn nothing_is_heard_before_the_answer() {
    let Some(tools) = tools() else { return };
    let early = "\n[from-early]\nexten => 200,1,Progress()\n same => n,Playtones(440/1000)\n \
                 same => n(again),Wait(0.1)\n same => n,GotoIf($[\"${PICKED}\" = \"yes\"]?up:again)\n \
                 same => n(up),Answer()\n same => n,Milliwatt()\n";
    let additions = Additions { extensions: early.to_owned(), ..Additions::default() };
    let (bridge_port, asterisk_port) = (port(), port());
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![format!("sip:127.0.0.1:{asterisk_port};transport=udp")],
        options: Some(Box::new(move |options| {
            options.config.trunk_listen.set_port(bridge_port);
            options.config.trunk_advertised.set_port(bridge_port);
        })),
        ..EdgeSetup::default()
    })
    .await;
    // The documented dialplan, whose agent is one that plays something before it answers.
    let mut additions = additions;
    additions.agents = Some("Local/200@from-early".to_owned());
    let asterisk = Asterisk::start(&tools, bridge_port, asterisk_port, additions).await;
    let media = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut connection = Connection::open(&edge).await;
    let mut call = MetaCall::new("early");
    call.sdp = super::support::sip::message::offer(media.local_addr().unwrap().port());
    connection.invite(&mut call).await;
    let ringing = connection.status(180).await;
    assert!(ringing.body.is_empty(), "{ringing:#?}");
    asterisk.says("core show channels concise", "!Wait!0.1!").await;
    let mut packet = [0; 2048];
    assert!(media.try_recv(&mut packet).is_err(), "something was sent before the answer");
    asterisk.tell("dialplan set global PICKED yes").await;
    let answer = connection.status(200).await;
    call.answered(&answer);
    connection.send(&call.ack()).await;
    // And now Asterisk speaks first, as Meta wants it.
    let spoken = tokio::time::timeout(crate::support::DEADLINE, media.recv(&mut packet)).await;
    assert!(spoken.expect("speech").unwrap() > 12);
    connection.send(&call.bye()).await;
    connection.status(200).await;
    drop(asterisk);
    edge.stop().await;
}

/// WhatsApp sends nothing before it has heard something, and hangs up on who is silent: the documented first test
/// makes itself heard to a peer that never says a word, and RTCP goes on.
#[tokio::test]
async fn asterisk_speaks_first_and_gives_signs_of_life_to_who_says_nothing() {
    let Some(tools) = tools() else { return };
    let (edge, asterisk) = edge_and_asterisk(&tools, "echo", Additions::default()).await;
    let media = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut connection = Connection::open(&edge).await;
    let mut call = MetaCall::new("silent");
    call.sdp = super::support::sip::message::offer(media.local_addr().unwrap().port());
    connection.invite(&mut call).await;
    let answer = connection.status(200).await;
    call.answered(&answer);
    connection.send(&call.ack()).await;
    let (mut speech, mut reports) = (0, 0);
    let heard = tokio::time::timeout(crate::support::DEADLINE, async {
        let mut packet = [0; 2048];
        while speech < 25 || reports < 2 {
            media.recv(&mut packet).await.unwrap();
            // RFC 5761: on the one port the second byte tells reports from speech.
            let is_report = (192..224).contains(&packet[1]);
            (speech, reports) = (speech + usize::from(!is_report), reports + usize::from(is_report));
        }
    });
    assert!(heard.await.is_ok(), "{speech} packets of speech, {reports} reports");
    asterisk.says("core show channels concise", "!Echo!").await;
    connection.send(&call.bye()).await;
    connection.status(200).await;
    edge.stop().await;
}

#[tokio::test]
async fn speech_goes_both_ways_by_sdes() {
    speech("sdes", "srtp-mand").await;
}

#[tokio::test]
async fn speech_goes_both_ways_by_dtls() {
    speech("dtls", "dtls_srtp").await;
}

#[tokio::test]
async fn speech_goes_both_ways_by_dtls_and_ice_between_two_hosts() {
    let Some(host) = OtherHost::start() else { return };
    speech_from("dtls", "dtls_srtp", Some(host)).await;
}

async fn speech(keying: &'static str, encryption: &str) {
    speech_from(keying, encryption, None).await;
}

/// A phone calls through the edge, speaks a tone, and hears it back; Asterisk has recorded it too.
async fn speech_from(keying: &'static str, encryption: &str, host: Option<Arc<OtherHost>>) {
    let (Some(tools), Some(program)) = (tools(), baresip()) else { return };
    let record = "\n[from-whatsapp]\nexten => rec,1,Answer()\n same => n,MixMonitor(${ASTSPOOLDIR}/rec.wav,r(${ASTSPOOLDIR}/rx.wav))\n \
                  same => n,Echo()\n";
    let place = host.as_ref().map_or("127.0.0.1", |host| host.ours.as_str()).to_owned();
    let media = Some(place.clone());
    let additions = Additions { keying, extensions: record.to_owned(), media, ..Additions::default() };
    let certificates = Certificates::new();
    certificates.sign("bridge", &[place.as_str()], 2100);
    // The phone asks no resolver of ours: the bridge has its address for a name.
    let change = move |options: &mut wabridge::sip::EdgeOptions| {
        options.config.listen.set_ip(place.parse().unwrap());
        options.config.hostname = Some(place);
    };
    let (edge, asterisk) = edge_and_asterisk_of(&tools, "rec", additions, certificates, change).await;
    let by_ice = host.is_some();
    let phone = Phone::on(&program, &edge, encryption, host);
    let heard = phone.calls().await;
    assert!(hears_the_tone(&heard), "the phone hears its tone back: {}", heard.display());
    let recorded = asterisk.folder.path().join("spool/rx.wav");
    assert!(hears_the_tone(&recorded), "Asterisk has heard the tone: {}", recorded.display());
    assert_eq!(edge.ends(1).await[0].cause, EndCause::HungUp);
    if by_ice {
        let log = phone.log();
        assert!(log.contains("ice") && !log.contains("ICE failed"), "{log}");
    }
    edge.stop().await;
}

/// An agent dials the customer, by the documented dialplan; SIPp is Meta, and challenges.
async fn asterisk_calls_meta(tools: &Path, edge: &TestEdge, asterisk: &Asterisk, meta_port: u16) {
    let answering = Sipp::new(tools, "meta_answers.xml", &edge.certificates)
        .args(&["-t", "l1", "-p", &meta_port.to_string()])
        .key("phone", PHONE)
        .start();
    listens(meta_port).await;
    let said =
        asterisk.tell(&format!("channel originate Local/+{CUSTOMER}@to-whatsapp application Echo")).await;
    assert!(!said.contains("No such command"), "{said}");
    let messages = answering.succeeds().await;
    let proven = messages.rsplit("INVITE sip:").find(|text| text.contains("Proxy-Authorization:")).unwrap();
    assert!(proves_the_password(proven), "{proven}");
}

async fn call_with(connection: &mut Connection, call: &mut MetaCall, more: &str) -> Message {
    connection.send(&call.request("INVITE", more, &call.sdp.clone())).await;
    let challenge = connection.status(407).await;
    call.cseq += 1;
    let uri = format!("sip:+{PHONE}@sip.example.com");
    let proof = super::support::sip::message::credentials(&challenge, "INVITE", &uri, PHONE, PASSWORD);
    connection.send(&call.request("INVITE", &(more.to_owned() + &proof), &call.sdp.clone())).await;
    let answer = connection.status(200).await;
    call.answered(&answer);
    connection.send(&call.ack()).await;
    answer
}

/// The page that people copy from has what the command prints.
#[tokio::test]
async fn the_documented_configuration_is_what_the_command_prints() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/calls.md")).unwrap();
    for keying in ["sdes", "dtls"] {
        let mut command =
            super::support::process::bare_command(&["asterisk-config", "--phone", "+12195550123"]);
        command.args(["--keying", keying]);
        let folder = tempfile::tempdir().unwrap();
        command.current_dir(folder.path());
        let printed = super::support::process::finish(command).await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let (pjsip, extensions) = printed.stdout.split_once("; ===== extensions.conf =====\n").unwrap();
        let pjsip = pjsip.trim_start_matches("; ===== pjsip.conf =====\n").trim();
        let is_whole = page.contains(pjsip);
        // For the second keying the page shows only what differs.
        let differing = pjsip.lines().skip_while(|line| !line.starts_with("media_encryption"));
        let block: Vec<&str> = differing.take_while(|line| !line.starts_with("rtcp_mux")).collect();
        assert!(is_whole || page.contains(&block.join("\n")), "docs/calls.md lacks:\n{pjsip}");
        assert!(keying != "sdes" || is_whole, "docs/calls.md lacks:\n{pjsip}");
        assert!(page.contains(extensions.trim()), "docs/calls.md lacks:\n{extensions}");
    }
}
