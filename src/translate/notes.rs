//! What the bridge itself says in a line: system notes for the operator, in the portal's language.
//!
//! Texts are BBCode. Only failures are red, so that they are not missed among the rest.

mod failures;

use chrono::{DateTime, Utc};

use super::markup::neutralise;
use super::say;
use super::shorthand::Refusal;
use crate::domain::Language;
use crate::whatsapp::message::WireError;

/// A note that is not Meta's failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A free text was not sent because the 24 hours are over.
    WindowClosed {
        /// Why the fallback template could not carry it.
        reason: Option<String>,
        /// Short lines of templates that may be sent.
        lines: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// A template's short line is wrong.
    Shorthand {
        /// Why.
        refusal: Refusal,
    },
    /// A free text waits until the contact writes.
    Held {
        /// How long at most.
        days: i64,
    },
    /// There is no held text to cancel.
    NothingHeld,
    /// A template waits because its account has written to as many people as Meta allows in 24 hours.
    LimitReached {
        /// When it may go at the earliest.
        until: DateTime<Utc>,
    },
    /// A held text is not to be sent any more.
    HeldCancelled {
        /// What it said.
        text: String,
    },
    /// A held text has waited too long.
    HeldExpired {
        /// What it said.
        text: String,
        /// How long it waited.
        days: i64,
    },
    /// A text was not sent because it holds a link to the portal's inside.
    PortalLink {
        /// The link.
        link: String,
    },
    /// A file does not fit WhatsApp and was sent as a link.
    FileAsLink {
        /// Its name.
        name: String,
        /// WhatsApp's limit for it in bytes, if that was the reason.
        limit: Option<u64>,
    },
    /// Meta refused a file as what it is; it was sent again as a document.
    FileAsDocument {
        /// Its name.
        name: String,
    },
    /// A file of the operator could not be fetched from the portal, so it was not sent.
    FileUnavailable {
        /// Its name.
        name: String,
    },
    /// A message was given up without Meta's verdict.
    Dead {
        /// How often it was tried.
        attempts: u32,
    },
    /// A contact's message was given up.
    NotShown {
        /// Tries so far.
        attempts: u32,
    },
    /// A message was given up whose answer never came: the customer may have it.
    InDoubt {
        /// It was sent more than once.
        repeated: bool,
    },
    /// Nothing of an operator's message could be sent: it was empty after translation.
    NothingToSend,
    /// Messages wait because WhatsApp cannot be reached.
    Paused,
    /// The operator changed a message; WhatsApp has no way to change what was sent.
    EditNotPossible,
    /// The operator deleted a message; WhatsApp has no way to take it back.
    DeleteNotPossible,
    /// A customer calls whose number is not shown, so that there is no card.
    CallWithoutNumber,
    /// A customer called and was not answered.
    MissedCall(MissedCall),
}

/// Why a customer's call was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MissedCall {
    /// The customer hung up before.
    GaveUp,
    /// It rang too long.
    NoAnswer,
    /// It was declined, or the line was busy.
    Declined,
    /// It could not be put through.
    NotConnected,
}

