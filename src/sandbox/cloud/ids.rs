//! Ids in Meta's shapes, and the small generator they and the faults come from.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// SplitMix64: small, seedable, good enough for ids and dice.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by the system, so that two clouds (or one started again) never give the same id.
    pub fn from_entropy() -> Self {
        let seed = getrandom::u64().unwrap_or_else(|_| {
            std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
        });
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with this probability (0.0 never, 1.0 always).
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
        out
    }

    /// A message id: `wamid.HBg…`, base64 of the other side's number and 18 random hex digits, so it
    /// may hold `=`, `/` and `+` like the real ones.
    pub fn wamid(&mut self, person: &str, outgoing: bool) -> String {
        let person = person.as_bytes();
        let mut raw = vec![0x1c, 0x18, person.len() as u8];
        raw.extend_from_slice(person);
        raw.extend_from_slice(&[0x15, 0x02, 0x00, if outgoing { 0x11 } else { 0x12 }, 0x18, 0x12]);
        raw.extend_from_slice(hex::encode_upper(self.bytes::<9>()).as_bytes());
        raw.push(0);
        format!("wamid.{}", STANDARD.encode(raw))
    }

    /// A decimal id of 16 digits, as media have.
    pub fn object_id(&mut self) -> String {
        (1_000_000_000_000_000 + self.next() % 9_000_000_000_000_000).to_string()
    }

    /// A business-scoped user id (facts §1.8).
    pub fn user_id(&mut self) -> String {
        // 20 digits; the sum stays below the end of u64, or every twelfth person would be the same one.
        format!("US.{}", 10_000_000_000_000_000_000_u64 + self.next() % 8_000_000_000_000_000_000)
    }

    pub fn trace_id(&mut self) -> String {
        format!("A{}", URL_SAFE_NO_PAD.encode(self.bytes::<16>()))
    }
}

/// The digits of a number as somebody wrote it.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Whether this is `<country>.<alphanumerics>`, the form of a business-scoped user id.
pub(super) fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wamid_has_metas_form_and_names_the_number() {
        let wamid = Rng::seeded(1).wamid("16505551234", true);
        assert!(wamid.starts_with("wamid.HBgLMTY1MDU1NTEyMzQVAgAR"), "{wamid}");
        assert_ne!(wamid, Rng::seeded(2).wamid("16505551234", true));
    }

    #[test]
    fn dice_follow_their_seed_and_probability() {
        let throw = |seed| {
            let mut rng = Rng::seeded(seed);
            (0..1000).filter(|_| rng.chance(0.25)).count()
        };
        assert_eq!(throw(7), throw(7));
        assert!((200..300).contains(&throw(7)));
        assert!(!Rng::seeded(7).chance(0.0));
        assert!(Rng::seeded(7).chance(1.0));
    }

    #[test]
    fn user_ids_are_told_from_numbers() {
        for yes in ["US.13491208655302741918", "DE.abc1", "US.ENT.11815799212886844830"] {
            assert!(is_user_id(yes), "{yes}");
        }
        for no in ["16505551234", "us.1", "USA.1", "US.", "US.a b"] {
            assert!(!is_user_id(no), "{no}");
        }
    }
}
