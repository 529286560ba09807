//! Durable jobs: written with what causes them, leased, finished.
//!
//! `lane_seq` is taken by the writer inside the transaction: it is the order of commit. A job that runs is
//! `running` on disk before its call goes out, so that after a crash the call is known to be in doubt.

mod seek;

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamp};

pub use seek::{
    JobFilter, around_message, dead_ids, depth, has_to_let_pass, list, of_message, oldest_open, search,
    waiting_for,
};

use super::db::{Conn, StoreError, Tx, on_backend};
use super::schema::jobs;
use super::ts;
use crate::clock::new_id;

/// A job to be written.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Name of the payload's kind.
    pub kind: &'static str,
    /// Whose worker takes it, as `class:owner`.
    pub queue: String,
    /// Jobs of one lane run one at a time.
    pub lane: String,
    /// The effect's key: a second job with it is not written.
    pub dedupe_key: Option<String>,
    /// Tagged JSON.
    pub payload: String,
    /// The message that it moves.
    pub message_id: Option<String>,
    /// Not before this instant.
    pub not_before: Option<DateTime<Utc>>,
}

/// What the scheduler is told of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The job.
    pub id: String,
    /// Name of the payload's kind.
    pub kind: String,
    /// `class:owner`.
    pub queue: String,
    /// Its lane.
    pub lane: String,
    /// Its place in the lane.
    pub seq: i64,
    /// Not before this instant.
    pub not_before: Option<DateTime<Utc>>,
}

/// A job as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct JobRow {
    /// Our id.
    pub id: String,
    /// Name of the payload's kind.
    pub kind: String,
    /// `class:owner`.
    pub queue: String,
    /// Its lane.
    pub lane: String,
    /// Its place in the lane.
    pub lane_seq: i64,
    /// `ready`, `running`, `done`, `dead`, `dropped`.
    pub state: String,
    /// Tagged JSON.
    pub payload: String,
    /// The message that it moves.
    pub message_id: Option<String>,
    /// Verdicts on this very job so far.
    pub attempts: i32,
    /// A call of it went out and its answer is not known.
    pub doubtful: bool,
    /// It was sent again after doubt.
    pub maybe_twice: bool,
    /// Not before this instant.
    pub not_before: Option<NaiveDateTime>,
    /// The last failure in words.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it ended.
    pub finished_at: Option<NaiveDateTime>,
    /// Since when it is tried in vain.
    pub troubled_since: Option<NaiveDateTime>,
}

impl JobRow {
    /// Since when it is tried in vain, if it fails now.
    pub fn troubled_since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.troubled_since.map_or(now, |at| at.and_utc())
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The effect is there.
    Done,
    /// It runs again; the lane waits for it.
    Again {
        /// Not before this instant.
        not_before: DateTime<Utc>,
        /// Why.
        error: String,
        /// Whether this was a verdict on the job itself.
        counts: bool,
        /// Whether the call may have had its effect.
        doubtful: bool,
    },
    /// It was not started after all.
    Released,
    /// It will not be tried again by itself.
    Dead {
        /// Why.
        error: String,
    },
}

/// A job with all that is written of it at first.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = jobs)]
pub(super) struct FreshJob {
    id: String,
    kind: &'static str,
    queue: String,
    lane: String,
    lane_seq: i64,
    dedupe_key: Option<String>,
    state: &'static str,
    payload: String,
    message_id: Option<String>,
    attempts: i32,
    doubtful: bool,
    maybe_twice: bool,
    not_before: Option<NaiveDateTime>,
    created_at: NaiveDateTime,
}

impl FreshJob {
    pub(super) fn new(job: NewJob, seq: i64, now: DateTime<Utc>) -> Self {
        Self {
            id: new_id(),
            kind: job.kind,
            queue: job.queue,
            lane: job.lane,
            lane_seq: seq,
            dedupe_key: job.dedupe_key,
            state: "ready",
            payload: job.payload,
            message_id: job.message_id,
            attempts: 0,
            doubtful: false,
            maybe_twice: false,
            not_before: job.not_before.map(ts),
            created_at: ts(now),
        }
    }

    pub(super) fn offer(&self) -> Offer {
        Offer {
            id: self.id.clone(),
            kind: self.kind.to_owned(),
            queue: self.queue.clone(),
            lane: self.lane.clone(),
            seq: self.lane_seq,
            not_before: self.not_before.map(|at| at.and_utc()),
        }
    }
}

/// Writes a job unless its effect's key is known, and announces it. `None`: known already.
pub fn enqueue(tx: &mut Tx<'_>, job: &NewJob, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
    let fresh = FreshJob::new(job.clone(), tx.next_seq(), now);
    let written = on_backend!(tx.conn, |c| diesel::insert_into(jobs::table)
        .values(&fresh)
        .on_conflict_do_nothing()
        .execute(c))?;
    if written == 0 {
        return Ok(None);
    }
    tx.announce(fresh.offer());
    Ok(Some(fresh.id))
}

