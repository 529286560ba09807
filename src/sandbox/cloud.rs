//! A simulated WhatsApp cloud: a real HTTP server on a loopback address that answers the Graph API and
//! posts signed webhooks, written from the published facts in raw JSON. It shares no wire type with the
//! client it is used to try, or both would share the same mistake.
//!
//! [`SimCloud`] is the handle; the customer's side is in `customer`, what can go wrong in [`Faults`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;

mod account;
mod calling;
mod control;
mod customer;
mod errors;
mod faults;
mod graph;
mod ids;
mod interactive;
mod limits;
mod look;
mod media;
mod messages;
mod multipart;
mod options;
mod raw;
mod registration;
mod server;
mod state;
mod statuses;
mod subscriptions;
mod templates;
mod tokens;
mod validate;
mod webhooks;

#[cfg(test)]
mod tests;

pub use calling::SimPermission;
pub use customer::{SimCustomer, SimMedia};
pub use faults::{Faults, SendFault};
pub use look::CustomerView;
pub use options::{BatchShape, CloudOptions, Retry, SimApp};
pub use state::{ReceivedMedia, ReceivedMessage, SimStatus};

use ids::Rng;
use state::State;

/// Handle of a running simulated cloud. Cloning is cheap; [`SimCloud::stop`] ends it.
#[derive(Clone)]
pub struct SimCloud {
    inner: Arc<Inner>,
}

struct Inner {
    options: CloudOptions,
    address: SocketAddr,
    state: Mutex<State>,
    events: broadcast::Sender<Value>,
    changed: watch::Sender<u64>,
    runtime: tokio::runtime::Handle,
    cancel: CancellationToken,
    tasks: TaskTracker,
    http: reqwest::Client,
    server: Mutex<Option<actix_web::dev::ServerHandle>>,
    due: mpsc::UnboundedSender<statuses::Due>,
    media_key: [u8; 32],
}

impl SimCloud {
    /// Serves on this listener until [`SimCloud::stop`]. Must be called inside a tokio runtime.
    pub async fn start(listener: TcpListener, options: CloudOptions) -> io::Result<SimCloud> {
        let address = listener.local_addr()?;
        let (due, due_rx) = mpsc::unbounded_channel();
        let mut rng = Rng::from_entropy();
        let media_key = rng.bytes();
        let dice = Rng::seeded(options.seed);
        let cloud = SimCloud {
            inner: Arc::new(Inner {
                http: webhooks::client(options.webhook_timeout)?,
                options,
                address,
                state: Mutex::new(State::new(rng, dice)),
                events: broadcast::channel(4096).0,
                changed: watch::channel(0).0,
                runtime: tokio::runtime::Handle::current(),
                cancel: CancellationToken::new(),
                tasks: TaskTracker::new(),
                server: Mutex::new(None),
                due,
                media_key,
            }),
        };
        let server = server::bind(cloud.clone(), listener)?;
        *cloud.inner.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.handle());
        cloud.inner.tasks.spawn(server);
        cloud.inner.tasks.spawn(statuses::pump(cloud.clone(), due_rx));
        Ok(cloud)
    }

    /// Closes the server, gives up what is not delivered yet, and waits for every task.
    pub async fn stop(&self) {
        self.inner.cancel.cancel();
        let handle = self.inner.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            handle.stop(false).await;
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end: the base of the Graph API.
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Everything that crosses from now on: `{"kind":"call",…}` for each call in with its answer,
    /// `{"kind":"webhook",…}` for each delivery attempt with its answer. No token is ever in it.
    pub fn subscribe_events(&self) -> broadcast::Receiver<Value> {
        self.inner.events.subscribe()
    }

    /// Waits until the predicate holds, looking again after each change in the cloud; false at the deadline.
    pub async fn wait_until(&self, deadline: Duration, mut predicate: impl FnMut(&SimCloud) -> bool) -> bool {
        let mut changed = self.inner.changed.subscribe();
        let wait = async {
            loop {
                changed.borrow_and_update();
                if predicate(self) {
                    return;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(deadline, wait).await.is_ok()
    }

    /// The switches as they are now.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Replaces all switches.
    pub fn set_faults(&self, faults: Faults) {
        self.change_faults(|now| *now = faults);
    }

    /// Changes some switches.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        {
            let mut state = self.state();
            change(&mut state.faults);
            state.wake_outboxes();
        }
        self.touch();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> &Clock {
        &self.inner.options.clock
    }

    /// Says that something has changed, to whoever waits.
    fn touch(&self) {
        self.inner.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells an event, if somebody listens.
    fn tell(&self, event: impl FnOnce() -> Value) {
        if self.inner.events.receiver_count() > 0 {
            // The only error is that the last listener has just left.
            let _ = self.inner.events.send(event());
        }
    }
}
