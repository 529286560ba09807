//! The 24 hours in which a business may answer freely.

use chrono::{DateTime, Duration, Utc};

/// The customer service window of one contact and phone (whatsapp-messaging facts §2.2): opened for
/// 24 hours by each message or call of the contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceWindow {
    /// Never seen a message here (an import, say): try, and let Meta's 131047 close it.
    Unknown,
    /// Free text is allowed until this instant.
    OpenUntil(DateTime<Utc>),
    /// Only templates.
    Closed,
}

impl ServiceWindow {
    /// Length of the window.
    pub const HOURS: i64 = 24;

    /// The window that a message or call at `at` opens.
    pub fn opened_at(at: DateTime<Utc>) -> Self {
        Self::OpenUntil(at + Duration::hours(Self::HOURS))
    }

    /// Reads the stored pair: until when it is open, and whether Meta has said that it is closed.
    pub fn from_stored(until: Option<DateTime<Utc>>, closed: bool) -> Self {
        match (until, closed) {
            (_, true) => Self::Closed,
            (Some(until), false) => Self::OpenUntil(until),
            (None, false) => Self::Unknown,
        }
    }

    /// Whether a free text may be tried now.
    pub fn allows_free_text(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Unknown => true,
            Self::OpenUntil(until) => now < until,
            Self::Closed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_after_24_hours_to_the_second() {
        let opened: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let window = ServiceWindow::opened_at(opened);
        assert!(window.allows_free_text(opened + Duration::seconds(24 * 3600 - 1)));
        assert!(!window.allows_free_text(opened + Duration::seconds(24 * 3600)));
    }

    #[test]
    fn an_unknown_window_is_tried_until_meta_closes_it() {
        let now: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        assert!(ServiceWindow::from_stored(None, false).allows_free_text(now));
        assert!(!ServiceWindow::from_stored(None, true).allows_free_text(now));
    }
}
