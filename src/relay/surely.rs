//! The database under a send: its troubles count against no message, and what the other side has done is
//! written surely.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::Duration;

use super::Relay;
use super::effects::Effects;
use super::fetch::chain;
use crate::queue::worker::{Running, Settled};
use crate::store::StoreError;
use crate::store::jobs::Settlement;

/// So often the database may refuse the same effects before they are left out.
const STORE_REFUSALS: u32 = 3;

impl Relay {
    /// The database is away before anything was sent. What was in doubt must still wait for its time.
    pub(super) fn not_read(&self, job: Running, error: &StoreError) -> Settled {
        let settlement = self.database_trouble(&job, error);
        Settled::plain(job, settlement)
    }

    /// An outage of the database counts against no message; what it refuses for good does.
    pub(super) fn database_trouble(&self, job: &Running, error: &StoreError) -> Settlement {
        let (now, text) = (self.clock.now(), chain(error));
        if !error.is_outage() {
            return self.settings.policy.own_verdict(job.row.attempts, text, now);
        }
        let not_before = now + Duration::seconds(1);
        Settlement::Again { not_before, error: text, counts: false, doubtful: false }
    }

    pub(super) fn store_failed(&self, job: Running, error: &StoreError) -> Settled {
        let not_before = self.clock.now() + Duration::seconds(1);
        let doubtful = job.row.doubtful;
        Settled::plain(job, Settlement::Again { not_before, error: chain(error), counts: false, doubtful })
    }

    /// Writes what happened at the other side; waits for the database if it is away. What it refuses for what
    /// it is holds nothing else.
    pub(super) async fn write_surely(&self, effects: Effects) {
        let effects = Arc::new(Mutex::new(effects));
        let mut refusals = 0;
        loop {
            let again = effects.clone();
            let written =
                self.db.write(move |tx| (again.lock().unwrap_or_else(PoisonError::into_inner))(tx)).await;
            match written {
                Ok(()) => return,
                Err(error) => {
                    refusals += u32::from(!error.is_outage());
                    if refusals >= STORE_REFUSALS {
                        tracing::error!(error = chain(&error), "what WhatsApp answered is not written");
                        return;
                    }
                    tracing::warn!(error = %error, "what WhatsApp answered cannot be written; trying again");
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            }
        }
    }
}
