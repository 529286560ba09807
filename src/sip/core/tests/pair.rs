//! The simulated wire: what the endpoint sends is taken apart by readers of our own, what the peers send is
//! written as text; nothing here uses the endpoint's parser or writer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::meta::MetaCall;
use crate::domain::call::{
    CallEnd, CallEvent, CallMoment, CallPermission, CallRoute, DigestAlgorithm, Login, RouteTable,
    ScannerAnswer,
};
use crate::domain::{CallId, PhoneKey, PhoneNumberId, Secret};
use crate::sip::core::*;

pub const PHONE: &str = "17015558857";
pub const CUSTOMER: &str = "12195550714";
pub const PASSWORD: &str = "meta-made-this";
pub const HOST: &str = "bridge.example";
pub const META: &str = "69.171.251.115:51830";
pub const PBX: &str = "10.0.0.1:5060";

pub const META_SDP: &str = "v=0\r\no=- 1741113186367 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 3480 RTP/SAVP 111 126\r\nc=IN IP4 57.144.135.35\r\na=rtcp-mux\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\na=sendrecv\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";
pub const PBX_SDP: &str = "v=0\r\no=- 7 7 IN IP4 10.0.0.1\r\ns=Asterisk\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
    m=audio 12000 RTP/SAVP 111 126\r\na=rtcp-mux\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\r\na=sendrecv\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";

/// The lines that Meta's proxies leave in each of its requests.
pub const META_ROUTE: &str = "Record-Route: <sip:wa.meta.vc;transport=tls;lr>\r\n\
    Record-Route: <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>\r\n";

/// A message as a peer sees it.
#[derive(Clone, Debug)]
pub struct Msg {
    pub to: To,
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Msg {
    pub fn read(to: To, bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect(line))
            .collect();
        let msg = Self { to, start, headers, body: body.to_owned() };
        assert_eq!(msg.get("Content-Length"), msg.body.len().to_string());
        msg
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub fn status(&self) -> u16 {
        let words: Vec<_> = self.start.splitn(3, ' ').collect();
        if words[0] == "SIP/2.0" { words[1].parse().unwrap() } else { panic!("no response: {self:#?}") }
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    /// The tag in a From or To.
    pub fn tag(&self, name: &str) -> &str {
        self.get(name).split_once(";tag=").map_or("", |(_, tag)| tag)
    }

    pub fn seq(&self) -> u32 {
        self.get("CSeq").split(' ').next().unwrap().parse().unwrap()
    }

    /// The URI of the Contact.
    pub fn contact(&self) -> &str {
        self.get("Contact").split_once('<').unwrap().1.split_once('>').unwrap().0
    }

    /// A parameter of a digest header.
    pub fn digest(&self, name: &str, param: &str) -> String {
        let rest = self.get(name).split_once(&format!("{param}=")).unwrap().1;
        rest.trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned()
    }

    /// A response to this request.
    pub fn reply(&self, status: u16, tag: &str, extra: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status} X\r\n");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                let add = name == "To" && !value.contains(";tag=") && !tag.is_empty();
                let tag = if add { format!(";tag={tag}") } else { String::new() };
                text.push_str(&format!("{name}: {value}{tag}\r\n"));
            }
        }
        text.push_str(extra);
        with_body(text, body)
    }
}

pub fn with_body(mut head: String, body: &str) -> String {
    if !body.is_empty() {
        head.push_str("Content-Type: application/sdp\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    head
}

/// Tokens that are new each time and the same in each run.
struct Counter(u64);

impl TokenSource for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 += 1;
        let mut state = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8;
        }
    }

    fn call_id(&mut self) -> CallId {
        self.0 += 1;
        CallId::new(format!("call-{}", self.0))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Meta,
    Pbx,
}

