//! Keeps the gauges of the queue, and reads the directory again now and then, in case that another process
//! changed it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::store::{StoreError, jobs};
use crate::telemetry::Metrics;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(15);

/// Looks until `stop`.
pub async fn run(relay: Arc<Relay>, metrics: Arc<Metrics>, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&relay, &metrics).await {
            tracing::warn!(error = %error, "the state of the queue could not be read");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

async fn look(relay: &Relay, metrics: &Metrics) -> Result<(), StoreError> {
    let ((ready, oldest), (dead, _)) =
        relay.db.read(|conn| Ok((jobs::depth(conn, "ready")?, jobs::depth(conn, "dead")?))).await?;
    let age = oldest.map(|oldest| (relay.clock.now() - oldest).to_std().unwrap_or_default());
    metrics.queue(age.unwrap_or_default(), ready, dead);
    relay.directory.reload().await
}
