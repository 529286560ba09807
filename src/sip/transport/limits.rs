//! How many connections may be open: in all, and from one address. Strangers share half of the places, so
//! that a scanner with many addresses cannot keep Meta out. And how long a peer may keep one of them waiting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one address of a known network.
    pub per_source: usize,
    /// From one address of elsewhere.
    pub per_stranger: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 8192, per_source: 4096, per_stranger: 32 }
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
}

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
    pub fn enter(&self, source: IpAddr, stranger: bool) -> Option<Permit> {
        let source = place(source);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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

/// One customer of a provider has a whole /64 of IPv6.
fn place(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
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
        let admission = Admission::new(Limits { total: 10, per_source: 3, per_stranger: 1 });
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held: Vec<_> = (0..3).map(|_| admission.enter(one, false).unwrap()).collect();
        assert!(admission.enter(one, false).is_none());
        let stranger = admission.enter(other, true).unwrap();
        assert!(admission.enter(other, true).is_none());
        drop((held, stranger));
        assert!(admission.enter(one, false).is_some());
        assert!(admission.open.lock().unwrap().by_source.is_empty());
    }

    #[test]
    fn strangers_leave_half_of_the_places_to_others() {
        let admission = Admission::new(Limits { total: 4, per_source: 4, per_stranger: 4 });
        let _held: Vec<_> =
            (1..3).map(|n| admission.enter(IpAddr::from([192, 0, 2, n]), true).unwrap()).collect();
        assert!(admission.enter(address("192.0.2.9"), true).is_none());
        let meta = address("31.13.66.215");
        let _meta = (admission.enter(meta, false).unwrap(), admission.enter(meta, false).unwrap());
        assert!(admission.enter(meta, false).is_none(), "and no more than all");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let admission = Admission::new(Limits { total: 9, per_source: 9, per_stranger: 1 });
        let _held = admission.enter(address("2001:db8::1"), true).unwrap();
        assert!(admission.enter(address("2001:db8::ffff"), true).is_none());
        assert!(admission.enter(address("2001:db8:0:1::1"), true).is_some());
    }
}
