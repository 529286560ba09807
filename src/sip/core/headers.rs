//! The header list of a message: names expanded, values unfolded but otherwise as they came, order kept.

use std::borrow::Cow;

/// Lines of a message at most.
pub const MOST_HEADERS: usize = 128;

/// Names in the spelling we write, with their compact forms (RFC 3261 §7.3.3, RFC 3515, RFC 3892, RFC 4028).
const KNOWN: &[(&str, &str)] = &[
    ("Via", "v"),
    ("From", "f"),
    ("To", "t"),
    ("Call-ID", "i"),
    ("CSeq", ""),
    ("Contact", "m"),
    ("Content-Length", "l"),
    ("Content-Type", "c"),
    ("Content-Encoding", "e"),
    ("Max-Forwards", ""),
    ("Record-Route", ""),
    ("Route", ""),
    ("Supported", "k"),
    ("Require", ""),
    ("Proxy-Require", ""),
    ("Allow", ""),
    ("Authorization", ""),
    ("Proxy-Authorization", ""),
    ("WWW-Authenticate", ""),
    ("Proxy-Authenticate", ""),
    ("Reason", ""),
    ("Warning", ""),
    ("User-Agent", ""),
    ("Server", ""),
    ("Session-Expires", "x"),
    ("Min-SE", ""),
    ("Retry-After", ""),
    ("P-Asserted-Identity", ""),
    ("Subject", "s"),
    ("Refer-To", "r"),
    ("Referred-By", "b"),
    ("Event", "o"),
    ("Allow-Events", "u"),
];

/// One header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its name; compact forms are expanded, unknown names are as they came.
    pub name: Cow<'static, str>,
    /// Its value, unfolded and trimmed.
    pub value: String,
}

/// All headers of a message in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Headers {
    list: Vec<Header>,
}

/// Why a head is no list of headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadersFault {
    /// A line without a colon, or with a name that is no token.
    NoHeader,
    /// More than [`MOST_HEADERS`].
    TooMany,
}

impl Headers {
    /// Reads the lines after the start line, without the empty one at the end.
    pub fn parse(head: &str) -> Result<Self, HeadersFault> {
        let mut list: Vec<Header> = Vec::with_capacity(24);
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            if line.starts_with([' ', '\t']) {
                let last = list.last_mut().ok_or(HeadersFault::NoHeader)?;
                if !last.value.is_empty() {
                    last.value.push(' ');
                }
                last.value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(HeadersFault::NoHeader)?;
            let name = name.trim_end();
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                return Err(HeadersFault::NoHeader);
            }
            if list.len() == MOST_HEADERS {
                return Err(HeadersFault::TooMany);
            }
            list.push(Header { name: spelled(name), value: value.trim().to_owned() });
        }
        Ok(Self { list })
    }

    /// The first value under a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }

    /// The values under a name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.list.iter().filter(move |one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }

    /// The first non-empty value under one of several spellings.
    pub fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name)).filter(|value| !value.is_empty())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|one| (one.name.as_ref(), one.value.as_str()))
    }

    /// Whether one of the comma-separated tokens under a name is this one.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|one| one.eq_ignore_ascii_case(token))
    }

    /// The comma-separated tokens under a name.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
    }
}

/// Whether a byte may stand in a token (RFC 3261 §25.1).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

fn spelled(name: &str) -> Cow<'static, str> {
    let known = KNOWN.iter().find(|(full, compact)| {
        name.eq_ignore_ascii_case(full) || (name.len() == 1 && name.eq_ignore_ascii_case(compact))
    });
    known.map_or_else(|| Cow::Owned(name.to_owned()), |(full, _)| Cow::Borrowed(*full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_names_are_expanded_and_folded_lines_are_joined() {
        let headers =
            Headers::parse("v: SIP/2.0/UDP a\r\nF : <sip:a@b>\r\n  ;tag=1\r\nL:0\r\nX-y: z\r\n").unwrap();
        assert_eq!(
            headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["Via", "From", "Content-Length", "X-y"]
        );
        assert_eq!(headers.get("from"), Some("<sip:a@b> ;tag=1"));
        assert_eq!(headers.get("x-Y"), Some("z"));
    }

    #[test]
    fn order_is_kept_inside_a_name_whatever_stands_between() {
        let headers = Headers::parse("Via: 1\r\nRecord-Route: a\r\nVia: 2\r\nRecord-Route: b\r\n").unwrap();
        assert_eq!(headers.all("Via").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers.all("Record-Route").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_line_that_is_no_header_and_too_many_headers_are_refused() {
        assert_eq!(Headers::parse("no colon"), Err(HeadersFault::NoHeader));
        assert_eq!(Headers::parse(" folded first"), Err(HeadersFault::NoHeader));
        assert_eq!(Headers::parse("a b: c"), Err(HeadersFault::NoHeader));
        assert_eq!(Headers::parse(&"A: b\r\n".repeat(129)), Err(HeadersFault::TooMany));
    }
}
