//! Cuts a text that is too long for one message at a good place.
//!
//! Meta says "characters" without saying which. UTF-16 units are counted: a text has never fewer of them
//! than Unicode characters, so a part fits whichever is meant.

use unicode_segmentation::UnicodeSegmentation;

use super::markup::to_bbcode;

/// Longest text of a WhatsApp message (whatsapp-messaging facts §2.3).
pub const TEXT_LIMIT: usize = 4096;

/// Longest caption of a file.
pub const CAPTION_LIMIT: usize = 1024;

/// Longest text of a message in the portal, which cuts what is longer (bitrix24 facts §3.8).
pub const LINE_LIMIT: usize = 20_000;

/// The parts of a text for WhatsApp, each within [`TEXT_LIMIT`]; none if there is only white space.
pub fn text(body: &str) -> Vec<String> {
    parts(body, TEXT_LIMIT)
}

/// A caption within [`CAPTION_LIMIT`] and what follows it as texts.
pub fn caption(body: &str) -> (Option<String>, Vec<String>) {
    let (caption, rest) = cut(body.trim(), CAPTION_LIMIT);
    ((!caption.is_empty()).then_some(caption), text(&rest))
}

/// The BBCode of a customer's text in parts that the portal takes whole, with room for a quote before
/// the first. A text that fits is one part, its white space kept.
pub fn bbcode_for_line(body: &str) -> Vec<String> {
    let whole = to_bbcode(body);
    if length(&whole) <= LINE_LIMIT - 2_000 {
        return vec![whole];
    }
    let mut size = LINE_LIMIT - 2_000;
    loop {
        // Markup makes a text longer by an amount that depends on it.
        let shown: Vec<String> = parts(body, size).iter().map(|part| to_bbcode(part)).collect();
        if size < 1_000 || shown.iter().all(|part| length(part) <= LINE_LIMIT - 2_000) {
            return shown;
        }
        size /= 2;
    }
}

/// BBCode of short lines in parts that the portal takes whole.
pub fn lines_for_line(bbcode: String) -> Vec<String> {
    let limit = LINE_LIMIT - 2_000;
    if length(&bbcode) <= limit { vec![bbcode] } else { parts(&bbcode, limit) }
}

/// Length as counted here, in UTF-16 units.
pub fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The parts of a text, each within `limit`.
pub fn parts(body: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = body.trim().to_owned();
    while !rest.is_empty() {
        let (part, after) = cut(&rest, limit);
        if !part.is_empty() {
            parts.push(part);
        }
        rest = after;
    }
    parts
}

/// Marks that open and close a stretch of code.
const FENCE: &str = "```";

/// The first part within `limit` and the rest, both without white space where they meet. A stretch of
/// code that is cut is closed and opened again.
fn cut(text: &str, limit: usize) -> (String, String) {
    let whole = end_within(text, limit);
    if whole == text.len() {
        return (text.to_owned(), String::new());
    }
    let reserved = if text.contains(FENCE) { FENCE.len() } else { 0 };
    let window = text.get(..end_within(text, limit - reserved)).unwrap_or(text);
    let at = good_place(window);
    let (head, tail) = text.split_at_checked(at).unwrap_or((text, ""));
    let (head, tail) = (head.trim_end(), tail.trim_start());
    let is_in_code = reserved > 0 && head.matches(FENCE).count() % 2 == 1 && !head.ends_with(FENCE);
    if is_in_code && !tail.is_empty() {
        (format!("{head}{FENCE}"), format!("{FENCE}{tail}"))
    } else {
        (head.to_owned(), tail.to_owned())
    }
}

/// Where the last whole grapheme ends within `limit`; at least one is taken unless it alone is longer,
/// then it is cut between characters.
fn end_within(text: &str, limit: usize) -> usize {
    let within = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut used = 0;
        let mut end = 0;
        for (bytes, units) in sizes {
            used += units;
            if used > limit {
                break;
            }
            end += bytes;
        }
        end
    };
    let end = within(&mut text.graphemes(true).map(|grapheme| (grapheme.len(), length(grapheme))));
    if end > 0 { end } else { within(&mut text.chars().map(|c| (c.len_utf8(), c.len_utf16()))) }
}

