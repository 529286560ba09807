//! Takes work from the scheduler, leases it on disk, lets a runner do it, writes how it ended.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
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
}

impl Worker {
    /// Serves a class until `stop`, then waits for what runs.
    pub async fn serve<R: Runner>(self, class: Class, take: Take, runner: Arc<R>, stop: CancellationToken) {
        let mut running = JoinSet::new();
        loop {
            while !stop.is_cancelled() {
                let Some(claim) = self.scheduler.claim(class, take, self.clock.now()) else { break };
                running.spawn(self.clone().run_claim(claim, runner.clone()));
            }
            let due = self.scheduler.next_due(class);
            let sleep = due.map(|due| (due - self.clock.now()).to_std().unwrap_or_default());
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.scheduler.bell(class).notified() => {}
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(sleep.unwrap_or(StdDuration::from_secs(3600))), if sleep.is_some() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    async fn run_claim<R: Runner>(self, claim: Claim, runner: Arc<R>) {
        let queue = claim.queue.clone();
        match self.start(&claim).await {
            Ok(started) if started.jobs.is_empty() => {}
            Ok(started) => {
                let lanes: Vec<Claimed> = started.jobs.iter().map(|job| job.claimed.clone()).collect();
                if tokio::time::timeout(RUN_DEADLINE, runner.run(started)).await.is_err() {
                    tracing::error!(
                        queue = &*queue,
                        "a run took longer than its deadline and was broken off"
                    );
                    self.put_back(&lanes).await;
                }
            }
            Err(error) => {
                tracing::warn!(queue = &*queue, error = %error, "jobs cannot be leased; the queue waits");
                let now = self.clock.now();
                self.scheduler.pause(&queue, Duration::seconds(1), now);
                for job in &claim.jobs {
                    self.scheduler.settle(&job.lane, &job.id, Some(None));
                }
            }
        }
        self.scheduler.release(&queue);
    }

    async fn start(&self, claim: &Claim) -> Result<Started, StoreError> {
        let lease_id = new_id();
        let ids: Vec<String> = claim.jobs.iter().map(|job| job.id.clone()).collect();
        let (lease, until) = (lease_id.clone(), self.clock.now() + LEASE);
        let rows = self.db.write(move |tx| jobs::start(tx.conn, &ids, &lease, until)).await?;
        let mut started = Vec::with_capacity(rows.len());
        for claimed in &claim.jobs {
            match rows.iter().find(|row| row.id == claimed.id) {
                Some(row) => started.push(Running { row: row.clone(), claimed: claimed.clone() }),
                // It was dropped or erased meanwhile.
                None => self.scheduler.settle(&claimed.lane, &claimed.id, None),
            }
        }
        started.sort_by_key(|job| job.row.lane_seq);
        Ok(Started { queue: claim.queue.clone(), lease_id, jobs: started })
    }

    /// Writes how jobs of a run ended, with their effects, in one transaction; waits for the database if it
    /// is away, since what happened at the other side must not be forgotten.
    pub async fn finish(&self, lease_id: &str, settled: Vec<Settled>) {
        let ends: Vec<(Claimed, Option<Option<DateTime<Utc>>>)> =
            settled.iter().map(|settled| (settled.job.claimed.clone(), again(&settled.settlement))).collect();
        let shared = Arc::new(std::sync::Mutex::new(settled));
        loop {
            let (batch, lease, now) = (shared.clone(), lease_id.to_owned(), self.clock.now());
            let written = self.db.write(move |tx| write_ends(tx, &batch, &lease, now)).await;
            match written {
                Ok(()) => break,
                Err(StoreError::Unavailable(reason)) => {
                    tracing::warn!(reason, "the end of jobs cannot be written; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(error = %error, source = ?error, "the end of jobs was refused; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
        for (claimed, again) in ends {
            self.scheduler.settle(&claimed.lane, &claimed.id, again);
        }
    }

    async fn put_back(&self, jobs: &[Claimed]) {
        let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
        if let Err(error) = self.db.write(move |tx| jobs::put_back(tx.conn, &ids)).await {
            tracing::error!(error = %error, "jobs that were broken off stay leased until the next start");
            return;
        }
        for job in jobs {
            self.scheduler.settle(&job.lane, &job.id, Some(None));
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

fn write_ends(
    tx: &mut Tx<'_>,
    batch: &std::sync::Mutex<Vec<Settled>>,
    lease_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut batch = batch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for settled in batch.iter_mut() {
        let id = &settled.job.row.id;
        match jobs::finish(tx.conn, id, lease_id, &settled.settlement, settled.maybe_twice, now)? {
            Finished::Yes => (settled.effects)(tx)?,
            Finished::LeaseLost => {
                tracing::warn!(job.id = id, "the lease of a job was lost; its end is not written")
            }
        }
    }
    Ok(())
}
