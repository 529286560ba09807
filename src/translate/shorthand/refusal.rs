//! Why a shorthand is not sent: one sentence each, for whoever wrote it.

mod english;
mod russian;

use crate::domain::Language;
use crate::translate::say;

/// Why a shorthand is not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `template-` with nothing behind it.
    NameMissing,
    /// No template is known for this number at all.
    NoTemplates,
    /// There is no template of this name or id.
    UnknownName {
        /// As typed.
        name: String,
        /// Names that are near.
        nearest: Vec<String>,
    },
    /// Not in this language.
    NoLanguage {
        /// The template.
        name: String,
        /// As typed, with `_`.
        language: String,
        /// Languages that exist, those that cannot be sent with their status.
        there: Vec<String>,
    },
    /// No language was typed and none can be chosen.
    LanguageMissing {
        /// The template.
        name: String,
        /// Languages that exist.
        there: Vec<String>,
    },
    /// Not approved.
    Status {
        /// Name and language.
        template: String,
        /// Meta's word.
        status: String,
        /// Meta's reason.
        reason: Option<String>,
    },
    /// It has a part that a shorthand cannot fill.
    Unsupported {
        /// Name and language.
        template: String,
        /// Meta's word for the part.
        part: String,
    },
    /// Too few or too many values.
    Count {
        /// Name and language.
        template: String,
        /// How many it has.
        needs: usize,
        /// How many were typed.
        given: usize,
        /// Variables without a value.
        missing: Vec<String>,
    },
    /// A value says nothing.
    ValueEmpty {
        /// Name and language.
        template: String,
        /// The variable.
        variable: String,
    },
    /// A variable was given two values.
    ValueTwice {
        /// Name and language.
        template: String,
        /// The variable.
        variable: String,
    },
    /// `name:value` with a name that is almost one of the template's.
    UnknownVariable {
        /// Name and language.
        template: String,
        /// As typed.
        name: String,
        /// Its variables.
        there: Vec<String>,
    },
    /// What is filled in makes a part too long.
    TooLong {
        /// Name and language.
        template: String,
        /// Which part.
        part: Part,
        /// Characters allowed.
        limit: usize,
        /// Characters there would be.
        length: usize,
    },
    /// Its header is a file, and none was given.
    FileMissing {
        /// Name and language.
        template: String,
        /// `IMAGE`, `VIDEO`, `DOCUMENT`.
        kind: &'static str,
    },
    /// A file was given, and its header takes none.
    FileNotTaken {
        /// Name and language.
        template: String,
    },
    /// A file of another kind was given.
    FileKind {
        /// Name and language.
        template: String,
        /// What the header is.
        wanted: &'static str,
        /// What was given.
        given: String,
    },
    /// Two files.
    TwoFiles,
    /// No address and no number of a file.
    BadLink {
        /// As typed.
        link: String,
    },
    /// The file cannot be fetched.
    FileUnavailable {
        /// Why.
        reason: String,
    },
    /// The file is larger than WhatsApp takes as this header.
    FileTooLarge {
        /// Name and language.
        template: String,
        /// The limit.
        megabytes: u64,
    },
    /// It is marketing, which the contact has stopped.
    OptedOut {
        /// Name and language.
        template: String,
    },
    /// Files were attached to the line of a template that takes none.
    FilesAttached {
        /// Name and language.
        template: String,
    },
    /// An order about held texts that is none.
    UnknownOrder {
        /// As typed.
        order: String,
    },
    /// An order that only an operator can give.
    OnlyInLine,
    /// The header's text has a variable without a value.
    HeaderTextMissing {
        /// Name and language.
        template: String,
    },
    /// A value for the header's text, which has no variable.
    HeaderTextNotTaken {
        /// Name and language.
        template: String,
    },
    /// An address ends in a variable without a value.
    ButtonParamMissing {
        /// Name and language.
        template: String,
        /// Which of them, from 1.
        number: usize,
        /// Its label.
        label: String,
    },
    /// The code of a button is missing.
    CodeMissing {
        /// Name and language.
        template: String,
        /// Its label.
        label: String,
    },
    /// Something for a button that is not there.
    NoButton {
        /// Name and language.
        template: String,
        /// What was typed, as `button_param2:`.
        part: String,
    },
    /// Something for a button twice, or nothing in it.
    ButtonGiven {
        /// Name and language.
        template: String,
        /// What was typed.
        part: String,
        /// Twice; else empty.
        twice: bool,
    },
    /// Two different codes for one one-time password.
    CodesDiffer {
        /// Name and language.
        template: String,
    },
    /// A bracket form without its end.
    NotClosed {
        /// What has to stand there.
        end: &'static str,
    },
    /// A bracket form that cannot be read from here on.
    BracketBroken {
        /// The rest.
        at: String,
    },
    /// A key that there is not.
    UnknownKey {
        /// As typed.
        key: String,
    },
    /// A key that may stand once.
    KeyTwice {
        /// As typed.
        key: String,
    },
    /// `button_index` is no number.
    BadIndex {
        /// As typed.
        index: String,
    },
    /// Text behind the end of a bracket form.
    TextBehind {
        /// That text.
        text: String,
    },
    /// A part of a long text would begin as a shorthand does.
    PartLooksLike,
    /// The fallback template has not exactly one variable, or needs more than a text.
    NotAFallback {
        /// Name and language.
        template: String,
    },
}

