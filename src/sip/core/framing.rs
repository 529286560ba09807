//! From bytes to messages: where one ends on a connection (RFC 3261 §18.3), keep-alives between them
//! (RFC 5626 §3.5.1), and the limits.

/// Bytes of a message at most.
pub const MOST_BYTES: usize = 64 * 1024;
/// Bytes of start line and headers at most.
pub const MOST_HEAD_BYTES: usize = 32 * 1024;

/// What came over a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A whole message.
    Message(Vec<u8>),
    /// An empty double line: the peer wants a single one back.
    Ping,
    /// The place where the next message begins is lost: answer, if there is a head, and close.
    Fault {
        /// What is wrong.
        fault: FrameFault,
        /// The head, if it is complete.
        head: Option<Vec<u8>>,
    },
}

/// Why a message has no end that both sides agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameFault {
    /// On a connection the length must be told.
    #[error("there is no Content-Length")]
    NoLength,
    /// Not a number.
    #[error("Content-Length is no number")]
    BadLength,
    /// Two that differ: one of them is for somebody else to read.
    #[error("there are two Content-Lengths that differ")]
    LengthConflict,
    /// Over the limits.
    #[error("the message is too large")]
    TooLarge,
    /// A datagram that is shorter than it says.
    #[error("the body is shorter than Content-Length")]
    Truncated,
    /// A datagram without an empty line.
    #[error("the headers have no end")]
    NoHeadEnd,
}

/// Cuts the bytes of one connection into messages; holds at most one message.
#[derive(Default, Debug)]
pub struct Framer {
    held: Vec<u8>,
    /// Where in `held` the next message begins; what is before was handed out.
    start: usize,
    /// How much of the message has been searched for the end of its head.
    searched: usize,
    /// Length of head and body, once known.
    wanted: Option<usize>,
    /// An empty line that may be the first half of a ping.
    has_half_ping: bool,
    is_lost: bool,
}

impl Framer {
    /// Takes bytes of the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.is_lost {
            self.held.drain(..self.start);
            self.start = 0;
            self.held.extend_from_slice(bytes);
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.held.len() > self.start
    }

    /// What is complete; `None` = feed more. After a fault there is nothing more.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.is_lost {
            return None;
        }
        if self.wanted.is_none() {
            if self.skip_empty_lines() {
                return Some(Frame::Ping);
            }
            let Some(head_end) = self.find_head_end() else {
                return (self.rest().len() > MOST_HEAD_BYTES).then(|| self.lose(FrameFault::TooLarge, None));
            };
            let wanted = match content_length(self.rest().get(..head_end)?) {
                _ if head_end > MOST_HEAD_BYTES => Err(FrameFault::TooLarge),
                Ok(Some(length)) if length > MOST_BYTES.saturating_sub(head_end) => Err(FrameFault::TooLarge),
                Ok(Some(length)) => Ok(head_end + length),
                Ok(None) => Err(FrameFault::NoLength),
                Err(fault) => Err(fault),
            };
            match wanted {
                Ok(wanted) => self.wanted = Some(wanted),
                Err(fault) => return Some(self.lose(fault, Some(head_end))),
            }
        }
        let wanted = self.wanted?;
        let message = self.rest().get(..wanted)?.to_vec();
        self.start += wanted;
        (self.searched, self.wanted, self.has_half_ping) = (0, None, false);
        Some(Frame::Message(message))
    }

    fn rest(&self) -> &[u8] {
        self.held.get(self.start..).unwrap_or_default()
    }

    /// Skips all empty lines; true if there were two. A burst of pings gets one answer.
    fn skip_empty_lines(&mut self) -> bool {
        let blank = self.rest().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let (mut skipped, mut lines) = (0, usize::from(self.has_half_ping));
        for byte in blank {
            skipped += 1;
            lines += usize::from(*byte == b'\n');
        }
        self.start += skipped;
        if skipped > 0 {
            self.searched = 0;
        }
        self.has_half_ping = lines % 2 == 1;
        lines >= 2
    }

    fn find_head_end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(3);
        let found = find(self.rest().get(from..)?, b"\r\n\r\n").map(|at| from + at + 4);
        self.searched = self.rest().len();
        found
    }

    fn lose(&mut self, fault: FrameFault, head_end: Option<usize>) -> Frame {
        self.is_lost = true;
        let head = head_end.filter(|end| *end <= MOST_HEAD_BYTES);
        let head = head.and_then(|end| self.rest().get(..end)).map(<[u8]>::to_vec);
        (self.held, self.start) = (Vec::new(), 0);
        Frame::Fault { fault, head }
    }
}

