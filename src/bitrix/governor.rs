//! When the next call to a portal may go: its leaky bucket and the time budget of each method (bitrix24
//! facts §1.3). Pure: the caller brings the time.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::client::Answer;
use super::error::{CallError, OPERATION_LIMIT_PAUSE, OVERLOAD_PAUSE, QUERY_LIMIT_PAUSE};

/// Seconds of "operating" that a method may use up in ten minutes; some portals allow less, which is
/// learned from a 429.
const OPERATING_LIMIT: f64 = 480.0;
/// From this part of the budget on, what is left is spread over the time until it is renewed.
const SLOW_DOWN_AT: f64 = 0.8;
/// The part of the bucket that we fill: the rest is for the jitter of the way and for other apps.
const HEADROOM: f64 = 0.9;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So far over the bucket it is proven that there is more.
const PROBE: f64 = 2.0;
/// After a try that failed.
const PROBE_EVERY: Duration = Duration::from_secs(3600);
/// Methods whose budget is remembered; more than the bridge uses.
const METHODS: usize = 256;

/// A portal's leaky bucket.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimits {
    /// Calls that drain in a second.
    pub drain_per_second: f64,
    /// Calls that it holds.
    pub burst: f64,
}

impl RateLimits {
    /// Most plans.
    pub const STANDARD: Self = Self { drain_per_second: 2.0, burst: 50.0 };
    /// The Enterprise plan.
    pub const ENTERPRISE: Self = Self { drain_per_second: 5.0, burst: 250.0 };
    /// On-premise, where the administrator set none: what no bridge reaches.
    pub const NONE: Self = Self { drain_per_second: 10_000.0, burst: 100_000.0 };

