//! `&((key=[[…]] …))&`, and the old `&[fallback](namespace, name, v1, v2)`.

use super::dash::{cut, unescaped};
use super::{ButtonGiven, MediaSource, Parsed, Refusal};

/// What follows `&((`.
pub fn read(text: &str) -> Result<Parsed, Refusal> {
    let mut parsed = Parsed::default();
    // The button that the next payload or address is for.
    let mut index = None;
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("))&") {
            return match after.trim() {
                "" if parsed.name.is_empty() => Err(Refusal::NameMissing),
                "" => Ok(parsed),
                more => Err(Refusal::TextBehind { text: more.to_owned() }),
            };
        }
        let Some((key, value, after)) = pair(rest) else {
            return Err(match rest.is_empty() {
                true => Refusal::NotClosed { end: "))&" },
                false => Refusal::BracketBroken { at: rest.to_owned() },
            });
        };
        parsed.set(key, value, &mut index)?;
        rest = after.trim_start();
    }
}

/// What follows `&[`.
pub fn read_old(text: &str) -> Result<Parsed, Refusal> {
    let (fallback, arguments) = fallback_and_arguments(text);
    let Some((inner, behind)) = arguments.rsplit_once(')') else {
        return Err(Refusal::NotClosed { end: ")" });
    };
    if !behind.trim().is_empty() {
        return Err(Refusal::TextBehind { text: behind.trim().to_owned() });
    }
    let mut parsed = Parsed { fallback: Some(fallback.trim().to_owned()), ..Parsed::default() };
    let mut rest = inner;
    for place in 0.. {
        let (field, after) = cut(rest, &[',']);
        let field = unescaped(&field.replace("\\,", ",")).trim().to_owned();
        match place {
            // Meta no longer asks for the namespace.
            0 => {}
            1 => parsed.name = field,
            _ => parsed.take_item(&field)?,
        }
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    if parsed.name.is_empty() { Err(Refusal::NameMissing) } else { Ok(parsed) }
}

impl Parsed {
    fn set(&mut self, key: &str, value: &str, index: &mut Option<usize>) -> Result<(), Refusal> {
        let twice = || Refusal::KeyTwice { key: key.to_owned() };
        let once = |place: &mut Option<String>| match place.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(twice()),
        };
        match key {
            "namespace" => {}
            "template" if self.name.is_empty() => self.name = value.to_owned(),
            "template" => return Err(twice()),
            "fallback" => once(&mut self.fallback)?,
            "language" => {
                // What is no code by its look may still be one of Meta's: the template tells.
                let code = super::language::code(value).unwrap_or_else(|| value.to_owned());
                if !code.is_empty() && self.language.replace(code).is_some() {
                    return Err(twice());
                }
            }
            "header_image" => self.set_file(MediaSource::parse(value)?, Some("IMAGE"))?,
            "header_video" => self.set_file(MediaSource::parse(value)?, Some("VIDEO"))?,
            "header_document" => self.set_file(MediaSource::parse(value)?, Some("DOCUMENT"))?,
            "header_filename" => once(&mut self.header_filename)?,
            "header_text" => once(&mut self.header_text)?,
            "body_text" => self.items.push(value.to_owned()),
            "button_index" => {
                let number = value.parse().map_err(|_| Refusal::BadIndex { index: value.to_owned() })?;
                *index = Some(number);
            }
            "button_payload" => {
                self.buttons.push(ButtonGiven::Payload { index: index.take(), text: value.to_owned() });
            }
            "button_url" => {
                self.buttons.push(ButtonGiven::Url { index: index.take(), text: value.to_owned() });
            }
            _ => return Err(Refusal::UnknownKey { key: key.to_owned() }),
        }
        Ok(())
    }
}

/// Key, value and rest of `key=[[value]]…`. Brackets inside a value are part of it as long as they match.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (key, rest) = text.split_at_checked(end)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix("[[")?;
    let end = value_end(rest)?;
    let (value, rest) = rest.split_at_checked(end)?;
    (!key.is_empty()).then_some((key, value.trim(), rest.strip_prefix("]]")?))
}

/// Where the `]]` is that closes a value: behind as many inner `[[…]]` as were opened, and at the end of a
/// run of brackets (`[[a [b]]]` has the value `a [b]`).
fn value_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let pair_at = |at: usize, pair: &[u8]| bytes.get(at..at + 2) == Some(pair);
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        if pair_at(at, b"[[") {
            depth += 1;
            at += 2;
        } else if pair_at(at, b"]]") && depth > 0 {
            depth -= 1;
            at += 2;
        } else if pair_at(at, b"]]") && bytes.get(at + 2) != Some(&b']') {
            return Some(at);
        } else {
            at += 1;
        }
    }
    // An inner `[[` that is never closed is text.
    text.find("]]")
}

/// The text in the square brackets and what follows the round one. Brackets inside the text may nest.
fn fallback_and_arguments(text: &str) -> (&str, &str) {
    let mut depth = 1usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => {
                let follows = text.get(at + 1..).unwrap_or_default();
                if depth == 1 && follows.starts_with('(') {
                    return (text.get(..at).unwrap_or_default(), follows.get(1..).unwrap_or_default());
                }
                depth = depth.saturating_sub(1).max(1);
            }
            _ => {}
        }
    }
    text.rsplit_once("](").unwrap_or((text, ""))
}
