//! How the other side is called: targets one after the other, their answers, challenges.

use super::super::clients::{Outgoing, Owner, TxId};
use super::super::credentials::{Account, Challenge, Tries};
use super::super::endpoint::Endpoint;
use super::super::io::{Notice, To};
use super::super::leg::{Edge, Leg, LegState, Unacked};
use super::super::message::Response;
use super::super::reason;
use super::super::request::{ALLOW, ALLOW_META, Source, sdp_of};
use super::super::sdp;
use super::super::wire::{CallDue, Due};
use super::hangup::Refusal;
use super::inbound::refused_by_us;
use super::outbound::agent;
use super::{Party, Stage, inbound, outbound, verdicts, via};
use crate::domain::call::{CallEnd, CallMoment, EndCause, EndedBy};
use crate::domain::{Direction, Secret, Wacid};

/// What an INVITE to the callee says.
pub struct Plan {
    /// Request-URI.
    pub uri: String,
    /// From without tag.
    pub from: String,
    /// To.
    pub to: String,
    /// Contact.
    pub contact: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// Calls the phone's trunk.
    pub(super) fn call_trunk(&mut self, key: u64) {
        let now = self.wire.now;
        if let Some(call) = self.calls.get_mut(&key) {
            call.attempt.left = self.targets.get(call.trunk).map(|t| t.order(now)).unwrap_or_default().into();
        }
        self.call_next_target(key);
    }

    /// Calls the next target that is left; the call fails if there is none.
    pub(super) fn call_next_target(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(target) = call.attempt.left.pop_front() else { return self.out_of_targets(key) };
        let edge = match call.direction {
            Direction::Inbound => Edge::Trunk(call.trunk),
            Direction::Outbound => Edge::Meta,
        };
        let plan = match call.direction {
            Direction::Inbound => inbound::plan(&self.config, call, &target, call.trunk),
            Direction::Outbound => outbound::plan(&self.config, call),
        };
        if let Some(old) = call.callee.take() {
            self.dialogs.remove(&old.key());
        }
        let local_tag = self.wire.token();
        let leg = Leg {
            edge,
            transport: target.transport,
            call_id: format!("{}@{}", self.wire.token(), self.config.hostname),
            remote_tag: None,
            local: format!("{};tag={local_tag}", plan.from),
            local_tag,
            remote: plan.to,
            local_seq: 0,
            remote_seq: None,
            routes: Vec::new(),
            target: plan.uri,
            contact: plan.contact,
            conn: None,
            state: LegState::Open,
            sent_sdp: call.caller.got_sdp.as_deref().map(sdp::pass),
            got_sdp: None,
            unacked: None,
        };
        self.dialogs.insert(leg.key(), (key, Party::Callee));
        call.callee = Some(leg);
        call.attempt.target = Some(target.clone());
        // Another server, with nonces of its own.
        call.attempt.tries = Tries::default();
        self.wire.event(&call.id, CallMoment::Forwarded { target: target.to_string() });
        self.send_invite(key);
    }

