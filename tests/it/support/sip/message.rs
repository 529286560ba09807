//! SIP as text: what scripted peers write and read. Deliberately not the types of `sip::core`.

use super::{CUSTOMER, HOSTNAME, PASSWORD, PHONE};

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    /// The first message in what was read, and how long it is; `None` = not all of it is there.
    pub fn cut(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("a header: {line}")))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let mut message = Self { start, headers, body: String::new() };
        let length: usize = message.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        let body = bytes.get(end..end + length)?;
        message.body = String::from_utf8(body.to_vec()).unwrap();
        Some((message, end + length))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// Status of an answer, 0 for a request.
    pub fn status(&self) -> u16 {
        self.start.strip_prefix("SIP/2.0 ").map_or(0, |rest| rest[..3].parse().unwrap())
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    /// Parameter of a header, as `tag` of `To`.
    pub fn param(&self, header: &str, name: &str) -> Option<&str> {
        let value = self.header(header)?;
        let at = value.find(&format!("{name}="))? + name.len() + 1;
        Some(value[at..].split([';', ',', '>']).next().unwrap().trim_matches('"'))
    }

    /// What stands between `<` and `>`.
    pub fn address(&self, header: &str) -> &str {
        let value = self.header(header).unwrap();
        value.split_once('<').map_or(value, |(_, rest)| rest.split('>').next().unwrap())
    }

    /// An answer to this request, with what is copied copied.
    pub fn answer(&self, status: &str, tag: &str, contact: Option<&str>, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &self.headers {
            let copied = ["Via", "From", "Call-ID", "CSeq", "Record-Route"];
            if copied.iter().any(|copied| copied.eq_ignore_ascii_case(name)) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            if name.eq_ignore_ascii_case("To") {
                let tagged = value.contains(";tag=") || status.starts_with("100");
                let tag = if tagged { String::new() } else { format!(";tag={tag}") };
                text.push_str(&format!("To: {value}{tag}\r\n"));
            }
        }
        if let Some(contact) = contact {
            text.push_str(&format!("Contact: <{contact}>\r\n"));
        }
        text + &with_body(body)
    }
}

