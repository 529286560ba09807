//! A call from WhatsApp: source check, phone, 100, digest, trunk.

use super::super::challenge::{Expected, Verdict};
use super::super::digest::Sum;
use super::super::endpoint::Endpoint;
use super::super::io::{Notice, Origin, Target, Transport};
use super::super::leg::Edge;
use super::super::limits::MOST_REFUSALS;
use super::super::request::Incoming;
use super::super::routes::digits;
use super::super::servers::TxId;
use super::callee::Plan;
use super::{Call, NewCall, contact};
use crate::domain::call::{Arrival, CallEnd, CallMoment, CallPeer, CallProof, EndCause, EndedBy};
use crate::domain::{Direction, UserId, Wacid};

/// Characters of a text of Meta that go into a header for the trunk.
const MOST_TEXT: usize = 1024;

impl Endpoint {
    /// An INVITE without a dialog on the TLS listener.
    pub(in crate::sip::core) fn invite_from_meta(&mut self, tx: TxId, incoming: &Incoming) {
        let origin = incoming.source.origin;
        if origin == Origin::Refused {
            return self.refuse_scanner(tx, incoming, "an INVITE from outside of Meta's networks");
        }
        let Some(route) = self.routes.of_uri(&incoming.request.uri) else {
            return self.unknown_number(tx, incoming);
        };
        self.answer(tx, incoming, 100);
        let trunk = self.config.trunks.iter().position(|trunk| trunk.name == route.trunk);
        let mut new = NewCall {
            direction: Direction::Inbound,
            peer: peer(incoming),
            wacid: wacid(incoming),
            payload: payload(incoming),
            agent: None,
            trunk: trunk.unwrap_or(usize::MAX),
            route,
            offer: String::new(),
            proof: CallProof::Nothing,
        };
        if !self.is_meta_proven(tx, incoming, &new) {
            return;
        }
        new.proof = match origin {
            _ if self.config.require_digest => CallProof::Digest,
            Origin::Meta => CallProof::Address,
            _ => CallProof::Nothing,
        };
        if origin == Origin::Stranger {
            self.wire.notice(Notice::Stranger { peer: incoming.source.peer });
        }
        let Some(offer) = self.offer_of(tx, incoming, &new) else { return };
        new.offer = offer;
        if trunk.is_none() {
            let end = refused_by_us(EndCause::TrunkUnreachable, 480, "the phone's trunk is not configured");
            return self.turn_away(tx, incoming, &new, 480, end);
        }
        if self.is_draining {
            let end = refused_by_us(EndCause::Stopped, 480, "the bridge is being stopped");
            return self.turn_away(tx, incoming, &new, 480, end);
        }
        if !self.has_room(&new.route, Direction::Inbound) {
            let end = refused_by_us(EndCause::Overload, 486, "there are too many calls");
            return self.turn_away(tx, incoming, &new, 486, end);
        }
        let user = format!("+{}", new.route.digits);
        if let Some(key) = self.begin(tx, incoming, new, Edge::Meta, &user) {
            self.call_trunk(key);
        }
    }

    /// Digest with the phone's SIP password. False = answered.
    fn is_meta_proven(&mut self, tx: TxId, incoming: &Incoming, new: &NewCall) -> bool {
        if !self.config.require_digest {
            return true;
        }
        let route = &new.route;
        let Some(password) = route.sip_password.clone() else {
            let why = "the phone's SIP password is not known yet: save its calling settings";
            self.turn_away(tx, incoming, new, 480, refused_by_us(EndCause::Refused, 480, why));
            return false;
        };
        let algorithms: Vec<Sum> = self.config.digest_algorithms.iter().map(|one| Sum::from(*one)).collect();
        let expected = Expected {
            realm: &route.hostname,
            username: &route.digits,
            password: password.expose(),
            method: "INVITE",
            uri: &incoming.request.uri,
            algorithms: &algorithms,
        };
        let headers = &incoming.request.headers;
        let credentials = headers.all("Proxy-Authorization").chain(headers.all("Authorization"));
        let verdict = self.challenger.verify(self.wire.now, credentials, &expected);
        match verdict {
            Verdict::Proven => {
                self.refusals.proven(incoming.source.peer.ip());
                if let Some(link) = incoming.source.conn.and_then(|conn| self.links.get_mut(conn)) {
                    link.is_proven = true;
                }
                true
            }
            Verdict::Missing | Verdict::Stale => {
                let is_stale = verdict == Verdict::Stale;
                self.refusals.challenged(self.wire.now, incoming.source.peer.ip());
                self.challenge(tx, incoming, &route.hostname, &algorithms, is_stale);
                false
            }
            Verdict::Wrong => {
                self.wrong_digest(tx, incoming, new);
                false
            }
        }
    }

    /// 403, and a record if it is from Meta's networks: then the password may have changed.
    fn wrong_digest(&mut self, tx: TxId, incoming: &Incoming, new: &NewCall) {
        let count = self.count_refusal(incoming, "a wrong digest");
        if incoming.source.origin == Origin::Meta && count <= MOST_REFUSALS {
            let why = "the digest is wrong or was used before; if it happens again, save the calling settings of the \
                       phone to read its SIP password anew";
            return self.turn_away(tx, incoming, new, 403, refused_by_us(EndCause::Refused, 403, why));
        }
        self.answer_or_ignore(tx, incoming, |endpoint| endpoint.answer(tx, incoming, 403));
    }

