//! `/jobs`: what waits, and dead letters.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::by::By;
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::store::jobs::{self, JobFilter, JobRow};

const STATES: [&str; 5] = ["ready", "running", "done", "dead", "dropped"];

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `ready`, `running`, `done`, `dead` or `dropped`.
    state: Option<String>,
}

/// A durable job.
#[derive(Serialize, ToSchema)]
pub(super) struct JobView {
    id: String,
    kind: String,
    queue: String,
    lane: String,
    state: String,
    message_id: Option<String>,
    /// Verdicts on this very job.
    attempts: i32,
    /// A call of it went out and its answer is not known.
    doubtful: bool,
    /// It was sent again after doubt.
    maybe_twice: bool,
    not_before: Option<DateTime<Utc>>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// How many jobs run again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    retried: usize,
}

/// Jobs, newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(Wanted, Paging),
    responses((status = 200, body = List<JobView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<JobView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let wanted = wanted.into_inner().state;
    if wanted.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        return Err(Problem::field("state", format!("must be one of {}", STATES.join(", "))));
    }
    let rows = state.db.read(move |conn| jobs::list(conn, wanted.as_deref(), &page)).await?;
    Ok(List::of(rows, limit, |row| &row.id, view))
}

/// One job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<JobView>, Problem> {
    one(&state, &id).await.map(|row| web::Json(view(row)))
}

/// Lets a dead job run again.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn retry(by: By, id: web::Path<String>) -> Result<web::Json<JobView>, Problem> {
    Ok(web::Json(view(by.0.retry_job(&id).await?)))
}

/// Gives a dead job up for good.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/drop", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn give_up(by: By, id: web::Path<String>) -> Result<web::Json<JobView>, Problem> {
    Ok(web::Json(view(by.0.drop_job(&id, None).await?)))
}

/// Lets all dead jobs run again, in their order.
#[utoipa::path(post, path = "/api/v1/jobs/retry", tag = "jobs", params(Wanted),
    responses((status = 200, body = Retried), (status = 422, body = Problem)))]
pub(super) async fn retry_all(by: By, wanted: web::Query<Wanted>) -> Result<web::Json<Retried>, Problem> {
    if wanted.state.as_deref() != Some("dead") {
        return Err(Problem::field("state", "must be dead: only dead jobs are retried"));
    }
    Ok(web::Json(Retried { retried: by.0.retry_jobs(JobFilter::default()).await? }))
}

async fn one(state: &State, id: &str) -> Result<JobRow, Problem> {
    let id = id.to_owned();
    state.db.read(move |conn| jobs::get(conn, &id)).await?.ok_or_else(|| Problem::not_found("job"))
}

fn view(row: JobRow) -> JobView {
    JobView {
        not_before: row.not_before.map(utc),
        created_at: utc(row.created_at),
        finished_at: row.finished_at.map(utc),
        id: row.id,
        kind: row.kind,
        queue: row.queue,
        lane: row.lane,
        state: row.state,
        message_id: row.message_id,
        attempts: row.attempts,
        doubtful: row.doubtful,
        maybe_twice: row.maybe_twice,
        last_error: row.last_error,
    }
}
