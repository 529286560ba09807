//! The endpoint: one value that holds every connection, transaction, dialog and call of the SIP edge.

use std::collections::VecDeque;

use super::io::{Input, Moment, Output};
use super::settings::{EndpointConfig, TokenSource};

/// A back-to-back user agent without sockets or a clock.
pub struct Endpoint {
    outputs: VecDeque<Output>,
}

impl Endpoint {
    /// An endpoint without routes: every call is refused until [`Input::Routes`].
    pub fn new(config: EndpointConfig, tokens: Box<dyn TokenSource>) -> Self {
        let _ = (config, tokens);
        Self { outputs: VecDeque::new() }
    }

    /// Takes one input; `now` never goes back. What is to be done about it comes from [`Self::poll`].
    pub fn handle(&mut self, now: Moment, input: Input) {
        let _ = (now, input);
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if nothing else comes before.
    pub fn next_timer(&self) -> Option<Moment> {
        None
    }

    /// How many calls run, for a drain that waits until none does.
    pub fn running_calls(&self) -> usize {
        0
    }
}
