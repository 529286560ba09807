//! The OAuth server: who stands behind a token, and new tokens for old (bitrix24 facts §2.2, §2.4).
//!
//! What is proven by what: `app.info` on the OAuth server answers with our client id only for a token of
//! our app; whether it names the portal's endpoint and member id is not documented, so those are optional
//! here. The answer of [`refresh`] always names both, and comes only to who knows the client secret: an
//! installation that brings a refresh token is proven by refreshing it.

use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::client::{RestClient, join};
use super::error::CallError;
use super::lenient::{at, int_at, text_at, yes_at};
use crate::domain::{MemberId, Secret};

/// The OAuth servers that may see a client secret; a forged POST must not name another (facts §2.4).
#[derive(Clone, Debug)]
pub struct AllowedServers(Vec<Url>);

impl AllowedServers {
    /// Servers by their origin.
    pub fn new(servers: Vec<Url>) -> Self {
        Self(servers)
    }

    /// The REST address (`…/rest/`) of the allowed server that has the origin of `server_endpoint`.
    pub fn check(&self, server_endpoint: &str) -> Option<Url> {
        let asked = Url::parse(server_endpoint.trim()).ok()?;
        let server = self.0.iter().find(|server| server.origin() == asked.origin())?;
        Some(with_path(server, "/rest/"))
    }

    /// REST addresses of all of them, for a POST that names none.
    pub fn all(&self) -> Vec<Url> {
        self.0.iter().map(|server| with_path(server, "/rest/")).collect()
    }
}

/// What `app.info` says about the app behind a token, and its portal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AppInfo {
    /// The app's client id; on the portal itself its code.
    pub client_id: Option<String>,
    /// The installation is finished (facts §2.1); `false` also if it does not say.
    pub installed: bool,
    /// Portal's key, if it is named.
    pub member_id: Option<MemberId>,
    /// Token's user, if named.
    pub user_id: Option<String>,
    /// Portal's REST address, if named.
    pub client_endpoint: Option<Url>,
    /// Granted scopes, comma separated, if named.
    pub scope: Option<String>,
    /// Kind of app (`L` = local).
    pub status: Option<String>,
    /// Portal's plan, see [`super::RateLimits::for_license`].
    pub license: Option<String>,
    /// Country where the portal is licensed, ISO-2; `None` for licences of a whole region (`en_`, `la_`, `eu_`).
    pub region: Option<String>,
    /// Portal's language.
    pub language: Option<String>,
    /// The app's payment has expired.
    pub payment_expired: bool,
}

impl AppInfo {
    /// Reads `result` of `app.info`, of the portal and of the OAuth server (facts §2.2, §2.5).
    pub fn read(result: &Value) -> Self {
        let text = |key: &str| text_at(result, &[key]).or_else(|| text_at(result, &["install", key]));
        let flag = |key: &str| yes_at(result, &[key]) || yes_at(result, &["install", key]);
        Self {
            client_id: text("client_id").or_else(|| text("code")),
            installed: flag("installed"),
            member_id: text("member_id").map(MemberId::new),
            user_id: text("user_id"),
            client_endpoint: text("client_endpoint").and_then(|url| http_url(&url)),
            scope: text("scope"),
            status: text("status"),
            region: text("license").as_deref().and_then(region_of),
            license: text("license_family").or_else(|| text("license")),
            language: text("language_id"),
            payment_expired: flag("payment_expired"),
        }
    }
}

/// The country of a plan's name, as `ru_basic`: Bitrix24 sells by countries, and by regions of several.
fn region_of(license: &str) -> Option<String> {
    const COUNTRIES: [&str; 20] = [
        "ru", "by", "kz", "uz", "ua", "de", "fr", "it", "es", "pl", "br", "tr", "in", "cn", "jp", "mx", "co",
        "vn", "id", "my",
    ];
    let (prefix, _) = license.split_once('_')?;
    let prefix = prefix.to_ascii_lowercase();
    match prefix.as_str() {
        "uk" => Some("GB".to_owned()),
        known if COUNTRIES.contains(&known) => Some(known.to_ascii_uppercase()),
        _ => None,
    }
}

/// A new pair of tokens. The refresh token replaces the old one: store it before using the pair.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokens {
    /// For calls, one hour.
    pub access_token: Secret,
    /// For the next refresh, 180 days.
    pub refresh_token: Secret,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// Portal's REST address.
    pub client_endpoint: Url,
    /// OAuth server's REST address; only through [`AllowedServers`].
    pub server_endpoint: Option<String>,
    /// Portal's key.
    pub member_id: MemberId,
    /// Granted scopes, comma separated.
    pub scope: Option<String>,
    /// Tokens' user.
    pub user_id: Option<String>,
    /// Kind of app.
    pub status: Option<String>,
}

