//! Use cases on calls.
//!
//! | file | does |
//! | --- | --- |
//! | [`routes`] | says which calls go where, from what is configured |
//! | [`ledger`] | writes the record of each call from what the SIP edge tells, and what follows from it (`effects`) |
//! | [`card`] | shows calls in the CRM: jobs, so that a portal that is away holds no call |
//! | [`permission`] | says whether a person may be called |
//! | [`words`] | says in words how a call ended |
//!
//! The SIP edge and this module do not know each other. `app` gives the edge the ends of a [`CallLine`] and
//! this module the other ends, an [`Inbox`].

pub mod card;
mod effects;
pub mod ledger;
pub mod permission;
pub mod routes;
pub mod words;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::directory::Directory;
use crate::domain::call::{CallEvent, CallMoment, RouteTable};
use crate::domain::{CallId, PhoneKey};
use crate::gateway::Gateway;
use crate::queue::policy::Policy;
use crate::queue::{Scheduler, Worker};
use crate::store::{Db, StoreError, Tx};
use crate::whatsapp::GraphClient;

pub use permission::Question;

/// Questions that may wait for an answer.
const QUESTIONS: usize = 1024;
/// Events that are written in one transaction at most.
const BATCH: usize = 256;
/// After a stop, how long the last words of the edge are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Between two signs of life of the calls that run.
const PULSE: Duration = Duration::from_secs(5);

/// What the SIP edge holds: where it reads the routes, and where it tells and asks. Clones are the same line.
#[derive(Clone)]
pub struct CallLine {
    /// Which calls go where; replaced as a whole after a change.
    pub routes: watch::Receiver<Arc<RouteTable>>,
    /// What happens to calls, with its time. Never waits. To be dropped when the last call has ended.
    pub events: mpsc::UnboundedSender<(DateTime<Utc>, CallEvent)>,
    /// Whether a person may be called; a full queue is a "yes", since Meta refuses itself.
    pub questions: mpsc::Sender<Question>,
}

/// The other ends of a [`CallLine`], for [`Calls::serve`].
pub struct Inbox {
    events: mpsc::UnboundedReceiver<(DateTime<Utc>, CallEvent)>,
    questions: mpsc::Receiver<Question>,
}

/// What follows at messages when a person's call opens their service window, in the same transaction.
pub type WindowOpened =
    Arc<dyn Fn(&mut Tx<'_>, &PhoneKey, &str, DateTime<Utc>) -> Result<(), StoreError> + Send + Sync>;

/// What the use cases need.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// What is configured.
    pub directory: Directory,
    /// The way to portals.
    pub gateway: Gateway,
    /// The way to Meta.
    pub graph: GraphClient,
    /// Finishes jobs.
    pub worker: Worker,
    /// What errors mean for a job.
    pub policy: Policy,
    /// How long calls may run on after a stop (`sip.drain_seconds`).
    pub drain: Duration,
    /// Given the phone and the chat; the use cases on messages are not known here.
    pub window_opened: WindowOpened,
}

/// The use cases on calls.
pub struct Calls {
    db: Db,
    clock: Clock,
    directory: Directory,
    gateway: Gateway,
    graph: GraphClient,
    worker: Worker,
    scheduler: Arc<Scheduler>,
    policy: Policy,
    drain: Duration,
    window_opened: WindowOpened,
    routes: watch::Sender<Arc<RouteTable>>,
}

impl Calls {
    /// The use cases over these parts, the line for the edge, and its other ends for [`Calls::serve`].
    pub fn new(parts: Parts) -> (Self, CallLine, Inbox) {
        let Parts { db, clock, directory, gateway, graph, worker, policy, drain, window_opened } = parts;
        let routes = watch::Sender::new(Arc::new(routes::table(&directory.now())));
        let (events, told) = mpsc::unbounded_channel();
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let line = CallLine { routes: routes.subscribe(), events, questions };
        let scheduler = worker.scheduler.clone();
        let calls = Self {
            db,
            clock,
            directory,
            gateway,
            graph,
            worker,
            scheduler,
            policy,
            drain,
            window_opened,
            routes,
        };
        (calls, line, Inbox { events: told, questions: asked })
    }

    /// Serves the edge until `stop`, then takes its last words: ends when the edge has dropped its line, or
    /// [`Parts::drain`] and a little more have passed.
    pub async fn serve(self: Arc<Self>, inbox: Inbox, stop: CancellationToken) {
        tokio::join!(
            self.keep_records(inbox.events, &stop),
            self.answer(inbox.questions, &stop),
            self.publish_routes(&stop)
        );
    }

    async fn keep_records(
        &self,
        mut events: mpsc::UnboundedReceiver<(DateTime<Utc>, CallEvent)>,
        stop: &CancellationToken,
    ) {
        let keep = async {
            self.close_lost().await;
            let mut running = HashSet::new();
            let mut pulse = tokio::time::interval(PULSE);
            pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let mut batch = Vec::new();
                tokio::select! {
                    told = events.recv_many(&mut batch, BATCH) => {
                        if told == 0 {
                            return;
                        }
                        follow_running(&mut running, &batch);
                        self.record(batch).await;
                    }
                    _ = pulse.tick(), if !running.is_empty() => self.are_alive().await,
                }
            }
        };
        let over = async {
            stop.cancelled().await;
            tokio::time::sleep(self.drain + LAST_WORDS).await;
        };
        tokio::select! {
            () = keep => {}
            () = over => tracing::warn!("the records of calls were not closed in time; the next start closes them"),
        }
    }

    async fn answer(self: &Arc<Self>, mut questions: mpsc::Receiver<Question>, stop: &CancellationToken) {
        let mut asking = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                question = questions.recv() => {
                    let Some(question) = question else { break };
                    let this = self.clone();
                    asking.spawn(async move { this.answer_one(question).await });
                }
                Some(_) = asking.join_next() => {}
            }
        }
    }

    async fn publish_routes(&self, stop: &CancellationToken) {
        let mut changes = self.directory.changes();
        loop {
            let table = routes::table(&self.directory.now());
            self.routes.send_if_modified(|current| {
                let changed = !routes::same(current, &table);
                if changed {
                    *current = Arc::new(table);
                }
                changed
            });
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Which calls run, from what is told of them.
fn follow_running(running: &mut HashSet<CallId>, batch: &[(DateTime<Utc>, CallEvent)]) {
    for (_, event) in batch {
        match event.moment {
            CallMoment::Arrived(_) => drop(running.insert(event.call.clone())),
            CallMoment::Ended(_) => drop(running.remove(&event.call)),
            _ => {}
        }
    }
}
