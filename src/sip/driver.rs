//! The one task that owns the endpoint: hands it what sockets, clock and channels bring, and does what it
//! says. Everything that it decides is the endpoint's; here are only sockets, timers and channels.

mod observer;
mod outbox;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::transport::{Addresses, Datagrams, Dialler, Event, LONGEST};
use crate::clock;
use crate::domain::call::{CallEvent, CallPeer, CallPermission, RouteTable};
use crate::domain::{CallId, PhoneKey};
use crate::sip::core::{Endpoint, Input, Moment, Output, TokenSource};
use crate::telemetry::Metrics;
use observer::Observer;
use outbox::Outbox;

/// What sockets have told that is taken before timers and channels are looked at again.
const BATCH: usize = 64;
/// How long the BYEs of a stop may take to be answered.
const GOODBYE: Duration = Duration::from_millis(1500);
/// How far the next look is away when no timer runs.
const FAR: Duration = Duration::from_secs(3600);

/// The edge's side of what joins it with the use cases on calls.
pub struct Channels {
    /// The phones whose calls come here, replaced as a whole after a change.
    pub routes: watch::Receiver<Arc<RouteTable>>,
    /// Everything that happens to a call, in order. Never waited for: what takes long is for a queue.
    pub events: mpsc::UnboundedSender<CallEvent>,
    /// Questions whether a person may be called.
    pub permissions: mpsc::Sender<PermissionRequest>,
}

/// May this person be called? The question is withdrawn after five seconds, and where nobody takes it the call
/// is placed: Meta refuses itself then.
#[derive(Debug)]
pub struct PermissionRequest {
    /// Our phone.
    pub phone: PhoneKey,
    /// Who is to be called.
    pub peer: CallPeer,
    /// For the answer.
    pub answer: oneshot::Sender<CallPermission>,
}

/// Randomness and ids of the system.
pub struct OsTokens;

impl TokenSource for OsTokens {
    fn fill(&mut self, bytes: &mut [u8]) {
        // The system's generator does not fail once it is up; ids made of the time are the least bad then.
        if getrandom::fill(bytes).is_err() {
            let id = clock::new_id();
            bytes.iter_mut().zip(id.bytes().rev().cycle()).for_each(|(byte, from)| *byte = from);
        }
    }

    fn call_id(&mut self) -> CallId {
        CallId::from(clock::new_id())
    }
}

/// Owner of the endpoint.
pub struct Driver {
    endpoint: Endpoint,
    started: Instant,
    outbox: Outbox,
    channels: Channels,
    asked: FuturesUnordered<Asked>,
    observer: Observer,
    /// For one datagram.
    buffer: Vec<u8>,
}

type Asked = std::pin::Pin<Box<dyn Future<Output = (CallId, CallPermission)> + Send>>;

/// How far the end is.
enum Phase {
    Serving,
    /// Calls run on until then.
    Draining(Instant),
    /// BYEs are under way until then.
    Stopping(Instant),
}