/// Asks an allowed OAuth server about a token; the token travels in the body.
pub async fn app_info(
    client: &RestClient,
    server_endpoint: &Url,
    access_token: &Secret,
) -> Result<AppInfo, CallError> {
    let request =
        client.http().post(join(server_endpoint, "app.info")).json(&json!({"auth": access_token.expose()}));
    let answer = client.exchange(request).await?;
    let result = at(&answer, &["result"]).filter(|result| result.is_object());
    result.map(AppInfo::read).ok_or(CallError::Shape { what: "the app" })
}

/// New tokens for a refresh token, at `server`'s `/oauth/token/`. One at a time per portal; an answer that
/// never came may have rotated the token all the same.
pub async fn refresh(
    client: &RestClient,
    server: &Url,
    client_id: &str,
    client_secret: &Secret,
    refresh_token: &Secret,
) -> Result<Tokens, CallError> {
    #[derive(Serialize)]
    struct Form<'a> {
        grant_type: &'a str,
        client_id: &'a str,
        client_secret: &'a str,
        refresh_token: &'a str,
    }
    let form = Form {
        grant_type: "refresh_token",
        client_id,
        client_secret: client_secret.expose(),
        refresh_token: refresh_token.expose(),
    };
    let request = client.http().post(with_path(server, "/oauth/token/")).form(&form);
    read_tokens(&client.exchange(request).await?)
}

/// Whether the refresh token or the app's credentials are no good any more: an administrator has to open
/// the app again, or mend the client id and secret.
pub fn is_grant_refused(error: &CallError) -> bool {
    matches!(
        error.code(),
        "INVALID_GRANT"
            | "BAD_VERIFICATION_CODE"
            | "INVALID_CLIENT"
            | "WRONG_CLIENT"
            | "INVALID_REQUEST"
            | "INVALID_TOKEN"
            | "EXPIRED_TOKEN"
    )
}

