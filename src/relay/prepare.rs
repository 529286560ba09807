//! Prepares what [`super::sender`] sends: decides whether it may go at all, plans its parts, writes them.

use chrono::Duration;

use super::Relay;
use super::parts::{Form, Part, ShownAs};
use super::plan::{FetchedFile, FileTrouble, OutgoingFile, PlannedPart, arrange};
use super::sender::Outgoing;
use super::statuses;
use crate::domain::{ChatId, DeliveryState, Direction, Wamid};
use crate::media::classify::MAX_DOCUMENT_BYTES;
use crate::queue::job::{self, FileHere, Job, OperatorItem};
use crate::queue::worker::{Running, Settled};
use crate::store::StoreError;
use crate::store::blobs::{self, BlobRow};
use crate::store::jobs::{self, Settlement};
use crate::store::messages::{self as ledger, MessageRow, NewMessage};
use crate::translate::markup;
use crate::translate::notes::{self, Note};
use crate::translate::shorthand::{self, Channel, Recognised};
use crate::translate::to_whatsapp::{HeldBack, OperatorOptions, OperatorText, operator_text};
use crate::whatsapp::message::{Content, WireMessage};

/// How far back a quoted text is looked for.
const QUOTES_DAYS: i64 = 400;
/// Messages of a chat that are looked through for a quoted text.
const QUOTES_MESSAGES: i64 = 500;
/// After so long no further file is begun: a run must end before its deadline, and what is here is kept.
const FETCHING: Duration = Duration::minutes(4);

pub(super) type Ending = Box<dyn FnOnce(Running) -> Settled + Send>;