/// Leases the jobs that are still ready and returns them in the order of their lanes' places.
pub fn start(
    conn: &mut Conn,
    ids: &[String],
    lease_id: &str,
    lease_until: DateTime<Utc>,
) -> Result<Vec<JobRow>, StoreError> {
    // No job that is ready bears a lease; one that bears this very lease was started by a try whose answer was lost.
    diesel::update(jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::state.eq("ready")))
        .set((jobs::state.eq("running"), jobs::lease_id.eq(lease_id), jobs::lease_until.eq(ts(lease_until))))
        .execute(conn)?;
    Ok(jobs::table
        .filter(jobs::id.eq_any(ids))
        .filter(jobs::lease_id.eq(lease_id))
        .order(jobs::lane_seq)
        .select(JobRow::as_select())
        .load(conn)?)
}

/// Whether the lease was still ours when the job was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The settlement is written.
    Yes,
    /// Somebody else holds or ended the job: nothing was written.
    LeaseLost,
}

/// Writes how a run ended, if the lease is still ours.
pub fn finish(
    conn: &mut Conn,
    id: &str,
    lease_id: &str,
    settlement: &Settlement,
    maybe_twice: bool,
    now: DateTime<Utc>,
) -> Result<Finished, StoreError> {
    let target = jobs::table.filter(jobs::id.eq(id)).filter(jobs::lease_id.eq(lease_id));
    let none = None::<String>;
    let changed = match settlement {
        Settlement::Done => diesel::update(target)
            .set((
                jobs::state.eq("done"),
                jobs::lease_id.eq(none),
                jobs::doubtful.eq(false),
                jobs::maybe_twice.eq(maybe_twice),
                jobs::finished_at.eq(ts(now)),
            ))
            .execute(conn)?,
        Settlement::Again { not_before, error, counts, doubtful } => diesel::update(target)
            .set((
                jobs::state.eq("ready"),
                jobs::lease_id.eq(none),
                jobs::doubtful.eq(*doubtful),
                jobs::maybe_twice.eq(maybe_twice),
                jobs::attempts.eq(jobs::attempts + i32::from(*counts)),
                jobs::not_before.eq(ts(*not_before)),
                jobs::troubled_since.eq(diesel::dsl::case_when(
                    jobs::troubled_since.is_null(),
                    ts(now).into_sql::<Nullable<Timestamp>>(),
                )
                .otherwise(jobs::troubled_since)),
                jobs::last_error.eq(error.replace('\0', "")),
            ))
            .execute(conn)?,
        Settlement::Released => diesel::update(target)
            .set((
                jobs::state.eq("ready"),
                jobs::lease_id.eq(none),
                jobs::maybe_twice.eq(maybe_twice),
                jobs::troubled_since.eq(None::<NaiveDateTime>),
            ))
            .execute(conn)?,
        Settlement::Dead { error } => diesel::update(target)
            .set((
                jobs::state.eq("dead"),
                jobs::lease_id.eq(none),
                jobs::maybe_twice.eq(maybe_twice),
                jobs::attempts.eq(jobs::attempts + 1),
                jobs::last_error.eq(error.replace('\0', "")),
                jobs::finished_at.eq(ts(now)),
            ))
            .execute(conn)?,
    };
    Ok(if changed == 1 { Finished::Yes } else { Finished::LeaseLost })
}

/// Writes that jobs are done, none of them sent twice; as [`finish`] does, for many. Returns those whose lease was
/// still ours.
pub fn finish_done(
    conn: &mut Conn,
    ids: &[String],
    lease_id: &str,
    now: DateTime<Utc>,
) -> Result<HashSet<String>, StoreError> {
    if let [] | [_] = ids {
        // The statement for one is prepared already.
        let finished = ids.first().map(|id| finish(conn, id, lease_id, &Settlement::Done, false, now));
        let ours = finished.transpose()? == Some(Finished::Yes);
        return Ok(ids.iter().filter(|_| ours).cloned().collect());
    }
    let done = on_backend!(conn, |c| diesel::update(
        jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::lease_id.eq(lease_id))
    )
    .set((
        jobs::state.eq("done"),
        jobs::lease_id.eq(None::<String>),
        jobs::doubtful.eq(false),
        jobs::maybe_twice.eq(false),
        jobs::finished_at.eq(ts(now)),
    ))
    .returning(jobs::id)
    .get_results::<String>(c))?;
    Ok(done.into_iter().collect())
}

