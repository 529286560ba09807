//! What a failure of the other side means for the work at hand.

use std::time::Duration;

/// The answer of every remote error to the only question the queue asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The other side (or the way to it) is unwell: pause it as a whole and come back. Counts against
    /// no message.
    Retry,
    /// As [`Verdict::Retry`], but the other side said when: not before this time has passed.
    RetryAfter(Duration),
    /// This message will not be taken, however often it is offered.
    GiveUp,
    /// Credentials are refused: pause until somebody mends them. Counts against no message.
    Reauthorize,
}
