//! `X-Hub-Signature-256`: HMAC-SHA256 of the raw body with the app secret (whatsapp-messaging facts §1.2).
//!
//! Meta signs the bytes as they travel (non-ASCII as `\uXXXX`, `/` as `\/`): never verify what was decoded
//! and printed again.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::domain::Secret;

/// Name of the header.
pub const HEADER: &str = "X-Hub-Signature-256";

const PREFIX: &str = "sha256=";

/// Why a body is not proven to come from Meta.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// No header.
    #[error("the signature header is missing")]
    Missing,
    /// Not `sha256=` and 64 hexadecimal digits.
    #[error("the signature header is not sha256= and 64 hexadecimal digits")]
    Malformed,
    /// Made with none of our secrets, or over other bytes.
    #[error("the signature was made with none of the app's secrets")]
    Mismatch,
}

/// Checks the header against the raw body with each of the app's secrets (two during a rotation), in
/// constant time. An empty secret proves nothing and is passed over.
pub fn verify(secrets: &[Secret], body: &[u8], header: Option<&str>) -> Result<(), SignatureError> {
    let header = header.map(str::trim).filter(|text| !text.is_empty()).ok_or(SignatureError::Missing)?;
    let digits = header.strip_prefix(PREFIX).ok_or(SignatureError::Malformed)?;
    let mut given = [0_u8; 32];
    hex::decode_to_slice(digits, &mut given).map_err(|_| SignatureError::Malformed)?;
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .filter_map(|secret| keyed(secret, body))
        .any(|mac| mac.verify_slice(&given).is_ok())
        .then_some(())
        .ok_or(SignatureError::Mismatch)
}

/// The header's value for a body, as Meta would write it.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let digest = keyed(secret, body).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    format!("{PREFIX}{}", hex::encode(digest))
}

/// HMAC takes a key of any length, so this is always `Some`.
fn keyed(secret: &Secret, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(body);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;

    fn secret() -> Secret {
        Secret::new("test_app_secret")
    }

    #[test]
    fn the_published_vectors_verify() {
        let vectors: [(&[u8], &str); 2] = [
            (ENVELOPE, "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756"),
            (br#"{"a":"\u00e4\/x"}"#, "99ea06e1859ee33b2092c0376433d94cad658a76941ab66b6369dcb241e406a3"),
        ];
        for (body, digest) in vectors {
            let header = format!("sha256={digest}");
            assert_eq!(sign(&secret(), body), header);
            assert_eq!(verify(&[secret()], body, Some(&header)), Ok(()));
            assert_eq!(verify(&[secret()], body, Some(&header.to_uppercase().replace("SHA", "sha"))), Ok(()));
        }
    }

    #[test]
    fn a_json_printed_again_does_not_verify() {
        let header = sign(&secret(), br#"{"a":"\u00e4\/x"}"#);
        assert_eq!(
            verify(&[secret()], "{\"a\":\"ä/x\"}".as_bytes(), Some(&header)),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn either_secret_of_a_rotation_verifies() {
        let header = sign(&secret(), ENVELOPE);
        assert_eq!(verify(&[Secret::new("new"), secret()], ENVELOPE, Some(&header)), Ok(()));
        assert_eq!(verify(&[Secret::new("new")], ENVELOPE, Some(&header)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_missing_or_malformed_signature_is_refused() {
        let short = format!("sha256={}", "a".repeat(62));
        let cases = [
            (None, SignatureError::Missing),
            (Some(""), SignatureError::Missing),
            (Some("sha1=0011"), SignatureError::Malformed),
            (Some("sha256=zz"), SignatureError::Malformed),
            (Some(short.as_str()), SignatureError::Malformed),
        ];
        for (header, error) in cases {
            assert_eq!(verify(&[secret()], ENVELOPE, header), Err(error), "{header:?}");
        }
    }

    #[test]
    fn an_empty_secret_proves_nothing() {
        let header = sign(&Secret::default(), ENVELOPE);
        assert_eq!(verify(&[Secret::default()], ENVELOPE, Some(&header)), Err(SignatureError::Mismatch));
        assert_eq!(verify(&[], ENVELOPE, Some(&header)), Err(SignatureError::Mismatch));
    }
}
