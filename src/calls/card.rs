//! The card of a call in the CRM: opened when the call arrives, handed over when another answers, finished once.
//!
//! Jobs of one lane for each call, so that the card opens before it ends; a portal that is away delays cards
//! and no call. Opening twice is harmless (the portal knows our id of the call); finishing is not repeated by
//! the portal, which forgets the call: "not found" means that it was done.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::effects::{card_portal, has_scope};
use super::{Calls, words};
use crate::bitrix::error::CallError;
use crate::bitrix::telephony::{
    Finish, Finished, Hide, Register, Responsible, SearchCrmEntities, Show, UserOfExtension, is_user_refused,
};
use crate::directory::Portal;
use crate::domain::{CallId, PhoneKey, PortalId, Verdict};
use crate::queue::job::{self, Job, Kind};
use crate::queue::lanes::Take;
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::call_cards::{self, CardRow};
use crate::store::calls::{self, CallRow};
use crate::store::jobs::{self, JobRow, Settlement};
use crate::store::{StoreError, Tx};

/// Cards of one phone that are worked on at the same time.
pub const TAKE: Take = Take { parallel: 2, jobs: 1, files: 1, newcomers: 1 };
/// A portal whose tokens or rights are refused is looked at again this often.
const REFUSED_PAUSE: Duration = Duration::seconds(30);
/// Scopes of which one lets users be found by their extension.
const USER_SCOPES: [&str; 2] = ["user", "user_brief"];

/// Runs the jobs of class [`crate::queue::Class::Call`].
pub struct CardRunner(pub Arc<Calls>);

impl Runner for CardRunner {
    async fn run(&self, started: Started) {
        let (queue, lease) = (started.queue.clone(), started.lease_id.clone());
        let mut settled = Vec::with_capacity(started.jobs.len());
        for job in started.jobs {
            settled.push(self.0.work(&queue, job).await);
        }
        self.0.worker.finish(&lease, settled).await;
    }

