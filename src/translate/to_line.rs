//! A WhatsApp message as the operator sees it in the line.
//!
//! Every kind of Meta's fact sheet has a readable form; what cannot be shown leaves a visible placeholder.
//! Everything that comes from the customer is neutralised, so it can hold no BBCode.

mod flow;
mod frame;
mod kinds;
pub(super) mod words;

use chrono::{DateTime, FixedOffset, Utc};

use super::markup::{neutralise, to_bbcode};
use super::{say, split};
use crate::domain::{Language, MediaId, Wamid};
use crate::whatsapp::message::{Content, Media, WireMessage};
pub use kinds::summary;

/// What the ledger knows about a message's surroundings.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Known {
    /// The message that [`WireMessage::refers_to`] names.
    pub quoted: Quoted,
    /// Name of the template that is referred to, for a tap on its button.
    pub template: Option<String>,
    /// The portal's time zone for dates in the text; without it they are in UTC and say so.
    pub utc_offset: Option<FixedOffset>,
}

/// The message that is quoted or reacted to.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Quoted {
    /// There is none.
    #[default]
    None,
    /// There is one, but it is not (or no longer) in the ledger.
    Unknown,
    /// It is in the ledger.
    Known {
        /// Who wrote it.
        author: String,
        /// What it says in WhatsApp markup; of other kinds their [`summary`].
        text: String,
        /// When it was sent.
        when: Option<DateTime<Utc>>,
    },
}

/// What to do in the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write a message.
    New,
    /// Replace the text of the message that was made of `original`. If the portal never had it, write
    /// the text as a message.
    Update {
        /// The edited message.
        original: Wamid,
    },
    /// Delete the message that was made of `original`; the text is for the ledger.
    Delete {
        /// The deleted message.
        original: Wamid,
    },
}

/// What the line gets of one WhatsApp message.
#[derive(Clone, PartialEq, Debug)]
pub struct LineItem {
    /// BBCode; empty only if [`LineItem::media`] says everything.
    pub text: String,
    /// What did not fit into the text (the portal cuts at 20,000 characters): further messages.
    pub more: Vec<String>,
    /// The file that belongs to it.
    pub media: Option<MediaSlot>,
    /// What to do.
    pub action: Action,
    /// Not said by the customer: to be written as a system note (`user_id = 0`).
    pub is_note: bool,
}

/// Kind of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaKind {
    /// Picture.
    Image,
    /// Video.
    Video,
    /// Audio file.
    Audio,
    /// Voice note.
    Voice,
    /// Any other file.
    Document,
    /// Sticker.
    Sticker,
}

/// A file to be fetched from Meta and handed to the portal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaSlot {
    /// Meta's id.
    pub media_id: MediaId,
    /// Kind.
    pub kind: MediaKind,
    /// Type without parameters, in lower case; empty if unknown. Only a claim.
    pub mime: String,
    /// Name that the sender gave it (documents).
    pub filename: Option<String>,
    /// Caption in WhatsApp markup; it is in the item's text already.
    pub caption: Option<String>,
    /// Base64 or hex SHA-256.
    pub sha256: Option<String>,
    /// Address that lives five minutes.
    pub url: Option<String>,
}

/// What the line gets of a message of the contact.
pub fn message(message: &WireMessage, known: &Known, language: Language) -> LineItem {
    let view = View { known, language };
    match &message.content {
        Content::Edit { original, content, context } => {
            let mut item = view.item(content, frame::before(&view, content, context.as_ref(), None));
            // The portal replaces only the text; the file stays as it was.
            item.media = None;
            let edited = say(language, "edited", "изменено");
            item.text = if item.text.is_empty() {
                format!("[i]{edited}[/i]")
            } else {
                format!("{}\n[i]({edited})[/i]", item.text)
            };
            LineItem { action: Action::Update { original: original.clone() }, ..item }
        }
        Content::Revoke { original } => LineItem {
            text: words::italic(say(language, "The customer deleted a message", "Клиент удалил сообщение")),
            action: Action::Delete { original: original.clone() },
            ..LineItem::empty()
        },
        content => {
            let referral = message.referral.as_ref();
            let before = frame::before(&view, content, message.context.as_ref(), referral);
            let mut item = view.item(content, before);
            if message.group_id.is_some() {
                let mark = say(language, "In a WhatsApp group", "В группе WhatsApp");
                item.text = words::lines([words::italic(mark), item.text]);
            }
            item.text = words::lines([item.text, frame::errors(message, language)]);
            item
        }
    }
}

