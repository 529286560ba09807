//! What a refusal of one side is for the other side and for the record.

use super::super::reason;
use crate::domain::call::EndCause;

/// What Meta is told when the trunk refuses. Never 5xx: a business that fails too often loses its call button.
pub fn of_trunk(status: u16, q850: Option<u8>) -> (u16, EndCause) {
    let meant = match q850 {
        Some(16 | 31) | None => status,
        Some(cause) => reason::status_of(cause),
    };
    match meant {
        486 | 600 => (486, EndCause::Declined),
        603 => (603, EndCause::Declined),
        408 | 480 | 487 => (480, EndCause::NoAnswer),
        404 | 410 | 484 | 604 => (404, EndCause::UnknownNumber),
        415 | 488 | 606 => (488, EndCause::Media),
        _ => (480, EndCause::Failed),
    }
}

/// What the trunk is told when Meta refuses, and a sentence that explains it.
pub fn of_meta(status: u16, text: &str) -> (u16, EndCause, &'static str) {
    let text = text.to_ascii_lowercase();
    match status {
        403 if text.contains("permission") => (
            403,
            EndCause::NoPermission,
            "the customer has not permitted calls: send a call permission request first",
        ),
        403 if text.contains("sdp validation") => (
            488,
            EndCause::Media,
            "the keying of the call is not the one that the phone has at Meta (srtp_key_exchange_protocol)",
        ),
        403 if text.contains("does not match") => (
            403,
            EndCause::Failed,
            "the host name is not the one that the phone's calling settings have at Meta",
        ),
        403 if text.contains("duplicate") => {
            (486, EndCause::Declined, "there is a call with this customer already")
        }
        403 if text.contains("limit") => {
            (403, EndCause::Failed, "the limit of calls to this customer is used up")
        }
        401 | 407 => (
            403,
            EndCause::Refused,
            "Meta refuses the phone's SIP password: save its calling settings again to read it anew",
        ),
        403 => (
            403,
            EndCause::Failed,
            "Meta refuses the call: permission, app, payment method and calling settings of the phone decide",
        ),
        404 => (404, EndCause::UnknownNumber, "Meta does not know this address"),
        408 | 480 => (480, EndCause::NoAnswer, "the customer cannot be reached or does not answer"),
        486 | 600 => (486, EndCause::Declined, "the customer is busy or declined"),
        603 => (603, EndCause::Declined, "the customer declined"),
        415 | 488 | 606 => (488, EndCause::Media, "no codec or keying in common"),
        400 => (503, EndCause::Failed, "Meta does not know the calling number, or cannot read the call"),
        503 => (503, EndCause::Failed, "Meta is overloaded: try again later"),
        _ => (503, EndCause::Failed, "Meta cannot place the call"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_never_gets_a_server_failure() {
        for status in 300..700 {
            for q850 in [None, Some(34), Some(127)] {
                let (told, _) = of_trunk(status, q850);
                assert!(!(500..600).contains(&told) && told != 401 && told != 407, "{status}");
            }
        }
        assert_eq!(of_trunk(480, Some(17)), (486, EndCause::Declined));
        assert_eq!(of_trunk(480, Some(16)), (480, EndCause::NoAnswer));
        assert_eq!(of_trunk(488, None), (488, EndCause::Media));
        assert_eq!(of_trunk(500, None).0, 480);
    }

    #[test]
    fn a_dialplan_can_act_on_what_meta_says() {
        assert_eq!(of_meta(403, "No approved call Permission").1, EndCause::NoPermission);
        assert_eq!(of_meta(486, "").0, 486);
        assert_eq!(of_meta(500, "").0, 503);
        assert_eq!(of_meta(407, "").1, EndCause::Refused);
    }
}
