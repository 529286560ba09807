//! Small pieces of text that several kinds share.

use chrono::{DateTime, FixedOffset, Utc};

use super::MediaKind;
use crate::domain::Language;
use crate::translate::markup::{BREAKER, neutralise};
use crate::translate::say;

/// Name of a kind of file.
pub fn media(kind: MediaKind, language: Language) -> &'static str {
    match kind {
        MediaKind::Image => say(language, "🖼 Picture", "🖼 Изображение"),
        MediaKind::Video => say(language, "🎬 Video", "🎬 Видео"),
        MediaKind::Audio => say(language, "🎵 Audio", "🎵 Аудио"),
        MediaKind::Voice => say(language, "🎤 Voice message", "🎤 Голосовое сообщение"),
        MediaKind::Document => say(language, "📎 File", "📎 Файл"),
        MediaKind::Sticker => say(language, "Sticker", "Стикер"),
    }
}

/// Our own words, told apart from the customer's.
pub fn italic(text: &str) -> String {
    format!("[i]{text}[/i]")
}

/// The parts that are not empty, each from its own line.
pub fn lines(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A web address, brackets encoded so that the link stays whole.
pub fn address(url: &str) -> String {
    let encoded = url.trim().replace('[', "%5B").replace(']', "%5D").replace(char::is_whitespace, "%20");
    neutralise(&encoded).replace(BREAKER, "")
}

/// `01.03.2026 10:00`, in the portal's zone, else in UTC.
pub fn date(when: DateTime<Utc>, offset: Option<FixedOffset>) -> String {
    match offset {
        Some(offset) => when.with_timezone(&offset).format("%d.%m.%Y %H:%M").to_string(),
        None => when.format("%d.%m.%Y %H:%M UTC").to_string(),
    }
}

/// At most `limit` characters.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text).trim_end()),
        None => text.to_owned(),
    }
}
