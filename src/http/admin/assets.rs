//! The style and the script of the panel: two files without a build step, at addresses with their hash in.

use sha2::{Digest as _, Sha256};

const CSS: &str = include_str!("assets/panel.css");
const JS: &str = include_str!("assets/panel.js");

/// Address of the style.
pub(super) fn css() -> String {
    format!("/admin/assets/{}", name("panel", "css", CSS))
}

/// Address of the script.
pub(super) fn js() -> String {
    format!("/admin/assets/{}", name("panel", "js", JS))
}

/// The file at the end of an address, with its type.
pub(super) fn find(wanted: &str) -> Option<(&'static str, &'static str)> {
    [("css", "text/css; charset=utf-8", CSS), ("js", "text/javascript; charset=utf-8", JS)]
        .into_iter()
        .find(|(end, _, body)| name("panel", end, body) == wanted)
        .map(|(_, kind, body)| (kind, body))
}

fn name(stem: &str, end: &str, body: &str) -> String {
    let hash = hex::encode(Sha256::digest(body));
    format!("{stem}-{}.{end}", hash.get(..16).unwrap_or_default())
}
