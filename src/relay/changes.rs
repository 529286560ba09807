//! What edits and revocations make of a message. Meta repeats a notification that it could not hand over, so that
//! either may come before the message that it names.

use super::loaded::Loaded;
use super::whose::clean_wamid;
use crate::domain::Wamid;
use crate::queue::job::{Job, Kind};
use crate::store::messages::MessageRow;
use crate::whatsapp::message::{Content, WireMessage};

/// What an edit or revocation does, and to which message.
pub(super) fn named(kind: &str, payload: &str) -> Option<(Kind, Wamid)> {
    if !matches!(kind, "edit" | "revoke") {
        return None;
    }
    match WireMessage::parse(payload).ok()?.content {
        Content::Edit { original, .. } => Some((Kind::Update, original)),
        Content::Revoke { original } => Some((Kind::Delete, original)),
        _ => None,
    }
}

/// Meta's id of what a message shows: of an edit or revocation the message that it names.
pub(super) fn subject(message: &MessageRow) -> Option<String> {
    match named(&message.kind, &message.payload) {
        Some((_, original)) => Some(clean_wamid(&original).to_string()),
        None => message.wamid.clone(),
    }
}

/// The ids under which the line may have a message. One that was shown at once has no late file; the portal does not
/// mind an id that it does not know.
pub(super) fn line_ids(message: &MessageRow) -> Vec<String> {
    let wamid = message.wamid.as_deref().unwrap_or(&message.id);
    let parts = usize::try_from(message.line_parts).unwrap_or(1).max(1);
    let mut ids: Vec<String> = (1..=parts).map(|part| part_id(wamid, part)).collect();
    if message.media_state.is_some() {
        ids.extend([file_id(wamid, true), file_id(wamid, false)]);
    }
    ids
}

/// The id in the line of one part of a message, counted from one.
pub(super) fn part_id(wamid: &str, part: usize) -> String {
    if part < 2 { wamid.to_owned() } else { format!("{wamid}#{part}") }
}

/// The id in the line of a file that followed its message, or of the news that there is none.
pub(super) fn file_id(wamid: &str, is_there: bool) -> String {
    format!("{wamid}#{}", if is_there { "file" } else { "nofile" })
}

impl Loaded {
    /// Whether only a rest of the message is to be shown, which itself is in the line: its file, or of an edit what
    /// is longer than the message was before.
    pub(super) fn is_rest(&self) -> bool {
        matches!(self.job, Job::Relay { late_file: true, .. })
    }

    /// The rest of an edit.
    pub(super) fn is_rest_of_edit(&self) -> bool {
        self.is_rest() && self.message.as_ref().is_some_and(|message| message.kind == "edit")
    }

    /// Whether the message was deleted before the line had it (or a rest of it). What was deleted after it came
    /// is shown and deleted in this order, which the lane keeps.
    pub(super) fn is_revoked(&self) -> bool {
        let Some(message) = self.message.as_ref().filter(|message| message.kind != "revoke") else {
            return false;
        };
        let before = |revoke: &&MessageRow| {
            self.is_rest() || revoke.relayed_at.is_some() || revoke.created_at < message.created_at
        };
        self.changes.iter().filter(|change| change.kind == "revoke").any(|revoke| before(&revoke))
    }

    /// The newest edit, if the line has an edit of this message already and the message itself not yet.
    pub(super) fn newer_text(&self) -> Option<&MessageRow> {
        let message = self.message.as_ref()?;
        if message.relayed_at.is_some() || matches!(message.kind.as_str(), "edit" | "revoke") {
            return None;
        }
        self.edits().rfind(|edit| edit.relayed_at.is_some())
    }

    /// Whether another edit came after this one.
    pub(super) fn is_edited_again(&self) -> bool {
        let newest = self.edits().next_back();
        newest.is_some_and(|newest| self.message.as_ref().is_some_and(|message| message.id != newest.id))
    }

    /// Whether the line has a later edit of the same message than this one, which was late.
    pub(super) fn is_outdated_edit(&self) -> bool {
        let time = |edit: &MessageRow| WireMessage::parse(&edit.payload).ok()?.timestamp;
        let Some(own) = self.message.as_ref().filter(|message| message.kind == "edit").and_then(time) else {
            return false;
        };
        self.edits().any(|edit| edit.relayed_at.is_some() && time(edit).is_some_and(|time| time > own))
    }

    /// The edits of the message, the oldest first.
    pub(super) fn edits(&self) -> impl DoubleEndedIterator<Item = &MessageRow> {
        self.changes.iter().filter(|change| change.kind == "edit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_a_message_bears_its_own_id() {
        let ids: Vec<String> = (1..4).map(|part| part_id("w", part)).collect();
        assert_eq!(ids, ["w", "w#2", "w#3"]);
        assert_eq!([file_id("w", true), file_id("w", false)], ["w#file", "w#nofile"]);
    }

    #[test]
    fn an_edit_and_a_revocation_name_what_they_change() {
        let revoke = r#"{"id": "r", "from": "1", "type": "revoke", "revoke": {"original_message_id": "w"}}"#;
        assert_eq!(named("revoke", revoke), Some((Kind::Delete, "w".into())));
        assert_eq!(named("text", revoke), None);
    }
}
