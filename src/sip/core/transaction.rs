//! The four transaction machines of RFC 3261 §17, with the corrections of RFC 6026. Pure: an event goes in,
//! [`Step`]s come out; who holds the bytes and the timers carries them out.

use std::time::Duration;

use super::settings::TimerValues;

/// What the holder of a machine is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send the last message again: a client its request, a server its response.
    Repeat,
    /// Send an ACK for the final response just received.
    Ack,
    /// Hand the response to the user of the transaction.
    Deliver,
    /// Arm the repetition (timers A, E, G); an earlier one is replaced.
    RepeatIn(Duration),
    /// Repeat no more.
    Quiet,
    /// Arm the deadline (timers B, D, F, H, I, J, K, L, M); an earlier one is replaced.
    EndIn(Duration),
    /// Disarm the deadline.
    NoEnd,
    /// Tell the user that no answer (or no ACK) came.
    TimedOut,
    /// The transaction is over.
    Gone,
}

/// Client transactions (§17.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientState {
    /// Sent, nothing heard.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A failure came (INVITE) or any final response (others); repetitions are absorbed.
    Completed,
    /// INVITE only: a 2xx came, others may follow (RFC 6026 §7.2).
    Accepted,
}

/// A client transaction.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Where it stands.
    pub state: ClientState,
    is_invite: bool,
    is_reliable: bool,
    interval: Duration,
}

impl Client {
    /// A machine for a request that is being sent.
    pub fn start(is_invite: bool, is_reliable: bool, timers: &TimerValues, steps: &mut Vec<Step>) -> Self {
        if !is_reliable {
            steps.push(Step::RepeatIn(timers.t1)); // A or E
        }
        steps.push(Step::EndIn(timers.patience())); // B or F
        Self { state: ClientState::Calling, is_invite, is_reliable, interval: timers.t1 }
    }

    /// A response with this status came.
    pub fn on_response(&mut self, status: u16, timers: &TimerValues, steps: &mut Vec<Step>) {
        match (self.state, status) {
            (ClientState::Calling | ClientState::Proceeding, 100..=199) => {
                if self.is_invite {
                    steps.extend([Step::Quiet, Step::NoEnd]);
                }
                self.state = ClientState::Proceeding;
                steps.push(Step::Deliver);
            }
            (ClientState::Calling | ClientState::Proceeding, 200..=299) if self.is_invite => {
                self.state = ClientState::Accepted;
                steps.extend([Step::Quiet, Step::EndIn(timers.patience()), Step::Deliver]); // M
            }
            (ClientState::Accepted, 200..=299) => steps.push(Step::Deliver),
            (ClientState::Calling | ClientState::Proceeding, 200..) => {
                self.state = ClientState::Completed;
                if self.is_invite {
                    steps.push(Step::Ack);
                }
                steps.extend([Step::Quiet, Step::Deliver]);
                match (self.is_reliable, self.is_invite) {
                    (true, _) => steps.push(Step::Gone), // D and K are zero
                    (false, true) => steps.push(Step::EndIn(timers.patience())), // D
                    (false, false) => steps.push(Step::EndIn(timers.t4)), // K
                }
            }
            (ClientState::Completed, 300..) if self.is_invite => steps.push(Step::Ack),
            _ => {}
        }
    }

    /// The repetition is due.
    pub fn on_repeat(&mut self, timers: &TimerValues, steps: &mut Vec<Step>) {
        match self.state {
            ClientState::Calling => {
                self.interval *= 2;
                if !self.is_invite {
                    self.interval = self.interval.min(timers.t2);
                }
                steps.extend([Step::Repeat, Step::RepeatIn(self.interval)]);
            }
            // §17.1.2.2: every T2 once a provisional response came.
            ClientState::Proceeding if !self.is_invite => {
                steps.extend([Step::Repeat, Step::RepeatIn(timers.t2)]);
            }
            _ => {}
        }
    }