impl Driver {
    /// Ready to run.
    pub fn new(
        endpoint: Endpoint,
        dialler: Dialler,
        datagrams: Datagrams,
        addresses: watch::Receiver<Arc<Addresses>>,
        channels: Channels,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            endpoint,
            started: Instant::now(),
            outbox: Outbox::new(dialler, datagrams, addresses),
            channels,
            asked: FuturesUnordered::new(),
            observer: Observer::new(metrics),
            buffer: vec![0; LONGEST],
        }
    }

    /// Drives until `stop` and the end of its drain; closes what is open.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken, drain: Duration) {
        let mut phase = Phase::Serving;
        let mut batch = Vec::with_capacity(BATCH);
        let mut routes_change = true;
        self.take_routes();
        while !self.is_over(&mut phase) {
            let timer = self.next_timer();
            tokio::select! {
                _ = events.recv_many(&mut batch, BATCH) => {
                    for event in batch.drain(..) {
                        self.take(event);
                    }
                }
                () = self.outbox.datagrams.readable() => self.take_datagrams(),
                () = tokio::time::sleep_until(timer) => {}
                changed = self.channels.routes.changed(), if routes_change => match changed {
                    Ok(()) => self.take_routes(),
                    // Whoever made the routes is gone, and soon we are.
                    Err(_) => routes_change = false,
                },
                Some((call, answer)) = self.asked.next(), if !self.asked.is_empty() => {
                    self.handle(Input::Permission { call, answer });
                }
                () = stop.cancelled(), if matches!(phase, Phase::Serving) => {
                    phase = self.begin_end(drain);
                }
                () = phase.deadline() => {}
            }
            self.handle_timers();
            self.observer.running(self.endpoint.running_calls(), self.outbox.open());
        }
        self.outbox.close_all();
    }

    fn take(&mut self, event: Event) {
        let input = match event {
            Event::Opened(link, writer) => {
                self.outbox.opened(&link, writer);
                Some(Input::Opened(*link))
            }
            Event::Received(conn, bytes) => Some(Input::Received { conn, bytes }),
            Event::Closed(conn) => {
                self.outbox.closed(conn);
                Some(Input::Closed { conn })
            }
            Event::Failed(target, reason) => {
                self.outbox.failed(&target);
                Some(Input::Unreachable { target, reason })
            }
            Event::Resolved(target, address) => self.outbox.resolved(target, address),
        };
        if let Some(input) = input {
            self.handle(input);
        }
    }

    /// The socket of the trunks is read here: a task of its own would cost each call two more hand-overs.
    fn take_datagrams(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BATCH {
            let Some((peer, bytes)) = self.outbox.datagrams.read(&mut buffer) else { break };
            let trunk = self.outbox.trunk_of(peer);
            self.handle(Input::Datagram { peer, trunk, bytes });
        }
        self.buffer = buffer;
    }

    fn handle(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take().or_else(|| self.outbox.failure()) {
            self.endpoint.handle(Moment(self.started.elapsed()), input);
            while let Some(output) = self.endpoint.poll() {
                self.perform(output);
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { to, bytes } => self.outbox.send(to, bytes),
            Output::Close { conn } => self.outbox.close(conn),
            Output::Call(mut event) => {
                self.observer.call(&mut event);
                // The use cases are gone only when the bridge is.
                let _ = self.channels.events.send(event);
            }
            Output::AskPermission { call, phone, peer } => self.ask(call, phone, peer),
            Output::Notice(notice) => self.observer.notice(&notice),
        }
    }

    fn ask(&mut self, call: CallId, phone: PhoneKey, peer: CallPeer) {
        let (answer, answered) = oneshot::channel();
        // Where nobody takes the question, its answer is dropped at once.
        let _ = self.channels.permissions.try_send(PermissionRequest { phone, peer, answer });
        self.asked.push(Box::pin(async move { (call, answered.await.unwrap_or(CallPermission::Allowed)) }));
    }

    fn take_routes(&mut self) {
        let routes = self.channels.routes.borrow_and_update().clone();
        self.handle(Input::Routes(RouteTable::clone(&routes)));
    }

    fn next_timer(&self) -> Instant {
        match self.endpoint.next_timer() {
            Some(moment) => self.started + moment.0,
            None => Instant::now() + FAR,
        }
    }

    /// Under load sockets always have something to tell; timers run all the same.
    fn handle_timers(&mut self) {
        if self.next_timer() <= Instant::now() {
            self.handle(Input::Timeout);
        }
    }

    fn begin_end(&mut self, drain: Duration) -> Phase {
        if drain.is_zero() || self.endpoint.running_calls() == 0 {
            return self.stop();
        }
        tracing::info!(
            calls = self.endpoint.running_calls(),
            "no more calls are taken; those that run go on"
        );
        self.handle(Input::Drain);
        Phase::Draining(Instant::now() + drain)
    }

    fn stop(&mut self) -> Phase {
        let calls = self.endpoint.running_calls();
        self.handle(Input::Stop);
        let patience = if calls == 0 { Duration::ZERO } else { GOODBYE };
        Phase::Stopping(Instant::now() + patience)
    }

    fn is_over(&mut self, phase: &mut Phase) -> bool {
        match *phase {
            Phase::Serving => false,
            Phase::Draining(until) => {
                if self.endpoint.running_calls() == 0 || Instant::now() >= until {
                    *phase = self.stop();
                }
                false
            }
            Phase::Stopping(until) => Instant::now() >= until,
        }
    }
}

impl Phase {
    async fn deadline(&self) {
        match self {
            Self::Serving => std::future::pending().await,
            Self::Draining(until) | Self::Stopping(until) => tokio::time::sleep_until(*until).await,
        }
    }
}
