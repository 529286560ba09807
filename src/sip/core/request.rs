//! A request that has what every request must have, where it came from, and how it is answered.

use std::net::SocketAddr;

use super::address::Address;
use super::headers::Headers;
use super::io::{ConnId, Origin, To, Transport};
use super::message::{CSeq, Method, Request, Writer};
use super::via::{self, Via};

/// What we answer and take, toward trunks; Meta's list is shorter.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO";
/// Toward Meta.
pub const ALLOW_META: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

/// Longest branch, host, Call-ID and tag, in bytes: they name what is kept.
const LONGEST: usize = 256;
/// Longest Request-URI.
const LONGEST_URI: usize = 4096;

/// Where a message came from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Address of the sender.
    pub peer: SocketAddr,
    /// What that address is worth.
    pub origin: Origin,
    /// How it came.
    pub transport: Transport,
    /// Over which connection; `None` = a datagram.
    pub conn: Option<ConnId>,
}

/// What an answer repeats of its request (RFC 3261 §8.2.6.2).
#[derive(Clone, Debug)]
pub struct Seed {
    vias: Vec<String>,
    record_routes: Vec<String>,
    from: String,
    to: String,
    call_id: String,
    cseq: String,
}

/// A checked request.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The request.
    pub request: Request,
    /// Who sent it.
    pub source: Source,
    /// Top Via.
    pub via: Via,
    /// From.
    pub from: Address,
    /// To.
    pub to: Address,
    /// Call-ID.
    pub call_id: String,
    /// CSeq.
    pub cseq: CSeq,
    /// Max-Forwards; 70 if there is none.
    pub max_forwards: u8,
    /// For the answer.
    pub seed: Seed,
    /// Where the answer goes.
    pub reply_to: To,
}

/// A request that is answered without being looked at further.
#[derive(Debug)]
pub struct BadRequest {
    /// Status of the answer.
    pub status: u16,
    /// Why.
    pub why: &'static str,
    /// For the answer; `None` = it cannot be answered.
    pub seed: Option<(Box<Seed>, To)>,
}

impl Seed {
    /// From whatever headers there are; `None` without a readable Via.
    pub fn of(headers: &Headers, source: &Source) -> Option<(Self, To)> {
        let mut vias: Vec<String> = headers.all("Via").map(str::to_owned).collect();
        let top = vias.first_mut()?;
        let via = Via::parse(top)?;
        *top = via::observed(top, source.peer)?;
        let own = |name| headers.get(name).unwrap_or_default().to_owned();
        let seed = Self {
            vias,
            record_routes: headers.all("Record-Route").map(str::to_owned).collect(),
            from: own("From"),
            to: own("To"),
            call_id: own("Call-ID"),
            cseq: own("CSeq"),
        };
        let to = match source.conn {
            Some(conn) => To::Conn(conn),
            // RFC 3581 §4, RFC 3261 §18.2.2.
            None if via.wants_rport => To::Datagram(source.peer),
            None => To::Datagram(SocketAddr::new(source.peer.ip(), via.port.unwrap_or(5060))),
        };
        Some((seed, to))
    }

    /// Begins an answer; `tag` is added to a To that has none.
    pub fn answer(&self, status: u16, tag: Option<&str>) -> Writer {
        let mut writer = Writer::response(status);
        for via in &self.vias {
            writer.echo("Via", via);
        }
        for route in self.record_routes.iter().filter(|_| (101..300).contains(&status)) {
            writer.echo("Record-Route", route);
        }
        writer.echo("From", &self.from);
        match tag {
            Some(tag) => writer.echo("To", &format!("{};tag={tag}", self.to)),
            None => writer.echo("To", &self.to),
        };
        writer.echo("Call-ID", &self.call_id).echo("CSeq", &self.cseq);
        writer
    }
}

impl Incoming {
    /// Checks what RFC 3261 §8.1.1 asks of every request.
    pub fn check(request: Request, source: Source) -> Result<Self, BadRequest> {
        let Some((seed, reply_to)) = Seed::of(&request.headers, &source) else {
            return Err(BadRequest { status: 0, why: "there is no readable Via", seed: None });
        };
        match Parts::read(&request) {
            Ok(parts) => {
                let Parts { via, from, to, call_id, cseq, max_forwards } = parts;
                Ok(Self { request, source, via, from, to, call_id, cseq, max_forwards, seed, reply_to })
            }
            Err(why) => Err(BadRequest { status: 400, why, seed: Some((Box::new(seed), reply_to)) }),
        }
    }

