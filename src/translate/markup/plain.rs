//! Text without meaning to the portal, and text stripped to what can be compared.

use super::{BREAKER, QUOTE_FRAME, to_whatsapp};

/// Makes foreign text (a message, a name, a payload) harmless in the portal's BBCode; it looks as before.
/// Line ends become `\n`, other control characters go.
pub fn neutralise(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut line_start = true;
    while let Some(c) = rest.chars().next() {
        let mut tail = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\r' => {
                if !tail.starts_with('\n') {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => {
                out.push(c);
                if begins_token(rest, line_start) {
                    out.push(BREAKER);
                }
            }
        }
        if c == '-' {
            // A run as long as a quote frame is cut into shorter ones.
            let run = tail.len() - tail.trim_start_matches('-').len();
            for at in 1..=run {
                out.extend((at % (QUOTE_FRAME.len() - 1) == 0).then_some(BREAKER));
                out.push('-');
            }
            tail = tail.get(run..).unwrap_or_default();
        }
        line_start = matches!(c, '\n' | '\r');
        rest = tail;
    }
    out
}

/// Whether the portal would interpret what begins here.
fn begins_token(rest: &str, line_start: bool) -> bool {
    let is_emoji_token = || {
        let token = rest.as_bytes().get(..10);
        token.is_some_and(
            |token| matches!(token, [b':', hex @ .., b':'] if hex.iter().all(u8::is_ascii_hexdigit)),
        )
    };
    match rest.as_bytes().first() {
        Some(b'[') => true,
        Some(b':') => is_emoji_token(),
        Some(b'#') => rest.get(..4).is_some_and(|token| token.eq_ignore_ascii_case("#br#")),
        Some(b'>') => line_start && rest.starts_with(">>"),
        _ => false,
    }
}

/// What two renderings of the same message have in common: letters and digits in lower case, all markup,
/// BBCode, emoji and spacing gone. Two texts with the same non-empty key are taken for the same message,
/// which is how a quote in an operator's text is matched with the quoted message.
pub fn plain_key(text: &str) -> String {
    let text = to_whatsapp(text);
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_of_the_portal_is_broken() {
        for (typed, shown) in [
            ("[b]x[/b]", "[\u{200b}b]x[\u{200b}/b]"),
            ("[[url=x]]", "[\u{200b}[\u{200b}url=x]]"),
            (":f09f9880:", ":\u{200b}f09f9880:"),
            ("::F09F9880:", "::\u{200b}F09F9880:"),
            ("a#BR#b", "a#\u{200b}BR#b"),
            (">>x\n>>y a>>b", ">\u{200b}>x\n>\u{200b}>y a>>b"),
            ("a\r\nb\rc\u{0}d\te", "a\nb\ncd\te"),
            ("[", "[\u{200b}"),
        ] {
            assert_eq!(neutralise(typed), shown, "{typed:?}");
        }
    }

    #[test]
    fn no_run_of_54_hyphens_survives() {
        for length in [53, 54, 55, 107, 108, 109, 400] {
            let shown = neutralise(&"-".repeat(length));
            assert!(!shown.contains(QUOTE_FRAME), "{length}");
            assert_eq!(shown.replace(BREAKER, ""), "-".repeat(length));
        }
        assert_eq!(neutralise("--- a-b"), "--- a-b");
    }

    #[test]
    fn what_means_nothing_to_the_portal_is_left_alone() {
        for text in
            ["1", "0 stars", "a > b", "> quote", ":smile: :12:", "#BRA", "]", "🇩🇪 👩‍👩‍👧", "שלום", "&#91;b&#93;"]
        {
            assert_eq!(neutralise(text), text);
        }
    }

    #[test]
    fn renderings_of_the_same_text_have_the_same_key() {
        assert_eq!(plain_key("*Hello*, [World]! 👋"), plain_key("[b]Hello[/b], [\u{200b}World]!"));
        assert_eq!(plain_key("👋"), "");
    }
}
