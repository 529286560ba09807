//! What slow, silent, many, strange and vanishing peers get of the edge, and that calls live through it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use wabridge::config::SourceCheck;
use wabridge::domain::call::{EndCause, EndedBy};
use wabridge::sip::{EdgeOptions, Limits};

use crate::support::DEADLINE;
use crate::support::sip::message::{Message, MetaCall, offer};
use crate::support::sip::peers::{Connection, MetaServer, Pbx};
use crate::support::sip::{Certificates, EdgeSetup, TestEdge, eventually};

/// The beginning of a ClientHello, and nothing after it.
const HALF_HELLO: [u8; 3] = [0x16, 0x03, 0x01];

/// An edge with other patience or limits, and its telephone system.
async fn with(change: impl FnOnce(&mut EdgeOptions) + Send + 'static) -> (TestEdge, Pbx) {
    let pbx = Pbx::start().await;
    let setup =
        EdgeSetup { trunks: vec![pbx.uri()], options: Some(Box::new(change)), ..EdgeSetup::default() };
    (TestEdge::start(setup).await, pbx)
}

/// Waits until the other side has closed.
async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    // A reset is an end as well.
    let _ = closed.expect("the connection is closed");
}

async fn counts(edge: &TestEdge, name: &str, least: f64) {
    eventually(name, || (edge.metric(name) >= least).then_some(())).await;
}

#[tokio::test]
async fn silent_and_slow_handshakes_keep_nobody_waiting() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(edge.meta).await.unwrap();
        // The beginning of a ClientHello, and nothing after it.
        stream.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        slow.push(stream);
    }
    let mut meta = Connection::open(&edge).await;
    let (mut call, _) = meta.call(&pbx, "patient").await;
    meta.send(&call.bye()).await;
    meta.status(200).await;
    edge.ends(1).await;
    assert!(edge.metric("wabridge_sip_connections_open") >= 1.0, "and the slow ones are none yet");
    edge.stop().await;
    drop(slow);
}

#[tokio::test]
async fn connections_are_bounded_for_a_source_and_a_closed_one_makes_room() {
    let limits = Limits { total: 8, per_source: 3, per_stranger: 1, ..Limits::default() };
    let edge = TestEdge::start(EdgeSetup {
        options: Some(Box::new(move |options| options.limits = limits)),
        ..EdgeSetup::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Connection::open(&edge).await);
    }
    assert!(Connection::open_with(&edge, &[]).await.is_err(), "the fourth is shut out");
    held.pop();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while Connection::open_with(&edge, &[]).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "there is room again");
    }
    assert!(edge.metric("wabridge_sip_connections_total{side=\"meta\",outcome=\"refused\"}") >= 1.0);
    edge.stop().await;
}

#[tokio::test]
async fn a_keep_alive_is_answered_even_if_it_comes_in_pieces() {
    let (edge, _pbx) = TestEdge::with_pbx().await;
    let mut meta = Connection::open(&edge).await;
    meta.send("\r\n\r\n").await;
    meta.bytes(b"\r\n").await;
    for piece in ["\r", "\n\r", "\n"] {
        meta.send(piece).await;
    }
    meta.bytes(b"\r\n").await;
    edge.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_call_is_not() {
    let pbx = Pbx::start().await;
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        options: Some(Box::new(|options| options.idle = Duration::from_millis(300))),
        ..EdgeSetup::default()
    })
    .await;
    let mut busy = Connection::open(&edge).await;
    let (mut call, _) = busy.call(&pbx, "busy").await;
    let mut idle = Connection::open(&edge).await;
    idle.closed().await;
    busy.send(&call.bye()).await;
    busy.status(200).await;
    busy.closed().await;
    edge.stop().await;
}