/// Who wrote to the customer beside the operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EchoOf {
    /// Somebody with the WhatsApp Business app on the phone (coexistence).
    PhoneApp,
    /// Meta's AI agent (`standby`).
    MetaAgent,
}

/// What the line gets of a message that the business sent elsewhere: the same form under a mark that says
/// where it was written.
pub fn echo(echo: &WireMessage, known: &Known, source: EchoOf, language: Language) -> LineItem {
    let mut item = message(echo, known, language);
    if let Action::Delete { .. } = item.action {
        let deleted = say(language, "A message was deleted on the phone", "Сообщение удалено на телефоне");
        return LineItem { text: words::italic(deleted), is_note: true, ..item };
    }
    let mark = match source {
        EchoOf::PhoneApp => say(language, "Sent from the phone:", "Отправлено с телефона:"),
        EchoOf::MetaAgent => say(language, "Sent by Meta's AI agent:", "Отправлено ИИ-агентом Meta:"),
    };
    item.text = words::lines([words::italic(mark), item.text]);
    LineItem { is_note: true, ..item }
}

/// Said once above messages that came on `standby`: Meta's AI agent holds the conversation.
pub fn standby_note(language: Language) -> String {
    words::italic(say(
        language,
        "Meta's AI agent is answering this customer. Your reply takes the conversation over.",
        "Этому клиенту отвечает ИИ-агент Meta. Ваш ответ переведёт разговор на вас.",
    ))
}

/// Said instead of a file that is still being fetched.
pub fn file_on_its_way(kind: MediaKind, language: Language) -> String {
    let file = words::media(kind, language);
    words::italic(&match language {
        Language::En => format!("{file}: the file is on its way"),
        Language::Ru => format!("{file}: файл загружается"),
    })
}

/// Said when a file could not be fetched for good.
pub fn file_failed(kind: MediaKind, language: Language) -> String {
    let file = words::media(kind, language);
    words::italic(&match language {
        Language::En => {
            format!("{file}: the file could not be fetched from WhatsApp; ask the customer to send it again")
        }
        Language::Ru => {
            format!("{file}: файл не удалось получить из WhatsApp; попросите клиента отправить его ещё раз")
        }
    })
}

/// A file that the portal did not take, as a link.
pub fn file_as_link(name: &str, url: &str, language: Language) -> String {
    format!("{} {}: {}", say(language, "📎 File", "📎 Файл"), neutralise(name), words::address(url))
}

/// Language and surroundings, while one message is being written.
struct View<'a> {
    known: &'a Known,
    language: Language,
}

impl View<'_> {
    fn say(&self, en: &'static str, ru: &'static str) -> &'static str {
        say(self.language, en, ru)
    }

    /// The item of a content, with what stands `before` it.
    fn item(&self, content: &Content, before: String) -> LineItem {
        let parts = match content {
            Content::Text { body } if !body.trim().is_empty() => split::bbcode_for_line(body),
            _ => split::lines_for_line(kinds::text(self, content)),
        };
        let mut parts = parts.into_iter();
        let text = words::lines([before, parts.next().unwrap_or_default()]);
        LineItem {
            text,
            more: parts.collect(),
            media: slot(content),
            is_note: matches!(content, Content::System(_)),
            ..LineItem::empty()
        }
    }
}

impl LineItem {
    fn empty() -> Self {
        Self { text: String::new(), more: Vec::new(), media: None, action: Action::New, is_note: false }
    }
}

/// The file of a content.
fn slot(content: &Content) -> Option<MediaSlot> {
    let (kind, media) = kind_of(content)?;
    Some(MediaSlot {
        media_id: media.id.clone()?,
        kind,
        mime: media
            .mime_type
            .as_deref()
            .and_then(|mime| mime.split(';').next())
            .map(|mime| mime.trim().to_ascii_lowercase())
            .unwrap_or_default(),
        filename: media.filename.clone(),
        caption: media.caption.clone(),
        sha256: media.sha256.clone(),
        url: media.url.clone(),
    })
}

fn kind_of(content: &Content) -> Option<(MediaKind, &Media)> {
    Some(match content {
        Content::Image(media) => (MediaKind::Image, media),
        Content::Video(media) => (MediaKind::Video, media),
        Content::Audio(media) if media.voice => (MediaKind::Voice, media),
        Content::Audio(media) => (MediaKind::Audio, media),
        Content::Document(media) => (MediaKind::Document, media),
        Content::Sticker(media) => (MediaKind::Sticker, media),
        _ => return None,
    })
}

/// A customer's text as BBCode.
fn typed(text: &str) -> String {
    to_bbcode(text)
}

#[cfg(test)]
#[path = "to_line/tests.rs"]
mod tests;
