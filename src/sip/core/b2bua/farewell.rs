//! A BYE. The other side may want it proven: its challenge is answered once, when the call itself is gone already.
//! What it says of the call is the last that can be learned.

use super::super::clients::{Heads, Outgoing, Owner, TxId};
use super::super::credentials::{Account, Challenge, Tries};
use super::super::endpoint::Endpoint;
use super::super::io::{Target, To, Transport};
use super::super::leg::{Edge, LegState};
use super::super::message::Response;
use super::super::reason;
use super::callee::{Login, account_of};
use super::{Party, via};
use crate::domain::call::CallMoment;
use crate::domain::{CallId, Direction, Wacid};

/// A BYE under way, with what proves it.
#[derive(Debug)]
pub struct Farewell {
    pub(super) edge: Edge,
    pub(super) transport: Transport,
    pub(super) to: To,
    pub(super) fallback: Option<Target>,
    pub(super) heads: Heads,
    /// Q.850.
    pub(super) cause: u8,
    pub(super) login: Option<Login>,
    /// The call, if Meta's id of it is not known yet.
    pub(super) nameless: Option<CallId>,
}

impl Endpoint {
    /// Sends BYE in a leg that is confirmed.
    pub(super) fn bye(&mut self, key: u64, party: Party) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (cause, route) = (call.parting, call.route.clone());
        let nameless =
            (call.direction == Direction::Outbound && call.wacid.is_none()).then(|| call.id.clone());
        let Some(leg) = call.leg_mut(party).filter(|leg| leg.state == LegState::Confirmed) else { return };
        leg.state = LegState::Over;
        let (edge, transport) = (leg.edge, leg.transport);
        let via = via(&self.config, &mut self.wire, edge, transport);
        let heads = leg.next_heads(via);
        let Some((to, fallback)) = leg.way(&self.links) else { return };
        let login = account_of(&self.config, edge, Some(&*route));
        let nameless = nameless.filter(|_| edge == Edge::Meta);
        self.part(Farewell { edge, transport, to, fallback, heads, cause, login, nameless }, None);
    }

    /// Sends it; its answer is looked at where there may be something to do about it.
    pub(super) fn part(&mut self, farewell: Farewell, proof: Option<(&'static str, String)>) {
        let Farewell { transport, cause, .. } = farewell;
        let mut writer = farewell.heads.writer("BYE");
        if let Some((name, value)) = &proof {
            writer.header(name, value);
        }
        writer.header("Reason", &reason::header(cause)).header("User-Agent", "wabridge");
        let is_watched = farewell.login.is_some() || farewell.nameless.is_some();
        let out = Outgoing {
            method: "BYE",
            to: farewell.to.clone(),
            fallback: farewell.fallback.clone(),
            transport,
            heads: farewell.heads.clone(),
            packet: writer.finish(),
            owner: if is_watched { Owner::Farewell } else { Owner::Nobody },
        };
        let tx = self.clients.start(&mut self.wire, out);
        if is_watched {
            self.farewells.insert(tx, farewell);
        }
    }

    /// An answer to a BYE: it may tell Meta's id of the call; a challenge is answered, once.
    pub(in crate::sip::core) fn on_farewell_response(&mut self, tx: TxId, response: &Response) {
        if response.status < 200 {
            return;
        }
        let Some(mut farewell) = self.farewells.remove(&tx) else { return };
        if let Some(id) = response.headers.any(&["x-wa-meta-wacid"])
            && let Some(call) = farewell.nameless.take()
        {
            self.wire.event(&call, CallMoment::Identified(Wacid::from(id)));
        }
        let Some((name, username, password)) = farewell.login.take() else { return };
        let challenge = Challenge::of(response.status, &response.headers);
        let is_challenge = matches!(response.status, 401 | 407);
        if !is_challenge || !self.wallet.take(&name, challenge, &mut Tries::default()) {
            return;
        }
        let account = Account { key: &name, username: &username, password: password.expose() };
        let cnonce = self.wire.token();
        let proof = self.wallet.answer(&account, "BYE", &farewell.heads.uri, &cnonce);
        farewell.heads.seq += 1;
        farewell.heads.via = via(&self.config, &mut self.wire, farewell.edge, farewell.transport);
        // The connection may be gone by now.
        if let (To::Conn(conn), Some(target)) = (&farewell.to, &farewell.fallback)
            && !self.links.is_open(*conn)
        {
            farewell.to = To::Target(target.clone());
        }
        self.part(farewell, proof);
    }

    /// Nobody answers a BYE.
    pub(in crate::sip::core) fn on_farewell_failed(&mut self, tx: TxId) {
        self.farewells.remove(&tx);
    }
}