/// Writes down how far a job has come.
pub fn set_payload(conn: &mut Conn, id: &str, payload: &str) -> Result<(), StoreError> {
    diesel::update(jobs::table.find(id)).set(jobs::payload.eq(payload)).execute(conn)?;
    Ok(())
}

/// Lets a waiting job run now; how a stored file wakes the message that waits for it.
pub fn wake(tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
    diesel::update(jobs::table.filter(jobs::id.eq(id)).filter(jobs::state.eq("ready")))
        .set(jobs::not_before.eq(None::<NaiveDateTime>))
        .execute(tx.conn)?;
    Ok(())
}

/// Jobs that were broken off: ready again, in doubt, and counted; at `max_attempts` they are dead, and
/// returned.
pub fn put_back(
    conn: &mut Conn,
    ids: &[String],
    lease_id: &str,
    max_attempts: i32,
    now: DateTime<Utc>,
) -> Result<Vec<JobRow>, StoreError> {
    let mut dead: Vec<JobRow> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .filter(jobs::lease_id.eq(lease_id))
        .filter(jobs::attempts.ge(max_attempts - 1))
        .select(JobRow::as_select())
        .load(conn)?;
    for row in &mut dead {
        row.attempts += 1;
        diesel::update(jobs::table.find(&row.id))
            .set((
                jobs::state.eq("dead"),
                jobs::lease_id.eq(None::<String>),
                jobs::doubtful.eq(true),
                jobs::attempts.eq(row.attempts),
                jobs::last_error.eq("broken off again and again"),
                jobs::finished_at.eq(ts(now)),
            ))
            .execute(conn)?;
    }
    diesel::update(jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::lease_id.eq(lease_id)))
        .set((
            jobs::state.eq("ready"),
            jobs::lease_id.eq(None::<String>),
            jobs::doubtful.eq(true),
            jobs::attempts.eq(jobs::attempts + 1),
            // An old waiting time must not pass for the time that doubt has to be waited for.
            jobs::not_before.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)?;
    Ok(dead)
}

/// At start, when nothing else serves: what was running is in doubt and ready again.
pub fn clear_leases(conn: &mut Conn) -> Result<usize, StoreError> {
    Ok(diesel::update(jobs::table.filter(jobs::state.eq("running")))
        .set((
            jobs::state.eq("ready"),
            jobs::lease_id.eq(None::<String>),
            jobs::doubtful.eq(true),
            // An old waiting time must not pass for the time that doubt has to be waited for.
            jobs::not_before.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)?)
}

/// Ready jobs after the place `after`, in order; how the scheduler learns of them at start.
pub fn ready_after(conn: &mut Conn, after: i64, limit: i64) -> Result<Vec<Offer>, StoreError> {
    type Row = (String, String, String, String, i64, Option<NaiveDateTime>);
    let rows: Vec<Row> = jobs::table
        .filter(jobs::state.eq("ready"))
        .filter(jobs::lane_seq.gt(after))
        .order(jobs::lane_seq)
        .limit(limit)
        .select((jobs::id, jobs::kind, jobs::queue, jobs::lane, jobs::lane_seq, jobs::not_before))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, kind, queue, lane, seq, not_before)| Offer {
            id,
            kind,
            queue,
            lane,
            seq,
            not_before: not_before.map(|at| at.and_utc()),
        })
        .collect())
}

/// One job.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<JobRow>, StoreError> {
    Ok(jobs::table.find(id).select(JobRow::as_select()).first(conn).optional()?)
}

/// Makes a dead job ready again, at the end of its lane. `false`: it is not dead.
pub fn retry(tx: &mut Tx<'_>, id: &str) -> Result<bool, StoreError> {
    let Some(job) = get(tx.conn, id)?.filter(|job| job.state == "dead") else {
        return Ok(false);
    };
    let seq = tx.next_seq();
    diesel::update(jobs::table.find(id))
        .set((
            jobs::state.eq("ready"),
            jobs::lane_seq.eq(seq),
            jobs::attempts.eq(0),
            jobs::not_before.eq(None::<NaiveDateTime>),
            jobs::troubled_since.eq(None::<NaiveDateTime>),
            jobs::finished_at.eq(None::<NaiveDateTime>),
        ))
        .execute(tx.conn)?;
    tx.announce(Offer {
        id: job.id,
        kind: job.kind,
        queue: job.queue,
        lane: job.lane,
        seq,
        not_before: None,
    });
    Ok(true)
}

/// Gives a dead job up for good. `false`: it is not dead.
pub fn drop_dead(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let changed = diesel::update(jobs::table.find(id).filter(jobs::state.eq("dead")))
        .set((jobs::state.eq("dropped"), jobs::finished_at.eq(ts(now))))
        .execute(conn)?;
    Ok(changed == 1)
}
