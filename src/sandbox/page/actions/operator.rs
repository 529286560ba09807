//! What the operator writes, as the portal's own page would send it.

use crate::sandbox::page::Desk;
use crate::sandbox::portal::{Author, LineEntry, quote};

/// The text with the quoted message before it, in the portal's own form.
pub(super) fn with_quote(desk: &Desk, chat: &str, text: &str, quoted: &str) -> String {
    let line = &desk.scene.line_id;
    let entries = desk.portal.conversation(line, chat);
    let Some(entry) = entries.iter().find(|entry| entry.im_message_id == quoted) else {
        return text.to_owned();
    };
    let chats = desk.portal.chats(line);
    let Some(info) = chats.iter().find(|info| info.external_id == chat) else { return text.to_owned() };
    let author = match entry.author {
        Author::Client => format!("{} {}", info.client.0, info.client.1).trim().to_owned(),
        Author::Operator => desk.portal.user_name(entry.author_id),
        Author::System => "System".to_owned(),
    };
    let date = entry.at.format("%d.%m.%Y %H:%M").to_string();
    let context = format!("chat{}/{}", info.chat_id, entry.im_message_id);
    quote(&author, &date, Some(&context), &quotable(entry), text)
}

/// Without the quote that the quoted message itself begins with.
fn quotable(entry: &LineEntry) -> String {
    let frame = "-".repeat(54);
    let own = entry.text.rsplit(&frame).next().unwrap_or_default().trim();
    match (own, entry.files.first()) {
        ("", Some(file)) => format!("[{}]", file.name),
        (own, _) => own.to_owned(),
    }
}
