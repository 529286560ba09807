//! How a call ends: `Ended` told exactly once, a final answer or BYE for each leg, nothing left behind.

use super::super::address::Address;
use super::super::endpoint::Endpoint;
use super::super::leg::{Edge, LegState};
use super::super::message::Response;
use super::super::reason;
use super::super::request::{Incoming, Source};
use super::callee::{account_of, ended_by};
use super::inbound::refused_by_us;
use super::outbound::warning;
use super::{Farewell, Party, Stage, via};
use crate::domain::call::{CallEnd, CallMoment, EndCause, EndedBy};

/// What a caller is told who was not answered yet.
pub struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A status and nothing else: toward Meta.
    pub fn plain(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }

    /// A status with what a dialplan can read: Reason, Warning and a short text.
    pub fn explained(hostname: &str, status: u16, cause: u8, why: &str) -> Self {
        let short: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
        let text = super::super::address::quote(&short);
        let headers = vec![
            ("Reason", format!("Q.850;cause={cause};text={text}")),
            warning(hostname, &short),
            ("X-WA-Error", short),
        ];
        Self { status, headers }
    }
}

impl Endpoint {
    /// Ends a call: tells it, refuses or hangs up what is open. A leg that ended by itself is `Over` already.
    pub(in crate::sip::core) fn close(&mut self, key: u64, end: CallEnd, refusal: Refusal, cause: u8) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if !std::mem::replace(&mut call.is_ended, true) {
            self.wire.event(&call.id, CallMoment::Ended(end));
        }
        call.parting = cause;
        for timer in [call.limit.take(), call.asking.take(), call.attempt.deadline.take()] {
            self.wire.timers.disarm(timer);
        }
        if let Some(tx) = call.attempt.tx.take() {
            self.clients.abandon(&mut self.wire, tx, cause);
        }
        if call.caller.state == LegState::Open {
            call.caller.state = LegState::Over;
            let mut writer = call.seed.answer(refusal.status, Some(&call.caller.local_tag));
            for (name, value) in &refusal.headers {
                writer.header(name, value);
            }
            self.servers.answer(&mut self.wire, call.invite, refusal.status, writer.finish());
        }
        self.bye(key, Party::Callee);
        // §15: no BYE before the ACK, or before it is given up.
        let waits = self
            .calls
            .get(&key)
            .is_some_and(|call| call.caller.state == LegState::Confirmed && call.caller.unacked.is_some());
        if !waits {
            self.bye(key, Party::Caller);
            self.forget(key);
        }
    }

    /// Takes a call off every table.
    fn forget(&mut self, key: u64) {
        let Some(mut call) = self.calls.remove(&key) else { return };
        self.ids.remove(&call.id);
        self.marks.remove(call.mark());
        self.marks.remove(call.id.as_str());
        for party in [Party::Caller, Party::Callee] {
            if let Some(leg) = call.leg_mut(party) {
                if let Some(unacked) = leg.unacked.take() {
                    self.wire.timers.disarm(unacked.repeat);
                    self.wire.timers.disarm(unacked.end);
                }
                self.dialogs.remove(&leg.key());
            }
        }
    }

    /// The caller gave up.
    pub(in crate::sip::core) fn on_cancel(&mut self, key: u64, cancel: &Incoming) {
        let Some(call) = self.calls.get(&key).filter(|call| call.caller.state == LegState::Open) else {
            return;
        };
        let end = CallEnd {
            by: ended_by(call.caller.edge),
            cause: EndCause::Cancelled,
            status: reason::sip_cause(&cancel.request.headers),
            q850: reason::q850(&cancel.request.headers),
            text: reason::text("", &cancel.request.headers),
            meta_seconds: None,
        };
        self.close(key, end, Refusal::plain(487), 16);
    }

    /// A side hung up (its leg), before or after the answer.
    pub(super) fn on_bye(&mut self, key: u64, party: Party, bye: &Incoming) {
        self.learn_wacid(key, &bye.request.headers);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let cause = if call.stage == Stage::Answered { EndCause::HungUp } else { EndCause::Cancelled };
        let Some(leg) = call.leg_mut(party) else { return };
        if let Some(unacked) = leg.unacked.take() {
            self.wire.timers.disarm(unacked.repeat);
            self.wire.timers.disarm(unacked.end);
        }
        if leg.state == LegState::Confirmed {
            leg.state = LegState::Over;
        }
        let headers = &bye.request.headers;
        let q850 = reason::q850(headers);
        let end = CallEnd {
            by: ended_by(leg.edge),
            cause,
            status: None,
            q850,
            text: reason::text("", headers),
            meta_seconds: headers.get("x-wa-meta-call-duration").and_then(|text| text.parse().ok()),
        };
        self.close(key, end, Refusal::plain(487), q850.unwrap_or(16));
    }

    /// It rang for too long.
    pub(in crate::sip::core) fn ring_limit(&mut self, key: u64) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.limit = None;
        }
        let end = refused_by_us(EndCause::NoAnswer, 480, "nobody answered in time");
        self.close(key, end, Refusal::plain(480), 19);
    }

    /// It lasted for too long.
    pub(in crate::sip::core) fn length_limit(&mut self, key: u64) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.limit = None;
        }
        self.close(
            key,
            ours(EndCause::TooLong, "the longest time of a call was over"),
            Refusal::plain(480),
            102,
        );
    }

    /// The bridge is stopped.
    pub(in crate::sip::core) fn stop_call(&mut self, key: u64) {
        self.close(key, ours(EndCause::Stopped, "the bridge was stopped"), Refusal::plain(480), 31);
    }

    /// Our 2xx goes out again.
    pub(in crate::sip::core) fn repeat_2xx(&mut self, key: u64, party: Party) {
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.leg_mut(party)) else { return };
        let Some(unacked) = leg.unacked.as_mut() else { return };
        unacked.interval = (unacked.interval * 2).min(self.wire.values.t2);
        self.wire.send(unacked.to.clone(), unacked.packet.clone());
        let due = super::super::wire::Due::Call(key, super::super::wire::CallDue::Repeat2xx(party));
        unacked.repeat = Some(self.wire.arm(unacked.interval, due));
    }

    /// The ACK never came: BYE on both legs.
    pub(in crate::sip::core) fn no_ack(&mut self, key: u64, party: Party) {
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.leg_mut(party)) else { return };
        if let Some(unacked) = leg.unacked.take() {
            self.wire.timers.disarm(unacked.repeat);
        }
        self.close(key, ours(EndCause::Lost, "our answer was never acknowledged"), Refusal::plain(480), 102);
    }

    /// The ACK of our 2xx.
    pub(super) fn on_ack(&mut self, key: u64, party: Party, ack: &Incoming) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let is_ended = call.is_ended;
        let Some(leg) = call.leg_mut(party) else { return };
        leg.conn = ack.source.conn.or(leg.conn);
        let Some(unacked) = leg.unacked.take_if(|unacked| unacked.seq == ack.cseq.number) else { return };
        self.wire.timers.disarm(unacked.repeat);
        self.wire.timers.disarm(unacked.end);
        if is_ended && party == Party::Caller {
            self.bye(key, Party::Caller);
            self.forget(key);
        }
    }

    /// An answer to an INVITE that nobody waits for any more: acknowledged and hung up (§13.2.2.4, the race of
    /// CANCEL and 200).
    pub(in crate::sip::core) fn on_stray_response(&mut self, tx: u64, response: &Response, source: &Source) {
        if !(200..300).contains(&response.status) {
            return;
        }
        let headers = &response.headers;
        let Some((heads, cause)) = self.clients.abandoned(tx) else { return };
        // Without a Contact whoever was called is where it was called.
        let (seq, target) =
            (heads.seq, super::super::leg::contact(headers).unwrap_or_else(|| heads.uri.clone()));
        let (Some(from), Some(to_header)) = (headers.get("From"), headers.get("To")) else { return };
        let edge = match source.origin {
            super::super::io::Origin::Trunk(index) => Edge::Trunk(index.unwrap_or_default()),
            _ => Edge::Meta,
        };
        let mut leg = super::super::leg::Leg {
            edge,
            transport: source.transport,
            call_id: headers.get("Call-ID").unwrap_or_default().to_owned(),
            local_tag: String::new(),
            remote_tag: None,
            local: from.to_owned(),
            remote: to_header.to_owned(),
            local_seq: seq,
            remote_seq: None,
            routes: Vec::new(),
            target,
            contact: String::new(),
            conn: source.conn,
            state: LegState::Confirmed,
            sent_sdp: None,
            got_sdp: None,
            unacked: None,
        };
        leg.learn(headers);
        let Some((to, fallback)) = leg.way(&self.links) else { return };
        let ack_via = via(&self.config, &mut self.wire, edge, leg.transport);
        let ack = leg.heads(ack_via, seq).writer("ACK").finish();
        self.wire.send(to.clone(), ack.clone());
        self.clients.acked(tx, leg.remote_tag.as_deref().unwrap_or_default(), to.clone(), ack);
        let number = Address::parse(from).and_then(|from| from.parsed().ok()?.name());
        let route = number.and_then(|number| self.routes.of_number(&number));
        let bye_via = via(&self.config, &mut self.wire, edge, leg.transport);
        let (transport, heads) = (leg.transport, leg.next_heads(bye_via));
        let login = account_of(&self.config, edge, route.as_deref());
        let nameless = None;
        self.part(Farewell { edge, transport, to, fallback, heads, cause, login, nameless }, None);
    }
}

/// An end after the answer that was our decision.
fn ours(cause: EndCause, text: &str) -> CallEnd {
    CallEnd {
        by: EndedBy::Bridge,
        cause,
        status: None,
        q850: None,
        text: Some(text.to_owned()),
        meta_seconds: None,
    }
}
