//! Passwords: what is taken for one, and how it is kept.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::domain::Secret;
use crate::secrets::random_token;

const SHORTEST: usize = 12;
/// Longer ones only cost time.
const LONGEST: usize = 200;
/// Fewer different characters than this are a pattern.
const DIFFERENT: usize = 5;

/// Long passwords that turn up in every published collection; the shorter ones are refused for their length.
const BREACHED: &str = include_str!("breached.txt");

/// Why a text is not taken as the password of `name`.
pub(super) fn check(password: &Secret, name: &str) -> Result<(), &'static str> {
    let text = password.expose();
    let length = text.chars().count();
    if length < SHORTEST {
        return Err("must be at least 12 characters");
    }
    if length > LONGEST {
        return Err("must be at most 200 characters");
    }
    let lower = text.to_lowercase();
    let different: std::collections::BTreeSet<char> = lower.chars().collect();
    let bare = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let known = BREACHED.lines().any(|line| line == lower || (!bare.is_empty() && line == bare));
    let half: String = lower.chars().take(length / 2).collect();
    let doubled = length.is_multiple_of(2) && lower == half.repeat(2) && different.len() < SHORTEST;
    if known || doubled || different.len() < DIFFERENT || is_a_row(&lower) {
        return Err("is among the passwords that everybody tries; take another one");
    }
    let name = name.trim().to_lowercase();
    if lower.contains("wabridge") || (name.chars().count() >= 4 && lower.contains(&name)) {
        return Err("must not be built on the name");
    }
    Ok(())
}

/// The hash to store. `None` only if the machine cannot compute one.
pub(super) async fn hash(gate: &Arc<Semaphore>, password: Secret) -> Option<String> {
    let _turn = gate.acquire().await.ok()?;
    let run = move || {
        let salt = random_token(16);
        Argon2::default().hash_password_with_salt(password.expose().as_bytes(), salt.as_bytes())
    };
    tokio::task::spawn_blocking(run).await.ok()?.ok().map(|hash| hash.to_string())
}

/// Whether a password is the one that was hashed; without a hash the same time is spent.
pub(super) async fn verify(gate: &Arc<Semaphore>, password: Secret, stored: Option<String>) -> bool {
    let Some(stored) = stored else {
        hash(gate, password).await;
        return false;
    };
    let Ok(_turn) = gate.acquire().await else { return false };
    let run = move || {
        PasswordHash::new(&stored)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
    };
    tokio::task::spawn_blocking(run).await.unwrap_or(false)
}

/// `abcdefghijkl`, `987654321098`: each character follows the one before.
fn is_a_row(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps: Vec<i64> = codes.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).collect();
    let in_row = steps.iter().filter(|step| matches!(step, 1 | -1 | 9 | -9)).count();
    in_row * 10 >= steps.len() * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_known_and_patterned_passwords_are_refused() {
        for wrong in [
            "short",
            "elevenchars",
            "passwordpassword",
            "Password123456",
            "qwertyuiop123",
            "aaaaaaaaaaaaaa",
            "abcabcabcabcabc",
            "123456789012",
            "abcdefghijklmn",
            "wabridge-is-great",
            "anna-lena-2026",
        ] {
            assert!(check(&Secret::from(wrong), "Anna-Lena").is_err(), "{wrong}");
        }
        for good in ["correct horse battery", "Зимой снег белый", "k3-Wolke-Tasse-9"] {
            assert_eq!(check(&Secret::from(good), "Anna-Lena"), Ok(()), "{good}");
        }
    }

    #[test]
    fn the_list_is_in_lower_case_and_holds_nothing_that_a_phrase_could_shrink_to() {
        // Words are compared without the digits around them, so short ones are in it as well.
        for line in BREACHED.lines() {
            assert!(line.chars().count() >= 6 && line == line.to_lowercase(), "{line}");
        }
    }

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_and_known_again() {
        let gate = Arc::new(Semaphore::new(1));
        let stored = hash(&gate, Secret::from("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&gate, Secret::from("correct horse battery"), Some(stored.clone())).await);
        assert!(!verify(&gate, Secret::from("correct horse batterz"), Some(stored)).await);
        assert!(!verify(&gate, Secret::from("correct horse battery"), None).await);
    }
}
