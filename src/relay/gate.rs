//! What stands between a template and its person: Meta's word on the template, which may have changed while it
//! waited, a wish not to get advertising, and Meta's messaging limit.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Relay;
use super::limits::{Leave, limit_of};
use super::sender::Outgoing;
use crate::directory::Channel;
use crate::domain::ServiceWindow;
use crate::domain::template::TemplateStatus;
use crate::store::{StoreError, Tx, limits, templates};
use crate::whatsapp::OutgoingContent;

/// Why a job waits for the messaging limit; those that do are counted by this text.
pub const LIMIT_WAIT: &str = "waiting: the messaging limit of the account for 24 hours is reached";

/// Whether something may go.
pub(super) enum Gate {
    /// Nothing stands in the way.
    Open,
    /// The person is booked against the limit.
    Booked(Booking),
    /// Not before then.
    NotBefore(DateTime<Utc>),
    /// The person wants no advertising.
    OptedOut,
    /// Meta lets nobody send this template at present: its state, and Meta's reason for it.
    NotApproved(TemplateStatus, Option<String>),
}

/// A person booked against the messaging limit.
#[derive(Clone, Debug)]
pub(super) struct Booking {
    portfolio: String,
    person: String,
    at: DateTime<Utc>,
    before: Option<DateTime<Utc>>,
}

impl Booking {
    /// Stores the booking, with the mark that the send begins.
    pub(super) fn store(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        limits::used(tx.conn, &self.portfolio, &self.person, self.at)
    }

    /// Meta surely did not count it.
    pub(super) fn undo(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        limits::take_back(tx.conn, &self.portfolio, &self.person, self.before)
    }
}

impl Relay {
    /// Asked before each send.
    pub(super) async fn gate(
        &self,
        outgoing: &Outgoing,
        channel: &Channel<'_>,
        content: &OutgoingContent,
        now: DateTime<Utc>,
    ) -> Result<Gate, StoreError> {
        let Some((name, language)) = template_of(content) else { return Ok(Gate::Open) };
        let (waba, name, language) = (channel.waba.key.to_string(), name.to_owned(), language.to_owned());
        let known = self.db.read(move |conn| templates::by_name(conn, &waba, &name, &language)).await?;
        // One that is not listed any more is Meta's to judge.
        if let Some(row) = known {
            let status = TemplateStatus::parse(&row.status);
            if status != TemplateStatus::Approved {
                return Ok(Gate::NotApproved(status, row.reason));
            }
            if outgoing.chat.marketing_stopped && row.category == "MARKETING" {
                return Ok(Gate::OptedOut);
            }
        }
        // Within a window that is surely open a template is a reply.
        let window = outgoing.chat.window();
        if !matches!(window, ServiceWindow::Unknown) && window.allows_free_text(now) {
            return Ok(Gate::Open);
        }
        let Some(person) = outgoing.limit_key() else { return Ok(Gate::Open) };
        let portfolio = channel.waba.limit_key().to_owned();
        let limit = limit_of(channel.phone.row.messaging_limit.as_deref());
        Ok(match self.limits.may_send(&portfolio, limit, &person, now) {
            Leave::Go { before } => Gate::Booked(Booking { portfolio, person, at: now, before }),
            Leave::NotBefore(then) => Gate::NotBefore(then),
        })
    }

    /// Forgets a booking in memory; see [`Booking::undo`] for what is stored.
    pub(super) fn take_back(&self, booking: &Booking) {
        self.limits.take_back(&booking.portfolio, &booking.person, booking.at, booking.before);
    }
}

/// Name and language of a template.
fn template_of(content: &OutgoingContent) -> Option<(&str, &str)> {
    let OutgoingContent::Raw(raw) = content else { return None };
    let text = |path: &str| raw.pointer(path).and_then(Value::as_str);
    (text("/type") == Some("template")).then_some(())?;
    Some((text("/template/name")?, text("/template/language/code")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_known_by_its_form_on_the_wire() {
        let template =
            json!({"type": "template", "template": {"name": "hello", "language": {"code": "en_US"}}});
        assert_eq!(template_of(&OutgoingContent::Raw(template)), Some(("hello", "en_US")));
        let text = OutgoingContent::Text { body: "x".into(), preview_url: false };
        assert_eq!(template_of(&text), None);
        assert_eq!(template_of(&OutgoingContent::Raw(json!({"type": "interactive"}))), None);
    }
}
