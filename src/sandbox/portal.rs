//! A simulated Bitrix24 portal with its OAuth server, written from the fact sheet in raw JSON and forms.
//!
//! Two real HTTP servers on loopback. Cast: `server` takes requests, applies faults and limits and hands
//! calls to `rest`, which finds the method's file (`system`, `imconnector`, `messages`, `changes`, `openlines`,
//! `sms`, `crm`, `telephony`, `batch`); `oauth` keeps tokens; `events` posts to bound handlers; `operator` and `install` are what
//! people do in the portal. What differs from the real thing: no TLS, one source address for the rate
//! limit, and the test aids that say so in [`PortalOptions`].

mod batch;
mod changes;
mod crm;
mod disk;
mod events;
mod faults;
mod form;
mod imconnector;
mod install;
mod limits;
mod messages;
mod oauth;
mod openlines;
mod operator;
mod outgoing;
mod pull;
mod rest;
mod server;
mod sms;
mod state;
mod system;
mod telephony;
#[cfg(test)]
mod tests;
mod text;
mod views;

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use faults::{FaultKind, Faults, PlannedFault};
pub use install::{InstallOutcome, PageAnswer, SimApp};
pub use operator::{OperatorMessage, SimError, SimFile, quote};
pub use state::{ADMIN, Author, LineEntry, LineFile, OPERATOR};
pub use telephony::{SimCallEnd, SimCard};
pub use views::ChatInfo;

use crate::clock::Clock;
use events::Outgoing;
use state::State;

/// How many observations a slow subscriber may lag behind.
const FEED_SIZE: usize = 4_096;

/// Settings of a simulated portal, fixed for its life.
#[derive(Clone, Debug)]
pub struct PortalOptions {
    /// The portal's id, 32 hex digits.
    pub member_id: String,
    /// Language of the portal, `en` or `ru`.
    pub language: String,
    /// The leaky bucket: drain per second and size. `None` = no limit (as on-premise).
    pub rate: Option<(f64, f64)>,
    /// Seconds of operating time per method and application in ten minutes before 429.
    pub operating_budget_s: f64,
    /// Operating seconds added to each call beside the time it really took.
    pub operating_cost_s: f64,
    /// How long each REST call takes at least.
    pub latency: Duration,
    /// How long a replaced refresh token stays good (the facts leave this open).
    pub refresh_grace: Duration,
    /// The portal's plan as `app.info` names it.
    pub license: String,
    /// Where it is sold: the plan's name begins so, `ru_basic`.
    pub license_region: String,
    /// Keep no bodies: no call log, no file contents, no observations unless somebody subscribed.
    pub quiet: bool,
    /// Chats are spread over so many queues of events; inside a chat the order always holds.
    pub event_lanes: usize,
    /// TEST AID, unlike the real portal: an operator's message counts as written only when its event was
    /// answered with 200, and until then the event is posted again and again. For crash tests, which kill
    /// the bridge while it answers; the real portal posts once.
    pub events_wait_for_200: bool,
    /// Where the time comes from.
    pub clock: Clock,
    /// Faults at the start.
    pub faults: Faults,
}

impl Default for PortalOptions {
    fn default() -> Self {
        Self {
            member_id: Uuid::new_v4().simple().to_string(),
            language: "en".to_owned(),
            rate: Some((2.0, 50.0)),
            operating_budget_s: 480.0,
            operating_cost_s: 0.0,
            latency: Duration::ZERO,
            refresh_grace: Duration::ZERO,
            license: "demo".to_owned(),
            license_region: "en".to_owned(),
            quiet: false,
            event_lanes: 1,
            events_wait_for_200: false,
            clock: Clock::System,
            faults: Faults::default(),
        }
    }
}

/// A handle on a running simulated portal; clones are the same portal.
#[derive(Clone)]
pub struct SimPortal {
    inner: Arc<Inner>,
}

/// What every part of the portal shares.
struct Inner {
    options: PortalOptions,
    oauth_url: String,
    port: u16,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    feed: broadcast::Sender<Value>,
    lanes: Vec<mpsc::UnboundedSender<Outgoing>>,
    /// For events and pages.
    http: reqwest::Client,
    /// For files of clients: follows up to five redirects.
    puller: reqwest::Client,
    cancel: CancellationToken,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    servers: Vec<ServerHandle>,
    tasks: Vec<JoinHandle<()>>,
}

