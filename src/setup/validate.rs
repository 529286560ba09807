//! Rules for input, each field told by its name.

use url::Host;

use super::error::{FieldError, SetupError};

/// Collects what is wrong, so that all of it is told at once.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault.
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Checks a value; what is wrong with it is noted and a default taken.
    pub(super) fn check<T: Default>(&mut self, field: &str, value: Result<T, impl Into<String>>) -> T {
        value.unwrap_or_else(|message| {
            self.add(field, message);
            T::default()
        })
    }

    /// The end of checking.
    pub(super) fn done(self) -> Result<(), SetupError> {
        if self.0.is_empty() { Ok(()) } else { Err(SetupError::Invalid(self.0)) }
    }
}

/// A text of 1 to `most` printable characters, trimmed.
pub(super) fn text(value: &str, most: usize) -> Result<String, String> {
    let value = value.trim();
    if value.is_empty() {
        Err("must not be empty".to_owned())
    } else if value.chars().count() > most {
        Err(format!("must be at most {most} characters"))
    } else if value.chars().any(char::is_control) {
        Err("must not hold control characters".to_owned())
    } else {
        Ok(value.to_owned())
    }
}

/// A secret: printable ASCII without spaces, so that it fits a header.
pub(super) fn secret(value: &str) -> Result<String, String> {
    let value = text(value, 4096)?;
    if value.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(value)
    } else {
        Err("must be plain ASCII".to_owned())
    }
}

/// A host name or IP address without port, in lower case; IPv6 without brackets.
pub(super) fn site(value: &str) -> Result<String, String> {
    let wrong = || "must be a host name or an IP address, without scheme, port and path".to_owned();
    let value = text(value, 253).map_err(|_| wrong())?;
    if let Ok(address) = value.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        return Ok(address.to_string());
    }
    let plain = value.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    match Host::parse(&value) {
        Ok(host) if plain => Ok(host.to_string()),
        _ => Err(wrong()),
    }
}

/// An id of one of the clouds: letters, digits, `.`, `_`, `-`.
pub(super) fn cloud_id(value: &str) -> Result<String, String> {
    let value = text(value, 128)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if value.bytes().all(allowed) { Ok(value) } else { Err("must be an id without spaces".to_owned()) }
}

/// `v25.0` and the like.
pub(super) fn graph_version(value: &str) -> Result<String, String> {
    let number = |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    match value.trim().strip_prefix('v').and_then(|rest| rest.split_once('.')) {
        Some((major, minor)) if number(major) && number(minor) => Ok(value.trim().to_owned()),
        _ => Err("must be a version of the Graph API, as v25.0".to_owned()),
    }
}

/// ISO-2, in upper case.
pub(super) fn country(value: &str) -> Result<String, String> {
    let value = value.trim();
    if value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(value.to_ascii_uppercase())
    } else {
        Err("must be the two letters of a country, as DE".to_owned())
    }
}

/// A portal's user: digits.
pub(super) fn user_id(value: &str) -> Result<String, String> {
    let value = value.trim();
    if !value.is_empty() && value.len() <= 18 && value.bytes().all(|b| b.is_ascii_digit()) {
        Ok(value.to_owned())
    } else {
        Err("must be the number of a portal's user".to_owned())
    }
}

/// One of a few words.
pub(super) fn one_of(value: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&value) {
        Ok(value.to_owned())
    } else {
        Err(format!("must be one of {}", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_host_without_port() {
        for (text, expected) in [
            ("Bridge.Example", "bridge.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(site(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in
            ["", "https://a.example", "a.example:443", "a.example/x", "a b", "[::1]:80", "a@b", "1.2.3.400"]
        {
            assert!(site(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut faults = Faults::default();
        faults.check("name", text(" ", 10));
        assert_eq!(faults.check("country", country("de")), "DE");
        faults.check("graph_version", graph_version("25"));
        let Err(SetupError::Invalid(told)) = faults.done() else { panic!("valid") };
        assert_eq!(
            told.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(),
            ["name", "graph_version"]
        );
    }
}
