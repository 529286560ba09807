//! Prepares what [`super::sender`] sends: decides whether it may go at all, plans its parts, writes them.

use chrono::Duration;

use super::Relay;
use super::parts::{Form, Part, ShownAs};
use super::plan::{FetchedFile, FileTrouble, PlannedPart, arrange};
use super::sender::Outgoing;
use super::statuses;
use crate::domain::{ChatId, DeliveryState, Direction, Wamid};
use crate::queue::job::{self, OperatorItem};
use crate::queue::worker::{Running, Settled};
use crate::store::StoreError;
use crate::store::blobs::{self, BlobRow};
use crate::store::jobs::{self, Settlement};
use crate::store::messages::{self as ledger, MessageRow, NewMessage};
use crate::translate::markup;
use crate::translate::notes::{self, Note};
use crate::translate::to_whatsapp::{HeldBack, OperatorOptions, OperatorText, operator_text};

/// How far back a quoted text is looked for.
const QUOTES_DAYS: i64 = 400;
/// Messages of a chat that are looked through for a quoted text.
const QUOTES_MESSAGES: i64 = 500;

type Ending = Box<dyn FnOnce(Running) -> Settled + Send>;

impl Relay {
    /// Plans an operator's message and writes its parts. `Err`: the job ends (or waits) without sending.
    pub(super) async fn plan_message(
        &self,
        job: &Running,
        outgoing: &Outgoing,
    ) -> Result<Vec<MessageRow>, Ending> {
        let Some(item) = &outgoing.item else { return Ok(Vec::new()) };
        let snapshot = &outgoing.snapshot;
        let portal_host = snapshot
            .portals
            .iter()
            .find(|portal| portal.id.as_str() == item.portal_id)
            .map(|portal| portal.row.domain.clone())
            .unwrap_or_default();
        let keep_signature =
            snapshot.phone(&outgoing.phone).is_some_and(|phone| phone.row.signature == "keep");
        let options = OperatorOptions {
            strip_signature: !keep_signature,
            portal_host: &portal_host,
            has_files: !item.files.is_empty(),
        };
        let text = operator_text(&item.text, &options);
        if let Some(HeldBack::PortalLink { link }) = &text.held_back {
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::PortalLink { link: link.clone() }));
        }
        if !outgoing.chat.window().allows_free_text(self.clock.now()) {
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::WindowClosed));
        }
        let (files, lost) = self.fetch_files(job, item).await?;
        let (body, quote) = self.with_quote(outgoing, &text).await;
        let mut links = Vec::new();
        let parts = arrange(&body, quote, &files, |file| {
            let (url, hash) = self.media_link(&file.row.name).unwrap_or_default();
            links.push((file.row.id.clone(), hash));
            url
        });
        if parts.is_empty() && lost.is_empty() {
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::NothingToSend));
        }
        let mut notes: Vec<Note> = lost.into_iter().map(|name| Note::FileUnavailable { name }).collect();
        let as_link = files.iter().filter(|file| ShownAs::of(file.send_as).is_none());
        notes.extend(as_link.map(|file| Note::FileAsLink {
            name: file.row.name.clone(),
            limit: Some(crate::media::classify::MAX_DOCUMENT_BYTES),
        }));
        let blobs: Vec<BlobRow> = files.into_iter().map(|file| file.row).collect();
        self.write_plan(job, outgoing, 0, parts, blobs, links, notes).await.map_err(|error| {
            let (clock, error) = (self.clock.clone(), error.to_string());
            let ending: Ending = Box::new(move |job| {
                let not_before = clock.now() + Duration::seconds(1);
                Settled::plain(job, Settlement::Again { not_before, error, counts: false, doubtful: false })
            });
            ending
        })
    }

    /// The other form of a part that Meta refused after it had taken it. `None`: there is none, or it is gone.
    pub(super) async fn plan_fallback(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        failed_id: String,
    ) -> Result<Option<Vec<MessageRow>>, StoreError> {
        let Some(failed) = self.db.read(move |conn| ledger::get(conn, &failed_id)).await? else {
            return Ok(None);
        };
        let Some(part) = Part::from_json(&failed.payload).ok() else { return Ok(None) };
        let Some(other) = self.other_form(&failed, &part).await else { return Ok(None) };
        let name = match &part.form {
            Form::File { filename, .. } => filename.clone(),
            Form::Text { .. } => String::new(),
        };
        let note = match &other.form {
            Form::File { .. } => Note::FileAsDocument { name },
            Form::Text { .. } => Note::FileAsLink { name, limit: None },
        };
        let blob = failed.blob_id.as_deref().map(crate::domain::BlobId::from);
        let parts = vec![PlannedPart { part: other, blob }];
        let rows =
            self.write_plan(job, outgoing, failed.part + 1000, parts, vec![], vec![], vec![note]).await?;
        Ok(Some(rows))
    }

    /// A file in the form that Meta may take instead: a document, else a link. `None` for a text.
    pub(super) async fn other_form(&self, row: &MessageRow, part: &Part) -> Option<Part> {
        let Form::File { shown_as, mime, filename, caption } = &part.form else { return None };
        if *shown_as != ShownAs::Document {
            let (mime, filename, caption) = (mime.clone(), filename.clone(), caption.clone());
            let form = Form::File { shown_as: ShownAs::Document, mime, filename, caption };
            return Some(Part { form, quote: part.quote.clone() });
        }
        let (blob_id, (url, hash)) = (row.blob_id.clone()?, self.media_link(filename)?);
        let (now, until) = (self.clock.now(), self.clock.now() + self.settings.media_kept);
        self.db.write(move |tx| blobs::link(tx.conn, &hash, &blob_id, Some(until), now)).await.ok()?;
        let text = match caption {
            Some(caption) => format!("{caption}\n{filename}: {url}"),
            None => format!("{filename}: {url}"),
        };
        Some(Part { form: Form::Text { body: text }, quote: part.quote.clone() })
    }

    /// Brings the files here; names of those that will not come. `Err`: they may come later.
    async fn fetch_files(
        &self,
        job: &Running,
        item: &OperatorItem,
    ) -> Result<(Vec<FetchedFile>, Vec<String>), Ending> {
        let (mut files, mut lost) = (Vec::new(), Vec::new());
        for file in &item.files {
            match self.fetch_operator_file(file).await {
                Ok(fetched) => files.push(fetched),
                Err(FileTrouble::Later(reason))
                    if job.row.attempts + 1 < self.settings.policy.max_attempts =>
                {
                    tracing::info!(job.id = job.row.id, reason, "an operator's file is not here yet");
                    let (policy, now) = (self.settings.policy, self.clock.now());
                    return Err(Box::new(move |job: Running| {
                        let settlement = policy.own_verdict(job.row.attempts, reason, now);
                        Settled::plain(job, settlement)
                    }));
                }
                Err(FileTrouble::Later(reason) | FileTrouble::Never(reason)) => {
                    tracing::warn!(job.id = job.row.id, reason, "an operator's file cannot be fetched");
                    lost.push(file.name.clone());
                }
            }
        }
        Ok((files, lost))
    }

    /// The text and the message that it quotes: found by the portal's id or by its text in this chat; else
    /// the quote stays in the text.
    async fn with_quote(&self, outgoing: &Outgoing, text: &OperatorText) -> (String, Option<Wamid>) {
        let Some(quote) = &text.quote else { return (text.body.clone(), None) };
        let (chat_id, since) = (outgoing.chat.id.clone(), self.clock.now() - Duration::days(QUOTES_DAYS));
        let recent = self.db.read(move |conn| ledger::recent(conn, &chat_id, since, QUOTES_MESSAGES)).await;
        let wanted = markup::plain_key(&quote.text);
        let im_id = quote.message.as_ref().map(|id| id.as_str().to_owned());
        let found = recent.unwrap_or_default().into_iter().find(|row| {
            let by_id = im_id.is_some() && row.im_message_id == im_id;
            row.wamid.is_some() && (by_id || (!wanted.is_empty() && markup::plain_key(&row.body) == wanted))
        });
        match found.and_then(|row| row.wamid) {
            Some(wamid) => (text.body.clone(), Some(Wamid::from(wamid))),
            None => (text.body_with_quote.clone(), None),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that is written in one transaction")]
    async fn write_plan(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        first_part: i32,
        parts: Vec<PlannedPart>,
        files: Vec<BlobRow>,
        links: Vec<(String, String)>,
        notes: Vec<Note>,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let (now, until) = (self.clock.now(), self.clock.now() + self.settings.media_kept);
        let (job_id, chat_id, phone) = (job.row.id.clone(), outgoing.chat.id.clone(), outgoing.phone.clone());
        let item = outgoing.item.clone();
        let language = outgoing
            .snapshot
            .phone(&outgoing.phone)
            .map(|phone| statuses::language_of(&outgoing.snapshot, phone))
            .unwrap_or_default();
        self.db
            .write(move |tx| {
                for file in &files {
                    blobs::insert(tx.conn, file)?;
                }
                for (blob_id, hash) in &links {
                    blobs::link(tx.conn, hash, blob_id, Some(until), now)?;
                }
                for (index, planned) in parts.iter().enumerate() {
                    let payload = planned.part.to_json();
                    let im = item.as_ref().map(|item| {
                        (item.portal_id.as_str(), item.im_chat_id.as_str(), item.im_message_id.as_str())
                    });
                    let message = NewMessage {
                        chat_id: &chat_id,
                        phone_id: phone.as_str(),
                        direction: Direction::Outbound,
                        kind: planned.part.kind(),
                        wamid: None,
                        im,
                        part: first_part + i32::try_from(index).unwrap_or(i32::MAX),
                        state: DeliveryState::Pending,
                        body: &planned.part.body().replace('\0', "\u{2400}"),
                        payload: &payload,
                        media_state: planned.blob.as_ref().map(|_| "stored"),
                        blob_id: planned.blob.as_ref().map(|blob| blob.as_str()),
                        job_id: Some(&job_id),
                    };
                    ledger::insert(tx.conn, &message, now)?;
                }
                for (index, note) in notes.iter().enumerate() {
                    let text = notes::text(note, language);
                    let key = format!("plan:{job_id}:{index}");
                    jobs::enqueue(tx, &job::note(&phone, &ChatId::from(chat_id.as_str()), &key, text), now)?;
                }
                ledger::of_job(tx.conn, &job_id)
            })
            .await
    }

    fn ends_with_note(&self, outgoing: &Outgoing, key: &str, note: Note) -> Ending {
        let (snapshot, phone) = (outgoing.snapshot.clone(), outgoing.phone.clone());
        let (chat, now, key) = (ChatId::from(outgoing.chat.id.as_str()), self.clock.now(), key.to_owned());
        Box::new(move |job| {
            Settled::plain(job, Settlement::Done).with(move |tx| {
                let Some(phone) = snapshot.phone(&phone) else { return Ok(()) };
                let text = notes::text(&note, statuses::language_of(&snapshot, phone));
                jobs::enqueue(tx, &job::note(&phone.key, &chat, &key, text), now)?;
                Ok(())
            })
        })
    }
}