/// After a paragraph, a line, a sentence or a word, in this order; the first three only in the second
/// half of the window, so that parts do not become tiny.
fn good_place(window: &str) -> usize {
    let half = window.len() / 2;
    let after = |separator: &str| window.rfind(separator).map(|at| at + separator.len());
    let sentence = [". ", "! ", "? ", "… ", "。", "！", "？"].into_iter().filter_map(after).max();
    let places = [after("\n\n"), after("\n"), sentence];
    let good = places.into_iter().flatten().find(|at| *at > half);
    let space = || window.rfind(char::is_whitespace).filter(|at| *at > 0);
    good.or_else(space).unwrap_or(window.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_one_part() {
        assert_eq!(text("hello"), ["hello"]);
        assert_eq!(text(&"x".repeat(4096)).len(), 1);
        assert_eq!(text(" \n "), Vec::<String>::new());
        assert_eq!(text(""), Vec::<String>::new());
    }

    #[test]
    fn a_long_text_is_cut_at_the_best_place() {
        for (body, first) in [
            ("aaa bbb. ccc\n\nddd eee", "aaa bbb. ccc"),
            ("aaa. bbb ccc\nddd eee fff", "aaa. bbb ccc"),
            ("aaa bbb ccc. ddd eee fff", "aaa bbb ccc."),
            ("aaa bbb ccc ddd eee fff", "aaa bbb ccc"),
            ("a bbbbbbbbbbbbbbbbbbbbb", "a"),
            ("aaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaa"),
        ] {
            assert_eq!(parts(body, 14)[0], first, "{body}");
        }
    }

    #[test]
    fn no_part_is_too_long_and_nothing_is_lost() {
        let words: String =
            (0..3_000).map(|n| format!("слово{n}{}", if n % 40 == 0 { ".\n\n" } else { " " })).collect();
        for body in
            [words, "👩‍👩‍👧‍👦".repeat(1_500), "e\u{301}".repeat(5_000), "x".repeat(20_000), "🇩🇪".repeat(4_000)]
        {
            let parts = text(&body);
            assert!(parts.len() > 1);
            assert!(
                parts.iter().all(|part| length(part) <= TEXT_LIMIT && part.chars().count() <= TEXT_LIMIT)
            );
            let squeeze = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(squeeze(&parts.concat()), squeeze(&body));
        }
    }

    #[test]
    fn an_emoji_of_several_characters_is_never_cut() {
        let family = "👩‍👩‍👧‍👦";
        for part in text(&family.repeat(1_000)) {
            assert_eq!(part.replace(family, ""), "");
        }
        assert!(parts(&format!("e{}", "\u{301}".repeat(10_000)), 4096).len() > 1);
    }

    #[test]
    fn a_long_caption_is_followed_by_texts() {
        let (caption, rest) = caption(&"word ".repeat(1_200));
        assert!(length(&caption.unwrap()) <= CAPTION_LIMIT);
        assert_eq!(rest.len(), 2);
        assert_eq!(super::caption("short"), (Some("short".to_owned()), vec![]));
        assert_eq!(super::caption(" "), (None, vec![]));
    }

    #[test]
    fn code_that_is_cut_stays_code() {
        let parts = text(&format!("```{}```", "line of code\n".repeat(700)));
        assert!(parts.len() > 2);
        for part in parts {
            assert!(part.starts_with(FENCE) && part.ends_with(FENCE), "{part:.40}");
            assert!(length(&part) <= TEXT_LIMIT);
        }
    }

    #[test]
    fn even_markup_that_grows_stays_within_what_the_portal_takes() {
        for body in ["[".repeat(60_000), "*a* `b` ".repeat(8_000), "plain ".repeat(10_000)] {
            let parts = bbcode_for_line(&body);
            assert!(parts.iter().all(|part| length(part) <= LINE_LIMIT));
        }
        assert_eq!(bbcode_for_line("*hi*"), ["[b]hi[/b]"]);
    }
}
