//! Where packets leave by: open connections, connections that are being dialled, and datagrams.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;

use crate::sip::core::{ConnId, Input, Link, Packet, Target, To, Transport};
use crate::sip::transport::{Addresses, Command, Datagrams, Dialler, Writer};

/// Packets that may wait for a connection that is being dialled.
const WAITING: usize = 1024;
/// Names of no trunk whose addresses are remembered.
const NAMES: usize = 256;

/// Every way out.
pub struct Outbox {
    writers: HashMap<ConnId, Writer>,
    dialled: HashMap<Target, Way>,
    dialler: Dialler,
    /// The socket toward the trunks.
    pub datagrams: Datagrams,
    addresses: watch::Receiver<Arc<Addresses>>,
    /// Addresses of names that are no configured target, as a Contact may hold them.
    names: HashMap<Target, SocketAddr>,
    failures: VecDeque<Input>,
}

/// The way to a target.
enum Way {
    /// Dialled, or its name is being asked for.
    Coming(Vec<Packet>),
    Open(ConnId),
}

impl Outbox {
    /// Nothing is open.
    pub fn new(dialler: Dialler, datagrams: Datagrams, addresses: watch::Receiver<Arc<Addresses>>) -> Self {
        Self {
            writers: HashMap::new(),
            dialled: HashMap::new(),
            dialler,
            datagrams,
            addresses,
            names: HashMap::new(),
            failures: VecDeque::new(),
        }
    }

    /// A connection is ready; what waited for it goes first.
    pub fn opened(&mut self, link: &Link, writer: Writer) {
        if let Some(target) = &link.dialled
            && let Some(Way::Coming(packets)) = self.dialled.insert(target.clone(), Way::Open(link.conn))
        {
            packets.into_iter().for_each(|packet| writer.tell(Command::Send(packet)));
        }
        self.writers.insert(link.conn, writer);
    }

    /// A connection is gone.
    pub fn closed(&mut self, conn: ConnId) {
        self.writers.remove(&conn);
        self.dialled.retain(|_, way| !matches!(way, Way::Open(open) if *open == conn));
    }

    /// A target could not be dialled; what waited for it is dropped, since the endpoint decides anew.
    pub fn failed(&mut self, target: &Target) {
        self.dialled.remove(target);
    }

    /// The name of a datagram's target was asked for; `Some` = there is no address.
    pub fn resolved(&mut self, target: Target, address: Option<SocketAddr>) -> Option<Input> {
        let waiting = self.dialled.remove(&target);
        let Some(address) = address else {
            return Some(Input::Unreachable { target, reason: "the name has no address".to_owned() });
        };
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        self.names.insert(target.clone(), address);
        if let Some(Way::Coming(packets)) = waiting {
            packets.iter().for_each(|packet| self.send_datagram(&target, address, packet));
        }
        None
    }

    /// Something that could not be sent, for the endpoint.
    pub fn failure(&mut self) -> Option<Input> {
        self.failures.pop_front()
    }

    /// Sends, or begins to.
    pub fn send(&mut self, to: To, packet: Packet) {
        match to {
            To::Conn(conn) => self.write(conn, packet),
            // An answer that is lost is asked for again.
            To::Datagram(address) => drop(self.datagrams.send(address, &packet)),
            To::Target(target) if target.transport == Transport::Udp => self.send_named(target, packet),
            To::Target(target) => match self.dialled.get_mut(&target) {
                Some(Way::Open(conn)) => {
                    let conn = *conn;
                    self.write(conn, packet);
                }
                Some(Way::Coming(packets)) => {
                    if packets.len() < WAITING {
                        packets.push(packet);
                    }
                }
                None => {
                    self.dialler.dial(target.clone());
                    self.dialled.insert(target, Way::Coming(vec![packet]));
                }
            },
        }
    }

    /// Closes a connection after what was sent before.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(writer) = self.writers.remove(&conn) {
            writer.tell(Command::Close);
        }
        self.closed(conn);
    }

    /// Closes everything.
    pub fn close_all(&mut self) {
        self.dialled.clear();
        self.writers.drain().for_each(|(_, writer)| writer.tell(Command::Close));
    }

    /// Whose address this is.
    pub fn trunk_of(&self, peer: SocketAddr) -> Option<usize> {
        self.addresses.borrow().trunk_of(peer)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.writers.len()
    }

    fn write(&self, conn: ConnId, packet: Packet) {
        if let Some(writer) = self.writers.get(&conn) {
            writer.tell(Command::Send(packet));
        }
    }

    fn send_named(&mut self, target: Target, packet: Packet) {
        let literal = target.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, target.port));
        let known = literal.or_else(|| self.addresses.borrow().of(&target));
        match known.or_else(|| self.names.get(&target).copied()) {
            Some(address) => self.send_datagram(&target, address, &packet),
            None => match self.dialled.get_mut(&target) {
                Some(Way::Coming(packets)) if packets.len() < WAITING => packets.push(packet),
                Some(_) => {}
                None => {
                    self.dialler.resolve(target.clone());
                    self.dialled.insert(target, Way::Coming(vec![packet]));
                }
            },
        }
    }

    fn send_datagram(&mut self, target: &Target, address: SocketAddr, packet: &Packet) {
        match self.datagrams.send(address, packet) {
            Ok(()) => {}
            // The system's buffer is full: lost as on any way, and repeated.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => self
                .failures
                .push_back(Input::Unreachable { target: target.clone(), reason: error.to_string() }),
        }
    }
}
