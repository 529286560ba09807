//! Digest (RFC 7616, RFC 8760): the headers, and the sums on both sides.

use md5::Md5;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha512_256};

use crate::domain::call::DigestAlgorithm;

/// A challenge or credentials: `Digest a="b", c=d`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AuthParams {
    params: Vec<(String, String)>,
}

/// How sums are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sum {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512Trunc,
}

/// What a response is computed from.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// How, and whether `-sess`.
    pub algorithm: (Sum, bool),
    /// Who.
    pub username: &'a str,
    /// Whose realm.
    pub realm: &'a str,
    /// The secret.
    pub password: &'a str,
    /// Of the request.
    pub method: &'a str,
    /// `uri` of the credentials, as it is there.
    pub uri: &'a str,
    /// The server's.
    pub nonce: &'a str,
    /// With `qop=auth`: `nc` and `cnonce` as they are written.
    pub qop: Option<(&'a str, &'a str)>,
}

impl AuthParams {
    /// Reads a header of the scheme Digest; others are `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut params = Vec::with_capacity(10);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Some(Self { params });
            }
            let (name, tail) = rest.split_once('=')?;
            let (value, tail) = match tail.trim_start().strip_prefix('"') {
                Some(inner) => quoted(inner)?,
                None => {
                    let end = tail.find(',').unwrap_or(tail.len());
                    (tail.get(..end)?.trim().to_owned(), tail.get(end..)?)
                }
            };
            if params.len() == 32 {
                return None;
            }
            params.push((name.trim().to_ascii_lowercase(), value));
            rest = tail;
        }
    }

    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether `stale=true`.
    pub fn is_stale(&self) -> bool {
        self.get("stale").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Its algorithm and whether `-sess`; MD5 if none is named, `None` if it is one that we do not know.
    pub fn algorithm(&self) -> Option<(Sum, bool)> {
        let name = self.get("algorithm").unwrap_or("MD5").to_ascii_uppercase();
        let (name, is_session) =
            name.strip_suffix("-SESS").map_or((name.as_str(), false), |name| (name, true));
        let sum = match name {
            "MD5" => Sum::Md5,
            "SHA-256" => Sum::Sha256,
            "SHA-512-256" => Sum::Sha512Trunc,
            _ => return None,
        };
        Some((sum, is_session))
    }

    /// Whether `qop` offers (or says) `auth`; `None` if there is no qop.
    pub fn has_auth_qop(&self) -> Option<bool> {
        self.get("qop").map(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")))
    }
}

impl std::fmt::Debug for AuthParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.params.iter().map(|(name, _)| name)).finish()
    }
}

impl Proof<'_> {
    /// The response (RFC 7616 §3.4.1).
    pub fn response(&self) -> String {
        let (sum, is_session) = self.algorithm;
        let mut a1 = sum.hex(&[self.username, self.realm, self.password]);
        if let (true, Some((_, cnonce))) = (is_session, self.qop) {
            a1 = sum.hex(&[&a1, self.nonce, cnonce]);
        }
        let a2 = sum.hex(&[self.method, self.uri]);
        match self.qop {
            Some((nc, cnonce)) => sum.hex(&[&a1, self.nonce, nc, cnonce, "auth", &a2]),
            None => sum.hex(&[&a1, self.nonce, &a2]),
        }
    }
}

impl Sum {
    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512Trunc => "SHA-512-256",
        }
    }

    /// The sum of the parts with colons between them.
    fn hex(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
            Self::Sha512Trunc => hex::encode(Sha512_256::digest(text)),
        }
    }
}

impl From<DigestAlgorithm> for Sum {
    fn from(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Md5 => Self::Md5,
            DigestAlgorithm::Sha256 => Self::Sha256,
        }
    }
}

/// Makes a text fit between quotes.
pub fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}

fn quoted(inner: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            c if escaped => {
                text.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((text, inner.get(at + 1..)?)),
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 §3.9.1.
    fn rfc(algorithm: Sum) -> String {
        Proof {
            algorithm: (algorithm, false),
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        }
        .response()
    }

    #[test]
    fn the_sums_are_those_of_the_rfc() {
        assert_eq!(rfc(Sum::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(rfc(Sum::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn without_qop_the_old_sum_is_made() {
        // RFC 2617 §3.5 without qop, as its errata and RFC 2069 have it.
        let response = Proof {
            algorithm: (Sum::Md5, false),
            username: "Mufasa",
            realm: "testrealm@host.com",
            password: "CircleOfLife",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: None,
        }
        .response();
        assert_eq!(response, "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn headers_are_read_with_spaces_and_escapes() {
        let auth =
            AuthParams::parse("digest realm=\"a\\\"b\" , nonce = \"n,1\",qop=\"auth,auth-int\", stale=TRUE")
                .unwrap();
        assert_eq!((auth.get("realm"), auth.get("nonce")), (Some("a\"b"), Some("n,1")));
        assert_eq!((auth.has_auth_qop(), auth.is_stale()), (Some(true), true));
        assert_eq!(auth.algorithm(), Some((Sum::Md5, false)));
        assert_eq!(AuthParams::parse("Basic abc=="), None);
        assert_eq!(AuthParams::parse("Digest realm=\"a"), None);
        let other = AuthParams::parse("Digest algorithm=SHA-512-256-sess").unwrap();
        assert_eq!(other.algorithm(), Some((Sum::Sha512Trunc, true)));
        assert_eq!(AuthParams::parse("Digest algorithm=AKAv1-MD5").unwrap().algorithm(), None);
    }
}
