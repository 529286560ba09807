//! What can go wrong with a call, and what it means for the work at hand (bitrix24 facts §1.4).

use std::time::Duration;

use thiserror::Error;
use url::Url;

use crate::domain::Verdict;

/// After `QUERY_LIMIT_EXCEEDED`: the bucket has drained enough for one call by then (facts §1.3).
pub const QUERY_LIMIT_PAUSE: Duration = Duration::from_secs(1);
/// After `OPERATION_TIME_LIMIT` when nothing said when the method is free again (facts §1.3).
pub const OPERATION_LIMIT_PAUSE: Duration = Duration::from_secs(60);
/// After `OVERLOAD_LIMIT`, which only Bitrix24's support lifts (facts §1.3).
pub const OVERLOAD_PAUSE: Duration = Duration::from_secs(600);

/// A call that brought no result.
#[derive(Debug, Error)]
pub enum CallError {
    /// HTTP 302: the portal was renamed. Not followed; see [`CallError::new_endpoint`].
    #[error("the portal has moved to another address")]
    Moved {
        /// Where it answers now, as it said.
        location: Url,
    },
    /// No answer.
    #[error("no answer from the other side")]
    Transport {
        /// Whether the call may have been executed all the same.
        in_doubt: bool,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// Not made: the portal's rate limits leave no room for it soon.
    #[error("the portal's rate limits hold the call back")]
    Throttled {
        /// When to ask again.
        wait: Duration,
    },
    /// An answer with an error code, whatever its HTTP status.
    #[error("the call was refused: {code} (HTTP {http}) {description}")]
    Refused {
        /// HTTP status; 200 for a refusal inside a batch or a result.
        http: u16,
        /// Error code in upper case.
        code: String,
        /// Bitrix24's text, not meant for users; may be empty.
        description: String,
    },
    /// An answer that is not Bitrix24's JSON (HTML of a proxy, say).
    #[error("the answer cannot be read (HTTP {http})")]
    Unreadable {
        /// HTTP status.
        http: u16,
    },
    /// A good answer without what this method promises.
    #[error("the answer lacks {what}")]
    Shape {
        /// What was looked for.
        what: &'static str,
    },
}

impl CallError {
    /// A refusal found inside an answer with HTTP 200 (facts §11.8).
    pub fn refused(code: impl AsRef<str>, description: impl Into<String>) -> Self {
        Self::Refused { http: 200, code: code.as_ref().to_uppercase(), description: description.into() }
    }

    /// Error code in upper case, `""` if there is none.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// What the queue should do.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Moved { .. } | Self::Transport { .. } | Self::Unreadable { .. } | Self::Shape { .. } => {
                Verdict::Retry
            }
            Self::Throttled { wait } => Verdict::RetryAfter(*wait),
            Self::Refused { http, code, .. } => refusal_verdict(*http, code),
        }
    }

    /// Whether a refresh of the access token is worth a try (facts §1.4).
    pub fn is_token_expired(&self) -> bool {
        matches!(self.code(), "EXPIRED_TOKEN" | "INVALID_TOKEN")
    }

    /// Whether our app is gone from the portal, or the portal itself is (facts §1.4).
    pub fn is_uninstalled(&self) -> bool {
        let Self::Refused { code, description, .. } = self else { return false };
        match code.as_str() {
            "APPLICATION_NOT_FOUND" | "NOT_INSTALLED" | "PORTAL_DELETED" => true,
            // The code alone is a general one of the portal's OAuth part.
            "ERROR_OAUTH" => description.is_empty() || description.to_lowercase().contains("install"),
            _ => false,
        }
    }

    /// Whether the line is off, or our connector is off on it: not the message's fault (facts §3.8).
    pub fn is_line_inactive(&self) -> bool {
        self.code() == "NOT_ACTIVE_LINE"
    }

    /// Whether the portal's rate governor spoke (facts §1.3).
    pub fn is_rate_limit(&self) -> bool {
        matches!(self, Self::Throttled { .. })
            || matches!(self.code(), "QUERY_LIMIT_EXCEEDED" | "OPERATION_TIME_LIMIT" | "OVERLOAD_LIMIT")
    }

    /// Whether the call had certainly no effect. `false` is doubt: a timeout, a broken connection, a 502
    /// or 504 may hide a call that ran (facts §1.3, §3.8).
    pub fn surely_not_executed(&self) -> bool {
        match self {
            Self::Moved { .. } | Self::Throttled { .. } => true,
            Self::Transport { in_doubt, .. } => !in_doubt,
            // The web server itself refused; 408 is a timeout on the way.
            Self::Unreadable { http } => (400..500).contains(http) && *http != 408,
            Self::Shape { .. } => false,
            Self::Refused { http, .. } if self.is_rate_limit() || *http == 401 => true,
            // ERROR_CORE is the name of any exception on the way, also of one after the effect.
            Self::Refused { http, code, .. } => {
                *http < 500
                    && *http != 408
                    && !matches!(code.as_str(), "ERROR_CORE" | "INTERNAL_SERVER_ERROR")
            }
        }
    }

    /// After [`CallError::Moved`]: the endpoint to repeat the call with, `old`'s path on the new host.
    /// `None` if nothing moved (a redirect to the same place), or from https to http.
    pub fn new_endpoint(&self, old: &Url) -> Option<Url> {
        let Self::Moved { location } = self else { return None };
        let same = location.origin() == old.origin();
        let downgrade = old.scheme() == "https" && location.scheme() != "https";
        if same || downgrade || !matches!(location.scheme(), "https" | "http") {
            return None;
        }
        let mut endpoint = location.clone();
        endpoint.set_path(old.path());
        endpoint.set_query(None);
        endpoint.set_fragment(None);
        endpoint.set_username("").ok()?;
        endpoint.set_password(None).ok()?;
        Some(endpoint)
    }
}