/// Files, which file of the message each of them is, names of those that will not come.
type FetchedFiles = (Vec<OutgoingFile>, Vec<usize>, Vec<String>);

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
        match shorthand::recognise(&text.typed, Channel::Line, &|_| false) {
            Recognised::Plain => {}
            Recognised::Shorthand(parsed) => return self.plan_shorthand(job, outgoing, item, &parsed).await,
            Recognised::CancelHeld { all } => return Err(self.cancel_in_line(outgoing, all)),
            Recognised::Wrong(refusal) => {
                return Err(self.ends_with_note(outgoing, &job.row.id, Note::Shorthand { refusal }));
            }
        }
        if let Some(HeldBack::PortalLink { link }) = &text.held_back {
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::PortalLink { link: link.clone() }));
        }
        if !outgoing.chat.window().allows_free_text(self.clock.now()) {
            return self.plan_closed(job, outgoing, item, &text).await;
        }
        if self.lets_held_pass(job, outgoing).await {
            return Err(self.behind_held(outgoing, item));
        }
        let (files, _, lost) = self.fetch_files(job, &outgoing.chat.id, item).await?;
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
        if parts.iter().any(|planned| planned.part.begins_as_shorthand()) {
            self.forget_files(&files).await;
            let refusal = shorthand::Refusal::PartLooksLike;
            return Err(self.ends_with_note(outgoing, &job.row.id, Note::Shorthand { refusal }));
        }
        let mut notes: Vec<Note> = lost.into_iter().map(|name| Note::FileUnavailable { name }).collect();
        notes.extend(files.iter().filter_map(|file| self.link_note(file)));
        match self.write_plan(job, outgoing, item.first_part, parts, new_rows(&files), links, notes).await {
            Ok(rows) => Ok(rows),
            Err(error) => {
                self.forget_files(&files).await;
                Err(self.plan_failed(job, outgoing, &error))
            }
        }
    }

    /// The database did not take a plan, or did not tell what it needs.
    pub(super) fn plan_failed(&self, job: &Running, outgoing: &Outgoing, error: &StoreError) -> Ending {
        let settlement = self.database_trouble(job, error);
        if matches!(settlement, Settlement::Dead { .. }) {
            let attempts = u32::try_from(job.row.attempts).unwrap_or(0) + 1;
            let key = format!("dead:{}:{}", job.row.id, job.row.lane_seq);
            return self.ends_as(outgoing, &key, Note::Dead { attempts }, settlement);
        }
        Box::new(move |job| Settled::plain(job, settlement))
    }

    /// Tells the operator of a file that goes as a link.
    fn link_note(&self, file: &OutgoingFile) -> Option<Note> {
        match file {
            OutgoingFile::Here(file) if ShownAs::of(file.send_as).is_some() => None,
            OutgoingFile::Here(file) => {
                let is_large = u64::try_from(file.row.size).is_ok_and(|size| size > MAX_DOCUMENT_BYTES);
                let limit = is_large.then_some(MAX_DOCUMENT_BYTES);
                Some(Note::FileAsLink { name: file.row.name.clone(), limit })
            }
            OutgoingFile::TooLarge { name, .. } => {
                let limit = Some(self.settings.media_max.min(MAX_DOCUMENT_BYTES));
                Some(Note::FileAsLink { name: name.clone(), limit })
            }
        }
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
        let Some(other) = self.other_form(&failed, &part).await? else { return Ok(None) };
        let name = match &part.form {
            Form::File { filename, .. } => filename.clone(),
            Form::Text { .. } | Form::Template { .. } => String::new(),
        };
        let note = match &other.form {
            Form::File { .. } => Note::FileAsDocument { name },
            Form::Text { .. } | Form::Template { .. } => Note::FileAsLink { name, limit: None },
        };
        let blob = failed.blob_id.as_deref().map(crate::domain::BlobId::from);
        let parts = vec![PlannedPart { part: other, blob }];
        let rows =
            self.write_plan(job, outgoing, failed.part + 1000, parts, vec![], vec![], vec![note]).await?;
        Ok(Some(rows))
    }

    /// A file in the form that Meta may take instead: a document, else a link. `None` for a text.
    pub(super) async fn other_form(&self, row: &MessageRow, part: &Part) -> Result<Option<Part>, StoreError> {
        let Form::File { shown_as, mime, filename, caption, .. } = &part.form else { return Ok(None) };
        if *shown_as != ShownAs::Document {
            let (mime, filename, caption) = (mime.clone(), filename.clone(), caption.clone());
            let form = Form::File { shown_as: ShownAs::Document, mime, filename, caption, uploaded: None };
            return Ok(Some(Part { form, quote: part.quote.clone() }));
        }
        let Some((blob_id, (url, hash))) = row.blob_id.clone().zip(self.media_link(filename)) else {
            return Ok(None);
        };
        let (now, until) = (self.clock.now(), self.clock.now() + self.settings.media_kept);
        self.db.write(move |tx| blobs::link(tx.conn, &hash, &blob_id, Some(until), now)).await?;
        let text = match caption {
            Some(caption) => format!("{caption}\n{filename}: {url}"),
            None => format!("{filename}: {url}"),
        };
        Ok(Some(Part { form: Form::Text { body: text }, quote: part.quote.clone() }))
    }

    /// Brings the files here, with their places in the message; names of those that will not come. `Err`: they may come later, and what is
    /// here by then is kept for that.
    pub(super) async fn fetch_files(
        &self,
        job: &Running,
        chat_id: &str,
        item: &OperatorItem,
    ) -> Result<FetchedFiles, Ending> {
        let (mut files, mut lost, began) = (Vec::new(), Vec::new(), self.clock.now());
        // Which file of the message each of them is.
        let mut places = Vec::new();
        for (at, file) in item.files.iter().enumerate() {
            let fetched = match self.file_that_is_here(file).await {
                Some(here) => Ok(here),
                None if self.clock.now() - began > FETCHING => {
                    Err(FileTrouble::Later("the files of one message take long".into()))
                }
                None => self.fetch_operator_file(file).await,
            };
            let public = file.links.last().cloned();
            match (fetched, public) {
                (Ok(fetched), _) => {
                    files.push(OutgoingFile::Here(fetched));
                    places.push(at);
                }
                (Err(FileTrouble::TooLarge), Some(link)) => {
                    let name = if file.name.is_empty() { "file".to_owned() } else { file.name.clone() };
                    files.push(OutgoingFile::TooLarge { name, link });
                    places.push(at);
                }
                (Err(FileTrouble::Later(reason)), _)
                    if job.row.attempts + 1 < self.settings.policy.max_attempts =>
                {
                    tracing::info!(job.id = job.row.id, reason, "an operator's file is not here yet");
                    return Err(self.files_later(chat_id, item, &files, &places, reason));
                }
                (Err(trouble), _) => {
                    tracing::warn!(job.id = job.row.id, ?trouble, "an operator's file cannot be fetched");
                    lost.push(file.name.clone());
                }
            }
        }
        Ok((files, places, lost))
    }

    /// The job runs again, and finds what is here by then.
    pub(super) fn files_later(
        &self,
        chat_id: &str,
        item: &OperatorItem,
        files: &[OutgoingFile],
        places: &[usize],
        reason: String,
    ) -> Ending {
        let (mut item, rows) = (item.clone(), new_rows(files));
        for (file, at) in files.iter().zip(places) {
            if let (OutgoingFile::Here(fetched), Some(of)) = (file, item.files.get_mut(*at)) {
                let (blob_id, send_as) = (fetched.row.id.clone(), fetched.send_as.as_str().to_owned());
                of.here = Some(FileHere { blob_id, send_as });
            }
        }
        let payload = Job::Send { chat_id: chat_id.to_owned(), item }.to_json();
        let (policy, now) = (self.settings.policy, self.clock.now());
        Box::new(move |job: Running| {
            let id = job.row.id.clone();
            let settlement = policy.own_verdict(job.row.attempts, reason, now);
            Settled::plain(job, settlement).with(move |tx| {
                for row in &rows {
                    blobs::insert(tx.conn, row)?;
                }
                jobs::set_payload(tx.conn, &id, &payload)
            })
        })
    }

    /// The text and the message that it quotes: found by the portal's id, else by its text in this chat, the
    /// newest first; else the quote stays in the text.
    async fn with_quote(&self, outgoing: &Outgoing, text: &OperatorText) -> (String, Option<Wamid>) {
        let Some(quote) = &text.quote else { return (text.body.clone(), None) };
        let portal = outgoing.item.as_ref().map(|item| item.portal_id.as_str()).unwrap_or_default();
        let (chat_id, since) = (outgoing.chat.id.clone(), self.clock.now() - Duration::days(QUOTES_DAYS));
        let recent = self.db.read(move |conn| ledger::recent(conn, &chat_id, since, QUOTES_MESSAGES)).await;
        let wanted = quote.keys();
        let im_id = quote.message.as_ref().map(|id| id.as_str().to_owned());
        // What failed is not on the contact's phone.
        let mut recent = recent.unwrap_or_default();
        recent.retain(|row| row.wamid.is_some() && row.delivery() != DeliveryState::Failed);
        let of_portal = |row: &&MessageRow| row.portal_id.as_deref() == Some(portal);
        let by_id = recent
            .iter()
            .filter(|row| im_id.is_some() && row.im_message_id == im_id)
            .filter(of_portal)
            .min_by_key(|row| row.part);
        let by_text = || wanted.iter().find_map(|key| recent.iter().find(|row| says(row, key)));
        match by_id.or_else(by_text).and_then(wamid_to_answer) {
            Some(wamid) => (text.body.clone(), Some(wamid)),
            None => (text.body_with_quote.clone(), None),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that is written in one transaction")]
    pub(super) async fn write_plan(
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
                    // A test of the panel's has no message in the portal.
                    let im = item.as_ref().filter(|item| !item.im_message_id.is_empty()).map(|item| {
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

    pub(super) fn ends_with_note(&self, outgoing: &Outgoing, key: &str, note: Note) -> Ending {
        self.ends_as(outgoing, key, note, Settlement::Done)
    }

    fn ends_as(&self, outgoing: &Outgoing, key: &str, note: Note, settlement: Settlement) -> Ending {
        let (snapshot, phone) = (outgoing.snapshot.clone(), outgoing.phone.clone());
        let (chat, now, key) = (ChatId::from(outgoing.chat.id.as_str()), self.clock.now(), key.to_owned());
        Box::new(move |job| {
            Settled::plain(job, settlement).with(move |tx| {
                let Some(phone) = snapshot.phone(&phone) else { return Ok(()) };
                let text = notes::text(&note, statuses::language_of(&snapshot, phone));
                jobs::enqueue(tx, &job::note(&phone.key, &chat, &key, text), now)?;
                Ok(())
            })
        })
    }
}

/// Whether a message is the quoted one by its text; of a file the line shows the caption alone.
fn says(row: &MessageRow, key: &str) -> bool {
    let caption = || row.body.split_once(": ").filter(|_| row.media_state.is_some());
    markup::plain_key(&row.body) == key
        || caption().is_some_and(|(_, caption)| markup::plain_key(caption) == key)
}

/// What an answer to a message names: of an edit the message that was edited, which is where WhatsApp shows it.
fn wamid_to_answer(row: &MessageRow) -> Option<Wamid> {
    if row.kind == "edit"
        && let Ok(Content::Edit { original, .. }) = WireMessage::parse(&row.payload).map(|wire| wire.content)
    {
        return Some(original);
    }
    row.wamid.clone().map(Wamid::from)
}

/// The rows of files that are not written yet.
pub(super) fn new_rows(files: &[OutgoingFile]) -> Vec<BlobRow> {
    files
        .iter()
        .filter_map(|file| match file {
            OutgoingFile::Here(FetchedFile { row, stored: false, .. }) => Some(row.clone()),
            _ => None,
        })
        .collect()
}
