//! The edge on its sockets: calls from end to end, targets that are dead, certificates, start and stop. What slow,
//! many and strange peers get is in `sip_peers`.

use std::time::Duration;

use wabridge::config::TlsFiles;
use wabridge::domain::call::{CallMoment, EndCause, EndedBy};
use wabridge::sip::{Edge, EdgeOptions, SipError};
use wabridge::telemetry::Metrics;

use crate::support::DEADLINE;
use crate::support::process::{Installation, free_port};
use crate::support::sip::message::MetaCall;
use crate::support::sip::peers::{Connection, MetaServer, Pbx};
use crate::support::sip::{Certificates, EdgeSetup, TestEdge, config, eventually, trunk};

#[tokio::test]
async fn a_call_goes_through_from_meta_to_the_trunk_and_ends_by_meta() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut meta = Connection::open(&edge).await;
    let (mut call, invite) = meta.call(&pbx, "whole").await;
    assert!(invite.start.starts_with("INVITE sip:100@127.0.0.1"), "{}", invite.start);
    assert!(!invite.headers.iter().any(|(_, value)| value.contains("fbinfra")), "{invite:#?}");
    edge.answered().await;

    meta.send(&call.bye()).await;
    let (bye, from) = pbx.request("BYE").await;
    pbx.send(from, &bye.answer("200 OK", "", None, "")).await;
    meta.status(200).await;
    let end = edge.ends(1).await.remove(0);
    assert_eq!((end.by, end.cause, end.meta_seconds), (EndedBy::Contact, EndCause::HungUp, Some(7)));
    let events = edge.stop().await;
    let Some(CallMoment::Arrived(arrival)) = events.first().map(|event| &event.moment) else {
        panic!("{events:#?}")
    };
    assert_eq!(arrival.report.tls_version.as_deref(), Some("TLSv1.3"));
    assert_eq!(arrival.report.sni.as_deref(), Some("sip.example.com"));
    assert!(arrival.report.cipher.is_some() && arrival.report.headers.len() > 10, "{:?}", arrival.report);
}

#[tokio::test]
async fn a_bye_over_another_connection_ends_the_call() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut first = Connection::open(&edge).await;
    let (mut call, _) = first.call(&pbx, "elsewhere").await;
    let mut second = Connection::open(&edge).await;
    second.send(&call.bye()).await;
    second.status(200).await;
    pbx.request("BYE").await;
    assert_eq!(edge.ends(1).await[0].by, EndedBy::Contact);
    edge.stop().await;
}

#[tokio::test]
async fn a_hang_up_of_the_trunk_goes_over_the_connection_that_the_call_came_by() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut meta = Connection::open(&edge).await;
    let (_, invite) = meta.call(&pbx, "trunk-ends").await;
    pbx.send(edge.trunk, &pbx.bye(&invite)).await;
    let bye = meta.request("BYE").await;
    assert_eq!(
        bye.all("Route").join(","),
        "<sip:wa.meta.vc;transport=tls;lr>,<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"
    );
    meta.send(&bye.answer("200 OK", "", None, "")).await;
    assert_eq!(edge.ends(1).await[0].by, EndedBy::Trunk);
    edge.stop().await;
}