fn refusal_verdict(http: u16, code: &str) -> Verdict {
    match code {
        "QUERY_LIMIT_EXCEEDED" => Verdict::RetryAfter(QUERY_LIMIT_PAUSE),
        "OPERATION_TIME_LIMIT" => Verdict::RetryAfter(OPERATION_LIMIT_PAUSE),
        "OVERLOAD_LIMIT" => Verdict::RetryAfter(OVERLOAD_PAUSE),
        // Tokens, rights, scope, payment, installation: somebody has to mend them, no message is at fault.
        "EXPIRED_TOKEN"
        | "INVALID_TOKEN"
        | "NO_AUTH_FOUND"
        | "APPLICATION_NOT_FOUND"
        | "NOT_INSTALLED"
        | "ERROR_OAUTH"
        | "PORTAL_DELETED"
        | "AUTHORIZATION_ERROR"
        | "PAYMENT_REQUIRED"
        | "METHOD_CONFIRM_WAITING"
        | "METHOD_CONFIRM_DENIED"
        | "INSUFFICIENT_SCOPE"
        | "INVALID_SCOPE"
        | "INVALID_CREDENTIALS"
        | "USER_ACCESS_ERROR"
        | "ACCESS_DENIED"
        | "WRONG_AUTH_TYPE"
        | "ERROR_METHOD_NOT_FOUND" => Verdict::Reauthorize,
        // Of the OAuth server (facts §2.4).
        "INVALID_GRANT" | "BAD_VERIFICATION_CODE" | "INVALID_CLIENT" | "WRONG_CLIENT" | "INVALID_REQUEST" => {
            Verdict::Reauthorize
        }
        "INTERNAL_SERVER_ERROR" | "ERROR_UNEXPECTED_ANSWER" | "CONNECTION_ERROR" => Verdict::Retry,
        // The line is paused, its messages wait.
        "NOT_ACTIVE_LINE" => Verdict::Retry,
        _ => match http {
            429 => Verdict::RetryAfter(OPERATION_LIMIT_PAUSE),
            408 | 500.. => Verdict::Retry,
            401 | 403 => Verdict::Reauthorize,
            _ => Verdict::GiveUp,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(http: u16, code: &str) -> CallError {
        CallError::Refused { http, code: code.into(), description: String::new() }
    }

    #[test]
    fn each_code_has_its_verdict() {
        use Verdict::*;
        let table = [
            (503, "QUERY_LIMIT_EXCEEDED", RetryAfter(Duration::from_secs(1)), true),
            (429, "OPERATION_TIME_LIMIT", RetryAfter(Duration::from_secs(60)), true),
            (503, "OVERLOAD_LIMIT", RetryAfter(Duration::from_secs(600)), true),
            (401, "EXPIRED_TOKEN", Reauthorize, true),
            (401, "INVALID_TOKEN", Reauthorize, true),
            (401, "APPLICATION_NOT_FOUND", Reauthorize, true),
            (403, "INSUFFICIENT_SCOPE", Reauthorize, true),
            (403, "WRONG_AUTH_TYPE", Reauthorize, true),
            (200, "WRONG_CLIENT", Reauthorize, true),
            (200, "CONNECTION_ERROR", Retry, true),
            (400, "ERROR_ARGUMENT", GiveUp, true),
            (400, "IMCONNECTOR_NO_CORRECT_PROVIDER", GiveUp, true),
            (400, "NOT_ACTIVE_LINE", Retry, true),
            (400, "ERROR_CORE", GiveUp, false),
            (500, "INTERNAL_SERVER_ERROR", Retry, false),
            (502, "SOMETHING_NEW", Retry, false),
            (418, "SOMETHING_NEW", GiveUp, true),
        ];
        for (http, code, verdict, harmless) in table {
            assert_eq!(refused(http, code).verdict(), verdict, "{code}");
            assert_eq!(refused(http, code).surely_not_executed(), harmless, "{code}");
        }
    }

    #[test]
    fn pages_of_a_proxy_leave_doubt_unless_it_refused() {
        for (http, harmless) in
            [(200, false), (401, true), (404, true), (408, false), (502, false), (504, false)]
        {
            assert_eq!(CallError::Unreadable { http }.surely_not_executed(), harmless, "{http}");
            assert_eq!(CallError::Unreadable { http }.verdict(), Verdict::Retry);
        }
    }

    #[test]
    fn a_vanished_app_is_recognised() {
        for code in ["APPLICATION_NOT_FOUND", "NOT_INSTALLED", "ERROR_OAUTH", "PORTAL_DELETED"] {
            assert!(refused(401, code).is_uninstalled(), "{code}");
        }
        assert!(!refused(401, "EXPIRED_TOKEN").is_uninstalled());
        let other = CallError::refused("error_oauth", "Unable to reach the server");
        assert!(!other.is_uninstalled());
        assert!(CallError::refused("ERROR_OAUTH", "Application not installed").is_uninstalled());
    }

    #[test]
    fn a_renamed_portal_keeps_its_path_and_never_loses_tls() {
        let old = Url::parse("https://old.bitrix24.com/rest/").unwrap();
        let moved = |to: &str| CallError::Moved { location: Url::parse(to).unwrap() }.new_endpoint(&old);
        let new = moved("https://u:p@new.bitrix24.com/rest/profile?x=1#y").unwrap();
        assert_eq!(new.as_str(), "https://new.bitrix24.com/rest/");
        assert_eq!(moved("http://new.bitrix24.com/rest/profile"), None);
        assert_eq!(moved("https://old.bitrix24.com/auth/"), None);
        assert_eq!(refused(400, "X").new_endpoint(&old), None);
    }
}
