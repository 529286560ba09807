//! Decides what the customer gets of a message of the CRM: a template by its shorthand, the text itself while
//! the window is open, the phone's fallback template otherwise.

use crate::domain::template::Template;
use crate::domain::{Language, ServiceWindow};
use crate::queue::worker::{Running, Settled};
use crate::relay::Relay;
use crate::relay::parts::Part;
use crate::relay::plan::PlannedPart;
use crate::relay::sender::{Outgoing, gone};
use crate::relay::shorthand::{FILE_TRIES, PlannedTemplate, TemplateTrouble, default_language};
use crate::relay::sms::progress;
use crate::store::jobs::Settlement;
use crate::store::messages::MessageRow;
use crate::store::sms::SmsRow;
use crate::translate::shorthand::{
    Channel, FillOptions, Filled, Recognised, Refusal, fill_fallback, recognise,
};
use crate::translate::sms_notes::{SmsRefusal, refusal};

/// What the customer gets.
enum Content {
    /// The text itself.
    Text,
    /// A template.
    Template(Box<Filled>),
}

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
        let Some(request) = outgoing.sms.clone() else {
            // Another job may have the request by now, see [`crate::relay::late`]; what is planned here has failed.
            return if rows.is_empty() { gone(job) } else { self.drive(queue, job, outgoing, rows).await };
        };
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
        let failed = |error| Stop::Settled(self.database_trouble(job, &error));
        let templates = self.templates_of(outgoing).await.map_err(failed)?;
        let content = self.content_of(outgoing, request, &templates)?;
        let (part, files) = match content {
            Content::Text => (PlannedPart { part: Part::text(request.body.trim()), blob: None }, Vec::new()),
            Content::Template(filled) => {
                let planned = self.sms_template(job, outgoing, request, *filled).await?;
                (planned.part, planned.file.into_iter().collect())
            }
        };
        self.write_plan(job, outgoing, 0, vec![part], files, vec![], vec![]).await.map_err(failed)
    }

    /// What the text is.
    fn content_of(
        &self,
        outgoing: &Outgoing,
        request: &SmsRow,
        templates: &[Template],
    ) -> Result<Content, Stop> {
        let words = language_of(outgoing);
        let default = default_language(outgoing);
        let options = FillOptions { default_language: default.as_deref(), attached: 0 };
        let wrong = |fault: Refusal| Stop::Refused(SmsRefusal::Shorthand { reason: fault.text(words) });
        let exists = |name: &str| templates.iter().any(|template| template.name.eq_ignore_ascii_case(name));
        match recognise(&request.body, Channel::Sms, &exists) {
            Recognised::Wrong(fault) => return Err(wrong(fault)),
            Recognised::Shorthand(parsed) => {
                let filled = parsed.fill(templates, &options).map_err(wrong)?;
                return Ok(Content::Template(Box::new(filled)));
            }
            // Of an SMS there is nothing to take back.
            Recognised::Plain | Recognised::CancelHeld { .. } => {}
        }
        // Nothing is tried here: who never wrote has no window.
        let window = outgoing.chat.window();
        if !matches!(window, ServiceWindow::Unknown) && window.allows_free_text(self.clock.now()) {
            return Ok(Content::Text);
        }
        let phone = outgoing.snapshot.phone(&outgoing.phone);
        let Some(setting) = phone.and_then(|phone| phone.row.fallback_template.as_deref()) else {
            return Err(Stop::Refused(SmsRefusal::WindowClosed));
        };
        match fill_fallback(setting, &request.body, templates, &options) {
            Ok(filled) => Ok(Content::Template(Box::new(filled))),
            Err(fault) => Err(Stop::Refused(SmsRefusal::Fallback { reason: fault.text(words) })),
        }
    }

    async fn sms_template(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        request: &SmsRow,
        filled: Filled,
    ) -> Result<PlannedTemplate, Stop> {
        let portal = request.portal_id.as_str().into();
        let trouble = match self.template_part(outgoing, &portal, filled).await {
            Ok(planned) => return Ok(planned),
            Err(trouble) => trouble,
        };
        let fault = match trouble {
            TemplateTrouble::Refused(fault) => fault,
            TemplateTrouble::Later(reason) => {
                let tries = job.row.attempts;
                let settlement = self.settings.policy.own_verdict(tries, reason.clone(), self.clock.now());
                if tries + 1 < FILE_TRIES && matches!(settlement, Settlement::Again { .. }) {
                    return Err(Stop::Settled(settlement));
                }
                Refusal::FileUnavailable { reason }
            }
        };
        Err(Stop::Refused(SmsRefusal::Shorthand { reason: fault.text(language_of(outgoing)) }))
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
