//! Meta's messaging limit: how many people a business may write to first, outside a service window, within
//! rolling 24 hours (whatsapp-messaging facts §6.2). All numbers of a business portfolio share it.
//!
//! [`Limits`] is asked before a template goes and books the person; what is booked is stored with the send
//! ([`crate::store::limits`]), so that a restart forgets nothing. Pure but for its lock: the time is given.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// How long a person counts: a minute more than Meta's day, since Meta counts from a little later than we do.
pub const COUNTED: TimeDelta = TimeDelta::minutes(24 * 60 + 1);

/// The people of one portfolio.
#[derive(Debug, Default)]
struct Day {
    used: HashMap<String, DateTime<Utc>>,
    by_time: BTreeSet<(DateTime<Utc>, String)>,
    /// Who was told to come back, and when.
    promised: HashMap<String, DateTime<Utc>>,
}

/// Whom each portfolio wrote first.
#[derive(Debug, Default)]
pub struct Limits(Mutex<HashMap<String, Day>>);

/// The answer to a wish to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Now; the person is booked, and was before at this time.
    Go {
        /// For [`Limits::take_back`].
        before: Option<DateTime<Utc>>,
    },
    /// Not before this time.
    NotBefore(DateTime<Utc>),
}

/// How a portfolio stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// People that count now.
    pub used: usize,
    /// People that wait for a place.
    pub waiting: usize,
}

impl Limits {
    /// Takes up what was stored.
    pub fn load(&self, uses: impl IntoIterator<Item = (String, String, DateTime<Utc>)>) {
        let mut days = self.days();
        for (portfolio, person, at) in uses {
            days.entry(portfolio).or_default().book(&person, at);
        }
    }

    /// May this person be written to first? `limit`: people within 24 hours, `None` = as many as one likes.
    pub fn may_send(&self, portfolio: &str, limit: Option<usize>, person: &str, now: DateTime<Utc>) -> Leave {
        let mut days = self.days();
        let day = days.entry(portfolio.to_owned()).or_default();
        day.forget_until(now);
        let before = day.used.get(person).copied();
        let limit = limit.unwrap_or(usize::MAX);
        if before.is_none() && day.used.len() >= limit {
            return Leave::NotBefore(day.promise(limit, person, now));
        }
        day.promised.remove(person);
        day.book(person, now);
        Leave::Go { before }
    }

    /// Meta surely did not count the send that was booked at `at`.
    pub fn take_back(&self, portfolio: &str, person: &str, at: DateTime<Utc>, before: Option<DateTime<Utc>>) {
        let mut days = self.days();
        let Some(day) = days.get_mut(portfolio) else { return };
        // A later send of the same person has booked anew.
        if day.used.get(person) != Some(&at) {
            return;
        }
        day.used.remove(person);
        day.by_time.remove(&(at, person.to_owned()));
        if let Some(before) = before {
            day.book(person, before);
        }
    }

    /// How a portfolio stands.
    pub fn standing(&self, portfolio: &str, now: DateTime<Utc>) -> Standing {
        let mut days = self.days();
        let Some(day) = days.get_mut(portfolio) else { return Standing::default() };
        day.forget_until(now);
        Standing { used: day.used.len(), waiting: day.promised.len() }
    }

    fn days(&self) -> std::sync::MutexGuard<'_, HashMap<String, Day>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Day {
    fn book(&mut self, person: &str, at: DateTime<Utc>) {
        if let Some(before) = self.used.insert(person.to_owned(), at) {
            self.by_time.remove(&(before, person.to_owned()));
        }
        self.by_time.insert((at, person.to_owned()));
    }

    fn forget_until(&mut self, now: DateTime<Utc>) {
        while let Some((at, person)) = self.by_time.first()
            && now - *at >= COUNTED
        {
            self.used.remove(person);
            self.by_time.pop_first();
        }
    }

    /// When this person's turn comes: each of those who wait gets the next place that becomes free, so that
    /// they do not all come back at once.
    fn promise(&mut self, limit: usize, person: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        if let Some(at) = self.promised.get(person).filter(|at| **at > now) {
            return *at;
        }
        self.promised.retain(|other, at| *at > now && other != person);
        // After a lower limit more people count than may: so many must be free first.
        let excess = self.used.len().saturating_sub(limit);
        let (days, place) = match limit {
            0 => (1, 0),
            limit => (self.promised.len() / limit, excess + self.promised.len() % limit),
        };
        let free = self.by_time.iter().nth(place).or_else(|| self.by_time.last());
        let free = free.map_or(now, |(at, _)| *at) + COUNTED;
        let at = free + TimeDelta::days(i64::try_from(days).unwrap_or(7));
        self.promised.insert(person.to_owned(), at);
        at
    }
}

