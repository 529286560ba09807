//! Sends operators' messages to WhatsApp, part by part, each surely once or marked.
//!
//! Meta knows no idempotency key. So a part is marked on disk before its call goes out and bears our job and
//! part as callback data. If the answer never came, the job waits for a status that bears the mark
//! ([`super::Settings::doubt`]); only then the part is sent again, and the job says `maybe_twice`. After two
//! repeats that end in doubt as well it is given up.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::effects::{acceptance, after_acceptance, broken_off, given_up, refusal};
use super::fetch::chain;
use super::gate::{Booking, Gate, LIMIT_WAIT};
pub use super::pairs::Pairs;
use super::parts::{Form, Part};
use super::{Relay, statuses};
use crate::directory::{Channel, Snapshot};
use crate::domain::{BlobId, ChatId, DeliveryState, MediaId, PhoneKey, UserId, Verdict, WaId, Wamid};
use crate::queue::job::{self, Class, Job, OperatorItem};
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::chats::{ChatPerson, ChatRow};
use crate::store::jobs::{self, JobRow, NewJob, Settlement};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::sms::{self, SmsRow};
use crate::store::{StoreError, Tx, chats};
use crate::translate::notes::{self, Note};
use crate::whatsapp::client::Accepted;
use crate::whatsapp::client::UploadFile;
use crate::whatsapp::error::RetryClass;
use crate::whatsapp::message::WireError;
use crate::whatsapp::{GraphClient, GraphError, OutgoingMessage, Recipient};

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
/// Codes that say something of the person, not of the message: the other parts would fail alike.
const OF_PERSON: [i64; 7] = [WINDOW_CLOSED, 131021, 131026, 131030, 130403, 130497, 131062];

/// Runs the jobs of class [`Class::Send`].
pub struct Sender(pub Arc<Relay>);