/// What can be too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The body with its values.
    Body,
    /// The value of the header's text.
    Header,
    /// The whole address of a button.
    Url,
    /// A code.
    Code,
}

impl Part {
    fn name(self, language: Language) -> &'static str {
        let (en, ru) = match self {
            Self::Body => ("the text", "текст"),
            Self::Header => ("the header's value", "значение заголовка"),
            Self::Url => ("the button's address", "адрес кнопки"),
            Self::Code => ("the code", "код"),
        };
        say(language, en, ru)
    }
}

impl Refusal {
    /// A name of it that stays, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameMissing => "name_missing",
            Self::NoTemplates => "no_templates",
            Self::UnknownName { .. } => "unknown_name",
            Self::NoLanguage { .. } => "no_language",
            Self::LanguageMissing { .. } => "language_missing",
            Self::Status { .. } => "status",
            Self::Unsupported { .. } => "unsupported",
            Self::Count { .. } => "count",
            Self::ValueEmpty { .. } => "value_empty",
            Self::ValueTwice { .. } => "value_twice",
            Self::UnknownVariable { .. } => "unknown_variable",
            Self::TooLong { .. } => "too_long",
            Self::FileMissing { .. } => "file_missing",
            Self::FileNotTaken { .. } => "file_not_taken",
            Self::FileKind { .. } => "file_kind",
            Self::TwoFiles => "two_files",
            Self::BadLink { .. } => "bad_link",
            Self::FileUnavailable { .. } => "file_unavailable",
            Self::FileTooLarge { .. } => "file_too_large",
            Self::OptedOut { .. } => "opted_out",
            Self::FilesAttached { .. } => "files_attached",
            Self::UnknownOrder { .. } => "unknown_order",
            Self::OnlyInLine => "only_in_line",
            Self::HeaderTextMissing { .. } => "header_text_missing",
            Self::HeaderTextNotTaken { .. } => "header_text_not_taken",
            Self::ButtonParamMissing { .. } => "button_param_missing",
            Self::CodeMissing { .. } => "code_missing",
            Self::NoButton { .. } => "no_button",
            Self::ButtonGiven { .. } => "button_given",
            Self::CodesDiffer { .. } => "codes_differ",
            Self::NotClosed { .. } => "not_closed",
            Self::BracketBroken { .. } => "bracket_broken",
            Self::UnknownKey { .. } => "unknown_key",
            Self::KeyTwice { .. } => "key_twice",
            Self::BadIndex { .. } => "bad_index",
            Self::TextBehind { .. } => "text_behind",
            Self::PartLooksLike => "part_looks_like",
            Self::NotAFallback { .. } => "not_a_fallback",
        }
    }

    /// The sentence, as plain text; what was typed is in it and may hold anything.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::En => self.english(),
            Language::Ru => self.russian(),
        }
    }
}

/// `{{1}}, {{2}}` behind a word; nothing for none.
fn listed(word: &str, variables: &[String]) -> String {
    if variables.is_empty() {
        return String::new();
    }
    let variables: Vec<String> = variables.iter().map(|name| format!("{{{{{name}}}}}")).collect();
    format!("{word}{}", variables.join(", "))
}

fn first(there: &[String]) -> &str {
    there.first().and_then(|first| first.split(' ').next()).unwrap_or("en_US")
}

/// What was typed, on one line and not longer than a sentence bears.
fn short(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !super::is_invisible(*c)).collect();
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(&line)),
        None => line,
    }
}
