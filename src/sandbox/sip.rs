//! Two simulated parties of a call: the customer's WhatsApp, which Meta's gateway joins to the bridge over TLS,
//! and a telephone system with agents, joined to it over UDP. Both speak SIP as raw text over loopback; no sound
//! flows.
//!
//! [`caller`] is Meta's side of a call that the customer begins, [`callee`] of one to the customer; [`trunk`] is
//! the telephone system, [`agent`] its side of a call that an agent begins; [`message`] is the text of SIP.

mod agent;
mod callee;
mod caller;
pub mod certificate;
mod message;
mod trunk;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cloud::{SimCloud, SimCustomer};
use crate::clock::Clock;

/// Calls that are remembered on each side.
const KEPT: usize = 50;

/// How far a call is, on the side that tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStage {
    /// The caller has dialled.
    Calling,
    /// It rings.
    Ringing,
    /// Both sides speak.
    Answered,
    /// It is over.
    Ended,
}

/// What a customer does with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CustomerDoes {
    /// Picks up.
    Answer,
    /// Hangs up, gives up or declines.
    HangUp,
}

/// A call as the customer's phone shows it.
#[derive(Clone, Debug)]
pub struct CustomerCall {
    /// Meta's id.
    pub wacid: String,
    /// Whose phone it is.
    pub customer: SimCustomer,
    /// Whether the business calls.
    pub is_incoming: bool,
    /// How far it is.
    pub stage: CallStage,
    /// How it ended.
    pub outcome: String,
    /// When it was answered.
    pub answered_at: Option<DateTime<Utc>>,
    does: mpsc::UnboundedSender<CustomerDoes>,
}

/// A call as an agent of the telephone system sees it.
#[derive(Clone, Debug)]
pub struct AgentCall {
    /// SIP's id of it.
    pub call_id: String,
    /// Meta's id of it, as the bridge tells; empty for a call to a customer.
    pub wacid: String,
    /// The other side as shown.
    pub from: String,
    /// Whether the agent has dialled.
    pub is_outgoing: bool,
    /// Headers of the bridge (`X-WA-…`), by name.
    pub headers: Vec<(String, String)>,
    /// How far it is.
    pub stage: CallStage,
    /// How it ended.
    pub outcome: String,
}

/// Where calls go, and who brings them.
#[derive(Clone, Debug)]
pub struct TelephonyOptions {
    /// The bridge's TLS listener.
    pub edge: SocketAddr,
    /// Where the bridge is called by its telephone system.
    pub bridge: SocketAddr,
    /// The name that Meta was given for it.
    pub hostname: String,
    /// Its certificate, as DER; trusted as it is.
    pub certificate: Vec<u8>,
    /// Meta's id of the business phone.
    pub phone_number_id: String,
    /// Digits of its number.
    pub number: String,
    /// Meta's id of the app whose password is used.
    pub client_id: String,
}

/// Handle on both parties; clones are the same.
#[derive(Clone)]
pub struct SimTelephony {
    inner: Arc<Inner>,
}

struct Inner {
    cloud: SimCloud,
    options: TelephonyOptions,
    trunk: SocketAddr,
    clock: Clock,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    agent: mpsc::UnboundedSender<trunk::Order>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    customer_calls: Vec<CustomerCall>,
    agent_calls: Vec<AgentCall>,
}