    /// Sends the INVITE of the callee's leg, with credentials if a nonce is at hand; CSeq counts up.
    fn send_invite(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(target), Some(leg)) = (call.attempt.target.clone(), call.callee.as_mut()) else { return };
        let via = via(&self.config, &mut self.wire, leg.edge, leg.transport);
        let mut heads = leg.next_heads(via);
        heads.max_forwards = call.max_forwards.saturating_sub(1);
        let (uri, contact, offer) = (leg.target.clone(), leg.contact.clone(), leg.sent_sdp.clone());
        let edge = leg.edge;
        let plan = match call.direction {
            Direction::Inbound => inbound::plan(&self.config, call, &target, call.trunk),
            Direction::Outbound => outbound::plan(&self.config, call),
        };
        let account = account_of(&self.config, edge, Some(&*call.route));
        let credentials = account.and_then(|(name, username, password)| {
            let account = Account { key: &name, username: &username, password: password.expose() };
            let cnonce = self.wire.token();
            self.wallet.answer(&account, "INVITE", &uri, &cnonce)
        });
        let mut writer = heads.writer("INVITE");
        writer.header("Contact", &contact);
        if let Some((name, value)) = &credentials {
            writer.header(name, value);
        }
        writer.header("Allow", if edge == Edge::Meta { ALLOW_META } else { ALLOW });
        for (name, value) in &plan.headers {
            writer.header(name, value);
        }
        writer.header("User-Agent", "wabridge");
        let out = Outgoing {
            method: "INVITE",
            transport: target.transport,
            to: To::Target(target),
            fallback: None,
            heads,
            packet: writer.finish_with(offer.as_deref()),
            owner: Owner::Call(key),
        };
        let tx = self.clients.start(&mut self.wire, out);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt.tx = Some(tx);
        self.wire.timers.disarm(call.attempt.deadline.take());
        // For each INVITE anew: a target may fall silent after its challenge.
        if edge != Edge::Meta {
            let wait = self.wire.values.target_deadline;
            call.attempt.deadline = Some(self.wire.arm(wait, Due::Call(key, CallDue::Target)));
        }
    }

    /// A response to the INVITE.
    pub(in crate::sip::core) fn on_callee_response(
        &mut self,
        key: u64,
        tx: TxId,
        response: &Response,
        source: &Source,
    ) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.attempt.tx == Some(tx)) else { return };
        self.wire.timers.disarm(call.attempt.deadline.take());
        if let (Some(target), Some(targets)) = (&call.attempt.target, self.targets.get_mut(call.trunk))
            && targets.answered_call(target)
        {
            let (trunk, target) = (call.route.trunk.clone(), target.to_string());
            self.wire.notice(Notice::TrunkState { trunk, target, up: true });
        }
        self.learn_wacid(key, &response.headers);
        match response.status {
            100 => {}
            101..=199 => self.ring_caller(key),
            200..=299 => self.on_answer(key, tx, response, source),
            401 | 407 => self.on_challenge(key, response),
            status => self.on_refusal(key, status, response),
        }
    }

    /// The INVITE could not be delivered, or nobody answered it.
    pub(in crate::sip::core) fn on_callee_failed(&mut self, key: u64, tx: TxId, reason: Option<String>) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.attempt.tx == Some(tx)) else { return };
        call.attempt.tx = None;
        let text = reason.unwrap_or_else(|| "there was no answer".to_owned());
        self.target_failed(key, &text);
    }

    /// A target has not shown a sign of life in time.
    pub(in crate::sip::core) fn target_is_silent(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt.deadline = None;
        if let Some(tx) = call.attempt.tx.take() {
            self.clients.abandon(&mut self.wire, tx, 102);
        }
        self.target_failed(key, "it did not answer in time");
    }

    fn target_failed(&mut self, key: u64, why: &str) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        self.wire.timers.disarm(call.attempt.deadline.take());
        let target = call.attempt.target.take();
        if let (Some(target), Some(targets)) = (&target, self.targets.get_mut(call.trunk))
            && targets.failed_call(target, self.wire.now)
        {
            let trunk = call.route.trunk.clone();
            self.wire.notice(Notice::TrunkState { trunk, target: target.to_string(), up: false });
        }
        let target = target.map(|target| target.to_string()).unwrap_or_default();
        self.wire.event(&call.id, CallMoment::Noted(format!("{target}: {why}")));
        self.call_next_target(key);
    }

    fn out_of_targets(&mut self, key: u64) {
        let Some(call) = self.calls.get(&key) else { return };
        match call.direction {
            Direction::Inbound => {
                let end = refused_by_us(EndCause::TrunkUnreachable, 480, "no target of the trunk answers");
                self.close(key, end, Refusal::plain(480), 38);
            }
            Direction::Outbound => {
                let why = "Meta's SIP server cannot be reached";
                let refusal = Refusal::explained(&self.config.hostname, 503, 38, why);
                self.close(key, refused_by_us(EndCause::Lost, 503, why), refusal, 38);
            }
        }
    }

    /// 180 and 183 become a bare 180: no SDP before our 200, or WhatsApp takes the call as answered.
    fn ring_caller(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.stage == Stage::Calling) else { return };
        call.stage = Stage::Ringing;
        let mut writer = call.seed.answer(180, Some(&call.caller.local_tag));
        writer.header("Contact", &call.caller.contact);
        self.servers.answer(&mut self.wire, call.invite, 180, writer.finish());
        self.wire.event(&call.id, CallMoment::Ringing);
    }

    fn on_answer(&mut self, key: u64, tx: TxId, response: &Response, source: &Source) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.callee.as_mut() else { return };
        leg.learn(&response.headers);
        leg.conn = source.conn;
        leg.state = LegState::Confirmed;
        call.attempt.tx = None;
        let via = via(&self.config, &mut self.wire, leg.edge, leg.transport);
        let ack = leg.heads(via, leg.local_seq).writer("ACK").finish();
        if let Some((to, _)) = leg.way(&self.links) {
            self.wire.send(to.clone(), ack.clone());
            self.clients.acked(tx, leg.remote_tag.as_deref().unwrap_or_default(), to, ack);
        }
        let answer = sdp_of(&response.headers, &response.body).ok().flatten();
        let Some(answer) = answer.filter(|answer| sdp::audio(answer).is_some()) else {
            let by = ended_by(leg.edge);
            let end = CallEnd { by, ..refused_by_us(EndCause::Media, 488, "the answer has no usable audio") };
            return self.close(key, end, Refusal::plain(488), 88);
        };
        leg.got_sdp = Some(answer.to_owned());
        let agent = match call.direction {
            Direction::Inbound => agent(&response.headers),
            Direction::Outbound => call.agent.clone(),
        };
        self.answer_caller(key, sdp::pass(answer), agent);
    }

    /// Our 200, repeated until the ACK comes.
    fn answer_caller(&mut self, key: u64, answer: String, agent: Option<String>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let leg = &mut call.caller;
        let mut writer = call.seed.answer(200, Some(&leg.local_tag));
        writer.header("Contact", &leg.contact);
        writer.header("Allow", if leg.edge == Edge::Meta { ALLOW_META } else { ALLOW });
        if let Some(timer) = &call.session_timer {
            writer.header("Require", "timer").header("Session-Expires", timer);
        }
        let packet = writer.finish_with(Some(&answer));
        leg.state = LegState::Confirmed;
        leg.sent_sdp = Some(answer);
        // Its ACK has the number of the INVITE, whatever the caller has asked for since (an UPDATE).
        let (to, seq) = (call.reply_to.clone(), call.invite_seq);
        leg.unacked = Some(unacked(&mut self.wire, key, Party::Caller, packet.clone(), to, seq));
        self.servers.answer(&mut self.wire, call.invite, 200, packet);
        call.stage = Stage::Answered;
        self.wire.timers.disarm(call.limit.take());
        call.limit = Some(self.wire.arm(self.config.max_call, Due::Call(key, CallDue::Length)));
        self.wire.event(&call.id, CallMoment::Answered { agent });
    }

    fn on_challenge(&mut self, key: u64, response: &Response) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt.tx = None;
        let Some(leg) = call.callee.as_ref() else { return };
        let challenge = Challenge::of(response.status, &response.headers);
        let account = account_of(&self.config, leg.edge, Some(&*call.route));
        let may_try =
            account.is_some_and(|(name, _, _)| self.wallet.take(&name, challenge, &mut call.attempt.tries));
        if may_try {
            return self.send_invite(key);
        }
        self.on_refusal(key, response.status, response);
    }

    fn on_refusal(&mut self, key: u64, status: u16, response: &Response) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt.tx = None;
        let q850 = reason::q850(&response.headers);
        let text = reason::text(&response.reason, &response.headers);
        match call.direction {
            Direction::Inbound => {
                if matches!(status, 408 | 503)
                    && q850.is_none_or(|cause| cause == 41)
                    && !call.attempt.left.is_empty()
                {
                    let note = format!("the target refused with {status}: the next one is tried");
                    self.wire.event(&call.id, CallMoment::Noted(note));
                    return self.call_next_target(key);
                }
                let (told, cause) = verdicts::of_trunk(status, q850);
                let end = CallEnd {
                    by: EndedBy::Trunk,
                    cause,
                    status: Some(status),
                    q850,
                    text,
                    meta_seconds: None,
                };
                self.close(key, end, Refusal::plain(told), q850.unwrap_or(reason::cause_of(status)));
            }
            Direction::Outbound => {
                let said = text.clone().unwrap_or_default();
                let is_sporadic = status == 403 && said.to_ascii_lowercase().contains("sdp validation");
                if is_sporadic && !std::mem::replace(&mut call.attempt.has_retried, true) {
                    let note = "Meta refused with \"SDP Validation Error\": tried once more";
                    self.wire.event(&call.id, CallMoment::Noted(note.to_owned()));
                    // What was challenged and refused is done with: its nonce may be used up.
                    call.attempt.tries = Tries::default();
                    return self.send_invite(key);
                }
                let (told, cause, meaning) = verdicts::of_meta(status, &said);
                let text = if said.is_empty() { meaning.to_owned() } else { format!("{said}: {meaning}") };
                let q850 = q850.or(Some(reason::cause_of(told)));
                let end = CallEnd {
                    by: EndedBy::Contact,
                    cause,
                    status: Some(status),
                    q850,
                    text: Some(text.clone()),
                    meta_seconds: None,
                };
                let cause = q850.unwrap_or(21);
                let refusal = Refusal::explained(&self.config.hostname, told, cause, &text);
                self.close(key, end, refusal, cause);
            }
        }
    }

    /// Meta's id of the call, from whatever message of it bears one.
    pub(super) fn learn_wacid(&mut self, key: u64, headers: &super::super::headers::Headers) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.wacid.is_none()) else { return };
        if call.direction == Direction::Outbound
            && let Some(id) = headers.any(&["x-wa-meta-wacid"])
        {
            let wacid = Wacid::from(id);
            call.wacid = Some(wacid.clone());
            self.wire.event(&call.id, CallMoment::Identified(wacid));
        }
    }
}