    /// The deadline has come.
    pub fn on_end(&mut self, steps: &mut Vec<Step>) {
        if matches!(self.state, ClientState::Calling | ClientState::Proceeding) {
            steps.push(Step::TimedOut);
        }
        steps.push(Step::Gone);
    }
}

/// Server transactions (§17.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerState {
    /// Received, not finally answered.
    Proceeding,
    /// Answered: with a failure (INVITE) or at all (others).
    Completed,
    /// INVITE only: the failure was acknowledged.
    Confirmed,
    /// INVITE only: answered with a 2xx, which the user of the transaction repeats (RFC 6026 §7.1).
    Accepted,
}

/// A server transaction.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Where it stands.
    pub state: ServerState,
    is_invite: bool,
    is_reliable: bool,
    interval: Duration,
}

impl Server {
    /// A machine for a request that was received.
    pub fn start(is_invite: bool, is_reliable: bool, timers: &TimerValues) -> Self {
        Self { state: ServerState::Proceeding, is_invite, is_reliable, interval: timers.t1 }
    }

    /// The request came again.
    pub fn on_repetition(&self, steps: &mut Vec<Step>) {
        // In Accepted it is absorbed: the user repeats the 2xx itself.
        if matches!(self.state, ServerState::Proceeding | ServerState::Completed) {
            steps.push(Step::Repeat);
        }
    }

    /// The user answers.
    pub fn on_answer(&mut self, status: u16, timers: &TimerValues, steps: &mut Vec<Step>) {
        match (status, self.is_invite) {
            (100..=199, _) => {}
            (200..=299, true) => {
                self.state = ServerState::Accepted;
                steps.push(Step::EndIn(timers.patience())); // L
            }
            (_, true) => {
                self.state = ServerState::Completed;
                if !self.is_reliable {
                    steps.push(Step::RepeatIn(timers.t1)); // G
                }
                steps.push(Step::EndIn(timers.patience())); // H
            }
            (_, false) => {
                self.state = ServerState::Completed;
                // J is zero on reliable transports.
                steps.push(if self.is_reliable { Step::Gone } else { Step::EndIn(timers.patience()) });
            }
        }
    }

    /// An ACK for the failure came.
    pub fn on_ack(&mut self, timers: &TimerValues, steps: &mut Vec<Step>) {
        if self.state == ServerState::Completed && self.is_invite {
            self.state = ServerState::Confirmed;
            steps.push(Step::Quiet);
            steps.push(if self.is_reliable { Step::Gone } else { Step::EndIn(timers.t4) }); // I
        }
    }

    /// The repetition is due.
    pub fn on_repeat(&mut self, timers: &TimerValues, steps: &mut Vec<Step>) {
        if self.state == ServerState::Completed {
            self.interval = (self.interval * 2).min(timers.t2);
            steps.extend([Step::Repeat, Step::RepeatIn(self.interval)]);
        }
    }

