//! What the bridge says of messages that the CRM sends through its SMS provider: why one was not sent, and
//! what the customer got. In the portal's language; the sentences are listed in `docs/sms.md`.

use super::crm_number::NumberFault;
use super::markup::{neutralise, to_bbcode};
use super::say;
use crate::domain::Language;

/// Longest text, in characters: one WhatsApp message.
pub const LONGEST_SMS: usize = 4096;

/// Why an SMS was not sent, before WhatsApp was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SmsRefusal {
    /// No phone has this sender.
    UnknownSender {
        /// The sender's code.
        code: String,
    },
    /// The phone is linked to no line of this portal.
    NotLinked,
    /// The phone is no SMS sender any more.
    SwitchedOff,
    /// The recipient's number cannot be used.
    Number {
        /// As the CRM has it.
        text: String,
        /// What is wrong with it.
        fault: NumberFault,
    },
    /// There is no text.
    Empty,
    /// The text is longer than a WhatsApp message.
    TooLong {
        /// Its characters.
        length: usize,
    },
    /// A free text outside the window, and no template for that.
    WindowClosed,
    /// The shorthand is wrong.
    Shorthand {
        /// What is wrong with it.
        reason: String,
    },
    /// The phone's fallback template cannot be used.
    Fallback {
        /// What is wrong with it.
        reason: String,
    },
    /// The bridge gave it up.
    GivenUp,
}

/// The reason in plain words.
pub fn refusal(refusal: &SmsRefusal, language: Language) -> String {
    let say = |en, ru| say(language, en, ru).to_owned();
    match refusal {
        SmsRefusal::UnknownSender { code } => format!(
            "{} {code}",
            say(
                "No WhatsApp number belongs to this sender. Pick another sender; its code:",
                "Этому отправителю не соответствует ни один номер WhatsApp. Выберите другого; код отправителя:"
            )
        ),
        SmsRefusal::NotLinked => say(
            "The WhatsApp number of this sender is not linked to an open line of this portal. Link it, or pick \
             another sender.",
            "Номер WhatsApp этого отправителя не привязан к открытой линии этого портала. Привяжите его или \
             выберите другого отправителя.",
        ),
        SmsRefusal::SwitchedOff => say(
            "Sending from the CRM is switched off for this WhatsApp number (sms_service). Pick another sender.",
            "Отправка из CRM для этого номера WhatsApp выключена (sms_service). Выберите другого отправителя.",
        ),
        SmsRefusal::Number { text, fault } => format!(
            "{} {}: {}.",
            say("The number cannot be used:", "Номер не подходит:"),
            text,
            fault_in(fault, language)
        ),
        SmsRefusal::Empty => say("The text is empty.", "Текст пуст."),
        SmsRefusal::TooLong { length } => match language {
            Language::En => {
                format!("The text has {length} characters; WhatsApp takes {LONGEST_SMS}. Make it shorter.")
            }
            Language::Ru => format!(
                "В тексте {length} знаков, WhatsApp принимает не больше {LONGEST_SMS}. Сократите его."
            ),
        },
        SmsRefusal::WindowClosed => say(
            "The customer has not written within the last 24 hours, so WhatsApp allows only approved templates. \
             Send a template, or set a fallback template for this number.",
            "Клиент не писал последние 24 часа, поэтому WhatsApp разрешает только одобренные шаблоны. Отправьте \
             шаблон или задайте запасной шаблон для этого номера.",
        ),
        SmsRefusal::Shorthand { reason } => reason.clone(),
        SmsRefusal::Fallback { reason } => format!(
            "{} {reason}",
            say(
                "The customer has not written within the last 24 hours, and the fallback template of this number \
                 cannot be used:",
                "Клиент не писал последние 24 часа, а запасной шаблон этого номера использовать нельзя:"
            )
        ),
        SmsRefusal::GivenUp => say(
            "It could not be sent for days, or was given up. Send it again.",
            "Отправить не удавалось несколько дней, или попытки прекращены. Отправьте снова.",
        ),
    }
}

fn fault_in(fault: &NumberFault, language: Language) -> String {
    let ru = match fault {
        NumberFault::NoNumber => "это не номер телефона".to_owned(),
        NumberFault::Length => "в нём слишком мало или слишком много цифр".to_owned(),
        NumberFault::CountryCode => "такого кода страны нет".to_owned(),
        NumberFault::NotOf(country) => format!("в нём нет кода страны, и это не номер страны {country}"),
        NumberFault::NoCountry => "в нём нет кода страны, а страна портала неизвестна".to_owned(),
    };
    match language {
        Language::En => fault.to_string(),
        Language::Ru => ru,
    }
}

/// Note in the line: what the CRM sent and the customer got. `text` is in WhatsApp's markup.
pub fn in_line(text: &str, language: Language) -> String {
    format!("{}\n{}", head_in_line(language), to_bbcode(text))
}

/// What stands in the line above what the CRM sent.
pub fn head_in_line(language: Language) -> String {
    format!("[b]{}[/b]", say(language, "Sent from the CRM:", "Отправлено из CRM:"))
}

/// Comment in the CRM's timeline: what the customer got of a template.
pub fn sent_comment(number: &str, text: &str, language: Language) -> String {
    let head = say(language, "In WhatsApp the customer got", "Клиент получил в WhatsApp");
    format!("[b]{head} (+{number}):[/b]\n{}", to_bbcode(text))
}

/// Comment in the CRM's timeline: why nothing was sent. `recipient` is as the CRM has it.
pub fn refused_comment(recipient: &str, reason: &str, language: Language) -> String {
    let head = say(language, "Not sent in WhatsApp", "Не отправлено в WhatsApp");
    format!("[b]{head} ({}):[/b] {}", neutralise(recipient), neutralise(reason))
}

/// Comment in the CRM's timeline: what WhatsApp said. `failure` is a note's text.
pub fn failed_comment(number: &str, failure: &str, language: Language) -> String {
    let head = say(language, "WhatsApp message to", "Сообщение WhatsApp на");
    format!("[b]{head} +{number}:[/b] {failure}")
}

#[cfg(test)]
pub(super) mod tests;
