//! `[relay]`, `[media]` and `[retention]`: how patiently messages are carried, and how long they are kept.

use std::time::Duration;

use super::reader::Reader;

/// `[relay]`.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// How long to wait for a status that bears the job's id before sending again.
    pub doubt: Duration,
    /// How long a message waits for its file before the line is told that it is on its way.
    pub media_wait: Duration,
    /// Refusals of one message for its own sake, before its job is dead.
    pub max_attempts: u32,
    /// How long a cloud that cannot be reached is waited for.
    pub outage: Duration,
}

/// `[media]`.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Size of the largest file that is taken.
    pub max_bytes: u64,
}

/// `[retention]`: the age at which things are removed.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    /// The ledger.
    pub messages: Duration,
    /// Pairs of message ids; 60 days at least.
    pub id_map: Duration,
    /// Files.
    pub media: Duration,
    /// Raw events.
    pub events: Duration,
    /// Jobs that are done.
    pub jobs_done: Duration,
    /// Call records.
    pub calls: Duration,
}

impl RelayConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            doubt: r.seconds("relay.doubt_seconds", 0..=3600),
            media_wait: r.seconds("relay.media_wait_seconds", 0..=3600),
            max_attempts: r.whole("relay.max_attempts", 1..=100),
            outage: r.days("relay.outage_days", 1),
        }
    }
}

impl MediaConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self { max_bytes: u64::from(r.whole("media.max_bytes", 1..=u32::MAX)) }
    }
}

impl RetentionConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            messages: r.days("retention.messages_days", 1),
            id_map: r.days("retention.id_map_days", 60),
            media: r.days("retention.media_days", 1),
            events: r.days("retention.events_days", 1),
            jobs_done: r.days("retention.jobs_done_days", 1),
            calls: r.days("retention.calls_days", 1),
        }
    }
}
