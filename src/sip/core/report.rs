//! What is told of how the other side of a call looks: its headers and its offer with the secrets, the texts and
//! the numbers of persons taken out.

use super::headers::Headers;
use crate::domain::phone_number::mask;

/// Longest value that is told, in characters.
const LONGEST: usize = 300;
/// Lines of a description that are told.
const MOST_LINES: usize = 80;
/// The shortest run of digits that may be somebody's number.
const SHORTEST_NUMBER: usize = 7;
/// Headers with a text that a person chose, and with ids that have a person's number in them.
const PERSONAL: [&str; 9] = [
    "call-id",
    "subject",
    "x-wa-meta-cta-payload",
    "x-wa-meta-deeplink-payload",
    "x-wa-meta-parent-user-id",
    "x-wa-meta-user-id",
    "x-wa-meta-user-name",
    "x-wa-meta-username",
    "x-wa-meta-wacid",
];
/// Headers with a display name.
const NAMED: [&str; 6] =
    ["from", "to", "contact", "p-asserted-identity", "p-preferred-identity", "remote-party-id"];
/// Headers with a password's sum.
const PROOFS: [&str; 2] = ["authorization", "proxy-authorization"];
/// What of credentials somebody could go on with.
const SUMS: [&str; 2] = ["response", "cnonce"];

/// Names and values in order; `own` is the business number, which is no secret.
pub fn headers(headers: &Headers, own: &str) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_owned(), header(name, value, own))).collect()
}

/// The lines of a description.
pub fn description(sdp: &str, own: &str) -> Vec<String> {
    let lines = sdp.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.take(MOST_LINES).map(|line| short(&without_numbers(&without_keys(line), own))).collect()
}

fn header(name: &str, value: &str, own: &str) -> String {
    let is = |list: &[&str]| list.iter().any(|one| name.eq_ignore_ascii_case(one));
    if is(&PROOFS) {
        return short(&without_numbers(&without_sums(value), own));
    }
    if is(&PERSONAL) || names_a_person(name) {
        return length(value);
    }
    if is(&NAMED) {
        return short(&without_numbers(&without_name(value), own));
    }
    short(&without_numbers(value, own))
}

/// Names that Meta may spell otherwise one day: `x-wa_meta-parent-user-id` is on one of its pages.
fn names_a_person(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["payload", "user-id", "user-name", "username", "wacid"].iter().any(|part| name.ends_with(part))
}

/// That there is something, and how much.
fn length(value: &str) -> String {
    format!("… ({} characters)", value.chars().count())
}

fn short(value: &str) -> String {
    let mut told: String =
        value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if value.chars().nth(LONGEST).is_some() {
        told.push('…');
    }
    told
}

/// Digits that may be a number are masked, unless they are ours.
fn without_numbers(value: &str, own: &str) -> String {
    let (mut told, mut rest) = (String::with_capacity(value.len()), value);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let (digits, after) = from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
        told.push_str(before);
        if digits.len() < SHORTEST_NUMBER || digits == own {
            told.push_str(digits);
        } else {
            told.push_str(&mask(digits));
        }
        rest = after;
    }
    told.push_str(rest);
    told
}

/// A display name is somebody's; a user that is no number is one's id.
fn without_name(value: &str) -> String {
    let Some(at) = value.find('<') else { return value.to_owned() };
    let (name, address) = value.split_at(at);
    let name = if name.trim().is_empty() { "" } else { "\"…\" " };
    let user = address.split_once(':').and_then(|(scheme, rest)| {
        let (user, place) = rest.split_once('@')?;
        let is_number = user.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit());
        (!is_number).then(|| format!("{scheme}:…@{place}"))
    });
    format!("{name}{}", user.as_deref().unwrap_or(address))
}

fn without_sums(value: &str) -> String {
    let (scheme, parameters) = value.split_once(' ').unwrap_or((value, ""));
    // Whoever proves itself by another scheme may send the password itself.
    if !scheme.eq_ignore_ascii_case("Digest") {
        return format!("{scheme} …");
    }
    let told = parameters.split(',').map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default().trim();
        if SUMS.iter().any(|sum| name.eq_ignore_ascii_case(sum)) {
            format!("{name}=\"…\"")
        } else {
            parameter.trim().to_owned()
        }
    });
    format!("{scheme} {}", told.collect::<Vec<_>>().join(", "))
}

