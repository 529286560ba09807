//! A BYE. The other side may want it proven: its challenge is answered once, when the call itself is gone already.

use super::super::clients::{Heads, Outgoing, Owner, TxId};
use super::super::credentials::{Account, Challenge, Tries};
use super::super::endpoint::Endpoint;
use super::super::io::{Target, To, Transport};
use super::super::leg::{Edge, LegState};
use super::super::message::Response;
use super::super::reason;
use super::callee::account_of;
use super::{Party, via};
use crate::domain::Secret;

/// A BYE under way, with what proves it.
#[derive(Debug)]
pub struct Farewell {
    edge: Edge,
    transport: Transport,
    to: To,
    fallback: Option<Target>,
    heads: Heads,
    cause: u8,
    /// Name of the account, user name and password.
    account: (String, String, Secret),
}

impl Endpoint {
    /// Sends BYE in a leg that is confirmed.
    pub(super) fn bye(&mut self, key: u64, party: Party) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (cause, trunk, route) = (call.parting, call.trunk, call.route.clone());
        let Some(leg) = call.leg_mut(party).filter(|leg| leg.state == LegState::Confirmed) else { return };
        leg.state = LegState::Over;
        let (edge, transport) = (leg.edge, leg.transport);
        let via = via(&self.config, &mut self.wire, edge, transport);
        let heads = leg.next_heads(via);
        let Some((to, fallback)) = leg.way(&self.links) else { return };
        let account = account_of(&self.config, trunk, edge, &route);
        let owner = if account.is_some() { Owner::Farewell } else { Owner::Nobody };
        let (ways, kept) = ((to.clone(), fallback.clone()), heads.clone());
        let tx = self.send_bye(ways, transport, kept, cause, None, owner);
        if let Some(account) = account {
            self.farewells.insert(tx, Farewell { edge, transport, to, fallback, heads, cause, account });
        }
    }

    /// An answer to a BYE: a challenge is answered, once.
    pub(in crate::sip::core) fn on_farewell_response(&mut self, tx: TxId, response: &Response) {
        if response.status < 200 {
            return;
        }
        let Some(mut farewell) = self.farewells.remove(&tx) else { return };
        if !matches!(response.status, 401 | 407) {
            return;
        }
        let (name, username, password) = &farewell.account;
        let challenge = Challenge::of(response.status, &response.headers);
        if !self.wallet.take(name, challenge, &mut Tries::default()) {
            return;
        }
        let account = Account { key: name, username, password: password.expose() };
        let cnonce = self.wire.token();
        let proof = self.wallet.answer(&account, "BYE", &farewell.heads.uri, &cnonce);
        farewell.heads.seq += 1;
        farewell.heads.via = via(&self.config, &mut self.wire, farewell.edge, farewell.transport);
        let Farewell { transport, to, fallback, heads, cause, .. } = farewell;
        // The connection may be gone by now.
        let to = match (to, &fallback) {
            (To::Conn(conn), Some(target)) if !self.links.is_open(conn) => To::Target(target.clone()),
            (to, _) => to,
        };
        self.send_bye((to, fallback), transport, heads, cause, proof, Owner::Nobody);
    }

    /// Nobody answers a BYE.
    pub(in crate::sip::core) fn on_farewell_failed(&mut self, tx: TxId) {
        self.farewells.remove(&tx);
    }

    fn send_bye(
        &mut self,
        (to, fallback): (To, Option<Target>),
        transport: Transport,
        heads: Heads,
        cause: u8,
        proof: Option<(&'static str, String)>,
        owner: Owner,
    ) -> TxId {
        let mut writer = heads.writer("BYE");
        if let Some((name, value)) = &proof {
            writer.header(name, value);
        }
        writer.header("Reason", &reason::header(cause)).header("User-Agent", "wabridge");
        let packet = writer.finish();
        let out = Outgoing { method: "BYE", to, fallback, transport, heads, packet, owner };
        self.clients.start(&mut self.wire, out)
    }
}
