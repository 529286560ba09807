//! Messages as they arrive: which are answered at once, which begin a call, which belong to one.

use std::sync::Arc;

use super::b2bua::Party;
use super::digest::Sum;
use super::endpoint::Endpoint;
use super::framing::FrameFault;
use super::headers::Headers;
use super::io::{Notice, Origin};
use super::leg::{self, LegState};
use super::limits::MOST_REFUSALS;
use super::message::{Message, Method, Request};
use super::report;
use super::request::{ALLOW, ALLOW_META, Incoming, Seed, Source};
use super::servers::{Receipt, TxId};
use crate::domain::Direction;
use crate::domain::call::{CallProof, CallRoute, ContactReport, ScannerAnswer};

/// One whole message.
pub fn message(endpoint: &mut Endpoint, source: &Source, bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(Message::Response(response)) => {
            let mut events = Vec::new();
            endpoint.clients.on_response(&mut endpoint.wire, response, source, &mut events);
            endpoint.dispatch(events);
        }
        Ok(Message::Request(request)) => endpoint.request(source, request),
        Err(fault) => {
            endpoint.wire.notice(Notice::Malformed { peer: source.peer, why: fault.why });
            if let Some((status, headers)) = fault.answer {
                endpoint.answer_stateless(source, &headers, status);
            }
        }
    }
}

impl Endpoint {
    fn request(&mut self, source: &Source, request: Request) {
        let is_ack = request.verb == "ACK";
        let incoming = match Incoming::check(request, source.clone()) {
            Ok(incoming) => incoming,
            Err(bad) => {
                self.wire.notice(Notice::Malformed { peer: source.peer, why: bad.why });
                if let Some((seed, to)) = bad.seed.filter(|_| !is_ack && self.may_answer(source)) {
                    let packet = seed.answer(bad.status, None).finish();
                    self.wire.send(to, packet);
                }
                return;
            }
        };
        // Such a sender may still speak within its dialogs, acknowledge, and take back what was let in.
        let is_shed = self.is_silenced(source) || self.is_flooded(source);
        let is_cancel =
            incoming.method() == Some(Method::Cancel) && self.servers.cancelled(&incoming).is_some();
        if is_shed && !is_ack && !is_cancel && self.dialog_of(&incoming).is_none() {
            return;
        }
        match self.servers.receive(&mut self.wire, &incoming) {
            Receipt::Absorbed => {}
            Receipt::Ack => self.ack_in_dialog(&incoming),
            Receipt::Merged(tx) => self.fail(tx, &incoming, 482, &[], "an INVITE that is here already"),
            Receipt::New(tx) => self.new_request(tx, &incoming),
        }
    }

    fn new_request(&mut self, tx: TxId, incoming: &Incoming) {
        let method = incoming.method();
        if method == Some(Method::Cancel) {
            return self.cancel(tx, incoming);
        }
        let unknown = unsupported(incoming);
        if !unknown.is_empty() {
            return self.fail(tx, incoming, 420, &[("Unsupported", unknown)], "an extension is required");
        }
        if incoming.to.tag().is_some() {
            return self.request_in_dialog(tx, incoming);
        }
        match method {
            Some(Method::Options)
                if matches!(incoming.source.origin, Origin::Refused | Origin::Trunk(None)) =>
            {
                self.refuse_scanner(tx, incoming, "an OPTIONS from nowhere");
            }
            Some(Method::Options) => self.answer_options(tx, incoming),
            Some(Method::Invite) if incoming.max_forwards == 0 => {
                self.fail(tx, incoming, 483, &[], "an INVITE without hops left");
            }
            Some(Method::Invite) => match incoming.source.origin {
                Origin::Trunk(_) => self.invite_from_trunk(tx, incoming),
                _ => self.invite_from_meta(tx, incoming),
            },
            Some(Method::Bye | Method::Update | Method::Info | Method::PRack | Method::Notify) => {
                self.fail(tx, incoming, 481, &[], "a request of no dialog");
            }
            _ => {
                self.count_refusal(incoming, "a method that is of no use here");
                self.answer_or_ignore(tx, incoming, |endpoint| endpoint.answer_not_allowed(tx, incoming));
            }
        }
    }

    /// §9.2: 200 to the CANCEL, and 487 to the INVITE if it has no final answer.
    fn cancel(&mut self, tx: TxId, incoming: &Incoming) {
        let Some((call, is_open)) = self.servers.cancelled(incoming) else {
            return self.fail(tx, incoming, 481, &[], "a CANCEL of nothing");
        };
        self.answer(tx, incoming, 200);
        if let (Some(key), true) = (call, is_open) {
            self.on_cancel(key, incoming);
        }
    }