    /// By `LICENSE` or `LICENSE_FAMILY` of `app.info` (`ent`, `ru_ent250`, …).
    pub fn for_license(license: &str) -> Self {
        let enterprise =
            license.to_ascii_lowercase().split(['_', '-', ' ']).any(|part| match part.strip_prefix("ent") {
                Some(rest) => rest == "erprise" || rest.bytes().all(|byte| byte.is_ascii_digit()),
                None => false,
            });
        if enterprise { Self::ENTERPRISE } else { Self::STANDARD }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// Governs the calls to one portal.
#[derive(Clone, Debug)]
pub struct Governor {
    limits: RateLimits,
    level: f64,
    drained_at: DateTime<Utc>,
    closed_until: Option<DateTime<Utc>>,
    strikes: u32,
    operating_limit: f64,
    methods: BTreeMap<String, Budget>,
    /// From when on it may be tried whether the bucket is larger than believed; `None`: never.
    probe_from: Option<DateTime<Utc>>,
    /// When the last call over the bucket went that is not answered yet: they go one by one.
    probe_at: Option<DateTime<Utc>>,
    /// What was believed before a try succeeded.
    believed: Vec<RateLimits>,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    operating: f64,
    reset_at: DateTime<Utc>,
    not_before: DateTime<Utc>,
}

impl Governor {
    /// A governor of an empty bucket.
    pub fn new(limits: RateLimits, now: DateTime<Utc>) -> Self {
        Self {
            limits,
            level: 0.0,
            drained_at: now,
            closed_until: None,
            strikes: 0,
            operating_limit: OPERATING_LIMIT,
            methods: BTreeMap::new(),
            probe_from: None,
            probe_at: None,
            believed: Vec::new(),
        }
    }

    /// As [`Governor::new`], but when the bucket is full, a few calls now and then go over it: are they
    /// taken, then the portal allows more (another plan; on-premise has no limit). The 503 that says
    /// otherwise costs nothing, since the call did not run.
    pub fn learning(limits: RateLimits, now: DateTime<Utc>) -> Self {
        Self { probe_from: Some(now), ..Self::new(limits, now) }
    }

    /// Other limits, learned from the portal's licence. What is in the bucket stays.
    pub fn set_limits(&mut self, now: DateTime<Utc>, limits: RateLimits) {
        self.drain(now);
        self.believed.clear();
        self.limits = limits;
    }

    /// The present limits.
    pub fn limits(&self) -> RateLimits {
        self.limits
    }

    /// Whether answers have taught larger limits than were given.
    pub fn has_learned(&self) -> bool {
        !self.believed.is_empty()
    }

    /// Takes a place for one call, or says how long to wait before asking again. A batch is one call by
    /// the name `batch`; ask [`Governor::method_wait`] for each method inside.
    pub fn admit(&mut self, now: DateTime<Utc>, method: &str) -> Result<(), Duration> {
        self.drain(now);
        if let Some(wait) = self.closed_until.and_then(|until| until_then(now, until)) {
            return Err(wait);
        }
        if let Some(wait) = self.method_wait(now, method) {
            return Err(wait);
        }
        let ceiling = (self.limits.burst * HEADROOM).max(1.0);
        let over = self.level + 1.0 - ceiling;
        // A tiny tolerance, or rounding would send the caller back for less than a microsecond.
        if over > 1e-5 && !self.may_probe(now) {
            return Err(seconds(over / self.limits.drain_per_second.max(0.01)));
        }
        if over > 1e-5 {
            self.probe_at = Some(now);
        }
        self.level += 1.0;
        Ok(())
    }

    /// Whether the call that was admitted at `now` went over the bucket, to try whether there is more.
    pub fn is_probe(&self, now: DateTime<Utc>) -> bool {
        self.probe_at == Some(now)
    }

    fn may_probe(&self, now: DateTime<Utc>) -> bool {
        self.probe_from.is_some_and(|from| from <= now)
            // A call that was given up without an answer is forgotten.
            && self.probe_at.is_none_or(|at| now >= later(at, LONGEST_PAUSE))
    }

    /// How long the budget of a method holds it back.
    pub fn method_wait(&self, now: DateTime<Utc>, method: &str) -> Option<Duration> {
        until_then(now, self.methods.get(method)?.not_before)
    }

    /// Learns from what came of a call. After a batch: once for `batch`, then for each method inside.
    pub fn observe(&mut self, now: DateTime<Utc>, method: &str, outcome: &Result<Answer, CallError>) {
        self.drain(now);
        self.probe_at = None;
        match outcome {
            Ok(answer) => {
                self.strikes = 0;
                self.spend(now, method, answer);
                // What we count is never less than what the portal counts of us, but for the jitter.
                if self.probe_from.is_some() && self.level > self.limits.burst + PROBE {
                    let more = if self.limits.burst < RateLimits::ENTERPRISE.burst {
                        RateLimits::ENTERPRISE
                    } else {
                        RateLimits::NONE
                    };
                    self.believed.push(std::mem::replace(&mut self.limits, more));
                }
            }
            Err(error) => match error.code() {
                "QUERY_LIMIT_EXCEEDED" => {
                    self.probe_from = self.probe_from.map(|from| from.max(later(now, PROBE_EVERY)));
                    // A refusal beyond the bucket confirms it; one within it says that it is smaller.
                    if self.level <= self.limits.burst
                        && let Some(before) = self.believed.pop()
                    {
                        self.limits = before;
                    }
                    self.level = self.level.max(self.limits.burst);
                    // Calls that were under way together are refused together, for one reason.
                    if self.closed_until.is_none_or(|until| until <= now) {
                        let pause =
                            QUERY_LIMIT_PAUSE.saturating_mul(1 << self.strikes.min(6)).min(LONGEST_PAUSE);
                        self.strikes = self.strikes.saturating_add(1);
                        self.close(now, pause);
                    }
                }
                "OVERLOAD_LIMIT" => self.close(now, OVERLOAD_PAUSE),
                "OPERATION_TIME_LIMIT" => self.block(now, method),
                _ => {}
            },
        }
    }

    fn drain(&mut self, now: DateTime<Utc>) {
        let elapsed = (now - self.drained_at).num_microseconds().unwrap_or(i64::MAX).max(0) as f64 / 1e6;
        self.level = (self.level - elapsed * self.limits.drain_per_second).max(0.0);
        self.drained_at = self.drained_at.max(now);
    }

    fn close(&mut self, now: DateTime<Utc>, pause: Duration) {
        let until = later(now, pause);
        self.closed_until = Some(self.closed_until.map_or(until, |closed| closed.max(until)));
    }

    /// Notes what a method has used up, and from 80 % on when it may be called again.
    fn spend(&mut self, now: DateTime<Utc>, method: &str, answer: &Answer) {
        let (Some(operating), Some(reset_at)) = (answer.operating, answer.operating_reset_at) else { return };
        let Some(reset_at) = DateTime::from_timestamp(reset_at, 0) else { return };
        // Without an earlier answer the cost of a call is a guess: one second.
        let before = self.methods.get(method).map_or(operating - 1.0, |budget| budget.operating);
        let left = self.operating_limit - operating;
        let not_before = if left <= 0.0 {
            reset_at.max(later(now, QUERY_LIMIT_PAUSE))
        } else if operating >= self.operating_limit * SLOW_DOWN_AT {
            // Calls of this cost that still fit, evenly over the time that is left.
            let cost = (operating - before).clamp(0.1, left.max(0.1));
            let window = (reset_at - now).num_milliseconds().max(0) as f64 / 1e3;
            later(now, seconds(cost * window / left).min(LONGEST_PAUSE))
        } else {
            now
        };
        self.remember(now, method, Budget { operating, reset_at, not_before });
    }

    /// The 429 bears no time: that of the last good answer holds, else a minute.
    fn block(&mut self, now: DateTime<Utc>, method: &str) {
        let known = self.methods.get(method).copied();
        let until = match known {
            Some(budget) if budget.reset_at > now => {
                if budget.operating > OPERATING_LIMIT / 2.0 {
                    self.operating_limit = self.operating_limit.min(budget.operating);
                }
                budget.reset_at
            }
            _ => later(now, OPERATION_LIMIT_PAUSE),
        };
        let operating = known.map_or(0.0, |budget| budget.operating);
        self.remember(now, method, Budget { operating, reset_at: until, not_before: until });
    }

    fn remember(&mut self, now: DateTime<Utc>, method: &str, budget: Budget) {
        if self.methods.len() >= METHODS {
            self.methods.retain(|_, budget| budget.not_before > now);
        }
        self.methods.insert(method.to_owned(), budget);
    }
}

fn until_then(now: DateTime<Utc>, then: DateTime<Utc>) -> Option<Duration> {
    (then - now).to_std().ok().filter(|wait| !wait.is_zero())
}

fn later(now: DateTime<Utc>, pause: Duration) -> DateTime<Utc> {
    let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(pause).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
