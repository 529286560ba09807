//! Tells portals what became of their messages: states and comments, many in one call.
//!
//! A state is read when it is told, so that a portal which was away hears the newest of each message once. The
//! portal may write its own row of a message only after it has handed it over: what it does not know yet is
//! told again a little later.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use crate::bitrix::error::CallError;
use crate::bitrix::messageservice::{StatusUpdate, is_unknown_message};
use crate::bitrix::timeline::CommentAdd;
use crate::directory::Portal;
use crate::domain::{BlobId, SmsState, Verdict};
use crate::queue::job::{Class, Job, Kind};
use crate::queue::lanes::Take;
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::relay::Relay;
use crate::relay::fetch::chain;
use crate::store::jobs::{JobRow, Settlement};
use crate::store::sms::{self, SmsRow};
use crate::store::{StoreError, Tx, blobs};

/// What one run carries.
pub const TAKE: Take = Take { parallel: 1, jobs: 50, files: 1, newcomers: 1 };
/// Largest file that goes with a comment.
const FILE_IN_COMMENT: i64 = 5 * 1024 * 1024;
/// So often a message that the portal does not know is told again, each time a second later than before.
const UNKNOWN_TRIES: i32 = 5;

/// Runs the jobs of class [`Class::Portal`].
pub struct Reporter(pub Arc<Relay>);

impl Runner for Reporter {
    async fn run(&self, started: Started) {
        let (queue, lease) = (started.queue.clone(), started.lease_id.clone());
        let settled = self.0.report(&queue, started.jobs).await;
        self.0.worker.finish(&lease, settled).await;
    }

    /// What the portal does not know of a message is seen among the dead jobs; nobody else waits for it.
    fn broken_off(&self, _: &mut Tx<'_>, job: &JobRow, _: DateTime<Utc>) -> Result<(), StoreError> {
        tracing::error!(job.id = job.id, "a portal is not told what became of its message");
        Ok(())
    }
}

/// A state that the portal does not have yet.
struct News {
    job: Running,
    row: SmsRow,
    state: SmsState,
}

