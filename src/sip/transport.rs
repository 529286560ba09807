//! Sockets: what accepts, dials, reads and writes. Knows nothing of SIP but where its bytes go: framing and
//! everything above is the core's. All tasks of this module end with the driver's tracker.

mod accept;
mod connection;
mod datagrams;
mod dial;
mod limits;
mod resolve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sip::core::{ConnId, Link, Target};
use crate::telemetry::Metrics;

pub use accept::{SipListener, accept};
pub use connection::{Command, Writer};
pub use datagrams::{Datagrams, LONGEST};
pub use dial::{Dialler, Roots};
pub use limits::{Admission, Limits, Patience};
pub use resolve::{Addresses, keep_resolved, resolve_trunks};

/// How long connections may take to close at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes that one read may return; most messages fit.
const READ: usize = 4096;

/// What sockets tell the driver.
#[derive(Debug)]
pub enum Event {
    /// A connection is ready; its writer.
    Opened(Box<Link>, Writer),
    /// It has read something.
    Received(ConnId, Vec<u8>),
    /// It is gone.
    Closed(ConnId),
    /// A target that could not be dialled.
    Failed(Target, String),
    /// The address of a datagram's target, if its name has one.
    Resolved(Target, Option<SocketAddr>),
}

/// What every task of a socket shares.
#[derive(Clone)]
pub struct Wires {
    /// Toward the driver; bounded, so that a flood waits at its socket.
    pub events: mpsc::Sender<Event>,
    /// Cancelled when nothing more is accepted, dialled or read from the trunks' socket.
    pub gone: CancellationToken,
    /// Cancelled when open connections are cut off.
    cut: CancellationToken,
    /// Joins every task of a connection.
    pub tasks: TaskTracker,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How long peers may take.
    pub patience: Patience,
    next: Arc<AtomicU64>,
}

impl Wires {
    /// For one edge.
    pub fn new(events: mpsc::Sender<Event>, metrics: Arc<Metrics>, patience: Patience) -> Self {
        Self {
            events,
            gone: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            metrics,
            patience,
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Ends every task; connections that were told to close may write what they have.
    pub async fn end(self) {
        self.gone.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }

    fn next_conn(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}