#[tokio::test]
async fn a_hang_up_after_metas_connection_has_gone_is_dialled_with_verification() {
    let (certificates, pbx) = (Certificates::new(), Pbx::start().await);
    let server = MetaServer::start(&certificates).await;
    let host = server.host();
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        certificates: Some(certificates),
        options: Some(Box::new(move |options| options.config.meta_host = host)),
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    let mut call = MetaCall::new("gone");
    let place = format!("sip:{};transport=tls;lr", server.host());
    let invite = async {
        meta.send(&call.invite().replace("sip:wa.meta.vc;transport=tls;lr", &place)).await;
        let challenge = meta.status(407).await;
        let again = call.invite_with(&challenge).replace("sip:wa.meta.vc;transport=tls;lr", &place);
        meta.send(&again).await;
        let answer = meta.status(200).await;
        call.answered(&answer);
        meta.send(&call.ack()).await;
    };
    let (forwarded, ()) = tokio::join!(async { pbx.answer_call().await.0 }, invite);
    edge.answered().await;
    drop(meta);
    eventually("the connection is gone", || {
        (edge.metric("wabridge_sip_connections_open") < 1.0).then_some(())
    })
    .await;
    pbx.send(edge.trunk, &pbx.bye(&forwarded)).await;
    let mut dialled = server.accept().await;
    let bye = dialled.request("BYE").await;
    dialled.send(&bye.answer("200 OK", "", None, "")).await;
    pbx.status(200).await;
    edge.ends(1).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_client_that_offers_a_protocol_is_served_without_one() {
    let (edge, _pbx) = TestEdge::with_pbx().await;
    let connection = Connection::open_with(&edge, &[b"sip"]).await.unwrap();
    assert_eq!(connection.alpn, None);
    edge.stop().await;
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_told_in_the_report() {
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let (edge, pbx) = TestEdge::with_pbx().await;
        let mut meta = Connection::open_by(&edge, version).await;
        meta.call(&pbx, "version").await;
        edge.answered().await;
        let events = edge.stop().await;
        let CallMoment::Arrived(arrival) = &events[0].moment else { panic!("{events:#?}") };
        assert_eq!(arrival.report.tls_version.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_while_a_call_runs() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut meta = Connection::open(&edge).await;
    let (mut call, _) = meta.call(&pbx, "renewal").await;
    edge.certificates.sign("bridge", &["sip.example.com", "127.0.0.1"], 2099);
    let certificate = edge.certificate.clone();
    let now = wabridge::clock::Clock::System.now();
    assert!(tokio::task::spawn_blocking(move || certificate.reload_if_changed(now)).await.unwrap().unwrap());

    let renewed = Connection::open(&edge).await;
    assert_ne!(renewed.shown, meta.shown);
    meta.send(&call.bye()).await;
    meta.status(200).await;
    assert_eq!(edge.ends(1).await[0].cause, EndCause::HungUp);
    edge.stop().await;
}

#[tokio::test]
async fn a_dead_target_of_a_trunk_is_followed_by_the_next() {
    let (dead, alive) = (Pbx::start().await, Pbx::start().await);
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![dead.uri(), alive.uri()],
        options: Some(Box::new(|options| options.timers.target_deadline = Duration::from_millis(200))),
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    meta.call(&alive, "second").await;
    edge.answered().await;
    dead.request("INVITE").await;
    edge.stop().await;
}

#[tokio::test]
async fn a_target_that_refuses_connections_is_followed_by_the_next_at_once() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let alive = Pbx::start().await;
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![format!("sip:{closed};transport=tcp"), alive.uri()],
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    meta.call(&alive, "refused").await;
    edge.answered().await;
    edge.stop().await;
}

#[tokio::test]
async fn a_trunk_that_nobody_answers_for_ends_the_call_with_480() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![format!("sip:{closed};transport=tcp")],
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    let mut call = MetaCall::new("nobody");
    meta.invite(&mut call).await;
    meta.status(480).await;
    assert_eq!(edge.ends(1).await[0].cause, EndCause::TrunkUnreachable);
    edge.stop().await;
}

#[tokio::test]
async fn a_call_of_the_trunk_is_dialled_to_meta_and_proves_itself() {
    let (certificates, pbx) = (Certificates::new(), Pbx::start().await);
    let server = MetaServer::start(&certificates).await;
    let host = server.host();
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        certificates: Some(certificates),
        options: Some(Box::new(move |options| options.config.meta_host = host)),
        ..EdgeSetup::default()
    })
    .await;
    pbx.send(edge.trunk, &pbx.invite(edge.trunk, "pbx-call")).await;
    let mut meta = server.accept().await;
    let invite = meta.request("INVITE").await;
    assert!(invite.header("From").unwrap().contains("<sip:+12195550123@sip.example.com>"), "{invite:#?}");
    let challenge = "407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm=\"wa.meta.vc\", \
                     nonce=\"419ac2415577f8e1\", algorithm=MD5, qop=\"auth\"";
    meta.send(&invite.answer(challenge, "asked", None, "")).await;
    meta.request("ACK").await;
    let proven = meta.request("INVITE").await;
    assert!(proven.header("Proxy-Authorization").unwrap().contains("username=\"12195550123\""));
    let contact = "sip:+12195550714@wa.meta.vc;transport=tls;ob";
    meta.send(&proven.answer("180 Ringing", "m", Some(contact), "")).await;
    pbx.status(180).await;
    meta.send(&proven.answer("200 OK", "m", Some(contact), &super::support::sip::message::offer(3480))).await;
    meta.request("ACK").await;
    pbx.status(200).await;
    edge.answered().await;
    edge.stop().await;
}