impl SimTelephony {
    /// A socket for the telephone system, to be told to the bridge before it starts.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn socket() -> io::Result<UdpSocket> {
        UdpSocket::bind("127.0.0.1:0").await
    }

    /// Serves the telephone system on this socket, and Meta's side on this listener by this certificate (PEM
    /// files), until [`SimTelephony::stop`].
    ///
    /// # Errors
    /// When the socket is not one, or the certificate is none.
    pub fn start(
        socket: UdpSocket,
        meta: TcpListener,
        certificate: &certificate::Files,
        cloud: SimCloud,
        options: TelephonyOptions,
    ) -> io::Result<Self> {
        let (agent, orders) = mpsc::unbounded_channel();
        let trunk = socket.local_addr()?;
        let inner = Inner {
            cloud,
            options,
            trunk,
            clock: Clock::System,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            agent,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let telephony = Self { inner: Arc::new(inner) };
        telephony.inner.tasks.spawn(trunk::serve(telephony.clone(), socket, orders));
        telephony.inner.tasks.spawn(callee::serve(telephony.clone(), meta, certificate.server()?));
        Ok(telephony)
    }

    /// Ends both parties.
    pub async fn stop(&self) {
        self.inner.cancel.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Where the telephone system listens.
    pub fn trunk_address(&self) -> SocketAddr {
        self.inner.trunk
    }

    /// The customer taps the call button; gives Meta's id of the call.
    pub fn customer_calls(&self, customer: &SimCustomer, payload: Option<&str>) -> String {
        let Inner { cloud, options, .. } = &*self.inner;
        let wacid = cloud.new_wacid(customer);
        let (does, orders) = mpsc::unbounded_channel();
        self.customer_is_called(CustomerCall {
            wacid: wacid.clone(),
            customer: customer.clone(),
            is_incoming: false,
            stage: CallStage::Calling,
            outcome: String::new(),
            answered_at: None,
            does,
        });
        cloud.call_created(&options.phone_number_id, customer, &wacid, true);
        let key = customer.user_id.clone().or(customer.wa_id.clone()).unwrap_or_default();
        cloud.open_window(&options.phone_number_id, &key);
        let outgoing = caller::Outgoing {
            customer: customer.clone(),
            wacid: wacid.clone(),
            payload: payload.map(str::to_owned),
        };
        self.inner.tasks.spawn(caller::call(self.clone(), outgoing, orders));
        wacid
    }

    /// The customer hangs up, declines, or gives up before an answer. `false`: there is no such call.
    pub fn customer_hangs_up(&self, wacid: &str) -> bool {
        self.customer_does(wacid, CustomerDoes::HangUp)
    }

    /// The customer picks up. `false`: there is no such call.
    pub fn customer_answers(&self, wacid: &str) -> bool {
        self.customer_does(wacid, CustomerDoes::Answer)
    }

    /// The agent dials a customer.
    pub fn agent_calls(&self, customer: &SimCustomer) {
        self.order(trunk::Order::Call(Box::new(customer.clone())));
    }

    /// The agent picks up.
    pub fn agent_answers(&self, call_id: &str) {
        self.order(trunk::Order::Answer(call_id.to_owned()));
    }

    /// The agent declines.
    pub fn agent_declines(&self, call_id: &str) {
        self.order(trunk::Order::Decline(call_id.to_owned()));
    }

    /// The agent hangs up, or gives up before an answer.
    pub fn agent_hangs_up(&self, call_id: &str) {
        self.order(trunk::Order::HangUp(call_id.to_owned()));
    }

    /// Calls of customers, the oldest first.
    pub fn calls_of_customers(&self) -> Vec<CustomerCall> {
        self.state().customer_calls.clone()
    }

    /// Calls at the agents, the oldest first.
    pub fn calls_of_agents(&self) -> Vec<AgentCall> {
        self.state().agent_calls.clone()
    }

    /// Counts up with each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Waits until the predicate holds, looking again after each change; false at the deadline.
    pub async fn wait_until(&self, deadline: Duration, mut predicate: impl FnMut(&Self) -> bool) -> bool {
        let mut changed = self.changes();
        let wait = async {
            loop {
                changed.borrow_and_update();
                if predicate(self) || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(deadline, wait).await.is_ok()
    }

    fn customer_does(&self, wacid: &str, done: CustomerDoes) -> bool {
        let state = self.state();
        let open = |call: &&CustomerCall| call.wacid == wacid && call.stage != CallStage::Ended;
        state.customer_calls.iter().find(open).is_some_and(|call| call.does.send(done).is_ok())
    }

    fn customer_is_called(&self, call: CustomerCall) {
        keep(&mut self.state().customer_calls, call);
        self.touch();
    }

    fn agent_is_called(&self, call: AgentCall) {
        keep(&mut self.state().agent_calls, call);
        self.touch();
    }

    fn order(&self, order: trunk::Order) {
        // The telephone system has been stopped: nobody is there to act.
        let _ = self.inner.agent.send(order);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.inner.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn on_customer_call(&self, wacid: &str, change: impl FnOnce(&mut CustomerCall)) {
        if let Some(call) = self.state().customer_calls.iter_mut().find(|call| call.wacid == wacid) {
            change(call);
        }
        self.touch();
    }

    fn on_agent_call(&self, call_id: &str, change: impl FnOnce(&mut AgentCall)) {
        if let Some(call) = self.state().agent_calls.iter_mut().find(|call| call.call_id == call_id) {
            change(call);
        }
        self.touch();
    }
}

fn keep<T>(calls: &mut Vec<T>, call: T) {
    calls.push(call);
    let surplus = calls.len().saturating_sub(KEPT);
    calls.drain(..surplus);
}

/// Some hex digits that were not used before.
fn token() -> String {
    let mut bytes = [0_u8; 8];
    // Where the system gives no randomness, the address of a fresh box would not do either: zeros still parse.
    let _ = getrandom::fill(&mut bytes);
    hex::encode(bytes)
}
