//! Client transactions: found by branch and method, their machines' steps carried out; CANCEL when it is
//! allowed, and other ways when a connection breaks.

use std::collections::HashMap;

use super::address::Address;
use super::io::{ConnId, Packet, Target, To, Transport};
use super::message::{CSeq, Response, Writer};
use super::reason;
use super::request::Source;
use super::timers::TimerId;
use super::transaction::{Client, ClientState, Step};
use super::via::Via;
use super::wire::{Due, Wire};

/// Names a client transaction.
pub type TxId = u64;

/// Whose a client transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The INVITE of a call to its callee.
    Call(u64),
    /// A ping of a trunk's target.
    Ping(usize, usize),
    /// An INVITE that nobody waits for any more: cancelled, and hung up if it is answered all the same.
    Stray,
    /// A BYE that may be challenged.
    Farewell,
    /// Nobody looks at the answer.
    Nobody,
}

/// The headers that a request of ours shares with its ACK and CANCEL.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Request-URI.
    pub uri: String,
    /// Our Via.
    pub via: String,
    /// Route set.
    pub routes: Vec<String>,
    /// Max-Forwards.
    pub max_forwards: u8,
    /// From with our tag.
    pub from: String,
    /// To.
    pub to: String,
    /// Call-ID.
    pub call_id: String,
    /// Number of the CSeq.
    pub seq: u32,
}

/// A request to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Its method.
    pub method: &'static str,
    /// Where to.
    pub to: To,
    /// Where to, if that connection breaks before the answer.
    pub fallback: Option<Target>,
    /// Over which transport.
    pub transport: Transport,
    /// Its shared headers.
    pub heads: Heads,
    /// All of it.
    pub packet: Packet,
    /// Whose it is.
    pub owner: Owner,
}

/// What the users of transactions are told.
#[derive(Debug)]
pub enum TxEvent {
    /// A response.
    Response {
        /// Whose.
        owner: Owner,
        /// To which INVITE or ping.
        tx: TxId,
        /// It.
        response: Response,
        /// From where.
        source: Source,
    },
    /// No answer came, or the request could not be delivered.
    Failed {
        /// Whose.
        owner: Owner,
        /// Which.
        tx: TxId,
        /// The transport's reason; `None` = silence.
        reason: Option<String>,
    },
}

#[derive(Debug)]
struct ClientTx {
    machine: Client,
    out: Outgoing,
    index: String,
    repeat: Option<TimerId>,
    end: Option<TimerId>,
    /// The tag of the 2xx that was taken, and its ACK, for when that 2xx comes again.
    ack: Option<(String, To, Packet)>,
    /// Q.850 cause of the CANCEL, once nobody waits for the answer any more.
    parting: Option<u8>,
    is_cancelled: bool,
    /// Whether the request went out again because its connection broke.
    was_resent: bool,
    /// The connection whose end it survived by that.
    is_safe_from: Option<ConnId>,
}

/// All client transactions.
#[derive(Default)]
pub struct Clients {
    list: HashMap<TxId, ClientTx>,
    index: HashMap<String, TxId>,
    next: TxId,
    steps: Vec<Step>,
}

impl Heads {
    /// Begins the request with these headers.
    pub fn writer(&self, method: &str) -> Writer {
        let mut writer = Writer::request(method, &self.uri);
        writer
            .header("Via", &self.via)
            .header("Max-Forwards", &self.max_forwards.to_string())
            .headers("Route", self.routes.iter().map(String::as_str))
            .header("From", &self.from)
            .header("To", &self.to)
            .header("Call-ID", &self.call_id)
            .header("CSeq", &format!("{} {method}", self.seq));
        writer
    }
}

impl Clients {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Sends a request.
    pub fn start(&mut self, wire: &mut Wire, out: Outgoing) -> TxId {
        self.next += 1;
        let tx = self.next;
        let branch = Via::parse(&out.heads.via).map(|via| via.branch).unwrap_or_default();
        let index = format!("{branch} {}", out.method);
        let is_invite = out.method == "INVITE";
        let mut steps = std::mem::take(&mut self.steps);
        let machine = Client::start(is_invite, out.transport.is_reliable(), &wire.values, &mut steps);
        wire.send(out.to.clone(), out.packet.clone());
        self.index.insert(index.clone(), tx);
        let client = ClientTx {
            machine,
            out,
            index,
            repeat: None,
            end: None,
            ack: None,
            parting: None,
            is_cancelled: false,
            was_resent: false,
            is_safe_from: None,
        };
        self.list.insert(tx, client);
        self.steps = steps;
        self.run(wire, tx, None, &mut Vec::new());
        tx
    }