/// Begins to repeat a 2xx.
pub(super) fn unacked(
    wire: &mut super::Wire,
    key: u64,
    party: Party,
    packet: super::super::io::Packet,
    to: To,
    seq: u32,
) -> Unacked {
    let interval = wire.values.t1;
    let repeat = Some(wire.arm(interval, Due::Call(key, CallDue::Repeat2xx(party))));
    let end = Some(wire.arm(wire.values.patience(), Due::Call(key, CallDue::NoAck(party))));
    Unacked { packet, to, interval, seq, repeat, end }
}

/// Who a side is in the record.
pub(super) fn ended_by(edge: Edge) -> EndedBy {
    match edge {
        Edge::Meta => EndedBy::Contact,
        Edge::Trunk(_) => EndedBy::Trunk,
    }
}

/// Name of an account, user name and password.
pub type Login = (String, String, Secret);

/// What answers a side's challenge.
pub(super) fn account_of(
    config: &super::EndpointConfig,
    edge: Edge,
    route: Option<&crate::domain::call::CallRoute>,
) -> Option<Login> {
    match edge {
        Edge::Meta => {
            let route = route?;
            let password = route.sip_password.clone()?;
            Some((format!("phone {}", route.digits), route.digits.clone(), password))
        }
        Edge::Trunk(trunk) => {
            let trunk = config.trunks.get(trunk)?;
            let login = trunk.login.clone()?;
            Some((format!("trunk {}", trunk.name), login.username, login.password))
        }
    }
}
