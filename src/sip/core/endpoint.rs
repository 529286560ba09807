//! The endpoint: one value that holds every connection, transaction, dialog and call of the SIP edge.
//!
//! | what | made by | found by | goes when |
//! | --- | --- | --- | --- |
//! | connection | `Opened` | number | `Closed` |
//! | transaction | a request, either way | branch | its machine says so (`transaction.rs`) |
//! | dialog | an INVITE, either way | Call-ID and our tag, on any connection | its call goes |
//! | call | an INVITE that is let in | its dialogs, its id | both legs are over; `Ended` was told once |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::b2bua::{Call, Farewell, Party};
use super::challenge::Challenger;
use super::clients::{Clients, Owner, TxEvent, TxId};
use super::credentials::Wallet;
use super::framing::{self, Frame};
use super::intake;
use super::io::{ConnId, Input, Link, Moment, Notice, Origin, Output, Transport};
use super::limits::{CallRate, Refusals};
use super::links::Links;
use super::request::Source;
use super::routes::Routes;
use super::servers::Servers;
use super::settings::{EndpointConfig, TokenSource};
use super::trunks::Targets;
use super::wire::{CallDue, Due, Wire};
use crate::domain::CallId;

/// How long a connection from elsewhere may be silent before it has brought a call.
const STRANGER_IDLE: Duration = Duration::from_secs(60);

/// A back-to-back user agent without sockets or a clock.
pub struct Endpoint {
    pub(super) config: Arc<EndpointConfig>,
    pub(super) wire: Wire,
    pub(super) clients: Clients,
    pub(super) servers: Servers,
    pub(super) links: Links,
    pub(super) routes: Routes,
    pub(super) calls: HashMap<u64, Call>,
    pub(super) next_call: u64,
    /// Dialogs by Call-ID and our tag.
    pub(super) dialogs: HashMap<String, (u64, Party)>,
    pub(super) ids: HashMap<CallId, u64>,
    /// What the legs at the trunks are marked with; such a mark coming back is a loop.
    pub(super) marks: HashSet<String>,
    pub(super) targets: Vec<Targets>,
    /// BYEs under way, by their transaction; the calls are gone.
    pub(super) farewells: HashMap<TxId, Farewell>,
    pub(super) challenger: Challenger,
    pub(super) wallet: Wallet,
    pub(super) rate: CallRate,
    pub(super) refusals: Refusals,
    pub(super) is_draining: bool,
    has_begun: bool,
}

/// What is held, for metrics and for tests that look for leaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Calls, those that only wait for an ACK included.
    pub calls: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// Client transactions.
    pub clients: usize,
    /// Server transactions.
    pub servers: usize,
    /// Armed timers.
    pub timers: usize,
    /// Connections.
    pub connections: usize,
    /// BYEs that may be challenged.
    pub farewells: usize,
}

impl Endpoint {
    /// An endpoint without routes: every call is refused until [`Input::Routes`].
    pub fn new(config: EndpointConfig, tokens: Box<dyn TokenSource>) -> Self {
        let mut wire = Wire::new(config.timers, tokens);
        let challenger = Challenger::new(wire.bytes(), config.timers.nonce_life);
        let targets = config.trunks.iter();
        let targets =
            targets.map(|trunk| Targets::new(&trunk.targets, trunk.options_interval.is_some())).collect();
        Self {
            config: Arc::new(config),
            wire,
            clients: Clients::default(),
            servers: Servers::default(),
            links: Links::default(),
            routes: Routes::default(),
            calls: HashMap::new(),
            next_call: 0,
            dialogs: HashMap::new(),
            ids: HashMap::new(),
            marks: HashSet::new(),
            targets,
            farewells: HashMap::new(),
            challenger,
            wallet: Wallet::default(),
            rate: CallRate::default(),
            refusals: Refusals::default(),
            is_draining: false,
            has_begun: false,
        }
    }

