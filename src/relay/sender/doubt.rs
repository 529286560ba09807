//! A send whose answer never came: how long it waits for a status that proves it, and when it is repeated.
//!
//! Meta knows no idempotency key, so each repeat may be a copy at the customer's. It therefore waits twice as long
//! each time and goes out only while Meta answers a harmless call. After [`REPEATS`] it is given up if Meta takes
//! other messages of the phone: then it is this message's fault. If Meta takes none, it is an outage, of which
//! only the length ends a message ([`Policy::outage`](crate::queue::policy::Policy)).

use chrono::{DateTime, Duration, Utc};

use super::{Gone, Outgoing};
use crate::domain::Verdict;
use crate::queue::worker::Running;
use crate::relay::Relay;
use crate::relay::fetch::chain;
use crate::store::jobs::Settlement;
use crate::store::messages::{self as ledger, MessageRow};
use crate::whatsapp::GraphError;

/// Repeats of one part while others get through.
const REPEATS: i32 = 4;
/// Doublings of the wait: at 30 s a dozen fill three days.
const DOUBLINGS: i32 = 12;

impl Relay {
    /// Whether a part that is in doubt has to wait on: for its status, or for Meta to answer at all.
    pub(super) async fn waits_in_doubt(
        &self,
        queue: &str,
        job: &Running,
        outgoing: &Outgoing,
        row: &MessageRow,
    ) -> Option<Settlement> {
        // After a restart there is no waiting time: then it has to be waited for from now.
        let waited = job.row.doubtful && job.row.not_before.is_some();
        if !waited {
            let error = "the answer to the send never came; waiting for a status that bears its mark";
            return Some(self.in_doubt(row.repeats, error.to_owned(), self.clock.now()));
        }
        let now = self.clock.now();
        let (error, since) = ("no status has proven the send".to_owned(), job.row.troubled_since(now));
        let too_old = self.settings.policy.decide(Verdict::Retry, true, error, since, now).settlement;
        if matches!(too_old, Settlement::Dead { .. }) {
            return Some(too_old);
        }
        let (channel, graph) = self.way_out(outgoing)?;
        let silent = graph.phone(channel.token(), &channel.phone.phone_number_id).await.err()?;
        if silent.verdict() == Verdict::GiveUp {
            return None;
        }
        match self.cloud_trouble(queue, job, silent.verdict(), true, chain(&silent)) {
            Gone::Stopped(settlement) => Some(settlement),
            _ => None,
        }
    }

    /// The answer to a send of `row` never came, and no status has proven it yet.
    pub(super) async fn after_silence(&self, row: &MessageRow, error: &GraphError) -> Settlement {
        let repeats = row.repeats + i32::from(row.send_started);
        if repeats >= REPEATS && self.others_go(row).await {
            let error = format!("given up after {repeats} repeats in doubt: {}", chain(error));
            return Settlement::Dead { error };
        }
        self.in_doubt(repeats, chain(error), self.clock.now())
    }

    /// Whether Meta took another message of the phone since `row` was tried the last time. The ledger is asked, for
    /// it also knows what was before a restart.
    async fn others_go(&self, row: &MessageRow) -> bool {
        let since = self.clock.now() - longer(self.settings.doubt, row.repeats);
        let row = row.clone();
        self.db.read(move |conn| ledger::others_accepted(conn, &row, since)).await.unwrap_or(false)
    }

    fn in_doubt(&self, repeats: i32, error: String, now: DateTime<Utc>) -> Settlement {
        let not_before = now + longer(self.settings.doubt, repeats);
        Settlement::Again { not_before, error, counts: false, doubtful: true }
    }
}

/// Twice as long after each repeat.
fn longer(doubt: Duration, repeats: i32) -> Duration {
    doubt * 2_i32.pow(u32::try_from(repeats.clamp(0, DOUBLINGS)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repeat_waits_twice_as_long() {
        let waits: Vec<i64> = (0..6).map(|n| longer(Duration::seconds(30), n).num_seconds()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960]);
        assert_eq!(longer(Duration::hours(1), 100), Duration::hours(4096));
    }
}