pub struct Pair {
    pub end: Endpoint,
    pub now: Duration,
    pub at_meta: VecDeque<Msg>,
    pub at_pbx: VecDeque<Msg>,
    pub events: Vec<CallEvent>,
    pub notices: Vec<Notice>,
    pub asked: Vec<CallId>,
    pub closed: Vec<ConnId>,
    pub raw: Vec<(To, Vec<u8>)>,
    /// Hosts that cannot be dialled.
    pub dead: HashSet<String>,
    pub sides: HashMap<ConnId, Side>,
    pub dialled: HashMap<Target, ConnId>,
    /// What a request to ask for a permission gets at once.
    pub permission: Option<CallPermission>,
    next_conn: u64,
    pub serial: u64,
}

pub fn route() -> CallRoute {
    CallRoute {
        phone: PhoneKey::new("phone-1"),
        phone_number_id: PhoneNumberId::new("106540352242922"),
        digits: PHONE.into(),
        tgrp: Some("wacall".into()),
        hostname: HOST.into(),
        sip_password: Some(Secret::new(PASSWORD)),
        trunk: "asterisk".into(),
        extension: "100".into(),
    }
}

pub fn trunk(uris: &[&str]) -> TrunkSettings {
    TrunkSettings {
        name: "asterisk".into(),
        targets: uris.iter().map(|uri| Target::parse(uri, 0).unwrap()).collect(),
        login: None,
        inbound_login: None,
        calls_by_tls: false,
        options_interval: None,
    }
}

/// With the password `pw`.
pub fn login(username: &str) -> Login {
    Login { username: username.into(), password: Secret::new("pw") }
}

