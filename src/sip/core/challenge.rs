//! Digest as a server: challenges whose nonce proves itself, and what of the answers is believed.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::digest::{AuthParams, Proof, Sum, escape};
use super::io::Moment;
use super::uri::Uri;

/// Makes nonces and remembers how often each was used.
pub struct Challenger {
    key: [u8; 32],
    life: Duration,
    /// The highest `nc` that was proven with each nonce.
    used: HashMap<String, u32>,
    order: VecDeque<(Moment, String)>,
}

/// Who must have answered, and to what.
pub struct Expected<'a> {
    /// Our realm.
    pub realm: &'a str,
    /// The user name, digits without `+` for Meta.
    pub username: &'a str,
    /// The secret.
    pub password: &'a str,
    /// Method of the request.
    pub method: &'a str,
    /// Request-URI.
    pub uri: &'a str,
    /// What we offer.
    pub algorithms: &'a [Sum],
}

/// What credentials are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There are none for our realm.
    Missing,
    /// Right, but the nonce is too old or not of this run: ask again with `stale=true`.
    Stale,
    /// Wrong, or used before.
    Wrong,
    /// It is who they say.
    Proven,
}

impl Challenger {
    /// With a key that nobody knows.
    pub fn new(key: [u8; 32], life: Duration) -> Self {
        Self { key, life, used: HashMap::new(), order: VecDeque::new() }
    }

    /// A challenge for each algorithm, in their order (RFC 8760 §2.3).
    pub fn challenge(
        &self,
        now: Moment,
        salt: [u8; 8],
        realm: &str,
        algorithms: &[Sum],
        stale: bool,
    ) -> Vec<String> {
        let nonce = self.nonce(now, salt, realm);
        let stale = if stale { ", stale=true" } else { "" };
        let realm = escape(realm);
        let line = |sum: &Sum| {
            format!(
                "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                sum.name()
            )
        };
        algorithms.iter().map(line).collect()
    }

    /// Looks at the credentials of a request.
    pub fn verify<'h>(
        &mut self,
        now: Moment,
        headers: impl Iterator<Item = &'h str>,
        expected: &Expected<'_>,
    ) -> Verdict {
        self.forget(now);
        let ours = headers
            .filter_map(AuthParams::parse)
            .find(|auth| auth.get("realm").is_some_and(|realm| realm == expected.realm));
        ours.map_or(Verdict::Missing, |auth| self.judge(now, &auth, expected).unwrap_or(Verdict::Wrong))
    }

    fn judge(&mut self, now: Moment, auth: &AuthParams, expected: &Expected<'_>) -> Option<Verdict> {
        let (nonce, uri) = (auth.get("nonce")?, auth.get("uri")?);
        let (sum, is_session) = auth.algorithm()?;
        let username = auth.get("username")?;
        let is_known = username.strip_prefix('+').unwrap_or(username) == expected.username;
        if is_session || !expected.algorithms.contains(&sum) || !is_known || !is_same(uri, expected.uri) {
            return None;
        }
        let qop = match auth.has_auth_qop() {
            Some(true) => Some((auth.get("nc")?, auth.get("cnonce")?)),
            Some(false) => return None,
            None => None,
        };
        let proof = Proof {
            algorithm: (sum, false),
            username,
            realm: expected.realm,
            password: expected.password,
            method: expected.method,
            uri,
            nonce,
            qop,
        };
        let told = auth.get("response")?.to_ascii_lowercase();
        if !bool::from(proof.response().as_bytes().ct_eq(told.as_bytes())) {
            return None;
        }
        if !self.is_fresh(now, nonce, expected.realm) {
            return Some(Verdict::Stale);
        }
        // Without qop there is no counter: such a nonce is good for one request.
        let count = match qop {
            Some((nc, _)) => u32::from_str_radix(nc, 16).ok()?,
            None => 1,
        };
        match self.used.get_mut(nonce) {
            Some(highest) if qop.is_none() || count <= *highest => return None,
            Some(highest) => *highest = count,
            None => {
                self.used.insert(nonce.to_owned(), count);
                self.order.push_back((now + self.life, nonce.to_owned()));
            }
        }
        Some(Verdict::Proven)
    }

    /// `time ‖ salt ‖ keyed hash of both and the realm`, in hexadecimal.
    fn nonce(&self, at: Moment, salt: [u8; 8], realm: &str) -> String {
        let millis = u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX);
        let mut head = hex::encode(millis.to_be_bytes());
        head.push_str(&hex::encode(salt));
        let mac = self.mac(&head, realm);
        head.push_str(&mac);
        head
    }

    fn is_fresh(&self, now: Moment, nonce: &str, realm: &str) -> bool {
        let Some((head, mac)) = nonce.split_at_checked(32) else { return false };
        let Some(millis) = head.get(..16).and_then(|time| u64::from_str_radix(time, 16).ok()) else {
            return false;
        };
        let made = Moment(Duration::from_millis(millis));
        bool::from(self.mac(head, realm).as_bytes().ct_eq(mac.as_bytes())) && now - made <= self.life
    }

    fn mac(&self, head: &str, realm: &str) -> String {
        // A key of any length is good for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(head.as_bytes());
        mac.update(b":");
        mac.update(realm.as_bytes());
        let sum = hex::encode(mac.finalize().into_bytes());
        sum.get(..32).unwrap_or_default().to_owned()
    }

    fn forget(&mut self, now: Moment) {
        while self.order.front().is_some_and(|(until, _)| *until < now) {
            if let Some((_, nonce)) = self.order.pop_front() {
                self.used.remove(&nonce);
            }
        }
    }
}

