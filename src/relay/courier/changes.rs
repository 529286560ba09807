//! A contact's edits and revocations in the line, by every id under which it has the message.

use super::{Content, Line, Parcel};
use crate::bitrix::imconnector::{LineChange, LineRemoval};
use crate::domain::ChatId;
use crate::queue::job::Kind;
use crate::queue::worker::Settled;
use crate::relay::Relay;
use crate::relay::changes::{line_ids, part_id};
use crate::relay::loaded::Loaded;
use crate::relay::to_portal::{Prepared, user_of};
use crate::store::jobs::Settlement;
use crate::store::messages::{self as ledger, MessageRow};
use crate::translate::to_line;
use crate::whatsapp::message::WireMessage;

/// An edit of what the line has.
pub(super) struct Change {
    /// New texts.
    pub(super) texts: Vec<LineChange>,
    /// What is left over of a longer text.
    pub(super) removals: Vec<LineRemoval>,
    /// Whether there is more of it than the line has messages to change.
    pub(super) has_rest: bool,
}

impl Change {
    /// As how many messages the line has it then.
    pub(super) fn parts(&self) -> i32 {
        i32::try_from(self.texts.len()).unwrap_or(1)
    }
}

impl Line {
    /// Whether a message is in this line: elsewhere the portal would answer that it was changed, and change nothing.
    pub(super) fn has(&self, row: &MessageRow, loaded: &Loaded) -> bool {
        let moved = match (&row.im_chat_id, &loaded.chat.portal_chat_id) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        };
        row.relayed_at.is_some()
            && row.portal_id.as_deref() == Some(self.portal.id.as_str())
            && self.knows(loaded)
            && !moved
    }

    /// Whether a job has nothing to show any more: its message was deleted, or a newer text of it is there.
    pub(super) fn passes_over(&self, loaded: &Loaded) -> bool {
        let has_file = loaded.message.as_ref().is_some_and(|message| message.media_state.is_some());
        let has_original = || loaded.original.as_ref().is_some_and(|original| self.has(original, loaded));
        loaded.is_revoked()
            || loaded.is_outdated_edit()
            || (loaded.newer_text().is_some() && !has_file)
            || (loaded.is_rest_of_edit() && (loaded.is_edited_again() || !has_original()))
    }

    /// What an edit or revocation changes in this line; `None`: it has nothing of that, and gets a message.
    pub(super) fn change(&self, loaded: &Loaded, prepared: &Prepared) -> Option<Content> {
        let original = loaded.original.as_ref().filter(|original| self.has(original, loaded));
        match loaded.running.claimed.kind {
            Kind::Update => original.map(|original| Content::Change(change(loaded, prepared, original))),
            Kind::Delete => {
                let shown_alone = |edit: &&MessageRow| {
                    self.has(edit, loaded)
                        && original.is_none_or(|original| edit.relayed_at < original.relayed_at)
                };
                let edits = loaded.edits().filter(shown_alone);
                let ids = original.into_iter().chain(edits).flat_map(line_ids);
                let removals: Vec<LineRemoval> = ids.map(|id| removal(loaded, id)).collect();
                (!removals.is_empty()).then_some(Content::Removal(removals))
            }
            _ => None,
        }
    }
}

fn change(loaded: &Loaded, prepared: &Prepared, original: &MessageRow) -> Change {
    let wamid = original.wamid.as_deref().unwrap_or_default();
    let shown = usize::try_from(original.line_parts).unwrap_or(1).max(1);
    let texts = prepared.messages.iter().take(shown).enumerate().map(|(index, message)| LineChange {
        user: user_of(loaded),
        message_id: part_id(wamid, index + 1),
        text: message.message.text.clone(),
        chat_id: ChatId::from(loaded.chat.name()),
    });
    let left_over = prepared.messages.len().max(1) + 1..=shown;
    Change {
        texts: texts.collect(),
        removals: left_over.map(|part| removal(loaded, part_id(wamid, part))).collect(),
        has_rest: prepared.messages.len() > shown,
    }
}

fn removal(loaded: &Loaded, message_id: String) -> LineRemoval {
    LineRemoval { user: user_of(loaded), message_id, chat_id: ChatId::from(loaded.chat.name()) }
}

impl Relay {
    /// A job ends whose message has nothing to show any more.
    pub(super) fn passed_over(&self, line: &Line, loaded: Loaded) -> Settled {
        let body = loaded.newer_text().and_then(|edit| {
            let content = WireMessage::parse(&edit.payload).ok()?.content;
            Some(to_line::summary(&content, line.portal.language))
        });
        let message = loaded.message.map(|message| message.id);
        Settled::plain(loaded.running, Settlement::Done).with(move |tx| match &message {
            Some(id) => ledger::passed_over(tx.conn, id, body.as_deref()),
            None => Ok(()),
        })
    }
}

impl Parcel {
    /// What this one changes in the line.
    pub(super) fn changes(&self) -> (&[LineChange], &[LineRemoval]) {
        match &self.content {
            Content::Change(change) => (&change.texts, &change.removals),
            Content::Removal(removals) => (&[], removals),
            _ => (&[], &[]),
        }
    }
}
