//! What becomes of an operator's text while the window is closed: the phone's setting decides.
//!
//! `tell`: the operator is told, with the templates to choose from. `template`: the phone's fallback template
//! carries the text. `hold`: the text waits on disk, outside of the lane, until the contact writes; then it is
//! sent in its order.

use chrono::{DateTime, Duration, Utc};

use super::prepare::{Ending, new_rows};
use super::sender::Outgoing;
use super::shorthand::default_language;
use super::{Relay, statuses};
use crate::clock::new_id;
use crate::directory::Snapshot;
use crate::domain::template::Template;
use crate::domain::{ChatId, PhoneKey};
use crate::queue::job::{self, Class, FileHere, Job, Kind, OperatorItem, lane_out};
use crate::queue::worker::{Running, Settled};
use crate::relay::plan::OutgoingFile;
use crate::store::blobs;
use crate::store::held::{self, HeldRow};
use crate::store::jobs::{self, NewJob, Settlement};
use crate::store::messages::MessageRow;
use crate::store::{StoreError, Tx, chats, messages as ledger};
use crate::translate::notes::{self, Note};
use crate::translate::shorthand::{FillOptions, Refusal, fill_fallback, ready_lines};
use crate::translate::to_whatsapp::OperatorText;

/// So long a text waits for the contact: what was to be said a week ago is said anew or not at all.
const HELD_FOR: Duration = Duration::days(7);
/// How the keys of jobs begin that send what was held.
const HELD: &str = "held:";
/// So many short lines are told.
const LINES: usize = 8;
/// Texts that one look removes.
const STEP: i64 = 200;

