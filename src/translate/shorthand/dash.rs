//! `template-NAME+…` and `template+NAME+…`, and the bare `NAME+en_US+…` of an SMS.

use super::{ButtonGiven, HeaderFile, MediaSource, Parsed, Refusal, is_invisible, language};

const FILE_LINK: &str = "file_link:";

/// What follows `template-` or `template+`.
pub fn read(text: &str) -> Result<Parsed, Refusal> {
    let (name, rest) = text.split_once('+').unwrap_or((text, ""));
    read_named(name, rest)
}

/// The same with the name taken off.
pub fn read_named(name: &str, rest: &str) -> Result<Parsed, Refusal> {
    let name: String = name.trim().chars().filter(|c| !is_invisible(*c)).collect();
    if name.is_empty() {
        return Err(Refusal::NameMissing);
    }
    let parsed = Parsed { name, ..Parsed::default() };
    let mut reader = Reader { parsed, rest, in_values: false };
    while reader.step()? {}
    Ok(reader.parsed)
}

/// The bare form `NAME+LANGUAGE…`, which an SMS may have.
pub struct Bare<'a> {
    pub name: &'a str,
    pub rest: &'a str,
    /// Nobody writes so in a text for people, whether there is such a template or not.
    pub is_sure: bool,
}

/// The bare form; `None`: it is none. `you+me` has the look of one, with a language of two letters.
pub fn bare(text: &str) -> Option<Bare<'_>> {
    let (name, rest) = text.split_once('+')?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let segment = rest.split('+').next().unwrap_or_default();
    let language = language::code(segment.split('|').next().unwrap_or_default());
    let begin = segment.trim_start();
    let has_part = after_prefix(begin, FILE_LINK).is_some() || button_param(begin).is_some();
    let is_sure = has_part || language.as_ref().is_some_and(|code| code.contains('_') || name.contains('_'));
    (is_sure || language.is_some()).then_some(Bare { name, rest, is_sure })
}

impl Parsed {
    /// A value of a list: a file or a button's part by its beginning, else a value.
    pub(super) fn take_item(&mut self, item: &str) -> Result<(), Refusal> {
        if let Some(text) = after_prefix(item.trim_start(), FILE_LINK) {
            let (link, rest) = take_url(text, false);
            self.set_file(MediaSource::parse(&unescaped(link))?, None)?;
            return match rest.trim() {
                "" => Ok(()),
                more => self.take_item(more),
            };
        }
        match button_param(item.trim_start()) {
            Some((number, text)) => self.add_button_param(number, text),
            None => {
                self.items.push(item.to_owned());
                Ok(())
            }
        }
    }

    pub(super) fn set_file(
        &mut self,
        source: MediaSource,
        kind: Option<&'static str>,
    ) -> Result<(), Refusal> {
        match self.header_file.replace(HeaderFile { source, kind }) {
            None => Ok(()),
            Some(_) => Err(Refusal::TwoFiles),
        }
    }

    fn add_button_param(&mut self, number: usize, text: &str) -> Result<(), Refusal> {
        self.buttons.push(ButtonGiven::UrlParam { number, text: text.trim().to_owned() });
        Ok(())
    }
}

/// Reads what follows the name: segments between `+`, then values between `|`.
struct Reader<'a> {
    parsed: Parsed,
    rest: &'a str,
    in_values: bool,
}

impl<'a> Reader<'a> {
    /// Takes one segment or value; `false` when there is no more.
    fn step(&mut self) -> Result<bool, Refusal> {
        if !self.in_values && self.takes_language() {
            return Ok(true);
        }
        if !self.in_values && self.rest.trim().is_empty() {
            return Ok(false);
        }
        let item = self.rest.trim_start();
        if let Some(text) = after_prefix(item, FILE_LINK) {
            let (link, rest) = take_url(text, self.parsed.language.is_none());
            self.parsed.set_file(MediaSource::parse(&unescaped(link))?, None)?;
            return Ok(self.goes_on_after_url(rest));
        }
        if let Some((number, text)) = button_param(item) {
            let ends: &[char] = if self.in_values { &['|'] } else { &['+', '|'] };
            let (value, rest) = cut(text, ends);
            self.parsed.add_button_param(number, &unescaped(value))?;
            return Ok(self.goes_on(rest));
        }
        self.in_values = true;
        let (value, rest) = cut(self.rest, &['|']);
        self.parsed.items.push(unescaped(value));
        Ok(self.goes_on(rest))
    }

    fn takes_language(&mut self) -> bool {
        let (segment, rest) = cut(self.rest, &['+']);
        let Some(code) = language::code(segment).filter(|_| self.parsed.language.is_none()) else {
            return false;
        };
        self.parsed.language = Some(code);
        self.rest = rest.strip_prefix('+').unwrap_or_default();
        true
    }

    /// Goes on behind the separator that `rest` begins with.
    fn goes_on(&mut self, rest: &'a str) -> bool {
        self.in_values |= rest.starts_with('|');
        self.rest = rest.strip_prefix(['|', '+']).unwrap_or_default();
        !rest.is_empty()
    }

    /// After an address there may be white space, and what follows it is a value.
    fn goes_on_after_url(&mut self, rest: &'a str) -> bool {
        let rest = rest.trim_start();
        match rest.chars().next() {
            Some('+') => {
                self.in_values = false;
                self.goes_on(rest)
            }
            Some('|') => self.goes_on(rest),
            Some(_) => {
                self.in_values = true;
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// An address and what follows: it ends at white space, at `|`, or at a `+` with a known segment behind it,
/// but for that never inside its query.
fn take_url(text: &str, language_open: bool) -> (&str, &str) {
    let text = text.trim_start();
    let (mut in_query, mut in_fragment, mut escaped) = (false, false, false);
    for (at, c) in text.char_indices() {
        let rest = || text.get(at + c.len_utf8()..).unwrap_or_default();
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if rest().starts_with(['|', '\\']) => escaped = true,
            '?' => in_query = !in_fragment,
            '#' => (in_query, in_fragment) = (false, true),
            '+' if in_query || !is_known_segment(rest(), language_open) => {}
            '+' | '|' => return text.split_at_checked(at).unwrap_or((text, "")),
            c if c.is_whitespace() => return text.split_at_checked(at).unwrap_or((text, "")),
            _ => {}
        }
    }
    (text, "")
}

fn is_known_segment(text: &str, language_open: bool) -> bool {
    let begin = text.trim_start();
    let is_language = || language_open && language::code(cut(text, &['+']).0).is_some();
    after_prefix(begin, FILE_LINK).is_some() || button_param(begin).is_some() || is_language()
}

/// Number and rest of `button_param2:…`; without a number it is the first.
fn button_param(text: &str) -> Option<(usize, &str)> {
    let rest = after_prefix(text, "button_param")?;
    let end = rest.find(':')?;
    let (number, rest) = rest.split_at_checked(end)?;
    let number = match number {
        "" => 1,
        digits if digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some((number, rest.strip_prefix(':')?))
}

pub(super) fn after_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (begin, rest) = text.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The text before the first of `ends` that is not escaped, and the rest with it.
pub(super) fn cut<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let next = || text.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
        if std::mem::take(&mut escaped) {
            continue;
        }
        if c == '\\' && next().is_some_and(|next| next == '\\' || (next != '+' && ends.contains(&next))) {
            escaped = true;
        } else if ends.contains(&c) {
            return text.split_at_checked(at).unwrap_or((text, ""));
        }
    }
    (text, "")
}

/// `\|` is a bar, `\\` a backslash; any other backslash is itself.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ ('|' | '\\'))) => {
                out.push(*next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}
