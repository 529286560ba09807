//! What became of a message at the portal, and what follows from it.

use chrono::{DateTime, Duration, Utc};

use super::{Content, Line, Parcel, Taken, Told, UNBOUND_PAUSE};
use crate::bitrix::error::CallError;
use crate::domain::{ChatId, Language, PhoneKey, Verdict};
use crate::queue::job::{Job, Kind, note, to_line};
use crate::queue::worker::Settled;
use crate::relay::Relay;
use crate::relay::fetch::{chain, late_file};
use crate::relay::loaded::Loaded;
use crate::relay::to_portal::user_of;
use crate::store::jobs::{self, Settlement};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::{StoreError, Tx, blobs, chats};
use crate::translate::notes::{self, Note};
use crate::translate::to_line;
use crate::whatsapp::message::{Content as WireContent, WireMessage};

/// How long a media link stays good after the portal took the message.
const LINK_AFTER: Duration = Duration::hours(72);
/// What the portal stumbled over is tried again so soon at the earliest, and at the latest.
const STUMBLED: Duration = Duration::seconds(2);
const STUMBLED_LONG: Duration = Duration::minutes(30);

impl Relay {
    /// The portal's verdict on one parcel.
    pub(super) fn told(&self, line: &Line, parcel: Parcel, told: Told) -> Settled {
        match told {
            Told::Taken(taken) => self.taken(line, parcel, taken),
            // What was taken of it is not to be shown again: its history is looked at first.
            Told::Refused { error, partly } => self.refused(line, parcel, error, partly),
        }
    }

    /// The portal has it.
    pub(super) fn taken(&self, line: &Line, parcel: Parcel, taken: Taken) -> Settled {
        let now = self.clock.now();
        let Parcel { loaded, content, maybe_twice } = parcel;
        let message = loaded.message.clone();
        let portal_id = line.portal.id.to_string();
        let Content::Messages(prepared) = content else {
            let body = message.as_ref().and_then(|message| edited_text(message, line.portal.language));
            let original = loaded.original.map(|original| original.id);
            let (phone, chat) = (line.phone.clone(), ChatId::from(loaded.chat.id.as_str()));
            let change = match content {
                Content::Change(change) => Some((change.parts(), change.has_rest)),
                _ => None,
            };
            return Settled::plain(loaded.running, Settlement::Done).with(move |tx| {
                let Some(message) = &message else { return Ok(()) };
                // Whoever quotes the edited message quotes what it says now.
                if let (Some(original), Some(body)) = (&original, &body) {
                    tx.catch_up()?;
                    ledger::set_body(tx.conn, original, body)?;
                }
                if let (Some(original), Some((parts, has_rest))) = (&original, change) {
                    ledger::set_line_parts(tx.conn, original, parts)?;
                    if has_rest {
                        rest_follows(tx, &phone, &chat, &message.id, now)?;
                    }
                }
                tx.relayed_later(&message.id, &portal_id, None, body.as_deref(), now)
            });
        };
        let sent_files = prepared.messages.first().map_or(0, |message| message.message.files.len());
        let dropped = taken.files.is_some_and(|files| files < sent_files);
        let im_chat_id =
            taken.im_chat_id.or_else(|| loaded.chat.portal_chat_id.clone().filter(|_| line.knows(&loaded)));
        let user = serde_json::to_string(&user_of(&loaded)).unwrap_or_default();
        let unchanged = line.knows(&loaded)
            && loaded.chat.portal_user.as_deref() == Some(user.as_str())
            && loaded.chat.portal_chat_id == im_chat_id;
        let (line_key, phone) = (line.key(), line.phone.clone());
        let (chat_id, is_template) = (loaded.chat.id.clone(), matches!(loaded.job, Job::Show { .. }));
        let link = prepared.link.filter(|_| !dropped);
        let (summary, without_file) = (prepared.summary, prepared.without_file);
        let parts = parts_shown(&loaded, prepared.parts);
        if let Some(message) = &message {
            let took = (now - message.created_at.and_utc()).to_std().unwrap_or_default();
            self.metrics.relayed("inbound", took);
        }
        let mut settled = Settled::plain(loaded.running, Settlement::Done).with(move |tx| {
            if !unchanged {
                chats::known_to_portal(tx.conn, &chat_id, &user, &line_key, im_chat_id.as_deref())?;
            }
            if let Some((_, blob)) = &link {
                blobs::expire_links(tx.conn, blob, now + LINK_AFTER)?;
            }
            let Some(message) = &message else { return Ok(()) };
            // The text is written once: mostly it stands there as it came.
            let body = summary.as_deref().filter(|summary| *summary != message.body);
            tx.relayed_later(&message.id, &portal_id, im_chat_id.as_deref(), body, now)?;
            if let Some((id, parts)) = &parts {
                ledger::set_line_parts(tx.conn, id, *parts)?;
            }
            if without_file {
                late_file(tx, message, now)?;
            }
            if dropped {
                let job = match is_template {
                    true => Job::Show { chat_id: chat_id.clone(), as_link: true },
                    false => Job::Relay { chat_id: chat_id.clone(), late_file: true, as_link: true },
                };
                let chat = ChatId::from(chat_id.as_str());
                let mut job = to_line(Kind::File, &phone, &chat, Some(message.id.clone()), &job);
                job.dedupe_key = Some(format!("link:{}", message.id));
                jobs::enqueue(tx, &job, now)?;
            }
            Ok(())
        });
        settled.maybe_twice = maybe_twice;
        settled
    }

