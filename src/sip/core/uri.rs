//! SIP URIs, read leniently: `;tgrp=…;trunk-context=…` before the `@` is part of the user (RFC 4904), and
//! what is passed on is the text, never a reprint.

/// A `sip:` or `sips:` URI taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    /// `sips:`.
    pub is_secure: bool,
    /// User part as it came, with its parameters, without a password.
    pub user: Option<String>,
    /// Host in lower case, IPv6 without brackets.
    pub host: String,
    /// Port, if there is one.
    pub port: Option<u16>,
    params: String,
}

/// Why a text is no SIP URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UriFault {
    /// Another scheme: 416.
    Scheme,
    /// Not readable: 400.
    Form,
}

impl Uri {
    /// Reads a URI without angle brackets.
    pub fn parse(text: &str) -> Result<Self, UriFault> {
        let (scheme, rest) = text.split_once(':').ok_or(UriFault::Form)?;
        let is_secure = scheme.eq_ignore_ascii_case("sips");
        if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
            let is_scheme = !scheme.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            return Err(if is_scheme { UriFault::Scheme } else { UriFault::Form });
        }
        if rest.bytes().any(|byte| byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | 0x7f)) {
            return Err(UriFault::Form);
        }
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if rest.contains('@') {
            return Err(UriFault::Form);
        }
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (place, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place).ok_or(UriFault::Form)?;
        let user = user.map(|user| user.split_once(':').map_or(user, |(user, _)| user).to_owned());
        if user.as_deref() == Some("") {
            return Err(UriFault::Form);
        }
        Ok(Self { is_secure, user, host, port, params: params.to_owned() })
    }

    /// User part without its parameters, escapes resolved.
    pub fn name(&self) -> Option<String> {
        self.user.as_deref().map(|user| unescape(user.split(';').next().unwrap_or_default()))
    }

    /// A parameter of the user part, as `tgrp`.
    pub fn user_param(&self, name: &str) -> Option<&str> {
        param(self.user.as_deref()?.split_once(';')?.1, name).flatten()
    }

    /// A parameter behind the host: `Some(None)` if it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        param(&self.params, name)
    }
}

/// Splits `host[:port]`; the host must be a name, an IPv4 address or an IPv6 address in brackets.
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let host = host.parse::<std::net::Ipv6Addr>().ok()?.to_string();
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.trim().parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host.trim_end(), Some(port.trim_start().parse().ok()?)),
        None => (text, None),
    };
    let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_name.then(|| (host.to_ascii_lowercase(), port))
}

/// A parameter of `a=b;c`.
pub fn param<'a>(params: &'a str, name: &str) -> Option<Option<&'a str>> {
    params.split(';').find_map(|one| {
        let (key, value) = one.split_once('=').map_or((one, None), |(key, value)| (key, Some(value.trim())));
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Resolves `%41`; what is no escape stays.
pub fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_before_the_at_belong_to_the_user() {
        let text = "sip:+1234567890;tgrp=wacall;trunk-context=byoc.example.com@sip.example.com;transport=tls";
        let uri = Uri::parse(text).unwrap();
        assert_eq!(uri.name().as_deref(), Some("+1234567890"));
        assert_eq!(uri.user_param("tgrp"), Some("wacall"));
        assert_eq!(uri.user_param("trunk-context"), Some("byoc.example.com"));
        assert_eq!((uri.host.as_str(), uri.port), ("sip.example.com", None));
        assert_eq!(uri.param("transport"), Some(Some("tls")));
    }

    #[test]
    fn a_user_id_with_a_dot_is_a_user() {
        let uri = Uri::parse("sip:US.13491208655302741918@wa.meta.vc;transport=tls;ob").unwrap();
        assert_eq!(uri.name().as_deref(), Some("US.13491208655302741918"));
        assert_eq!(uri.param("ob"), Some(None));
    }

    #[test]
    fn addresses_of_both_families_are_hosts() {
        let uri = Uri::parse("sip:[2803:6080:e888:51aa::1]:43917").unwrap();
        assert_eq!((uri.host.as_str(), uri.port), ("2803:6080:e888:51aa::1", Some(43917)));
        assert_eq!(Uri::parse("sip:A.example").unwrap().host, "a.example");
        for bad in
            ["sip:", "sip:a@", "sip:@b", "sip:a@b:99999", "sip:a@b@c", "sip:[::1", "sip:a b@c", "sip:a@b>"]
        {
            assert_eq!(Uri::parse(bad), Err(UriFault::Form), "{bad}");
        }
        assert_eq!(Uri::parse("soap.beep://192.0.2.103:3002"), Err(UriFault::Scheme));
        assert_eq!(Uri::parse("tel:+1"), Err(UriFault::Scheme));
    }

    #[test]
    fn escapes_are_resolved_and_broken_ones_stay() {
        assert_eq!(unescape("sips%3Auser%40example.com%zz%4"), "sips:user@example.com%zz%4");
        assert_eq!(unescape("a%00b"), "a\0b");
    }
}