/// The message in a datagram: what is behind Content-Length is dropped, without one the body is the rest
/// (RFC 3261 §18.3).
pub fn datagram(bytes: &[u8]) -> Result<&[u8], FrameFault> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(blank..).unwrap_or_default();
    if bytes.len() > MOST_BYTES {
        return Err(FrameFault::TooLarge);
    }
    let head_end = find(bytes, b"\r\n\r\n").map(|at| at + 4).ok_or(FrameFault::NoHeadEnd)?;
    if head_end > MOST_HEAD_BYTES {
        return Err(FrameFault::TooLarge);
    }
    match content_length(bytes.get(..head_end).unwrap_or_default())? {
        None => Ok(bytes),
        Some(length) => bytes.get(..head_end.saturating_add(length)).ok_or(FrameFault::Truncated),
    }
}

/// Where head and body of a whole message meet.
pub fn head_end(message: &[u8]) -> Option<usize> {
    find(message, b"\r\n\r\n").map(|at| at + 4)
}

/// The one length that a head tells. The same when it is told twice; a fault when they differ.
fn content_length(head: &[u8]) -> Result<Option<usize>, FrameFault> {
    let mut told: Option<usize> = None;
    let mut lines = head.split(|byte| *byte == b'\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let mut value = value.get(1..).unwrap_or_default().trim_ascii().to_vec();
        while let Some(folded) = lines.next_if(|next| matches!(next.first(), Some(b' ' | b'\t'))) {
            value.extend_from_slice(folded.trim_ascii());
        }
        let is_number = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let length =
            std::str::from_utf8(&value).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
        let length: usize = length.ok_or(FrameFault::BadLength)?;
        if told.is_some_and(|other| other != length) {
            return Err(FrameFault::LengthConflict);
        }
        told = Some(length);
    }
    Ok(told)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.feed(chunk);
            frames.extend(std::iter::from_fn(|| framer.next_frame()));
        }
        frames
    }

    fn fault(head: &str) -> FrameFault {
        match frames(&[head.as_bytes()]).pop() {
            Some(Frame::Fault { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_cut_wherever_the_reads_end() {
        let stream = b"A\r\nContent-Length:   3\r\n\r\nabcB\r\nl: 0\r\n\r\n";
        let whole = frames(&[stream]);
        assert_eq!(whole.len(), 2);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&bytes), whole);
        assert_eq!(whole[1], Frame::Message(b"B\r\nl: 0\r\n\r\n".to_vec()));
    }

    #[test]
    fn an_empty_double_line_is_a_ping_even_if_split() {
        assert_eq!(frames(&[b"\r\n", b"\r", b"\n"]), [Frame::Ping]);
        assert_eq!(frames(&[b"\r\n"]), []);
        let mixed = frames(&[b"\r\nA\r\nl:0\r\n\r\n\r\n\r\n\r\n"]);
        assert_eq!(mixed.len(), 2);
        assert_eq!(mixed[1], Frame::Ping);
    }

    #[test]
    fn equal_lengths_are_taken_and_different_ones_refused() {
        assert_eq!(frames(&[b"A\r\nl: 1\r\nContent-Length:  1\r\n\r\nx"]).len(), 1);
        assert_eq!(fault("A\r\nl: 1\r\nContent-Length: 2\r\n\r\nx"), FrameFault::LengthConflict);
        assert_eq!(fault("A\r\nl: 1, 1\r\n\r\nx"), FrameFault::BadLength);
        assert_eq!(fault("A\r\nl: -1\r\n\r\n"), FrameFault::BadLength);
        assert_eq!(fault("A\r\nl: 99999999999999999999\r\n\r\n"), FrameFault::BadLength);
        assert_eq!(fault("A\r\nb: c\r\n\r\n"), FrameFault::NoLength);
    }

    #[test]
    fn too_large_a_head_or_body_is_refused_without_holding_it() {
        assert_eq!(fault(&format!("A\r\nl: {}\r\n\r\n", 64 * 1024)), FrameFault::TooLarge);
        let mut framer = Framer::default();
        let mut last = None;
        for _ in 0..100 {
            framer.feed(&[b'x'; 1024]);
            last = framer.next_frame().or(last);
        }
        assert_eq!(last, Some(Frame::Fault { fault: FrameFault::TooLarge, head: None }));
        assert!(framer.held.is_empty());
    }

    #[test]
    fn a_datagram_may_leave_its_length_out_but_not_exaggerate_it() {
        assert_eq!(datagram(b"A\r\nb: c\r\n\r\nrest"), Ok(&b"A\r\nb: c\r\n\r\nrest"[..]));
        assert_eq!(datagram(b"\r\nA\r\nl: 2\r\n\r\nrest"), Ok(&b"A\r\nl: 2\r\n\r\nre"[..]));
        assert_eq!(datagram(b"A\r\nl: 9\r\n\r\nrest"), Err(FrameFault::Truncated));
        assert_eq!(datagram(b"A\r\nl: 9\r\n"), Err(FrameFault::NoHeadEnd));
    }
}
