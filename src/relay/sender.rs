//! Sends operators' messages to WhatsApp, part by part, each surely once or marked.
//!
//! Meta knows no idempotency key. So a part is marked on disk before its call goes out and bears our job and
//! part as callback data. If the answer never came, the job waits for a status that bears the mark
//! ([`super::Settings::doubt`]); only then the part is sent again, and the job says `maybe_twice` ([`doubt`]).

mod doubt;
mod part;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::effects::{acceptance, after_acceptance, broken_off, given_up, limit_told, refusal};
use super::fetch::chain;
use super::gate::LIMIT_WAIT;
pub use super::pairs::Pairs;
use super::{Relay, pace};
use crate::directory::Snapshot;
use crate::domain::{DeliveryState, PhoneKey, UserId, Verdict, WaId, Wamid};
use crate::queue::job::{Class, Job, OperatorItem};
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::chats::{ChatPerson, ChatRow};
use crate::store::jobs::{JobRow, Settlement};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::sms::{self, SmsRow};
use crate::store::{StoreError, Tx, chats};
use crate::whatsapp::Recipient;
use crate::whatsapp::client::Accepted;
use crate::whatsapp::message::WireError;

/// Too many messages to one person (whatsapp-messaging facts §6.1).
const PAIR_RATE: i64 = 131056;
/// The service window is closed.
pub(super) const WINDOW_CLOSED: i64 = 131047;
/// The person has stopped advertising.
const OPTED_OUT: i64 = 131050;
/// Among others: there is no upload with this id.
const INVALID_PARAMETER: i64 = 100;
/// Meta could not process a media file.
const MEDIA_REFUSED: i64 = 131053;
/// Meta has paused the template, disabled it, or knows none that is approved.
const TEMPLATE_PAUSED: i64 = 132015;
const TEMPLATE_DISABLED: i64 = 132016;
const TEMPLATE_UNKNOWN: i64 = 132001;
/// Codes that say something of the person, not of the message: the other parts would fail alike.
const OF_PERSON: [i64; 7] = [WINDOW_CLOSED, 131021, 131026, 131030, 130403, 130497, 131062];

/// Runs the jobs of class [`Class::Send`].
pub struct Sender(pub Arc<Relay>);

impl Runner for Sender {
    async fn run(&self, started: Started) {
        self.0.set_pace(&started.queue);
        for job in started.jobs {
            let settled = self.0.send_job(&started.queue, job).await;
            self.0.worker.finish(&started.lease_id, vec![settled]).await;
        }
    }

    fn broken_off(&self, tx: &mut Tx<'_>, job: &JobRow, now: DateTime<Utc>) -> Result<(), StoreError> {
        broken_off(&self.0.directory.now(), tx, job, now)
    }
}

/// What a send needs beside its parts.
pub(super) struct Outgoing {
    pub(super) chat: ChatRow,
    pub(super) person: ChatPerson,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) phone: PhoneKey,
    pub(super) item: Option<OperatorItem>,
    /// The CRM's message that it is.
    pub(super) sms: Option<SmsRow>,
}

impl Outgoing {
    fn recipient(&self) -> Option<Recipient> {
        // A number that the CRM gave is not exchanged for another of the same person.
        if let Some(number) = self.sms.as_ref().and_then(|sms| sms.number.as_deref()) {
            return Some(Recipient::Phone(WaId::from(number)));
        }
        let phone = self.person.wa_id.as_deref().map(|id| Recipient::Phone(WaId::from(id)));
        phone.or_else(|| self.person.user_id.as_deref().map(|id| Recipient::User(UserId::from(id))))
    }

    /// By what the person counts against the messaging limit.
    pub(super) fn limit_key(&self) -> Option<String> {
        Some(match self.recipient()? {
            Recipient::Phone(wa_id) => wa_id.into_string(),
            Recipient::User(user_id) => user_id.into_string(),
        })
    }
}

/// How one part went.
enum Gone {
    Accepted(Box<Accepted>),
    /// Its answer was lost, but a status has proven it already.
    Proven,
    Refused {
        code: Option<i64>,
        error: WireError,
    },
    /// Not now: the whole job is settled so.
    Stopped(Settlement),
    /// Not before then: the messaging limit is reached.
    LimitReached(DateTime<Utc>),
    /// In another form.
    Replanned,
}