    /// The deadline has come.
    pub fn on_end(&mut self, steps: &mut Vec<Step>) {
        steps.push(Step::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers() -> TimerValues {
        TimerValues::default()
    }

    fn steps(run: impl FnOnce(&mut Vec<Step>)) -> Vec<Step> {
        let mut steps = Vec::new();
        run(&mut steps);
        steps
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_invite_over_udp_is_repeated_at_doubling_intervals_for_32_seconds() {
        let mut client = None;
        let first = steps(|s| client = Some(Client::start(true, false, &timers(), s)));
        assert_eq!(first, [Step::RepeatIn(Duration::from_millis(500)), Step::EndIn(seconds(32))]);
        let mut client = client.unwrap();
        for wait in [1, 2, 4, 8, 16] {
            assert_eq!(
                steps(|s| client.on_repeat(&timers(), s)),
                [Step::Repeat, Step::RepeatIn(seconds(wait))]
            );
        }
        assert_eq!(steps(|s| client.on_end(s)), [Step::TimedOut, Step::Gone]);
    }

    #[test]
    fn nothing_is_repeated_over_a_connection() {
        let first = steps(|s| _ = Client::start(true, true, &timers(), s));
        assert_eq!(first, [Step::EndIn(seconds(32))]);
    }

    #[test]
    fn a_failure_is_acknowledged_each_time_it_comes() {
        let mut client = Client::start(true, false, &timers(), &mut Vec::new());
        let steps1 = steps(|s| client.on_response(486, &timers(), s));
        assert_eq!(steps1, [Step::Ack, Step::Quiet, Step::Deliver, Step::EndIn(seconds(32))]);
        assert_eq!(steps(|s| client.on_response(486, &timers(), s)), [Step::Ack]);
        let mut client = Client::start(true, true, &timers(), &mut Vec::new());
        assert!(steps(|s| client.on_response(486, &timers(), s)).ends_with(&[Step::Gone]));
    }

    #[test]
    fn every_2xx_is_delivered_since_forks_may_answer_too() {
        let mut client = Client::start(true, true, &timers(), &mut Vec::new());
        assert!(steps(|s| client.on_response(180, &timers(), s)).ends_with(&[Step::Deliver]));
        let first = steps(|s| client.on_response(200, &timers(), s));
        assert_eq!(first, [Step::Quiet, Step::EndIn(seconds(32)), Step::Deliver]);
        assert_eq!(steps(|s| client.on_response(200, &timers(), s)), [Step::Deliver]);
        assert_eq!(steps(|s| client.on_response(486, &timers(), s)), []);
        assert_eq!(steps(|s| client.on_end(s)), [Step::Gone]);
    }

    #[test]
    fn another_request_is_repeated_at_intervals_up_to_t2() {
        let mut client = Client::start(false, false, &timers(), &mut Vec::new());
        for wait in [1, 2, 4, 4] {
            assert_eq!(
                steps(|s| client.on_repeat(&timers(), s)),
                [Step::Repeat, Step::RepeatIn(seconds(wait))]
            );
        }
        steps(|s| client.on_response(100, &timers(), s));
        assert_eq!(steps(|s| client.on_repeat(&timers(), s)), [Step::Repeat, Step::RepeatIn(seconds(4))]);
        let last = steps(|s| client.on_response(200, &timers(), s));
        assert_eq!(last, [Step::Quiet, Step::Deliver, Step::EndIn(seconds(5))]);
    }

    #[test]
    fn a_failure_is_repeated_until_its_ack() {
        let mut server = Server::start(true, false, &timers());
        assert_eq!(steps(|s| server.on_repetition(s)), [Step::Repeat]);
        let answer = steps(|s| server.on_answer(486, &timers(), s));
        assert_eq!(answer, [Step::RepeatIn(Duration::from_millis(500)), Step::EndIn(seconds(32))]);
        for wait in [1, 2, 4, 4] {
            assert_eq!(
                steps(|s| server.on_repeat(&timers(), s)),
                [Step::Repeat, Step::RepeatIn(seconds(wait))]
            );
        }
        assert_eq!(steps(|s| server.on_ack(&timers(), s)), [Step::Quiet, Step::EndIn(seconds(5))]);
        assert_eq!(steps(|s| server.on_repetition(s)), []);
    }

    #[test]
    fn an_invite_repeated_after_its_2xx_is_absorbed() {
        let mut server = Server::start(true, true, &timers());
        assert_eq!(steps(|s| server.on_answer(200, &timers(), s)), [Step::EndIn(seconds(32))]);
        assert_eq!(steps(|s| server.on_repetition(s)), []);
    }

    #[test]
    fn the_answer_to_another_request_is_repeated_on_demand() {
        let mut server = Server::start(false, false, &timers());
        assert_eq!(steps(|s| server.on_answer(200, &timers(), s)), [Step::EndIn(seconds(32))]);
        assert_eq!(steps(|s| server.on_repetition(s)), [Step::Repeat]);
        let mut server = Server::start(false, true, &timers());
        assert_eq!(steps(|s| server.on_answer(200, &timers(), s)), [Step::Gone]);
    }
}
