//! Rounds that keep things as they should be: the gauges of the queue, the directory (in case that another
//! process changed it), queues whose line a person has mended, what portals have of us.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::relay::gate::LIMIT_WAIT;
use crate::setup::Setup;
use crate::store::{StoreError, jobs, sms};
use crate::telemetry::Metrics;

/// Between two checks of what the portals have of us.
const PORTALS_ROUND: Duration = Duration::from_secs(24 * 3600);
/// Between two looks at what is held.
const BEAT: Duration = Duration::from_millis(500);
/// Between two looks whether an account's templates are to be read.
const TEMPLATES_ROUND: Duration = Duration::from_secs(60);
/// Beats between two looks at the database.
const ROUND: u32 = 30;
/// Rounds between two looks at idle portals: an hour.
const IDLE_ROUNDS: u32 = 240;

/// Looks until `stop`.
pub async fn run(relay: Arc<Relay>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut beat: u32 = 0;
    loop {
        wake_mended(&relay);
        if beat.is_multiple_of(ROUND)
            && let Err(error) = look(&relay, &metrics).await
        {
            tracing::warn!(error = %error, "the state of the queue could not be read");
        }
        if beat.is_multiple_of(ROUND)
            && let Err(error) = relay.expire_held().await
        {
            tracing::warn!(error = %error, "held texts could not be looked through");
        }
        if beat.is_multiple_of(ROUND * IDLE_ROUNDS) {
            relay.gateway.keep_alive().await;
        }
        beat = beat.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

/// A line that waits for a person (to bind it, to install the app again) goes on when that has happened.
fn wake_mended(relay: &Relay) {
    for (queue, stamp) in relay.scheduler.held() {
        if relay.line_stamp(&queue) != stamp {
            relay.scheduler.resume(&queue);
        }
    }
}

async fn look(relay: &Relay, metrics: &Metrics) -> Result<(), StoreError> {
    let ((ready, oldest), (dead, _), limited, sms) = relay
        .db
        .read(|conn| {
            let (ready, dead) = (jobs::depth(conn, "ready")?, jobs::depth(conn, "dead")?);
            Ok((ready, dead, jobs::waiting_for(conn, LIMIT_WAIT)?, sms::waiting(conn)?))
        })
        .await?;
    metrics.limit(limited);
    metrics.sms(sms.iter().map(|(_, count)| count).sum());
    let age = oldest.map(|oldest| (relay.clock.now() - oldest).to_std().unwrap_or_default());
    metrics.queue(age.unwrap_or_default(), ready, dead);
    relay.directory.reload().await
}

/// Puts back what portals lost of our set-up, at start and once a day.
pub async fn check_portals(setup: Arc<Setup>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = setup.check_portals() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PORTALS_ROUND) => {}
        }
    }
}

/// Reads templates and messaging limits again when their time has come, or when a webhook wished it.
pub async fn sync_templates(setup: Arc<Setup>, relay: Arc<Relay>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = setup.sync_due() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = relay.template_wishes.notified() => {}
            () = tokio::time::sleep(TEMPLATES_ROUND) => {}
        }
    }
}