impl Relay {
    /// Meta may have given the phone another throughput.
    fn set_pace(&self, queue: &str) {
        let snapshot = self.directory.now();
        let phone = Class::of_queue(queue).and_then(|(_, phone)| snapshot.phone(&phone.into()));
        if let Some(phone) = phone {
            self.scheduler.set_pace(queue, pace::per_second(&phone.row));
        }
    }

    async fn send_job(&self, queue: &str, job: Running) -> Settled {
        match Job::from_json(&job.row.payload) {
            Ok(Job::Send { chat_id, item }) => self.send_message(queue, job, chat_id, item).await,
            Ok(Job::Fallback { chat_id, failed_id }) => {
                self.send_fallback(queue, job, chat_id, failed_id).await
            }
            Ok(Job::Sms { chat_id }) => self.send_sms(queue, job, chat_id).await,
            Ok(Job::MarkRead { wamid }) => self.mark_read(queue, job, &wamid).await,
            Ok(_) | Err(_) => {
                let error = "this version cannot read the job".to_owned();
                Settled::plain(job, Settlement::Dead { error })
            }
        }
    }

    async fn send_message(&self, queue: &str, job: Running, chat_id: String, item: OperatorItem) -> Settled {
        let (outgoing, rows) = match self.load(&job, chat_id, Some(item)).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return gone(job),
            Err(error) => return self.not_read(job, &error),
        };
        let rows = match rows.is_empty() {
            false => rows,
            true => match self.plan_message(&job, &outgoing).await {
                Ok(rows) => rows,
                Err(settled) => return settled(job),
            },
        };
        self.drive(queue, job, outgoing, rows).await
    }

    async fn send_fallback(&self, queue: &str, job: Running, chat_id: String, failed_id: String) -> Settled {
        let (outgoing, rows) = match self.load(&job, chat_id, None).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return gone(job),
            Err(error) => return self.not_read(job, &error),
        };
        let rows = match rows.is_empty() {
            false => rows,
            true => match self.plan_fallback(&job, &outgoing, failed_id).await {
                Ok(Some(rows)) => rows,
                Ok(None) => return gone(job),
                Err(error) => return self.not_read(job, &error),
            },
        };
        self.drive(queue, job, outgoing, rows).await
    }

    pub(super) async fn load(
        &self,
        job: &Running,
        chat_id: String,
        item: Option<OperatorItem>,
    ) -> Result<Option<(Outgoing, Vec<MessageRow>)>, StoreError> {
        let job_id = job.row.id.clone();
        let loaded = self
            .db
            .read(move |conn| {
                let Some(chat) = chats::get(conn, &chat_id)? else { return Ok(None) };
                let person = chats::people(conn, std::slice::from_ref(&chat_id))?.pop();
                let (rows, sms) = (ledger::of_job(conn, &job_id)?, sms::of_job(conn, &job_id)?);
                Ok(person.map(|person| ((chat, person, sms), rows)))
            })
            .await?;
        // A job that was given up runs only because somebody replays it.
        let given_up = loaded.iter().flat_map(|(_, rows)| rows).filter(|row| row.was_given_up());
        let given_up: Vec<String> = given_up.map(|row| row.id.clone()).collect();
        if !given_up.is_empty() {
            let revive =
                move |tx: &mut Tx<'_>| given_up.iter().try_for_each(|id| ledger::revive(tx.conn, id));
            self.db.write(revive).await?;
        }
        Ok(loaded.map(|((chat, person, sms), rows)| {
            let phone = PhoneKey::from(chat.phone_id.as_str());
            (Outgoing { chat, person, snapshot: self.directory.now(), phone, item, sms }, rows)
        }))
    }

    /// Sends what is not sent yet, in order, and settles the job.
    pub(super) async fn drive(
        &self,
        queue: &str,
        job: Running,
        outgoing: Outgoing,
        rows: Vec<MessageRow>,
    ) -> Settled {
        let mut maybe_twice = job.row.maybe_twice;
        let (mut accepted_any, mut has_place) = (false, true);
        let mut last = None;
        let mut refused: Option<WireError> = None;
        for row in rows {
            let failed = row.delivery() == DeliveryState::Failed && !row.was_given_up();
            if row.wamid.is_some() || failed {
                accepted_any |= row.wamid.is_some();
                continue;
            }
            if let Some(effects) = last.take() {
                self.write_surely(effects).await;
            }
            if let Some(error) = &refused {
                last = Some(refusal(&outgoing, &row, None, error.clone(), self.clock.now()));
                continue;
            }
            if row.send_started {
                match self.waits_in_doubt(queue, &job, &outgoing, &row).await {
                    None => {}
                    Some(dead @ Settlement::Dead { .. }) => {
                        return given_up(Settled::plain(job, dead), outgoing, self.clock.now());
                    }
                    Some(again) => return Settled::plain(job, again),
                }
            }
            match self.send_part(queue, &job, &outgoing, &row, &mut maybe_twice, &mut has_place).await {
                Gone::Proven => accepted_any = true,
                Gone::Accepted(accepted) => {
                    accepted_any = true;
                    last = Some(acceptance(&outgoing, &row, *accepted, self.clock.now()));
                }
                // An earlier call may have had its effect: nobody may say that it was not sent, or send it anew.
                Gone::Refused { code: Some(WINDOW_CLOSED), .. } if row.send_started => {
                    let error = "the service window closed before the send was proven".to_owned();
                    let mut settled = Settled::plain(job, Settlement::Dead { error });
                    settled.maybe_twice = maybe_twice;
                    return given_up(settled, outgoing, self.clock.now());
                }
                Gone::Refused { code: Some(WINDOW_CLOSED), .. }
                    if !accepted_any && self.decides_anew(&outgoing) =>
                {
                    return self.planned_anew(job, &outgoing);
                }
                Gone::Refused { code, error } => {
                    if code.is_some_and(|code| OF_PERSON.contains(&code)) {
                        refused = Some(error.clone());
                    }
                    last = Some(refusal(&outgoing, &row, code, error, self.clock.now()));
                }
                Gone::Replanned => {
                    let now = self.clock.now();
                    let error = "sent in another form".to_owned();
                    let doubtful = row.send_started;
                    let again = Settlement::Again { not_before: now, error, counts: false, doubtful };
                    let mut settled = Settled::plain(job, again);
                    settled.maybe_twice = maybe_twice;
                    return settled;
                }
                Gone::LimitReached(until) => {
                    let doubtful = row.send_started;
                    let error = LIMIT_WAIT.to_owned();
                    let again = Settlement::Again { not_before: until, error, counts: false, doubtful };
                    let mut settled =
                        limit_told(Settled::plain(job, again), outgoing, until, self.clock.now());
                    settled.maybe_twice = maybe_twice;
                    return settled;
                }
                Gone::Stopped(settlement) => {
                    let mut settled = Settled::plain(job, settlement);
                    settled.maybe_twice = maybe_twice;
                    return match settled.settlement {
                        Settlement::Dead { .. } => given_up(settled, outgoing, self.clock.now()),
                        _ => settled,
                    };
                }
            }
        }
        self.metrics.job("send", if accepted_any { "accepted" } else { "refused" });
        let (now, created) = (self.clock.now(), job.row.created_at.and_utc());
        self.metrics.relayed("outbound", (now - created).to_std().unwrap_or_default());
        let mut settled = Settled::plain(job, Settlement::Done).with(move |tx| {
            if let Some(effects) = &mut last {
                effects(tx)?;
            }
            if accepted_any { after_acceptance(tx, &outgoing, now) } else { Ok(()) }
        });
        settled.maybe_twice = maybe_twice;
        settled
    }

    async fn mark_read(&self, queue: &str, job: Running, wamid: &str) -> Settled {
        let snapshot = self.directory.now();
        let phone = Class::of_queue(queue).map(|(_, phone)| PhoneKey::from(phone));
        let Some(channel) = phone.as_ref().and_then(|phone| snapshot.channel(phone)) else {
            return gone(job);
        };
        let graph = match &channel.app.graph_version {
            Some(version) => self.graph.at_version(version),
            None => self.graph.clone(),
        };
        let outcome =
            graph.mark_read(channel.token(), &channel.phone.phone_number_id, &Wamid::from(wamid)).await;
        match outcome {
            Ok(()) => Settled::plain(job, Settlement::Done),
            Err(error) if error.verdict() == Verdict::GiveUp => {
                tracing::info!(error = chain(&error), "a message could not be marked read");
                Settled::plain(job, Settlement::Done)
            }
            Err(error) => match self.cloud_trouble(queue, &job, error.verdict(), false, chain(&error)) {
                Gone::Stopped(settlement) => Settled::plain(job, settlement),
                _ => Settled::plain(job, Settlement::Done),
            },
        }
    }
}

pub(super) fn gone(job: Running) -> Settled {
    let error = "the chat or phone of this job is gone".to_owned();
    Settled::plain(job, Settlement::Dead { error })
}