/// The text of a note.
pub fn text(note: &Note, language: Language) -> String {
    let say = |en, ru| say(language, en, ru);
    match note {
        Note::WindowClosed { reason, lines, more } => {
            window_closed(reason.as_deref(), lines, *more, language)
        }
        Note::Shorthand { refusal } => red(&format!(
            "{} {}",
            say("The template was not sent:", "Шаблон не отправлен:"),
            neutralise(&sentence(&refusal.text(language)))
        )),
        Note::NothingHeld => say(
            "Nothing is held for this customer.",
            "Для этого клиента ничего не отложено.",
        )
        .to_owned(),
        Note::LimitReached { until } => {
            let told = say(
                "The template waits: in 24 hours WhatsApp lets a business write first to so many people, and they \
                 are reached. It goes by itself, not before",
                "Шаблон ждёт: за 24 часа WhatsApp разрешает первым написать ограниченному числу людей, и лимит \
                 исчерпан. Он уйдёт сам, не раньше",
            );
            format!("{told} {} UTC.", until.format("%d.%m.%Y %H:%M"))
        }
        Note::Held { .. } | Note::HeldCancelled { .. } | Note::HeldExpired { .. } => held(note, language),
        Note::PortalLink { link } => red(&format!(
            "{} {}",
            say(
                "Not sent: the message holds a link to the inside of your Bitrix24, which the customer \
                 cannot open. Replace it by a public link or remove it, and send again:",
                "Не отправлено: в сообщении ссылка на внутреннюю страницу вашего Битрикс24, клиент не \
                 сможет её открыть. Замените её публичной ссылкой или уберите и отправьте снова:",
            ),
            neutralise(link)
        )),
        Note::FileAsLink { name, limit } => {
            let reason = limit.map(|limit| {
                let megabytes = format!("{:.1}", limit as f64 / 1_048_576.0);
                let megabytes = megabytes.trim_end_matches(".0");
                match language {
                    Language::En => format!(" (WhatsApp takes up to {megabytes} MB)"),
                    Language::Ru => format!(" (WhatsApp принимает до {megabytes} МБ)"),
                }
            });
            format!(
                "{} {}{}",
                say(
                    "The file does not fit WhatsApp; the customer got a link to it:",
                    "Файл не подходит для WhatsApp, клиент получил ссылку на него:",
                ),
                neutralise(name),
                reason.unwrap_or_default()
            )
        }
        Note::FileAsDocument { name } => format!(
            "{} {}",
            say(
                "WhatsApp did not take the file in its own form; it was sent again as a document:",
                "WhatsApp не принял файл в его виде, он отправлен снова как документ:",
            ),
            neutralise(name)
        ),
        Note::FileUnavailable { name } => red(&format!(
            "{} {}",
            say(
                "Not sent: the file could not be fetched from Bitrix24. Attach it again:",
                "Не отправлено: файл не удалось получить из Битрикс24. Прикрепите его ещё раз:",
            ),
            neutralise(name)
        )),
        Note::Dead { attempts } => red(&match language {
            Language::En => format!(
                "Not sent: {attempts} attempts failed. Send the message again; if this goes on, tell your \
                 administrator."
            ),
            Language::Ru => format!(
                "Не отправлено: попыток без успеха: {attempts}. Отправьте сообщение снова; если это \
                 повторяется, сообщите администратору."
            ),
        }),
        Note::NotShown { attempts } => red(&match language {
            Language::En => format!(
                "A message of the customer could not be shown here: {attempts} attempts failed. Ask the \
                 customer to send it again; if this goes on, tell your administrator."
            ),
            Language::Ru => format!(
                "Сообщение клиента не удалось показать здесь: попыток без успеха: {attempts}. Попросите \
                 клиента отправить его снова; если это повторяется, сообщите администратору."
            ),
        }),
        Note::InDoubt { repeated: false } => red(say(
            "Not confirmed: the connection broke while this message was being sent. The customer may have got it \
             or not; ask before you send it again.",
            "Не подтверждено: связь прервалась во время отправки этого сообщения. Клиент мог получить его, а мог \
             и не получить; спросите, прежде чем отправлять снова.",
        )),
        Note::InDoubt { repeated: true } => red(say(
            "Not confirmed: the connection broke each time this message was being sent. The customer may have got \
             it twice, or not at all; ask before you send it again.",
            "Не подтверждено: связь прерывалась при каждой отправке этого сообщения. Клиент мог получить его \
             дважды или не получить вовсе; спросите, прежде чем отправлять снова.",
        )),
        Note::NothingToSend => red(say(
            "Not sent: nothing of this message can be shown in WhatsApp.",
            "Не отправлено: в этом сообщении нет ничего, что можно показать в WhatsApp.",
        )),
        Note::Paused => say(
            "WhatsApp cannot be reached at the moment. Your messages are kept and will be sent in order.",
            "WhatsApp сейчас недоступен. Ваши сообщения сохранены и будут отправлены по порядку.",
        )
        .to_owned(),
        Note::EditNotPossible => say(
            "The change is seen only here: WhatsApp cannot change a message that was sent.",
            "Изменение видно только здесь: WhatsApp не позволяет изменить отправленное сообщение.",
        )
        .to_owned(),
        Note::DeleteNotPossible => say(
            "The message is deleted only here: the customer still has it in WhatsApp.",
            "Сообщение удалено только здесь: в WhatsApp у клиента оно осталось.",
        )
        .to_owned(),
        Note::CallWithoutNumber => say(
            "📞 The customer is calling by WhatsApp. WhatsApp does not show this customer's number, so there is \
             no call card.",
            "📞 Клиент звонит через WhatsApp. WhatsApp не показывает номер этого клиента, поэтому карточки \
             звонка нет.",
        )
        .to_owned(),
        Note::MissedCall(why) => missed_call(*why, language),
    }
}

fn missed_call(why: MissedCall, language: Language) -> String {
    let say = |en, ru| say(language, en, ru);
    let missed = say("📞 Missed WhatsApp call.", "📞 Пропущенный звонок WhatsApp.");
    let reason = match why {
        MissedCall::GaveUp => say(
            "The customer hung up before anybody answered.",
            "Клиент положил трубку раньше, чем ему ответили.",
        ),
        MissedCall::NoAnswer => say("Nobody answered in time.", "Никто не ответил вовремя."),
        MissedCall::Declined => {
            say("The call was declined, or the line was busy.", "Звонок отклонён, или линия была занята.")
        }
        MissedCall::NotConnected => say(
            "It could not be put through to the telephone system: tell your administrator.",
            "Его не удалось передать в телефонную систему: сообщите администратору.",
        ),
    };
    let advice = say(
        "You can write to the customer: the 24-hour window is open.",
        "Клиенту можно написать: окно 24 часа открыто.",
    );
    let text = format!("{missed} {reason} {advice}");
    if why == MissedCall::NotConnected { red(&text) } else { text }
}

