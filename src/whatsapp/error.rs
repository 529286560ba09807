//! What can go wrong between us and the Graph API, and what it means for the work at hand
//! (whatsapp-messaging facts §5, §6.3).

mod calling;
mod catalogue;
mod refusal;

use std::time::Duration;

use thiserror::Error;

use crate::domain::{Secret, Verdict};

pub use calling::{CALL_FAULTS, CallFault, call_fault};
pub use catalogue::{CATALOGUE, CodeRule, RetryClass, rule};
pub use refusal::Refusal;
pub(super) use refusal::retry_after;

/// Pause after a 429 that names neither a known code nor a time.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// Why a call of the Graph API brought no answer, or a refusal.
#[derive(Debug, Error)]
pub enum GraphError {
    /// No answer came: no connection, a reset, a time-out.
    #[error("Meta could not be reached")]
    Transport {
        /// Whether Meta may have executed the call all the same.
        in_doubt: bool,
        /// What the connection said, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// Meta refused with an error of its own. Boxed: it is large and rare.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer that is neither what was asked for nor an error of Meta's (a page of its edge, say).
    #[error("Meta answered {http} with something unreadable")]
    Unreadable {
        /// HTTP status.
        http: u16,
        /// What `Retry-After` said.
        retry_after: Option<Duration>,
    },
    /// The address leads to a host that must not see the token, or is no https.
    #[error("the address leads to {host}, which is not one of Meta's hosts")]
    ForbiddenHost {
        /// Only the host, as such links are secrets.
        host: String,
    },
    /// A chain of redirects without end.
    #[error("the address redirects too often")]
    TooManyRedirects,
    /// An address that cannot be put together: a wrong `meta.graph_url`, or a redirect to nowhere.
    #[error("the address of the call is not usable")]
    Address,
    /// A call that cannot be put together: a token that fits no header, a type that is none.
    #[error("the call of Meta cannot be put together")]
    Unsendable(#[source] reqwest::Error),
    /// The file to upload cannot be read.
    #[error("the file to upload cannot be read")]
    File(#[source] std::io::Error),
}

impl GraphError {
    /// What the queue should do (§5.2). 131000 and 1 are [`Verdict::Retry`] although they may be the
    /// message's own fault: ask [`GraphError::retry_class`] and stop after a few
    /// ([`RetryClass::FewTimes`]). For 131056 the caller counts: 4^n seconds.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Transport { .. } => Verdict::Retry,
            Self::Refused(refusal) => refusal.verdict(),
            Self::Unreadable { http, retry_after } => verdict_of_http(*http, *retry_after),
            Self::ForbiddenHost { .. }
            | Self::TooManyRedirects
            | Self::Address
            | Self::Unsendable(_)
            | Self::File(_) => Verdict::GiveUp,
        }
    }

    /// The class of the table, if Meta gave a code that it knows.
    pub fn retry_class(&self) -> Option<RetryClass> {
        self.code().and_then(rule).map(|rule| rule.class)
    }

    /// Whether the call may have been executed all the same: then a message must not simply be sent again
    /// (no idempotency key exists).
    pub fn in_doubt(&self) -> bool {
        match self {
            Self::Transport { in_doubt, .. } => *in_doubt,
            // A success that we could not read has happened; an edge's 5xx hides what happened behind it.
            Self::Unreadable { http, .. } => *http >= 500 || (200..300).contains(http),
            _ => false,
        }
    }

    /// Meta's code.
    pub fn code(&self) -> Option<i64> {
        self.refusal().map(|refusal| refusal.code)
    }

    /// HTTP status of the answer, if one came.
    pub fn http(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.http),
            Self::Unreadable { http, .. } => Some(*http),
            _ => None,
        }
    }

    /// Meta's error, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// A fault of the connection. Only what failed before the request could leave is surely not executed.
    pub(super) fn transport(source: reqwest::Error) -> Self {
        let source = source.without_url();
        if source.is_builder() {
            return Self::Unsendable(source);
        }
        Self::Transport { in_doubt: !source.is_connect(), source }
    }

    /// Takes a secret out of the texts, which may repeat it.
    pub(super) fn without(mut self, secret: &Secret) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.redact(secret);
        }
        self
    }
}

/// The verdict where no code speaks: unknown 5xx comes back, unknown 4xx does not.
fn verdict_of_http(http: u16, retry_after: Option<Duration>) -> Verdict {
    match http {
        401 => Verdict::Reauthorize,
        429 => Verdict::RetryAfter(retry_after.unwrap_or(DEFAULT_PAUSE)),
        400..=499 if http != 408 => Verdict::GiveUp,
        _ => retry_after.map_or(Verdict::Retry, Verdict::RetryAfter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_answer_is_judged_by_its_status() {
        let minute = Duration::from_secs(60);
        let cases = [
            (502, None, Verdict::Retry, true),
            (503, Some(minute), Verdict::RetryAfter(minute), true),
            (404, None, Verdict::GiveUp, false),
            (401, None, Verdict::Reauthorize, false),
            (408, None, Verdict::Retry, false),
            (429, None, Verdict::RetryAfter(minute), false),
            (200, None, Verdict::Retry, true),
            (302, None, Verdict::Retry, false),
        ];
        for (http, retry_after, verdict, in_doubt) in cases {
            let error = GraphError::Unreadable { http, retry_after };
            assert_eq!((error.verdict(), error.in_doubt()), (verdict, in_doubt), "{http}");
        }
    }
}
