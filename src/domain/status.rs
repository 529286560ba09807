//! Where a message goes and how far it has come.

use serde::{Deserialize, Serialize};

/// Seen from the business: `Inbound` comes from the contact, `Outbound` goes to the contact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the contact.
    Inbound,
    /// To the contact.
    Outbound,
}

impl Direction {
    /// `inbound` or `outbound`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Delivery state of a message; only moves forward (whatsapp-messaging facts §1.9: statuses come late,
/// twice and out of order).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// On our disk, not yet taken by the other cloud.
    Pending,
    /// Taken by the other cloud.
    Accepted,
    /// On WhatsApp's servers: one tick.
    Sent,
    /// On the contact's device: two ticks.
    Delivered,
    /// Read by the contact: blue ticks.
    Read,
    /// A voice note that was listened to.
    Played,
    /// It will not arrive.
    Failed,
}

impl DeliveryState {
    /// Every state, in order.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Accepted, Self::Sent, Self::Delivered, Self::Read, Self::Played, Self::Failed];

    /// The name in the database, the API and Meta's `statuses[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }

    /// Reads a name; unknown ones (Meta has legacy values) are `None` and are safely left alone.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Accepted => 1,
            Self::Sent => 2,
            Self::Failed => 3,
            Self::Delivered => 4,
            Self::Read => 5,
            Self::Played => 6,
        }
    }

    /// Whether a message in this state may become `next`. A failure is the end unless a delivery is
    /// reported after it, which proves it wrong; a failure after a delivery changes nothing.
    pub fn may_become(self, next: Self) -> bool {
        next.rank() > self.rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_only_move_forward() {
        use DeliveryState::*;
        assert!(Pending.may_become(Accepted));
        assert!(Sent.may_become(Read));
        assert!(!Read.may_become(Delivered));
        assert!(!Delivered.may_become(Delivered));
        assert!(Sent.may_become(Failed));
        assert!(!Delivered.may_become(Failed));
    }

    #[test]
    fn unknown_states_of_meta_are_left_alone() {
        assert_eq!(DeliveryState::parse("warning"), None);
        assert_eq!(DeliveryState::parse("played"), Some(DeliveryState::Played));
    }
}
