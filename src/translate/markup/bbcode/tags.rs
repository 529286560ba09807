//! Finds BBCode tags in a text (bitrix24 facts §4.1). What is no tag of the portal is not found.

use chrono::DateTime;

/// A tag that has a closing partner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// `[b]`
    Bold,
    /// `[i]`
    Italic,
    /// `[s]`
    Strike,
    /// `[code]`
    Code,
    /// `[quote]`
    Quote,
    /// `[url]`, `[url=…]`
    Url,
    /// `[img]`
    Image,
    /// `[send=…]`: a button that writes its text.
    Send,
    /// `[put=…]`: a button that fills the input.
    Put,
    /// `[call=…]`
    Call,
    /// Leaves only its text: `u`, `user`, `chat`, `context`, `size`, `color`, `pch`.
    Plain(&'static str),
}

/// What can be found.
#[derive(Clone, PartialEq, Debug)]
pub enum Token<'a> {
    /// An opening tag.
    Open {
        /// Which.
        tag: Tag,
        /// As typed.
        raw: &'a str,
        /// What follows the `=`.
        argument: &'a str,
    },
    /// A closing tag.
    Close {
        /// Which.
        tag: Tag,
        /// As typed.
        raw: &'a str,
    },
    /// A tag without partner: the text it stands for.
    Single(String),
}

/// The first tag: what is before, the tag, what is after.
pub fn next(text: &str) -> Option<(&str, Token<'_>, &str)> {
    text.match_indices('[').find_map(|(at, _)| {
        let (before, rest) = text.split_at_checked(at)?;
        // No tag of the portal crosses a line or holds another bracket.
        let end = rest.get(1..)?.find(['[', ']', '\n'])? + 2;
        let (raw, after) = rest.split_at_checked(end).filter(|(raw, _)| raw.ends_with(']'))?;
        Some((before, token(raw)?, after))
    })
}

/// What is before the closing tag `name`, and what is after it.
pub fn until_close<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    text.match_indices("[/").find_map(|(at, _)| {
        let (inner, rest) = text.split_at_checked(at)?;
        let (found, rest) = rest.get(2..)?.split_at_checked(name.len())?;
        let rest = rest.strip_prefix(']').filter(|_| found.eq_ignore_ascii_case(name))?;
        Some((inner, rest))
    })
}

fn token(raw: &str) -> Option<Token<'_>> {
    let inner = raw.strip_prefix('[')?.strip_suffix(']')?;
    if let Some(name) = inner.strip_prefix('/') {
        return Some(Token::Close { tag: tag(name)?, raw });
    }
    let end = inner.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(end)?;
    let argument = match rest.chars().next() {
        None => "",
        Some('=') => rest.get(1..)?,
        // `[img size=medium]`
        Some(' ') if name.eq_ignore_ascii_case("img") => rest.trim(),
        Some(_) => return None,
    };
    if let Some(text) = single(name, argument, !rest.is_empty()) {
        return Some(Token::Single(text));
    }
    let tag = tag(name)?;
    let wants_argument = matches!(tag, Tag::Send | Tag::Put | Tag::Call)
        || matches!(tag, Tag::Plain("user" | "chat" | "context" | "size" | "color" | "pch"));
    let takes_argument = wants_argument || matches!(tag, Tag::Url | Tag::Image | Tag::Code | Tag::Quote);
    let fits = if rest.is_empty() {
        !wants_argument || matches!(tag, Tag::Send | Tag::Put | Tag::Call)
    } else {
        takes_argument
    };
    fits.then_some(Token::Open { tag, raw, argument })
}

fn tag(name: &str) -> Option<Tag> {
    Some(match name.to_ascii_lowercase().as_str() {
        "b" => Tag::Bold,
        "i" => Tag::Italic,
        "s" => Tag::Strike,
        "code" => Tag::Code,
        "quote" => Tag::Quote,
        "url" => Tag::Url,
        "img" => Tag::Image,
        "send" => Tag::Send,
        "put" => Tag::Put,
        "call" => Tag::Call,
        "u" => Tag::Plain("u"),
        "user" => Tag::Plain("user"),
        "chat" => Tag::Plain("chat"),
        "context" => Tag::Plain("context"),
        "size" => Tag::Plain("size"),
        "color" => Tag::Plain("color"),
        "pch" => Tag::Plain("pch"),
        _ => return None,
    })
}

/// Tags without partner and what they stand for in a text.
fn single(name: &str, argument: &str, has_argument: bool) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let text = match (name.as_str(), has_argument) {
        ("br", false) => "\n".to_owned(),
        ("like", false) => "👍".to_owned(),
        ("dislike", false) => "👎".to_owned(),
        ("icon", true) => attribute(argument, "title"),
        ("timestamp", true) => instant(argument)?,
        ("rating", true) => "⭐".repeat(argument.trim().parse::<usize>().ok()?.min(5)),
        ("disk" | "attach", true) => String::new(),
        _ => return None,
    };
    Some(text)
}

/// `title` of `https://… size=20 title=Hello world`: up to the next attribute or the end.
fn attribute(argument: &str, name: &str) -> String {
    let value = argument.split_once(&format!(" {name}=")).map_or("", |(_, value)| value);
    let end = [" size=", " width=", " height=", " title="].iter().filter_map(|next| value.find(next)).min();
    value.get(..end.unwrap_or(value.len())).unwrap_or_default().trim_matches(['"', ' ']).to_owned()
}

/// Seconds since 1970, as UTC: the portal's time zone is not in the tag.
fn instant(argument: &str) -> Option<String> {
    let seconds = argument.split_whitespace().next()?.parse().ok()?;
    Some(DateTime::from_timestamp(seconds, 0)?.format("%d.%m.%Y %H:%M UTC").to_string())
}
