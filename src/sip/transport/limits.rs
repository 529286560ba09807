//! How many connections may be open: in all, and from one address. Strangers share half of the places, so
//! that a scanner with many addresses cannot keep Meta out. And how long a peer may keep one of them waiting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::sip::core::place;

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one address of a known network.
    pub per_source: usize,
    /// From one address of elsewhere.
    pub per_stranger: usize,
    /// That one address of elsewhere may begin in a minute: each costs a handshake.
    pub stranger_begins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 8192, per_source: 4096, per_stranger: 32, stranger_begins: 600 }
    }
}

/// How long peers may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a handshake, from the connection to its last byte.
    pub handshake: Duration,
    /// To accept what we write.
    pub write: Duration,
    /// One address of a target, to answer and to shake hands.
    pub address: Duration,
    /// All addresses of a target together.
    pub dial: Duration,
    /// Silence after which TCP itself asks whether the peer is there.
    pub keep_alive: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(15),
            address: Duration::from_secs(3),
            dial: Duration::from_secs(10),
            keep_alive: Duration::from_secs(45),
        }
    }
}

/// Counts the connections of a listener.
#[derive(Clone, Debug)]
pub struct Admission {
    limits: Limits,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    strangers: usize,
    by_source: HashMap<IpAddr, usize>,
    /// Connections that strangers began in a minute, and when it began.
    begun: HashMap<IpAddr, (u32, Instant)>,
}

const MINUTE: Duration = Duration::from_secs(60);
/// Strangers whose connections are counted at once.
const MOST_STRANGERS: usize = 10_000;

/// A place among the open connections, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Admission,
    source: IpAddr,
    stranger: bool,
}

impl Admission {
    /// Nothing is open yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// A place for a connection from `source`, if there is one left.
    pub fn enter(&self, source: IpAddr, stranger: bool, now: Instant) -> Option<Permit> {
        let source = place(source);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if stranger && open.begin(source, now) > self.limits.stranger_begins {
            return None;
        }
        let own = open.by_source.get(&source).copied().unwrap_or_default();
        let most = if stranger { self.limits.per_stranger } else { self.limits.per_source };
        let crowded = stranger && open.strangers >= self.limits.total / 2;
        if open.total >= self.limits.total || own >= most || crowded {
            return None;
        }
        open.total += 1;
        open.strangers += usize::from(stranger);
        open.by_source.insert(source, own + 1);
        Some(Permit { admission: self.clone(), source, stranger })
    }
}

impl Open {
    /// Counts one and tells how many there were in this minute.
    fn begin(&mut self, source: IpAddr, now: Instant) -> u32 {
        if self.begun.len() >= MOST_STRANGERS {
            self.begun.retain(|_, (_, since)| now - *since < MINUTE);
            if self.begun.len() >= MOST_STRANGERS {
                self.begun.clear();
            }
        }
        let (count, since) = self.begun.entry(source).or_insert((0, now));
        if now - *since >= MINUTE {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        *count
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        open.strangers = open.strangers.saturating_sub(usize::from(self.stranger));
        if let Some(own) = open.by_source.get_mut(&self.source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_its_share_and_gets_it_back() {
        let admission =
            Admission::new(Limits { total: 10, per_source: 3, per_stranger: 1, ..Limits::default() });
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held: Vec<_> = (0..3).map(|_| admission.enter(one, false, Instant::now()).unwrap()).collect();
        assert!(admission.enter(one, false, Instant::now()).is_none());
        let stranger = admission.enter(other, true, Instant::now()).unwrap();
        assert!(admission.enter(other, true, Instant::now()).is_none());
        drop((held, stranger));
        assert!(admission.enter(one, false, Instant::now()).is_some());
        assert!(admission.open.lock().unwrap().by_source.is_empty());
    }

    #[test]
    fn strangers_leave_half_of_the_places_to_others() {
        let admission =
            Admission::new(Limits { total: 4, per_source: 4, per_stranger: 4, ..Limits::default() });
        let _held: Vec<_> = (1..3)
            .map(|n| admission.enter(IpAddr::from([192, 0, 2, n]), true, Instant::now()).unwrap())
            .collect();
        assert!(admission.enter(address("192.0.2.9"), true, Instant::now()).is_none());
        let meta = address("31.13.66.215");
        let _meta = (
            admission.enter(meta, false, Instant::now()).unwrap(),
            admission.enter(meta, false, Instant::now()).unwrap(),
        );
        assert!(admission.enter(meta, false, Instant::now()).is_none(), "and no more than all");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let admission =
            Admission::new(Limits { total: 9, per_source: 9, per_stranger: 1, ..Limits::default() });
        let _held = admission.enter(address("2001:db8::1"), true, Instant::now()).unwrap();
        assert!(admission.enter(address("2001:db8::ffff"), true, Instant::now()).is_none());
        assert!(admission.enter(address("2001:db8:0:1::1"), true, Instant::now()).is_some());
    }

    #[test]
    fn a_stranger_begins_so_many_connections_a_minute_and_meta_as_many_as_it_likes() {
        let admission = Admission::new(Limits { stranger_begins: 3, ..Limits::default() });
        let (now, other) = (Instant::now(), address("192.0.2.2"));
        let entered = |stranger| (0..9).filter(|_| admission.enter(other, stranger, now).is_some()).count();
        assert_eq!((entered(true), entered(false)), (3, 9));
        assert!(admission.enter(other, true, now + MINUTE).is_some());
    }
}
