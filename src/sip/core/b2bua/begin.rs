//! A call begins: its offer, its record, its first leg.

use super::super::endpoint::Endpoint;
use super::super::leg::Edge;
use super::super::request::Incoming;
use super::super::sdp;
use super::super::servers::TxId;
use super::super::wire::{CallDue, Due};
use super::inbound::refused_by_us;
use super::outbound::warning;
use super::{Attempt, Call, NewCall, Party, Stage, arrival, caller_leg};
use crate::domain::call::{CallEnd, CallMoment, EndCause};

/// Records a minute of calls that are not placed, of one phone and direction.
const MOST_RECORDS: u32 = 60;

impl Endpoint {
    /// The SDP of an INVITE. `None` = answered: without an offer 488, since nobody could know whether SDES or
    /// DTLS is wanted; with something else 415; 406 where our answer could not be read.
    pub(super) fn offer_of(&mut self, tx: TxId, incoming: &Incoming, new: &NewCall) -> Option<String> {
        if !incoming.accepts_sdp() {
            let why = "an answer to an INVITE is application/sdp";
            self.record_refused(incoming, new, refused_by_us(EndCause::Media, 406, why));
            self.answer_with(tx, incoming, 406, &[warning(&self.config.hostname, why)]);
            return None;
        }
        let Ok(offer) = incoming.sdp() else {
            // No record: nobody calls so but our own doctor, who asks whether a password is believed.
            self.count_stranger(incoming, "an INVITE with something else than an offer");
            self.answer_unsupported(tx, incoming);
            return None;
        };
        let offer = offer.filter(|offer| sdp::audio(offer).is_some()).map(str::to_owned);
        if offer.is_none() {
            let why = "an offer with audio is wanted in the INVITE";
            self.record_refused(incoming, new, refused_by_us(EndCause::Media, 488, why));
            let warning = warning(&self.config.hostname, why).1.replacen("399", "304", 1);
            self.answer_with(tx, incoming, 488, &[("Warning", warning)]);
        }
        offer
    }

    /// Makes the call and its first leg, and tells of it. `None` = answered.
    pub(super) fn begin(
        &mut self,
        tx: TxId,
        incoming: &Incoming,
        new: NewCall,
        edge: Edge,
        user: &str,
    ) -> Option<u64> {
        let Some(mut caller) = caller_leg(&self.config, &mut self.wire, incoming, edge, user) else {
            self.answer(tx, incoming, 400);
            return None;
        };
        caller.got_sdp = Some(new.offer.clone());
        let id = self.wire.call_id();
        let trunk = self.config.trunks.get(new.trunk).map_or("", |trunk| trunk.name.as_str());
        let report = self.report(incoming, new.proof, &new.route.digits);
        self.wire.event(&id, CallMoment::Arrived(arrival(&new, trunk, incoming, report)));
        self.next_call += 1;
        let key = self.next_call;
        self.dialogs.insert(caller.key(), (key, Party::Caller));
        self.ids.insert(id.clone(), key);
        self.servers.belongs_to(tx, key);
        let call = Call {
            id,
            direction: new.direction,
            route: new.route,
            trunk: new.trunk,
            peer: new.peer,
            wacid: new.wacid,
            payload: new.payload,
            agent: new.agent,
            stage: Stage::Calling,
            is_ended: false,
            caller,
            callee: None,
            invite: tx,
            invite_seq: incoming.cseq.number,
            reply_to: incoming.reply_to.clone(),
            seed: incoming.seed.clone(),
            session_timer: incoming.session_timer().filter(|_| edge != Edge::Meta),
            max_forwards: incoming.max_forwards,
            attempt: Attempt::default(),
            limit: Some(self.wire.arm(self.config.ring, Due::Call(key, CallDue::Ring))),
            asking: None,
            parting: 16,
        };
        self.marks.insert(call.mark().to_owned());
        self.calls.insert(key, call);
        Some(key)
    }

    /// A call that is recorded but not placed.
    pub(super) fn turn_away(
        &mut self,
        tx: TxId,
        incoming: &Incoming,
        new: &NewCall,
        status: u16,
        end: CallEnd,
    ) {
        self.record_refused(incoming, new, end);
        self.answer(tx, incoming, status);
    }

    /// The record of a call that is not placed. Of a flood there are only so many a minute, for each phone and
    /// direction: the rest is counted and told in the log.
    pub(super) fn record_refused(&mut self, incoming: &Incoming, new: &NewCall, end: CallEnd) {
        self.count_stranger(incoming, "a call that is not placed");
        let key = format!("record {} {:?}", new.route.phone, new.direction);
        if !self.rate.take(self.wire.now, &key, MOST_RECORDS) {
            return;
        }
        let id = self.wire.call_id();
        let report = self.report(incoming, new.proof, &new.route.digits);
        let trunk = self.config.trunks.get(new.trunk).map_or(new.route.trunk.as_str(), |trunk| &trunk.name);
        self.wire.event(&id, CallMoment::Arrived(arrival(new, trunk, incoming, report)));
        self.wire.event(&id, CallMoment::Ended(end));
    }
}