#[tokio::test]
async fn strangers_are_refused_where_the_setting_says_so() {
    let edge = TestEdge::start(EdgeSetup {
        options: Some(Box::new(|options| options.config.source_check = SourceCheck::Enforce)),
        ..EdgeSetup::default()
    })
    .await;
    let mut stranger = Connection::open(&edge).await;
    stranger.send(&MetaCall::new("stranger").invite()).await;
    stranger.status(403).await;
    eventually("it was counted", || {
        (edge.metric("wabridge_sip_notices_total{kind=\"scanner\"}") >= 1.0).then_some(())
    })
    .await;
    edge.stop().await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up_and_a_call_does_not_notice() {
    let (edge, pbx) = with(|options| options.patience.handshake = Duration::from_secs(1)).await;
    let mut meta = Connection::open(&edge).await;
    let (mut call, _) = meta.call(&pbx, "beside").await;
    for address in [edge.meta, edge.trunk] {
        let (mut silent, mut slow) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        slow.write_all(&HALF_HELLO).await.unwrap();
        is_closed(&mut silent).await;
        is_closed(&mut slow).await;
    }
    for side in ["meta", "trunk"] {
        let name = format!("wabridge_sip_connections_total{{side=\"{side}\",outcome=\"handshake_timeout\"}}");
        counts(&edge, &name, 2.0).await;
    }
    meta.send(&call.bye()).await;
    meta.status(200).await;
    edge.stop().await;
}

#[test]
fn a_handshake_has_ten_seconds_by_default() {
    assert_eq!(
        EdgeOptions::new(wabridge::config::Config::default().sip).patience.handshake,
        Duration::from_secs(10)
    );
}

#[tokio::test]
async fn handshakes_that_were_begun_hold_a_place_and_give_it_back() {
    let limits = Limits { total: 4, per_source: 2, per_stranger: 2, ..Limits::default() };
    let (edge, _pbx) = with(move |options| options.limits = limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(edge.meta).await.unwrap();
        stream.write_all(&HALF_HELLO).await.unwrap();
        held.push(stream);
    }
    let mut third = TcpStream::connect(edge.meta).await.unwrap();
    is_closed(&mut third).await;
    counts(&edge, "wabridge_sip_connections_total{side=\"meta\",outcome=\"refused\"}", 1.0).await;
    // Half of them goes away without a word.
    drop(held);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while Connection::open_with(&edge, &[]).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "there is room again");
    }
    edge.stop().await;
}

