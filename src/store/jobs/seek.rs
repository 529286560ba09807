//! Looking for jobs: for the API, the panel, the doctor and the metrics.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::JobRow;
use crate::store::Page;
use crate::store::db::{Conn, StoreError};
use crate::store::schema::jobs;

/// Which jobs are wanted.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this queue, as `class:owner`.
    pub queue: Option<String>,
}

/// Jobs that a filter names, newest first.
pub fn search(conn: &mut Conn, filter: &JobFilter, page: &Page) -> Result<Vec<JobRow>, StoreError> {
    let mut query =
        jobs::table.select(JobRow::as_select()).order(jobs::id.desc()).limit(page.limit).into_boxed();
    if let Some(state) = &filter.state {
        query = query.filter(jobs::state.eq(state.clone()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(jobs::kind.eq(kind.clone()));
    }
    if let Some(queue) = &filter.queue {
        query = query.filter(jobs::queue.eq(queue.clone()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(jobs::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// Every job of a message and the one that sends it, oldest first.
pub fn around_message(
    conn: &mut Conn,
    message_id: &str,
    job_id: Option<&str>,
) -> Result<Vec<JobRow>, StoreError> {
    let own = job_id.unwrap_or_default().to_owned();
    Ok(jobs::table
        .filter(jobs::message_id.eq(message_id).or(jobs::id.eq(own)))
        .order(jobs::id)
        .select(JobRow::as_select())
        .load(conn)?)
}

/// The job that has waited longest among those that still have work to do.
pub fn oldest_open(conn: &mut Conn) -> Result<Option<JobRow>, StoreError> {
    Ok(jobs::table
        .filter(jobs::state.eq_any(["ready", "running"]))
        .order(jobs::created_at)
        .select(JobRow::as_select())
        .first(conn)
        .optional()?)
}

/// The ids of the dead jobs that a filter names, whatever its state, oldest first.
pub fn dead_ids(conn: &mut Conn, filter: &JobFilter) -> Result<Vec<String>, StoreError> {
    let mut query =
        jobs::table.filter(jobs::state.eq("dead")).order(jobs::lane_seq).select(jobs::id).into_boxed();
    if let Some(kind) = &filter.kind {
        query = query.filter(jobs::kind.eq(kind.clone()));
    }
    if let Some(queue) = &filter.queue {
        query = query.filter(jobs::queue.eq(queue.clone()));
    }
    Ok(query.load(conn)?)
}

/// Jobs, newest first, of one state if given.
pub fn list(conn: &mut Conn, state: Option<&str>, page: &Page) -> Result<Vec<JobRow>, StoreError> {
    let mut query =
        jobs::table.select(JobRow::as_select()).order(jobs::id.desc()).limit(page.limit).into_boxed();
    if let Some(state) = state {
        query = query.filter(jobs::state.eq(state.to_owned()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(jobs::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// The jobs of a message of one kind.
pub fn of_message(conn: &mut Conn, message_id: &str, kind: &str) -> Result<Vec<JobRow>, StoreError> {
    Ok(jobs::table
        .filter(jobs::message_id.eq(message_id))
        .filter(jobs::kind.eq(kind))
        .select(JobRow::as_select())
        .load(conn)?)
}

/// Whether jobs whose keys begin with `prefix` wait in the lane of a job whose own key does not.
pub fn has_to_let_pass(conn: &mut Conn, job: &JobRow, prefix: &str) -> Result<bool, StoreError> {
    let of_kind = || jobs::dedupe_key.like(format!("{prefix}%"));
    let own: i64 = jobs::table.filter(jobs::id.eq(&job.id)).filter(of_kind()).count().get_result(conn)?;
    let waiting: i64 = jobs::table
        .filter(jobs::lane.eq(&job.lane))
        .filter(jobs::state.eq("ready"))
        .filter(of_kind())
        .count()
        .get_result(conn)?;
    Ok(own == 0 && waiting > 0)
}

/// How many jobs are in a state, and since when the oldest waits.
pub fn depth(conn: &mut Conn, state: &str) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let (count, oldest): (i64, Option<NaiveDateTime>) = jobs::table
        .filter(jobs::state.eq(state))
        .select((diesel::dsl::count_star(), diesel::dsl::min(jobs::created_at)))
        .first(conn)?;
    Ok((count, oldest.map(|at| at.and_utc())))
}

/// How many jobs wait for this reason.
pub fn waiting_for(conn: &mut Conn, reason: &str) -> Result<i64, StoreError> {
    Ok(jobs::table
        .filter(jobs::state.eq("ready"))
        .filter(jobs::last_error.eq(reason))
        .count()
        .get_result(conn)?)
}