    /// Nobody waits for a card: the record of the call has everything.
    fn broken_off(&self, _: &mut Tx<'_>, _: &JobRow, _: DateTime<Utc>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a step does beside the portal, or why it must be tried again.
type Step = Result<Done, CallError>;

enum Done {
    /// There was nothing to do.
    Nothing,
    Opened(CardRow),
    /// The card is at this user (with this extension), or at nobody.
    HandedOver(Option<(String, String)>),
    Finished(Option<String>),
}

impl Calls {
    async fn work(&self, queue: &str, job: Running) -> Settled {
        let Ok(Job::Card { call_id }) = Job::from_json(&job.row.payload) else {
            let error = "the payload of this job cannot be read".to_owned();
            return Settled::plain(job, Settlement::Dead { error });
        };
        let read =
            self.db.read(move |conn| Ok((calls::get(conn, &call_id)?, call_cards::get(conn, &call_id)?)));
        let (call, card) = match read.await {
            Ok((Some(call), card)) => (call, card),
            // Its person was erased meanwhile.
            Ok((None, _)) => return Settled::plain(job, Settlement::Done),
            Err(error) => {
                let (error, now) = (error.to_string(), self.clock.now());
                self.scheduler.pause(queue, Duration::zero(), now);
                let again = Settlement::Again { not_before: now, error, counts: false, doubtful: false };
                return Settled::plain(job, again);
            }
        };
        let step = match (job.claimed.kind, card) {
            (Kind::CallRegister, None) => self.open_card(&call).await,
            (Kind::CallAnswered, Some(card)) if !call.is_closed() => self.hand_over(&call, &card).await,
            (Kind::CallFinish, Some(card)) if card.finished_at.is_none() => self.finish(&call, &card).await,
            _ => Ok(Done::Nothing),
        };
        match step {
            Ok(done) => {
                self.scheduler.resume(queue);
                self.done(job, call.id, done)
            }
            Err(error) => self.failed(queue, job, &call.id, &error),
        }
    }

    /// Tells the portal of the call: the card opens at whoever is responsible, unless the call is over.
    async fn open_card(&self, call: &CallRow) -> Step {
        let snapshot = self.directory.now();
        let phone = call.phone_id.as_deref().map(PhoneKey::from).and_then(|key| snapshot.phone(&key));
        let (Some(phone), Some(digits)) = (phone, &call.peer_digits) else { return Ok(Done::Nothing) };
        let Some(portal) = card_portal(&snapshot, &phone.key) else { return Ok(Done::Nothing) };
        let (number, line) = (format!("+{digits}"), format!("+{}", phone.number));
        let crm_create = snapshot.calling(&phone.key).is_some_and(|calling| calling.row.crm_create);
        let show = !call.is_closed();
        let mut refused = None;
        for user in self.candidates(portal, phone.row.crm_user_id.as_deref(), &number).await? {
            let register = Register {
                user_id: &user.user_id,
                number: &number,
                inbound: call.direction == "inbound",
                start: call.created_at.and_utc(),
                crm_create,
                show,
                line: &line,
                external_id: &call.id,
            };
            match self.gateway.call(&portal.id, &register).await {
                Ok(registered) => {
                    return Ok(Done::Opened(CardRow {
                        call_id: call.id.clone(),
                        portal_id: portal.id.to_string(),
                        crm_call_id: registered.call_id,
                        user_id: user.user_id,
                        user_inner: user.inner,
                        shown: show,
                        entity_type: registered.entity_type.filter(|_| registered.entity_id.is_some()),
                        entity_id: registered.entity_id,
                        activity_id: None,
                        created_at: self.clock.now().naive_utc(),
                        finished_at: None,
                    }));
                }
                // Dismissed or deactivated: the next one stands in.
                Err(error) if is_user_refused(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(Done::Nothing), Err)
    }

    /// Who may stand for a call, the best first: the user of the CRM's customer, of the phone, of the
    /// installation.
    async fn candidates(
        &self,
        portal: &Portal,
        phone_user: Option<&str>,
        number: &str,
    ) -> Result<Vec<Responsible>, CallError> {
        let found = match self.gateway.call(&portal.id, &SearchCrmEntities { number }).await {
            Ok(found) => found,
            // Not for this number, or not for us; a portal that is away would not take the call either.
            Err(error) if error.verdict() == Verdict::GiveUp => None,
            Err(error) => return Err(error),
        };
        let plain = |user_id: &str| Responsible { user_id: user_id.to_owned(), inner: None };
        let others = phone_user.into_iter().chain([portal.row.user_id.as_str()]).map(plain);
        let mut all: Vec<Responsible> = Vec::new();
        for user in found.into_iter().chain(others) {
            if all.iter().all(|other| other.user_id != user.user_id) {
                all.push(user);
            }
        }
        Ok(all)
    }

    /// Another user answered: the card goes there, or at least away from here.
    async fn hand_over(&self, call: &CallRow, card: &CardRow) -> Step {
        let Some(inner) = call.agent.as_deref().and_then(extension) else { return Ok(Done::Nothing) };
        if card.user_inner.as_deref() == Some(inner) {
            return Ok(Done::Nothing);
        }
        let portal = PortalId::from(card.portal_id.as_str());
        let snapshot = self.directory.now();
        let may_look = snapshot
            .portal(&portal)
            .is_some_and(|portal| USER_SCOPES.iter().any(|scope| has_scope(portal, scope)));
        let user = match may_look {
            true => self.gateway.call(&portal, &UserOfExtension { inner }).await?,
            false => None,
        };
        let crm_call_id = card.crm_call_id.as_str();
        match user {
            Some(user) if user == card.user_id => Ok(Done::Nothing),
            Some(user) => {
                self.gateway.call(&portal, &Hide { call_id: crm_call_id, user_id: &card.user_id }).await?;
                self.gateway.call(&portal, &Show { call_id: crm_call_id, user_id: &user }).await?;
                Ok(Done::HandedOver(Some((user, inner.to_owned()))))
            }
            // Whose extension it is cannot be found out; if it is not the one we know, it is another's.
            None if card.user_inner.is_some() => {
                self.gateway.call(&portal, &Hide { call_id: crm_call_id, user_id: &card.user_id }).await?;
                Ok(Done::HandedOver(None))
            }
            None => Ok(Done::Nothing),
        }
    }

    async fn finish(&self, call: &CallRow, card: &CardRow) -> Step {
        let status_code = status_code(call);
        let reason = words::end(call).filter(|_| status_code != "200");
        let finish = Finish {
            call_id: &card.crm_call_id,
            user_id: &card.user_id,
            duration: call.talk_seconds(),
            status_code,
            failed_reason: reason.as_deref(),
        };
        match self.gateway.call(&PortalId::from(card.portal_id.as_str()), &finish).await? {
            Finished::Now { activity_id } => Ok(Done::Finished(activity_id)),
            Finished::Before => Ok(Done::Finished(None)),
        }
    }

    fn done(&self, job: Running, call_id: String, done: Done) -> Settled {
        let now = self.clock.now();
        Settled::plain(job, Settlement::Done).with(move |tx| match &done {
            Done::Nothing => Ok(()),
            Done::Opened(row) => match calls::get(tx.conn, &call_id)? {
                Some(call) => opened(tx, &call, row, now),
                // Erased while the portal was told.
                None => Ok(()),
            },
            Done::HandedOver(user) => {
                let (user, inner) =
                    user.as_ref().map(|(user, inner)| (user.as_str(), inner.as_str())).unzip();
                call_cards::handed_over(tx.conn, &call_id, user, inner)
            }
            Done::Finished(activity) => call_cards::finished(tx.conn, &call_id, activity.as_deref(), now),
        })
    }

    fn failed(&self, queue: &str, job: Running, call_id: &str, error: &CallError) -> Settled {
        let (now, text) = (self.clock.now(), chain(error));
        if matches!(error.code(), "INSUFFICIENT_SCOPE" | "ERROR_METHOD_NOT_FOUND") {
            tracing::warn!(call.id = call_id, error = text, "the portal shows no calls: it lacks telephony");
            return Settled::plain(job, Settlement::Done);
        }
        let (verdict, doubtful) = (error.verdict(), !error.surely_not_executed());
        if verdict == Verdict::GiveUp {
            tracing::warn!(call.id = call_id, error = text, "the portal refused the card of a call");
            let mut settlement = self.policy.own_verdict(job.row.attempts, text, now);
            if let Settlement::Again { doubtful: in_doubt, .. } = &mut settlement {
                *in_doubt = doubtful;
            }
            return Settled::plain(job, settlement);
        }
        let pause = match verdict {
            Verdict::RetryAfter(wait) => Duration::from_std(wait).unwrap_or_default(),
            Verdict::Reauthorize => REFUSED_PAUSE,
            Verdict::Retry | Verdict::GiveUp => Duration::zero(),
        };
        let until = self.scheduler.pause(queue, pause, now);
        tracing::warn!(call.id = call_id, error = text, until = %until, "the portal cannot be used; cards of calls wait");
        let failure = self.policy.decide(verdict, doubtful, text, job.row.troubled_since(now), now);
        Settled::plain(job, failure.settlement)
    }
}

/// The portal has the call. One that is over is finished, also where that was tried before, when the portal did
/// not know it yet (a card that was given another chance by hand).
fn opened(tx: &mut Tx<'_>, call: &CallRow, card: &CardRow, now: DateTime<Utc>) -> Result<(), StoreError> {
    call_cards::registered(tx.conn, card)?;
    let phone = call.phone_id.as_deref().map(PhoneKey::from);
    if let Some(phone) = phone.filter(|_| call.is_closed()) {
        let mut finish = job::card(Kind::CallFinish, &phone, &CallId::from(call.id.as_str()));
        finish.dedupe_key = Some(format!("call_finish_late:{}", call.id));
        jobs::enqueue(tx, &finish, now)?;
    }
    Ok(())
}

/// The portal's code for how a call ended (bitrix24 facts §7.3).
fn status_code(call: &CallRow) -> &'static str {
    if call.answered_at.is_some() {
        return "200";
    }
    let cause = call.end_cause.as_deref().unwrap_or_default();
    if call.direction == "inbound" {
        // Whoever was not answered is to be called back, but for one that somebody declined by hand.
        return if cause == "declined" && call.sip_status == Some(603) { "603" } else { "304" };
    }
    match (cause, call.sip_status) {
        ("cancelled", _) => "603-S",
        ("declined", Some(486 | 600)) => "486",
        ("declined", _) => "603",
        ("no_answer", _) => "480",
        ("no_permission" | "refused", _) => "403",
        ("unknown_number", _) => "404",
        ("trunk_unreachable" | "overload" | "lost" | "stopped", _) => "503",
        _ => "OTHER",
    }
}

/// The extension in what the trunk says of an agent: `101`, `sip:101@pbx`, `"Anna" <sip:101@pbx>`.
fn extension(agent: &str) -> Option<&str> {
    let inner = agent.rsplit_once('<').map_or(agent, |(_, rest)| rest.split('>').next().unwrap_or_default());
    let inner = inner.trim();
    let inner =
        ["sips:", "sip:", "tel:"].iter().find_map(|scheme| inner.strip_prefix(scheme)).unwrap_or(inner);
    let user = inner.split(['@', ';']).next().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '.' | '*' | '#');
    (!user.is_empty() && user.chars().all(plain)).then_some(user)
}

fn chain(error: &CallError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_by_extension_in_any_form() {
        for (agent, expected) in [
            ("101", Some("101")),
            ("sip:101@pbx.example", Some("101")),
            ("\"Anna <3\" <sip:101@pbx.example;transport=udp>;x=y", Some("101")),
            ("<tel:+15550100>", Some("+15550100")),
            ("Anna Lee", None),
            ("", None),
            ("<>", None),
        ] {
            assert_eq!(extension(agent), expected, "{agent}");
        }
    }

    #[test]
    fn every_end_has_a_code_of_the_portal() {
        let call = |direction: &str, cause: &str, status: Option<i32>, answered: bool| CallRow {
            direction: direction.into(),
            end_cause: Some(cause.into()),
            sip_status: status,
            answered_at: answered.then(chrono::NaiveDateTime::default),
            ..CallRow::default()
        };
        for (row, expected) in [
            (call("inbound", "hung_up", None, true), "200"),
            (call("inbound", "cancelled", None, false), "304"),
            (call("inbound", "trunk_unreachable", None, false), "304"),
            (call("inbound", "declined", Some(603), false), "603"),
            (call("inbound", "declined", Some(486), false), "304"),
            (call("outbound", "cancelled", None, false), "603-S"),
            (call("outbound", "declined", Some(486), false), "486"),
            (call("outbound", "declined", Some(603), false), "603"),
            (call("outbound", "no_answer", Some(480), false), "480"),
            (call("outbound", "no_permission", None, false), "403"),
            (call("outbound", "unknown_number", Some(404), false), "404"),
            (call("outbound", "media", Some(488), false), "OTHER"),
        ] {
            assert_eq!(status_code(&row), expected, "{row:?}");
        }
    }
}