impl Relay {
    /// An operator's text outside of the 24 hours.
    pub(super) async fn plan_closed(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        item: &OperatorItem,
        text: &OperatorText,
    ) -> Result<Vec<MessageRow>, Ending> {
        if text.body.trim().is_empty() && item.files.is_empty() {
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::NothingToSend));
        }
        let phone = outgoing.snapshot.phone(&outgoing.phone);
        let setting = phone.map(|phone| phone.row.closed_window.clone()).unwrap_or_default();
        let template = phone.and_then(|phone| phone.row.fallback_template.clone());
        match (setting.as_str(), template) {
            ("hold", _) => Err(self.hold(job, outgoing, item, text).await),
            ("template", Some(template)) => self.plan_carried(job, outgoing, item, text, &template).await,
            _ => Err(self.tell_closed(job, outgoing, None).await),
        }
    }

    /// The fallback template with the text in it.
    async fn plan_carried(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        item: &OperatorItem,
        text: &OperatorText,
        setting: &str,
    ) -> Result<Vec<MessageRow>, Ending> {
        let templates = match self.templates_of(outgoing).await {
            Ok(templates) => templates,
            Err(error) => return Err(self.plan_failed(job, outgoing, &error)),
        };
        let language = default_language(outgoing);
        let options = FillOptions { default_language: language.as_deref(), attached: 0 };
        let reason = |refusal: &Refusal| {
            let phone = outgoing.snapshot.phone(&outgoing.phone);
            let language = phone.map(|phone| statuses::language_of(&outgoing.snapshot, phone));
            refusal.text(language.unwrap_or_default())
        };
        if !item.files.is_empty() {
            return Err(self
                .tell_closed(
                    job,
                    outgoing,
                    Some(reason(&Refusal::FilesAttached { template: setting.to_owned() })),
                )
                .await);
        }
        match fill_fallback(setting, &text.body, &templates, &options) {
            Ok(filled) => self.plan_filled(job, outgoing, item, filled).await,
            Err(refusal) => Err(self.tell_closed(job, outgoing, Some(reason(&refusal))).await),
        }
    }

    /// Nothing is sent; the operator has the templates to choose from.
    async fn tell_closed(&self, job: &Running, outgoing: &Outgoing, reason: Option<String>) -> Ending {
        // Without them the note is as good as it can be.
        let templates = self.templates_of(outgoing).await.unwrap_or_default();
        let (lines, more) = choices(&templates);
        self.ends_with_note(outgoing, &job.row.id, Note::WindowClosed { reason, lines, more })
    }

    /// The text waits on disk with its files; the job is done.
    async fn hold(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        item: &OperatorItem,
        text: &OperatorText,
    ) -> Ending {
        // The portal's addresses of files do not live long.
        let (files, places, lost) = match self.fetch_files(job, &outgoing.chat.id, item).await {
            Ok(fetched) => fetched,
            Err(ending) => return ending,
        };
        let mut item = item.clone();
        for (file, at) in files.iter().zip(&places) {
            if let (OutgoingFile::Here(fetched), Some(of)) = (file, item.files.get_mut(*at)) {
                let (blob_id, send_as) = (fetched.row.id.clone(), fetched.send_as.as_str().to_owned());
                of.here = Some(FileHere { blob_id, send_as });
            }
        }
        let now = self.clock.now();
        let names = item.files.iter().map(|file| file.name.as_str());
        let body: Vec<&str> =
            [text.body.as_str()].into_iter().filter(|body| !body.is_empty()).chain(names).collect();
        let row = HeldRow {
            id: new_id(),
            chat_id: outgoing.chat.id.clone(),
            phone_id: outgoing.phone.to_string(),
            portal_id: item.portal_id.clone(),
            im_message_id: item.im_message_id.clone(),
            // Plain data with text keys: writing it as JSON cannot fail.
            item: serde_json::to_string(&item).unwrap_or_default(),
            body: body.join("\n"),
            created_at: now.naive_utc(),
            expires_at: (now + HELD_FOR).naive_utc(),
        };
        let blobs_of = new_rows(&files);
        let (snapshot, phone) = (outgoing.snapshot.clone(), outgoing.phone.clone());
        let chat = ChatId::from(outgoing.chat.id.as_str());
        let known_chats = self.known_chats.clone();
        Box::new(move |job: Running| {
            let job_id = job.row.id.clone();
            let known_chats = known_chats.clone();
            Settled::plain(job, Settlement::Done).with(move |tx| {
                for blob in &blobs_of {
                    blobs::insert(tx.conn, blob)?;
                }
                held::insert(tx.conn, &row)?;
                // A chat in memory has nothing held.
                known_chats.forget_all();
                // The contact may have written since this job looked.
                let chat_row = chats::get(tx.conn, &row.chat_id)?;
                if chat_row.is_some_and(|chat| chat.window().allows_free_text(now)) {
                    return release(tx, &phone, &row.chat_id, now);
                }
                let Some(phone) = snapshot.phone(&phone) else { return Ok(()) };
                let language = statuses::language_of(&snapshot, phone);
                let mut told = vec![Note::Held { days: HELD_FOR.num_days() }];
                told.extend(lost.iter().cloned().map(|name| Note::FileUnavailable { name }));
                for (index, note) in told.iter().enumerate() {
                    let text = notes::text(note, language);
                    jobs::enqueue(
                        tx,
                        &job::note(&phone.key, &chat, &format!("held:{job_id}:{index}"), text),
                        now,
                    )?;
                }
                Ok(())
            })
        })
    }

    /// Whether held texts of the chat are on their way behind this job, which was written after them.
    pub(super) async fn lets_held_pass(&self, job: &Running, outgoing: &Outgoing) -> bool {
        let phone = outgoing.snapshot.phone(&outgoing.phone);
        if phone.is_none_or(|phone| phone.row.closed_window != "hold") {
            return false;
        }
        let row = job.row.clone();
        self.db.read(move |conn| jobs::has_to_let_pass(conn, &row, HELD)).await.unwrap_or(false)
    }

    /// The same message once more, at the end of its lane.
    pub(super) fn behind_held(&self, outgoing: &Outgoing, item: &OperatorItem) -> Ending {
        let (phone, chat, item) = (outgoing.phone.clone(), outgoing.chat.id.clone(), item.clone());
        let now = self.clock.now();
        Box::new(move |job: Running| {
            let key = job.row.id.clone();
            Settled::plain(job, Settlement::Done).with(move |tx| {
                jobs::enqueue(tx, &send_job(&phone, &chat, &key, item.clone()), now).map(drop)
            })
        })
    }

    /// Whether a free text that met a closed window is not simply refused: it may have closed since the text
    /// was planned, or only Meta knew.
    pub(super) fn decides_anew(&self, outgoing: &Outgoing) -> bool {
        let phone = outgoing.snapshot.phone(&outgoing.phone);
        let setting = phone.map(|phone| phone.row.closed_window.as_str()).unwrap_or_default();
        match &outgoing.sms {
            Some(_) => phone.is_some_and(|phone| phone.row.fallback_template.is_some()),
            None => outgoing.item.is_some() && matches!(setting, "hold" | "template"),
        }
    }

    /// Drops a plan of which nothing has gone: the next run finds the window closed.
    pub(super) fn planned_anew(&self, job: Running, outgoing: &Outgoing) -> Settled {
        let chat = outgoing.chat.clone();
        let (not_before, error) = (self.clock.now(), "the service window is closed".to_owned());
        let job_id = job.row.id.clone();
        let again = Settlement::Again { not_before, error, counts: false, doubtful: false };
        Settled::plain(job, again).with(move |tx| {
            chats::closed_as_seen(tx.conn, &chat)?;
            ledger::drop_plan(tx.conn, &job_id)
        })
    }

    /// Takes a held text out for good. `false`: it is not held (any more).
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn cancel_held(&self, id: &str) -> Result<bool, StoreError> {
        let (snapshot, id, now) = (self.directory.now(), id.to_owned(), self.clock.now());
        self.db
            .write(move |tx| match held::take(tx.conn, &id)? {
                Some(row) => {
                    let note = Note::HeldCancelled { text: row.body.clone() };
                    tell(tx, &snapshot, &row, "cancelled", &note, now).map(|()| true)
                }
                None => Ok(false),
            })
            .await
    }

    /// An operator takes back what is held: the last text, or all. The line is told what it was.
    pub(super) fn cancel_in_line(&self, outgoing: &Outgoing, all: bool) -> Ending {
        let (snapshot, phone) = (outgoing.snapshot.clone(), outgoing.phone.clone());
        let (chat, now) = (outgoing.chat.id.clone(), self.clock.now());
        Box::new(move |job: Running| {
            let job_id = job.row.id.clone();
            Settled::plain(job, Settlement::Done).with(move |tx| {
                let mut rows = held::of_chat(tx.conn, &chat)?;
                let rows = rows.split_off(if all { 0 } else { rows.len().saturating_sub(1) });
                for row in &rows {
                    held::take(tx.conn, &row.id)?;
                    let note = Note::HeldCancelled { text: row.body.clone() };
                    tell(tx, &snapshot, row, "cancelled", &note, now)?;
                }
                let Some(phone) = snapshot.phone(&phone).filter(|_| rows.is_empty()) else { return Ok(()) };
                let text = notes::text(&Note::NothingHeld, statuses::language_of(&snapshot, phone));
                let key = format!("held:{job_id}");
                jobs::enqueue(tx, &job::note(&phone.key, &ChatId::from(chat.as_str()), &key, text), now)?;
                Ok(())
            })
        })
    }

    /// Takes out what has waited too long, and tells the line.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn expire_held(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let any = self.db.read(move |conn| Ok(!held::expired(conn, now, 1)?.is_empty())).await?;
        if !any {
            return Ok(());
        }
        let snapshot = self.directory.now();
        self.db
            .write(move |tx| {
                for row in held::expired(tx.conn, now, STEP)? {
                    held::take(tx.conn, &row.id)?;
                    let note = Note::HeldExpired { text: row.body.clone(), days: HELD_FOR.num_days() };
                    tell(tx, &snapshot, &row, "expired", &note, now)?;
                }
                Ok(())
            })
            .await
    }
}

