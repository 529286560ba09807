//! The two cookies of the panel. Both are for our own pages alone: no script and no other site sees them.
//!
//! Where the bridge is reached by https, they bear the prefix that browsers let nobody else plant: no other name of the
//! domain, and no connection without TLS.

use actix_web::http::header::{self, HeaderMap};

use crate::config::Config;
use crate::domain::Secret;

/// The session's token.
pub(super) const SESSION: &str = "wabridge_session";
/// For the forms of people who are not logged in yet.
pub(super) const VISIT: &str = "wabridge_visit";

const HOST: &str = "__Host-";
const MAX: usize = 100;

/// The cookie with this name; the first, if somebody sends several.
pub(super) fn read(config: &Config, headers: &HeaderMap, name: &str) -> Option<Secret> {
    let name = full(config, name);
    let mut all = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let value = all.find_map(|line| {
        line.split(';').find_map(|pair| pair.trim().strip_prefix(name.as_str())?.strip_prefix('='))
    })?;
    (!value.is_empty() && value.len() <= MAX).then(|| Secret::from(value))
}

/// The header that sets a cookie until the browser is closed.
pub(super) fn set(config: &Config, name: &str, value: &Secret) -> String {
    format!("{}={}{}", full(config, name), value.expose(), attributes(config))
}

/// The header that takes a cookie away.
pub(super) fn forget(config: &Config, name: &str) -> String {
    format!("{}={}; Max-Age=0", full(config, name), attributes(config))
}

fn full(config: &Config, name: &str) -> String {
    if config.is_https() { format!("{HOST}{name}") } else { name.to_owned() }
}

fn attributes(config: &Config) -> &'static str {
    if config.is_https() {
        // The prefix wants the whole host.
        "; Path=/; HttpOnly; SameSite=Strict; Secure"
    } else {
        "; Path=/admin; HttpOnly; SameSite=Strict"
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; my_wabridge_session=x"));
        headers.append(header::COOKIE, HeaderValue::from_static("wabridge_session=abc; b=2"));
        let mut config = Config::default();
        assert_eq!(read(&config, &headers, SESSION), Some(Secret::from("abc")));
        assert_eq!(read(&config, &headers, VISIT), None);
        config.public_url = "https://bridge.example".parse().unwrap();
        assert_eq!(read(&config, &headers, SESSION), None, "anybody may have planted it");
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-wabridge_session=own"));
        assert_eq!(read(&config, &headers, SESSION), Some(Secret::from("own")));
    }

    #[test]
    fn a_cookie_is_secure_where_the_bridge_is() {
        let mut config = Config::default();
        assert!(!set(&config, SESSION, &Secret::from("x")).contains("Secure"));
        config.public_url = "https://bridge.example".parse().unwrap();
        let cookie = set(&config, SESSION, &Secret::from("x"));
        assert_eq!(cookie, "__Host-wabridge_session=x; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert!(forget(&config, VISIT).starts_with("__Host-wabridge_visit=; Path=/;"));
    }
}
