//! The sentences of refusals in English.

use super::{Refusal, first, listed, short};
use crate::domain::Language;

impl Refusal {
    pub(super) fn english(&self) -> String {
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
                format!("{template} needs a file ({kind}) for its header: add file_link:https://… or attach it")
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
            Self::FilesAttached { template } => {
                format!("{template} takes no file: send what is attached in a message of its own")
            }
            Self::UnknownOrder { order } => {
                let order = short(order);
                format!("“{order}” is no order: hold-cancel cancels the text that was held last, hold-cancel+all every one")
            }
            Self::OnlyInLine => "hold-cancel works only in an open line".into(),
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
}
