//! Secrets at rest: what the database holds of tokens and passwords is sealed with a master key that the
//! database never sees.
//!
//! Sealed text is `v1:` and base64 of nonce and ciphertext (XChaCha20-Poly1305). Its context, the name of
//! table and column, is authenticated with it, so that a value moved to another column does not open.

mod master_key;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use master_key::{MasterKey, MasterKeyError};

use crate::config::SecretsConfig;
use crate::domain::Secret;

const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 24;
const CHECK_CONTEXT: &str = "vault.check";
const CHECK_TEXT: &str = "wabridge";

/// Seals and opens secrets with the master key.
#[derive(Clone)]
pub struct Vault(XChaCha20Poly1305);

/// Why a secret could not be opened.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum VaultError {
    /// Not our form, or of a later version.
    #[error("the stored secret is damaged, or was written by a later version of wabridge")]
    Form,
    /// Sealed with another key, for another column, or altered.
    #[error("the stored secret cannot be decrypted with the present master key")]
    Refused,
    /// The database as a whole belongs to another master key.
    #[error(
        "the master key is not the one that this database was made with: give the former key by \
         secrets.master_key or secrets.master_key_path (a backup of the database does not hold it)"
    )]
    WrongMasterKey,
}

impl Vault {
    /// A vault with this key.
    pub fn new(key: &MasterKey) -> Self {
        Self(XChaCha20Poly1305::new(Key::from_slice(key.bytes())))
    }

    /// A vault with the configured key, which is made if it is a file that is not there yet.
    pub fn from_config(config: &SecretsConfig) -> Result<Self, MasterKeyError> {
        MasterKey::from_config(config).map(|key| Self::new(&key))
    }

    /// As [`Vault::from_config`], for a database that was made with a key: none is made.
    pub fn with_known_key(config: &SecretsConfig) -> Result<Self, MasterKeyError> {
        MasterKey::known(config).map(|key| Self::new(&key))
    }

    /// Seals a secret for `context`, the name of table and column as `apps.access_token`.
    #[expect(clippy::expect_used, reason = "texts in memory are far below the cipher's limit of 256 GiB")]
    pub fn seal(&self, secret: &Secret, context: &str) -> String {
        let nonce: [u8; NONCE_BYTES] = random_bytes();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: context.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload).expect("a text to encrypt");
        format!("{VERSION}{}", STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Vault::seal`] made for the same context.
    pub fn open(&self, sealed: &str, context: &str) -> Result<Secret, VaultError> {
        let text = sealed.strip_prefix(VERSION).ok_or(VaultError::Form)?;
        let bytes = STANDARD.decode(text).map_err(|_| VaultError::Form)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(VaultError::Form)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let plain = self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| VaultError::Refused)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| VaultError::Form)
    }

    /// A text to store beside the secrets, by which a later start knows its key again.
    pub fn check_text(&self) -> String {
        self.seal(&Secret::from(CHECK_TEXT), CHECK_CONTEXT)
    }

    /// Whether the stored [`Vault::check_text`] was made with this key; the error holds the remedy.
    pub fn verify_check(&self, sealed: &str) -> Result<(), VaultError> {
        match self.open(sealed, CHECK_CONTEXT) {
            Ok(secret) if secret.expose() == CHECK_TEXT => Ok(()),
            Ok(_) | Err(VaultError::Form) => Err(VaultError::Form),
            Err(_) => Err(VaultError::WrongMasterKey),
        }
    }
}

/// SHA-256 of a token in hex: what is stored of tokens that we only ever compare.
pub fn hash_token(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// A random token of so many bytes, in base64url without padding.
pub fn random_token(bytes: usize) -> String {
    let mut token = vec![0; bytes];
    fill_random(&mut token);
    URL_SAFE_NO_PAD.encode(token)
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

#[expect(clippy::expect_used, reason = "without randomness of the system nothing here may go on")]
fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("random bytes of the system");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: &str) -> Vault {
        Vault::new(&MasterKey::parse(&Secret::new(byte.repeat(32))).unwrap())
    }

    #[test]
    fn a_sealed_secret_opens_again() {
        for text in ["EAAG…token", "", "пароль"] {
            let sealed = vault("0a").seal(&Secret::from(text), "apps.access_token");
            assert!(sealed.starts_with("v1:"));
            assert_eq!(vault("0a").open(&sealed, "apps.access_token"), Ok(Secret::from(text)));
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let secret = Secret::from("token");
        assert_ne!(vault("0a").seal(&secret, "a.b"), vault("0a").seal(&secret, "a.b"));
    }

    #[test]
    fn another_column_or_another_key_does_not_open_it() {
        let sealed = vault("0a").seal(&Secret::from("token"), "apps.access_token");
        assert_eq!(vault("0a").open(&sealed, "portals.access_token"), Err(VaultError::Refused));
        assert_eq!(vault("0b").open(&sealed, "apps.access_token"), Err(VaultError::Refused));
    }

    #[test]
    fn a_damaged_secret_is_told_from_a_foreign_one() {
        let sealed = vault("0a").seal(&Secret::from("token"), "a.b");
        for damaged in ["", "token", "v2:AAAA", "v1:", "v1:AAAA", "v1:!!"] {
            assert_eq!(vault("0a").open(damaged, "a.b"), Err(VaultError::Form), "{damaged}");
        }
        let cut = sealed.get(..sealed.len() - 4).unwrap();
        assert_eq!(vault("0a").open(cut, "a.b"), Err(VaultError::Refused));
    }

    #[test]
    fn a_wrong_master_key_is_known_by_the_check_text() {
        let check = vault("0a").check_text();
        assert_eq!(vault("0a").verify_check(&check), Ok(()));
        let error = vault("0b").verify_check(&check).unwrap_err();
        assert_eq!(error, VaultError::WrongMasterKey);
        assert!(error.to_string().contains("secrets.master_key"));
        assert_eq!(vault("0a").verify_check("rubbish"), Err(VaultError::Form));
    }

    #[test]
    fn tokens_are_random_and_hashes_are_not() {
        assert_eq!(random_token(32).len(), 43);
        assert_ne!(random_token(32), random_token(32));
        assert_eq!(hash_token("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
