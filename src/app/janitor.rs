//! Removes what is older than its time, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::BlobId;
use crate::relay::{Relay, limits};
use crate::store;
use crate::store::retention::{self, Kind, STEP};
use crate::store::{StoreError, blobs, uploads};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3600);
/// Between two steps of a round, so that nothing waits for it.
const PAUSE: Duration = Duration::from_millis(50);
/// Statuses of messages that are not ours, and echoes that never came.
const SHORT_LIVED: TimeDelta = TimeDelta::hours(24);
/// So far back Meta counts edits of a template.
const TEMPLATE_CHANGES: TimeDelta = TimeDelta::days(30);
/// A file without a row is no leftover before this age: its row may be on its way.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(1);

/// Cleans up until `stop`.
pub async fn run(relay: Arc<Relay>, config: Arc<Config>, stop: CancellationToken) {
    loop {
        if let Err(error) = round(&relay, &config, &stop).await {
            tracing::warn!(error = %error, "old data could not be removed; trying again later");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// One round: everything that is too old goes.
pub async fn round(relay: &Relay, config: &Config, stop: &CancellationToken) -> Result<(), StoreError> {
    let now = relay.clock.now();
    let keep = &config.retention;
    let before = |age: Duration| now - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    // The ledger is the map of ids as well: it lives as long as the longer of both.
    let messages = before(keep.messages.max(keep.id_map));
    for (kind, before) in [
        (Kind::Jobs, before(keep.jobs_done)),
        (Kind::Events, before(keep.events)),
        (Kind::ParkedStatuses, now - SHORT_LIVED),
        (Kind::Echoes, now - SHORT_LIVED),
        (Kind::AlarmNotices, before(keep.events)),
        (Kind::Alarms, before(keep.events)),
        (Kind::Messages, messages),
        (Kind::Calls, before(keep.calls)),
        (Kind::CallPermissions, now - SHORT_LIVED),
        (Kind::Sms, messages),
        (Kind::TemplateChanges, now - TEMPLATE_CHANGES),
    ] {
        loop {
            let removed = relay.db.write(move |tx| retention::step(tx.conn, kind, before)).await?;
            if removed < usize::try_from(STEP).unwrap_or(usize::MAX) || stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    relay.db.write(move |tx| uploads::forget_old(tx.conn, now)).await?;
    let counted = now - limits::COUNTED;
    relay.db.write(move |tx| store::limits::forget_before(tx.conn, counted)).await?;
    remove_files(relay, before(keep.media), stop).await?;
    remove_orphans(relay, now - ORPHAN_AGE).await
}

async fn remove_files(
    relay: &Relay,
    before: DateTime<Utc>,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let ids = relay.db.read(move |conn| blobs::older_than(conn, before, STEP)).await?;
        if ids.is_empty() || stop.is_cancelled() {
            return Ok(());
        }
        let gone = ids.clone();
        relay.db.write(move |tx| blobs::delete(tx.conn, &gone)).await?;
        for id in ids {
            if let Err(error) = relay.blobs.remove(&BlobId::from(id)).await {
                tracing::warn!(error = %error, "an old file could not be removed");
            }
        }
    }
}

async fn remove_orphans(relay: &Relay, made_before: DateTime<Utc>) -> Result<(), StoreError> {
    let known = relay.db.read(blobs::ids).await?;
    match relay.blobs.sweep_orphans(made_before, |id| known.contains(id.as_str())).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "files that nothing refers to were removed"),
        Err(error) => tracing::warn!(error = %error, "the media directory could not be swept"),
    }
    Ok(())
}
