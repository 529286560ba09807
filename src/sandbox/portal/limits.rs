//! The portal's two limits: the leaky bucket of requests and the operating time of a method
//! (bitrix24 facts §1.3).

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};

/// Length of the operating window in seconds, kept in buckets of a minute.
const WINDOW_S: i64 = 600;
/// Calls shorter than this are not counted.
const SHORTEST_S: f64 = 0.1;

/// Drains at a steady rate and blocks above its size.
#[derive(Debug)]
pub(super) struct Bucket {
    level: f64,
    at: Option<DateTime<Utc>>,
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self { level: 0.0, at: None }
    }

    /// Takes one request in, unless the bucket would flow over.
    pub(super) fn admit(&mut self, now: DateTime<Utc>, drain_per_s: f64, burst: f64) -> bool {
        let passed = self.at.map_or(0.0, |at| seconds(at, now).max(0.0));
        self.at = Some(now);
        self.level = (self.level - passed * drain_per_s).max(0.0);
        if self.level + 1.0 > burst {
            return false;
        }
        self.level += 1.0;
        true
    }

    /// As full as a burst makes it.
    pub(super) fn fill(&mut self, now: DateTime<Utc>, burst: f64) {
        self.at = Some(now);
        self.level = burst;
    }
}

/// Seconds spent per application and method in the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Operating(HashMap<(String, String), VecDeque<(i64, f64)>>);

impl Operating {
    /// Adds a call that took `cost_s`.
    pub(super) fn add(&mut self, app: &str, method: &str, now: DateTime<Utc>, cost_s: f64) {
        if cost_s < SHORTEST_S {
            return;
        }
        let minute = now.timestamp().div_euclid(60);
        let buckets = self.0.entry((app.to_owned(), method.to_owned())).or_default();
        match buckets.back_mut() {
            Some((last, sum)) if *last == minute => *sum += cost_s,
            _ => buckets.push_back((minute, cost_s)),
        }
    }

    /// Seconds used now, and the unix time at which the oldest minute leaves the window.
    pub(super) fn of(&mut self, app: &str, method: &str, now: DateTime<Utc>) -> (f64, i64) {
        let unix = now.timestamp();
        let Some(buckets) = self.0.get_mut(&(app.to_owned(), method.to_owned())) else {
            return (0.0, unix + WINDOW_S);
        };
        while buckets.front().is_some_and(|(minute, _)| minute * 60 + WINDOW_S <= unix) {
            buckets.pop_front();
        }
        let reset = buckets.front().map_or(unix, |(minute, _)| minute * 60) + WINDOW_S;
        (buckets.iter().map(|(_, sum)| sum).sum(), reset)
    }
}

/// Seconds from one moment to another.
pub(super) fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};

    use super::*;

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 2, 12, 0, 0).unwrap()
    }

    #[test]
    fn the_bucket_blocks_above_its_size_and_drains_steadily() {
        let mut bucket = Bucket::new();
        let admitted = (0..60).filter(|_| bucket.admit(noon(), 2.0, 50.0)).count();
        assert_eq!(admitted, 50);
        let later = noon() + Duration::seconds(3);
        let admitted = (0..60).filter(|_| bucket.admit(later, 2.0, 50.0)).count();
        assert_eq!(admitted, 6);
    }

    #[test]
    fn operating_time_leaves_the_window_after_ten_minutes() {
        let mut operating = Operating::default();
        operating.add("app", "m", noon(), 5.0);
        operating.add("app", "m", noon(), 0.05);
        assert_eq!(operating.of("app", "m", noon()), (5.0, noon().timestamp() + 600));
        assert_eq!(operating.of("other", "m", noon()).0, 0.0);
        assert_eq!(operating.of("app", "m", noon() + Duration::seconds(600)).0, 0.0);
    }
}
