//! The way through the pages of Meta and Bitrix24, screen by screen, as lists of the catalogue.

use super::texts::Say;

/// Scopes of the local application: needed for chats, then for the rest.
pub(super) const NEEDED: &[&str] = &["imopenlines", "imconnector", "im"];
pub(super) const WANTED: &[&str] =
    &["messageservice", "crm", "telephony", "user_brief", "contact_center", "placement", "disk", "bizproc"];

/// One screen.
pub(super) struct Step {
    pub(super) title: String,
    pub(super) text: String,
}

/// Meta's side.
pub(super) fn meta(say: &Say) -> Vec<Step> {
    steps(
        say,
        "meta",
        &["create", "products", "secret", "token", "webhook", "fields", "ids", "live", "parallel"],
    )
}

/// What to have ready before one begins.
pub(super) fn ready(say: &Say) -> Vec<String> {
    ["number", "company", "name", "portal", "address"]
        .map(|key| say.t(&format!("ready.{key}")).to_owned())
        .to_vec()
}

/// Bitrix24's side.
pub(super) fn portal(say: &Say) -> Vec<Step> {
    steps(say, "portal_guide", &["open", "type", "scopes", "save", "install"])
}

fn steps(say: &Say, group: &str, keys: &[&str]) -> Vec<Step> {
    keys.iter()
        .map(|key| Step {
            title: say.t(&format!("{group}.{key}")).to_owned(),
            text: say.t(&format!("{group}.{key}_text")).to_owned(),
        })
        .collect()
}