    /// The method, if it is one that we know.
    pub fn method(&self) -> Option<Method> {
        self.request.method
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)
    }

    /// What is answered to a wish for a session timer (RFC 4028 §9): whoever asks refreshes, and is answered.
    pub fn session_timer(&self) -> Option<String> {
        let headers = &self.request.headers;
        let can = headers.has_token("Supported", "timer") || headers.has_token("Require", "timer");
        let seconds = self.header("Session-Expires")?.split(';').next()?.trim();
        let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        (can && is_number).then(|| format!("{seconds};refresher=uac"))
    }

    /// Whether an answer by SDP is taken (RFC 3261 §20.1); without a word about it, it is.
    pub fn accepts_sdp(&self) -> bool {
        let mut types = self.request.headers.tokens("Accept").peekable();
        let is_sdp = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"].iter().any(|one| one.eq_ignore_ascii_case(kind))
        };
        types.peek().is_none() || types.any(is_sdp)
    }

    /// The body as text, if it says that it is SDP. `Err` = another type or encoding.
    pub fn sdp(&self) -> Result<Option<&str>, ()> {
        sdp_of(&self.request.headers, &self.request.body)
    }
}

/// The SDP in a body: `Ok(None)` without a body, `Err` if it is something else.
pub fn sdp_of<'a>(headers: &Headers, body: &'a [u8]) -> Result<Option<&'a str>, ()> {
    if body.is_empty() {
        return Ok(None);
    }
    let kind = headers.get("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let encoding = headers.get("Content-Encoding").unwrap_or("identity");
    if !kind.eq_ignore_ascii_case("application/sdp") || !encoding.eq_ignore_ascii_case("identity") {
        return Err(());
    }
    std::str::from_utf8(body).map(Some).map_err(|_| ())
}

struct Parts {
    via: Via,
    from: Address,
    to: Address,
    call_id: String,
    cseq: CSeq,
    max_forwards: u8,
}

impl Parts {
    fn read(request: &Request) -> Result<Self, &'static str> {
        let headers = &request.headers;
        for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type"] {
            if headers.all(name).nth(1).is_some_and(|second| Some(second) != headers.get(name)) {
                return Err("a header that may stand once stands twice");
            }
        }
        for name in ["Via", "From", "To", "Contact", "Record-Route", "Route"] {
            if headers.all(name).any(super::address::has_stray_separator) {
                return Err("a separator stands alone");
            }
        }
        let via = headers.get("Via").and_then(Via::parse).ok_or("the Via is wrong")?;
        let via = Some(via).filter(|via| via.branch.len() <= LONGEST && via.host.len() <= LONGEST);
        let via = via.ok_or("the Via is too long")?;
        let address = |name| headers.get(name).and_then(Address::parse);
        let from = address("From").ok_or("the From is missing or wrong")?;
        let to = address("To").ok_or("the To is missing or wrong")?;
        let call_id = headers.get("Call-ID").filter(|id| !id.is_empty() && !id.contains([' ', '\t']));
        let call_id = call_id.ok_or("the Call-ID is missing or wrong")?.to_owned();
        let tags = [from.tag(), to.tag()];
        if call_id.len() > LONGEST || tags.into_iter().flatten().any(|tag| tag.len() > LONGEST) {
            return Err("the Call-ID or a tag is too long");
        }
        if request.uri.len() > LONGEST_URI {
            return Err("the Request-URI is too long");
        }
        let cseq = headers.get("CSeq").and_then(CSeq::parse).ok_or("the CSeq is missing or wrong")?;
        if cseq.verb != request.verb {
            return Err("the CSeq is of another method");
        }
        let max_forwards = match headers.get("Max-Forwards") {
            Some(text) => text.parse().map_err(|_| "Max-Forwards is wrong")?,
            None => 70,
        };
        let is_contact_good = headers.get("Contact").is_none_or(|contact| {
            contact == "*" || super::address::split_list(contact).all(|one| Address::parse(one).is_some())
        });
        if !is_contact_good {
            return Err("the Contact is wrong");
        }
        Ok(Self { via, from, to, call_id, cseq, max_forwards })
    }
}
