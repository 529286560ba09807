//! What is fuzzed: a function of bytes for each target, with what must hold whatever they are. `fuzz/` runs
//! them without end, the suite over the kept corpus and 100,000 mutations of it.

use std::time::Duration;

use wabridge::domain::call::{CallRoute, DigestAlgorithm, RouteTable, ScannerAnswer};
use wabridge::domain::{CallId, PhoneKey, PhoneNumberId};
use wabridge::sip::core::framing::{Frame, Framer, MOST_BYTES, datagram};
use wabridge::sip::core::{
    ConnId, Endpoint, EndpointConfig, Input, Link, Moment, Origin, Output, Target, TimerValues, TokenSource,
    Transport, TrunkSettings, message, sdp,
};

/// A stream is cut the same wherever the reads end, and nothing is held beyond the limits.
pub fn framing(bytes: &[u8]) {
    let cut = |size: usize| {
        let mut framer = Framer::default();
        let mut messages = Vec::new();
        let mut is_lost = false;
        for chunk in bytes.chunks(size.max(1)) {
            framer.feed(chunk);
            while let Some(frame) = framer.next_frame() {
                assert!(!is_lost, "there is nothing after a fault");
                match frame {
                    Frame::Message(message) => {
                        assert!(message.len() <= MOST_BYTES && message.windows(4).any(|w| w == b"\r\n\r\n"));
                        messages.push(message);
                    }
                    Frame::Ping => {}
                    Frame::Fault { .. } => is_lost = true,
                }
            }
        }
        assert!(messages.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        (messages, is_lost)
    };
    let whole = cut(usize::MAX);
    let size = usize::from(bytes.first().copied().unwrap_or(1)) % 37 + 1;
    assert_eq!(cut(size), whole);
    if let Ok(message) = datagram(bytes) {
        assert!(message.len() <= bytes.len());
    }
}

/// A message is read or refused; whatever the endpoint does about it is well-formed and bounded.
pub fn message(bytes: &[u8]) {
    if let Ok(message::Message::Request(request)) = message::Message::parse(bytes) {
        assert!(!request.verb.is_empty() && !request.uri.contains(' '));
    }
    let mut endpoint = endpoint();
    // By its length it comes from a trunk or from Meta.
    if bytes.len().is_multiple_of(2) {
        let peer = "10.0.0.1:5060".parse().unwrap();
        endpoint.handle(at(0), Input::Datagram { peer, trunk: Some(0), bytes: bytes.to_vec() });
    } else {
        let conn = ConnId(1);
        endpoint.handle(at(0), Input::Opened(link(conn)));
        endpoint.handle(at(0), Input::Received { conn, bytes: bytes.to_vec() });
    }
    let (mut count, mut size) = (0, 0);
    while let Some(output) = endpoint.poll() {
        count += 1;
        if let Output::Send { bytes, .. } = output {
            size += bytes.len();
            assert_is_clean(&bytes);
        }
    }
    assert!(count < 1000 && size < 64 * 1024 + 64 * bytes.len(), "{count} outputs of {size} bytes");
    endpoint.handle(at(400), Input::Timeout);
    let left = endpoint.counts();
    assert!(left.calls <= 2 && left.timers < 50, "{left:?}");
}

/// A description is passed on unchanged but for its name, and a refresh changes nothing that is compared.
pub fn sdp(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let passed = sdp::pass(&text);
    assert!(passed.len() <= 2 * text.len() + text.lines().count() * 12 + 2);
    assert_eq!(sdp::audio(&passed), sdp::audio(&text));
    assert_eq!(sdp::pass(&passed), passed);
    let (begin, end) =
        text.split_at(text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at));
    let again = sdp::again(&passed, end);
    if let Some(audio) = sdp::audio(&passed) {
        assert_eq!(sdp::audio(&again), Some(audio));
    }
    let _ = sdp::flow(begin);
}

/// Start line and headers, each on a line without control characters; but an answer gives back some headers byte for
/// byte, and a quoted string of RFC 3261 may hold nearly anything behind a backslash.
fn assert_is_clean(bytes: &[u8]) {
    if bytes == b"\r\n" {
        return;
    }
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let given_back = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ", "Record-Route: "];
    for line in head.split("\r\n").skip(1) {
        let is_copy = head.starts_with("SIP/2.0 ") && given_back.iter().any(|name| line.starts_with(name));
        assert!(line.contains(": ") && (is_copy || !line.chars().any(char::is_control)), "{line:?}");
    }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn link(conn: ConnId) -> Link {
    Link {
        conn,
        transport: Transport::Tls,
        peer: "192.0.2.1:40000".parse().unwrap(),
        origin: Origin::Meta,
        dialled: None,
        tls_version: None,
        cipher: None,
        sni: None,
    }
}

fn endpoint() -> Endpoint {
    let config = EndpointConfig {
        hostname: "bridge.example".into(),
        tls_port: 5061,
        trunk_advertised: "10.0.0.9:5062".into(),
        meta: Target::meta("wa.meta.vc:5061").unwrap(),
        require_digest: false,
        digest_algorithms: vec![DigestAlgorithm::Md5],
        scanners: ScannerAnswer::Forbidden,
        trunks: vec![TrunkSettings {
            name: "asterisk".into(),
            targets: vec![Target::parse("sip:10.0.0.1", 0).unwrap()],
            login: None,
            inbound_login: None,
            calls_by_tls: false,
            options_interval: None,
        }],
        ring: Duration::from_secs(55),
        max_call: Duration::from_secs(300),
        max_calls_per_minute: 60,
        max_calls: 100,
        idle: Duration::from_secs(900),
        timers: TimerValues::default(),
    };
    let mut endpoint = Endpoint::new(config, Box::new(Tokens(0)));
    let route = CallRoute {
        phone: PhoneKey::new("p"),
        phone_number_id: PhoneNumberId::new("1"),
        digits: "17015558857".into(),
        tgrp: Some("wacall".into()),
        hostname: "bridge.example".into(),
        sip_password: None,
        trunk: "asterisk".into(),
        extension: "100".into(),
    };
    endpoint.handle(at(0), Input::Routes(RouteTable { routes: vec![route] }));
    endpoint
}

/// Tokens that nobody needs to guess.
struct Tokens(u8);

impl TokenSource for Tokens {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
    }

    fn call_id(&mut self) -> CallId {
        CallId::new("call")
    }
}
