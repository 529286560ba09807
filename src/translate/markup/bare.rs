//! BBCode to what was typed: for texts that are read by a program and not by a person.

use super::bbcode::plain_text;
use super::bbcode::tags::{self, Tag, Token};

/// A text without markup: of a link its address, of everything else its text. Brackets that are no pair of
/// tags stay, and so do those of `[[b]]`, which a shorthand has around its values.
pub fn bare(bbcode: &str) -> String {
    let mut out = String::with_capacity(bbcode.len());
    let mut dropped: Vec<Tag> = Vec::new();
    let mut rest = bbcode;
    while let Some((before, token, after)) = tags::next(rest) {
        out.push_str(&plain_text(before));
        let in_value = out.ends_with('[') && after.starts_with(']');
        let raw_end = rest.len() - after.len();
        let raw = rest.get(before.len()..raw_end).unwrap_or_default();
        rest = after;
        match token {
            _ if in_value => out.push_str(raw),
            Token::Single(text) => out.push_str(&text),
            Token::Close { tag, .. } => match dropped.iter().rposition(|open| *open == tag) {
                Some(at) => {
                    dropped.remove(at);
                }
                None => out.push_str(raw),
            },
            Token::Open { tag, argument, .. } => match (tag, tags::until_close(after, name_of(raw))) {
                (_, None) => out.push_str(raw),
                (Tag::Code, Some((inner, behind))) => {
                    out.push_str(&plain_text(inner));
                    rest = behind;
                }
                (Tag::Url, Some((_, behind))) if !argument.trim().is_empty() => {
                    out.push_str(argument.trim().trim_matches(['"', '\'']));
                    rest = behind;
                }
                (tag, Some(_)) => dropped.push(tag),
            },
        }
    }
    out.push_str(&plain_text(rest));
    out
}

/// `url` of `[url=…]`.
fn name_of(raw: &str) -> &str {
    let name = raw.trim_start_matches('[');
    let end = name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len());
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_what_was_typed_stays() {
        for (text, typed) in [
            ("template-x+en_US", "template-x+en_US"),
            ("[b]template-x[/b]+en", "template-x+en"),
            (
                "x+file_link:[URL=https://a.example/b.jpg?c=1+2]https://a.example/b…[/URL]|v",
                "x+file_link:https://a.example/b.jpg?c=1+2|v",
            ),
            ("x [url]https://a.example/[/url]|v", "x https://a.example/|v"),
            ("a[br]b#BR#c", "a\nb\nc"),
            ("[USER=5]Ann[/USER] :f09f9880:", "Ann 😀"),
            (
                "&((template=[[b]] body_text=[[i]] x=[[br]]))&",
                "&((template=[[b]] body_text=[[i]] x=[[br]]))&",
            ),
            ("[[b]x[/b]]", "[x]"),
            ("[b]open and [i]shut[/i] [/s]", "[b]open and shut [/s]"),
            ("[code]template-[b]x[/b][/code]", "template-[b]x[/b]"),
            ("[url=https://a.example]never shut", "[url=https://a.example]never shut"),
            ("[\u{200b}b]", "[b]"),
            ("a [b] c]", "a [b] c]"),
            ("", ""),
        ] {
            assert_eq!(bare(text), typed, "{text}");
        }
    }
}