    /// The call of an in-dialog request, on whatever connection it came.
    pub(super) fn dialog_of(&self, incoming: &Incoming) -> Option<(u64, Party)> {
        let (key, party) = self.dialogs.get(&leg::key(&incoming.call_id, incoming.to.tag()?)).copied()?;
        let call = self.calls.get(&key)?;
        let leg = call.leg(party)?;
        // Whom we call may speak before it has answered (an UPDATE of Asterisk, when it knows who will talk).
        let is_early = party == Party::Callee && leg.state == LegState::Open;
        (is_early || leg.is_with(incoming.from.tag())).then_some((key, party))
    }

    /// Answers with a status.
    pub(super) fn answer(&mut self, tx: TxId, incoming: &Incoming, status: u16) {
        self.answer_with(tx, incoming, status, &[]);
    }

    /// Answers with a status and headers. Of what a stranger is refused nothing is kept.
    pub(super) fn answer_with(
        &mut self,
        tx: TxId,
        incoming: &Incoming,
        status: u16,
        headers: &[(&'static str, String)],
    ) {
        let tag = (status != 100 && incoming.to.tag().is_none()).then(|| self.wire.token());
        let mut writer = incoming.seed.answer(status, tag.as_deref());
        for (name, value) in headers {
            writer.header(name, value);
        }
        if status < 300 || self.is_known(&incoming.source) {
            return self.servers.answer(&mut self.wire, tx, status, writer.finish());
        }
        self.servers.ignore(&mut self.wire, tx);
        self.wire.send(incoming.reply_to.clone(), writer.finish());
    }

    /// Refuses what leads nowhere. To who is not known it counts, and may be answered by silence.
    pub(super) fn fail(
        &mut self,
        tx: TxId,
        incoming: &Incoming,
        status: u16,
        headers: &[(&'static str, String)],
        why: &'static str,
    ) {
        self.count_stranger(incoming, why);
        self.answer_or_ignore(tx, incoming, |endpoint| endpoint.answer_with(tx, incoming, status, headers));
    }

    pub(super) fn answer_options(&mut self, tx: TxId, incoming: &Incoming) {
        let headers = [("Allow", allow(incoming).to_owned()), ("Accept", "application/sdp".to_owned())];
        self.answer_with(tx, incoming, 200, &headers);
    }

    /// 405 for a method that we know, 501 for one that we do not (§8.2.1).
    pub(super) fn answer_not_allowed(&mut self, tx: TxId, incoming: &Incoming) {
        let status = if incoming.method().is_some() { 405 } else { 501 };
        self.answer_with(tx, incoming, status, &[("Allow", allow(incoming).to_owned())]);
    }

    pub(super) fn answer_unsupported(&mut self, tx: TxId, incoming: &Incoming) {
        let headers = [("Accept", "application/sdp".to_owned()), ("Accept-Encoding", "identity".to_owned())];
        self.answer_with(tx, incoming, 415, &headers);
    }

    /// 407 with our challenges.
    pub(super) fn challenge(
        &mut self,
        tx: TxId,
        incoming: &Incoming,
        realm: &str,
        sums: &[Sum],
        stale: bool,
    ) {
        let salt = self.wire.bytes();
        let lines = self.challenger.challenge(self.wire.now, salt, realm, sums, stale);
        let headers: Vec<_> = lines.into_iter().map(|line| ("Proxy-Authenticate", line)).collect();
        self.answer_with(tx, incoming, 407, &headers);
    }

    /// Counts a request that ought not to be; tells how many there were from its address in this minute.
    pub(super) fn count_refusal(&mut self, incoming: &Incoming, why: &'static str) -> u32 {
        let peer = incoming.source.peer;
        self.wire.notice(Notice::Scanner { peer, why });
        self.refusals.count(self.wire.now, peer.ip())
    }

    /// Counts a failure of somebody who is not known.
    pub(super) fn count_stranger(&mut self, incoming: &Incoming, why: &'static str) {
        if !self.is_known(&incoming.source) {
            self.count_refusal(incoming, why);
        }
    }

    /// Refuses, if this sender still gets answers; a stranger may get none by setting.
    pub(super) fn answer_or_ignore(&mut self, tx: TxId, incoming: &Incoming, answer: impl FnOnce(&mut Self)) {
        let is_hidden = self.config.scanners == ScannerAnswer::Silence && !self.is_known(&incoming.source);
        if is_hidden || self.is_silenced(&incoming.source) {
            self.servers.ignore(&mut self.wire, tx);
        } else {
            answer(self);
        }
    }

    /// What a scanner gets: 403 or nothing, by setting; nothing in any case once it is too much.
    pub(super) fn refuse_scanner(&mut self, tx: TxId, incoming: &Incoming, why: &'static str) {
        self.count_refusal(incoming, why);
        if self.config.scanners == ScannerAnswer::Silence {
            return self.servers.ignore(&mut self.wire, tx);
        }
        if incoming.source.conn.is_some() {
            return self.answer_or_ignore(tx, incoming, |endpoint| endpoint.answer(tx, incoming, 403));
        }
        // Whose address may be forged is answered once, and nothing is kept to repeat it.
        self.servers.ignore(&mut self.wire, tx);
        if !self.is_silenced(&incoming.source) {
            let tag = self.wire.token();
            self.wire.send(incoming.reply_to.clone(), incoming.seed.answer(403, Some(&tag)).finish());
        }
    }

    /// Whether a sender has used up its answers. Never so for Meta, whose addresses carry the calls of all
    /// phones, and for a trunk.
    fn is_silenced(&self, source: &Source) -> bool {
        !self.is_known(source) && self.refusals.is_silenced(self.wire.now, source.peer.ip())
    }

    /// Whether calls are expected from there: by its address, or since its connection has brought one that was
    /// proven.
    fn is_known(&self, source: &Source) -> bool {
        source.origin.is_known() || source.conn.is_some_and(|conn| self.links.is_proven(conn))
    }

    /// Whether so many requests are unanswered or unacknowledged that new ones are dropped unread. Strangers have
    /// half of the room, so that they cannot keep Meta and the trunks out.
    fn is_flooded(&self, source: &Source) -> bool {
        let most = self.config.max_calls.saturating_mul(4).saturating_add(10_000);
        self.servers.len() > if self.is_known(source) { most } else { most / 2 }
    }

    /// Whether one more call may begin, of this phone and at all.
    pub(super) fn has_room(&mut self, route: &Arc<CallRoute>, direction: Direction) -> bool {
        let key = format!("{} {direction:?}", route.phone);
        let has_room = self.calls.len() < self.config.max_calls
            && self.rate.take(self.wire.now, &key, self.config.max_calls_per_minute);
        if !has_room {
            self.wire.notice(Notice::Overload { phone: route.phone.clone() });
        }
        has_room
    }

    /// What was seen of the other side; `own` is the number that was called or calls.
    pub(super) fn report(&self, incoming: &Incoming, proof: CallProof, own: &str) -> ContactReport {
        let link = incoming.source.conn.and_then(|conn| self.links.get(conn));
        ContactReport {
            proof,
            source: incoming.source.peer.to_string(),
            tls_version: link.and_then(|link| link.tls_version.clone()),
            cipher: link.and_then(|link| link.cipher.clone()),
            sni: link.and_then(|link| link.sni.clone()),
            user_agent: incoming.header("User-Agent").map(str::to_owned),
            headers: report::headers(&incoming.request.headers, own),
            offer: incoming.sdp().ok().flatten().map(|sdp| report::description(sdp, own)).unwrap_or_default(),
        }
    }

    /// Answers what the framing could not read on.
    pub(super) fn answer_fault(&mut self, source: &Source, fault: FrameFault, head: Option<&[u8]>) {
        let why = "a message without a clear end";
        self.wire.notice(Notice::Malformed { peer: source.peer, why });
        let Some(Ok(Message::Request(request))) = head.map(Message::parse) else { return };
        if request.verb != "ACK" {
            let status = if fault == FrameFault::TooLarge { 413 } else { 400 };
            self.answer_stateless(source, &request.headers, status);
        }
    }

    fn answer_stateless(&mut self, source: &Source, headers: &Headers, status: u16) {
        if let Some((seed, to)) = Seed::of(headers, source).filter(|_| self.may_answer(source)) {
            self.wire.send(to, seed.answer(status, None).finish());
        }
    }

    /// Nobody is answered from nowhere without being counted.
    fn may_answer(&mut self, source: &Source) -> bool {
        self.is_known(source) || self.refusals.count(self.wire.now, source.peer.ip()) <= MOST_REFUSALS
    }
}

fn allow(incoming: &Incoming) -> &'static str {
    if matches!(incoming.source.origin, Origin::Trunk(_)) { ALLOW } else { ALLOW_META }
}

/// What is required and not here. `timer` is what we can do: whoever refreshes is answered.
fn unsupported(incoming: &Incoming) -> String {
    let required = incoming.request.headers.tokens("Require");
    let unknown: Vec<&str> = required.filter(|token| !token.eq_ignore_ascii_case("timer")).collect();
    unknown.join(", ")
}
