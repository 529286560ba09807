//! How far a message of the CRM's SMS provider has come, in the portal's words (bitrix24 facts §6.1).

use super::DeliveryState;

/// State of an SMS as the portal is told; only moves forward.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SmsState {
    /// Taken in.
    Queued,
    /// On WhatsApp's servers.
    Sent,
    /// It was sent, but will not arrive.
    Undelivered,
    /// It was not sent.
    Failed,
    /// On the contact's device.
    Delivered,
}

impl SmsState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Sent, Self::Undelivered, Self::Failed, Self::Delivered];

    /// The portal's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }

    /// Reads the portal's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What the state of its WhatsApp message means for it. `accepted`: Meta took the message at first.
    pub fn of(state: DeliveryState, accepted: bool) -> Self {
        match state {
            DeliveryState::Pending | DeliveryState::Accepted => Self::Queued,
            DeliveryState::Sent => Self::Sent,
            DeliveryState::Delivered | DeliveryState::Read | DeliveryState::Played => Self::Delivered,
            DeliveryState::Failed if accepted => Self::Undelivered,
            DeliveryState::Failed => Self::Failed,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Undelivered | Self::Failed => 2,
            Self::Delivered => 3,
        }
    }

    /// Whether an SMS in this state may become `next`: a delivery that is reported after a failure proves
    /// the failure wrong, nothing else goes back.
    pub fn may_become(self, next: Self) -> bool {
        next.rank() > self.rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_only_move_forward() {
        use SmsState::*;
        assert!(Queued.may_become(Sent));
        assert!(Sent.may_become(Undelivered));
        assert!(!Delivered.may_become(Undelivered));
        assert!(!Failed.may_become(Undelivered));
        assert!(!Delivered.may_become(Sent));
        assert!(Undelivered.may_become(Delivered));
    }

    #[test]
    fn what_meta_had_taken_is_undelivered_and_what_it_refused_is_failed() {
        assert_eq!(SmsState::of(DeliveryState::Failed, true), SmsState::Undelivered);
        assert_eq!(SmsState::of(DeliveryState::Failed, false), SmsState::Failed);
        assert_eq!(SmsState::of(DeliveryState::Read, true), SmsState::Delivered);
        assert_eq!(SmsState::of(DeliveryState::Accepted, true), SmsState::Queued);
    }

    #[test]
    fn every_state_has_one_word() {
        for state in SmsState::ALL {
            assert_eq!(SmsState::parse(state.as_str()), Some(state));
        }
    }
}