#[tokio::test]
async fn half_a_message_is_not_waited_for_and_takes_no_call_along() {
    let (edge, pbx) = with(|options| options.timers.message_deadline = Duration::from_millis(300)).await;
    let mut meta = Connection::open(&edge).await;
    let (mut call, _) = meta.call(&pbx, "whole").await;
    let mut slow = Connection::open(&edge).await;
    let invite = MetaCall::new("half").invite();
    slow.send(&invite[..invite.len() / 2]).await;
    slow.closed().await;
    meta.send(&call.bye()).await;
    meta.status(200).await;
    assert_eq!(edge.ends(1).await[0].by, EndedBy::Contact);
    edge.stop().await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_cut_off() {
    let (edge, pbx) = with(|options| options.patience.write = Duration::from_millis(300)).await;
    let mut meta = Connection::open(&edge).await;
    let (mut call, _) = meta.call(&pbx, "read").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(edge.trunk).await.unwrap();
    // Each wants an answer, which it does not take.
    let mut number = 0;
    let asking = async {
        while deaf.write_all(options(&edge, number).as_bytes()).await.is_ok() {
            number += 1;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("it is cut off");
    meta.send(&call.bye()).await;
    meta.status(200).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_peer_that_vanishes_in_the_middle_of_a_message_leaves_nothing() {
    let (edge, pbx) = TestEdge::with_pbx().await;
    let mut vanishing = Connection::open(&edge).await;
    let invite = MetaCall::new("vanishing").invite();
    vanishing.send(&invite[..invite.len() - 10]).await;
    counts(&edge, "wabridge_sip_connections_open", 1.0).await;
    drop(vanishing);
    eventually("it is gone", || (edge.metric("wabridge_sip_connections_open") < 1.0).then_some(())).await;
    let mut meta = Connection::open(&edge).await;
    meta.call(&pbx, "afterwards").await;
    edge.stop().await;
}

#[tokio::test]
async fn floods_of_invites_are_shed_by_486_and_503_while_running_calls_live() {
    let (certificates, pbx) = (Certificates::new(), Pbx::start().await);
    let server = MetaServer::start(&certificates).await;
    let host = server.host();
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![pbx.uri()],
        certificates: Some(certificates),
        options: Some(Box::new(move |options| {
            options.config.meta_host = host;
            options.config.require_digest = false;
            options.config.max_calls_per_minute = 100_000;
            options.max_calls = 1;
        })),
        ..EdgeSetup::default()
    })
    .await;
    let mut meta = Connection::open(&edge).await;
    let mut running = MetaCall::new("running");
    let (_, answer) = tokio::join!(pbx.answer_call(), async {
        meta.send(&running.invite()).await;
        meta.status(200).await
    });
    running.answered(&answer);
    meta.send(&running.ack()).await;
    edge.answered().await;

    let mut flood = Connection::open(&edge).await;
    for number in 0..500 {
        flood.send(&MetaCall::new(&format!("flood-{number}")).invite()).await;
    }
    for _ in 0..500 {
        flood.status(486).await;
    }
    for number in 0..100 {
        pbx.send(edge.trunk, &invite_of_pbx(&pbx, &edge, number)).await;
        let refused = pbx.status(503).await;
        assert!(refused.header("Retry-After").is_some(), "{refused:#?}");
    }
    meta.send(&running.bye()).await;
    meta.status(200).await;
    // What was shed has records, so many a minute, and the call that ran its own.
    let ends = edge.ends(121).await;
    let shed = ends.iter().filter(|end| end.cause == EndCause::Overload).count();
    assert!((120..300).contains(&shed), "{shed}");
    edge.ended_by(EndedBy::Contact).await;
    // And there is room again.
    let mut next = MetaCall::new("next");
    let (_, answer) = tokio::join!(pbx.answer_call(), async {
        meta.send(&next.invite()).await;
        meta.status(200).await
    });
    next.answered(&answer);
    edge.stop().await;
}

#[tokio::test]
async fn a_trunk_calls_over_a_connection_of_its_own_by_tcp_and_by_tls() {
    for tls in [false, true] {
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
        let mut trunk = if tls {
            Connection::dial(edge.trunk, &edge.certificates, &[]).await.unwrap()
        } else {
            Connection::plain(edge.trunk).await
        };
        trunk.send(&invite_of_pbx(&pbx, &edge, 1)).await;
        let mut meta = server.accept().await;
        let invite = meta.request("INVITE").await;
        let contact = "sip:+12195550714@wa.meta.vc;transport=tls;ob";
        meta.send(&invite.answer("200 OK", "m", Some(contact), &offer(3480))).await;
        meta.request("ACK").await;
        let answer: Message = trunk.status(200).await;
        assert!(answer.address("Contact").contains(if tls { "transport=tls" } else { "transport=tcp" }));
        let bye = Pbx::bye_of_caller(&answer);
        trunk.send(&bye).await;
        trunk.status(200).await;
        meta.request("BYE").await;
        assert_eq!(edge.ends(1).await[0].by, EndedBy::Trunk);
        edge.stop().await;
    }
}

fn options(edge: &TestEdge, number: u32) -> String {
    format!(
        "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKo{number}\r\n\
         From: <sip:a@127.0.0.1>;tag=a\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: o{number}\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        edge.trunk
    )
}

fn invite_of_pbx(pbx: &Pbx, edge: &TestEdge, number: u32) -> String {
    pbx.invite(edge.trunk, &format!("pbx-call-{number}"))
}
