//! Why a call ended, in the words of others: the Reason header (RFC 3326), Q.850 causes and SIP statuses
//! (RFC 3398), Warning texts.

use super::address::split_list;
use super::headers::Headers;
use super::uri::param;

/// The Q.850 cause of a Reason header.
pub fn q850(headers: &Headers) -> Option<u8> {
    headers.all("Reason").flat_map(split_list).find_map(|one| {
        let (protocol, params) = one.split_once(';')?;
        let cause = param(params, "cause").flatten()?;
        protocol.trim().eq_ignore_ascii_case("Q.850").then(|| cause.parse().ok()).flatten()
    })
}

/// The status that a Reason header of a CANCEL or BYE tells, as `SIP;cause=200;text="…"`.
pub fn sip_cause(headers: &Headers) -> Option<u16> {
    headers.all("Reason").flat_map(split_list).find_map(|one| {
        let (protocol, params) = one.split_once(';')?;
        let cause = param(params, "cause").flatten()?;
        protocol.trim().eq_ignore_ascii_case("SIP").then(|| cause.parse().ok()).flatten()
    })
}

/// Text of Reason and Warning headers and of the reason phrase, for a person; at most 300 characters.
pub fn text(phrase: &str, headers: &Headers) -> Option<String> {
    let mut parts: Vec<&str> = vec![phrase.trim()];
    let quoted = |value| -> Option<&str> {
        let (_, rest) = str::split_once(value, '"')?;
        rest.rsplit_once('"').map(|(text, _)| text)
    };
    parts.extend(headers.all("Warning").filter_map(quoted));
    parts.extend(headers.all("Reason").filter_map(quoted));
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    let text: String = parts.join("; ").chars().filter(|c| !c.is_control()).take(300).collect();
    (!text.is_empty()).then_some(text)
}

/// A Reason header for a BYE or CANCEL of ours.
pub fn header(cause: u8) -> String {
    format!("Q.850;cause={cause}")
}

/// What a status is as a cause (RFC 3398 §8.2.6.1).
pub fn cause_of(status: u16) -> u8 {
    match status {
        401 | 402 | 403 | 407 | 603 => 21,
        404 | 485 | 604 => 1,
        405 => 63,
        406 | 415 | 501 => 79,
        408 | 504 => 102,
        410 => 22,
        484 => 28,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        480 => 18,
        482 | 483 => 25,
        486 | 600 => 17,
        487 => 16,
        488 | 606 => 88,
        502 => 38,
        _ => 41,
    }
}

/// What a cause is as a status before an answer (RFC 3398 §7.2.4.1; 88 is 488, since it is always about
/// media here).
pub fn status_of(cause: u8) -> u16 {
    match cause {
        1..=3 | 26 => 404,
        17 => 486,
        18 => 408,
        21 => 403,
        22 | 23 => 410,
        27 => 502,
        28 => 484,
        29 | 79 => 501,
        34 | 38 | 41 | 42 | 47 | 58 => 503,
        55 | 57 | 87 => 403,
        65 | 70 | 88 => 488,
        102 => 504,
        111 | 127 => 500,
        _ => 480,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_among_others() {
        let headers =
            Headers::parse("Reason: SIP;cause=200;text=\"Call, completed\", Q.850 ;cause=16;text=\"x\"")
                .unwrap();
        assert_eq!((q850(&headers), sip_cause(&headers)), (Some(16), Some(200)));
        assert_eq!(q850(&Headers::parse("Reason: Q.850;cause=999").unwrap()), None);
    }

    #[test]
    fn causes_and_statuses_map_both_ways() {
        for (status, cause) in [(404, 1), (486, 17), (488, 88), (484, 28), (403, 21)] {
            assert_eq!(cause_of(status), cause);
            assert_eq!(status_of(cause), status);
        }
        assert_eq!((cause_of(487), cause_of(500), cause_of(481)), (16, 41, 41));
        assert_eq!((status_of(31), status_of(102), status_of(127)), (480, 504, 500));
    }

    #[test]
    fn texts_of_warnings_are_told_without_control_characters() {
        let headers = Headers::parse("Warning: 399 wa.meta.vc \"SDP Validation\u{1} Error\"").unwrap();
        assert_eq!(text("Forbidden", &headers).as_deref(), Some("Forbidden; SDP Validation Error"));
        assert_eq!(text("", &Headers::default()), None);
    }
}
