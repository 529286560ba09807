//! How fast one phone writes: a little below the 80 messages a second that Meta takes of a phone at least
//! (whatsapp-messaging facts §6.1). A phone of which Meta takes fewer is told so by 130429.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};

/// Sends at once, after a rest.
const BURST: i64 = 20;
/// Time between sends for a while: with the burst no second has more than 76.
const EACH: Duration = Duration::microseconds(17_857);
/// When its pace is used up, a phone rests at least so long: a job that is turned away costs a write.
const REST: Duration = Duration::milliseconds(100);

/// Pacing of sends by one phone. Each phone has a time up to which its sends are booked; it may lie ahead of
/// now by a burst.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<String, DateTime<Utc>>>);

impl Pace {
    /// Takes a place for a send of this queue now, or tells when to ask again.
    pub fn admit(&self, queue: &str, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        let mut booked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = booked.entry(queue.to_owned()).or_insert(now);
        let next = (*until).max(now) + EACH;
        let ahead = next - now - EACH * i32::try_from(BURST).unwrap_or(1);
        if ahead > Duration::zero() {
            return Err(now + ahead.max(REST));
        }
        *until = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_meta_takes() {
        let start: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let (pace, mut now, mut sent) = (Pace::default(), start, Vec::new());
        while sent.len() < 500 {
            match pace.admit("send:p", now) {
                Ok(()) => sent.push(now),
                Err(until) => now = until,
            }
        }
        for (index, first) in sent.iter().enumerate() {
            let within = sent.iter().skip(index).filter(|at| **at - *first < Duration::seconds(1)).count();
            assert!(within <= 80, "{within} within a second");
        }
        let took = now - start;
        assert!(took < Duration::seconds(10), "500 messages took {took}");
        assert_eq!(pace.admit("send:other", now), Ok(()));
    }
}
