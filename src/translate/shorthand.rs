//! The short line by which an operator, a CRM user or a robot sends an approved template.
//!
//! [`recognise`] says whether a text is one, [`Parsed::fill`] finds its template and fills it. Nothing is
//! guessed: what looks like a shorthand and is wrong becomes a [`Refusal`] for whoever wrote it, and never
//! reaches the customer. `docs/shorthand.md` has every rule with its reason.

mod bracket;
mod clean;
mod dash;
mod fallback;
mod fill;
mod language;
mod nearest;
mod ready;
mod refusal;
mod source;

#[cfg(test)]
mod tests;

pub use fallback::{check_fallback, fill_fallback};
pub use fill::{FillOptions, Filled};
pub use ready::{example_link, ready, ready_lines};
pub use refusal::Refusal;
pub use source::MediaSource;

/// A code of a language as templates spell it, `en_US`; `None` if it is none.
pub use language::code as language_code;

/// Where a text was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// By an operator in an open line.
    Line,
    /// As the body of an SMS, where `name+en_US` is understood too.
    Sms,
}

/// What a text is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recognised {
    /// No shorthand: a text for the customer.
    Plain,
    /// A shorthand, to be filled.
    Shorthand(Parsed),
    /// An order: what is held for this customer is not to be sent.
    CancelHeld {
        /// Everything, else what was held last.
        all: bool,
    },
    /// It looks like a shorthand and is wrong.
    Wrong(Refusal),
}

/// A shorthand as it was typed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parsed {
    /// Name or id.
    name: String,
    /// With `_`.
    language: Option<String>,
    /// Values as typed, `name:…`, `code:…` and `payload:…` among them: the template tells which they are.
    items: Vec<String>,
    header_text: Option<String>,
    header_file: Option<HeaderFile>,
    header_filename: Option<String>,
    buttons: Vec<ButtonGiven>,
    fallback: Option<String>,
}

impl Parsed {
    /// The name or id that was typed.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A file for the header, and the kind that the key says it is (`header_image=`).
#[derive(Clone, PartialEq, Eq, Debug)]
struct HeaderFile {
    source: MediaSource,
    kind: Option<&'static str>,
}

/// Something for a button.
#[derive(Clone, PartialEq, Eq, Debug)]
enum ButtonGiven {
    /// `button_param:`: the n-th button with a variable in its address, from 1.
    UrlParam { number: usize, text: String },
    /// `button_url=[[…]]` of the button at this place, or of the next one of its kind.
    Url { index: Option<usize>, text: String },
    /// `button_payload=[[…]]` likewise.
    Payload { index: Option<usize>, text: String },
}

/// Reads a text. `exists` tells whether there is a template of a name, in letters of any size, which decides
/// about the bare form of an SMS (`hello_world+de`) where nothing else does; the other forms do not ask it.
pub fn recognise(text: &str, channel: Channel, exists: &dyn Fn(&str) -> bool) -> Recognised {
    let text = trimmed(text);
    let read = match opening(text) {
        Some(Opening::Dash(rest)) => dash::read(rest),
        Some(Opening::Bracket(rest)) => bracket::read(rest),
        Some(Opening::OldBracket(rest)) => bracket::read_old(rest),
        Some(Opening::HoldCancel(_)) if channel == Channel::Sms => {
            return Recognised::Wrong(Refusal::OnlyInLine);
        }
        Some(Opening::HoldCancel(rest)) => {
            return match rest.trim_start_matches('+').trim().to_ascii_lowercase().as_str() {
                "" => Recognised::CancelHeld { all: false },
                "all" => Recognised::CancelHeld { all: true },
                _ => Recognised::Wrong(Refusal::UnknownOrder { order: text.to_owned() }),
            };
        }
        None if channel == Channel::Sms => match dash::bare(text) {
            Some(bare) if bare.is_sure || exists(bare.name) => dash::read_named(bare.name, bare.rest),
            _ => return Recognised::Plain,
        },
        None => return Recognised::Plain,
    };
    match read {
        Ok(parsed) => Recognised::Shorthand(parsed),
        Err(refusal) => Recognised::Wrong(refusal),
    }
}

/// Whether a text begins as a shorthand does: such a text is never a customer's.
pub fn looks_like(text: &str) -> bool {
    opening(trimmed(text)).is_some()
}

enum Opening<'a> {
    Dash(&'a str),
    Bracket(&'a str),
    OldBracket(&'a str),
    HoldCancel(&'a str),
}

/// By what an operator takes back a text that is held.
const HOLD_CANCEL: &str = "hold-cancel";

/// What follows the opening of a shorthand. A telephone writes the first letter large, so case is nothing, and
/// it may make another dash of a hyphen.
fn opening(text: &str) -> Option<Opening<'_>> {
    if let Some(rest) = after("template", text).and_then(|rest| strip_mark(rest, is_dash_or_plus)) {
        return Some(Opening::Dash(rest));
    }
    if let Some(rest) = after(HOLD_CANCEL, text)
        && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    {
        return Some(Opening::HoldCancel(rest));
    }
    if let Some(rest) = after("&((", text) {
        return Some(Opening::Bracket(rest));
    }
    let rest = after("&[", text)?;
    rest.contains("](").then_some(Opening::OldBracket(rest))
}

/// What follows a word, whatever the size of its letters and whatever nobody sees between them.
fn after<'a>(word: &str, text: &'a str) -> Option<&'a str> {
    let mut rest = text;
    for letter in word.chars() {
        rest = strip_mark(rest, |c| c.eq_ignore_ascii_case(&letter))?;
    }
    Some(rest)
}

/// Without the first mark that is seen, if it is one of these.
fn strip_mark(text: &str, is_it: impl Fn(char) -> bool) -> Option<&str> {
    text.trim_start_matches(is_invisible).strip_prefix(is_it)
}

/// Hyphens, dashes and the minus, narrow and wide, and the plus.
fn is_dash_or_plus(c: char) -> bool {
    matches!(
        c,
        '-' | '+' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff0b}'
    )
}

/// Without white space at either end and marks that nobody sees at the beginning; at the end they may belong
/// to a value.
fn trimmed(text: &str) -> &str {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    text.trim_start_matches(|c: char| is_blank(c) || is_invisible(c)).trim_end_matches(is_blank)
}

/// Marks of direction, joiners, byte order mark, selectors of a shape, blanks that are no white space, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}
