//! Fetches the files of contacts' messages from Meta: at once, since an address lives five minutes and an id
//! seven days (whatsapp-messaging facts §3.1).
//!
//! The message waits for its file only a little ([`super::Settings::media_wait`], or until the first try
//! failed); then the line is told that the file is on its way, and it follows as a message of its own.

use std::sync::Arc;

use super::Relay;
use crate::directory::Snapshot;
use crate::domain::{ChatId, PhoneKey, Verdict};
use crate::media::blobs::{StoredBlob, WriteLimits};
use crate::media::download::{DownloadError, save_download};
use crate::media::{name, sniff};
use crate::queue::job::{Class, Job, Kind, lane_in, to_line};
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::blobs::{self, BlobRow};
use crate::store::jobs::{self, JobRow, Settlement};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::{StoreError, Tx};
use crate::whatsapp::GraphError;
use crate::whatsapp::message::{Content, Media, WireMessage};

/// A download takes at most this long.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(300);

/// Runs the jobs of class [`Class::Media`].
pub struct MediaFetcher(pub Arc<Relay>);

enum Failed {
    /// With the file itself: tried again with growing delay, a limited number of times.
    Own(String),
    /// With the file itself, and it stays so.
    Never(String),
    /// With Meta or the way to it.
    Cloud(Verdict, String),
    /// With our disk.
    Disk(String),
}

impl Runner for MediaFetcher {
    async fn run(&self, started: Started) {
        for job in started.jobs {
            let settled = self.0.fetch(&started.queue, job).await;
            self.0.worker.finish(&started.lease_id, vec![settled]).await;
        }
    }

    fn broken_off(
        &self,
        tx: &mut Tx<'_>,
        job: &JobRow,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), StoreError> {
        let Some(id) = &job.message_id else { return Ok(()) };
        let Some(message) = ledger::get(tx.conn, id)? else { return Ok(()) };
        ledger::set_media(tx.conn, &message.id, "failed", None)?;
        follow(tx, &self.0.scheduler, &message, now)
    }
}

impl Relay {
    async fn fetch(&self, queue: &str, job: Running) -> Settled {
        let message = match self.message_of(&job).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let error = "the message of this file is gone".to_owned();
                return Settled::plain(job, Settlement::Dead { error });
            }
            Err(error) => {
                let settlement = self.database_trouble(&job, &error);
                return Settled::plain(job, settlement);
            }
        };
        let wire = WireMessage::parse(&message.payload).ok();
        let Some(media) = wire.and_then(|wire| media_of(&wire.content)) else {
            let error = "the message of this file bears no file".to_owned();
            return self.not_fetched(job, &message, Settlement::Dead { error });
        };
        let snapshot = self.directory.now();
        let phone = PhoneKey::from(message.phone_id.as_str());
        let now = self.clock.now();
        match self.download(&snapshot, &phone, &media).await {
            Ok(stored) => {
                self.scheduler.resume(queue);
                self.metrics.graph_call("media", "ok");
                self.stored(job, message, &media, stored)
            }
            Err(failed) => {
                self.metrics.graph_call("media", "failed");
                let settlement = match failed {
                    Failed::Never(error) => Settlement::Dead { error },
                    Failed::Own(error) => self.settings.policy.own_verdict(job.row.attempts, error, now),
                    Failed::Disk(error) => {
                        tracing::error!(error, "a file cannot be written to disk");
                        let wait = chrono::Duration::seconds(10);
                        self.scheduler.pause(queue, wait, now);
                        Settlement::Again { not_before: now + wait, error, counts: false, doubtful: false }
                    }
                    Failed::Cloud(verdict, error) => {
                        let since = job.row.troubled_since(now);
                        let failure = self.settings.policy.decide(verdict, false, error, since, now);
                        if let Some(wait) = failure.pause {
                            self.scheduler.pause(queue, wait, now);
                        }
                        failure.settlement
                    }
                };
                self.not_fetched(job, &message, settlement)
            }
        }
    }

    async fn message_of(&self, job: &Running) -> Result<Option<MessageRow>, StoreError> {
        let Some(id) = job.row.message_id.clone() else { return Ok(None) };
        self.db.read(move |conn| ledger::get(conn, &id)).await
    }

    async fn download(
        &self,
        snapshot: &Snapshot,
        phone: &PhoneKey,
        media: &Media,
    ) -> Result<StoredBlob, Failed> {
        let channel = snapshot
            .channel(phone)
            .ok_or_else(|| Failed::Cloud(Verdict::Reauthorize, "the phone is not set up any more".into()))?;
        if let Some(reason) = channel.broken() {
            return Err(Failed::Cloud(Verdict::Reauthorize, reason.to_owned()));
        }
        let graph = match &channel.app.graph_version {
            Some(version) => self.graph.at_version(version),
            None => self.graph.clone(),
        };
        let id = channel.phone.phone_number_id.clone();
        let media_id =
            media.id.as_ref().ok_or_else(|| Failed::Never("Meta gave no id of the file".into()))?;
        let info = graph.media_url(channel.token(), media_id, Some(&id)).await.map_err(of_graph)?;
        let response =
            graph.download(channel.token(), &info.url, &self.settings.media_hosts).await.map_err(of_graph)?;
        let limits = WriteLimits { max_bytes: self.settings.media_max, deadline: DEADLINE };
        save_download(response, &self.blobs, limits, info.sha256.as_deref()).await.map_err(
            |error| match error {
                DownloadError::Store(crate::media::blobs::BlobError::DiskFull { .. }) => {
                    Failed::Disk(chain(&error))
                }
                error if error.verdict() == Verdict::GiveUp => Failed::Never(chain(&error)),
                error => Failed::Own(chain(&error)),
            },
        )
    }

    fn stored(&self, job: Running, message: MessageRow, media: &Media, stored: StoredBlob) -> Settled {
        let kind = sniff::sniff(&stored.head, media.mime_type.as_deref(), media.filename.as_deref());
        let row = BlobRow {
            id: stored.id.to_string(),
            sha256: stored.sha256_hex,
            name: name::safe_name(media.filename.as_deref(), &message.kind, &kind.extension),
            mime: kind.mime,
            size: i64::try_from(stored.size).unwrap_or(i64::MAX),
            created_at: self.clock.now().naive_utc(),
        };
        let (relay_scheduler, now) = (self.scheduler.clone(), self.clock.now());
        Settled::plain(job, Settlement::Done).with(move |tx| {
            blobs::insert(tx.conn, &row)?;
            ledger::set_media(tx.conn, &message.id, "stored", Some(&row.id))?;
            follow(tx, &relay_scheduler, &message, now)
        })
    }

    fn not_fetched(&self, job: Running, message: &MessageRow, settlement: Settlement) -> Settled {
        let (scheduler, message, now) = (self.scheduler.clone(), message.clone(), self.clock.now());
        let dead = matches!(settlement, Settlement::Dead { .. });
        Settled::plain(job, settlement).with(move |tx| {
            if dead {
                ledger::set_media(tx.conn, &message.id, "failed", None)?;
            }
            follow(tx, &scheduler, &message, now)
        })
    }
}

