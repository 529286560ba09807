//! What the customer sees of a template (whatsapp-messaging facts §4.3).
//!
//! Header, body with its values, a blank line and the footer, the buttons as a list under it. The file of a
//! header is shown as a file where that is possible; elsewhere a word stands for it. One-time passwords are
//! masked: whoever reads the line or the ledger is not whom they are for.

use super::markup::{neutralise, to_bbcode};
use super::say;
use super::to_line::MediaKind;
use super::to_line::words::media as media_word;
use crate::domain::Language;
use crate::domain::template::{Button, ButtonFill, Header, Template, TemplateCategory, TemplateValues};

/// What stands for a one-time password.
const MASK: &str = "••••••";

/// What the customer sees, as text in WhatsApp's markup: for the ledger and the CRM's timeline.
pub fn text(template: &Template, values: &TemplateValues, language: Language) -> String {
    let shown = Shown::of(template, values, language);
    let file = shown.file.map(|kind| media_word(kind, language).to_owned());
    join([file, shown.header], shown.body, shown.footer, &shown.buttons)
}

/// The same as BBCode, without a word for the file, which stands beside it.
pub fn bbcode(template: &Template, values: &TemplateValues, language: Language) -> String {
    let shown = Shown::of(template, values, language);
    let header = shown.header.map(|header| format!("[b]{}[/b]", neutralise(&header)));
    let bbcode = |text: String| to_bbcode(&text);
    let buttons: Vec<String> = shown.buttons.iter().map(|button| neutralise(button)).collect();
    join([None, header], shown.body.map(bbcode), shown.footer.map(bbcode), &buttons)
}

/// What is said of a template whose definition is not known.
pub fn unknown(name: &str, language: Language) -> String {
    let told = say(
        language,
        "The template was sent; its text is not known here:",
        "Отправлен шаблон, его текст здесь не известен:",
    );
    format!("{told} {name}")
}

/// The kind of file that the header is.
pub fn header_kind(template: &Template) -> Option<MediaKind> {
    match &template.header {
        Some(Header::Image) => Some(MediaKind::Image),
        Some(Header::Video) => Some(MediaKind::Video),
        Some(Header::Document) => Some(MediaKind::Document),
        _ => None,
    }
}

/// The pieces of what is seen.
struct Shown {
    file: Option<MediaKind>,
    header: Option<String>,
    body: Option<String>,
    footer: Option<String>,
    buttons: Vec<String>,
}

impl Shown {
    fn of(template: &Template, values: &TemplateValues, language: Language) -> Self {
        let is_password = template.category == TemplateCategory::Authentication;
        let masked = TemplateValues { body: vec![MASK.to_owned()], ..TemplateValues::default() };
        let values = if is_password { &masked } else { values };
        let fixed = || {
            let words = say(language, "Verification code", "Код подтверждения");
            is_password.then(|| format!("{words}: {MASK}"))
        };
        let header = match &template.header {
            Some(Header::Text { text }) => Some(filled_text(text, |_| values.header_text.as_ref())),
            Some(Header::Other { name }) => Some(format!("[{name}]")),
            _ => None,
        };
        let body = filled_body(template, values).filter(|body| !body.trim().is_empty()).or_else(fixed);
        let is_empty = body.is_none() && header.is_none() && template.buttons.is_empty();
        Self {
            file: header_kind(template),
            header,
            body: if is_empty { Some(unknown(&template.name, language)) } else { body },
            footer: template.footer.clone().filter(|footer| !footer.trim().is_empty()),
            buttons: template.buttons.iter().enumerate().map(|(at, of)| button(of, at, values)).collect(),
        }
    }
}

fn button(button: &Button, at: usize, values: &TemplateValues) -> String {
    let given = values.buttons.iter().find(|value| value.index == at).map(|value| &value.value);
    match button {
        Button::QuickReply { text } => format!("🔘 {text}"),
        Button::Url { text, url, .. } => {
            let suffix = match given {
                Some(ButtonFill::UrlSuffix(suffix)) => Some(suffix),
                _ => None,
            };
            format!("🔗 {text}: {}", filled_text(url, |_| suffix))
        }
        Button::PhoneNumber { text, phone_number } => format!("📞 {text}: {phone_number}"),
        Button::CopyCode { text, .. } => match given {
            Some(ButtonFill::Code(code)) => format!("📋 {text}: {code}"),
            _ => format!("📋 {text}"),
        },
        Button::Otp { text } => format!("📋 {text}"),
        Button::Other { text, name } if text.is_empty() => format!("🔘 {name}"),
        Button::Other { text, .. } => format!("🔘 {text}"),
    }
}

fn join(
    above: [Option<String>; 2],
    body: Option<String>,
    footer: Option<String>,
    buttons: &[String],
) -> String {
    let text: Vec<String> = above.into_iter().chain([body]).flatten().collect();
    let text = text.join("\n");
    let under: Vec<&str> = footer.as_deref().into_iter().chain(buttons.iter().map(String::as_str)).collect();
    match (text.is_empty(), under.is_empty()) {
        (_, true) => text,
        (true, false) => under.join("\n"),
        (false, false) => format!("{text}\n\n{}", under.join("\n")),
    }
}

/// A text with its variables filled in, in one pass: nothing is filled in inside a value. A variable without
/// a value stays as it is.
pub fn filled_text<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("{{") {
        out.push_str(before);
        let found = inside.split_once("}}").and_then(|(name, after)| Some((value_of(name.trim())?, after)));
        match found {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The body with its values; `None` if there is none.
pub fn filled_body(template: &Template, values: &TemplateValues) -> Option<String> {
    let variables = template.body_variables();
    let value_of = |name: &str| {
        let at = variables.iter().position(|known| known == name)?;
        values.body.get(at)
    };
    template.body.as_deref().map(|body| filled_text(body, value_of))
}

#[cfg(test)]
#[path = "reconstruction/tests.rs"]
mod tests;