    /// 404, and a record if it is from Meta's networks: then a phone's settings name us by mistake.
    fn unknown_number(&mut self, tx: TxId, incoming: &Incoming) {
        let count = self.count_refusal(incoming, "an INVITE for an unknown number");
        self.answer_or_ignore(tx, incoming, |endpoint| endpoint.answer(tx, incoming, 404));
        if incoming.source.origin != Origin::Meta || count > MOST_REFUSALS {
            return;
        }
        let id = self.wire.call_id();
        let arrival = Arrival {
            direction: Direction::Inbound,
            phone: None,
            peer: peer(incoming),
            wacid: wacid(incoming),
            sip_call_id: incoming.call_id.clone(),
            trunk: None,
            payload: None,
            report: self.report(incoming, CallProof::Nothing, ""),
        };
        self.wire.event(&id, CallMoment::Arrived(Box::new(arrival)));
        let end = refused_by_us(EndCause::UnknownNumber, 404, "no phone of ours has this number");
        self.wire.event(&id, CallMoment::Ended(end));
    }
}

/// What the trunk is called with.
pub fn plan(config: &super::EndpointConfig, call: &Call, target: &Target, index: usize) -> Plan {
    let advertised = &config.trunk_advertised;
    let host = advertised.rsplit_once(':').map_or(advertised.as_str(), |(host, _)| host);
    let extension = escape_user(&call.route.extension);
    let place = place(target);
    let uri = match target.transport {
        Transport::Udp => format!("sip:{extension}@{place}"),
        other => format!("sip:{extension}@{place};transport={}", other.param()),
    };
    let user = call.peer.digits.as_ref().map_or("anonymous".to_owned(), |digits| format!("+{digits}"));
    let from = match call.peer.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => format!("{} <sip:{user}@{host}>", super::super::address::quote(&short(name))),
        None if user == "anonymous" => format!("\"Anonymous\" <sip:{user}@{host}>"),
        None => format!("<sip:{user}@{host}>"),
    };
    let mut headers =
        vec![("X-WA-Call-ID", call.mark().to_owned()), ("X-WA-Phone", format!("+{}", call.route.digits))];
    let texts = [
        ("X-WA-User-ID", call.peer.user_id.as_ref().map(UserId::as_str)),
        ("X-WA-Name", call.peer.name.as_deref()),
        ("X-WA-Payload", call.payload.as_deref()),
    ];
    headers.extend(texts.into_iter().filter_map(|(name, text)| text.map(|text| (name, short(text)))));
    Plan {
        uri: uri.clone(),
        from,
        to: format!("<sip:{extension}@{place}>"),
        contact: contact(config, Edge::Trunk(index), target.transport, "wabridge"),
        headers,
    }
}

/// An end that was our decision.
pub fn refused_by_us(cause: EndCause, status: u16, text: &str) -> CallEnd {
    CallEnd {
        by: EndedBy::Bridge,
        cause,
        status: Some(status),
        q850: None,
        text: Some(text.to_owned()),
        meta_seconds: None,
    }
}

/// `host:port` of a target, IPv6 in brackets.
fn place(target: &Target) -> String {
    if target.host.contains(':') {
        format!("[{}]:{}", target.host, target.port)
    } else {
        format!("{}:{}", target.host, target.port)
    }
}

fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_TEXT).collect()
}

/// What may stand before the `@` unescaped (RFC 3261 §25.1), anything else escaped.
pub fn escape_user(text: &str) -> String {
    let mut user = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/#".contains(&byte) {
            user.push(char::from(byte));
        } else {
            user.push_str(&format!("%{byte:02X}"));
        }
    }
    user
}

/// Who calls: a number, a user id, or neither. None of it is proof of anything.
fn peer(incoming: &Incoming) -> CallPeer {
    let headers = &incoming.request.headers;
    let user = incoming.from.parsed().ok().and_then(|uri| uri.name());
    let number = user.as_deref().and_then(digits).map(str::to_owned);
    let from_user_id = user.as_deref().filter(|user| is_user_id(user));
    let told = headers.any(&["x-wa-meta-user-id"]).filter(|id| is_user_id(id));
    let display = incoming.from.display.as_deref().map(str::trim);
    let is_name = |name: &&str| !name.is_empty() && digits(name).is_none() && Some(*name) != from_user_id;
    let name = display.filter(is_name).or(headers.any(&["x-wa-meta-username", "x-wa-meta-user-name"]));
    CallPeer {
        digits: number,
        user_id: told.or(from_user_id).map(UserId::from),
        name: name.map(str::to_owned),
    }
}

/// Two letters of a country, a dot, letters and digits: a business-scoped user id.
pub fn is_user_id(text: &str) -> bool {
    text.split_once('.').is_some_and(|(country, rest)| {
        country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (1..=128).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    })
}

fn wacid(incoming: &Incoming) -> Option<Wacid> {
    let told = incoming.header("x-wa-meta-wacid").filter(|id| !id.is_empty());
    told.or_else(|| incoming.call_id.strip_prefix("outgoing:")).map(Wacid::from)
}

fn payload(incoming: &Incoming) -> Option<String> {
    let names = ["x-wa-meta-cta-payload", "x-wa-meta-deeplink-payload"];
    names.iter().find_map(|name| incoming.header(name)).filter(|text| !text.is_empty()).map(str::to_owned)
}
