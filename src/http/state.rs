//! What handlers reach.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::admin::Texts;
use crate::access::Access;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::media::BlobStore;
use crate::relay::Relay;
use crate::setup::Setup;
use crate::store::Db;
use crate::telemetry::Metrics;

/// What handlers reach; one for all workers.
pub struct State {
    /// Addresses and limits.
    pub config: Arc<Config>,
    /// For read queries.
    pub db: Db,
    /// What is configured.
    pub directory: Directory,
    /// The time.
    pub clock: Clock,
    /// Use cases on messages.
    pub relay: Arc<Relay>,
    /// Use cases on the installation.
    pub setup: Arc<Setup>,
    /// Files.
    pub blobs: BlobStore,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Administrators and their sessions.
    pub access: Access,
    /// What the panel says, in each language.
    pub texts: Arc<Texts>,
    /// Cancelled when the bridge stops: streams end then.
    pub stop: CancellationToken,
}