impl Runner for Sender {
    async fn run(&self, started: Started) {
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
    /// In another form.
    Replanned,
}

impl Relay {
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
        let mut accepted_any = false;
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
                // After a restart there is no waiting time: then it has to be waited for from now.
                let waited = job.row.doubtful && job.row.not_before.is_some();
                if !waited {
                    let not_before = self.clock.now() + self.settings.doubt;
                    let error = "the answer to the send never came; waiting for a status that bears its mark";
                    let error = error.to_owned();
                    return Settled::plain(
                        job,
                        Settlement::Again { not_before, error, counts: false, doubtful: true },
                    );
                }
                let (now, created) = (self.clock.now(), job.row.created_at.and_utc());
                let error = "no status has proven the send".to_owned();
                let failure = self.settings.policy.decide(Verdict::Retry, true, error, created, now);
                if matches!(failure.settlement, Settlement::Dead { .. }) {
                    return given_up(Settled::plain(job, failure.settlement), outgoing, now);
                }
            }
            match self.send_part(queue, &job, &outgoing, &row, &mut maybe_twice).await {
                Gone::Proven => accepted_any = true,
                Gone::Accepted(accepted) => {
                    accepted_any = true;
                    last = Some(acceptance(&outgoing, &row, *accepted, self.clock.now()));
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

    async fn send_part(
        &self,
        queue: &str,
        job: &Running,
        outgoing: &Outgoing,
        row: &MessageRow,
        maybe_twice: &mut bool,
    ) -> Gone {
        let now = self.clock.now();
        // What this part has waited for in doubt is not waited for again.
        let doubtful = row.send_started;
        let later = |not_before: DateTime<Utc>, error: String| {
            Gone::Stopped(Settlement::Again { not_before, error, counts: false, doubtful })
        };
        let Some((channel, graph)) = self.way_out(outgoing) else {
            let error = "the phone cannot be used".to_owned();
            return self.cloud_trouble(queue, job, Verdict::Reauthorize, doubtful, error);
        };
        let Some(to) = outgoing.recipient() else {
            return refused_here(row, "the contact has neither a number nor a user id");
        };
        let Ok(part) = Part::from_json(&row.payload) else {
            return refused_here(row, "this version cannot read the stored part");
        };
        // The last gate: whatever was planned, a text that begins so is somebody's slip.
        if part.begins_as_shorthand() {
            return refused_here(row, "a text that begins as a template's short line is never sent");
        }
        // It may have waited for long since it was planned.
        if !part.is_template() && !outgoing.chat.window().allows_free_text(now) {
            return window_closed();
        }
        if let Err(until) = self.pace.admit(queue, now) {
            self.scheduler.rest(queue, until);
            return later(now, "waiting: as many messages a second as WhatsApp takes".to_owned());
        }
        if let Err(wait) = self.pairs.admit(&outgoing.chat.id, now) {
            return later(now + wait, "waiting: too many messages to one person".to_owned());
        }
        let uploaded_before = part.uploaded().is_some();
        let reused = match part.to_upload() {
            Some((mime, _)) if part.is_template() => self.uploaded_before(row, &mime).await,
            _ => None,
        };
        let reusable = uploaded_before || reused.is_some();
        let part = match part.to_upload() {
            Some(_) if reused.is_some() => part.with_upload(reused),
            Some((mime, filename)) => match self.upload(&graph, &channel, row, &mime, &filename).await {
                Ok(id) => {
                    self.remember_upload(row, &mime, &id).await;
                    part.with_upload(Some(id))
                }
                Err(GraphError::File(error)) => {
                    tracing::error!(message.id = row.id, error = %error, "a file is gone from the disk");
                    return refused_here(row, "the file of the message is gone");
                }
                Err(error) if error.verdict() == Verdict::GiveUp => {
                    return self.in_another_form(outgoing, row, &part, &chain(&error)).await;
                }
                Err(error) => {
                    return self.cloud_trouble(queue, job, error.verdict(), doubtful, chain(&error));
                }
            },
            None => part,
        };
        let Some(content) = part.content() else {
            return refused_here(row, "the file of the part is missing");
        };
        let booking = match self.gate(outgoing, &channel, &content, now).await {
            Ok(Gate::Open) => None,
            Ok(Gate::Booked(booking)) => Some(booking),
            Ok(Gate::NotBefore(then)) => return later(then, LIMIT_WAIT.to_owned()),
            Ok(Gate::OptedOut) => return opted_out(),
            Err(error) => return later(now + Duration::seconds(1), chain(&error)),
        };
        let (id, opaque, repeated) = (row.id.clone(), row.opaque().unwrap_or_default(), row.send_started);
        let marked = row.maybe_twice || repeated;
        let uploaded = (!uploaded_before && part.uploaded().is_some()).then(|| part.clone());
        let booked = booking.clone();
        let start = move |tx: &mut Tx<'_>| {
            if let Some(booking) = &booked {
                booking.store(tx)?;
            }
            if let Some(part) = &uploaded {
                ledger::replan(tx.conn, &id, part.kind(), part.body(), &part.to_json())?;
            }
            ledger::send_started(tx.conn, &id, marked)
        };
        if let Err(error) = self.db.write(start).await {
            return later(now + Duration::seconds(1), chain(&error));
        }
        *maybe_twice |= repeated;
        let context = part.quote.clone();
        let message = OutgoingMessage { to, content, context, opaque };
        match graph.send(channel.token(), &channel.phone.phone_number_id, &message).await {
            Ok(accepted) => {
                self.scheduler.resume(queue);
                self.metrics.graph_call("send", "ok");
                Gone::Accepted(Box::new(accepted))
            }
            Err(error) => {
                self.metrics.graph_call("send", "failed");
                self.not_counted(booking, &error).await;
                let gone = self.send_failed(queue, job, row, &error).await;
                match gone {
                    // The upload may have expired or belong to another number: once more with a fresh one.
                    Gone::Refused { code: Some(INVALID_PARAMETER), .. } if reusable => {
                        self.forget_upload(row, &part).await;
                        self.replan(row, part.with_upload(None), None).await
                    }
                    Gone::Refused { code: Some(MEDIA_REFUSED), .. }
                        if part.uploaded().is_some() && !part.is_template() =>
                    {
                        self.in_another_form(outgoing, row, &part, &chain(&error)).await
                    }
                    gone => gone,
                }
            }
        }
    }

    /// Gives the place in the messaging limit back, if the send surely had no effect.
    async fn not_counted(&self, booking: Option<Booking>, error: &GraphError) {
        let Some(booking) = booking.filter(|_| !error.in_doubt()) else { return };
        self.take_back(&booking);
        self.write_surely(Box::new(move |tx: &mut Tx<'_>| booking.undo(tx))).await;
    }

    async fn send_failed(&self, queue: &str, job: &Running, row: &MessageRow, error: &GraphError) -> Gone {
        let now = self.clock.now();
        if error.in_doubt() {
            tracing::warn!(job.id = job.row.id, error = chain(error), "the answer to a send never came");
            self.scheduler.pause(queue, Duration::zero(), now);
            // The status may have been faster than the end of the connection.
            let id = row.id.clone();
            let current = self.db.read(move |conn| ledger::get(conn, &id)).await;
            if current.is_ok_and(|row| row.is_some_and(|row| row.wamid.is_some())) {
                return Gone::Proven;
            }
            // This was the second repeat: each may have arrived, and a third copy helps nobody.
            if row.send_started && row.maybe_twice {
                let error = format!("given up after two repeats in doubt: {}", chain(error));
                return Gone::Stopped(Settlement::Dead { error });
            }
            let not_before = now + self.settings.doubt;
            let error = chain(error);
            return Gone::Stopped(Settlement::Again { not_before, error, counts: false, doubtful: true });
        }
        // The call surely had no effect: the mark goes, so that a later try is no repeat.
        let id = row.id.clone();
        self.write_surely(Box::new(move |tx: &mut Tx<'_>| ledger::send_undone(tx.conn, &id))).await;
        let code = error.code();
        if code == Some(PAIR_RATE) {
            let wait = crate::queue::policy::own_delay(job.row.attempts.clamp(1, 4));
            let (not_before, error) = (now + wait, chain(error));
            // The pace is ours to keep: it counts against no message.
            return Gone::Stopped(Settlement::Again { not_before, error, counts: false, doubtful: false });
        }
        if error.retry_class() == Some(RetryClass::FewTimes) {
            let settlement = self.settings.policy.own_verdict(job.row.attempts, chain(error), now);
            return match settlement {
                Settlement::Dead { .. } => Gone::Refused { code, error: wire_error(error) },
                again => Gone::Stopped(again),
            };
        }
        match error.verdict() {
            Verdict::GiveUp => Gone::Refused { code, error: wire_error(error) },
            verdict => self.cloud_trouble(queue, job, verdict, false, chain(error)),
        }
    }

    fn cloud_trouble(
        &self,
        queue: &str,
        job: &Running,
        verdict: Verdict,
        doubtful: bool,
        error: String,
    ) -> Gone {
        let now = self.clock.now();
        let created = job.row.created_at.and_utc();
        let failure = self.settings.policy.decide(verdict, doubtful, error.clone(), created, now);
        if let Some(wait) = failure.pause {
            let until = self.scheduler.pause(queue, wait, now);
            tracing::warn!(queue, error, until = %until, "WhatsApp cannot be used for a phone; its messages wait");
        }
        Gone::Stopped(failure.settlement)
    }

    pub(super) fn way_out<'a>(&self, outgoing: &'a Outgoing) -> Option<(Channel<'a>, GraphClient)> {
        let channel = outgoing.snapshot.channel(&outgoing.phone)?;
        if channel.broken().is_some() {
            return None;
        }
        let graph = match &channel.app.graph_version {
            Some(version) => self.graph.at_version(version),
            None => self.graph.clone(),
        };
        Some((channel, graph))
    }

    async fn upload(
        &self,
        graph: &GraphClient,
        channel: &Channel<'_>,
        row: &MessageRow,
        mime: &str,
        filename: &str,
    ) -> Result<MediaId, GraphError> {
        let blob = BlobId::from(row.blob_id.as_deref().unwrap_or_default());
        // An id that is none of ours has no path; opening the empty one fails as a missing file does.
        let path = self.blobs.path(&blob).unwrap_or_default();
        let file = UploadFile { path: &path, mime, filename };
        graph.upload(channel.token(), &channel.phone.phone_number_id, file).await
    }

    /// The file was refused: a document instead, or a link instead of a document.
    async fn in_another_form(
        &self,
        outgoing: &Outgoing,
        row: &MessageRow,
        part: &Part,
        reason: &str,
    ) -> Gone {
        tracing::info!(message.id = row.id, reason, "a file is sent in another form");
        let other = match self.other_form(row, part).await {
            Ok(Some(other)) => other,
            Ok(None) => return refused_here(row, reason),
            Err(error) => {
                let not_before = self.clock.now() + Duration::seconds(1);
                let (error, doubtful) = (chain(&error), row.send_started);
                return Gone::Stopped(Settlement::Again { not_before, error, counts: false, doubtful });
            }
        };
        let note = match (&part.form, &other.form) {
            (Form::File { filename, .. }, Form::Text { .. }) => {
                outgoing.snapshot.phone(&outgoing.phone).map(|phone| {
                    let note = Note::FileAsLink { name: filename.clone(), limit: None };
                    let text = notes::text(&note, statuses::language_of(&outgoing.snapshot, phone));
                    let chat = ChatId::from(outgoing.chat.id.as_str());
                    job::note(&phone.key, &chat, &format!("form:{}", row.id), text)
                })
            }
            _ => None,
        };
        self.replan(row, other, note).await
    }

    async fn replan(&self, row: &MessageRow, part: Part, note: Option<NewJob>) -> Gone {
        let (id, now) = (row.id.clone(), self.clock.now());
        let replan = move |tx: &mut Tx<'_>| {
            ledger::replan(tx.conn, &id, part.kind(), part.body(), &part.to_json())?;
            note.iter().try_for_each(|note| jobs::enqueue(tx, note, now).map(drop))
        };
        self.write_surely(Box::new(replan)).await;
        Gone::Replanned
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

fn wire_error(error: &GraphError) -> WireError {
    let refusal = error.refusal();
    WireError {
        code: error.code(),
        title: Some(refusal.map_or_else(|| chain(error), |refusal| refusal.message.clone())),
        message: None,
        details: refusal.and_then(|refusal| refusal.details.clone()),
    }
}

fn window_closed() -> Gone {
    let title = "the service window is closed".to_owned();
    let error = WireError { code: Some(WINDOW_CLOSED), title: Some(title), message: None, details: None };
    Gone::Refused { code: Some(WINDOW_CLOSED), error }
}

fn opted_out() -> Gone {
    let title = "the person has stopped marketing messages".to_owned();
    let error = WireError { code: Some(OPTED_OUT), title: Some(title), message: None, details: None };
    Gone::Refused { code: Some(OPTED_OUT), error }
}

fn refused_here(row: &MessageRow, reason: &str) -> Gone {
    tracing::warn!(message.id = row.id, reason, "a message cannot be sent");
    let error = WireError { code: None, title: Some(reason.to_owned()), message: None, details: None };
    Gone::Refused { code: None, error }
}
