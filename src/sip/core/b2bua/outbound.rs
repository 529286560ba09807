//! A call from a trunk to WhatsApp: which trunk, which phone, who is called, may they be called.

use std::sync::Arc;

use super::super::address::Address;
use super::super::challenge::{Expected, Verdict};
use super::super::digest::Sum;
use super::super::endpoint::Endpoint;
use super::super::io::{Origin, Output, Transport};
use super::super::leg::Edge;
use super::super::request::Incoming;
use super::super::routes::digits;
use super::super::servers::TxId;
use super::super::uri::Uri;
use super::super::wire::{CallDue, Due};
use super::callee::Plan;
use super::hangup::Refusal;
use super::inbound::{escape_user, is_user_id, refused_by_us};
use super::{Call, NewCall, Stage, contact};
use crate::domain::call::{
    CallEnd, CallMoment, CallPeer, CallPermission, CallProof, CallRoute, EndCause, EndedBy, Login,
};
use crate::domain::{CallId, Direction, UserId};

impl Endpoint {
    /// An INVITE without a dialog on the listener for trunks.
    pub(in crate::sip::core) fn invite_from_trunk(&mut self, tx: TxId, incoming: &Incoming) {
        let Origin::Trunk(Some(trunk)) = incoming.source.origin else {
            return self.refuse_scanner(tx, incoming, "an INVITE from an address of no trunk");
        };
        let wants_tls = self.config.trunks.get(trunk).is_some_and(|trunk| trunk.calls_by_tls);
        if wants_tls && incoming.source.transport != Transport::Tls {
            return self.refuse_scanner(tx, incoming, "a call of a trunk that must come by TLS");
        }
        let is_loop = incoming.header("X-WA-Call-ID").is_some_and(|mark| self.marks.contains(mark));
        if is_loop {
            return self.answer(tx, incoming, 482);
        }
        self.answer(tx, incoming, 100);
        if !self.is_trunk_proven(tx, incoming, trunk) {
            return;
        }
        let Some(route) = self.phone_of(incoming) else {
            let why = "no phone of ours in X-WA-Phone or From";
            return self.answer_with(tx, incoming, 403, &[warning(&self.config.hostname, why)]);
        };
        let is_challenged = self.config.trunks.get(trunk).is_some_and(|trunk| trunk.inbound_login.is_some());
        let peer = called(incoming);
        let has_peer = peer.is_some();
        let mut new = NewCall {
            direction: Direction::Outbound,
            route,
            trunk,
            peer: peer.unwrap_or_default(),
            wacid: None,
            payload: None,
            agent: agent(&incoming.request.headers),
            offer: String::new(),
            proof: if is_challenged { CallProof::Digest } else { CallProof::Address },
        };
        let is_of_trunk = self.config.trunks.get(trunk).is_some_and(|trunk| trunk.name == new.route.trunk);
        if !is_of_trunk {
            let end = refused_by_us(EndCause::Refused, 403, "this phone belongs to another trunk");
            return self.turn_back(tx, incoming, &new, end);
        }
        if !has_peer {
            let why = "the called user is no number and no WhatsApp user id";
            return self.turn_back(tx, incoming, &new, refused_by_us(EndCause::UnknownNumber, 484, why));
        }
        let Some(offer) = self.offer_of(tx, incoming, &new) else { return };
        new.offer = offer;
        if self.is_draining {
            let end = refused_by_us(EndCause::Stopped, 503, "the bridge is being stopped");
            return self.turn_back(tx, incoming, &new, end);
        }
        if !self.has_room(&new.route, Direction::Outbound) {
            let end = refused_by_us(EndCause::Overload, 503, "there are too many calls");
            return self.turn_back(tx, incoming, &new, end);
        }
        if let Some(key) = self.begin(tx, incoming, new, Edge::Trunk(trunk), "wabridge") {
            self.ask_permission(key);
        }
    }

    /// A call of a trunk that is recorded and not placed; the trunk is told why.
    fn turn_back(&mut self, tx: TxId, incoming: &Incoming, new: &NewCall, end: CallEnd) {
        let status = end.status.unwrap_or(503);
        let mut headers = vec![warning(&self.config.hostname, end.text.as_deref().unwrap_or_default())];
        if status == 503 {
            headers.push(("Retry-After", "10".to_owned()));
        }
        self.record_refused(incoming, new, end);
        self.answer_with(tx, incoming, status, &headers);
    }

    /// What `calls` found out about the permission.
    pub(in crate::sip::core) fn on_permission(&mut self, id: &CallId, answer: CallPermission) {
        let Some(key) = self.ids.get(id).copied() else { return };
        let Some(call) =
            self.calls.get_mut(&key).filter(|call| call.stage == Stage::Asking && !call.is_ended)
        else {
            return;
        };
        self.wire.timers.disarm(call.asking.take());
        match answer {
            CallPermission::Allowed => self.call_meta(key),
            CallPermission::Refused(why) => {
                let end = CallEnd {
                    by: EndedBy::Bridge,
                    cause: EndCause::NoPermission,
                    status: Some(403),
                    q850: Some(21),
                    text: Some(why.clone()),
                    meta_seconds: None,
                };
                let refusal = Refusal::explained(&self.config.hostname, 403, 21, &why);
                self.close(key, end, refusal, 21);
            }
        }
    }