/// What an operator may send while the window is closed, as short lines, and how many more there are.
pub(super) fn choices(templates: &[Template]) -> (Vec<String>, usize) {
    ready_lines(templates, LINES)
}

/// The contact wrote or called: what waited for that is sent, in its order, before whatever is written from now on.
///
/// # Errors
/// A failure of the database.
pub fn release(
    tx: &mut Tx<'_>,
    phone: &PhoneKey,
    chat_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for row in held::take_of_chat(tx.conn, chat_id)? {
        let Ok(item) = serde_json::from_str::<OperatorItem>(&row.item) else {
            tracing::error!(held.id = row.id, "a held text cannot be read");
            continue;
        };
        jobs::enqueue(tx, &send_job(phone, chat_id, &row.id, item), now)?;
    }
    Ok(())
}

/// Sends a text that was held.
fn send_job(phone: &PhoneKey, chat_id: &str, key: &str, item: OperatorItem) -> NewJob {
    NewJob {
        kind: Kind::Send.as_str(),
        queue: Class::Send.queue(phone),
        lane: lane_out(&ChatId::from(chat_id)),
        dedupe_key: Some(format!("{HELD}{key}")),
        payload: Job::Send { chat_id: chat_id.to_owned(), item }.to_json(),
        message_id: None,
        not_before: None,
    }
}

fn tell(
    tx: &mut Tx<'_>,
    snapshot: &Snapshot,
    row: &HeldRow,
    what: &str,
    note: &Note,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(phone) = snapshot.phone(&PhoneKey::from(row.phone_id.as_str())) else { return Ok(()) };
    let text = notes::text(note, statuses::language_of(snapshot, phone));
    let chat = ChatId::from(row.chat_id.as_str());
    jobs::enqueue(tx, &job::note(&phone.key, &chat, &format!("{what}:{}", row.id), text), now)?;
    Ok(())
}
