//! What an error means for a job, and how long to wait. Pure.

use chrono::{DateTime, Duration, Utc};

use crate::domain::Verdict;
use crate::store::jobs::Settlement;

/// Settings of the policy.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Verdicts on a message before it is dead.
    pub max_attempts: i32,
    /// How long an outage of the other side may last before its messages are dead.
    pub outage: Duration,
}

/// How a failed run is settled, and whether its queue is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the job.
    pub settlement: Settlement,
    /// For its queue: pause it, at least for so long.
    pub pause: Option<Duration>,
}

impl Policy {
    /// Decides on a job that is tried in vain since `since` and whose call failed with `verdict`.
    ///
    /// An outage of the other side counts against no message; only its length ends them. What was not tried, as for
    /// want of a line, does not count.
    pub fn decide(
        &self,
        verdict: Verdict,
        doubtful: bool,
        error: String,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Failure {
        let pause = match verdict {
            Verdict::GiveUp => return Failure { settlement: Settlement::Dead { error }, pause: None },
            Verdict::Retry => Duration::zero(),
            Verdict::RetryAfter(wait) => Duration::from_std(wait).unwrap_or_default(),
            Verdict::Reauthorize => Duration::seconds(30),
        };
        if now - since > self.outage {
            let error = format!("given up after {} days of outage: {error}", self.outage.num_days());
            return Failure { settlement: Settlement::Dead { error }, pause: Some(pause) };
        }
        let settlement = Settlement::Again { not_before: now, error, counts: false, doubtful };
        Failure { settlement, pause: Some(pause) }
    }

    /// Settles a verdict on the job itself that may still change: tried again with growing delay.
    pub fn own_verdict(&self, attempts: i32, error: String, now: DateTime<Utc>) -> Settlement {
        if attempts + 1 >= self.max_attempts {
            return Settlement::Dead { error };
        }
        Settlement::Again { not_before: now + own_delay(attempts), error, counts: true, doubtful: false }
    }
}

/// Delay before the next try of a job after its `attempts`-th own verdict (0 = the first): 2 s, 8 s, 32 s,
/// then two minutes and more, at most half an hour.
pub fn own_delay(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts.clamp(0, 6)).unwrap_or(0);
    Duration::seconds((2 * 4_i64.pow(exponent)).min(1800))
}

/// Pause of a queue after its `failures`-th failure in a row (0 = the first): 0.25 s doubling to 30 s.
pub fn circuit_delay(failures: u32) -> Duration {
    Duration::milliseconds((250_i64 << failures.min(8)).min(30_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { max_attempts: 3, outage: Duration::days(7) };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_outage_counts_against_no_message_for_seven_days() {
        let (written, now) = (at("2026-03-01T00:00:00Z"), at("2026-03-07T23:00:00Z"));
        let failure = POLICY.decide(Verdict::Retry, true, "down".into(), written, now);
        let again =
            Settlement::Again { not_before: now, error: "down".into(), counts: false, doubtful: true };
        assert_eq!(failure, Failure { settlement: again, pause: Some(Duration::zero()) });
        let later = at("2026-03-08T01:00:00Z");
        let failure = POLICY.decide(Verdict::Retry, false, "down".into(), written, later);
        assert!(matches!(failure.settlement, Settlement::Dead { .. }));
    }

    #[test]
    fn a_message_dies_of_its_own_verdicts() {
        let now = at("2026-03-01T00:00:00Z");
        assert!(matches!(POLICY.own_verdict(0, "x".into(), now), Settlement::Again { counts: true, .. }));
        assert!(matches!(POLICY.own_verdict(2, "x".into(), now), Settlement::Dead { .. }));
        let dead = POLICY.decide(Verdict::GiveUp, false, "x".into(), now, now);
        assert!(matches!(dead.settlement, Settlement::Dead { .. }));
    }

    #[test]
    fn delays_grow_to_a_limit() {
        assert_eq!(own_delay(0), Duration::seconds(2));
        assert_eq!(own_delay(100), Duration::seconds(1800));
        assert_eq!(circuit_delay(0), Duration::milliseconds(250));
        assert_eq!(circuit_delay(100), Duration::seconds(30));
    }
}
