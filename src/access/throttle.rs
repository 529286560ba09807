//! How often a door may be tried in vain: for each source, and for each name.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

const SPAN: TimeDelta = TimeDelta::minutes(10);
/// Tries in vain in [`SPAN`]: one person mistypes, one address may be an office.
const FOR_A_NAME: usize = 8;
const FOR_A_SOURCE: usize = 24;
/// Keys that are remembered. With more, the oldest is forgotten: somebody tries from everywhere, and a door that
/// nobody can use is no better than one that is tried often.
const MOST: usize = 20_000;

/// Tries that failed.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<String, VecDeque<DateTime<Utc>>>);

impl Throttle {
    /// Counts a try of a name from a source. `false`: it is not even looked at.
    pub(super) fn admit(&mut self, source: &str, name: &str, now: DateTime<Utc>) -> bool {
        self.sweep(now);
        let keys = [(format!("s:{source}"), FOR_A_SOURCE), (format!("n:{name}"), FOR_A_NAME)];
        let full = |(key, most): &(String, usize)| self.0.get(key).is_some_and(|tries| tries.len() >= *most);
        if keys.iter().any(full) {
            return false;
        }
        while self.0.len() + keys.len() > MOST {
            let oldest = self.0.iter().min_by_key(|(_, tries)| tries.back().copied());
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.0.remove(&oldest);
        }
        for (key, _) in keys {
            self.0.entry(key).or_default().push_back(now);
        }
        true
    }

    /// The try was good: the name is free again, and the source has not tried in vain.
    pub(super) fn succeeded(&mut self, source: &str, name: &str) {
        self.0.remove(&format!("n:{name}"));
        if let Some(tries) = self.0.get_mut(&format!("s:{source}")) {
            tries.pop_back();
        }
    }

    fn sweep(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, tries| {
            while tries.front().is_some_and(|first| now - *first >= SPAN) {
                tries.pop_front();
            }
            !tries.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_name_is_tried_a_few_times_from_wherever() {
        let mut throttle = Throttle::default();
        assert!((0..FOR_A_NAME).all(|n| throttle.admit(&format!("10.0.0.{n}"), "ann", now())));
        assert!(!throttle.admit("10.0.0.99", "ann", now()));
        assert!(throttle.admit("10.0.0.99", "bob", now()), "another name is another door");
        assert!(throttle.admit("10.0.0.99", "ann", now() + SPAN));
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
        for n in 0..MOST / 2 + 10 {
            assert!(throttle.admit(&format!("source {n}"), &format!("name {n}"), now()));
        }
        assert!(throttle.0.len() <= MOST);
        assert!(throttle.admit("10.0.0.1", "ann", now()));
    }

    #[test]
    fn a_good_try_costs_nothing() {
        let mut throttle = Throttle::default();
        for _ in 0..100 {
            assert!(throttle.admit("10.0.0.1", "ann", now()));
            throttle.succeeded("10.0.0.1", "ann");
        }
    }
}
