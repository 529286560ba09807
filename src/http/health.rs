//! Whether we live, whether we can work, and the numbers.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Problem, State};
use crate::store::{StoreError, jobs, vault};

/// A database that takes longer for one small write takes none.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: the database takes a write.
pub(super) async fn ready(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    takes_writes(&state).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"))
}

/// Whether the database takes a write, as it does not when the disk is full.
pub(super) async fn takes_writes(state: &State) -> Result<(), Problem> {
    let write = state.db.write_or_busy(|tx| vault::touch(tx.conn));
    match tokio::time::timeout(PATIENCE, write).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database takes too long")),
    }
}

/// `GET /metrics`: the text form of OpenMetrics. Without the database the queue's numbers stay as they were.
pub(super) async fn metrics(state: web::Data<State>) -> HttpResponse {
    if let Err(error) = measure_queue(&state).await {
        tracing::warn!(error = %error, "the queue cannot be measured");
    }
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.encode())
}

async fn measure_queue(state: &State) -> Result<(), StoreError> {
    let ((ready, oldest), (dead, _)) =
        state.db.read(|conn| Ok((jobs::depth(conn, "ready")?, jobs::depth(conn, "dead")?))).await?;
    let age = oldest.and_then(|oldest| (state.clock.now() - oldest).to_std().ok()).unwrap_or_default();
    state.metrics.queue(age, ready, dead);
    Ok(())
}