    /// Calls Meta, by permission or because nobody answered about it.
    pub(in crate::sip::core) fn call_meta(&mut self, key: u64) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.stage = Stage::Calling;
            call.attempt.left = [self.config.meta.clone()].into();
        }
        self.call_next_target(key);
    }

    /// Nobody answered about the permission in time: Meta decides.
    pub(in crate::sip::core) fn permission_is_late(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.asking = None;
        let note = CallMoment::Noted("nobody answered about the permission in time: Meta decides".to_owned());
        self.wire.event(&call.id, note);
        self.call_meta(key);
    }

    fn ask_permission(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.stage = Stage::Asking;
        let wait = self.wire.values.permission_deadline;
        call.asking = Some(self.wire.arm(wait, Due::Call(key, CallDue::Permission)));
        self.wire.outputs.push_back(Output::AskPermission {
            call: call.id.clone(),
            phone: call.route.phone.clone(),
            peer: call.peer.clone(),
        });
    }

    /// Digest with the trunk's `inbound_username`. False = answered.
    fn is_trunk_proven(&mut self, tx: TxId, incoming: &Incoming, index: usize) -> bool {
        let login = self.config.trunks.get(index).and_then(|trunk| trunk.inbound_login.clone());
        let Some(Login { username, password }) = login else { return true };
        let realm = self.config.hostname.clone();
        let algorithms = [Sum::Md5];
        let expected = Expected {
            realm: &realm,
            username: &username,
            password: password.expose(),
            method: "INVITE",
            uri: &incoming.request.uri,
            algorithms: &algorithms,
        };
        let headers = &incoming.request.headers;
        let credentials = headers.all("Proxy-Authorization").chain(headers.all("Authorization"));
        let verdict = self.challenger.verify(self.wire.now, credentials, &expected);
        match verdict {
            Verdict::Proven => true,
            Verdict::Missing | Verdict::Stale => {
                self.challenge(tx, incoming, &realm, &algorithms, verdict == Verdict::Stale);
                false
            }
            Verdict::Wrong => {
                self.count_refusal(incoming, "a wrong digest of a trunk");
                self.answer(tx, incoming, 403);
                false
            }
        }
    }

    /// The phone that calls: `X-WA-Phone`, else the user of From.
    fn phone_of(&self, incoming: &Incoming) -> Option<Arc<CallRoute>> {
        let named = incoming.header("X-WA-Phone").map(str::to_owned);
        let named = named.or_else(|| incoming.from.parsed().ok().and_then(|uri| uri.name()));
        named.and_then(|number| self.routes.of_number(&number))
    }
}

/// What Meta is called with: `+` in the addresses, From host as the phone's settings at Meta have it.
pub fn plan(config: &super::EndpointConfig, call: &Call) -> Plan {
    let host = &config.meta.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let user = match (&call.peer.digits, &call.peer.user_id) {
        (Some(digits), _) => format!("+{digits}"),
        (None, Some(id)) => escape_user(id.as_str()),
        (None, None) => String::new(),
    };
    let own = format!("+{}", call.route.digits);
    Plan {
        uri: format!("sip:{user}@{host};transport=tls"),
        from: format!("<sip:{own}@{}>", call.route.hostname),
        to: format!("<sip:{user}@{host}>"),
        contact: contact(config, Edge::Meta, Transport::Tls, &own),
        headers: Vec::new(),
    }
}

/// Who talks at the trunk's side: `X-WA-Agent`, else the asserted identity.
pub fn agent(headers: &super::super::headers::Headers) -> Option<String> {
    if let Some(agent) = headers.any(&["X-WA-Agent"]) {
        return Some(agent.to_owned());
    }
    let address = Address::parse(headers.get("P-Asserted-Identity")?)?;
    address.parsed().ok().and_then(|uri| uri.name()).or(address.display)
}

/// A Warning header (RFC 3261 §20.43).
pub fn warning(hostname: &str, why: &str) -> (&'static str, String) {
    ("Warning", format!("399 {hostname} {}", super::super::address::quote(why)))
}

/// Who is called.
fn called(incoming: &Incoming) -> Option<CallPeer> {
    let name = Uri::parse(&incoming.request.uri).ok()?.name()?;
    let number = digits(&name).map(str::to_owned);
    let user_id = (number.is_none() && is_user_id(&name)).then(|| UserId::from(name.as_str()));
    (number.is_some() || user_id.is_some()).then_some(CallPeer { digits: number, user_id, name: None })
}