    /// A verdict on the message itself: tried again with growing delay, then dead with a visible note.
    fn refused(&self, line: &Line, parcel: Parcel, error: String, in_doubt: bool) -> Settled {
        let as_link = parcel.as_link();
        let Parcel { loaded, maybe_twice, .. } = parcel;
        tracing::warn!(
            job.id = loaded.running.row.id,
            chat.id = loaded.chat.id,
            error,
            "the portal refused a message"
        );
        let attempts = loaded.running.row.attempts;
        let mut settlement = self.settings.policy.own_verdict(attempts, error, self.clock.now());
        if let Settlement::Again { doubtful, .. } = &mut settlement {
            *doubtful = in_doubt;
        }
        self.ended(line, loaded, maybe_twice, settlement, as_link)
    }

    /// A parcel that brings the portal to fail each time it goes, while the portal answers otherwise: it
    /// alone waits, the longer the older it is; a file goes as a link next time. Nothing is counted, since
    /// who knows what is wrong there; the length of an outage ends it.
    pub(super) fn stumbled(&self, line: &Line, parcel: Parcel, error: &CallError) -> Settled {
        let now = self.clock.now();
        let as_link = parcel.as_link();
        let Parcel { loaded, maybe_twice, .. } = parcel;
        let text = chain(error);
        tracing::warn!(
            job.id = loaded.running.row.id,
            chat.id = loaded.chat.id,
            error = text,
            "the portal fails at a message and answers otherwise; the message waits alone"
        );
        let created = loaded.running.row.created_at.and_utc();
        let since = loaded.running.row.troubled_since(now);
        let failure = self.settings.policy.decide(error.verdict(), true, text, since, now);
        let mut settlement = failure.settlement;
        if let Settlement::Again { not_before, .. } = &mut settlement {
            let age = now - created;
            *not_before = now + if as_link.is_some() { STUMBLED } else { age.clamp(STUMBLED, STUMBLED_LONG) };
        }
        self.ended(line, loaded, maybe_twice, settlement, as_link)
    }

