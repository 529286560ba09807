//! Finds links to the portal's inside.
//!
//! On a cloud portal (`*.bitrix24.*`) everything is inside but what is known to be public; a host of one's
//! own may also show a public site, so there only the known sections of a portal are inside.

/// Beginnings of paths that a customer can open: short links, public files and documents, payments,
/// video conferences, forms.
const PUBLIC: [&str; 6] = ["/~", "/pub/", "/docs/pub/", "/pay", "/video/", "/upload/"];

/// First steps of paths that only employees can open.
const SECTIONS: [&str; 30] = [
    "company",
    "crm",
    "workgroups",
    "disk",
    "docs",
    "online",
    "tasks",
    "calendar",
    "mail",
    "stream",
    "im",
    "bitrix",
    "contact_center",
    "marketplace",
    "settings",
    "sites",
    "bizproc",
    "rpa",
    "timeman",
    "telephony",
    "knowledge",
    "automation",
    "hr",
    "mobile",
    "extranet",
    "desktop_app",
    "onec",
    "openlines",
    "rest",
    "spaces",
];

/// The first link to the inside of the portal at `host`: absolute, without scheme, or a relative address
/// in a `[url]`.
pub fn first_link(text: &str, host: &str) -> Option<String> {
    let host = host.trim().trim_end_matches('/').to_ascii_lowercase();
    let host = host.rsplit("://").next().unwrap_or_default();
    if host.is_empty() {
        return None;
    }
    // ASCII only, so that places stay the same.
    let lower = text.to_ascii_lowercase();
    let absolute = lower.match_indices(host).find_map(|(at, _)| absolute_link(text, &lower, at, host));
    absolute.or_else(|| relative_link(text, &lower, host))
}

fn absolute_link(text: &str, lower: &str, at: usize, host: &str) -> Option<String> {
    let before = lower.get(..at)?;
    // `notcompany.bitrix24.com` and `me@company.bitrix24.com` are something else.
    if before.ends_with(|c: char| c.is_alphanumeric() || "-._@".contains(c)) {
        return None;
    }
    let rest = text.get(at + host.len()..)?;
    let end = rest.find(|c: char| c.is_whitespace() || "[]<>\"'".contains(c)).unwrap_or(rest.len());
    let rest = rest.get(..end)?;
    let port = rest.strip_prefix(':').map(|port| port.trim_start_matches(|c: char| c.is_ascii_digit()));
    let path = port.unwrap_or(rest);
    if !path.starts_with(['/', '?', '#']) || !is_inside(path, host) {
        return None;
    }
    let scheme =
        ["https://", "http://"].into_iter().find(|scheme| before.ends_with(scheme)).unwrap_or_default();
    let start = at - scheme.len();
    text.get(start..at + host.len() + end).map(str::to_owned)
}

/// `[url=/crm/deal/details/1/]…` and `[url]/crm/…`
fn relative_link(text: &str, lower: &str, host: &str) -> Option<String> {
    lower.match_indices("[url").find_map(|(at, tag)| {
        let rest = text.get(at + tag.len()..)?;
        let path = rest.strip_prefix(['=', ']'])?.trim_start_matches(['"', '\'', ' ']);
        let end = path.find(|c: char| c.is_whitespace() || "[]\"'".contains(c)).unwrap_or(path.len());
        let path = path.get(..end)?;
        (path.starts_with('/') && !path.starts_with("//") && is_inside(path, host)).then(|| path.to_owned())
    })
}

/// Whether a path (with query) of the portal needs a login.
fn is_inside(path: &str, host: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
    let end = decoded.find(['?', '#']).unwrap_or(decoded.len());
    let (path, query) = decoded.split_at_checked(end).unwrap_or((&decoded, ""));
    // `//crm/` and `/./crm/` lead to the same page; a path that climbs is judged by where it ends up.
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
        if step == ".." {
            steps.pop();
        } else {
            steps.push(step);
        }
    }
    let Some(first) = steps.first() else {
        // The entrance itself is no page, but it may open a chat.
        return query.contains("im_dialog") || query.contains("im_");
    };
    let path = format!("/{}/", steps.join("/"));
    if PUBLIC.iter().any(|public| path.starts_with(public)) {
        return false;
    }
    let is_cloud = host.contains(".bitrix24.");
    is_cloud || SECTIONS.contains(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUD: &str = "acme.bitrix24.com";
    const OWN: &str = "portal.acme.example";

    #[test]
    fn links_to_the_inside_are_found() {
        for (text, link) in [
            (
                "see https://acme.bitrix24.com/crm/deal/details/1/.",
                "https://acme.bitrix24.com/crm/deal/details/1/.",
            ),
            (
                "HTTPS://ACME.Bitrix24.com/company/personal/user/1/",
                "HTTPS://ACME.Bitrix24.com/company/personal/user/1/",
            ),
            ("acme.bitrix24.com/workgroups/group/5/", "acme.bitrix24.com/workgroups/group/5/"),
            ("[url=https://acme.bitrix24.com/disk/x]file[/url]", "https://acme.bitrix24.com/disk/x"),
            ("[URL=/crm/lead/1/]lead[/URL]", "/crm/lead/1/"),
            ("[url]/docs/1/[/url]", "/docs/1/"),
            ("https://acme.bitrix24.com:443/online/", "https://acme.bitrix24.com:443/online/"),
            ("https://acme.bitrix24.com/?IM_DIALOG=chat5", "https://acme.bitrix24.com/?IM_DIALOG=chat5"),
            ("https://acme.bitrix24.com/%63rm/x", "https://acme.bitrix24.com/%63rm/x"),
            ("https://acme.bitrix24.com/pub/../crm/", "https://acme.bitrix24.com/pub/../crm/"),
            ("https://acme.bitrix24.com//crm/", "https://acme.bitrix24.com//crm/"),
            ("https://acme.bitrix24.com/anything/else", "https://acme.bitrix24.com/anything/else"),
            (
                "ок https://acme.bitrix24.com/~a и https://acme.bitrix24.com/crm/",
                "https://acme.bitrix24.com/crm/",
            ),
        ] {
            assert_eq!(first_link(text, CLOUD).as_deref(), Some(link), "{text}");
        }
        for section in SECTIONS {
            let link = format!("https://{OWN}/{section}/1");
            assert_eq!(first_link(&link, OWN), Some(link.clone()), "{link}");
        }
    }

    #[test]
    fn public_and_foreign_links_pass() {
        for text in [
            "https://acme.bitrix24.com/~AbCdE",
            "https://acme.bitrix24.com/pub/im.file.php?FILE_ID=1",
            "https://acme.bitrix24.com/docs/pub/abc/default/",
            "https://acme.bitrix24.com/pay/12/",
            "https://acme.bitrix24.com/pay_abc",
            "https://acme.bitrix24.com/video/abc",
            "https://acme.bitrix24.com",
            "https://acme.bitrix24.com/",
            "our portal is acme.bitrix24.com, ok",
            "https://other.bitrix24.com/crm/",
            "https://not-acme.bitrix24.com/crm/",
            "me@acme.bitrix24.com/crm/",
            "https://acme.bitrix24.com.example/crm/",
            "/crm/ typed alone",
            "[url=//example.com/crm/]x[/url]",
            "",
        ] {
            assert_eq!(first_link(text, CLOUD), None, "{text}");
        }
        assert_eq!(first_link("https://portal.acme.example/catalog/1", OWN), None);
        assert_eq!(first_link("https:///crm/", ""), None);
    }
}
