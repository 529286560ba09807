//! `[meta]` and `[bitrix]`: where the two clouds are, and how we appear there.

use url::Url;

use super::parse;
use super::reader::Reader;

/// `[meta]`.
#[derive(Clone, Debug)]
pub struct MetaConfig {
    /// Where the Graph API answers.
    pub graph_url: Url,
    /// `v25.0` and the like, unless an app names its own.
    pub graph_version: String,
    /// Host names, each with all names below it, that the access token may go to beside `graph_url`.
    pub media_hosts: Vec<String>,
}

/// `[bitrix]`.
#[derive(Clone, Debug)]
pub struct BitrixConfig {
    /// Authorisation servers that are believed, compared by origin.
    pub oauth_servers: Vec<Url>,
    /// Id of our connector: `[a-z0-9_]+`.
    pub connector_code: String,
    /// Name of a line that we create, with `{number}` in it.
    pub line_name: String,
    /// Two upper-case letters; `None` = from the portal's region, else the phone's country.
    pub default_country: Option<String>,
    /// Bitrix24's script for pages inside its iframe.
    pub js_url: Url,
}

impl MetaConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            graph_url: r.text("meta.graph_url", parse::address),
            graph_version: r.text("meta.graph_version", graph_version),
            media_hosts: r.list("meta.media_hosts", parse::host),
        }
    }
}

impl BitrixConfig {
    /// The name of the line for a phone of these digits.
    pub fn line_name_for(&self, digits: &str) -> String {
        self.line_name.replace("{number}", digits)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let oauth_servers = r.list("bitrix.oauth_servers", parse::origin);
        if oauth_servers.is_empty() {
            r.fault("bitrix.oauth_servers", "must name at least one server");
        }
        Self {
            oauth_servers,
            connector_code: r.text("bitrix.connector_code", connector_code),
            line_name: r.text("bitrix.line_name", line_name),
            default_country: r.optional("bitrix.default_country", country),
            js_url: r.text("bitrix.js_url", parse::address),
        }
    }
}

fn graph_version(text: &str) -> Result<String, String> {
    let number = |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    match text.strip_prefix('v').and_then(|rest| rest.split_once('.')) {
        Some((major, minor)) if number(major) && number(minor) => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a version of the Graph API, as v25.0")),
    }
}

fn connector_code(text: &str) -> Result<String, String> {
    // `-` for the codes of installations that are taken over; portals take it.
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if !text.is_empty() && text.len() <= 50 && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` must be lower case letters, digits, _ and - only, 50 at most"))
    }
}

fn line_name(text: &str) -> Result<String, String> {
    if text.contains("{number}") {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` must hold {{number}}, or all phones would share one line"))
    }
}

fn country(text: &str) -> Result<String, String> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(format!("`{text}` is not the two letters of a country, as DE"))
    }
}
