//! Sends one part of a message: paced, uploaded, marked on disk, sent; and what Meta's refusal means for it.

use chrono::{DateTime, Duration, Utc};

use super::{
    Gone, INVALID_PARAMETER, MEDIA_REFUSED, OPTED_OUT, Outgoing, PAIR_RATE, TEMPLATE_DISABLED,
    TEMPLATE_PAUSED, TEMPLATE_UNKNOWN, WINDOW_CLOSED,
};
use crate::directory::Channel;
use crate::domain::template::TemplateStatus;
use crate::domain::{BlobId, ChatId, MediaId, Verdict};
use crate::queue::job;
use crate::queue::worker::Running;
use crate::relay::fetch::chain;
use crate::relay::gate::{Booking, Gate};
use crate::relay::parts::{Form, Part};
use crate::relay::{Relay, statuses};
use crate::store::Tx;
use crate::store::chats;
use crate::store::jobs::{self, NewJob, Settlement};
use crate::store::messages::{self as ledger, MessageRow};
use crate::translate::notes::{self, Note};
use crate::whatsapp::client::UploadFile;
use crate::whatsapp::error::RetryClass;
use crate::whatsapp::message::WireError;
use crate::whatsapp::{GraphClient, GraphError, OutgoingMessage};

impl Relay {
    pub(super) async fn send_part(
        &self,
        queue: &str,
        job: &Running,
        outgoing: &Outgoing,
        row: &MessageRow,
        maybe_twice: &mut bool,
        has_place: &mut bool,
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
        if !part.is_template() && !self.window_is_open(outgoing, now).await {
            return window_closed();
        }
        // The first part has the place that its job took.
        if !std::mem::take(has_place)
            && let Err(until) = self.scheduler.admit(queue, now)
        {
            return later(until, "waiting: as many messages a second as WhatsApp takes".to_owned());
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
            Ok(Gate::NotBefore(then)) => return Gone::LimitReached(then),
            Ok(Gate::OptedOut) => return opted_out(),
            Ok(Gate::NotApproved(status, reason)) => return not_approved(&status, reason),
            Err(error) => return later(now + Duration::seconds(1), chain(&error)),
        };
        let (id, opaque, repeated) = (row.id.clone(), row.opaque().unwrap_or_default(), row.send_started);
        let uploaded = (!uploaded_before && part.uploaded().is_some()).then(|| part.clone());
        let booked = booking.clone();
        let start = move |tx: &mut Tx<'_>| {
            if let Some(booking) = &booked {
                booking.store(tx)?;
            }
            if let Some(part) = &uploaded {
                ledger::replan(tx.conn, &id, part.kind(), part.body(), &part.to_json())?;
            }
            ledger::send_started(tx.conn, &id, repeated)
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
            return Gone::Stopped(self.after_silence(row, error).await);
        }
        let code = error.code();
        // The call surely had no effect: the mark goes, so that a later try is no repeat. There is none after a
        // closed window; then the mark tells of an earlier call.
        if code != Some(WINDOW_CLOSED) || !row.send_started {
            let id = row.id.clone();
            self.write_surely(Box::new(move |tx: &mut Tx<'_>| ledger::send_undone(tx.conn, &id))).await;
        }
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

    /// The part may have waited for long since it was planned; and what closed its window may be what we have not
    /// read yet, since the customer may have written after its chat was loaded.
    async fn window_is_open(&self, outgoing: &Outgoing, now: DateTime<Utc>) -> bool {
        if outgoing.chat.window().allows_free_text(now) {
            return true;
        }
        let chat = outgoing.chat.id.clone();
        let current = self.db.read(move |conn| chats::get(conn, &chat)).await;
        current.is_ok_and(|chat| chat.is_some_and(|chat| chat.window().allows_free_text(now)))
    }

    pub(super) fn cloud_trouble(
        &self,
        queue: &str,
        job: &Running,
        verdict: Verdict,
        doubtful: bool,
        error: String,
    ) -> Gone {
        let now = self.clock.now();
        let since = job.row.troubled_since(now);
        let failure = self.settings.policy.decide(verdict, doubtful, error.clone(), since, now);
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

/// As Meta would refuse it.
fn not_approved(status: &TemplateStatus, reason: Option<String>) -> Gone {
    let code = match status {
        TemplateStatus::Paused => TEMPLATE_PAUSED,
        TemplateStatus::Disabled => TEMPLATE_DISABLED,
        _ => TEMPLATE_UNKNOWN,
    };
    let title = format!("the state of the template is {}", status.as_str());
    let error = WireError { code: Some(code), title: Some(title), message: None, details: reason };
    Gone::Refused { code: Some(code), error }
}

fn refused_here(row: &MessageRow, reason: &str) -> Gone {
    tracing::warn!(message.id = row.id, reason, "a message cannot be sent");
    let error = WireError { code: None, title: Some(reason.to_owned()), message: None, details: None };
    Gone::Refused { code: None, error }
}
