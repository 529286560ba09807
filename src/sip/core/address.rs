//! `From`, `To`, `Contact`, `Route`: a URI with a display name and parameters (RFC 3261 §20.10).

use super::uri::{Uri, UriFault, param};

/// `"Name" <sip:a@b;x>;tag=1` taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Display name, quotes and escapes resolved.
    pub display: Option<String>,
    /// The URI as it came, without brackets.
    pub uri: String,
    params: String,
}

impl Address {
    /// Reads one address; parameters behind a URI without brackets are the header's.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (display, rest) = if text.starts_with('"') { quoted(text)? } else { (None, text) };
        let rest = rest.trim_start();
        if let Some(open) = rest.find('<') {
            let (before, inner) = (rest.get(..open)?.trim(), rest.get(open + 1..)?);
            let (uri, params) = inner.split_once('>')?;
            let params = params.trim_start();
            let is_clean = params.is_empty() || params.starts_with(';');
            // A token as display name is written without quotes; more than tokens is a fault.
            let is_token = before.chars().all(|c| !matches!(c, '"' | ';' | ':' | ',' | '@' | '>'));
            if !is_clean || (display.is_some() && !before.is_empty()) || !is_token {
                return None;
            }
            let display = display.or_else(|| (!before.is_empty()).then(|| before.to_owned()));
            return Some(Self { display, uri: uri.trim().to_owned(), params: params.to_owned() });
        }
        if display.is_some() || rest.contains(['>', '"']) {
            return None;
        }
        let (uri, params) = rest.find(';').map_or((rest, ""), |at| rest.split_at(at));
        (!uri.is_empty()).then(|| Self {
            display: None,
            uri: uri.trim().to_owned(),
            params: params.to_owned(),
        })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        param(&self.params, "tag").flatten()
    }

    /// The URI, taken apart.
    pub fn parsed(&self) -> Result<Uri, UriFault> {
        Uri::parse(&self.uri)
    }
}

/// Splits a header's value at the commas that are outside of quotes and brackets.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (one, tail) = match comma(text) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = tail;
        Some(one.trim())
    })
    .filter(|one| !one.is_empty())
}

/// Whether a `,` or `;` has nothing before or behind it (RFC 4475 §3.1.2.1); what is inside of brackets is a
/// URI's own affair.
pub fn has_stray_separator(value: &str) -> bool {
    let (mut in_quotes, mut in_brackets, mut escaped) = (false, false, false);
    let mut waits = true;
    for byte in value.bytes() {
        match byte {
            b' ' | b'\t' => continue,
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            b'<' if !in_quotes => in_brackets = true,
            b'>' if !in_quotes => in_brackets = false,
            b',' | b';' if !in_quotes && !in_brackets => {
                if waits {
                    return true;
                }
                waits = true;
                continue;
            }
            _ => {}
        }
        waits = false;
    }
    waits
}

/// A quoted-string for a display name; what cannot stand in one becomes a space.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn comma(text: &str) -> Option<usize> {
    let (mut in_quotes, mut in_brackets, mut escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            b'<' if !in_quotes => in_brackets = true,
            b'>' if !in_quotes => in_brackets = false,
            b',' if !in_quotes && !in_brackets => return Some(at),
            _ => {}
        }
    }
    None
}

/// The text of a quoted string at the start, and what is behind it.
fn quoted(text: &str) -> Option<(Option<String>, &str)> {
    let mut plain = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            c if escaped => {
                plain.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((Some(plain), text.get(at + 1..)?)),
            c => plain.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_quotes_and_emoji_are_read() {
        let address = Address::parse("\"Ann \\\"A\\\" 🙂, <x>\" <sip:+1@wa.meta.vc>;tag=5cf5").unwrap();
        assert_eq!(address.display.as_deref(), Some("Ann \"A\" 🙂, <x>"));
        assert_eq!((address.uri.as_str(), address.tag()), ("sip:+1@wa.meta.vc", Some("5cf5")));
    }

    #[test]
    fn header_parameters_stay_out_of_the_uri() {
        let address = Address::parse("<sip:+1@wa.meta.vc;transport=tls;ob>;isfocus").unwrap();
        assert_eq!(address.uri, "sip:+1@wa.meta.vc;transport=tls;ob");
        let bare = Address::parse("sip:a@b;tag=7").unwrap();
        assert_eq!((bare.uri.as_str(), bare.tag()), ("sip:a@b", Some("7")));
        assert_eq!(Address::parse("Bob Smith <sip:b@c>").unwrap().display.as_deref(), Some("Bob Smith"));
    }

    #[test]
    fn unbalanced_text_is_refused() {
        for bad in
            ["\"Mr. J. User <sip:j@u>", "<sip:a@b", "a>b", "\"x\" y <sip:a@b>", "Bell, A <sip:a@b>", ""]
        {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_are_split_outside_of_quotes_and_brackets() {
        let parts: Vec<_> = split_list("<sip:a;x=1,2>, \"b,\\\",\" <sip:c> ,d").collect();
        assert_eq!(parts, ["<sip:a;x=1,2>", "\"b,\\\",\" <sip:c>", "d"]);
    }

    #[test]
    fn a_separator_wants_something_on_both_sides() {
        for good in [
            "SIP/2.0/UDP a;branch=b",
            "\"a;;,\" <sip:a@b;;>;x , <sip:c@d>",
            "<sip:a> ; q = 0.3 ; b=\"\\\";;\"",
        ] {
            assert!(!has_stray_separator(good), "{good}");
        }
        for bad in
            ["SIP/2.0/UDP 192.0.2.15;;,;,,", "<sip:a@b>;;;;", "<sip:a@b>;", ",<sip:a@b>", "<a>,,<b>", ""]
        {
            assert!(has_stray_separator(bad), "{bad}");
        }
    }

    #[test]
    fn a_quoted_name_cannot_leave_its_quotes() {
        assert_eq!(quote("a\"b\\c\r\nX: y"), "\"a\\\"b\\\\c  X: y\"");
    }
}
