//! How fast one contact is written to, a little below Meta's own limit (whatsapp-messaging facts §6.1).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};

/// Pacing of sends to one contact: a burst of 40, then one in six seconds, a little below Meta's own limit.
#[derive(Debug, Default)]
pub struct Pairs(Mutex<HashMap<String, (f64, DateTime<Utc>)>>);

impl Pairs {
    const BURST: f64 = 40.0;
    const PER_SECOND: f64 = 1.0 / 6.0;

    /// Takes one place for a send to this chat, or tells how long to wait for it.
    pub fn admit(&self, chat_id: &str, now: DateTime<Utc>) -> Result<(), Duration> {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() > 10_000 {
            pairs.retain(|_, (level, at)| leaked(*level, *at, now) > 0.0);
        }
        let (level, at) = pairs.entry(chat_id.to_owned()).or_insert((0.0, now));
        *level = leaked(*level, *at, now);
        *at = now;
        if *level + 1.0 > Self::BURST {
            let missing = (*level + 1.0 - Self::BURST) / Self::PER_SECOND;
            #[expect(clippy::cast_possible_truncation, reason = "a few thousand milliseconds")]
            return Err(Duration::milliseconds((missing * 1000.0).ceil() as i64));
        }
        *level += 1.0;
        Ok(())
    }
}

fn leaked(level: f64, at: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the last send")]
    let seconds = (now - at).num_milliseconds().max(0) as f64 / 1000.0;
    (level - seconds * Pairs::PER_SECOND).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_gets_a_burst_and_then_one_in_six_seconds() {
        let now: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let pairs = Pairs::default();
        for _ in 0..40 {
            assert_eq!(pairs.admit("a", now), Ok(()));
        }
        let wait = pairs.admit("a", now).unwrap_err();
        assert!((5_900..=6_100).contains(&wait.num_milliseconds()), "{wait}");
        assert_eq!(pairs.admit("b", now), Ok(()));
        assert_eq!(pairs.admit("a", now + Duration::seconds(7)), Ok(()));
    }
}
