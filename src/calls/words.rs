//! How a call ended, in words for people.

use crate::store::calls::CallRow;

/// How a call ended; `None`: it has not.
pub fn end(row: &CallRow) -> Option<String> {
    if row.state == "reported" {
        return Some(
            "Meta told of this call, but it never reached this bridge. Check that port and certificate are \
             what Meta was given."
                .to_owned(),
        );
    }
    let cause = row.end_cause.as_deref()?;
    let by = row.ended_by.as_deref().unwrap_or_default();
    let outbound = row.direction == "outbound";
    let who = match by {
        "contact" => "the customer",
        "trunk" => "the telephone system",
        _ => "the bridge",
    };
    let mut words = match cause {
        "hung_up" if by == "bridge" => "the bridge ended the call".to_owned(),
        "hung_up" => format!("{who} hung up"),
        "cancelled" => format!("{} gave up before an answer", caller(outbound)),
        "declined" => format!("{} declined or was busy", called(outbound)),
        "no_answer" => format!("{} did not answer in time", called(outbound)),
        "unknown_number" if outbound => "there is no such number at WhatsApp".to_owned(),
        "unknown_number" => "the called number is not set up here".to_owned(),
        "refused" => "the caller could not prove who it is (password or network)".to_owned(),
        "no_permission" => {
            "the customer has not permitted calls: send a request for permission and call when \
                            it is accepted"
                .to_owned()
        }
        "trunk_unreachable" => "the telephone system could not be reached".to_owned(),
        "media" => "no codec or key exchange in common: the setting at Meta (SDES or DTLS) must be what the \
                    telephone system uses"
            .to_owned(),
        "overload" => "there were too many calls".to_owned(),
        "too_long" => "the longest time of a call was over".to_owned(),
        "lost" => "the connection was lost".to_owned(),
        "stopped" => "the bridge was stopped".to_owned(),
        _ => format!("{who} refused the call"),
    };
    if let Some(hint) = hint(row, outbound) {
        words = format!("{words}: {hint}");
    }
    if let Some(text) = row.end_text.as_deref().filter(|text| !text.is_empty()) {
        words = format!("{words} (\u{201c}{text}\u{201d})");
    }
    Some(words)
}

fn caller(outbound: bool) -> &'static str {
    if outbound { "the telephone system" } else { "the customer" }
}

fn called(outbound: bool) -> &'static str {
    if outbound { "the customer" } else { "the telephone system" }
}

/// What Meta's refusals of our calls mean (whatsapp-sip facts §3.4).
fn hint(row: &CallRow, outbound: bool) -> Option<&'static str> {
    if !outbound || !matches!(row.end_cause.as_deref(), Some("failed" | "refused" | "media" | "no_answer")) {
        return None;
    }
    let text = row.end_text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    Some(match row.sip_status? {
        400 => "Meta does not know the calling number, or a number is not written as +digits",
        403 if says("does not match") => {
            "sip.hostname is not the host name that is set for this number at Meta"
        }
        403 if says("sdp") => "the key exchange set at Meta (SDES or DTLS) is not the one that was offered",
        403 if says("limit") => "this customer was called as often as Meta allows in a day",
        403 if says("duplicate") => "there is a call with this customer already",
        403 if says("payment") => "the WhatsApp account has no valid payment method",
        403 => {
            "Meta refused it: check the SIP password (save the calling settings again), the app's rights \
                and the payment method"
        }
        404 => "Meta does not know the address that was called",
        408 => "Meta heard no answer in time",
        480 => "the customer cannot be reached",
        500 | 503 => "Meta has a fault at the moment; try again a little later",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(direction: &str, by: &str, cause: &str, status: Option<i32>, text: Option<&str>) -> CallRow {
        CallRow {
            direction: direction.into(),
            state: "ended".into(),
            ended_by: Some(by.into()),
            end_cause: Some(cause.into()),
            sip_status: status,
            end_text: text.map(str::to_owned),
            ..CallRow::default()
        }
    }

    #[test]
    fn every_end_is_told_in_words() {
        for (direction, by, cause, status, text, expected) in [
            ("inbound", "contact", "hung_up", None, None, "the customer hung up"),
            ("inbound", "contact", "cancelled", None, None, "the customer gave up before an answer"),
            ("outbound", "trunk", "cancelled", None, None, "the telephone system gave up before an answer"),
            ("outbound", "contact", "declined", Some(486), None, "the customer declined or was busy"),
            ("outbound", "contact", "failed", Some(403), Some("SIP server x does not match"), "sip.hostname"),
            ("outbound", "contact", "media", Some(403), Some("SDP Validation Error"), "SDES or DTLS"),
            (
                "inbound",
                "trunk",
                "failed",
                Some(500),
                Some("Oops"),
                "refused the call (\u{201c}Oops\u{201d})",
            ),
        ] {
            let words = end(&row(direction, by, cause, status, text)).unwrap();
            assert!(words.contains(expected), "{cause}: {words}");
        }
        for cause in crate::domain::call::EndCause::ALL {
            let words = end(&row("inbound", "bridge", cause.as_str(), None, None)).unwrap();
            assert!(!words.is_empty());
        }
        assert_eq!(end(&CallRow::default()), None);
    }
}