/// The number behind Meta's word: `TIER_250`, `TIER_2K`, `TIER_UNLIMITED`, `2000`, `-1`. `None`: no limit, or
/// none that is known, and then Meta's own answer decides.
pub fn limit_of(word: Option<&str>) -> Option<usize> {
    let word = word?.trim().to_ascii_uppercase();
    let digits = word.strip_prefix("TIER_").unwrap_or(&word);
    match digits.strip_suffix('K') {
        Some(thousands) => thousands.parse::<usize>().ok()?.checked_mul(1000),
        None => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        "2026-03-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minutes)
    }

    fn goes(limits: &Limits, limit: usize, person: &str, now: DateTime<Utc>) -> bool {
        matches!(limits.may_send("p", Some(limit), person, now), Leave::Go { .. })
    }

    #[test]
    fn metas_words_for_limits_are_understood() {
        for (word, limit) in [
            (Some("TIER_250"), Some(250)),
            (Some("TIER_2K"), Some(2_000)),
            (Some("TIER_100K"), Some(100_000)),
            (Some("2000"), Some(2_000)),
            (Some("TIER_UNLIMITED"), None),
            (Some("-1"), None),
            (Some("TIER_NOT_SET"), None),
            (None, None),
        ] {
            assert_eq!(limit_of(word), limit, "{word:?}");
        }
    }

    #[test]
    fn a_person_counts_once_and_for_a_day() {
        let limits = Limits::default();
        assert!(goes(&limits, 2, "a", at(0)) && goes(&limits, 2, "a", at(1)) && goes(&limits, 2, "b", at(2)));
        assert!(!goes(&limits, 2, "c", at(3)));
        assert_eq!(limits.standing("p", at(3)), Standing { used: 2, waiting: 1 });
        // The first place is free a day after the last send to `a`, not the first.
        assert_eq!(limits.may_send("p", Some(2), "c", at(4)), Leave::NotBefore(at(1) + COUNTED));
        assert!(goes(&limits, 2, "c", at(1) + COUNTED));
        assert!(goes(&limits, 2, "a", at(2) + COUNTED), "`b` is free by now");
        assert_eq!(limits.standing("p", at(2) + COUNTED), Standing { used: 2, waiting: 0 });
        assert!(matches!(limits.may_send("other", Some(1), "z", at(3)), Leave::Go { before: None }));
        assert!(matches!(limits.may_send("p", None, "z", at(3)), Leave::Go { before: None }));
    }

    #[test]
    fn those_who_wait_get_places_of_their_own() {
        let limits = Limits::default();
        for number in 0..3 {
            assert!(goes(&limits, 3, &format!("u{number}"), at(number)));
        }
        let told: Vec<_> =
            (0..4).map(|number| limits.may_send("p", Some(3), &format!("w{number}"), at(5))).collect();
        let place = |number: i64| Leave::NotBefore(at(number) + COUNTED);
        assert_eq!(told[..3], [place(0), place(1), place(2)]);
        assert_eq!(told[3], Leave::NotBefore(at(0) + COUNTED + TimeDelta::days(1)));
        // Asking again changes nothing.
        assert_eq!(limits.may_send("p", Some(3), "w1", at(6)), place(1));
    }

    #[test]
    fn a_refused_send_gives_its_place_back() {
        let limits = Limits::default();
        assert!(goes(&limits, 1, "a", at(0)));
        assert_eq!(limits.may_send("p", Some(1), "a", at(5)), Leave::Go { before: Some(at(0)) });
        limits.take_back("p", "a", at(5), Some(at(0)));
        assert_eq!(limits.may_send("p", Some(1), "b", at(6)), Leave::NotBefore(at(0) + COUNTED));
        limits.take_back("p", "a", at(0), None);
        assert!(goes(&limits, 1, "b", at(7)));
    }

    #[test]
    fn what_was_stored_still_counts() {
        let limits = Limits::default();
        limits.load([("p".to_owned(), "a".to_owned(), at(0)), ("p".to_owned(), "b".to_owned(), at(9))]);
        assert!(!goes(&limits, 2, "c", at(10)) && goes(&limits, 2, "b", at(10)));
    }

    #[test]
    fn no_rolling_day_ever_holds_more_people_than_the_limit() {
        let limits = Limits::default();
        let (limit, people) = (200, 500);
        let mut due: Vec<(DateTime<Utc>, String)> = (0..people).map(|n| (at(0), format!("u{n}"))).collect();
        let mut sent: Vec<(DateTime<Utc>, String)> = Vec::new();
        while !due.is_empty() {
            due.sort();
            let (now, person) = due.remove(0);
            match limits.may_send("p", Some(limit), &person, now) {
                Leave::Go { .. } => sent.push((now, person)),
                Leave::NotBefore(then) => {
                    assert!(then > now);
                    due.push((then, person));
                }
            }
        }
        assert_eq!(sent.len(), people);
        for (end, _) in &sent {
            let within = sent.iter().filter(|(at, _)| at <= end && *end - *at < TimeDelta::hours(24));
            assert!(within.count() <= limit);
        }
        assert!(sent.last().unwrap().0 < at(3 * 24 * 60));
    }
}
