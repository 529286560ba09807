//! All transactions: found by branch, their machines' steps carried out.

use std::collections::HashMap;

use super::address::Address;
use super::io::{ConnId, Packet, Target, To, Transport};
use super::message::{CSeq, Response, Writer};
use super::request::{Incoming, Seed, Source};
use super::timers::TimerId;
use super::transaction::{Client, ClientState, Server, ServerState, Step};
use super::via::Via;
use super::wire::{Due, Wire};

/// Names a transaction.
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

/// What a received request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// A new one: answer it.
    New(TxId),
    /// The same INVITE by another way (§8.2.2.2): 482.
    Merged(TxId),
    /// An ACK of no failure: of a 2xx, or of nothing.
    Ack,
    /// A repetition, or an ACK of a failure; done.
    Absorbed,
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
    cancel_when_heard: Option<String>,
}

#[derive(Debug)]
struct ServerTx {
    machine: Server,
    to: To,
    last: Option<Packet>,
    index: String,
    merge: Option<String>,
    repeat: Option<TimerId>,
    end: Option<TimerId>,
    call: Option<u64>,
}

/// The table.
#[derive(Default)]
pub struct Transactions {
    clients: HashMap<TxId, ClientTx>,
    client_index: HashMap<String, TxId>,
    servers: HashMap<TxId, ServerTx>,
    server_index: HashMap<String, TxId>,
    merges: HashMap<String, TxId>,
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

impl Transactions {
    /// How many client and server transactions there are.
    pub fn len(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
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
        self.client_index.insert(index.clone(), tx);
        let client =
            ClientTx { machine, out, index, repeat: None, end: None, ack: None, cancel_when_heard: None };
        self.clients.insert(tx, client);
        self.steps = steps;
        self.run_client(wire, tx, None, &mut Vec::new());
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
        let Some(tx) = self.client_index.get(&format!("{branch} {verb}")).copied() else { return };
        let Some(client) = self.clients.get_mut(&tx) else { return };
        client.machine.on_response(response.status, &wire.values, &mut self.steps);
        self.run_client(wire, tx, Some((response, source)), events);
    }

    /// Remembers the ACK of the 2xx with this To tag.
    pub fn acked(&mut self, tx: TxId, tag: &str, to: To, packet: Packet) {
        if let Some(client) = self.clients.get_mut(&tx) {
            client.ack = Some((tag.to_owned(), to, packet));
        }
    }

    /// Nobody waits for this INVITE any more: CANCEL as soon as that is allowed (§9.1).
    pub fn abandon(&mut self, wire: &mut Wire, tx: TxId, reason: &str) {
        let Some(client) = self.clients.get_mut(&tx) else { return };
        client.out.owner = Owner::Stray;
        match client.machine.state {
            ClientState::Calling => client.cancel_when_heard = Some(reason.to_owned()),
            ClientState::Proceeding => self.cancel(wire, tx, reason),
            ClientState::Completed | ClientState::Accepted => {}
        }
    }

    /// A connection to a target failed, or its UDP address is unreachable.
    pub fn unreachable(&mut self, wire: &mut Wire, target: &Target, reason: &str, events: &mut Vec<TxEvent>) {
        let to = To::Target(target.clone());
        self.fail_where(wire, events, Some(reason), |client| client.out.to == to);
    }

    /// A connection is gone: what waits for an answer over it goes the other way, or fails.
    pub fn closed(
        &mut self,
        wire: &mut Wire,
        conn: ConnId,
        dialled: Option<&Target>,
        events: &mut Vec<TxEvent>,
    ) {
        for client in self.clients.values_mut().filter(|client| client.is_waiting()) {
            if client.out.to == To::Conn(conn)
                && let Some(target) = client.out.fallback.take()
            {
                client.out.to = To::Target(target);
                wire.send(client.out.to.clone(), client.out.packet.clone());
            }
        }
        let dialled = dialled.map(|target| To::Target(target.clone()));
        let is_lost = |client: &ClientTx| {
            client.out.to == To::Conn(conn)
                || (client.machine.state == ClientState::Proceeding
                    && dialled.as_ref() == Some(&client.out.to))
        };
        self.fail_where(wire, events, Some("the connection was closed"), is_lost);
    }