#[tokio::test]
async fn a_meta_that_cannot_prove_its_name_gets_no_call() {
    let (pbx, impostor) = (Pbx::start().await, Certificates::new());
    let server = MetaServer::start(&impostor).await;
    let host = server.host();
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        options: Some(Box::new(move |options| options.config.meta_host = host)),
        ..EdgeSetup::default()
    })
    .await;
    pbx.send(edge.trunk, &pbx.invite(edge.trunk, "pbx-call")).await;
    let (refused, ()) = tokio::join!(pbx.status(503), server.refused());
    assert_eq!(refused.status(), 503);
    edge.ends(1).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_trunk_is_called_by_tls_with_a_root_of_its_own() {
    let (trunks, meta_side) = (Certificates::new(), Certificates::new());
    let server = MetaServer::start(&trunks).await;
    let (uri, root) = (format!("sip:{};transport=tls", server.host()), trunks.path("ca.pem"));
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![uri],
        certificates: Some(meta_side),
        options: Some(Box::new(move |options| options.config.trunks[0].tls_ca_file = Some(root))),
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    let mut call = MetaCall::new("secure");
    let answering = async {
        let mut pbx = server.accept().await;
        let invite = pbx.request("INVITE").await;
        let contact = format!("sip:{};transport=tls", server.host());
        let sdp = super::support::sip::message::offer(42_000);
        pbx.send(&invite.answer("200 OK", "pbx", Some(&contact), &sdp)).await;
        pbx.request("ACK").await;
        pbx
    };
    let calling = async {
        meta.invite(&mut call).await;
        let answer = meta.status(200).await;
        call.answered(&answer);
        meta.send(&call.ack()).await;
        edge.answered().await;
        meta.send(&call.bye()).await;
    };
    let (mut pbx, ()) = tokio::join!(answering, calling);
    pbx.request("BYE").await;
    edge.stop().await;
}

#[tokio::test]
async fn a_refused_permission_ends_a_call_of_the_trunk_at_once() {
    let pbx = Pbx::start().await;
    let refusal = wabridge::domain::call::CallPermission::Refused("ask for it by a template".to_owned());
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        permission: Some(refusal),
        ..EdgeSetup::default()
    })
    .await;
    pbx.send(edge.trunk, &pbx.invite(edge.trunk, "pbx-call")).await;
    pbx.status(403).await;
    assert_eq!(edge.ends(1).await[0].cause, EndCause::NoPermission);
    edge.stop().await;
}

#[tokio::test]
async fn a_stop_hangs_up_what_runs_and_a_drain_lets_it_run_on() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut meta = Connection::open(&edge).await;
    meta.call(&pbx, "stopped").await;
    edge.answered().await;
    edge.begin_stop();
    meta.request("BYE").await;
    pbx.request("BYE").await;
    let events = edge.stop().await;
    let CallMoment::Ended(end) = &events.last().unwrap().moment else { panic!("{events:#?}") };
    assert_eq!((end.by, end.cause), (EndedBy::Bridge, EndCause::Stopped));

    let pbx = Pbx::start().await;
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        options: Some(Box::new(|options| options.config.drain = DEADLINE)),
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    let (mut running, _) = meta.call(&pbx, "drained").await;
    edge.answered().await;
    edge.begin_stop();
    let mut late = MetaCall::new("late");
    let mut other = Connection::open(&edge).await;
    other.invite(&mut late).await;
    other.status(480).await;
    meta.send(&running.bye()).await;
    meta.status(200).await;
    let events = edge.stop().await;
    let mut of_first = events.iter().filter(|event| event.call == events[0].call);
    let CallMoment::Ended(end) = &of_first.next_back().unwrap().moment else { panic!("{events:#?}") };
    assert_eq!((end.by, end.cause), (EndedBy::Contact, EndCause::HungUp));
}

