//! How many claims may be shown to the OAuth servers: what strangers post must not make us call others at will.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

/// Claims in [`SPAN`] that nothing proved, for each portal that is installed here and for all others together. A
/// stranger who knows a portal's member id can use up those of that portal: its pages then say that one should come
/// again in a minute, while its events, proven by the application token, go on.
const UNPROVEN: usize = 30;
const SPAN: TimeDelta = TimeDelta::minutes(1);
/// Portals that are remembered; installed ones only, so that strangers cannot fill it.
const MOST: usize = 10_000;

/// Claims that were shown and not proven. A proven one is given back, so that honest portals pay nothing.
#[derive(Debug, Default)]
pub(super) struct Budget(HashMap<String, VecDeque<DateTime<Utc>>>);

impl Budget {
    /// Takes one for `who` (`""` = nobody that we know). `false`: there is none left at present.
    pub(super) fn take(&mut self, who: &str, now: DateTime<Utc>) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(who) {
            self.0.retain(|_, taken| taken.back().is_some_and(|last| now - *last < SPAN));
        }
        let taken = self.0.entry(who.to_owned()).or_default();
        while taken.front().is_some_and(|first| now - *first >= SPAN) {
            taken.pop_front();
        }
        if taken.len() >= UNPROVEN {
            return false;
        }
        taken.push_back(now);
        true
    }

    /// Gives one back: the claim was proven.
    pub(super) fn give_back(&mut self, who: &str) {
        if let Some(taken) = self.0.get_mut(who) {
            taken.pop_back();
            if taken.is_empty() {
                self.0.remove(who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn unproven_claims_are_shown_to_nobody_after_thirty_in_a_minute() {
        let mut budget = Budget::default();
        assert!((0..UNPROVEN).all(|_| budget.take("", now())));
        assert!(!budget.take("", now()));
        assert!(
            budget.take("installed", now()),
            "a portal that is known does not pay for those who name others"
        );
        assert!(budget.take("", now() + SPAN));
    }

    #[test]
    fn proven_claims_cost_nothing() {
        let mut budget = Budget::default();
        for _ in 0..1_000 {
            assert!(budget.take("", now()));
            budget.give_back("");
        }
        assert!(budget.0.is_empty());
    }
}
