//! Takes work from the scheduler, leases it on disk, lets a runner do it, writes how it ended.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::job::Class;
use super::lanes::{Claim, Claimed, Take};
use super::scheduler::Scheduler;
use crate::clock::{Clock, new_id};
use crate::store::jobs::{self, Finished, JobRow, Settlement};
use crate::store::{Db, StoreError, Tx};

/// How long a lease lasts. Every run has a deadline that is shorter, see [`RUN_DEADLINE`].
const LEASE: Duration = Duration::minutes(10);
/// After this long a run is broken off; its jobs are in doubt.
const RUN_DEADLINE: StdDuration = StdDuration::from_secs(9 * 60);
/// Between tries to write an end while the database is away.
const STORE_RETRY: StdDuration = StdDuration::from_millis(500);
/// So often the database may refuse the same ends before they are written one by one.
const STORE_REFUSALS: u32 = 3;
/// A queue rests so long after a run that panicked or never ended.
const AFTER_BREAK: Duration = Duration::seconds(5);
/// A job that was broken off so often is dead.
const MAX_BREAKS: i32 = 8;
/// Jobs that were broken off together come back so far apart, so that one of them does not take the others along.
const APART: Duration = Duration::seconds(1);

/// What finishing a job needs and every runner has.
#[derive(Clone)]
pub struct Worker {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// The lanes.
    pub scheduler: Arc<Scheduler>,
}

/// A job that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// The row, as leased.
    pub row: JobRow,
    /// Its place in the scheduler.
    pub claimed: Claimed,
}

/// Jobs that are leased on disk.
#[derive(Clone, Debug)]
pub struct Started {
    /// Their queue.
    pub queue: Arc<str>,
    /// Their lease.
    pub lease_id: String,
    /// The jobs, in the order of commit.
    pub jobs: Vec<Running>,
}

type Effects = Box<dyn FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send>;

/// How one job of a run ended, and what is written together with that.
pub struct Settled {
    /// The job.
    pub job: Running,
    /// Its end.
    pub settlement: Settlement,
    /// Whether it was sent again after doubt.
    pub maybe_twice: bool,
    /// Written in the same transaction, unless the lease is lost.
    pub effects: Effects,
}

impl Settled {
    /// An end that writes nothing else.
    pub fn plain(job: Running, settlement: Settlement) -> Self {
        Self { maybe_twice: job.row.maybe_twice, job, settlement, effects: Box::new(|_| Ok(())) }
    }

    fn is_plainly_done(&self) -> bool {
        self.settlement == Settlement::Done && !self.maybe_twice
    }

    /// The same with effects.
    pub fn with(
        mut self,
        effects: impl FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        self.effects = Box::new(effects);
        self
    }
}

/// Does the work of a claim.
pub trait Runner: Send + Sync + 'static {
    /// Runs leased jobs and settles each of them by [`Worker::finish`].
    fn run(&self, started: Started) -> impl Future<Output = ()> + Send;

    /// Written when a job is dead because its runs were broken off again and again: who waits for it is told.
    ///
    /// # Errors
    /// A failure of the database: the end is not written either, and tried again.
    fn broken_off(&self, tx: &mut Tx<'_>, job: &JobRow, now: DateTime<Utc>) -> Result<(), StoreError>;
}