pub fn config() -> EndpointConfig {
    EndpointConfig {
        hostname: HOST.into(),
        tls_port: 5061,
        trunk_advertised: "10.0.0.9:5062".into(),
        meta: Target::meta("wa.meta.vc:5061").unwrap(),
        require_digest: true,
        digest_algorithms: vec![DigestAlgorithm::Md5],
        scanners: ScannerAnswer::Forbidden,
        trunks: vec![trunk(&["sip:10.0.0.1:5060;transport=udp"])],
        ring: Duration::from_secs(55),
        max_call: Duration::from_secs(14_400),
        max_calls_per_minute: 60,
        max_calls: 10_000,
        idle: Duration::from_secs(900),
        timers: TimerValues::default(),
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EndpointConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        let mut pair = Self {
            end: Endpoint::new(config, Box::new(Counter(0))),
            now: Duration::ZERO,
            at_meta: VecDeque::new(),
            at_pbx: VecDeque::new(),
            events: Vec::new(),
            notices: Vec::new(),
            asked: Vec::new(),
            closed: Vec::new(),
            raw: Vec::new(),
            dead: HashSet::new(),
            sides: HashMap::new(),
            dialled: HashMap::new(),
            permission: Some(CallPermission::Allowed),
            next_conn: 0,
            serial: 0,
        };
        pair.input(Input::Routes(RouteTable { routes: vec![route()] }));
        pair
    }

    pub fn input(&mut self, input: Input) {
        self.end.handle(Moment(self.now), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.end.poll() {
            match output {
                Output::Send { to, bytes } => self.carry(to, &bytes),
                Output::Close { conn } => {
                    self.closed.push(conn);
                    self.sides.remove(&conn);
                    self.dialled.retain(|_, c| *c != conn);
                }
                Output::Call(event) => self.events.push(event),
                Output::AskPermission { call, .. } => {
                    self.asked.push(call.clone());
                    if let Some(answer) = self.permission.clone() {
                        self.end.handle(Moment(self.now), Input::Permission { call, answer });
                    }
                }
                Output::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    fn carry(&mut self, to: To, bytes: &[u8]) {
        if bytes == b"\r\n" {
            self.raw.push((to, bytes.to_vec()));
            return;
        }
        let side = match &to {
            To::Datagram(_) => Side::Pbx,
            To::Conn(conn) => match self.sides.get(conn) {
                Some(side) => *side,
                None => return,
            },
            To::Target(target) if self.dead.contains(&*target.host) => {
                let reason = "connection refused".to_owned();
                self.end.handle(Moment(self.now), Input::Unreachable { target: target.clone(), reason });
                return;
            }
            To::Target(target) => {
                let side = if target.trust == Trust::Meta { Side::Meta } else { Side::Pbx };
                if target.transport != Transport::Udp && !self.dialled.contains_key(target) {
                    let conn = self.link(side, Some(target.clone()));
                    self.dialled.insert(target.clone(), conn);
                }
                side
            }
        };
        let msg = Msg::read(to, bytes);
        match side {
            Side::Meta => self.at_meta.push_back(msg),
            Side::Pbx => self.at_pbx.push_back(msg),
        }
    }

    fn link(&mut self, side: Side, dialled: Option<Target>) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.sides.insert(conn, side);
        let (peer, origin, transport) = match side {
            Side::Meta => (META, Origin::Meta, Transport::Tls),
            Side::Pbx => (PBX, Origin::Trunk(Some(0)), Transport::Tcp),
        };
        self.open(conn, peer, origin, transport, dialled);
        conn
    }

    pub fn open(
        &mut self,
        conn: ConnId,
        peer: &str,
        origin: Origin,
        transport: Transport,
        dialled: Option<Target>,
    ) {
        let link = Link {
            conn,
            transport,
            peer: peer.parse().unwrap(),
            origin,
            dialled,
            tls_version: Some("TLSv1.3".into()),
            cipher: None,
            sni: Some(HOST.into()),
        };
        self.end.handle(Moment(self.now), Input::Opened(link));
    }

    /// A connection from elsewhere.
    pub fn stranger(&mut self, origin: Origin) -> ConnId {
        self.stranger_at("203.0.113.9:4000", origin)
    }

    pub fn stranger_at(&mut self, peer: &str, origin: Origin) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.sides.insert(conn, Side::Meta);
        self.open(conn, peer, origin, Transport::Tls, None);
        conn
    }

    /// Meta connects.
    pub fn meta_connects(&mut self) -> ConnId {
        self.link(Side::Meta, None)
    }

    pub fn pbx_connects(&mut self) -> ConnId {
        self.link(Side::Pbx, None)
    }

    pub fn hang_connection(&mut self, conn: ConnId) {
        self.sides.remove(&conn);
        self.dialled.retain(|_, c| *c != conn);
        self.input(Input::Closed { conn });
    }

    pub fn over(&mut self, conn: ConnId, text: &str) {
        self.input(Input::Received { conn, bytes: text.as_bytes().to_vec() });
    }

    pub fn pbx_sends(&mut self, text: &str) {
        let bytes = text.as_bytes().to_vec();
        self.input(Input::Datagram { peer: PBX.parse().unwrap(), trunk: Some(0), bytes });
    }

    /// Lets time pass, timer by timer.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(Moment(at)) = self.end.next_timer().filter(|Moment(at)| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = until;
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    #[track_caller]
    pub fn meta(&mut self) -> Msg {
        self.at_meta.pop_front().expect("nothing was sent to Meta")
    }

    #[track_caller]
    pub fn pbx(&mut self) -> Msg {
        self.at_pbx.pop_front().expect("nothing was sent to the trunk")
    }

    #[track_caller]
    pub fn quiet(&self) {
        assert!(self.at_meta.is_empty(), "to Meta: {:#?}", self.at_meta);
        assert!(self.at_pbx.is_empty(), "to the trunk: {:#?}", self.at_pbx);
    }

    /// How the only call ended.
    #[track_caller]
    pub fn ended(&self) -> CallEnd {
        let mut ends = self.events.iter().filter_map(|event| match &event.moment {
            CallMoment::Ended(end) => Some(end.clone()),
            _ => None,
        });
        let end = ends.next().expect("the call has not ended");
        assert!(ends.next().is_none(), "the call ended twice: {:#?}", self.events);
        end
    }

    pub fn moments(&self) -> Vec<&'static str> {
        let name = |event: &CallEvent| match event.moment {
            CallMoment::Arrived(_) => "arrived",
            CallMoment::Identified(_) => "identified",
            CallMoment::Forwarded { .. } => "forwarded",
            CallMoment::Ringing => "ringing",
            CallMoment::Answered { .. } => "answered",
            CallMoment::Noted(_) => "noted",
            CallMoment::Ended(_) => "ended",
        };
        self.events.iter().map(name).collect()
    }

    /// Nothing is left once the longest timers of transactions are over.
    #[track_caller]
    pub fn assert_clean(&mut self) {
        self.seconds(200);
        let counts = self.end.counts();
        let connections = counts.connections;
        assert_eq!(
            counts,
            Counts { connections, timers: connections, ..Counts::default() },
            "something is left"
        );
    }

    pub fn token(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{what}{}", self.serial)
    }
}

#[expect(clippy::too_many_arguments, reason = "these are the parts of the sum")]
pub fn md5_response(
    user: &str,
    realm: &str,
    password: &str,
    method: &str,
    uri: &str,
    nonce: &str,
    nc: &str,
    cnonce: &str,
) -> String {
    let hash = |text: String| hex::encode(Md5::digest(text));
    let (a1, a2) = (hash(format!("{user}:{realm}:{password}")), hash(format!("{method}:{uri}")));
    hash(format!("{a1}:{nonce}:{nc}:{cnonce}:auth:{a2}"))
}

impl Pair {
    /// Meta calls and proves itself; the INVITE that reaches the trunk is what comes back.
    pub fn call_in(&mut self) -> (MetaCall, Msg) {
        let conn = self.meta_connects();
        let call = MetaCall::new(self, conn);
        self.place(call)
    }

    pub fn place(&mut self, mut call: MetaCall) -> (MetaCall, Msg) {
        self.prove(&mut call);
        assert_eq!(self.meta().status(), 100);
        let invite = self.pbx();
        assert_eq!(invite.method(), "INVITE");
        (call, invite)
    }

    /// The INVITE, its challenge, the INVITE with credentials.
    pub fn prove(&mut self, call: &mut MetaCall) {
        self.over(call.conn, &call.invite(""));
        assert_eq!(self.meta().status(), 100);
        let challenge = self.meta();
        assert_eq!(challenge.status(), 407);
        self.over(call.conn, &call.ack_failure(&challenge));
        call.seq += 1;
        call.branch = self.token("z9hG4bKPj");
        self.over(call.conn, &call.invite(&MetaCall::credentials(&challenge, PASSWORD)));
    }

    pub fn pbx_replies(&mut self, invite: &Msg, status: u16, extra: &str, body: &str) {
        let contact = "Contact: <sip:100@10.0.0.1:5060>\r\n";
        let text = invite.reply(status, "as5f", &format!("{contact}{extra}"), body);
        self.pbx_sends(&text);
    }

    /// A call from WhatsApp that was answered and acknowledged: Meta's call, its 200, the trunk's INVITE, our ACK.
    pub fn talk(&mut self) -> (MetaCall, Msg, Msg, Msg) {
        let (call, invite) = self.call_in();
        self.pbx_replies(&invite, 200, "", PBX_SDP);
        let ok = self.meta();
        assert_eq!(ok.status(), 200);
        let ack = self.pbx();
        assert_eq!(ack.method(), "ACK");
        let text = call.ack(self, &ok);
        self.over(call.conn, &text);
        (call, ok, invite, ack)
    }

    /// A request of the trunk within a dialog that we began with this INVITE.
    pub fn pbx_request(&mut self, invite: &Msg, method: &str, seq: u32, extra: &str, body: &str) {
        let text = in_dialog_of_trunk_with(self, invite, method, seq, extra, body);
        self.pbx_sends(&text);
    }
}

/// The text of such a request.
pub fn in_dialog_of_trunk(pair: &mut Pair, invite: &Msg, method: &str, seq: u32, body: &str) -> String {
    in_dialog_of_trunk_with(pair, invite, method, seq, "", body)
}

fn in_dialog_of_trunk_with(
    pair: &mut Pair,
    invite: &Msg,
    method: &str,
    seq: u32,
    extra: &str,
    body: &str,
) -> String {
    let branch = pair.token("z9hG4bKas");
    let head = format!(
        "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: {};tag=as5f\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {seq} {method}\r\n\
         Contact: <sip:100@10.0.0.1:5060>\r\n{extra}",
        invite.contact(),
        invite.get("To"),
        invite.get("From"),
        invite.get("Call-ID"),
    );
    with_body(head, body)
}