    /// Nothing is known of the parcels of a call: settled by what the error means.
    pub(super) fn call_failed(
        &self,
        queue: &str,
        line: &Line,
        parcels: Vec<Parcel>,
        error: &CallError,
    ) -> Vec<Settled> {
        let now = self.clock.now();
        let (in_doubt, text, verdict) = (!error.surely_not_executed(), chain(error), error.verdict());
        let until = match verdict {
            Verdict::GiveUp => None,
            Verdict::Retry => Some(self.scheduler.pause(queue, Duration::zero(), now)),
            Verdict::RetryAfter(wait) => {
                let wait = Duration::from_std(wait).unwrap_or_default();
                Some(self.scheduler.pause(queue, wait, now))
            }
            Verdict::Reauthorize => {
                Some(self.scheduler.hold(queue, self.line_stamp(queue), UNBOUND_PAUSE, now))
            }
        };
        if let Some(until) = until {
            tracing::warn!(portal.member_id = %line.portal.member_id, error = text, until = %until, "the portal cannot be used; its messages wait");
        }
        let settle = |parcel: Parcel| {
            if verdict == Verdict::GiveUp {
                return self.refused(line, parcel, text.clone(), in_doubt);
            }
            let Parcel { loaded, maybe_twice, .. } = parcel;
            let (since, policy) = (loaded.running.row.troubled_since(now), self.settings.policy);
            let failure = policy.decide(verdict, in_doubt, text.clone(), since, now);
            self.ended(line, loaded, maybe_twice, failure.settlement, None)
        };
        parcels.into_iter().map(settle).collect()
    }

    /// Ends a run; who waits for a message that will not come is told.
    fn ended(
        &self,
        line: &Line,
        loaded: Loaded,
        maybe_twice: bool,
        settlement: Settlement,
        payload: Option<String>,
    ) -> Settled {
        let now = self.clock.now();
        let row = &loaded.running.row;
        let dead = matches!(settlement, Settlement::Dead { .. });
        let shown = matches!(loaded.job, Job::Relay { .. });
        let attempts = u32::try_from(row.attempts).unwrap_or(0) + 1;
        let text = (dead && shown).then(|| notes::text(&Note::NotShown { attempts }, line.portal.language));
        let (phone, chat) = (line.phone.clone(), ChatId::from(loaded.chat.id.as_str()));
        // A job that was given another chance has another place in its lane.
        let key = format!("dead:{}:{}", row.id, row.lane_seq);
        let job_id = row.id.clone();
        let mut settled = Settled::plain(loaded.running, settlement).with(move |tx| {
            if let Some(payload) = &payload {
                jobs::set_payload(tx.conn, &job_id, payload)?;
            }
            if let Some(text) = &text {
                jobs::enqueue(tx, &note(&phone, &chat, &key, text.clone()), now)?;
            }
            Ok(())
        });
        settled.maybe_twice = maybe_twice;
        settled
    }
}

/// The message that the line now has as more than one, or as another number than before.
fn parts_shown(loaded: &Loaded, parts: usize) -> Option<(String, i32)> {
    let row = match loaded.is_rest_of_edit() {
        true => loaded.original.as_ref(),
        false => loaded.message.as_ref().filter(|_| parts > 1 && !loaded.is_rest()),
    };
    row.map(|row| (row.id.clone(), i32::try_from(parts).unwrap_or(1)))
}

/// An edit is longer than what it changes: what has no place there follows.
fn rest_follows(
    tx: &mut Tx<'_>,
    phone: &PhoneKey,
    chat: &ChatId,
    edit_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let job = Job::Relay { chat_id: chat.to_string(), late_file: true, as_link: false };
    let mut job = to_line(Kind::Message, phone, chat, Some(edit_id.to_owned()), &job);
    job.dedupe_key = Some(format!("rest:{edit_id}"));
    jobs::enqueue(tx, &job, now).map(drop)
}

/// What an edited message says now.
fn edited_text(message: &MessageRow, language: Language) -> Option<String> {
    match WireMessage::parse(&message.payload).ok()?.content {
        content @ WireContent::Edit { .. } => Some(to_line::summary(&content, language)),
        _ => None,
    }
}
