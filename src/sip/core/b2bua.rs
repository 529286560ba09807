//! Calls: two legs and what joins them. A file for each idea: how a call comes in from WhatsApp or from a
//! trunk, how the other side is called, what happens within the dialogs, how it ends.

mod begin;
mod callee;
mod farewell;
mod hangup;
mod inbound;
mod indialog;
mod outbound;
mod verdicts;

use std::collections::VecDeque;
use std::sync::Arc;

use super::address::Address;
use super::credentials::Tries;
use super::io::{Target, Transport};
use super::leg::{Edge, Leg, LegState};
use super::request::{Incoming, Seed};
use super::servers::TxId;
use super::settings::EndpointConfig;
use super::timers::TimerId;
use super::wire::Wire;
use crate::domain::call::{Arrival, CallPeer, CallProof, CallRoute, ContactReport};
use crate::domain::{CallId, Direction, Wacid};

pub use farewell::Farewell;

/// Which side of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// Who called.
    Caller,
    /// Who is called.
    Callee,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The permission is asked for.
    Asking,
    /// The callee is being called.
    Calling,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
}

/// A call.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    direction: Direction,
    route: Arc<CallRoute>,
    trunk: usize,
    peer: CallPeer,
    wacid: Option<Wacid>,
    payload: Option<String>,
    /// Who talks at the trunk's side, as its INVITE told.
    agent: Option<String>,
    stage: Stage,
    /// `Ended` was told; what is left is to wait for an ACK before the BYE.
    is_ended: bool,
    caller: Leg,
    callee: Option<Leg>,
    /// The caller's INVITE, its number, and where its answers go.
    invite: TxId,
    invite_seq: u32,
    reply_to: super::io::To,
    seed: Seed,
    /// Session timer that the caller's 200 grants; toward trunks only.
    session_timer: Option<String>,
    max_forwards: u8,
    attempt: Attempt,
    /// The ring limit, then the longest call.
    limit: Option<TimerId>,
    /// The answer about the permission.
    asking: Option<TimerId>,
    /// Q.850 cause of the BYE that waits for the caller's ACK.
    parting: u8,
}

/// How the callee is being reached.
#[derive(Debug, Default)]
struct Attempt {
    left: VecDeque<Target>,
    target: Option<Target>,
    tx: Option<TxId>,
    deadline: Option<TimerId>,
    tries: Tries,
    /// Whether "SDP Validation Error" was answered by another try.
    has_retried: bool,
}

/// What a new call is made of.
struct NewCall {
    direction: Direction,
    route: Arc<CallRoute>,
    trunk: usize,
    peer: CallPeer,
    wacid: Option<Wacid>,
    payload: Option<String>,
    agent: Option<String>,
    offer: String,
    proof: CallProof,
}

impl Call {
    /// The text that marks its leg at the trunk.
    pub fn mark(&self) -> &str {
        self.wacid.as_ref().map_or(self.id.as_str(), Wacid::as_str)
    }

    /// The dialogs it has.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.caller).chain(&self.callee)
    }

    /// One of them.
    pub fn leg(&self, party: Party) -> Option<&Leg> {
        match party {
            Party::Caller => Some(&self.caller),
            Party::Callee => self.callee.as_ref(),
        }
    }

    fn leg_mut(&mut self, party: Party) -> Option<&mut Leg> {
        match party {
            Party::Caller => Some(&mut self.caller),
            Party::Callee => self.callee.as_mut(),
        }
    }
}

/// The caller's leg, from its INVITE.
fn caller_leg(
    config: &EndpointConfig,
    wire: &mut Wire,
    incoming: &Incoming,
    edge: Edge,
    user: &str,
) -> Option<Leg> {
    let headers = &incoming.request.headers;
    let local_tag = wire.token();
    let transport = incoming.source.transport;
    Some(Leg {
        edge,
        transport,
        call_id: incoming.call_id.clone(),
        remote_tag: incoming.from.tag().map(str::to_owned),
        local: format!("{};tag={local_tag}", headers.get("To")?),
        local_tag,
        remote: headers.get("From")?.to_owned(),
        local_seq: 0,
        remote_seq: Some(incoming.cseq.number),
        routes: headers.all("Record-Route").flat_map(super::address::split_list).map(str::to_owned).collect(),
        // RFC 2543 lets an INVITE go without a Contact; its sender is at its From (RFC 4475 §3.4.1).
        target: super::leg::contact(headers).or_else(|| uri_of(&incoming.from))?,
        contact: contact(config, edge, transport, user),
        conn: incoming.source.conn,
        state: LegState::Open,
        sent_sdp: None,
        got_sdp: None,
        unacked: None,
    })
}

fn uri_of(address: &Address) -> Option<String> {
    address.parsed().ok().map(|_| address.uri.clone())
}

/// Our Contact toward a side.
fn contact(config: &EndpointConfig, edge: Edge, transport: Transport, user: &str) -> String {
    match (edge, transport) {
        (Edge::Meta, _) | (_, Transport::Tls) => {
            format!("<sip:{user}@{}:{};transport=tls>", config.hostname, config.tls_port)
        }
        (Edge::Trunk(_), Transport::Tcp) => format!("<sip:{user}@{};transport=tcp>", config.trunk_advertised),
        (Edge::Trunk(_), Transport::Udp) => format!("<sip:{user}@{}>", config.trunk_advertised),
    }
}

/// Our Via toward a side, with a new branch.
pub(super) fn via(config: &EndpointConfig, wire: &mut Wire, edge: Edge, transport: Transport) -> String {
    let branch = wire.branch();
    let name = transport.via_name();
    match (edge, transport) {
        (Edge::Meta, _) | (_, Transport::Tls) => {
            format!("SIP/2.0/{name} {}:{};branch={branch};rport;alias", config.hostname, config.tls_port)
        }
        _ => format!("SIP/2.0/{name} {};branch={branch};rport", config.trunk_advertised),
    }
}

/// The head of a call's record.
fn arrival(new: &NewCall, trunk: &str, incoming: &Incoming, report: ContactReport) -> Box<Arrival> {
    Box::new(Arrival {
        direction: new.direction,
        phone: Some(new.route.phone.clone()),
        peer: new.peer.clone(),
        wacid: new.wacid.clone(),
        sip_call_id: incoming.call_id.clone(),
        trunk: Some(trunk.to_owned()),
        payload: new.payload.clone(),
        report,
    })
}
