//! Server transactions: found by branch and sent-by, their machines' steps carried out; repetitions absorbed,
//! merged requests told apart.

use std::collections::HashMap;

use super::io::{Packet, To};
use super::request::Incoming;
use super::timers::TimerId;
use super::transaction::{Server, ServerState, Step};
use super::wire::{Due, Wire};

/// Names a server transaction.
pub type TxId = u64;

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

/// All server transactions.
#[derive(Default)]
pub struct Servers {
    list: HashMap<TxId, ServerTx>,
    index: HashMap<String, TxId>,
    merges: HashMap<String, TxId>,
    next: TxId,
    steps: Vec<Step>,
}

impl Servers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes a request.
    pub fn receive(&mut self, wire: &mut Wire, incoming: &Incoming) -> Receipt {
        let index = index_of(incoming, &incoming.request.verb);
        if let Some(tx) = self.index.get(&index).copied() {
            if let Some(server) = self.list.get_mut(&tx) {
                if incoming.request.verb == "ACK" {
                    if server.machine.state == ServerState::Accepted {
                        return Receipt::Ack;
                    }
                    server.machine.on_ack(&wire.values, &mut self.steps);
                } else {
                    server.machine.on_repetition(&mut self.steps);
                }
            }
            self.run(wire, tx);
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
        self.index.insert(index.clone(), tx);
        let to = incoming.reply_to.clone();
        let server = ServerTx { machine, to, last: None, index, merge, repeat: None, end: None, call: None };
        self.list.insert(tx, server);
        if is_merged { Receipt::Merged(tx) } else { Receipt::New(tx) }
    }

    /// Answers a request.
    pub fn answer(&mut self, wire: &mut Wire, tx: TxId, status: u16, packet: Packet) {
        let Some(server) = self.list.get_mut(&tx) else { return };
        wire.send(server.to.clone(), packet.clone());
        server.last = Some(packet);
        server.machine.on_answer(status, &wire.values, &mut self.steps);
        self.run(wire, tx);
    }

    /// Forgets a request that gets no answer.
    pub fn ignore(&mut self, wire: &mut Wire, tx: TxId) {
        self.remove(wire, tx);
    }

    /// Ties an INVITE to its call.
    pub fn belongs_to(&mut self, tx: TxId, call: u64) {
        if let Some(server) = self.list.get_mut(&tx) {
            server.call = Some(call);
        }
    }

    /// The INVITE that a CANCEL is for: its call (if any) and whether it is still without a final answer.
    pub fn cancelled(&self, cancel: &Incoming) -> Option<(Option<u64>, bool)> {
        let tx = self.index.get(&index_of(cancel, "INVITE"))?;
        let server = self.list.get(tx)?;
        Some((server.call, server.machine.state == ServerState::Proceeding))
    }

    /// The repetition is due.
    pub fn on_repeat(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(server) = self.list.get_mut(&tx) {
            server.repeat = None;
            server.machine.on_repeat(&wire.values, &mut self.steps);
        }
        self.run(wire, tx);
    }

    /// The deadline has come.
    pub fn on_end(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(server) = self.list.get_mut(&tx) {
            server.end = None;
            server.machine.on_end(&mut self.steps);
        }
        self.run(wire, tx);
    }

    fn run(&mut self, wire: &mut Wire, tx: TxId) {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            let Some(server) = self.list.get_mut(&tx) else { break };
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
                Step::Gone => self.remove(wire, tx),
                Step::Ack | Step::Deliver | Step::TimedOut => {}
            }
        }
        self.steps = steps;
    }

    fn remove(&mut self, wire: &mut Wire, tx: TxId) {
        if let Some(server) = self.list.remove(&tx) {
            wire.timers.disarm(server.repeat);
            wire.timers.disarm(server.end);
            self.index.remove(&server.index);
            if let Some(merge) = &server.merge {
                self.merges.remove(merge);
            }
        }
    }
}

/// §17.2.3: branch, sent-by and method; without the magic cookie what RFC 2543 has.
fn index_of(incoming: &Incoming, verb: &str) -> String {
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