/// Lets the line know: a message that still waits goes now; one that went without its file is followed.
fn follow(
    tx: &mut Tx<'_>,
    scheduler: &crate::queue::Scheduler,
    message: &MessageRow,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let chat = ChatId::from(message.chat_id.as_str());
    let relays = jobs::of_message(tx.conn, &message.id, Kind::File.as_str())?;
    let Some(relay) = relays.iter().min_by_key(|job| job.lane_seq) else {
        return late_after_all(tx, message, now);
    };
    match relay.state.as_str() {
        "ready" => {
            jobs::wake(tx, &relay.id)?;
            // The bell may ring before the commit: then the job is leased a moment later, by its row.
            scheduler.wake(&lane_in(&chat), &relay.id);
            Ok(())
        }
        "done" => late_file(tx, message, now),
        // It is on its way right now: its end looks at the file again.
        _ => Ok(()),
    }
}

/// The job that brought the message into the line is swept long since: an outage outlasts it, and so does a fetch
/// that was given up and is tried again.
fn late_after_all(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let Some(current) = ledger::get(tx.conn, &message.id)? else { return Ok(()) };
    // That there is no file is no news twice; `message` is as it was before this try.
    let is_news = current.media_state != message.media_state;
    if current.relayed_at.is_some() && is_news { late_file(tx, message, now) } else { Ok(()) }
}

/// The file (or the news that there is none) follows a message that went without it, once each: a fetch
/// that was given up may be replayed and succeed.
pub(super) fn late_file(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let Some(current) = ledger::get(tx.conn, &message.id)? else { return Ok(()) };
    let Some(state @ ("stored" | "failed")) = current.media_state.as_deref() else { return Ok(()) };
    let (phone, chat) = (PhoneKey::from(message.phone_id.as_str()), ChatId::from(message.chat_id.as_str()));
    let job = Job::Relay { chat_id: message.chat_id.clone(), late_file: true, as_link: false };
    let mut job = to_line(Kind::File, &phone, &chat, Some(message.id.clone()), &job);
    job.dedupe_key = Some(format!("late:{}:{state}", message.id));
    jobs::enqueue(tx, &job, now)?;
    Ok(())
}

/// The file that a content bears.
pub(super) fn media_of(content: &Content) -> Option<Media> {
    match content {
        Content::Image(media)
        | Content::Video(media)
        | Content::Audio(media)
        | Content::Document(media)
        | Content::Sticker(media) => Some(media.clone()),
        _ => None,
    }
}

fn of_graph(error: GraphError) -> Failed {
    match error.verdict() {
        // A media id that is not (yet) to be had is a matter of this file.
        Verdict::GiveUp => Failed::Own(chain(&error)),
        verdict => Failed::Cloud(verdict, chain(&error)),
    }
}

/// An error with its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Which class these jobs are of; kept beside the runner that serves it.
pub const CLASS: Class = Class::Media;
