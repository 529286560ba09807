//! How fast a queue is worked through, where the other side takes only so many a second. Pure.
//!
//! The place of a job is taken when it is claimed, so that none is leased only to be put back.

use chrono::{DateTime, Duration, Utc};

/// What every phone may send in a second (whatsapp-messaging facts §6.1), until more is known of it.
pub const STANDARD: u32 = 80;
/// When its pace is used up, a queue rests so long: those who wait go together then, and share their writes.
const REST: Duration = Duration::milliseconds(250);

/// A quarter of the rate at once, then somewhat less than three quarters a second: no second has more than 95 %
/// of the rate.
#[derive(Clone, Debug)]
pub struct Pace {
    per_second: u32,
    each: Duration,
    /// Up to when places are booked; it may lie ahead of now by a burst.
    booked: Option<DateTime<Utc>>,
    rests_until: Option<DateTime<Utc>>,
}

impl Pace {
    /// Of a side that takes so many a second.
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(4);
        let each = Duration::microseconds(1_000_000 * 10 / i64::from(per_second * 7) + 1);
        Self { per_second, each, booked: None, rests_until: None }
    }

    /// The other side takes another number a second by now; what is booked stays so.
    pub fn set(&mut self, per_second: u32) {
        if self.per_second != per_second {
            let new = Self::new(per_second);
            (self.per_second, self.each) = (new.per_second, new.each);
        }
    }

    /// How many may go at once, after a rest.
    pub fn burst(&self) -> u32 {
        self.per_second / 4
    }

    /// Until when it is used up.
    pub fn rests_until(&self) -> Option<DateTime<Utc>> {
        self.rests_until
    }

    /// Takes a place, or tells when to ask again.
    pub fn admit(&mut self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        if let Some(until) = self.rests_until.filter(|until| *until > now) {
            return Err(until);
        }
        let next = self.booked.unwrap_or(now).max(now) + self.each;
        self.booked = Some(next);
        let burst = self.each * i32::try_from(self.burst()).unwrap_or(i32::MAX);
        let ahead = next + self.each - now - burst;
        self.rests_until = (ahead > Duration::zero()).then(|| now + ahead.max(REST));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_other_side_takes_and_little_less() {
        let start: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        for rate in [20_u32, 80, 1000] {
            let (mut pace, mut now, mut sent) = (Pace::new(rate), start, Vec::new());
            while sent.len() < usize::try_from(rate * 10).unwrap() {
                match pace.admit(now) {
                    Ok(()) => sent.push(now),
                    Err(until) => now = until,
                }
            }
            for (index, first) in sent.iter().enumerate() {
                let within = sent.iter().skip(index).take_while(|at| **at - *first < Duration::seconds(1));
                let within = within.count();
                assert!(within <= usize::try_from(rate).unwrap(), "{within} within a second of {rate}");
            }
            let took = now - start;
            assert!(took < Duration::seconds(16), "ten seconds of {rate} took {took}");
        }
    }

    #[test]
    fn a_burst_goes_at_once_and_a_new_rate_counts_from_then_on() {
        let now: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let mut pace = Pace::new(80);
        let at_once = (0..100).take_while(|_| pace.admit(now).is_ok()).count();
        assert_eq!(at_once, 20);
        assert_eq!(pace.admit(now), Err(now + REST));
        pace.set(1000);
        let later = now + REST;
        let at_once = (0..1000).take_while(|_| pace.admit(later).is_ok()).count();
        assert!(at_once > 150, "{at_once}");
    }
}
