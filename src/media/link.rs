//! Links to our media: an unguessable token in the path, of which only the hash is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};
use thiserror::Error;
use url::Url;

use super::disposition::STRICT;
use crate::domain::Secret;

/// What goes with every file: no script, no form, no origin.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; sandbox";
/// No guessing of types by the browser.
pub const CONTENT_TYPE_OPTIONS: &str = "nosniff";

const TOKEN_BYTES: usize = 32;
const TOKEN_CHARS: usize = 43;

/// A new link's secret part and what is stored of it.
#[derive(Clone, Debug)]
pub struct MediaToken {
    /// 256 random bits, base64url; whoever has it may read the file.
    pub token: Secret,
    /// SHA-256 of the token's text, lower-case hex: the key of the stored row.
    pub hash: String,
}

/// The system has no random numbers.
#[derive(Debug, Error)]
#[error("the system gave no random bytes: {0}")]
pub struct NoRandomness(getrandom::Error);

impl MediaToken {
    /// Draws a token from the system's random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self { hash: hash_text(&token), token: Secret::new(token) })
    }
}

/// The hash to look up for a token that came in a path; `None` if it cannot be one of ours.
pub fn hash_token(token: &str) -> Option<String> {
    let shaped = token.len() == TOKEN_CHARS
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    shaped.then(|| hash_text(token))
}

/// `<public_url>/media/<token>/<name>`; the name is for the reader's eyes and is not checked.
pub fn media_url(public_url: &Url, token: &Secret, name: &str) -> String {
    let base = public_url.as_str().trim_end_matches('/');
    let name = utf8_percent_encode(name, STRICT);
    format!("{base}/media/{}/{name}", token.expose())
}

fn hash_text(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// What a `Range` header asks for (RFC 9110 §14.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeOutcome {
    /// No range, or one that may be ignored: several ranges, another unit, a malformed one.
    Whole,
    /// These bytes, both ends included.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Beyond the file: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn parse_range(header: Option<&str>, size: u64) -> RangeOutcome {
    let asked =
        header.and_then(|text| text.trim().strip_prefix("bytes=")).and_then(|text| text.split_once('-'));
    let Some((first, last)) = asked else { return RangeOutcome::Whole };
    let number = |text: &str| {
        let text = text.trim();
        if text.is_empty() { Ok(None) } else { digits(text).map(Some).ok_or(()) }
    };
    match (number(first), number(last)) {
        (Ok(Some(first)), Ok(last)) => {
            let end = last.unwrap_or(u64::MAX);
            if end < first {
                RangeOutcome::Whole
            } else if first >= size {
                RangeOutcome::Unsatisfiable
            } else {
                RangeOutcome::Part { first, last: end.min(size - 1) }
            }
        }
        (Ok(None), Ok(Some(suffix))) if suffix > 0 && size > 0 => {
            RangeOutcome::Part { first: size.saturating_sub(suffix), last: size - 1 }
        }
        (Ok(None), Ok(Some(_))) => RangeOutcome::Unsatisfiable,
        _ => RangeOutcome::Whole,
    }
}

/// Digits alone (`u64::from_str` takes a `+` too); a number too large for us is simply far beyond.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_only_its_hash_is_kept() {
        let (one, two) = (MediaToken::generate().unwrap(), MediaToken::generate().unwrap());
        assert_ne!(one.token, two.token);
        assert_eq!(URL_SAFE_NO_PAD.decode(one.token.expose()).unwrap().len(), 32);
        assert_eq!(hash_token(one.token.expose()), Some(one.hash.clone()));
        assert_eq!(one.hash.len(), 64);
        assert!(!format!("{one:?}").contains(one.token.expose()));
        for wrong in ["", "short", &"ä".repeat(21), &"/".repeat(43)] {
            assert_eq!(hash_token(wrong), None);
        }
    }

    #[test]
    fn the_name_in_a_link_is_percent_encoded() {
        let token = Secret::new("T");
        for (public, expected) in [
            ("https://b.example", "https://b.example/media/T/%D0%90%20%2F%3F%23.txt"),
            ("https://b.example/wa/", "https://b.example/wa/media/T/%D0%90%20%2F%3F%23.txt"),
        ] {
            assert_eq!(media_url(&public.parse().unwrap(), &token, "А /?#.txt"), expected);
        }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        use RangeOutcome::{Part, Unsatisfiable, Whole};
        for (header, size, expected) in [
            ("bytes=0-9", 100, Part { first: 0, last: 9 }),
            ("bytes=90-", 100, Part { first: 90, last: 99 }),
            ("bytes=90-500", 100, Part { first: 90, last: 99 }),
            ("bytes=-10", 100, Part { first: 90, last: 99 }),
            ("bytes=-500", 100, Part { first: 0, last: 99 }),
            ("bytes=0-99999999999999999999999", 100, Part { first: 0, last: 99 }),
            ("bytes=100-", 100, Unsatisfiable),
            ("bytes=99999999999999999999999-", 100, Unsatisfiable),
            ("bytes=-0", 100, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-5", 0, Unsatisfiable),
            ("bytes=9-0", 100, Whole),
            ("bytes=0-1,5-6", 100, Whole),
            ("bytes=+1-2", 100, Whole),
            ("bytes=-", 100, Whole),
            ("bytes=a-b", 100, Whole),
            ("items=0-1", 100, Whole),
            ("", 100, Whole),
        ] {
            assert_eq!(parse_range(Some(header), size), expected, "{header} of {size}");
        }
        assert_eq!(parse_range(None, 100), Whole);
    }
}