/// Meta leaves `;transport=tls` out of the credentials' `uri`: user and host decide.
fn is_same(told: &str, uri: &str) -> bool {
    match (Uri::parse(told), Uri::parse(uri)) {
        (Ok(told), Ok(uri)) => told.name() == uri.name() && told.host == uri.host,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "sip:+1701@bridge.example;transport=tls";

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn challenger() -> Challenger {
        Challenger::new([7; 32], Duration::from_secs(60))
    }

    fn credentials(challenge: &str, nc: &str, password: &str, uri: &str) -> String {
        let auth = AuthParams::parse(challenge).unwrap();
        let nonce = auth.get("nonce").unwrap();
        let response = Proof {
            algorithm: auth.algorithm().unwrap(),
            username: "1701",
            realm: "bridge.example",
            password,
            method: "INVITE",
            uri,
            nonce,
            qop: Some((nc, "cn")),
        }
        .response();
        let algorithm = auth.algorithm().unwrap().0.name();
        format!(
            "Digest username=\"1701\", realm=\"bridge.example\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", cnonce=\"cn\", qop=auth, nc={nc}, algorithm={algorithm}"
        )
    }

    fn verify(challenger: &mut Challenger, now: Moment, credentials: &str) -> Verdict {
        let expected = Expected {
            realm: "bridge.example",
            username: "1701",
            password: "secret",
            method: "INVITE",
            uri: URI,
            algorithms: &[Sum::Md5, Sum::Sha256],
        };
        challenger.verify(now, std::iter::once(credentials), &expected)
    }

    #[test]
    fn the_uri_of_the_credentials_may_lack_the_transport() {
        for algorithm in [Sum::Md5, Sum::Sha256] {
            let mut challenger = challenger();
            let challenge = &challenger.challenge(at(1), [1; 8], "bridge.example", &[algorithm], false)[0];
            let right = credentials(challenge, "00000001", "secret", "sip:+1701@bridge.example");
            assert_eq!(verify(&mut challenger, at(2), &right), Verdict::Proven);
            let other = credentials(challenge, "00000002", "secret", "sip:+1702@bridge.example");
            assert_eq!(verify(&mut challenger, at(2), &other), Verdict::Wrong);
        }
    }

    #[test]
    fn a_replay_is_refused_and_a_higher_count_is_taken() {
        let mut challenger = challenger();
        let challenge = &challenger.challenge(at(1), [1; 8], "bridge.example", &[Sum::Md5], false)[0];
        let first = credentials(challenge, "00000001", "secret", URI);
        assert_eq!(verify(&mut challenger, at(2), &first), Verdict::Proven);
        assert_eq!(verify(&mut challenger, at(2), &first), Verdict::Wrong);
        let later = credentials(challenge, "0000000a", "secret", URI);
        assert_eq!(verify(&mut challenger, at(3), &later), Verdict::Proven);
        let between = credentials(challenge, "00000009", "secret", URI);
        assert_eq!(verify(&mut challenger, at(3), &between), Verdict::Wrong);
    }

    #[test]
    fn an_old_or_foreign_nonce_is_stale_and_a_wrong_password_is_wrong() {
        let mut one = challenger();
        let challenge = one.challenge(at(1), [1; 8], "bridge.example", &[Sum::Md5], false).remove(0);
        let right = credentials(&challenge, "00000001", "secret", URI);
        assert_eq!(verify(&mut one, at(62), &right), Verdict::Stale);
        let mut other = Challenger::new([8; 32], Duration::from_secs(60));
        assert_eq!(verify(&mut other, at(2), &right), Verdict::Stale);
        let wrong = credentials(&challenge, "00000001", "guess", URI);
        assert_eq!(verify(&mut one, at(2), &wrong), Verdict::Wrong);
        assert_eq!(verify(&mut one, at(2), "Basic x"), Verdict::Missing);
        assert_eq!(verify(&mut one, at(2), "Digest realm=\"bridge.example\""), Verdict::Wrong);
    }

    #[test]
    fn what_is_remembered_of_nonces_is_forgotten_with_them() {
        let mut challenger = challenger();
        let challenge = challenger.challenge(at(1), [1; 8], "bridge.example", &[Sum::Md5], false).remove(0);
        verify(&mut challenger, at(2), &credentials(&challenge, "00000001", "secret", URI));
        assert_eq!(challenger.used.len(), 1);
        verify(&mut challenger, at(200), "Basic x");
        assert_eq!((challenger.used.len(), challenger.order.len()), (0, 0));
    }
}
