//! Via: read for routing answers (RFC 3261 §18.2), the top one completed by what was observed (RFC 3581),
//! all others given back as they came.

use std::net::SocketAddr;

use super::address::split_list;
use super::uri::{host_and_port, param};

/// The top Via, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    /// Host in lower case, IPv6 without brackets.
    pub host: String,
    /// Port, if there is one.
    pub port: Option<u16>,
    /// `branch`, or empty.
    pub branch: String,
    /// Whether the sender wants to be answered where it sent from.
    pub wants_rport: bool,
}

impl Via {
    /// Reads the first element of a Via header.
    pub fn parse(value: &str) -> Option<Self> {
        let (place, params) = parts(split_list(value).next()?)?;
        let (host, port) = host_and_port(place)?;
        Some(Self {
            host,
            port,
            branch: param(params, "branch").flatten().unwrap_or_default().to_owned(),
            wants_rport: param(params, "rport").is_some(),
        })
    }
}

/// A Via header with `received` and `rport` of its first element set to the observed source; nothing else is
/// touched.
pub fn observed(value: &str, source: SocketAddr) -> Option<String> {
    let first = split_list(value).next()?;
    let (place, params) = parts(first)?;
    let via = Via::parse(value)?;
    let source_host = source.ip().to_canonical().to_string();
    let needs_received = via.wants_rport || via.host != source_host || param(params, "received").is_some();
    let begins = first.split_once(';').map_or(first, |(begins, _)| begins);
    debug_assert!(begins.contains(place));
    let mut line = String::with_capacity(value.len() + 48);
    line.push_str(begins);
    let mut has_received = false;
    for one in params.split(';').filter(|one| !one.trim().is_empty()) {
        line.push(';');
        let name = one.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("rport") {
            line.push_str(&format!("rport={}", source.port()));
        } else if name.eq_ignore_ascii_case("received") {
            has_received = true;
            line.push_str(&format!("received={source_host}"));
        } else {
            line.push_str(one);
        }
    }
    if needs_received && !has_received {
        line.push_str(&format!(";received={source_host}"));
    }
    let start = value.find(first)?;
    line.push_str(value.get(start + first.len()..)?);
    Some(line)
}

/// Sent-by and parameters of `SIP/2.0/TLS host:port;a=b`; white space may stand around each slash.
fn parts(element: &str) -> Option<(&str, &str)> {
    let (head, params) = element.split_once(';').unwrap_or((element, ""));
    let (name, rest) = head.split_once('/')?;
    let (_, rest) = rest.split_once('/')?;
    // Of another version too: who speaks it is told so, by this Via.
    if !name.trim().eq_ignore_ascii_case("SIP") {
        return None;
    }
    let (transport, place) = rest.trim_start().split_once([' ', '\t'])?;
    (!transport.is_empty()).then_some((place.trim(), params))
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = "SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=43917;\
                        received=2803:6080:e888:51aa::1;branch=z9hG4bKPj1;alias";

    #[test]
    fn meta_s_via_with_a_bare_address_in_received_is_read() {
        let via = Via::parse(META).unwrap();
        assert_eq!((via.host.as_str(), via.port), ("2803:6080:e888:51aa::1", Some(43917)));
        assert_eq!((via.branch.as_str(), via.wants_rport), ("z9hG4bKPj1", true));
    }

    #[test]
    fn the_observed_source_replaces_what_was_claimed() {
        let seen = observed(META, "69.171.251.115:51830".parse().unwrap()).unwrap();
        assert_eq!(
            seen,
            "SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=51830;received=69.171.251.115;\
             branch=z9hG4bKPj1;alias"
        );
    }

    #[test]
    fn received_is_added_where_it_is_needed_and_the_rest_of_the_line_stays() {
        let source = "192.0.2.1:5060".parse().unwrap();
        assert_eq!(
            observed("SIP/2.0/UDP 192.0.2.1;branch=a", source).unwrap(),
            "SIP/2.0/UDP 192.0.2.1;branch=a"
        );
        assert_eq!(
            observed("SIP/2.0/UDP pbx;rport;branch=a, SIP/2.0/UDP b;branch=c", source).unwrap(),
            "SIP/2.0/UDP pbx;rport=5060;branch=a;received=192.0.2.1, SIP/2.0/UDP b;branch=c"
        );
    }

    #[test]
    fn white_space_around_the_slashes_is_allowed() {
        let via = Via::parse("SIP  / 2.0\t/ UDP  192.0.2.2 : 5060 ; branch=z9hG4bK1").unwrap();
        assert_eq!((via.host.as_str(), via.port, via.branch.as_str()), ("192.0.2.2", Some(5060), "z9hG4bK1"));
        assert_eq!(Via::parse("SIP/7.0/UDP a").unwrap().host, "a");
        assert_eq!(Via::parse("HTTP/2.0/TCP a"), None);
        assert_eq!(Via::parse("SIP/2.0/UDP"), None);
    }
}