    /// Takes one input; `now` never goes back. What is to be done about it comes from [`Self::poll`].
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.wire.now = now.max(self.wire.now);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin_pings();
        }
        self.run_timers();
        match input {
            Input::Opened(link) => self.opened(link),
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Datagram { peer, trunk, bytes } => {
                let origin = Origin::Trunk(trunk);
                self.datagram(&Source { peer, origin, transport: Transport::Udp, conn: None }, &bytes);
            }
            Input::Closed { conn } => self.closed(conn),
            Input::Unreachable { target, reason } => {
                let mut events = Vec::new();
                self.clients.unreachable(&mut self.wire, &target, &reason, &mut events);
                self.dispatch(events);
            }
            Input::Timeout => {}
            Input::Routes(table) => self.routes = Routes::new(table),
            Input::Permission { call, answer } => self.on_permission(&call, answer),
            Input::Drain => self.is_draining = true,
            Input::Stop => self.stop(),
        }
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.wire.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if nothing else comes before.
    pub fn next_timer(&self) -> Option<Moment> {
        self.wire.timers.next()
    }

    /// How many calls run, for a drain that waits until none does.
    pub fn running_calls(&self) -> usize {
        self.calls.len()
    }

    /// What is held.
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.calls.len(),
            dialogs: self.dialogs.len(),
            clients: self.clients.len(),
            servers: self.servers.len(),
            timers: self.wire.timers.len(),
            connections: self.links.len(),
            farewells: self.farewells.len(),
        }
    }

    fn run_timers(&mut self) {
        while let Some(due) = self.wire.timers.pop(self.wire.now) {
            match due {
                Due::ClientRepeat(tx) => self.clients.on_repeat(&mut self.wire, tx),
                Due::ClientEnd(tx) => {
                    let mut events = Vec::new();
                    self.clients.on_end(&mut self.wire, tx, &mut events);
                    self.dispatch(events);
                }
                Due::ServerRepeat(tx) => self.servers.on_repeat(&mut self.wire, tx),
                Due::ServerEnd(tx) => self.servers.on_end(&mut self.wire, tx),
                Due::LinkIdle(conn) => self.maybe_idle(conn),
                Due::LinkSlow(conn) => self.is_slow(conn),
                Due::Ping(trunk, target) => self.ping(trunk, target),
                Due::Call(key, CallDue::Ring) => self.ring_limit(key),
                Due::Call(key, CallDue::Target) => self.target_is_silent(key),
                Due::Call(key, CallDue::Permission) => self.permission_is_late(key),
                Due::Call(key, CallDue::Length) => self.length_limit(key),
                Due::Call(key, CallDue::Repeat2xx(party)) => self.repeat_2xx(key, party),
                Due::Call(key, CallDue::NoAck(party)) => self.no_ack(key, party),
            }
        }
    }

    pub(super) fn dispatch(&mut self, events: Vec<TxEvent>) {
        for event in events {
            match event {
                TxEvent::Response { owner: Owner::Call(key), tx, response, source } => {
                    self.on_callee_response(key, tx, &response, &source);
                }
                TxEvent::Response { owner: Owner::Stray, tx, response, source } => {
                    self.on_stray_response(tx, &response, &source);
                }
                TxEvent::Response { owner: Owner::Ping(trunk, target), response, .. } => {
                    self.ping_answered(trunk, target, response.status);
                }
                TxEvent::Response { owner: Owner::Farewell, tx, response, .. } => {
                    self.on_farewell_response(tx, &response);
                }
                TxEvent::Failed { owner: Owner::Farewell, tx, .. } => self.on_farewell_failed(tx),
                TxEvent::Failed { owner: Owner::Call(key), tx, reason } => {
                    self.on_callee_failed(key, tx, reason);
                }
                TxEvent::Failed { owner: Owner::Ping(trunk, target), .. } => self.ping_lost(trunk, target),
                TxEvent::Response { owner: Owner::Nobody, .. }
                | TxEvent::Failed { owner: Owner::Nobody | Owner::Stray, .. } => {}
            }
        }
    }

    fn opened(&mut self, link: Link) {
        let idle = self.wire.arm(self.silence_of(&link, false), Due::LinkIdle(link.conn));
        self.links.open(link, self.wire.now, idle);
    }

    fn closed(&mut self, conn: ConnId) {
        let Some(state) = self.links.close(conn) else { return };
        self.wire.timers.disarm(state.idle);
        self.wire.timers.disarm(state.slow);
        let mut events = Vec::new();
        self.clients.closed(&mut self.wire, conn, state.link.dialled.as_ref(), &mut events);
        self.dispatch(events);
    }

    /// Takes bytes apart; a fault answers what can be answered and closes.
    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let (Some(source), now) = (self.links.source(conn), self.wire.now) else { return };
        if let Some(state) = self.links.get_mut(conn) {
            state.active = now;
            state.framer.feed(bytes);
        }
        while let Some(frame) = self.links.get_mut(conn).and_then(|state| state.framer.next_frame()) {
            match frame {
                Frame::Ping => self.wire.send(super::io::To::Conn(conn), (*b"\r\n").into()),
                Frame::Message(bytes) => {
                    // The deadline was that message's; what follows has one of its own.
                    let slow = self.links.get_mut(conn).and_then(|state| state.slow.take());
                    self.wire.timers.disarm(slow);
                    self.message(&source, &bytes);
                }
                Frame::Fault { fault, head } => {
                    self.answer_fault(&source, fault, head.as_deref());
                    self.close_link(conn, "the framing is lost");
                }
            }
        }
        let Some(state) = self.links.get_mut(conn) else { return };
        match (state.framer.is_inside(), state.slow) {
            (true, None) => {
                let wait = self.wire.values.message_deadline;
                state.slow = Some(self.wire.arm(wait, Due::LinkSlow(conn)));
            }
            (false, Some(_)) => self.wire.timers.disarm(state.slow.take()),
            _ => {}
        }
    }

    fn datagram(&mut self, source: &Source, bytes: &[u8]) {
        // A keep-alive of the sender's own; over UDP nothing is answered (RFC 5626 §3.5.2 is STUN).
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        match framing::datagram(bytes) {
            Ok(message) => self.message(source, message),
            Err(fault) => {
                let head = framing::head_end(bytes).and_then(|end| bytes.get(..end));
                self.answer_fault(source, fault, head);
            }
        }
    }

    fn maybe_idle(&mut self, conn: ConnId) {
        let now = self.wire.now;
        let Some(state) = self.links.get_mut(conn) else { return };
        state.idle = None;
        let (active, is_proven, link) = (state.active, state.is_proven, state.link.clone());
        let limit = self.silence_of(&link, is_proven);
        let left = limit.saturating_sub(now - active);
        if left.is_zero() && !self.has_dialog(conn) {
            return self.close_link(conn, "");
        }
        let wait = if left.is_zero() { limit } else { left };
        let idle = self.wire.arm(wait, Due::LinkIdle(conn));
        if let Some(state) = self.links.get_mut(conn) {
            state.idle = Some(idle);
        }
    }

    /// A message has been under way for too long. What a call uses is not closed for that.
    fn is_slow(&mut self, conn: ConnId) {
        if !self.has_dialog(conn) {
            return self.close_link(conn, "a message took too long");
        }
        let slow = self.wire.arm(self.wire.values.message_deadline, Due::LinkSlow(conn));
        if let Some(state) = self.links.get_mut(conn) {
            state.slow = Some(slow);
        }
    }

    fn has_dialog(&self, conn: ConnId) -> bool {
        self.calls.values().any(|call| call.legs().any(|leg| leg.conn == Some(conn)))
    }

    /// How long a connection may be silent. One of nobody's takes a place of few.
    fn silence_of(&self, link: &Link, is_proven: bool) -> Duration {
        let idle = self.config.idle;
        if link.origin.is_known() || is_proven { idle } else { idle.min(STRANGER_IDLE) }
    }

    fn close_link(&mut self, conn: ConnId, why: &'static str) {
        if let (false, Some(link)) = (why.is_empty(), self.links.get(conn)) {
            self.wire.notice(Notice::Malformed { peer: link.peer, why });
        }
        self.wire.outputs.push_back(Output::Close { conn });
        self.closed(conn);
    }

    fn stop(&mut self) {
        self.is_draining = true;
        let mut keys: Vec<u64> = self.calls.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.stop_call(key);
        }
    }

    fn message(&mut self, source: &Source, bytes: &[u8]) {
        intake::message(self, source, bytes);
    }
}