impl Relay {
    async fn report(&self, queue: &str, jobs: Vec<Running>) -> Vec<Settled> {
        let portal = Class::of_queue(queue).map(|(_, id)| id.into());
        let snapshot = self.directory.now();
        let portal = portal.and_then(|id| snapshot.portal(&id)).filter(|portal| portal.is_active());
        let Some(portal) = portal else {
            // Nobody is there to be told: with the application the portal has dropped its senders.
            return jobs.into_iter().map(|job| Settled::plain(job, Settlement::Done)).collect();
        };
        let (states, comments): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.claimed.kind == Kind::SmsStatus);
        let mut settled = Vec::new();
        if self.tell_states(queue, portal, states, &mut settled).await {
            self.add_comments(queue, portal, comments, &mut settled).await;
        } else {
            settled.extend(comments.into_iter().map(|job| Settled::plain(job, Settlement::Released)));
        }
        settled
    }

    /// `false`: the portal cannot be used at present.
    async fn tell_states(
        &self,
        queue: &str,
        portal: &Portal,
        jobs: Vec<Running>,
        settled: &mut Vec<Settled>,
    ) -> bool {
        if jobs.is_empty() {
            return true;
        }
        let news = match self.news(&jobs).await {
            Ok(news) => news,
            Err(error) => {
                settled.extend(jobs.into_iter().map(|job| self.store_failed(job, &error)));
                return true;
            }
        };
        let (mut fresh, mut rows) = (Vec::new(), news.into_iter());
        for job in jobs {
            match rows.next().flatten() {
                Some((row, state)) => fresh.push(News { job, row, state }),
                None => settled.push(Settled::plain(job, Settlement::Done)),
            }
        }
        let update = |news: &News| (news.row.code.clone(), news.row.message_id.clone(), news.state);
        let updates: Vec<_> = fresh.iter().map(update).collect();
        let calls: Vec<StatusUpdate<'_>> = updates
            .iter()
            .map(|(code, message_id, state)| StatusUpdate { code, message_id, state: *state })
            .collect();
        let outcomes = match self.gateway.batch(&portal.id, &calls).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let jobs = fresh.into_iter().map(|news| news.job);
                settled.extend(jobs.map(|job| self.not_told(queue, job, &error)));
                return error.verdict() == Verdict::GiveUp;
            }
        };
        let mut usable = true;
        for (news, outcome) in fresh.into_iter().zip(outcomes) {
            settled.push(match outcome {
                Ok(()) => {
                    self.scheduler.resume(queue);
                    let (id, state) = (news.row.id, news.state);
                    Settled::plain(news.job, Settlement::Done)
                        .with(move |tx| sms::reported(tx.conn, &id, state))
                }
                Err(error) if is_unknown_message(&error) => self.unknown(news.job, &error),
                Err(error) => {
                    usable &= error.verdict() == Verdict::GiveUp;
                    self.not_told(queue, news.job, &error)
                }
            });
        }
        usable
    }

    /// What is new of each job's request, in the order of the jobs.
    async fn news(&self, jobs: &[Running]) -> Result<Vec<Option<(SmsRow, SmsState)>>, StoreError> {
        let wanted: Vec<Option<String>> = jobs
            .iter()
            .map(|job| match Job::from_json(&job.row.payload) {
                Ok(Job::SmsStatus { request_id }) => Some(request_id),
                _ => None,
            })
            .collect();
        let ids: Vec<String> = wanted.iter().flatten().cloned().collect();
        let rows = self.db.read(move |conn| sms::get_many(conn, &ids)).await?;
        let news = |id: &Option<String>| {
            let row = rows.iter().find(|row| Some(&row.id) == id.as_ref())?;
            let (state, told) = (row.progress(), row.reported.as_deref().and_then(SmsState::parse));
            told.is_none_or(|told| told.may_become(state)).then(|| (row.clone(), state))
        };
        Ok(wanted.iter().map(news).collect())
    }

    async fn add_comments(
        &self,
        queue: &str,
        portal: &Portal,
        jobs: Vec<Running>,
        settled: &mut Vec<Settled>,
    ) {
        let granted = portal.row.scopes.split(',').any(|scope| scope.trim() == "crm");
        let (mut together, mut alone) = ((Vec::new(), Vec::new()), Vec::new());
        for job in jobs {
            match Job::from_json(&job.row.payload) {
                Ok(Job::Comment { .. }) if !granted => settled.push(Settled::plain(job, Settlement::Done)),
                Ok(Job::Comment { owner, owner_id, text, blob_id: None }) => {
                    together.0.push(job);
                    together.1.push((owner, owner_id, text));
                }
                Ok(Job::Comment { owner, owner_id, text, blob_id: Some(blob) }) => {
                    alone.push((job, (owner, owner_id, text), blob));
                }
                _ => {
                    let error = "this version cannot read the job".to_owned();
                    settled.push(Settled::plain(job, Settlement::Dead { error }));
                }
            }
        }
        let (kept, comments) = together;
        let calls: Vec<CommentAdd<'_>> =
            comments.iter().map(|(kind, id, text)| CommentAdd { kind, id: *id, text, file: None }).collect();
        match self.gateway.batch(&portal.id, &calls).await {
            Ok(outcomes) => {
                let each = kept.into_iter().zip(outcomes);
                settled.extend(each.map(|(job, outcome)| self.commented(queue, job, outcome)));
            }
            Err(error) => {
                settled.extend(kept.into_iter().map(|job| self.not_told(queue, job, &error)));
            }
        }
        for (job, (kind, id, text), blob) in alone {
            let file = self.file_of_comment(&blob).await;
            let comment = CommentAdd { kind: &kind, id, text: &text, file };
            let outcome = self.gateway.call(&portal.id, &comment).await;
            settled.push(self.commented(queue, job, outcome));
        }
    }

    /// What is too large for a call, or gone, is named by the text alone.
    async fn file_of_comment(&self, blob: &str) -> Option<(String, Vec<u8>)> {
        let id = blob.to_owned();
        let row = self.db.read(move |conn| blobs::get(conn, &id)).await.ok().flatten()?;
        (row.size <= FILE_IN_COMMENT).then_some(())?;
        let bytes = self.blobs.read(&BlobId::from(blob)).await.ok()?;
        Some((row.name, bytes))
    }

    fn commented(&self, queue: &str, job: Running, outcome: Result<(), CallError>) -> Settled {
        match outcome {
            Ok(()) => Settled::plain(job, Settlement::Done),
            // Of no use to anybody later: the object is gone, or the right to it.
            Err(error) if matches!(error.verdict(), Verdict::GiveUp) || error.code() == "ACCESS_DENIED" => {
                tracing::info!(job.id = job.row.id, error = chain(&error), "the CRM takes no comment");
                Settled::plain(job, Settlement::Done)
            }
            Err(error) => self.not_told(queue, job, &error),
        }
    }

    /// The portal does not know the message, maybe not yet.
    fn unknown(&self, job: Running, error: &CallError) -> Settled {
        let (tries, error) = (job.row.attempts, chain(error));
        let settlement = match tries < UNKNOWN_TRIES {
            true => {
                let not_before = self.clock.now() + Duration::seconds(i64::from(tries) + 1);
                Settlement::Again { not_before, error, counts: true, doubtful: false }
            }
            false => Settlement::Dead { error },
        };
        Settled::plain(job, settlement)
    }

    fn not_told(&self, queue: &str, job: Running, error: &CallError) -> Settled {
        let (now, text, verdict) = (self.clock.now(), chain(error), error.verdict());
        if verdict == Verdict::GiveUp {
            let settlement = self.settings.policy.own_verdict(job.row.attempts, text, now);
            return Settled::plain(job, settlement);
        }
        // A state may be told twice without harm, so nothing is in doubt.
        let failure = self.settings.policy.decide(verdict, false, text, job.row.troubled_since(now), now);
        if let Some(wait) = failure.pause {
            let until = self.scheduler.pause(queue, wait, now);
            tracing::warn!(queue, until = %until, error = chain(error), "a portal cannot be told of its messages; they wait");
        }
        Settled::plain(job, failure.settlement)
    }
}