/// Content headers and body.
pub fn with_body(body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// One call of Meta: what its messages have in common.
#[derive(Clone, Debug)]
pub struct MetaCall {
    pub call_id: String,
    pub from_tag: String,
    pub to_tag: Option<String>,
    pub branch: String,
    pub cseq: u32,
    pub target: String,
    pub sdp: String,
}

impl MetaCall {
    pub fn new(name: &str) -> Self {
        Self {
            call_id: format!("outgoing:wacid.{name}=="),
            from_tag: format!("tag-{name}"),
            to_tag: None,
            branch: format!("z9hG4bKPj{name}"),
            cseq: 2824,
            target: format!("sip:+{PHONE}@{HOSTNAME};transport=tls"),
            sdp: offer(40_000),
        }
    }

    /// A request of this call, with three Vias and two Record-Routes as Meta's have.
    pub fn request(&self, method: &str, more: &str, body: &str) -> String {
        let to_tag = self.to_tag.as_ref().map_or(String::new(), |tag| format!(";tag={tag}"));
        format!(
            "{method} {} SIP/2.0\r\n\
             Record-Route: <sip:wa.meta.vc;transport=tls;lr>\r\n\
             Record-Route: <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=43917;received=2803:6080:e888:51aa::1;\
             branch={}{method}{};alias\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPjmiddle\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::3]:55319;rport=55319;received=2803:6080:e888:51aa::3;\
             branch=z9hG4bKPjlow;alias\r\n\
             Max-Forwards: 69\r\n\
             From: \"{CUSTOMER}\" <sip:+{CUSTOMER}@wa.meta.vc>;tag={}\r\n\
             To: <sip:+{PHONE}@{HOSTNAME}>{to_tag}\r\n\
             Contact: <sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob>;isfocus\r\n\
             Call-ID: {}\r\nCSeq: {} {method}\r\n\
             X-FB-External-Domain: wa.meta.vc\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS\r\n\
             User-Agent: Facebook SipGateway\r\n{more}{}",
            self.target,
            self.branch,
            if method == "ACK" || method == "CANCEL" { 0 } else { self.cseq },
            self.from_tag,
            self.call_id,
            self.cseq,
            with_body(body)
        )
    }

    /// The INVITE, without credentials.
    pub fn invite(&self) -> String {
        let wacid = self.call_id.trim_start_matches("outgoing:");
        self.request("INVITE", &format!("x-wa-meta-wacid: {wacid}\r\n"), &self.sdp)
    }

    /// The INVITE again, answering a challenge.
    pub fn invite_with(&mut self, challenge: &Message) -> String {
        self.cseq += 1;
        let more = credentials(challenge, "INVITE", &format!("sip:+{PHONE}@{HOSTNAME}"), PHONE, PASSWORD);
        self.request("INVITE", &more, &self.sdp)
    }

    /// Takes tag and Contact of a 200.
    pub fn answered(&mut self, answer: &Message) {
        self.to_tag = answer.param("To", "tag").map(str::to_owned);
        self.target = answer.address("Contact").to_owned();
    }

    pub fn ack(&self) -> String {
        let mut call = self.clone();
        call.branch = format!("{}ack", self.branch);
        call.request("ACK", "", "")
    }

    /// Meta hangs up.
    pub fn bye(&mut self) -> String {
        self.cseq += 1;
        self.request("BYE", "x-wa-meta-call-duration: 7\r\n", "")
    }
}

/// The header that answers a challenge by MD5 (RFC 2617), with qop=auth.
pub fn credentials(challenge: &Message, method: &str, uri: &str, username: &str, password: &str) -> String {
    let proxy = challenge.status() == 407;
    let (asks, answers) = if proxy {
        ("Proxy-Authenticate", "Proxy-Authorization")
    } else {
        ("WWW-Authenticate", "Authorization")
    };
    let part = |name| challenge.param(asks, name).unwrap_or_default();
    let (realm, nonce, opaque) = (part("realm"), part("nonce"), part("opaque"));
    let hash = |text: String| {
        use md5::Digest as _;
        hex::encode(md5::Md5::digest(text))
    };
    let ha1 = hash(format!("{username}:{realm}:{password}"));
    let ha2 = hash(format!("{method}:{uri}"));
    let response = hash(format!("{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}"));
    let opaque = if opaque.is_empty() { String::new() } else { format!(", opaque=\"{opaque}\"") };
    format!(
        "{answers}: Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", cnonce=\"c0ffee\"{opaque}, qop=auth, nc=00000001\r\n"
    )
}

/// Whether an INVITE answers a challenge by MD5 with the phone's password; the number in it without `+`.
pub fn proves_the_password(invite: &str) -> bool {
    proves(invite, PHONE, PASSWORD)
}

/// The same for another phone.
pub fn proves(invite: &str, phone: &str, password: &str) -> bool {
    let line = invite.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Digest ")).unwrap();
    let part = |name: &str| {
        let found = line.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name} in {line}")).trim_matches('"')
    };
    let hash = |text: String| {
        use md5::Digest as _;
        hex::encode(md5::Md5::digest(text))
    };
    let ha1 = hash(format!("{phone}:{}:{password}", part("realm")));
    let ha2 = hash(format!("INVITE:{}", part("uri")));
    let (nonce, nc, cnonce) = (part("nonce"), part("nc"), part("cnonce"));
    part("username") == phone && part("response") == hash(format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"))
}

/// A telephone's answer without keys, with the first payload number of the offer.
pub fn plain_answer(offer: &str, port: u16) -> String {
    let media = offer.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("audio");
    let payload = media.split(' ').nth(2).unwrap();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload}\r\na=rtpmap:{payload} opus/48000/2\r\na=sendrecv\r\n"
    )
}

/// Meta's offer with keys in it.
pub fn offer(port: u16) -> String {
    format!(
        "v=0\r\no=- 1741113186367 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio {port} RTP/SAVP 111 126\r\n\
         c=IN IP4 127.0.0.1\r\na=rtcp-mux\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 maxaveragebitrate=20000;useinbandfec=1\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}
