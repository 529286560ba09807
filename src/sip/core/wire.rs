//! What every part of the endpoint needs at hand: the time, timers, the queue of outputs, tokens.

use std::collections::VecDeque;
use std::time::Duration;

use super::io::{ConnId, Moment, Notice, Output, Packet, To};
use super::settings::{TimerValues, TokenSource};
use super::timers::{TimerId, Timers};
use crate::domain::CallId;
use crate::domain::call::{CallEvent, CallMoment};

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A client transaction repeats its request.
    ClientRepeat(u64),
    /// A client transaction ends.
    ClientEnd(u64),
    /// A server transaction repeats its response.
    ServerRepeat(u64),
    /// A server transaction ends.
    ServerEnd(u64),
    /// A connection may have been silent for too long.
    LinkIdle(ConnId),
    /// A message on a connection has been under way for too long.
    LinkSlow(ConnId),
    /// A target of a trunk is pinged.
    Ping(usize, usize),
    /// Something about a call.
    Call(u64, CallDue),
}

/// What a call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallDue {
    /// The ring limit.
    Ring,
    /// A target's first sign of life.
    Target,
    /// The answer about a permission.
    Permission,
    /// The longest call.
    Length,
    /// Our 2xx is repeated: the caller's, or the callee's to a re-INVITE.
    Repeat2xx(super::b2bua::Party),
    /// The ACK never came.
    NoAck(super::b2bua::Party),
}

/// The endpoint's outside.
pub struct Wire {
    /// The time of the input that is being handled.
    pub now: Moment,
    /// Everything that waits.
    pub timers: Timers<Due>,
    /// What the driver has not fetched yet.
    pub outputs: VecDeque<Output>,
    /// How long things take.
    pub values: TimerValues,
    tokens: Box<dyn TokenSource>,
}

impl Wire {
    /// At the beginning of time.
    pub fn new(values: TimerValues, tokens: Box<dyn TokenSource>) -> Self {
        Self { now: Moment::default(), timers: Timers::default(), outputs: VecDeque::new(), values, tokens }
    }

    /// Sends.
    pub fn send(&mut self, to: To, bytes: Packet) {
        self.outputs.push_back(Output::Send { to, bytes });
    }

    /// Tells what belongs to no call.
    pub fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    /// Tells what happened to a call.
    pub fn event(&mut self, call: &CallId, moment: CallMoment) {
        self.outputs.push_back(Output::Call(CallEvent { call: call.clone(), moment }));
    }

    /// Arms a timer.
    pub fn arm(&mut self, after: Duration, due: Due) -> TimerId {
        self.timers.arm(self.now + after, due)
    }

    /// 64 random bits as text, for tags and cnonces.
    pub fn token(&mut self) -> String {
        hex::encode(self.bytes::<8>())
    }

    /// A branch (RFC 3261 §8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", hex::encode(self.bytes::<12>()))
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.tokens.fill(&mut bytes);
        bytes
    }

    /// A new id for a call record.
    pub fn call_id(&mut self) -> CallId {
        self.tokens.call_id()
    }
}