/// Keys of SRTP and the password of ICE.
fn without_keys(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    if let Some(at) = lower.find("inline:").filter(|_| lower.starts_with("a=crypto")) {
        return format!("{}inline:…", line.get(..at).unwrap_or_default());
    }
    for secret in
        ["a=crypto:", "a=ice-pwd:", "a=ice-ufrag:", "a=key-mgmt:", "k=", "i=", "s=", "e=", "p=", "u="]
    {
        if lower.starts_with(secret) {
            return format!("{}…", line.get(..secret.len()).unwrap_or_default());
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "17015558857";

    fn told(lines: &str) -> Vec<(String, String)> {
        headers(&Headers::parse(lines).unwrap(), OWN)
    }

    #[test]
    fn what_proves_the_caller_is_not_told() {
        let line = "Proxy-Authorization: Digest username=\"17015558857\", realm=\"a\", nonce=\"n\", \
                    uri=\"sip:+17015558857@a\", response=\"5ec2e7\", cnonce=\"5ec2e8\", qop=auth, nc=00000001\r\n";
        let value = &told(line)[0].1;
        assert!(!value.contains("5ec2e"), "{value}");
        for part in [
            "username=\"17015558857\"",
            "response=\"…\"",
            "cnonce=\"…\"",
            "qop=auth",
            "uri=\"sip:+17015558857@a\"",
        ] {
            assert!(value.contains(part), "{value}");
        }
        assert_eq!(told("Authorization: Basic c2VjcmV0\r\n")[0].1, "Basic …");
    }

    #[test]
    fn numbers_names_and_texts_of_persons_are_not_told() {
        let lines = "From: \"Anna Sample\" <sip:+12195550714@wa.meta.vc>;tag=5c\r\n\
                     Contact: <sip:US.13491208655302741918@wa.meta.vc;transport=tls;ob>;isfocus\r\n\
                     To: <sip:+17015558857@bridge.example>\r\n\
                     Call-ID: outgoing:wacid.HBgLMTIxOTU1NTA3MTQ\r\n\
                     x-wa-meta-username: anna\r\nx-wa_meta-parent-user-id: US.1\r\nX-New: tel 12195550714\r\n\
                     x-wa-meta-cta-payload: my secret wish\r\n";
        let told = told(lines);
        let values: Vec<&str> = told.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            [
                "\"…\" <sip:+…14@wa.meta.vc>;tag=5c",
                "<sip:…@wa.meta.vc;transport=tls;ob>;isfocus",
                "<sip:+17015558857@bridge.example>",
                "… (34 characters)",
                "… (4 characters)",
                "… (4 characters)",
                "tel …14",
                "… (14 characters)",
            ]
        );
    }

    #[test]
    fn what_meta_speaks_is_told_as_it_came() {
        let via = "SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=43917;branch=z9hG4bKPj;alias";
        let told = told(&format!("Via: {via}\r\nAllow: INVITE, ACK\r\nUser-Agent: Facebook SipGateway\r\n"));
        assert_eq!(told[0], ("Via".to_owned(), via.to_owned()));
        assert_eq!(told[2].1, "Facebook SipGateway");
    }

    #[test]
    fn the_keys_of_an_offer_are_not_told() {
        let sdp = "v=0\r\ns=-\r\nm=audio 3480 RTP/SAVP 111 126\r\n\
                   a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\na=ice-pwd:c2VjcmV0\r\n\
                   a=fingerprint:sha-256 AB:CD\r\na=rtpmap:111 opus/48000/2\r\n";
        let told = description(sdp, OWN);
        assert!(told.iter().all(|line| !line.contains("c2Vj")), "{told:?}");
        assert_eq!(told[3], "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…");
        assert_eq!(told[5..], ["a=fingerprint:sha-256 AB:CD", "a=rtpmap:111 opus/48000/2"]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let told = told(&format!("X-Long: {}\r\n", "a".repeat(5000)));
        assert_eq!(told[0].1.chars().count(), LONGEST + 1);
    }
}
