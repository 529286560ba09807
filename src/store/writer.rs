//! The one writer: a thread that commits in groups.
//!
//! What waits at the same moment is put into one transaction, so that one flush to disk serves many webhooks. If
//! one request of a group fails, the group is rolled back and replayed request by request: one bad request cannot
//! fail its neighbours.
//!
//! A connection that breaks while it commits leaves open whether it did. Then the jobs are looked for on disk
//! before anything else is written: what is there would be known to nobody, and be overtaken by what comes later.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::db::{Conn, DbUrl, StoreError};
use super::jobs::{self, Offer};
use super::later::Later;
use super::schema;

/// Requests that may wait for the writer before new ones are refused.
const WRITE_QUEUE: usize = 2048;
/// Requests that share one transaction at most.
const GROUP_MAX: usize = 256;
/// Pause between two looks for what a broken commit has left.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Jobs that are looked for at once.
const PAGE: i64 = 1000;

/// A transaction in the writer: the connection, the order of lanes, the jobs to announce after commit.
pub struct Tx<'a> {
    /// The connection, inside the transaction.
    pub conn: &'a mut Conn,
    seq: &'a mut i64,
    offers: &'a mut Vec<Offer>,
    pub(super) later: &'a mut Later,
}

impl Tx<'_> {
    /// The next place in the order of commit.
    pub fn next_seq(&mut self) -> i64 {
        *self.seq += 1;
        *self.seq
    }

    /// Announces a job once this transaction is on disk.
    pub fn announce(&mut self, offer: Offer) {
        self.offers.push(offer);
    }
}

/// Called on the writer's thread after each commit, in the order of commits, before anybody is answered: with
/// the jobs that are now on disk, and the number of requests that shared the transaction.
pub type OnCommit = Arc<dyn Fn(Vec<Offer>, usize) + Send + Sync>;

pub(super) trait WriteOp: Send {
    /// Whether it is of the intake: it knows what waits for the end of the transaction.
    fn is_intake(&self) -> bool;
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Op<T, F> {
    body: F,
    out: Option<T>,
    intake: bool,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> WriteOp for Op<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn is_intake(&self) -> bool {
        self.intake
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.out = Some((self.body)(tx)?);
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let out = self.out.ok_or_else(|| StoreError::Unavailable("the write did not run".into()));
        // Nobody listens any more if the caller has gone; the write stands all the same.
        let _ = self.reply.send(outcome.and(out));
    }
}

/// What the writer is asked.
pub(super) enum Asked {
    Write(Box<dyn WriteOp>),
    Close,
}

/// The writer's thread.
pub struct WriterThread {
    thread: std::thread::JoinHandle<()>,
    ask: mpsc::Sender<Asked>,
}

impl WriterThread {
    /// Lets the writer do what waits, and end. Later writes are refused. Blocks.
    pub fn close(self) {
        let _ = self.ask.blocking_send(Asked::Close);
        let _ = self.thread.join();
    }
}

/// Starts the writer.
pub(super) fn start(
    url: DbUrl,
    on_commit: OnCommit,
) -> Result<(mpsc::Sender<Asked>, WriterThread), StoreError> {
    let mut conn = url.open()?;
    let seq = last_seq(&mut conn)?;
    let (sender, receiver) = mpsc::channel(WRITE_QUEUE);
    let writer = Writer { url, conn: Some(conn), seq, in_doubt: None, on_commit };
    let thread = std::thread::Builder::new()
        .name("db-writer".into())
        .spawn(move || writer.run(receiver))
        .map_err(|e| StoreError::Unavailable(e.to_string()))?;
    let ask = sender.clone();
    Ok((sender, WriterThread { thread, ask }))
}

/// What a caller hears of its write.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A request, and where its answer comes. `intake`: it calls [`Tx::catch_up`] itself.
pub(super) fn op<T, F>(body: F, intake: bool) -> (Box<dyn WriteOp>, Answer<T>)
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Op { body, out: None, intake, reply }), answer)
}