impl Worker {
    /// Serves a class until `stop`, then waits for what runs.
    pub async fn serve<R: Runner>(self, class: Class, take: Take, runner: Arc<R>, stop: CancellationToken) {
        let mut running = JoinSet::new();
        loop {
            while running.try_join_next().is_some() {}
            while !stop.is_cancelled() {
                let Some(claim) = self.scheduler.claim(class, take, self.clock.now()) else { break };
                running.spawn(self.clone().run_claim(claim, runner.clone(), stop.clone()));
            }
            let due = self.scheduler.next_due(class, take);
            let sleep = due.map(|due| (due - self.clock.now()).to_std().unwrap_or_default());
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.scheduler.bell(class).notified() => {}
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    async fn run_claim<R: Runner>(self, claim: Claim, runner: Arc<R>, stop: CancellationToken) {
        let queue = claim.queue.clone();
        match self.start(&claim, &stop).await {
            Some(started) if started.jobs.is_empty() => {}
            Some(started) => {
                let jobs: Vec<Claimed> = started.jobs.iter().map(|job| job.claimed.clone()).collect();
                let lease_id = started.lease_id.clone();
                let run = AssertUnwindSafe(runner.run(started)).catch_unwind();
                let broken_off = match tokio::time::timeout(RUN_DEADLINE, run).await {
                    Ok(Ok(())) => None,
                    Ok(Err(_)) => Some("a run ended in a panic"),
                    Err(_) => Some("a run took longer than its deadline and was broken off"),
                };
                if let Some(why) = broken_off {
                    tracing::error!(queue = &*queue, "{why}; its jobs are in doubt");
                    // A job that brings this about each time must not hold its queue at full speed.
                    self.scheduler.pause(&queue, AFTER_BREAK, self.clock.now());
                    self.put_back(&runner, &lease_id, jobs).await;
                }
            }
            None => {
                for job in &claim.jobs {
                    self.scheduler.settle(&job.lane, &job.id, Some(None));
                }
            }
        }
        self.scheduler.release(&queue);
    }

    /// Leases the jobs of a claim; waits for the database if it is away. `None`: stopped meanwhile.
    async fn start(&self, claim: &Claim, stop: &CancellationToken) -> Option<Started> {
        let lease_id = new_id();
        let ids: Vec<String> = claim.jobs.iter().map(|job| job.id.clone()).collect();
        let rows = loop {
            let (ids, lease, until) = (ids.clone(), lease_id.clone(), self.clock.now() + LEASE);
            // The lease stays the same, since a try whose answer was lost may have written it.
            match self.db.write(move |tx| jobs::start(tx.conn, &ids, &lease, until)).await {
                Ok(rows) => break rows,
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(queue = &*claim.queue, error = %error, source, "jobs cannot be leased; the queue waits");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(STORE_RETRY) => {}
            }
        };
        let mut rows: HashMap<String, JobRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut started = Vec::with_capacity(rows.len());
        for claimed in &claim.jobs {
            match rows.remove(&claimed.id) {
                Some(row) => started.push(Running { row, claimed: claimed.clone() }),
                // It was dropped or erased meanwhile.
                None => self.scheduler.settle(&claimed.lane, &claimed.id, None),
            }
        }
        started.sort_by_key(|job| job.row.lane_seq);
        Some(Started { queue: claim.queue.clone(), lease_id, jobs: started })
    }

    /// Writes how jobs of a run ended, with their effects, in one transaction; waits for the database if it
    /// is away, since what happened at the other side must not be forgotten. Effects that the database
    /// refuses for what they are cost their own job its effects, and hold nothing else.
    pub async fn finish(&self, lease_id: &str, settled: Vec<Settled>) {
        let ends: Vec<(Claimed, Option<Option<DateTime<Utc>>>)> =
            settled.iter().map(|settled| (settled.job.claimed.clone(), again(&settled.settlement))).collect();
        let together = Arc::new(Mutex::new(settled));
        if self.write_ends(lease_id, &together).await.is_err() {
            let alone = std::mem::take(&mut *lock(&together));
            for mut settled in alone {
                let job_id = settled.job.row.id.clone();
                let one = Arc::new(Mutex::new(vec![settled]));
                if self.write_ends(lease_id, &one).await.is_ok() {
                    continue;
                }
                tracing::error!(job.id = job_id, "what follows from the end of a job is not written");
                settled = match lock(&one).pop() {
                    Some(settled) => settled.with(|_| Ok(())),
                    None => continue,
                };
                if self.write_ends(lease_id, &Arc::new(Mutex::new(vec![settled]))).await.is_err() {
                    // Only a damaged database gets here; what stays `running` is in doubt at the next start.
                    tracing::error!(job.id = job_id, "the end of a job is not written; it is in doubt");
                }
            }
        }
        for (claimed, again) in ends {
            self.scheduler.settle(&claimed.lane, &claimed.id, again);
        }
    }

    /// Writes the ends of a batch. `Err`: refused again and again, and not because the database is away.
    async fn write_ends(&self, lease_id: &str, batch: &Arc<Mutex<Vec<Settled>>>) -> Result<(), StoreError> {
        let mut refusals = 0;
        loop {
            let (shared, lease, now) = (batch.clone(), lease_id.to_owned(), self.clock.now());
            match self.db.write(move |tx| write_ends(tx, &shared, &lease, now)).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_outage() => {
                    tracing::warn!(error = %error, "the end of jobs cannot be written; trying again");
                }
                Err(error) => {
                    refusals += 1;
                    tracing::error!(error = %error, source = ?error, "the end of jobs was refused");
                    if refusals >= STORE_REFUSALS {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
    }

    async fn put_back<R: Runner>(&self, runner: &Arc<R>, lease_id: &str, claimed: Vec<Claimed>) {
        let ids: Vec<String> = claimed.iter().map(|job| job.id.clone()).collect();
        loop {
            let (ids, lease, now) = (ids.clone(), lease_id.to_owned(), self.clock.now());
            let runner = runner.clone();
            let write = move |tx: &mut Tx<'_>| {
                let dead = jobs::put_back(tx.conn, &ids, &lease, MAX_BREAKS, now)?;
                dead.iter().try_for_each(|job| runner.broken_off(tx, job, now))
            };
            match self.db.write(write).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(error = %error, "jobs that were broken off cannot be put back; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
        let mut at = self.clock.now() + AFTER_BREAK;
        for job in claimed {
            // One that had ended all the same is found so when it is leased. The time is not in the row: there
            // it would pass for the time that doubt has to be waited for.
            self.scheduler.settle(&job.lane, &job.id, Some(Some(at)));
            at += APART;
        }
    }
}

fn again(settlement: &Settlement) -> Option<Option<DateTime<Utc>>> {
    match settlement {
        Settlement::Again { not_before, .. } => Some(Some(*not_before)),
        Settlement::Released => Some(None),
        Settlement::Done | Settlement::Dead { .. } => None,
    }
}

fn lock(batch: &Mutex<Vec<Settled>>) -> MutexGuard<'_, Vec<Settled>> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_ends(
    tx: &mut Tx<'_>,
    batch: &Mutex<Vec<Settled>>,
    lease_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut batch = lock(batch);
    // Most ends are of this kind: they go together, since each statement is a round trip to PostgreSQL.
    let plain: Vec<String> =
        batch.iter().filter(|end| end.is_plainly_done()).map(|end| end.job.row.id.clone()).collect();
    let done = jobs::finish_done(tx.conn, &plain, lease_id, now)?;
    for settled in batch.iter_mut() {
        let id = &settled.job.row.id;
        let finished = match settled.is_plainly_done() {
            true if done.contains(id) => Finished::Yes,
            true => Finished::LeaseLost,
            false => jobs::finish(tx.conn, id, lease_id, &settled.settlement, settled.maybe_twice, now)?,
        };
        match finished {
            Finished::Yes => (settled.effects)(tx)?,
            Finished::LeaseLost => {
                tracing::warn!(job.id = id, "the lease of a job was lost; its end is not written")
            }
        }
    }
    Ok(())
}