#[tokio::test]
async fn what_is_wrong_at_the_start_is_told_with_file_and_fault() {
    let certificates = Certificates::new();
    certificates.sign("other", &["other.example.com"], 2100);
    std::fs::write(certificates.path("empty.pem"), "").unwrap();
    std::fs::write(certificates.path("networks"), "31.13.24.0/21\nnonsense\n").unwrap();
    let key_of_another =
        TlsFiles { certificate: certificates.path("bridge.pem"), private_key: certificates.path("meta.key") };
    let good = || config(&certificates, vec!["sip:127.0.0.1:5060".to_owned()]);
    let mut cases = Vec::new();
    for (files, expected) in [
        (certificates.files("none"), "none.pem"),
        (certificates.files("empty"), "empty.pem"),
        (certificates.files("other"), "other.pem is not for sip.example.com"),
        (key_of_another, "bridge.pem cannot be used with its private key"),
    ] {
        let mut config = good();
        config.tls = Some(files);
        cases.push((config, expected));
    }
    let mut networks = good();
    networks.sources_file = Some(certificates.path("networks"));
    cases.push((networks, "networks: line 2"));
    let mut roots = good();
    roots.trunks = vec![trunk(vec!["sip:127.0.0.1:5061;transport=tls".to_owned()])];
    roots.trunks[0].tls_ca_file = Some(certificates.path("none.pem"));
    cases.push((roots, "none.pem"));
    let mut taken = good();
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    taken.listen = holder.local_addr().unwrap();
    cases.push((taken, "sip.listen: 127.0.0.1"));
    for (config, expected) in cases {
        let error: SipError =
            Edge::bind(EdgeOptions::new(config), Metrics::new().into()).await.err().expect(expected);
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains(expected), "{text} does not tell {expected}");
    }
}

fn settings(certificates: &Certificates, port: u16, name: &str) -> String {
    let files = certificates.files(name);
    format!(
        "sip.enabled = true\nsip.listen = \"127.0.0.1:{port}\"\nsip.hostname = \"sip.example.com\"\n\
         sip.certificate = {:?}\nsip.private_key = {:?}\nsip.trunk_listen = \"127.0.0.1:0\"\n",
        files.certificate, files.private_key
    )
}

#[tokio::test]
async fn the_bridge_runs_the_edge_and_ends_it() {
    let (certificates, port) = (Certificates::new(), free_port());
    let home = Installation::new(&settings(&certificates, port, "bridge")).await;
    let bridge = home.serve().await;
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let mut connection = Connection::dial(address, &certificates, &[]).await.unwrap();
    connection.send("\r\n\r\n").await;
    connection.bytes(b"\r\n").await;
    bridge.stop().await;
    connection.closed().await;
}

#[tokio::test]
async fn the_bridge_takes_a_renewed_certificate_while_a_connection_stays_open() {
    let (certificates, port) = (Certificates::new(), free_port());
    let home = Installation::new(&(settings(&certificates, port, "bridge") + "log.level = \"info\"\n")).await;
    let bridge = home.serve().await;
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let mut before = Connection::dial(address, &certificates, &[]).await.unwrap();
    certificates.sign("bridge", &["other.example.com"], 2099);
    home.logs("is not for sip.example.com").await;
    let meanwhile = Connection::dial(address, &certificates, &[]).await.unwrap();
    assert_eq!(meanwhile.shown, before.shown, "a certificate of another name is not taken");
    certificates.sign("bridge", &["sip.example.com"], 2099);
    home.logs("the certificate was renewed").await;
    let after = Connection::dial(address, &certificates, &[]).await.unwrap();
    assert_ne!(after.shown, before.shown);
    before.send("\r\n\r\n").await;
    before.bytes(b"\r\n").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_certificate_that_ends_within_fourteen_days_is_told_of_at_the_start() {
    let (certificates, port) = (Certificates::new(), free_port());
    let end = wabridge::clock::Clock::System.now() + chrono::TimeDelta::days(13);
    certificates.sign_until("bridge", &["sip.example.com"], end);
    let home = Installation::new(&settings(&certificates, port, "bridge")).await;
    let bridge = home.serve().await;
    home.logs("the certificate expires soon: renew it").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_bridge_whose_certificate_is_missing_says_which_and_ends() {
    let (certificates, port) = (Certificates::new(), free_port());
    let home = Installation::new(&settings(&certificates, port, "forgotten")).await;
    let ended = home.run(&["serve"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let complaint = ended.stderr.lines().last().unwrap();
    assert!(complaint.starts_with("wabridge: ") && complaint.contains("forgotten.pem"), "{complaint}");
    assert!(complaint.contains("sip.certificate"), "{complaint}");
}
