//! Digest as a client: which challenge is answered, how often, and nonces that serve for the next call.

use std::collections::HashMap;

use super::digest::{AuthParams, Proof, Sum, escape};
use super::headers::Headers;

/// A challenge that can be answered.
#[derive(Clone, Debug)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: (Sum, bool),
    has_qop: bool,
    /// How often its nonce was used.
    count: u32,
    is_proxy: bool,
    is_stale: bool,
}

/// Nonces that may serve again, by account.
#[derive(Default)]
pub struct Wallet {
    challenges: HashMap<String, Challenge>,
}

/// What was tried within one call.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tries {
    /// Challenges that were answered.
    answered: u8,
}

/// Who answers.
pub struct Account<'a> {
    /// Names the account among all.
    pub key: &'a str,
    /// User name.
    pub username: &'a str,
    /// The secret.
    pub password: &'a str,
}

impl Challenge {
    /// The topmost challenge of a 401 or 407 that we can answer (RFC 8760 §2.4).
    pub fn of(status: u16, headers: &Headers) -> Option<Self> {
        let is_proxy = status == 407;
        let name = if is_proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        headers.all(name).filter_map(AuthParams::parse).find_map(|auth| {
            let has_qop = match auth.has_auth_qop() {
                Some(true) => true,
                Some(false) => return None,
                None => false,
            };
            Some(Self {
                realm: auth.get("realm")?.to_owned(),
                nonce: auth.get("nonce")?.to_owned(),
                opaque: auth.get("opaque").map(str::to_owned),
                algorithm: auth.algorithm()?,
                has_qop,
                count: 0,
                is_proxy,
                is_stale: auth.is_stale(),
            })
        })
    }

    /// The header that answers it, for one request.
    pub fn answer(
        &mut self,
        account: &Account<'_>,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> (&'static str, String) {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        // -sess wants a cnonce even where there is no qop; such servers offer qop.
        let qop = self.has_qop.then_some((nc.as_str(), cnonce));
        let response = Proof {
            algorithm: self.algorithm,
            username: account.username,
            realm: &self.realm,
            password: account.password,
            method,
            uri,
            nonce: &self.nonce,
            qop,
        }
        .response();
        let (sum, is_session) = self.algorithm;
        let mut value = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={}{}",
            escape(account.username),
            escape(&self.realm),
            escape(&self.nonce),
            sum.name(),
            if is_session { "-sess" } else { "" },
        );
        if let Some((nc, cnonce)) = qop {
            value.push_str(&format!(", cnonce=\"{cnonce}\", qop=auth, nc={nc}"));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{}\"", escape(opaque)));
        }
        (if self.is_proxy { "Proxy-Authorization" } else { "Authorization" }, value)
    }
}

impl Wallet {
    /// Credentials by the nonce that served last, if there is one.
    pub fn answer(
        &mut self,
        account: &Account<'_>,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Option<(&'static str, String)> {
        self.challenges.get_mut(account.key).map(|challenge| challenge.answer(account, method, uri, cnonce))
    }

    /// Takes a challenge in; false = do not try again, the password is wrong. Credentials by an old nonce
    /// count as no try.
    pub fn take(&mut self, account: &str, challenge: Option<Challenge>, tries: &mut Tries) -> bool {
        self.challenges.remove(account);
        let Some(challenge) = challenge else { return false };
        let may_try = match tries.answered {
            0 => true,
            1 => challenge.is_stale,
            _ => false,
        };
        if may_try {
            tries.answered += 1;
            self.challenges.insert(account.to_owned(), challenge);
        }
        may_try
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Account<'_> = Account { key: "1701", username: "1701", password: "secret" };

    fn challenge(lines: &str) -> Option<Challenge> {
        Challenge::of(407, &Headers::parse(lines).unwrap())
    }

    #[test]
    fn the_topmost_challenge_that_we_know_is_answered() {
        let lines = "Proxy-Authenticate: Digest realm=\"wa.meta.vc\",nonce=\"1\",algorithm=SHA-512,qop=\"auth\"\r\n\
                     Proxy-Authenticate: Digest realm=\"wa.meta.vc\",nonce=\"2\",algorithm=SHA-256,qop=\"auth\"\r\n\
                     Proxy-Authenticate: Digest realm=\"wa.meta.vc\",nonce=\"3\",algorithm=MD5,qop=\"auth\"";
        let mut wallet = Wallet::default();
        assert!(wallet.take("1701", challenge(lines), &mut Tries::default()));
        let (name, value) =
            wallet.answer(&ACCOUNT, "INVITE", "sip:+1@wa.meta.vc;transport=tls", "cn").unwrap();
        assert_eq!(name, "Proxy-Authorization");
        assert!(value.contains("nonce=\"2\"") && value.contains("algorithm=SHA-256"), "{value}");
        assert!(value.contains("uri=\"sip:+1@wa.meta.vc;transport=tls\"") && value.contains("nc=00000001"));
        assert!(value.contains("username=\"1701\""));
    }

    #[test]
    fn a_nonce_serves_again_with_a_higher_count() {
        let mut wallet = Wallet::default();
        wallet.take(
            "1701",
            challenge("Proxy-Authenticate: Digest realm=\"r\",nonce=\"1\",qop=\"auth\""),
            &mut Tries::default(),
        );
        for count in ["nc=00000001", "nc=00000002"] {
            assert!(wallet.answer(&ACCOUNT, "INVITE", "sip:a@b", "c").unwrap().1.contains(count));
        }
        assert!(wallet.answer(&Account { key: "other", ..ACCOUNT }, "INVITE", "sip:a@b", "c").is_none());
    }

    #[test]
    fn a_second_challenge_is_answered_only_if_stale() {
        let plain = "Proxy-Authenticate: Digest realm=\"r\",nonce=\"1\"";
        let stale = "Proxy-Authenticate: Digest realm=\"r\",nonce=\"2\",stale=true";
        let mut wallet = Wallet::default();
        let mut tries = Tries::default();
        assert!(wallet.take("1701", challenge(plain), &mut tries));
        assert!(!wallet.take("1701", challenge(plain), &mut tries.clone()));
        assert!(wallet.take("1701", challenge(stale), &mut tries));
        assert!(!wallet.take("1701", challenge(stale), &mut tries), "not for ever");
        assert!(wallet.answer(&ACCOUNT, "INVITE", "sip:a@b", "c").is_none(), "the nonce is dropped");
        assert!(!wallet.take("1701", None, &mut Tries::default()));
    }
}
