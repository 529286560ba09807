//! SIP as text, as cheap as it gets: the generator must cost less than what it measures.

pub const HOSTNAME: &str = "sip.example.com";
pub const PHONE: &str = "12195550123";
pub const PASSWORD: &str = "sip-password-of-the-phone";
pub const CUSTOMER: &str = "12195550714";

/// Value of the first header of a name, as the edge writes it.
pub fn header<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// The header lines that an answer copies.
pub fn lines_copied(text: &str) -> String {
    let mut copied = String::with_capacity(512);
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Record-Route:"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            copied.push_str(line);
            copied.push_str("\r\n");
        }
    }
    copied
}

/// Where the first message ends, if all of it is there.
pub fn end_of_message(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let length: usize = header(head, "Content-Length").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= end + length).then_some(end + length)
}

/// What the messages of one call have in common.
pub struct Call<'c> {
    pub number: usize,
    pub via: &'c str,
    pub target: String,
    pub to_tag: String,
    pub cseq: u32,
}

impl Call<'_> {
    pub fn request(&self, method: &str, branch: &str, more: &str, body: &str) -> String {
        let number = self.number;
        let (via, to_tag, cseq) = (self.via, &self.to_tag, self.cseq);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {} SIP/2.0\r\n\
             Record-Route: <sip:wa.meta.vc;transport=tls;lr>\r\n\
             Record-Route: <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>\r\n\
             Via: SIP/2.0/{via};rport;branch=z9hG4bKPj{number}{branch};alias\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPjmiddle{number}\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::3]:55319;rport=55319;received=2803:6080:e888:51aa::3;\
             branch=z9hG4bKPjlow{number};alias\r\n\
             Max-Forwards: 69\r\n\
             From: \"{CUSTOMER}\" <sip:+{CUSTOMER}@wa.meta.vc>;tag=t{number}\r\n\
             To: <sip:+{PHONE}@{HOSTNAME}>{to_tag}\r\n\
             Contact: <sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob>;isfocus\r\n\
             Call-ID: outgoing:wacid.{number}==\r\nCSeq: {cseq} {method}\r\n\
             X-FB-External-Domain: wa.meta.vc\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS\r\n\
             User-Agent: Facebook SipGateway\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            self.target,
            body.len()
        )
    }
}

/// The number of the call that a message belongs to.
pub fn number_of(text: &str) -> Option<usize> {
    header(text, "Call-ID")?.strip_prefix("outgoing:wacid.")?.strip_suffix("==")?.parse().ok()
}

/// The header that answers a challenge by MD5, with qop=auth.
pub fn credentials(challenge: &str) -> String {
    use md5::Digest as _;

    let (asked, answers) = match header(challenge, "Proxy-Authenticate") {
        Some(asked) => (asked, "Proxy-Authorization"),
        None => (header(challenge, "WWW-Authenticate").unwrap(), "Authorization"),
    };
    let part = |name: &str| {
        let at = asked.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        asked[at..].split('"').next().unwrap()
    };
    let (realm, nonce) = (part("realm"), part("nonce"));
    let opaque =
        if asked.contains("opaque=\"") { format!(", opaque=\"{}\"", part("opaque")) } else { String::new() };
    let hash = |text: String| hex::encode(md5::Md5::digest(text));
    let uri = format!("sip:+{PHONE}@{HOSTNAME}");
    let (ha1, ha2) = (hash(format!("{PHONE}:{realm}:{PASSWORD}")), hash(format!("INVITE:{uri}")));
    let response = hash(format!("{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}"));
    format!(
        "{answers}: Digest username=\"{PHONE}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", cnonce=\"c0ffee\"{opaque}, qop=auth, nc=00000001\r\n"
    )
}

pub fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1741113186367 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio {port} RTP/SAVP 111 126\r\n\
         c=IN IP4 127.0.0.1\r\na=rtcp-mux\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 maxaveragebitrate=20000;useinbandfec=1\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}
