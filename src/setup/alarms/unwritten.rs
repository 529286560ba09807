//! The alarm about the database itself, which cannot be written there: told from memory, once, and once when the
//! database takes writes again. Nothing tries a second time, and a restart forgets it.

use super::{notice, row};
use crate::directory::Snapshot;
use crate::setup::Setup;
use crate::setup::doctor::{Finding, Outcome};
use crate::store::alarms::AlarmRow;

const DATABASE: &str = "bridge.database";

impl Setup {
    /// After alarms could not be written.
    pub(in crate::setup) async fn tell_of_lost_database(&self, snapshot: &Snapshot, found: &[Finding]) {
        let lost = found.iter().find(|one| one.id == DATABASE && one.outcome == Outcome::Fail);
        let Some(finding) = lost else { return };
        let alarm = row(finding, self.clock.now());
        if self.doctor.database_is_lost(alarm.clone()) {
            self.tell_now(snapshot, finding, &alarm, "opened").await;
        }
    }

    /// After alarms were written.
    pub(in crate::setup) async fn tell_of_found_database(&self, snapshot: &Snapshot, found: &[Finding]) {
        let well = found.iter().find(|one| one.id == DATABASE && one.outcome == Outcome::Pass);
        let Some(finding) = well else { return };
        if let Some(mut alarm) = self.doctor.database_is_found() {
            alarm.closed_at = Some(self.clock.now().naive_utc());
            self.tell_now(snapshot, finding, &alarm, "closed").await;
        }
    }

    async fn tell_now(&self, snapshot: &Snapshot, finding: &Finding, alarm: &AlarmRow, event: &str) {
        tracing::warn!(event, reason = alarm.reason_en, "an alarm is told without being written");
        for portal in self.who(snapshot, finding) {
            let notice = notice(&alarm.id, event, portal.clone(), self.clock.now());
            let told = match portal {
                None => self.post_alarm(&notice, alarm).await,
                Some(portal) => self.notify_portal(&portal, &[(notice, alarm.clone())]).await,
            };
            if let Err(refusal) = told {
                tracing::warn!(why = refusal.why, "somebody could not be told of an alarm");
            }
        }
    }
}
