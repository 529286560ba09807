//! Why a shorthand is not sent: one sentence each, for whoever wrote it.

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
    /// Files were attached to a shorthand.
    FilesAttached,
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
            Self::FilesAttached => "files_attached",
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

    fn english(&self) -> String {
        match self {
            Self::NameMissing => "The name of the template is missing".into(),
            Self::NoTemplates => "No templates are known for this number; ask your administrator to load them".into(),
            Self::UnknownName { name, nearest } if nearest.is_empty() => format!("There is no template “{}”", short(name)),
            Self::UnknownName { name, nearest } => {
                format!("There is no template “{}”; did you mean {}?", short(name), nearest.join(", "))
            }
            Self::NoLanguage { name, language, there } => {
                format!("{name} does not exist in the language {}; it exists in: {}", short(language), there.join(", "))
            }
            Self::LanguageMissing { name, there } => {
                format!("{name} needs a language, as {name}+{}; it exists in: {}", first(there), there.join(", "))
            }
            Self::Status { template, status, reason } => match reason {
                Some(reason) => format!("{template} cannot be sent: its status is {status}, the reason is {reason}"),
                None => format!("{template} cannot be sent: its status is {status}"),
            },
            Self::Unsupported { template, part } => {
                format!("{template} cannot be sent by a shorthand: it has a part {part}")
            }
            Self::Count { template, needs: 0, given, .. } => format!("{template} takes no values, you gave {given}"),
            Self::Count { template, needs, given, missing } => {
                let values = if *needs == 1 { "value" } else { "values" };
                format!("{template} needs {needs} {values}, you gave {given}{}", listed("; missing ", missing))
            }
            Self::ValueEmpty { template, variable } => format!("{template}: the value of {{{{{variable}}}}} is empty"),
            Self::ValueTwice { template, variable } => format!("{template}: {{{{{variable}}}}} has two values"),
            Self::UnknownVariable { template, name, there } => {
                format!("{template} has no variable “{}”; it has: {}", short(name), there.join(", "))
            }
            Self::TooLong { template, part, limit, length } => {
                let part = part.name(Language::En);
                format!("{template}: {part} has {length} characters, WhatsApp takes at most {limit}")
            }
            Self::FileMissing { template, kind } => {
                format!("{template} needs a file ({kind}) for its header: add file_link:https://…")
            }
            Self::FileNotTaken { template } => format!("{template} takes no file: leave file_link out"),
            Self::FileKind { template, wanted, given } => {
                format!("{template} needs a file of the kind {wanted} for its header, this one is {}", short(given))
            }
            Self::TwoFiles => "Only one file can be given".into(),
            Self::BadLink { link } if link.is_empty() => "The address of the file is missing".into(),
            Self::BadLink { link } => {
                format!("“{}” is neither an address (https://…) nor the number of a file on the disk", short(link))
            }
            Self::FileUnavailable { reason } => format!("The file cannot be fetched: {}", short(reason)),
            Self::FileTooLarge { template, megabytes } => {
                format!("The file is too large for the header of {template}: WhatsApp takes up to {megabytes} MB")
            }
            Self::OptedOut { template } => {
                format!("{template} is marketing, and this customer has stopped marketing messages")
            }
            Self::FilesAttached => "A template takes no attached files: give the file's address by file_link:".into(),
            Self::HeaderTextMissing { template } => {
                format!("{template} has a variable in its header: use &((template=[[…]] header_text=[[…]] …))&")
            }
            Self::HeaderTextNotTaken { template } => format!("{template} has no variable in its header: leave header_text out"),
            Self::ButtonParamMissing { template, number, label } => {
                let number = if *number == 1 { String::new() } else { number.to_string() };
                format!("{template} needs the end of the address of its button “{}”: add button_param{number}:…", short(label))
            }
            Self::CodeMissing { template, label } => {
                format!("{template} needs the code of its button “{}”: add code:…", short(label))
            }
            Self::NoButton { template, part } => format!("{template} has no button for {part}"),
            Self::ButtonGiven { template, part, twice: true } => format!("{template}: {part} is given twice"),
            Self::ButtonGiven { template, part, twice: false } => format!("{template}: {part} is empty"),
            Self::CodesDiffer { template } => format!("{template}: the code in the text and that of the button differ"),
            Self::NotClosed { end } => format!("The end “{end}” is missing"),
            Self::BracketBroken { at } => format!("Expected key=[[value]] or ))& at “{}”", short(at)),
            Self::UnknownKey { key } => format!("There is no key “{}”", short(key)),
            Self::KeyTwice { key } => format!("The key “{}” is given twice", short(key)),
            Self::BadIndex { index } => format!("button_index “{}” is not a number", short(index)),
            Self::TextBehind { text } => format!("There is text behind the end: “{}”", short(text)),
            Self::PartLooksLike => {
                "The text is long and one of its parts would begin as a template does; put something before it".into()
            }
            Self::NotAFallback { template } => {
                format!("{template} cannot carry a text: it has to have exactly one variable, in its body, and need nothing else")
            }
        }
    }

    fn russian(&self) -> String {
        match self {
            Self::NameMissing => "Не указано имя шаблона".into(),
            Self::NoTemplates => {
                "Для этого номера не известно ни одного шаблона; попросите администратора загрузить их".into()
            }
            Self::UnknownName { name, nearest } if nearest.is_empty() => {
                format!("Нет шаблона «{}»", short(name))
            }
            Self::UnknownName { name, nearest } => {
                format!("Нет шаблона «{}»; возможно, вы имели в виду: {}", short(name), nearest.join(", "))
            }
            Self::NoLanguage { name, language, there } => {
                format!("{name} нет на языке {}; есть: {}", short(language), there.join(", "))
            }
            Self::LanguageMissing { name, there } => {
                format!("Для {name} нужен язык, например {name}+{}; есть: {}", first(there), there.join(", "))
            }
            Self::Status { template, status, reason } => match reason {
                Some(reason) => format!("{template} нельзя отправить: его статус {status}, причина {reason}"),
                None => format!("{template} нельзя отправить: его статус {status}"),
            },
            Self::Unsupported { template, part } => {
                format!("{template} нельзя отправить строкой: в нём есть часть {part}")
            }
            Self::Count { template, needs: 0, given, .. } => {
                format!("{template}: значения не нужны, указано: {given}")
            }
            Self::Count { template, needs, given, missing } => {
                format!(
                    "{template}: нужно значений: {needs}, указано: {given}{}",
                    listed("; не хватает ", missing)
                )
            }
            Self::ValueEmpty { template, variable } => {
                format!("{template}: значение {{{{{variable}}}}} пустое")
            }
            Self::ValueTwice { template, variable } => {
                format!("{template}: у {{{{{variable}}}}} два значения")
            }
            Self::UnknownVariable { template, name, there } => {
                format!("{template}: нет переменной «{}»; есть: {}", short(name), there.join(", "))
            }
            Self::TooLong { template, part, limit, length } => {
                let part = part.name(Language::Ru);
                format!(
                    "{template}: {part} содержит символов: {length}, WhatsApp принимает не больше {limit}"
                )
            }
            Self::FileMissing { template, kind } => {
                format!("Для {template} нужен файл ({kind}) в заголовок: добавьте file_link:https://…")
            }
            Self::FileNotTaken { template } => format!("{template} не принимает файл: уберите file_link"),
            Self::FileKind { template, wanted, given } => {
                format!("Для {template} нужен файл вида {wanted} в заголовок, а это {}", short(given))
            }
            Self::TwoFiles => "Можно указать только один файл".into(),
            Self::BadLink { link } if link.is_empty() => "Не указан адрес файла".into(),
            Self::BadLink { link } => {
                format!("«{}» не адрес (https://…) и не номер файла на диске", short(link))
            }
            Self::FileUnavailable { reason } => format!("Файл не удалось получить: {}", short(reason)),
            Self::FileTooLarge { template, megabytes } => {
                format!("Файл слишком велик для заголовка {template}: WhatsApp принимает до {megabytes} МБ")
            }
            Self::OptedOut { template } => {
                format!("{template} – реклама, а этот клиент отказался от рекламных сообщений")
            }
            Self::FilesAttached => {
                "Шаблон не принимает вложенные файлы: укажите адрес файла через file_link:".into()
            }
            Self::HeaderTextMissing { template } => {
                format!(
                    "В заголовке {template} есть переменная: используйте &((template=[[…]] header_text=[[…]] …))&"
                )
            }
            Self::HeaderTextNotTaken { template } => {
                format!("В заголовке {template} нет переменной: уберите header_text")
            }
            Self::ButtonParamMissing { template, number, label } => {
                let number = if *number == 1 { String::new() } else { number.to_string() };
                format!(
                    "Для {template} нужен конец адреса кнопки «{}»: добавьте button_param{number}:…",
                    short(label)
                )
            }
            Self::CodeMissing { template, label } => {
                format!("Для {template} нужен код кнопки «{}»: добавьте code:…", short(label))
            }
            Self::NoButton { template, part } => format!("В {template} нет кнопки для {part}"),
            Self::ButtonGiven { template, part, twice: true } => format!("{template}: {part} указано дважды"),
            Self::ButtonGiven { template, part, twice: false } => format!("{template}: {part} пустое"),
            Self::CodesDiffer { template } => format!("{template}: код в тексте и код кнопки различаются"),
            Self::NotClosed { end } => format!("Нет окончания «{end}»"),
            Self::BracketBroken { at } => {
                format!("Ожидалось ключ=[[значение]] или ))& перед «{}»", short(at))
            }
            Self::UnknownKey { key } => format!("Нет ключа «{}»", short(key)),
            Self::KeyTwice { key } => format!("Ключ «{}» указан дважды", short(key)),
            Self::BadIndex { index } => format!("button_index «{}» не число", short(index)),
            Self::TextBehind { text } => format!("После окончания есть текст: «{}»", short(text)),
            Self::PartLooksLike => {
                "Текст длинный, и одна из его частей начиналась бы как шаблон; поставьте что-нибудь перед ней"
                    .into()
            }
            Self::NotAFallback { template } => {
                format!(
                    "{template} не может передать текст: нужна ровно одна переменная, в теле, и больше ничего"
                )
            }
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