    /// Takes a response; what nobody asked for is dropped.
    pub fn on_response(
        &mut self,
        wire: &mut Wire,
        response: Response,
        source: &Source,
        events: &mut Vec<TxEvent>,
    ) {
        // §18.1.2: one Via, ours.
        let branch = response.headers.get("Via").and_then(Via::parse).map(|via| via.branch);
        if response.headers.all("Via").nth(1).is_some() {
            return;
        }
        let verb = response.headers.get("CSeq").and_then(CSeq::parse).map(|cseq| cseq.verb);
        let (Some(branch), Some(verb)) = (branch, verb) else { return };
        let Some(tx) = self.index.get(&format!("{branch} {verb}")).copied() else { return };
        let Some(client) = self.list.get_mut(&tx) else { return };
        client.machine.on_response(response.status, &wire.values, &mut self.steps);
        self.run(wire, tx, Some((response, source)), events);
    }

    /// Remembers the ACK of the 2xx with this To tag.
    pub fn acked(&mut self, tx: TxId, tag: &str, to: To, packet: Packet) {
        if let Some(client) = self.list.get_mut(&tx) {
            client.ack = Some((tag.to_owned(), to, packet));
        }
    }

    /// Nobody waits for this INVITE any more: CANCEL as soon as that is allowed (§9.1). Until then it is repeated
    /// over UDP as before: its first answers may have been lost while it rings.
    pub fn abandon(&mut self, wire: &mut Wire, tx: TxId, cause: u8) {
        let Some(client) = self.list.get_mut(&tx) else { return };
        client.out.owner = Owner::Stray;
        client.parting = Some(cause);
        if client.machine.state == ClientState::Proceeding {
            self.cancel(wire, tx);
        }
    }

    /// The headers of an INVITE that nobody waits for any more, and why.
    pub fn abandoned(&self, tx: TxId) -> Option<(&Heads, u8)> {
        // The second branch of a fork was never asked to stop.
        self.list.get(&tx).map(|client| (&client.out.heads, client.parting.unwrap_or(16)))
    }

    /// A connection to a target failed, or its UDP address is unreachable: what was not heard of there fails.
    pub fn unreachable(&mut self, wire: &mut Wire, target: &Target, reason: &str, events: &mut Vec<TxEvent>) {
        let to = To::Target(target.clone());
        let is_connection = target.transport.is_reliable();
        self.fail_where(wire, events, Some(reason), |client| {
            client.out.to == to && (is_connection || client.machine.state == ClientState::Calling)
        });
    }

    /// A connection is gone: what waits for an answer over it goes the other way, or fails.
    pub fn closed(
        &mut self,
        wire: &mut Wire,
        conn: ConnId,
        dialled: Option<&Target>,
        events: &mut Vec<TxEvent>,
    ) {
        let dialled = dialled.map(|target| To::Target(target.clone()));
        let is_hit = |client: &ClientTx| {
            client.out.to == To::Conn(conn) || dialled.as_ref().is_some_and(|to| *to == client.out.to)
        };
        for client in self.list.values_mut().filter(|client| client.is_waiting() && is_hit(client)) {
            // What nobody answered may never have been read: it goes out once more, over a new connection.
            let is_unheard = client.machine.state == ClientState::Calling && !client.was_resent;
            let way = match &client.out.to {
                To::Conn(_) => client.out.fallback.take().map(To::Target),
                to => is_unheard.then(|| to.clone()),
            };
            if let Some(way) = way {
                client.was_resent = true;
                client.out.to = way.clone();
                wire.send(way, client.out.packet.clone());
                client.is_safe_from = Some(conn);
            }
        }
        self.fail_where(wire, events, Some("the connection was closed"), |client| {
            is_hit(client) && client.is_safe_from != Some(conn)
        });
    }

    /// The repetition is due.
    pub fn on_repeat(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(client) = self.list.get_mut(&tx) {
            client.repeat = None;
            client.machine.on_repeat(&wire.values, &mut self.steps);
        }
        self.run(wire, tx, None, &mut Vec::new());
    }

    /// The deadline has come.
    pub fn on_end(&mut self, wire: &mut Wire, tx: TxId, events: &mut Vec<TxEvent>) {
        if let Some(client) = self.list.get_mut(&tx) {
            client.end = None;
            match client.out.fallback.take().filter(|_| client.is_waiting()) {
                // The connection is open, and nobody is behind it: the other way is tried.
                Some(target) => {
                    client.out.to = To::Target(target);
                    wire.send(client.out.to.clone(), client.out.packet.clone());
                    let (is_invite, is_reliable) =
                        (client.out.method == "INVITE", client.out.transport.is_reliable());
                    client.machine = Client::start(is_invite, is_reliable, &wire.values, &mut self.steps);
                }
                None => client.machine.on_end(&mut self.steps),
            }
        }
        self.run(wire, tx, None, events);
    }

