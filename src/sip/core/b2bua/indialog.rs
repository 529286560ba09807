//! Requests within a call. What the trunk asks for in the middle of a call never reaches Meta, which would
//! answer 500: it is answered here, so that the trunk keeps its session.

use super::super::endpoint::Endpoint;
use super::super::leg::{Edge, LegState};
use super::super::message::Method;
use super::super::request::{ALLOW, ALLOW_META, Incoming};
use super::super::sdp;
use super::super::servers::TxId;
use super::callee::unacked;
use super::{Party, Stage};
use crate::domain::call::CallMoment;

impl Endpoint {
    /// An ACK that belongs to no failure.
    pub(in crate::sip::core) fn ack_in_dialog(&mut self, incoming: &Incoming) {
        if let Some((key, party)) = self.dialog_of(incoming) {
            self.on_ack(key, party, incoming);
        }
    }

    /// A request with a To tag.
    pub(in crate::sip::core) fn request_in_dialog(&mut self, tx: TxId, incoming: &Incoming) {
        let Some((key, party)) = self.dialog_of(incoming) else {
            return self.fail(tx, incoming, 481, &[], "a request of no dialog");
        };
        let Some(call) = self.calls.get_mut(&key) else { return self.answer(tx, incoming, 481) };
        let stage = call.stage;
        let Some(leg) = call.leg_mut(party) else { return self.answer(tx, incoming, 481) };
        // §12.2.2: a lower number than the last is out of order.
        if leg.remote_seq.is_some_and(|last| incoming.cseq.number < last) {
            return self.answer(tx, incoming, 500);
        }
        leg.remote_seq = Some(incoming.cseq.number);
        leg.conn = incoming.source.conn.or(leg.conn);
        match incoming.method() {
            Some(Method::Bye) => {
                self.answer(tx, incoming, 200);
                self.on_bye(key, party, incoming);
            }
            Some(Method::Invite) if leg.state != LegState::Confirmed => {
                // §14.2: the first INVITE is not answered yet.
                self.answer_with(tx, incoming, 500, &[("Retry-After", "5".to_owned())]);
            }
            Some(Method::Invite) if leg.unacked.is_some() => {
                self.answer_with(tx, incoming, 500, &[("Retry-After", "2".to_owned())]);
            }
            Some(Method::Invite | Method::Update)
                if stage != Stage::Answered && incoming.request.body.is_empty() =>
            {
                let headers = [("Contact", leg.contact.clone()), ("Allow", ALLOW.to_owned())];
                self.answer_with(tx, incoming, 200, &headers);
            }
            Some(Method::Invite | Method::Update) => self.refresh(tx, incoming, key, party),
            Some(Method::Info) => self.info(tx, incoming, key),
            Some(Method::Refer) => {
                self.note(key, "REFER was declined: the transfer stays at the trunk's side");
                self.answer(tx, incoming, 603);
            }
            Some(Method::Options) => self.answer_options(tx, incoming),
            _ => self.answer_not_allowed(tx, incoming),
        }
    }

    /// A re-INVITE or UPDATE: the last description again if nothing but the flow is new, else 488.
    fn refresh(&mut self, tx: TxId, incoming: &Incoming, key: u64, party: Party) {
        let Ok(offer) = incoming.sdp() else { return self.answer_unsupported(tx, incoming) };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.leg_mut(party) else { return };
        let is_invite = incoming.method() == Some(Method::Invite);
        let verb = if is_invite { "re-INVITE" } else { "UPDATE" };
        let is_same = match (offer, &leg.got_sdp) {
            (None, _) => true,
            (Some(offer), Some(got)) => sdp::audio(offer).is_some() && sdp::audio(offer) == sdp::audio(got),
            (Some(_), None) => false,
        };
        if !is_same {
            self.note(key, &format!("{verb} with another address, port, key or codec was refused"));
            return self.answer(tx, incoming, 488);
        }
        let last = leg.sent_sdp.clone();
        let body = match (offer, &last) {
            (Some(offer), Some(last)) => Some(sdp::again(last, offer)),
            (None, Some(last)) if is_invite => Some(last.clone()),
            _ => None,
        };
        let mut writer = incoming.seed.answer(200, None);
        writer.header("Contact", &leg.contact);
        writer.header("Allow", if leg.edge == Edge::Meta { ALLOW_META } else { ALLOW });
        if let Some(timer) = incoming.session_timer().filter(|_| leg.edge != Edge::Meta) {
            writer.header("Require", "timer").header("Session-Expires", &timer);
        }
        let packet = writer.finish_with(body.as_deref());
        if let Some(body) = body {
            leg.sent_sdp = Some(body);
        }
        if is_invite {
            let (to, seq) = (incoming.reply_to.clone(), incoming.cseq.number);
            leg.unacked = Some(unacked(&mut self.wire, key, party, packet.clone(), to, seq));
        }
        self.servers.answer(&mut self.wire, tx, 200, packet);
        self.note(key, &format!("{verb} was answered here"));
    }

    /// DTMF is for the media stream only: dropped with a note.
    fn info(&mut self, tx: TxId, incoming: &Incoming, key: u64) {
        let kind = incoming.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("application/dtmf") {
            self.note(key, "a DTMF digit by INFO was dropped: WhatsApp takes RFC 4733 only");
            return self.answer(tx, incoming, 200);
        }
        if incoming.request.body.is_empty() {
            return self.answer(tx, incoming, 200);
        }
        self.answer_with(tx, incoming, 415, &[("Accept", "application/dtmf-relay".to_owned())]);
    }

    fn note(&mut self, key: u64, text: &str) {
        if let Some(call) = self.calls.get(&key).filter(|call| !call.is_ended) {
            self.wire.event(&call.id, CallMoment::Noted(text.to_owned()));
        }
    }
}
