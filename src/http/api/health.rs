//! `/health`: how the bridge stands, for a person or a panel.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::health::takes_writes;
use crate::http::{Problem, State};
use crate::relay::gate::LIMIT_WAIT;
use crate::relay::limits::{Standing, limit_of};
use crate::store::{alarms, jobs, templates};

/// How the bridge stands.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthView {
    /// `ok`, or `attention` if something below wants it.
    status: &'static str,
    version: &'static str,
    queue: QueueView,
    /// How far Meta's messaging limits are used.
    limits: Vec<LimitView>,
    /// Objects that cannot work, and why.
    problems: Vec<String>,
}

/// How the queue stands.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueView {
    ready: i64,
    running: i64,
    dead: i64,
    /// Jobs that wait for Meta's messaging limit.
    limit_waiting: i64,
    /// Age of the oldest job that waits, in seconds.
    oldest_seconds: i64,
}

/// A messaging limit: people that may be written to first within rolling 24 hours.
#[derive(Serialize, ToSchema)]
pub(super) struct LimitView {
    /// Meta's id of the portfolio, or our id of a WABA whose portfolio is not known.
    portfolio: String,
    /// Meta's word, `TIER_2K`.
    tier: Option<String>,
    /// `null` = none, or none that is known.
    limit: Option<usize>,
    /// People that count now.
    used: usize,
    /// People that wait for a place.
    waiting: usize,
}

/// How the bridge stands.
#[utoipa::path(get, path = "/api/v1/health", tag = "health", responses((status = 200, body = HealthView)))]
pub(super) async fn show(state: web::Data<State>) -> Result<web::Json<HealthView>, Problem> {
    let depths = state.db.read(|conn| {
        let (running, dead) = (jobs::depth(conn, "running")?.0, jobs::depth(conn, "dead")?.0);
        let waiting = jobs::waiting_for(conn, LIMIT_WAIT)?;
        let told = (templates::syncs(conn)?, alarms::open(conn)?);
        Ok((jobs::depth(conn, "ready")?, running, dead, waiting, told))
    });
    let ((ready, oldest), running, dead, limit_waiting, (syncs, alarms)) = depths.await?;
    let age = oldest.map_or(0, |oldest| (state.clock.now() - oldest).num_seconds().max(0));
    let mut problems = problems(&state);
    if takes_writes(&state).await.is_err() {
        problems.push("the database takes no writes: look at the disk and the log".to_owned());
    }
    problems.extend(syncs.iter().filter_map(|sync| {
        let why = sync.error.as_ref()?;
        Some(format!("WABA {}: its templates could not be read: {why}", sync.waba_key))
    }));
    problems.extend(alarms.iter().map(|alarm| {
        format!("{} {}: {} ({})", alarm.subject_kind, alarm.subject_id, alarm.reason_en, alarm.check_id)
    }));
    let status = if problems.is_empty() && dead == 0 { "ok" } else { "attention" };
    let queue = QueueView { ready, running, dead, limit_waiting, oldest_seconds: age };
    let limits = limits(&state);
    Ok(web::Json(HealthView { status, version: env!("CARGO_PKG_VERSION"), queue, limits, problems }))
}

/// One row a portfolio: of its phones the one with the smallest limit.
fn limits(state: &State) -> Vec<LimitView> {
    let (snapshot, now) = (state.directory.now(), state.clock.now());
    let mut views: Vec<LimitView> = Vec::new();
    for phone in &snapshot.phones {
        let Some(waba) = snapshot.waba(&phone.waba_key) else { continue };
        let (portfolio, tier) = (waba.limit_key().to_owned(), phone.row.messaging_limit.clone());
        let Standing { used, waiting } = state.relay.limits.standing(&portfolio, now);
        let limit = limit_of(tier.as_deref());
        match views.iter_mut().find(|view| view.portfolio == portfolio) {
            None => views.push(LimitView { portfolio, tier, limit, used, waiting }),
            Some(known) if limit.is_some_and(|limit| known.limit.is_none_or(|other| limit < other)) => {
                (known.tier, known.limit) = (tier, limit);
            }
            Some(_) => {}
        }
    }
    views
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