fn read_tokens(answer: &Value) -> Result<Tokens, CallError> {
    let text = |key: &str| text_at(answer, &[key]);
    let needed = |key: &str, what: &'static str| text(key).ok_or(CallError::Shape { what });
    let endpoint = text("client_endpoint").and_then(|url| http_url(&url));
    Ok(Tokens {
        access_token: needed("access_token", "access_token")?.into(),
        refresh_token: needed("refresh_token", "refresh_token")?.into(),
        expires_in: int_at(answer, &["expires_in"]).unwrap_or(3600),
        client_endpoint: endpoint.ok_or(CallError::Shape { what: "client_endpoint" })?,
        server_endpoint: text("server_endpoint"),
        member_id: needed("member_id", "member_id")?.into(),
        scope: text("scope"),
        user_id: text("user_id"),
        status: text("status"),
    })
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

fn with_path(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use actix_web::HttpResponse;

    use super::*;
    use crate::bitrix::client::tests::{fake, test_http};
    use crate::domain::Verdict;

    fn allowed() -> AllowedServers {
        AllowedServers::new(vec![
            Url::parse("https://oauth.bitrix.info").unwrap(),
            Url::parse("https://oauth.bitrix24.tech/").unwrap(),
        ])
    }

    #[test]
    fn only_allowed_servers_are_asked() {
        let good = allowed().check("https://oauth.bitrix24.tech/rest/?x=1").unwrap();
        assert_eq!(good.as_str(), "https://oauth.bitrix24.tech/rest/");
        for bad in [
            "http://oauth.bitrix.info/rest/",
            "https://oauth.bitrix.info:444/rest/",
            "https://oauth.bitrix.info.evil.example/rest/",
            "https://oauth.bitrix.info@evil.example/rest/",
            "//oauth.bitrix.info/rest/",
            "",
        ] {
            assert_eq!(allowed().check(bad), None, "{bad}");
        }
        let smuggled = allowed().check("https://user:pass@oauth.bitrix.info/steal").unwrap();
        assert_eq!(smuggled.as_str(), "https://oauth.bitrix.info/rest/");
    }

    #[test]
    fn the_country_of_a_licence_is_read_and_that_of_a_region_is_not_guessed() {
        for (license, region) in [
            ("ru_basic", Some("RU")),
            ("DE_pro100", Some("DE")),
            ("uk_std", Some("GB")),
            ("en_demo", None),
            ("la_basic", None),
            ("eu_basic", None),
            ("basic", None),
            ("", None),
        ] {
            let info = AppInfo::read(&json!({"LICENSE": license, "LICENSE_FAMILY": "basic"}));
            assert_eq!(info.region.as_deref(), region, "{license}");
        }
    }

    #[test]
    fn app_info_of_both_kinds_of_server_is_read() {
        let oauth = AppInfo::read(&json!({"client_id": "local.0a.1b", "member_id": "0123abc", "user_id": 1,
            "client_endpoint": "https://portal.example/rest/", "scope": "im,imopenlines",
            "install": {"version": 1, "status": "L", "installed": "Y"}}));
        assert_eq!(oauth.client_id.as_deref(), Some("local.0a.1b"));
        assert_eq!((oauth.user_id.as_deref(), oauth.status.as_deref()), (Some("1"), Some("L")));
        assert_eq!(oauth.client_endpoint.unwrap().as_str(), "https://portal.example/rest/");
        assert!(oauth.installed);
        let portal = AppInfo::read(&json!({"ID": "1", "CODE": "local.0a.1b", "VERSION": 1, "STATUS": "L",
            "INSTALLED": false, "PAYMENT_EXPIRED": "N", "DAYS": null, "LANGUAGE_ID": "de",
            "LICENSE": "de_pro100"}));
        assert_eq!(portal.client_id.as_deref(), Some("local.0a.1b"));
        assert_eq!(portal.license.as_deref(), Some("de_pro100"));
        assert!(!portal.installed && !portal.payment_expired);
        assert_eq!(AppInfo::read(&json!([])), AppInfo::default());
    }

    fn answers(path: &str) -> HttpResponse {
        match path {
            "/rest/app.info" => HttpResponse::Ok().json(json!({"result": {"client_id": "local.1"}})),
            _ => HttpResponse::Ok().json(json!({"access_token": "a", "refresh_token": "r2", "expires": 1,
                "expires_in": "3600", "domain": "oauth.bitrix.info",
                "client_endpoint": "https://portal.example/rest/",
                "server_endpoint": "https://oauth.bitrix.info/rest/", "member_id": "0123abc",
                "status": "L", "user_id": 1, "scope": "im"})),
        }
    }

    #[actix_web::test]
    async fn tokens_and_secrets_never_stand_in_an_address() {
        let (endpoint, mut asked) = fake(answers).await;
        let client = RestClient::new(test_http());
        let info = app_info(&client, &endpoint, &Secret::from("tok")).await.unwrap();
        assert_eq!(info.client_id.as_deref(), Some("local.1"));
        let ((path, _), body) = asked.recv().await.unwrap();
        assert_eq!((path.as_str(), body.as_str()), ("/rest/app.info", r#"{"auth":"tok"}"#));
        let tokens = refresh(&client, &endpoint, "local.1", &"s&e".into(), &"r1".into()).await.unwrap();
        assert_eq!(tokens.refresh_token.expose(), "r2");
        assert_eq!((tokens.expires_in, tokens.member_id.as_str()), (3600, "0123abc"));
        assert_eq!(tokens.client_endpoint.as_str(), "https://portal.example/rest/");
        let ((path, _), body) = asked.recv().await.unwrap();
        assert_eq!(path, "/oauth/token/");
        assert_eq!(body, "grant_type=refresh_token&client_id=local.1&client_secret=s%26e&refresh_token=r1");
    }

    #[actix_web::test]
    async fn a_wrong_client_is_an_error_with_http_200() {
        let wrong: fn(&str) -> HttpResponse = |_| HttpResponse::Ok().json(json!({"error": "wrong_client"}));
        let (endpoint, _asked) = fake(wrong).await;
        let client = RestClient::new(test_http());
        let error = refresh(&client, &endpoint, "c", &"s".into(), &"r".into()).await.unwrap_err();
        assert!(is_grant_refused(&error), "{error:?}");
        assert_eq!(error.verdict(), Verdict::Reauthorize);
    }

    #[test]
    fn tokens_without_the_portals_endpoint_are_not_taken() {
        let error = read_tokens(&json!({"access_token": "a", "refresh_token": "r", "member_id": "m"}));
        assert_eq!(error.unwrap_err().to_string(), "the answer lacks client_endpoint");
    }
}
