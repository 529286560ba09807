//! The POST that opens one of our pages in the portal's iframe (bitrix24 facts §2.2, §3.9).
//!
//! Nothing in it is signed: it is proven by `app.info` with its `AUTH_ID`, see [`super::oauth`].

use serde_json::Value;
use thiserror::Error;

use super::form::{FormError, FormLimits, parse_form};
use super::lenient::{get, int, int_at, text_at, yes, yes_at};
use crate::domain::{LineId, MemberId, Secret};

/// What the portal tells a page.
#[derive(Clone, PartialEq, Debug)]
pub struct PortalPage {
    /// Portal's host; must never pick a portal record.
    pub domain: String,
    /// Whether the portal is reached by https.
    pub https: bool,
    /// Language of the user's interface.
    pub lang: String,
    /// Access token of the viewing user.
    pub auth_id: Secret,
    /// Seconds that it lives.
    pub auth_expires: i64,
    /// Refresh token of the viewing user.
    pub refresh_id: Secret,
    /// OAuth server's REST address; only through [`super::oauth::AllowedServers`].
    pub server_endpoint: String,
    /// As in events; older portals omit it.
    pub application_token: Option<Secret>,
    /// Granted scopes, comma separated.
    pub scope: Option<String>,
    /// Portal's key.
    pub member_id: MemberId,
    /// Kind of app, informational.
    pub status: String,
    /// `DEFAULT` for the app's own page, `SETTING_CONNECTOR`, …
    pub placement: String,
    /// Context; `Null` if it cannot be read.
    pub placement_options: Value,
}

/// Options of the `SETTING_CONNECTOR` placement (facts §3.9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorOptions {
    /// Connector's id.
    pub connector: String,
    /// Line that the administrator picked.
    pub line: LineId,
    /// The connector is switched on for the line at present.
    pub active_status: bool,
    /// It is configured and free of errors at present.
    pub status: bool,
    /// It is marked as faulty at present.
    pub error_status: bool,
}

/// Why a body does not open a page.
#[derive(Debug, Error)]
pub enum PageError {
    /// It is no form.
    #[error("the page's form cannot be read")]
    Form(#[from] FormError),
    /// It lacks a field that the portal always sends.
    #[error("the page's form lacks {0}")]
    Missing(&'static str),
}

impl PortalPage {
    /// Reads the query string and the body together; a field of the body wins.
    pub fn decode(query: &str, body: &[u8]) -> Result<Self, PageError> {
        let query = parse_form(query.as_bytes(), FormLimits::default())?;
        let body = parse_form(body, FormLimits::default())?;
        let text = |key: &str| text_at(&body, &[key]).or_else(|| text_at(&query, &[key]));
        let needed = |key: &'static str| text(key).ok_or(PageError::Missing(key));
        let options = get(&body, "PLACEMENT_OPTIONS").or_else(|| get(&query, "PLACEMENT_OPTIONS"));
        Ok(Self {
            domain: needed("DOMAIN")?,
            https: text("PROTOCOL").is_none_or(|protocol| yes(&Value::String(protocol))),
            lang: text("LANG").unwrap_or_default(),
            auth_id: Secret::new(needed("AUTH_ID")?),
            auth_expires: text("AUTH_EXPIRES").and_then(|text| int(&Value::String(text))).unwrap_or(3600),
            refresh_id: Secret::new(text("REFRESH_ID").unwrap_or_default()),
            server_endpoint: text("SERVER_ENDPOINT").unwrap_or_default(),
            application_token: text("APPLICATION_TOKEN").map(Secret::new),
            scope: text("APPLICATION_SCOPE"),
            member_id: MemberId::new(needed("member_id")?),
            status: text("status").unwrap_or_default(),
            placement: text("PLACEMENT").unwrap_or_else(|| "DEFAULT".to_owned()).to_uppercase(),
            placement_options: options.map(read_options).unwrap_or(Value::Null),
        })
    }

    /// The connector's line, if the page was opened from there.
    pub fn connector_options(&self) -> Option<ConnectorOptions> {
        let options = &self.placement_options;
        Some(ConnectorOptions {
            connector: text_at(options, &["CONNECTOR"])?,
            line: LineId::new(text_at(options, &["LINE"]).filter(|_| int_at(options, &["LINE"]) != Some(0))?),
            active_status: yes_at(options, &["ACTIVE_STATUS"]),
            status: yes_at(options, &["STATUS"]),
            error_status: yes_at(options, &["ERROR_STATUS"]),
        })
    }
}

/// JSON in a text, as documented; or a nested form, which is taken as it is.
fn read_options(options: &Value) -> Value {
    match options {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "DOMAIN=portal.example&PROTOCOL=1&LANG=de&APP_SID=0a1b";
    const BODY: &str = "AUTH_ID=secret-a&AUTH_EXPIRES=3600&REFRESH_ID=secret-r\
        &SERVER_ENDPOINT=https%3A%2F%2Foauth.bitrix.info%2Frest%2F&APPLICATION_TOKEN=secret-t\
        &APPLICATION_SCOPE=imopenlines,im&member_id=0123abc&status=L&PLACEMENT=SETTING_CONNECTOR";

    #[test]
    fn the_settings_page_knows_its_line() {
        let options = "%7B%22CONNECTOR%22%3A%22wa_bridge%22%2C%22LINE%22%3A%223%22%2C%22STATUS%22%3Afalse%2C\
            %22ACTIVE_STATUS%22%3A1%2C%22ERROR_STATUS%22%3Afalse%7D";
        let page =
            PortalPage::decode(QUERY, format!("{BODY}&PLACEMENT_OPTIONS={options}").as_bytes()).unwrap();
        assert_eq!((page.domain.as_str(), page.https, page.lang.as_str()), ("portal.example", true, "de"));
        assert_eq!(page.server_endpoint, "https://oauth.bitrix.info/rest/");
        assert_eq!((page.auth_id.expose(), page.auth_expires), ("secret-a", 3600));
        assert_eq!(page.application_token, Some(Secret::from("secret-t")));
        let expected = ConnectorOptions {
            connector: "wa_bridge".into(),
            line: "3".into(),
            active_status: true,
            status: false,
            error_status: false,
        };
        assert_eq!(page.connector_options(), Some(expected));
        assert!(!format!("{page:?}").contains("secret-"));
    }

    #[test]
    fn an_older_portal_without_the_newer_fields_is_read() {
        let body = b"AUTH_ID=a&member_id=m&PLACEMENT_OPTIONS=broken{";
        let page = PortalPage::decode("DOMAIN=portal.example&PROTOCOL=0", body).unwrap();
        assert_eq!(page.application_token, None);
        assert_eq!(page.placement, "DEFAULT");
        assert!(!page.https);
        assert_eq!(page.placement_options, Value::Null);
        assert_eq!(page.connector_options(), None);
    }

    #[test]
    fn a_page_without_its_token_is_refused() {
        let error = PortalPage::decode(QUERY, b"member_id=m").unwrap_err();
        assert_eq!(error.to_string(), "the page's form lacks AUTH_ID");
    }
}
