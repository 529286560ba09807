//! Messages: read from bytes, written to bytes, and all that is taken from `rsip`: methods, status codes and
//! CSeq. Its typed From/To and digest headers refuse what Meta sends (the tests below show it), so those are
//! ours; nothing that came from a peer is ever printed from one of its types.

use std::fmt::Write as _;

pub use rsip::{Method, StatusCode};

use super::headers::{Headers, HeadersFault};
use super::uri::{Uri, UriFault};

/// A request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method, if it is one that we know.
    pub method: Option<Method>,
    /// Its method as it came.
    pub verb: String,
    /// Request-URI as it came.
    pub uri: String,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code, 100–699.
    pub status: u16,
    /// Reason phrase as it came.
    pub reason: String,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// `CSeq`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CSeq {
    /// The number.
    pub number: u32,
    /// The method as it came.
    pub verb: String,
}

/// Why bytes are no message, and what may be answered.
#[derive(Clone, Debug)]
pub struct MessageFault {
    /// In words.
    pub why: &'static str,
    /// The status to answer, with the headers that an answer needs; `None` = drop.
    pub answer: Option<(u16, Box<Headers>)>,
}

impl Message {
    /// Reads a whole message, as the framing has cut it.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageFault> {
        let drop = |why| MessageFault { why, answer: None };
        let head_end = super::framing::head_end(bytes).ok_or(drop("the headers have no end"))?;
        let (head, body) = bytes.split_at(head_end);
        let head = std::str::from_utf8(head).map_err(|_| drop("the headers are no UTF-8"))?;
        let (start, lines) = head.split_once("\r\n").ok_or(drop("there is no start line"))?;
        let headers = match Headers::parse(lines) {
            Ok(headers) => headers,
            Err(HeadersFault::TooMany) => return Err(drop("there are too many headers")),
            Err(HeadersFault::NoHeader) => return Err(drop("a line is no header")),
        };
        if start.starts_with("SIP/") {
            let (status, reason) = status_line(start).ok_or(drop("the status line is wrong"))?;
            return Ok(Self::Response(Response { status, reason, headers, body: body.to_owned() }));
        }
        match request_line(start) {
            Ok((verb, uri)) => Ok(Self::Request(Request {
                method: method(verb),
                verb: verb.to_owned(),
                uri: uri.to_owned(),
                headers,
                body: body.to_owned(),
            })),
            Err((status, why)) => {
                let is_ack = start.starts_with("ACK ");
                let answer = (status != 0 && !is_ack).then(|| (status, Box::new(headers)));
                Err(MessageFault { why, answer })
            }
        }
    }
}

impl CSeq {
    /// Reads a CSeq; a method that `rsip` does not know is kept as it came.
    pub fn parse(value: &str) -> Option<Self> {
        use rsip::headers::UntypedHeader as _;
        use rsip::prelude::ToTypedHeader as _;

        let verb = value.split_ascii_whitespace().nth(1)?;
        let number = match rsip::headers::CSeq::new(value).typed() {
            Ok(typed) => typed.seq,
            Err(_) => value.split_ascii_whitespace().next()?.parse().ok()?,
        };
        // Numbers from 2^31 on are out of range (RFC 3261 §8.1.1.5).
        (number < 1 << 31).then(|| Self { number, verb: verb.to_owned() })
    }
}

/// The method of this exact spelling: methods are case-sensitive, `rsip`'s reader is not.
pub fn method(verb: &str) -> Option<Method> {
    let method: Method = verb.parse().ok()?;
    (name(method) == verb).then_some(method)
}

/// A method as it is written.
pub fn name(method: Method) -> &'static str {
    match method {
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Info => "INFO",
        Method::Invite => "INVITE",
        Method::Message => "MESSAGE",
        Method::Notify => "NOTIFY",
        Method::Options => "OPTIONS",
        Method::PRack => "PRACK",
        Method::Publish => "PUBLISH",
        Method::Refer => "REFER",
        Method::Register => "REGISTER",
        Method::Subscribe => "SUBSCRIBE",
        Method::Update => "UPDATE",
    }
}

/// The reason phrase of a status, made from `rsip`'s name of it.
pub fn phrase(status: u16) -> String {
    let code = StatusCode::from(status);
    if let StatusCode::Other(..) = code {
        return "Unknown".to_owned();
    }
    let text = code.to_string();
    let words = text.split_once(' ').map_or(text.as_str(), |(_, words)| words);
    let mut phrase = String::with_capacity(words.len() + 8);
    let mut after_small = false;
    for c in words.chars() {
        if after_small && c.is_ascii_uppercase() {
            phrase.push(' ');
        }
        after_small = c.is_ascii_lowercase();
        phrase.push(c);
    }
    phrase
}

