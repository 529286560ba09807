//! Decides what the customer gets of a message of the CRM: a template by its shorthand, the text itself while
//! the window is open, the phone's fallback template otherwise.

use crate::domain::{Language, ServiceWindow};
use crate::queue::worker::{Running, Settled};
use crate::relay::Relay;
use crate::relay::parts::Part;
use crate::relay::plan::PlannedPart;
use crate::relay::sender::{Outgoing, gone};
use crate::relay::sms::progress;
use crate::store::jobs::Settlement;
use crate::store::messages::MessageRow;
use crate::store::sms::SmsRow;
use crate::translate::sms_notes::{SmsRefusal, refusal};

/// Why nothing is planned.
enum Stop {
    Refused(SmsRefusal),
    Settled(Settlement),
}

impl Relay {
    /// Sends a message of the CRM.
    pub(in crate::relay) async fn send_sms(&self, queue: &str, job: Running, chat_id: String) -> Settled {
        let (outgoing, rows) = match self.load(&job, chat_id, None).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return gone(job),
            Err(error) => return self.not_read(job, &error),
        };
        let Some(request) = outgoing.sms.clone() else { return gone(job) };
        let rows = match rows.is_empty() {
            false => rows,
            true => match self.plan_sms(&job, &outgoing, &request).await {
                Ok(rows) => rows,
                Err(Stop::Refused(fault)) => return self.refuse_sms(job, &outgoing, request, &fault),
                Err(Stop::Settled(settlement)) => {
                    let language = language_of(&outgoing);
                    let (id, now) = (job.row.id.clone(), self.clock.now());
                    let dead = matches!(settlement, Settlement::Dead { .. });
                    return Settled::plain(job, settlement).with(move |tx| match dead {
                        true => progress::given_up(tx, &id, language, now),
                        false => Ok(()),
                    });
                }
            },
        };
        self.drive(queue, job, outgoing, rows).await
    }

    async fn plan_sms(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        request: &SmsRow,
    ) -> Result<Vec<MessageRow>, Stop> {
        // Nothing is tried here: who never wrote has no window.
        let open = match outgoing.chat.window() {
            ServiceWindow::Unknown => false,
            window => window.allows_free_text(self.clock.now()),
        };
        if !open {
            return Err(Stop::Refused(SmsRefusal::WindowClosed));
        }
        let parts = vec![PlannedPart { part: Part::text(request.body.trim()), blob: None }];
        self.write_plan(job, outgoing, 0, parts, vec![], vec![], vec![])
            .await
            .map_err(|error| Stop::Settled(self.database_trouble(job, &error)))
    }

    fn refuse_sms(&self, job: Running, outgoing: &Outgoing, request: SmsRow, fault: &SmsRefusal) -> Settled {
        let (language, now) = (language_of(outgoing), self.clock.now());
        let reason = refusal(fault, language);
        self.metrics.job("send", "refused");
        Settled::plain(job, Settlement::Done)
            .with(move |tx| progress::refused(tx, &request, &reason, language, now))
    }
}

/// The language of the portal that the message is of.
fn language_of(outgoing: &Outgoing) -> Language {
    let portal =
        outgoing.sms.as_ref().and_then(|sms| outgoing.snapshot.portal(&sms.portal_id.as_str().into()));
    portal.map(|portal| portal.language).unwrap_or_default()
}