impl SimPortal {
    /// Starts both servers. Must be called inside a tokio runtime, which posts the events.
    ///
    /// # Errors
    /// When a listener cannot be used.
    pub async fn start(portal: TcpListener, oauth: TcpListener, options: PortalOptions) -> io::Result<Self> {
        let port = portal.local_addr()?.port();
        let oauth_url = format!("http://{}", oauth.local_addr()?);
        let (lanes, queues): (Vec<_>, Vec<_>) =
            (0..options.event_lanes.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        let state = State::new(portal.local_addr()?.to_string(), options.faults.clone());
        let inner = Arc::new(Inner {
            oauth_url,
            port,
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            feed: broadcast::Sender::new(FEED_SIZE),
            lanes,
            http: pull::client(reqwest::redirect::Policy::none())?,
            puller: pull::client(reqwest::redirect::Policy::limited(5))?,
            cancel: CancellationToken::new(),
            running: Mutex::new(Running::default()),
            options,
        });
        let servers = [
            server::start(portal, inner.clone(), server::portal_routes)?,
            server::start(oauth, inner.clone(), server::oauth_routes)?,
        ];
        {
            let mut running = lock(&inner.running);
            for server in servers {
                running.servers.push(server.handle());
                running.tasks.push(tokio::spawn(async move {
                    if let Err(error) = server.await {
                        tracing::warn!(%error, "a server of the simulated portal failed");
                    }
                }));
            }
            for queue in queues {
                running.tasks.push(tokio::spawn(events::post_in_order(inner.clone(), queue)));
            }
        }
        Ok(Self { inner })
    }

    /// Stops both servers at once and forgets the events that wait.
    pub async fn stop(&self) {
        self.inner.cancel.cancel();
        let running = std::mem::take(&mut *lock(&self.inner.running));
        for server in running.servers {
            server.stop(false).await;
        }
        for task in running.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the simulated portal failed");
            }
        }
    }

    /// The portal's address, `http://HOST:PORT`.
    pub fn url(&self) -> String {
        self.inner.url(&self.inner.state())
    }

    /// The portal's host as in `auth[domain]`, with the port.
    pub fn domain(&self) -> String {
        self.inner.state().domain.clone()
    }

    /// The OAuth server's address, `http://127.0.0.1:PORT`.
    pub fn oauth_url(&self) -> String {
        self.inner.oauth_url.clone()
    }

    /// The portal's id.
    pub fn member_id(&self) -> &str {
        &self.inner.options.member_id
    }

    /// `http://HOST:PORT/rest/`
    pub fn client_endpoint(&self) -> String {
        format!("{}/rest/", self.url())
    }

    /// Sets all switches at once.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.change_faults(|present| *present = faults);
    }

    /// Changes some switches and leaves the others.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.inner.change_faults(change);
    }

    /// The switches as they are; planned faults that happened are gone.
    pub fn faults(&self) -> Faults {
        self.inner.state().faults.clone()
    }

    /// Plans a fault for the next `times` matches.
    pub fn plan_fault(&self, kind: FaultKind, method: Option<&str>, times: u32) {
        let method = method.map(str::to_owned);
        self.change_faults(|faults| faults.planned.push(PlannedFault { kind, method, times }));
    }

    /// Each REST call (`kind: "call"`), each event sent (`"event"`) and each file pulled (`"pull"`), live.
    pub fn subscribe_events(&self) -> broadcast::Receiver<Value> {
        self.inner.feed.subscribe()
    }

    /// Waits until the predicate holds; looks again after each change. False when `deadline` passed.
    pub async fn wait_until(&self, deadline: Duration, mut predicate: impl FnMut(&Self) -> bool) -> bool {
        let mut changes = self.inner.changes.subscribe();
        let held = async {
            loop {
                changes.borrow_and_update();
                if predicate(self) || changes.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(deadline, held).await.is_ok()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes everybody who waits for a condition. Call it after the lock is released.
    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    fn url(&self, state: &State) -> String {
        format!("http://{}", state.domain)
    }

    fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        {
            let mut state = self.state();
            change(&mut state.faults);
            if std::mem::take(&mut state.faults.expire_tokens) {
                let now = self.options.clock.now();
                state.tokens.values_mut().for_each(|token| token.expires = now);
                state.event_tokens.clear();
            }
            let seed = std::mem::take(&mut state.faults.seed);
            if seed != 0 {
                state.dice = faults::Dice(seed);
            }
        }
        self.changed();
    }

    /// Shows an observation to those who watch.
    fn observe(&self, observation: impl FnOnce() -> Value) {
        if !self.options.quiet || self.feed.receiver_count() > 0 {
            // Nobody listening is no fault.
            let _ = self.feed.send(observation());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