    fn run(
        &mut self,
        wire: &mut Wire,
        tx: TxId,
        mut response: Option<(Response, &Source)>,
        events: &mut Vec<TxEvent>,
    ) {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            let Some(client) = self.list.get_mut(&tx) else { break };
            match step {
                Step::Repeat => wire.send(client.out.to.clone(), client.out.packet.clone()),
                Step::Ack => {
                    if let Some((response, _)) = &response {
                        let packet = client.ack_of_failure(response);
                        wire.send(client.out.to.clone(), packet);
                    }
                }
                Step::Deliver => {
                    if let Some((response, source)) = response.take() {
                        self.deliver(wire, tx, response, source, events);
                    }
                }
                Step::RepeatIn(wait) => {
                    wire.timers.disarm(client.repeat.take());
                    client.repeat = Some(wire.arm(wait, Due::ClientRepeat(tx)));
                }
                Step::Quiet => wire.timers.disarm(client.repeat.take()),
                Step::EndIn(wait) => {
                    wire.timers.disarm(client.end.take());
                    client.end = Some(wire.arm(wait, Due::ClientEnd(tx)));
                }
                Step::NoEnd => wire.timers.disarm(client.end.take()),
                Step::TimedOut => {
                    events.push(TxEvent::Failed { owner: client.out.owner, tx, reason: None });
                }
                Step::Gone => self.remove(wire, tx),
            }
        }
        self.steps = steps;
    }

    fn deliver(
        &mut self,
        wire: &mut Wire,
        tx: TxId,
        response: Response,
        source: &Source,
        events: &mut Vec<TxEvent>,
    ) {
        let Some(client) = self.list.get_mut(&tx) else { return };
        let mut owner = client.out.owner;
        if client.out.method == "INVITE" && (200..300).contains(&response.status) {
            let tag = response.headers.get("To").and_then(Address::parse);
            let tag = tag.as_ref().and_then(Address::tag).unwrap_or_default();
            match &client.ack {
                // The same 2xx again: its ACK was lost (§13.2.2.4).
                Some((acked, to, packet)) if acked == tag => return wire.send(to.clone(), packet.clone()),
                // Another branch of a fork: it is hung up.
                Some(_) => owner = Owner::Stray,
                None => {}
            }
        }
        if response.status < 200 && client.parting.is_some() && !client.is_cancelled {
            self.cancel(wire, tx);
        }
        if owner != Owner::Nobody {
            events.push(TxEvent::Response { owner, tx, response, source: source.clone() });
        }
    }

    fn cancel(&mut self, wire: &mut Wire, tx: TxId) {
        let Some(client) = self.list.get_mut(&tx) else { return };
        client.is_cancelled = true;
        // §9.1: a server of RFC 2543 would not answer the INVITE any more.
        wire.timers.disarm(client.end.take());
        client.end = Some(wire.arm(wire.values.patience(), Due::ClientEnd(tx)));
        let heads = client.out.heads.clone();
        let mut writer = heads.writer("CANCEL");
        writer.header("Reason", &reason::header(client.parting.unwrap_or(16)));
        let out = Outgoing {
            method: "CANCEL",
            to: client.out.to.clone(),
            fallback: None,
            transport: client.out.transport,
            heads,
            packet: writer.finish(),
            owner: Owner::Nobody,
        };
        // The caller may be amid the steps of the INVITE.
        let steps = std::mem::take(&mut self.steps);
        self.start(wire, out);
        self.steps = steps;
    }

    fn fail_where(
        &mut self,
        wire: &mut Wire,
        events: &mut Vec<TxEvent>,
        reason: Option<&str>,
        is_hit: impl Fn(&ClientTx) -> bool,
    ) {
        let mut hit: Vec<TxId> = self
            .list
            .iter()
            .filter(|(_, client)| client.is_waiting() && is_hit(client))
            .map(|(tx, _)| *tx)
            .collect();
        hit.sort_unstable();
        for tx in hit {
            if let Some(client) = self.list.get(&tx) {
                let owner = client.out.owner;
                events.push(TxEvent::Failed { owner, tx, reason: reason.map(str::to_owned) });
            }
            self.remove(wire, tx);
        }
    }

    fn remove(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(client) = self.list.remove(&tx) {
            wire.timers.disarm(client.repeat);
            wire.timers.disarm(client.end);
            self.index.remove(&client.index);
        }
    }
}

impl ClientTx {
    fn is_waiting(&self) -> bool {
        matches!(self.machine.state, ClientState::Calling | ClientState::Proceeding)
    }

    /// §17.1.1.3: everything of the INVITE, but To of the response.
    fn ack_of_failure(&self, response: &Response) -> Packet {
        let mut heads = self.out.heads.clone();
        if let Some(to) = response.headers.get("To") {
            to.clone_into(&mut heads.to);
        }
        heads.writer("ACK").finish()
    }
}
