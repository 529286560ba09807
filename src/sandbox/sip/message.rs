//! SIP as text, as much of it as two simulated parties need: written anew, so that a mistake of the bridge's
//! own parser is not shared.

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    /// The first line.
    pub start: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Message {
    /// The first message of what has arrived, and how many bytes it took. `None`: it is not whole yet.
    pub fn take(bytes: &[u8]) -> Option<(Self, usize)> {
        let keep_alive = bytes.iter().take_while(|byte| **byte == b'\r' || **byte == b'\n').count();
        let rest = bytes.get(keep_alive..)?;
        let head_end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(rest.get(..head_end)?).into_owned();
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let mut message = Self { start, headers, body: String::new() };
        let length: usize = message.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = rest.get(head_end + 4..head_end + 4 + length)?;
        message.body = String::from_utf8_lossy(body).into_owned();
        Some((message, keep_alive + head_end + 4 + length))
    }

    /// A request.
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), ..Self::default() }
    }

    /// The answer to a request: what has to come back comes back.
    pub fn answer(request: &Self, status: u16, reason: &str, to_tag: &str) -> Self {
        let mut answer = Self { start: format!("SIP/2.0 {status} {reason}"), ..Self::default() };
        for (name, value) in &request.headers {
            let back = ["via", "record-route", "from", "to", "call-id", "cseq"];
            if !back.iter().any(|back| name.eq_ignore_ascii_case(back)) {
                continue;
            }
            let tagless = name.eq_ignore_ascii_case("to") && status > 100 && !value.contains(";tag=");
            let value = if tagless { format!("{value};tag={to_tag}") } else { value.clone() };
            answer.headers.push((name.clone(), value));
        }
        answer
    }

    /// The same with a header more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a body of SDP.
    pub fn with_sdp(mut self, sdp: &str) -> Self {
        self.headers.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
        sdp.clone_into(&mut self.body);
        self
    }

    /// As bytes, with the length of the body.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body));
        text.into_bytes()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// Status and reason of an answer, for people.
    pub fn outcome(&self) -> String {
        self.start.strip_prefix("SIP/2.0 ").unwrap_or(&self.start).to_owned()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.start.split_once(' ')?;
        rest.ends_with("SIP/2.0").then_some(method)
    }

    /// Method in CSeq: what an answer answers.
    pub fn answers_to(&self) -> Option<&str> {
        self.header("cseq")?.split_whitespace().nth(1)
    }

    /// The address inside a Contact or the like.
    pub fn address(&self, name: &str) -> Option<String> {
        let value = self.header(name)?;
        let inner = value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner);
        Some(inner.unwrap_or_else(|| value.split(';').next().unwrap_or(value)).trim().to_owned())
    }
}

/// A parameter of a challenge: `realm` of `Digest realm="x",nonce="y"`.
pub(super) fn parameter(challenge: &str, name: &str) -> Option<String> {
    challenge.trim_start_matches("Digest ").split(',').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_one_after_the_other() {
        let invite = Message::request("INVITE", "sip:a@b").with("Call-ID", "x:y=").with_sdp("v=0\r\n");
        let mut bytes = b"\r\n\r\n".to_vec();
        bytes.extend(invite.bytes());
        let whole = bytes.len();
        bytes.extend(b"SIP/2.0 200 OK\r\nCSeq: 2 BYE\r\n\r\n");
        assert!(Message::take(&bytes[..whole - 1]).is_none());
        let (first, used) = Message::take(&bytes).unwrap();
        assert_eq!((used, first.method(), first.body.as_str()), (whole, Some("INVITE"), "v=0\r\n"));
        let (second, _) = Message::take(&bytes[used..]).unwrap();
        assert_eq!((second.status(), second.answers_to()), (Some(200), Some("BYE")));
        let challenge = r#"Digest realm="sip.example",nonce="n,o", qop="auth",algorithm=MD5"#;
        assert_eq!(parameter(challenge, "realm").as_deref(), Some("sip.example"));
        assert_eq!(parameter(challenge, "algorithm").as_deref(), Some("MD5"));
    }
}