fn window_closed(reason: Option<&str>, lines: &[String], more: usize, language: Language) -> String {
    let say = |en, ru| say(language, en, ru);
    let mut text = red(say(
        "Not sent: more than 24 hours have passed since the customer's last message, and WhatsApp then \
         allows only approved templates. Send a template; as soon as the customer answers you can write \
         freely again.",
        "Не отправлено: с последнего сообщения клиента прошло больше 24 часов, и WhatsApp разрешает \
         теперь только одобренные шаблоны. Отправьте шаблон; как только клиент ответит, снова можно \
         будет писать свободно.",
    ));
    if let Some(reason) = reason {
        let told =
            say("The phone's template could not carry the text:", "Шаблон номера не смог передать текст:");
        text.push_str(&format!("\n{told} {}", neutralise(&sentence(reason))));
    }
    text.push_str(&choices(lines, more, language));
    text
}

/// What is added to a note whose reader may send one of these short lines; `more` are not listed.
pub fn choices(lines: &[String], more: usize, language: Language) -> String {
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str(say(language, "\nTemplates to choose from:", "\nШаблоны на выбор:"));
        for line in lines {
            text.push_str(&format!("\n{}", neutralise(line)));
        }
    }
    if more > 0 {
        text.push_str(&format!("\n… {} {more}", say(language, "and more:", "и ещё:")));
    }
    text
}

fn held(note: &Note, language: Language) -> String {
    match (note, language) {
        (Note::Held { days }, Language::En) => format!(
            "Held: more than 24 hours have passed since the customer's last message. The text is sent as soon as \
             the customer writes, within {days} days. A template can be sent meanwhile. To take the text back write hold-cancel."
        ),
        (Note::Held { days }, Language::Ru) => format!(
            "Отложено: с последнего сообщения клиента прошло больше 24 часов. Текст уйдёт, как только клиент \
             напишет, в течение {days} дней. Шаблон можно отправить и сейчас. Чтобы отменить текст, напишите hold-cancel."
        ),
        (Note::HeldCancelled { text }, _) => {
            let told = say(language, "Cancelled, it will not be sent:", "Отменено, отправлено не будет:");
            format!("{told}\n{}", neutralise(&shortened(text)))
        }
        (Note::HeldExpired { text, days }, Language::En) => red(&format!(
            "Not sent: the customer has not written for {days} days. Send a template if it still matters:\n{}",
            neutralise(&shortened(text))
        )),
        (Note::HeldExpired { text, days }, Language::Ru) => red(&format!(
            "Не отправлено: клиент не писал {days} дней. Если это ещё важно, отправьте шаблон:\n{}",
            neutralise(&shortened(text))
        )),
        _ => String::new(),
    }
}

/// Why a message was not delivered: the reason in plain words, what the operator can do, Meta's code.
/// Codes outside of the table are told in Meta's own words.
pub fn failure(error: &WireError, language: Language) -> String {
    let found = error.code.and_then(failures::find);
    let in_metas_words = || {
        let title = error.title.as_deref().or(error.message.as_deref()).unwrap_or_default();
        let details = error.details.as_deref().filter(|details| *details != title).unwrap_or_default();
        let separator = if title.is_empty() || details.is_empty() { "" } else { ": " };
        shortened(&neutralise(&format!("{title}{separator}{details}")))
    };
    let mut parts = vec![say(language, "Not delivered:", "Не доставлено:").to_owned()];
    match found {
        Some(entry) => {
            parts.push(entry.reason(language).to_owned());
            parts.push(entry.advice(language).to_owned());
            let words = in_metas_words();
            if entry.in_metas_words && !words.is_empty() {
                parts.push(format!("{} {words}.", say(language, "Meta says:", "Ответ Meta:")));
            }
        }
        None => {
            let words = in_metas_words();
            parts.push(match words.is_empty() {
                true => say(language, "WhatsApp gave no reason.", "WhatsApp не назвал причину.").to_owned(),
                false => format!("{}.", words.trim_end_matches('.')),
            });
            parts.push(
                say(
                    language,
                    "Try again later; if this goes on, tell your administrator.",
                    "Попробуйте позже; если это повторяется, сообщите администратору.",
                )
                .to_owned(),
            );
        }
    }
    if let Some(code) = error.code {
        parts.push(format!("({} {code})", say(language, "WhatsApp code", "код WhatsApp")));
    }
    red(&parts.join(" "))
}

/// With a full stop, unless it ends otherwise.
fn sentence(text: &str) -> String {
    if text.ends_with(['?', '.', '…', ':']) { text.to_owned() } else { format!("{text}.") }
}

fn red(text: &str) -> String {
    format!("[color=#ff0000]{text}[/color]")
}

/// At most 300 characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "notes/tests.rs"]
mod tests;
