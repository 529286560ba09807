//! How often a door may be tried in vain: a name from one place, all names from one place, and a name from anywhere.
//!
//! A stranger shuts the door for himself first. The last count stops those who try one name from many places; from
//! where somebody of that name has come in lately it does not hold, so that no stranger keeps people out of their own
//! office.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};

const SPAN: TimeDelta = TimeDelta::minutes(10);
/// Tries in vain in [`SPAN`]: one person mistypes, one address may be an office, one name is tried from everywhere.
const FOR_A_PERSON: usize = 8;
const FOR_A_SOURCE: usize = 24;
const FOR_A_NAME: usize = 100;
/// Keys that are remembered. With more, the oldest is forgotten: somebody tries from everywhere, and a door that
/// nobody can use is no better than one that is tried often.
const MOST: usize = 20_000;
/// Places from where people have come in, that are remembered until the bridge is started again.
const HOMES: usize = 1000;

/// What is counted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Door {
    Person(String, String),
    Source(String),
    Name(String),
}

impl Door {
    fn most(&self) -> usize {
        match self {
            Self::Person(..) => FOR_A_PERSON,
            Self::Source(_) => FOR_A_SOURCE,
            Self::Name(_) => FOR_A_NAME,
        }
    }
}

/// Tries that failed.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    tries: HashMap<Door, VecDeque<DateTime<Utc>>>,
    homes: VecDeque<(String, String)>,
}

impl Throttle {
    /// Counts a try of a name from a source. `false`: it is not even looked at.
    pub(super) fn admit(&mut self, source: &str, name: &str, now: DateTime<Utc>) -> bool {
        self.sweep(now);
        let doors = self.doors(source, name);
        if doors.iter().any(|door| self.tries.get(door).is_some_and(|tries| tries.len() >= door.most())) {
            return false;
        }
        while self.tries.len() + doors.len() > MOST {
            let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.back().copied());
            let Some(oldest) = oldest.map(|(door, _)| door.clone()) else { break };
            self.tries.remove(&oldest);
        }
        for door in doors {
            self.tries.entry(door).or_default().push_back(now);
        }
        true
    }

    /// The try was good: this person is free again, and neither source nor name has been tried in vain.
    pub(super) fn succeeded(&mut self, source: &str, name: &str) {
        for door in self.doors(source, name) {
            match door {
                Door::Person(..) => drop(self.tries.remove(&door)),
                door => drop(self.tries.get_mut(&door).and_then(VecDeque::pop_back)),
            }
        }
        let home = (place(source), name.to_owned());
        if !self.homes.contains(&home) {
            self.homes.truncate(HOMES - 1);
            self.homes.push_front(home);
        }
    }

    fn doors(&self, source: &str, name: &str) -> Vec<Door> {
        let person = (place(source), name.to_owned());
        let at_home = self.homes.contains(&person);
        let (place, name) = person;
        let mut doors = vec![Door::Person(place.clone(), name.clone()), Door::Source(place)];
        if !at_home {
            doors.push(Door::Name(name));
        }
        doors
    }

    fn sweep(&mut self, now: DateTime<Utc>) {
        self.tries.retain(|_, tries| {
            while tries.front().is_some_and(|first| now - *first >= SPAN) {
                tries.pop_front();
            }
            !tries.is_empty()
        });
    }
}

/// One place: an address, or the /64 of an IPv6 address, of which one subscriber has all.
fn place(source: &str) -> String {
    match source.parse() {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
        _ => source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_person_mistypes_a_few_times() {
        let mut throttle = Throttle::default();
        assert!((0..FOR_A_PERSON).all(|_| throttle.admit("10.0.0.1", "ann", now())));
        assert!(!throttle.admit("10.0.0.1", "ann", now()));
        assert!(throttle.admit("10.0.0.1", "bob", now()), "another name is another door");
        assert!(throttle.admit("10.0.0.2", "ann", now()), "a stranger keeps nobody else out");
        assert!(throttle.admit("10.0.0.1", "ann", now() + SPAN));
    }

    #[test]
    fn a_name_is_tried_from_many_places_only_so_long_and_people_still_come_in_from_theirs() {
        let mut throttle = Throttle::default();
        throttle.admit("10.0.0.1", "ann", now());
        throttle.succeeded("10.0.0.1", "ann");
        assert!((0..FOR_A_NAME).all(|n| throttle.admit(&format!("192.0.2.{n}"), "ann", now())));
        assert!(!throttle.admit("198.51.100.1", "ann", now()));
        assert!(throttle.admit("10.0.0.1", "ann", now()), "from here she came in before");
    }

    #[test]
    fn addresses_of_one_subscriber_are_one_place() {
        let mut throttle = Throttle::default();
        assert!((0..FOR_A_PERSON).all(|n| throttle.admit(&format!("2001:db8:1:2::{n}"), "ann", now())));
        assert!(!throttle.admit("2001:db8:1:2:3::1", "ann", now()));
        assert!(throttle.admit("2001:db8:1:3::1", "ann", now()));
    }

    #[test]
    fn a_source_tries_many_names_only_so_long() {
        let mut throttle = Throttle::default();
        assert!((0..FOR_A_SOURCE).all(|n| throttle.admit("10.0.0.1", &format!("n{n}"), now())));
        assert!(!throttle.admit("10.0.0.1", "ann", now()));
        assert!(throttle.admit("10.0.0.2", "ann", now()));
    }

    #[test]
    fn tries_from_everywhere_keep_nobody_out() {
        let mut throttle = Throttle::default();
        for n in 0..MOST / 3 + 10 {
            assert!(throttle.admit(&format!("source {n}"), &format!("name {n}"), now()));
        }
        assert!(throttle.tries.len() <= MOST);
        assert!(throttle.admit("10.0.0.1", "ann", now()));
    }

    #[test]
    fn a_good_try_costs_nothing() {
        let mut throttle = Throttle::default();
        for n in 0..2000 {
            let source = format!("10.0.{}.{}", n / 200, n % 200);
            assert!(throttle.admit(&source, "ann", now()));
            throttle.succeeded(&source, "ann");
        }
        assert!(throttle.homes.len() <= HOMES);
    }
}
