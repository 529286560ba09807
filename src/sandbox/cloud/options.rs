//! How a simulated cloud is set up.

use std::fmt;
use std::time::Duration;

use crate::clock::Clock;

/// Settings that stay for the life of the cloud. The defaults are Meta's own limits.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    /// Tells the time for windows, timestamps and expiry; see also `advance_time`.
    pub clock: Clock,
    /// Seed of the dice that the faults throw. Ids are always random.
    pub seed: u64,
    /// Threads of the HTTP server.
    pub workers: usize,
    /// For benchmarks: keep no messages and send no statuses.
    pub quiet: bool,
    /// Updates in one notification at most (Meta: up to 1000). 1 = each alone.
    pub max_batch: usize,
    /// Where the updates of a batch are put.
    pub batch_shape: BatchShape,
    /// Notifications in flight at once to one app. 1 keeps the order of creation; Meta does not.
    pub concurrency: usize,
    /// When a failed delivery is tried again.
    pub retry: Retry,
    /// How long a callback may take to answer.
    pub webhook_timeout: Duration,
    /// Time between the answer to a send and its first statuses.
    pub status_delay: Duration,
    /// Sends per second and phone before 130429 (facts §6.1).
    pub throughput: Option<u32>,
    /// Sends in a burst to one person before 131056; one more every 6 s (facts §6.1).
    pub pair_burst: Option<u32>,
}

impl Default for CloudOptions {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            seed: 1,
            workers: 1,
            quiet: false,
            max_batch: 1,
            batch_shape: BatchShape::Arrays,
            concurrency: 1,
            retry: Retry::default(),
            webhook_timeout: Duration::from_secs(10),
            status_delay: Duration::from_millis(20),
            throughput: Some(80),
            pair_burst: Some(45),
        }
    }
}

impl CloudOptions {
    /// For benchmarks: quiet and without rate limits.
    pub fn benchmark() -> Self {
        Self { quiet: true, throughput: None, pair_burst: None, workers: 2, ..Self::default() }
    }

    /// Without the limits of §6.1.
    pub fn unlimited(self) -> Self {
        Self { throughput: None, pair_burst: None, ..self }
    }
}

/// At once, then after `first`, then twice as long each time up to `max`, until 200.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Pause before the second repetition.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), max: Duration::from_secs(2) }
    }
}

/// Where the updates of one notification are put (facts §1.3: entry × changes × arrays).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchShape {
    /// Neighbours of one phone share a `value`; its `messages` and `statuses` grow.
    Arrays,
    /// Each update is a `changes` element of its own.
    Changes,
    /// Each update is an `entry` of its own.
    Entries,
}

/// A Meta app. Its secrets never show in `Debug` or in an event.
#[derive(Clone)]
pub struct SimApp {
    /// The app id.
    pub client_id: String,
    /// The app secret: signs the webhooks, makes the app token.
    pub client_secret: String,
    /// A system user's token for this app.
    pub access_token: String,
    /// Where webhooks go. May come later, by `set_callback` or `POST /{app}/subscriptions`.
    pub callback_url: Option<String>,
    /// What the handshake with `callback_url` shows.
    pub verify_token: String,
}

impl fmt::Debug for SimApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimApp")
            .field("client_id", &self.client_id)
            .field("callback_url", &self.callback_url)
            .finish_non_exhaustive()
    }
}
