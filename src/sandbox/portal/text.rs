//! Text of messages as the portal stores it (bitrix24 facts §3.8, §4.1).

/// Longest text of a message in characters, with the mark of the cut.
const MAX_TEXT: usize = 20_000;
const CUT_MARK: &str = " (...)";

/// Text as the portal stores it: breaks and emoji tokens resolved, BBCode kept, too long cut.
pub(super) fn shown_text(raw: &str) -> String {
    let broken = raw.replace("[br]", "\n").replace("[BR]", "\n").replace("#BR#", "\n");
    let text = emoji(&broken);
    if text.chars().count() <= MAX_TEXT {
        return text;
    }
    let kept: String = text.chars().take(MAX_TEXT - CUT_MARK.len()).collect();
    kept + CUT_MARK
}

/// Decodes `:f09f9880:` (hex of four UTF-8 bytes).
fn emoji(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        let (before, token) = rest.split_at(at);
        out.push_str(before);
        let decoded = token
            .get(1..9)
            .filter(|_| token.get(9..10) == Some(":"))
            .and_then(|hex| hex::decode(hex).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let taken = if decoded.is_some() { 10 } else { 1 };
        out.push_str(decoded.as_deref().unwrap_or(":"));
        rest = token.get(taken..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_stored_as_the_portal_shows_it() {
        for (raw, stored) in [
            ("a[br]b#BR#c", "a\nb\nc"),
            ("hi :f09f9880: at 10:30:00", "hi 😀 at 10:30:00"),
            ("[b]kept[/b]", "[b]kept[/b]"),
            (":::", ":::"),
            (":é", ":é"),
        ] {
            assert_eq!(shown_text(raw), stored);
        }
        let long = shown_text(&"я".repeat(20_001));
        assert_eq!(long.chars().count(), 20_000);
        assert!(long.ends_with("я (...)"));
    }
}