/// Writes a message; a value can never begin a new line.
#[derive(Debug)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// Begins a request.
    pub fn request(method: &str, uri: &str) -> Self {
        let mut writer = Self { text: String::with_capacity(1536) };
        writer.push_clean(method);
        writer.text.push(' ');
        writer.push_clean(uri);
        writer.text.push_str(" SIP/2.0\r\n");
        writer
    }

    /// Begins a response.
    pub fn response(status: u16) -> Self {
        let mut text = String::with_capacity(1536);
        let _ = write!(text, "SIP/2.0 {status} {}\r\n", phrase(status));
        Self { text }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.push_clean(name);
        self.text.push_str(": ");
        self.push_clean(value);
        self.text.push_str("\r\n");
        self
    }

    /// Adds a header of an answer as it came, with all that may stand in a quoted string; only it cannot begin a
    /// new line.
    pub fn echo(&mut self, name: &str, value: &str) -> &mut Self {
        self.text.push_str(name);
        self.text.push_str(": ");
        self.text.extend(value.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
        self.text.push_str("\r\n");
        self
    }

    /// Adds headers under one name.
    pub fn headers<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a str>) -> &mut Self {
        for value in values {
            self.header(name, value);
        }
        self
    }

    /// Closes a message without a body.
    pub fn finish(self) -> super::io::Packet {
        self.finish_with(None)
    }

    /// Closes a message with its body, of type `application/sdp`.
    pub fn finish_with(mut self, sdp: Option<&str>) -> super::io::Packet {
        match sdp {
            Some(sdp) => {
                let _ = write!(
                    self.text,
                    "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
                    sdp.len()
                );
            }
            None => self.text.push_str("Content-Length: 0\r\n\r\n"),
        }
        self.text.into_bytes().into()
    }

    fn push_clean(&mut self, text: &str) {
        if text.bytes().all(|byte| byte >= b' ' && byte != 0x7f) {
            self.text.push_str(text);
        } else {
            self.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
    }
}

fn request_line(line: &str) -> Result<(&str, &str), (u16, &'static str)> {
    let mut parts = line.split(' ');
    let (Some(verb), Some(uri), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err((0, "the request line is wrong"));
    };
    if verb.is_empty() || !verb.bytes().all(super::headers::is_token_byte) {
        return Err((0, "the method is no token"));
    }
    if parts.next().is_some() || uri.is_empty() || !version.to_ascii_uppercase().starts_with("SIP/") {
        return Err((400, "the request line is wrong"));
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err((505, "another version of SIP"));
    }
    match Uri::parse(uri) {
        Ok(_) => Ok((verb, uri)),
        Err(UriFault::Scheme) => Err((416, "a Request-URI of another scheme")),
        Err(UriFault::Form) => Err((400, "the Request-URI is wrong")),
    }
}

fn status_line(line: &str) -> Option<(u16, String)> {
    let rest = line.strip_prefix("SIP/2.0 ")?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status: u16 = code.parse().ok().filter(|_| code.len() == 3)?;
    (100..700).contains(&status).then(|| (status, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rsip_gets_wrong_is_why_addresses_and_digest_are_ours() {
        use rsip::headers::UntypedHeader as _;
        use rsip::prelude::ToTypedHeader as _;

        let user_id = rsip::headers::From::new("<sip:US.1349@wa.meta.vc>;tag=1").typed();
        assert!(
            user_id.ok().and_then(|from| from.uri.user().map(str::to_owned)).as_deref() != Some("US.1349")
        );
        let credentials = |algorithm: &str, nc: &str| {
            rsip::headers::Authorization::new(format!(
                "Digest username=\"1\", realm=\"r\", nonce=\"n\", uri=\"sip:1@r\", response=\"x\", \
                 algorithm={algorithm}, qop=auth, cnonce=\"c\", nc={nc}"
            ))
            .typed()
            .is_ok()
        };
        assert!(!credentials("SHA-256", "00000001"), "it knows only its own spelling SHA256");
        assert!(!credentials("MD5", "0000000a"), "it reads nc as a decimal byte");
    }

    #[test]
    fn methods_are_case_sensitive_and_unknown_ones_are_kept() {
        assert_eq!(method("INVITE"), Some(Method::Invite));
        assert_eq!(method("invite"), None);
        assert_eq!(CSeq::parse("0009   INVITE"), Some(CSeq { number: 9, verb: "INVITE".into() }));
        assert_eq!(CSeq::parse("8 NEWMETHOD").unwrap().verb, "NEWMETHOD");
        assert_eq!(CSeq::parse("36893488147419103232 REGISTER"), None);
        assert_eq!(CSeq::parse("2147483648 INVITE"), None);
        assert_eq!(CSeq::parse("INVITE"), None);
    }

    #[test]
    fn phrases_are_words() {
        assert_eq!(phrase(200), "OK");
        assert_eq!(phrase(481), "Call Transaction Does Not Exist");
        assert_eq!(phrase(407), "Proxy Authentication Required");
        assert_eq!(phrase(699), "Unknown");
    }

    #[test]
    fn a_value_cannot_begin_a_new_header() {
        let mut writer = Writer::response(200);
        writer.header("X-WA-Name", "a\r\nX-Evil: 1\0\u{85}");
        let bytes = writer.finish();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, "SIP/2.0 200 OK\r\nX-WA-Name: a  X-Evil: 1  \r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn wrong_start_lines_are_answered_where_they_can_be() {
        let fault = |start: &str| {
            let bytes = format!("{start}\r\nVia: SIP/2.0/UDP a\r\n\r\n");
            Message::parse(bytes.as_bytes()).unwrap_err().answer.map(|(status, _)| status)
        };
        assert_eq!(fault("INVITE sip:a@b SIP/7.0"), Some(505));
        assert_eq!(fault("INVITE  sip:a@b SIP/2.0"), Some(400));
        assert_eq!(fault("INVITE <sip:a@b> SIP/2.0"), Some(400));
        assert_eq!(fault("INVITE sip:a@b SIP/2.0 "), Some(400));
        assert_eq!(fault("INVITE foo:bar SIP/2.0"), Some(416));
        assert_eq!(fault("GET / HTTP/1.1"), Some(400));
        assert_eq!(fault("\u{16}\u{3}\u{1}"), None);
        assert_eq!(fault("SIP/2.0 4294967301 better not"), None);
    }
}
