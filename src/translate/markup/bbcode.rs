//! BBCode to WhatsApp markup.

mod pieces;
pub(super) mod tags;

use super::BREAKER;
use pieces::Piece;
use tags::{Tag, Token};

/// Tags open at the same time; further ones stay as typed.
const MAX_DEPTH: usize = 32;

/// What an operator wrote, as WhatsApp shows it best.
///
/// `b i s code` become markers (dropped where WhatsApp would not render them, inside a word), links
/// become `text (address)`, people and chats their names, pictures their address, quotes lines with `> `,
/// `[br]` and `#BR#` line ends, `:f09f9880:` emoji; what has no counterpart (colour, size, underline)
/// leaves its text. Brackets that are no BBCode, and tags without their partner, stay as typed.
pub fn to_whatsapp(bbcode: &str) -> String {
    let mut builder = Builder { frames: vec![Frame::base()] };
    let mut rest = bbcode;
    while let Some((before, token, after)) = tags::next(rest) {
        builder.text(before);
        rest = builder.token(token, after);
    }
    builder.text(rest);
    pieces::render(builder.finish())
}

/// An open tag and what has been read inside it; the base frame has no tag.
struct Frame<'a> {
    tag: Option<Tag>,
    raw: &'a str,
    argument: &'a str,
    pieces: Vec<Piece>,
}

impl Frame<'_> {
    fn base() -> Self {
        Self { tag: None, raw: "", argument: "", pieces: Vec::new() }
    }
}

/// Builds the pieces of the text while tags open and close.
struct Builder<'a> {
    frames: Vec<Frame<'a>>,
}

impl<'a> Builder<'a> {
    fn push(&mut self, piece: Piece) {
        if let Some(frame) = self.frames.last_mut() {
            frame.pieces.push(piece);
        }
    }

    fn text(&mut self, raw: &str) {
        if !raw.is_empty() {
            self.push(Piece::Text(plain_text(raw)));
        }
    }

    /// Takes a token and answers what is left to read after it.
    fn token(&mut self, token: Token<'a>, after: &'a str) -> &'a str {
        match token {
            Token::Open { tag: Tag::Code, raw, .. } => {
                let Some((code, rest)) = tags::until_close(after, "code") else {
                    self.text(raw);
                    return after;
                };
                self.push(Piece::Text(code_block(code)));
                return rest;
            }
            Token::Open { raw, .. } if self.frames.len() > MAX_DEPTH => self.text(raw),
            Token::Open { tag, raw, argument } => {
                self.frames.push(Frame { tag: Some(tag), raw, argument, pieces: Vec::new() });
            }
            Token::Close { tag, raw } => self.close(tag, raw),
            Token::Single(text) => self.push(Piece::Text(text)),
        }
        after
    }

    fn close(&mut self, tag: Tag, raw: &str) {
        let Some(at) = self.frames.iter().rposition(|frame| frame.tag == Some(tag)) else {
            self.text(raw);
            return;
        };
        let mut opened = self.frames.split_off(at).into_iter();
        let Some(frame) = opened.next() else { return };
        let mut inner = frame.pieces;
        inner.extend(opened.flat_map(unclosed));
        let done = self.complete(tag, frame.argument, inner);
        if let Some(parent) = self.frames.last_mut() {
            parent.pieces.extend(done);
        }
    }

    /// The pieces of a closed tag.
    fn complete(&self, tag: Tag, argument: &str, inner: Vec<Piece>) -> Vec<Piece> {
        let marker = match tag {
            Tag::Bold => '*',
            Tag::Italic => '_',
            Tag::Strike => '~',
            Tag::Quote if self.frames.iter().any(|frame| frame.tag == Some(tag)) => return inner,
            Tag::Quote => return pieces::quoted(inner),
            Tag::Url => return vec![Piece::Text(link(argument, &pieces::render(inner)))],
            Tag::Image => return vec![Piece::Text(pieces::render(inner).trim().to_owned())],
            Tag::Send | Tag::Put => return or_argument(inner, argument),
            Tag::Call => return vec![Piece::Text(call(argument, &pieces::render(inner)))],
            Tag::Code | Tag::Plain(_) => return inner,
        };
        pieces::marked(inner, marker)
    }

    /// Everything read, tags that were never closed as they were typed.
    fn finish(self) -> Vec<Piece> {
        self.frames.into_iter().flat_map(unclosed).collect()
    }
}

fn unclosed(frame: Frame<'_>) -> Vec<Piece> {
    let mut pieces = frame.pieces;
    if !frame.raw.is_empty() {
        pieces.insert(0, Piece::Text(plain_text(frame.raw)));
    }
    pieces
}

/// `text (address)`, or the address alone if the text says nothing else.
fn link(argument: &str, text: &str) -> String {
    let bare = |url: &str| {
        let url = url.trim().trim_end_matches('/');
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.strip_prefix("mailto:").or(rest.strip_prefix("tel:")).unwrap_or(rest).to_lowercase()
    };
    let (address, text) = (argument.trim().trim_matches(['"', '\'']), text.trim());
    match (address.is_empty(), text.is_empty()) {
        (true, _) => text.to_owned(),
        (false, true) => address.to_owned(),
        _ if bare(address) == bare(text) => address.strip_prefix("mailto:").unwrap_or(address).to_owned(),
        _ => format!("{text} ({address})"),
    }
}

/// A telephone link: its text, with the number if the text does not show it.
fn call(number: &str, text: &str) -> String {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    match (number.trim(), text.trim()) {
        ("", text) => text.to_owned(),
        (number, "") => number.to_owned(),
        (number, text) if digits(text).contains(&digits(number)) => text.to_owned(),
        (number, text) => format!("{text} ({number})"),
    }
}

fn or_argument(inner: Vec<Piece>, argument: &str) -> Vec<Piece> {
    let is_blank = inner.iter().all(|piece| matches!(piece, Piece::Text(text) if text.trim().is_empty()));
    if is_blank { vec![Piece::Text(argument.trim().to_owned())] } else { inner }
}

/// Code keeps its text; WhatsApp has no way to write three backticks inside.
fn code_block(code: &str) -> String {
    let code = plain_text(code);
    let code = code.trim_matches('\n');
    if code.trim().is_empty() || code.contains("```") { code.to_owned() } else { format!("```{code}```") }
}

/// Text outside of tags: emoji and line tokens decoded, our own breakers taken out.
pub(super) fn plain_text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            ':' => match emoji_token(rest) {
                Some(emoji) => {
                    out.push_str(&emoji);
                    taken = 10;
                }
                None => out.push(c),
            },
            '#' if rest.get(..4).is_some_and(|token| token.eq_ignore_ascii_case("#br#")) => {
                out.push('\n');
                taken = 4;
            }
            '\r' => {}
            BREAKER if out.ends_with(['[', ':', '#', '>', '-']) => {}
            _ => out.push(c),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// `:f09f9880:`: the hex of the four bytes of an emoji.
fn emoji_token(rest: &str) -> Option<String> {
    let hex = rest.strip_prefix(':')?.get(..8)?;
    rest.get(9..10).filter(|end| *end == ":")?;
    let text = String::from_utf8(hex::decode(hex).ok()?).ok()?;
    (text.chars().count() == 1).then_some(text)
}

#[cfg(test)]
#[path = "bbcode/tests.rs"]
mod tests;
