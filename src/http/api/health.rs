//! `/health`: how the bridge stands, for a person or a panel.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{Problem, State};
use crate::store::{jobs, templates};

/// How the bridge stands.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthView {
    /// `ok`, or `attention` if something below wants it.
    status: &'static str,
    version: &'static str,
    queue: QueueView,
    /// Objects that cannot work, and why.
    problems: Vec<String>,
}

/// How the queue stands.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueView {
    ready: i64,
    running: i64,
    dead: i64,
    /// Age of the oldest job that waits, in seconds.
    oldest_seconds: i64,
}

/// How the bridge stands.
#[utoipa::path(get, path = "/api/v1/health", tag = "health", responses((status = 200, body = HealthView)))]
pub(super) async fn show(state: web::Data<State>) -> Result<web::Json<HealthView>, Problem> {
    let depths = state.db.read(|conn| {
        let (running, dead) = (jobs::depth(conn, "running")?.0, jobs::depth(conn, "dead")?.0);
        Ok((jobs::depth(conn, "ready")?, running, dead, templates::syncs(conn)?))
    });
    let ((ready, oldest), running, dead, syncs) = depths.await?;
    let age = oldest.map_or(0, |oldest| (state.clock.now() - oldest).num_seconds().max(0));
    let mut problems = problems(&state);
    problems.extend(syncs.iter().filter_map(|sync| {
        let why = sync.error.as_ref()?;
        Some(format!("WABA {}: its templates could not be read: {why}", sync.waba_key))
    }));
    let status = if problems.is_empty() && dead == 0 { "ok" } else { "attention" };
    let queue = QueueView { ready, running, dead, oldest_seconds: age };
    Ok(web::Json(HealthView { status, version: env!("CARGO_PKG_VERSION"), queue, problems }))
}

fn problems(state: &State) -> Vec<String> {
    let snapshot = state.directory.now();
    let mut problems = Vec::new();
    for app in &snapshot.apps {
        problems.extend(app.broken.iter().map(|why| format!("app {}: {why}", app.id)));
    }
    for waba in &snapshot.wabas {
        problems.extend(waba.broken.iter().map(|why| format!("WABA {}: {why}", waba.key)));
    }
    for portal in &snapshot.portals {
        problems.extend(portal.broken.iter().map(|why| format!("portal {}: {why}", portal.id)));
        if portal.row.status != "active" {
            let why = portal.row.status_reason.as_deref().unwrap_or_default();
            problems.push(format!("portal {}: {} {why}", portal.id, portal.row.status).trim().to_owned());
        }
    }
    problems
}
