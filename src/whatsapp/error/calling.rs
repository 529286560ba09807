//! What Meta's codes about calls mean, in our words (whatsapp-sip facts §1.8).

/// A code's meaning and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallFault {
    /// Meta's code.
    pub code: i64,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it may be, and what to do.
    pub explanation: &'static str,
}

/// The meaning of a code, if it is one about calls.
pub fn call_fault(code: i64) -> Option<CallFault> {
    CALL_FAULTS.iter().find(|fault| fault.code == code).copied()
}

const fn fault(code: i64, title: &'static str, explanation: &'static str) -> CallFault {
    CallFault { code, title, explanation }
}

/// Every code of the list.
pub const CALL_FAULTS: &[CallFault] = &[
    fault(
        100,
        "Meta refused a value",
        "One of the settings is not one that Meta takes. Check that the host name is a public DNS name (no IP \
         address), the port is right, and that the number belongs to this app.",
    ),
    fault(
        613,
        "Asked too often",
        "The permission to call was asked for more often than Meta allows. It passes by itself; wait a minute.",
    ),
    fault(
        131_009,
        "A value is not valid",
        "Meta knows the setting but not this value. Compare host name, port and key exchange with what \
         WhatsApp Manager shows for the number.",
    ),
    fault(
        131_026,
        "The customer's WhatsApp cannot take it",
        "The customer uses a version of WhatsApp that is too old for calls, or is not on WhatsApp. Write a \
         message instead.",
    ),
    fault(
        131_030,
        "The customer is not on the test list",
        "A test number calls only numbers on its list of recipients. Add the customer's number in the app's \
         WhatsApp settings at Meta, or use a real business number.",
    ),
    fault(
        131_044,
        "No payment method",
        "The WhatsApp account has no valid payment method. Add one in Meta's billing settings; then the call \
         button works.",
    ),
    fault(
        131_055,
        "The number is in SIP mode",
        "Calls of this number go by SIP, so Meta refuses its other way of calling. Nothing has to be done \
         here; if another program should handle the calls, switch SIP off for the number.",
    ),
    fault(
        138_000,
        "Calling is not switched on",
        "Calls are not enabled for this number. Save these settings with status ENABLED, or enable calling in \
         WhatsApp Manager.",
    ),
    fault(
        138_001,
        "The customer cannot be called",
        "WhatsApp cannot call this customer: calls may be blocked, or not offered in the customer's version or \
         country.",
    ),
    fault(
        138_002,
        "Too many calls at once",
        "The number has reached Meta's limit of calls at one time. New calls work as soon as others end.",
    ),
    fault(
        138_003,
        "There is a call with this customer already",
        "Only one call with a customer can be under way. Wait until it has ended.",
    ),
    fault(
        138_004,
        "The connection failed while the call was set up",
        "Meta could not connect the call. Try again; if it goes on, check that our SIP port is reachable and \
         the certificate is valid.",
    ),
    fault(
        138_005,
        "Too many calls in a day",
        "The number has started as many calls in 24 hours as Meta allows (10,000). Calls work again when the \
         day is over.",
    ),
    fault(
        138_006,
        "The customer has not permitted calls",
        "Send the customer a request for permission to call (inside the 24-hour window, or by a template with \
         such a request) and call when it is accepted.",
    ),
    fault(
        138_007,
        "The call was not connected in time",
        "Meta gave up waiting for the call to connect. Check that answers reach Meta within seconds and that \
         the media ports are open.",
    ),
    fault(
        138_009,
        "Permission was asked for too often",
        "A customer can be asked once in 24 hours and twice in 7 days. Wait, or let the customer call you.",
    ),
    fault(
        138_011,
        "No conversation is open",
        "Meta does not document this code; it was seen where no conversation with the customer was open. Write \
         to the customer by a template first.",
    ),
    fault(
        138_012,
        "Too many calls to this customer",
        "This customer was called as often in 24 hours as Meta allows (100 connected calls). Wait until \
         tomorrow.",
    ),
    fault(
        138_013,
        "Calls from this country are not offered",
        "Meta does not let business numbers of this country start calls (so in the USA, Canada, Egypt, Vietnam \
         and Nigeria). Customers can still call you.",
    ),
    fault(
        138_014,
        "Calling is paused for low quality",
        "Customers blocked, reported or did not want the calls, or too many of theirs were not picked up. Meta \
         pauses calling for about 7 days; see the restriction in WhatsApp Manager.",
    ),
    fault(
        138_015,
        "Calling cannot be switched on yet",
        "Meta wants a messaging limit of at least 2,000 customers in 24 hours for calls. Raise the limit \
         (verify the business, send good messages), then save these settings again.",
    ),
    fault(
        138_017,
        "Permission is there already",
        "The customer has permitted calls for good. No request is needed: just call.",
    ),
    fault(
        138_018,
        "Something is missing before calling can be switched on",
        "Meta wants either a SIP server or the webhook field calls. Save these settings with SIP enabled, or \
         subscribe the app to the field calls.",
    ),
    fault(
        138_019,
        "The call could not be set up",
        "Meta could not set the call up with our side. Check the answer's codec and key exchange: the setting \
         at Meta (SDES or DTLS) must be what the telephone system answers with.",
    ),
    fault(
        138_020,
        "No connection for the sound",
        "Meta's media relay could not connect to ours. Check that the media address in the answer is public \
         and that its UDP ports are open both ways.",
    ),
    fault(
        138_021,
        "Meta heard nothing from us",
        "No sound arrived at Meta. The business side must send first and without pause: check the firewall for \
         outgoing UDP and that the telephone system sends silence while nobody speaks.",
    ),
    fault(
        138_022,
        "Meta's sound did not get through",
        "Meta could not send sound to us. Check that the media address in the answer is public and its UDP \
         ports are open for incoming packets.",
    ),
    fault(
        138_023,
        "Answered, but no sound ever flowed",
        "The call was accepted and then no media passed. Check keys and profile of the answer (SDES or DTLS as \
         set at Meta) and the media ports.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the list, as it stands.
    const LIST: [i64; 28] = [
        100, 613, 131_009, 131_026, 131_030, 131_044, 131_055, 138_000, 138_001, 138_002, 138_003, 138_004,
        138_005, 138_006, 138_007, 138_009, 138_011, 138_012, 138_013, 138_014, 138_015, 138_017, 138_018,
        138_019, 138_020, 138_021, 138_022, 138_023,
    ];

    #[test]
    fn every_code_of_the_list_is_explained() {
        for code in LIST {
            let fault = call_fault(code).unwrap_or_else(|| panic!("{code}"));
            assert!(!fault.title.is_empty() && fault.explanation.len() > 40, "{code}");
            assert!(!fault.explanation.contains("  "), "{code}");
        }
        assert_eq!(CALL_FAULTS.len(), LIST.len());
        assert_eq!(call_fault(138_008), None);
    }
}