struct Writer {
    url: DbUrl,
    conn: Option<Conn>,
    seq: i64,
    /// The place after which there may be jobs on disk that nobody knows.
    in_doubt: Option<i64>,
    on_commit: OnCommit,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Asked>) {
        while let Some(Asked::Write(first)) = self.next(&mut receiver) {
            let (mut group, mut closing) = (vec![first], false);
            while group.len() < GROUP_MAX && !closing {
                match receiver.try_recv() {
                    Ok(Asked::Write(op)) => group.push(op),
                    Ok(Asked::Close) => closing = true,
                    Err(_) => break,
                }
            }
            self.commit_group(group);
            if closing {
                return;
            }
        }
    }

    /// What is asked next. Nobody may ask anything for long, and what a broken commit has left must not wait for it.
    fn next(&mut self, receiver: &mut mpsc::Receiver<Asked>) -> Option<Asked> {
        while self.in_doubt.is_some() && self.find_lost().is_err() {
            match receiver.try_recv() {
                Ok(asked) => return Some(asked),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => std::thread::sleep(LOOK_AGAIN),
            }
        }
        receiver.blocking_recv()
    }

    /// After a commit that broke off: takes its jobs in, if it was done.
    fn find_lost(&mut self) -> Result<(), StoreError> {
        let Some(mut after) = self.in_doubt else { return Ok(()) };
        let mut conn = self.url.open()?;
        begin(&mut conn)?;
        if let Conn::Postgres(_) = &conn {
            // The server may still be at it: this waits until the other transaction has ended either way.
            conn.batch_execute("SET LOCAL lock_timeout = '10s'; LOCK TABLE jobs IN SHARE MODE")?;
        }
        let mut lost = Vec::new();
        loop {
            let page = jobs::ready_after(&mut conn, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            lost.extend(page);
        }
        let seq = last_seq(&mut conn)?;
        conn.batch_execute("COMMIT")?;
        tracing::warn!(
            jobs = lost.len(),
            "the answer to a commit was lost; its jobs were looked for on disk"
        );
        (self.seq, self.in_doubt, self.conn) = (self.seq.max(seq), None, Some(conn));
        (self.on_commit)(lost, 0);
        Ok(())
    }

    fn commit_group(&mut self, mut group: Vec<Box<dyn WriteOp>>) {
        match self.transaction(&mut group) {
            Ok(()) => group.into_iter().for_each(|op| op.reply(Ok(()))),
            Err(error) if group.len() == 1 => group.into_iter().for_each(|op| op.reply(Err(error.clone()))),
            Err(error) if matches!(error, StoreError::Unavailable(_)) => {
                group.into_iter().for_each(|op| op.reply(Err(error.clone())));
            }
            Err(_) => {
                for op in group {
                    let mut alone = vec![op];
                    let outcome = self.transaction(&mut alone);
                    alone.into_iter().for_each(|op| op.reply(outcome.clone()));
                }
            }
        }
    }

    /// A connection inside a transaction. One that cannot begin is broken, as after a restart of the server;
    /// nothing was written by then, so a new one is tried.
    fn begin(&mut self) -> Result<Conn, StoreError> {
        self.find_lost()?;
        if let Some(mut conn) = self.conn.take()
            && begin(&mut conn).is_ok()
        {
            return Ok(conn);
        }
        let mut conn = self.url.open()?;
        begin(&mut conn)?;
        Ok(conn)
    }

    fn transaction(&mut self, group: &mut [Box<dyn WriteOp>]) -> Result<(), StoreError> {
        let mut conn = self.begin()?;
        let seq_before = self.seq;
        let (mut offers, mut later) = (Vec::new(), Later::default());
        let mut tx = Tx { conn: &mut conn, seq: &mut self.seq, offers: &mut offers, later: &mut later };
        let run = || {
            for op in group.iter_mut() {
                if !op.is_intake() {
                    tx.catch_up()?;
                }
                op.run(&mut tx)?;
            }
            tx.catch_up()
        };
        // Whatever it was, it is rolled back; and the only writer must live on.
        let ran = std::panic::catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(StoreError::Corrupt("a write ended in a panic".into())));
        let committing = ran.is_ok();
        let outcome = ran.and_then(|()| conn.batch_execute("COMMIT").map_err(StoreError::from));
        match outcome {
            Ok(()) => {
                self.conn = Some(conn);
                // What waited was announced later than its place in the lane says.
                offers.sort_by_key(|offer| offer.seq);
                (self.on_commit)(offers, group.len());
                Ok(())
            }
            Err(error) => {
                if conn.batch_execute("ROLLBACK").is_ok() {
                    (self.seq, self.conn) = (seq_before, Some(conn));
                } else if committing {
                    // The places stay taken: the jobs that have them may be on disk.
                    self.in_doubt = Some(seq_before);
                } else {
                    self.seq = seq_before;
                }
                Err(error)
            }
        }
    }
}

fn last_seq(conn: &mut Conn) -> Result<i64, StoreError> {
    let last = diesel::dsl::max(schema::jobs::lane_seq);
    Ok(schema::jobs::table.select(last).first::<Option<i64>>(conn)?.unwrap_or(0))
}

fn begin(conn: &mut Conn) -> Result<(), StoreError> {
    let statement = match &conn {
        // A deferred transaction that reads and then writes fails at once when another process writes.
        Conn::Sqlite(_) => "BEGIN IMMEDIATE",
        Conn::Postgres(_) => "BEGIN",
    };
    conn.batch_execute(statement).map_err(|e| StoreError::Unavailable(e.to_string()))
}