    /// Takes a request.
    pub fn receive(&mut self, wire: &mut Wire, incoming: &Incoming) -> Receipt {
        let index = server_index(incoming, &incoming.request.verb);
        if let Some(tx) = self.server_index.get(&index).copied() {
            if let Some(server) = self.servers.get_mut(&tx) {
                if incoming.request.verb == "ACK" {
                    if server.machine.state == ServerState::Accepted {
                        return Receipt::Ack;
                    }
                    server.machine.on_ack(&wire.values, &mut self.steps);
                } else {
                    server.machine.on_repetition(&mut self.steps);
                }
            }
            self.run_server(wire, tx);
            return Receipt::Absorbed;
        }
        if incoming.request.verb == "ACK" {
            return Receipt::Ack;
        }
        self.next += 1;
        let tx = self.next;
        let is_invite = incoming.request.verb == "INVITE";
        let machine = Server::start(is_invite, incoming.source.transport.is_reliable(), &wire.values);
        let merge = (is_invite && incoming.to.tag().is_none()).then(|| merge_key(incoming));
        let is_merged = merge.as_ref().is_some_and(|key| self.merges.contains_key(key));
        let merge = merge.filter(|_| !is_merged);
        if let Some(key) = &merge {
            self.merges.insert(key.clone(), tx);
        }
        self.server_index.insert(index.clone(), tx);
        let to = incoming.reply_to.clone();
        let server = ServerTx { machine, to, last: None, index, merge, repeat: None, end: None, call: None };
        self.servers.insert(tx, server);
        if is_merged { Receipt::Merged(tx) } else { Receipt::New(tx) }
    }

    /// Answers a request.
    pub fn answer(&mut self, wire: &mut Wire, tx: TxId, status: u16, packet: Packet) {
        let Some(server) = self.servers.get_mut(&tx) else { return };
        wire.send(server.to.clone(), packet.clone());
        server.last = Some(packet);
        server.machine.on_answer(status, &wire.values, &mut self.steps);
        self.run_server(wire, tx);
    }

    /// Answers with nothing but a status.
    pub fn answer_plain(&mut self, wire: &mut Wire, tx: TxId, seed: &Seed, status: u16, has_tag: bool) {
        let tag = (status != 100 && !has_tag).then(|| wire.token());
        self.answer(wire, tx, status, seed.answer(status, tag.as_deref()).finish());
    }

    /// Forgets a request that gets no answer.
    pub fn ignore(&mut self, wire: &mut Wire, tx: TxId) {
        self.remove_server(wire, tx);
    }

    /// Ties an INVITE to its call.
    pub fn belongs_to(&mut self, tx: TxId, call: u64) {
        if let Some(server) = self.servers.get_mut(&tx) {
            server.call = Some(call);
        }
    }

    /// The INVITE that a CANCEL is for: its call (if any) and whether it is still without a final answer.
    pub fn cancelled(&self, cancel: &Incoming) -> Option<(Option<u64>, bool)> {
        let tx = self.server_index.get(&server_index(cancel, "INVITE"))?;
        let server = self.servers.get(tx)?;
        Some((server.call, server.machine.state == ServerState::Proceeding))
    }

    /// A timer of a transaction has gone off.
    pub fn on_due(&mut self, wire: &mut Wire, due: Due, events: &mut Vec<TxEvent>) {
        match due {
            Due::ClientRepeat(tx) | Due::ClientEnd(tx) => {
                if let Some(client) = self.clients.get_mut(&tx) {
                    if due == Due::ClientRepeat(tx) {
                        client.repeat = None;
                        client.machine.on_repeat(&wire.values, &mut self.steps);
                    } else {
                        client.end = None;
                        client.machine.on_end(&mut self.steps);
                    }
                }
                self.run_client(wire, tx, None, events);
            }
            Due::ServerRepeat(tx) | Due::ServerEnd(tx) => {
                if let Some(server) = self.servers.get_mut(&tx) {
                    if due == Due::ServerRepeat(tx) {
                        server.repeat = None;
                        server.machine.on_repeat(&wire.values, &mut self.steps);
                    } else {
                        server.end = None;
                        server.machine.on_end(&mut self.steps);
                    }
                }
                self.run_server(wire, tx);
            }
            _ => {}
        }
    }

    fn run_client(
        &mut self,
        wire: &mut Wire,
        tx: TxId,
        mut response: Option<(Response, &Source)>,
        events: &mut Vec<TxEvent>,
    ) {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            let Some(client) = self.clients.get_mut(&tx) else { break };
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
                Step::Gone => self.remove_client(wire, tx),
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
        let Some(client) = self.clients.get_mut(&tx) else { return };
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
        if response.status < 200
            && let Some(reason) = client.cancel_when_heard.take()
        {
            self.cancel(wire, tx, &reason);
        }
        if owner != Owner::Nobody {
            events.push(TxEvent::Response { owner, tx, response, source: source.clone() });
        }
    }

    fn cancel(&mut self, wire: &mut Wire, tx: TxId, reason: &str) {
        let Some(client) = self.clients.get_mut(&tx) else { return };
        // §9.1: a server of RFC 2543 would not answer the INVITE any more.
        wire.timers.disarm(client.end.take());
        client.end = Some(wire.arm(wire.values.patience(), Due::ClientEnd(tx)));
        let heads = client.out.heads.clone();
        let mut writer = heads.writer("CANCEL");
        writer.header("Reason", reason);
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
            .clients
            .iter()
            .filter(|(_, client)| client.is_waiting() && is_hit(client))
            .map(|(tx, _)| *tx)
            .collect();
        hit.sort_unstable();
        for tx in hit {
            if let Some(client) = self.clients.get(&tx) {
                let owner = client.out.owner;
                events.push(TxEvent::Failed { owner, tx, reason: reason.map(str::to_owned) });
            }
            self.remove_client(wire, tx);
        }
    }

    fn remove_client(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(client) = self.clients.remove(&tx) {
            wire.timers.disarm(client.repeat);
            wire.timers.disarm(client.end);
            self.client_index.remove(&client.index);
        }
    }

    fn run_server(&mut self, wire: &mut Wire, tx: TxId) {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            let Some(server) = self.servers.get_mut(&tx) else { break };
            match step {
                Step::Repeat => {
                    if let Some(last) = &server.last {
                        wire.send(server.to.clone(), last.clone());
                    }
                }
                Step::RepeatIn(wait) => {
                    wire.timers.disarm(server.repeat.take());
                    server.repeat = Some(wire.arm(wait, Due::ServerRepeat(tx)));
                }
                Step::Quiet => wire.timers.disarm(server.repeat.take()),
                Step::EndIn(wait) => {
                    wire.timers.disarm(server.end.take());
                    server.end = Some(wire.arm(wait, Due::ServerEnd(tx)));
                }
                Step::NoEnd => wire.timers.disarm(server.end.take()),
                Step::Gone => self.remove_server(wire, tx),
                Step::Ack | Step::Deliver | Step::TimedOut => {}
            }
        }
        self.steps = steps;
    }

    fn remove_server(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(server) = self.servers.remove(&tx) {
            wire.timers.disarm(server.repeat);
            wire.timers.disarm(server.end);
            self.server_index.remove(&server.index);
            if let Some(merge) = &server.merge {
                self.merges.remove(merge);
            }
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

/// §17.2.3: branch, sent-by and method; without the magic cookie what RFC 2543 has.
fn server_index(incoming: &Incoming, verb: &str) -> String {
    let via = &incoming.via;
    let verb = if verb == "ACK" { "INVITE" } else { verb };
    let port = via.port.unwrap_or(0);
    if via.branch.len() > 7 && via.branch.get(..7).is_some_and(|magic| magic.eq_ignore_ascii_case("z9hG4bK"))
    {
        return format!("{} {}:{port} {verb}", via.branch, via.host);
    }
    let tag = incoming.from.tag().unwrap_or_default();
    let (call_id, seq, uri) = (&incoming.call_id, incoming.cseq.number, &incoming.request.uri);
    format!("{call_id} {tag} {seq} {uri} {}:{port} {verb}", via.host)
}

fn merge_key(incoming: &Incoming) -> String {
    format!("{} {} {}", incoming.call_id, incoming.from.tag().unwrap_or_default(), incoming.cseq.number)
}
