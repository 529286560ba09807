//! Hands what waits for a line to the portal: many chats in one call, one message of each, a verdict per item.
//!
//! There is no timer. While a call is under way, what arrives for the line waits, and goes together in the
//! next one: the slower the portal, the fuller the calls. `imconnector.send.messages` is not idempotent; after
//! an answer that never came, the chat's history tells whether a message is there before it is sent again.

use std::sync::Arc;

use chrono::Duration;

use super::fetch::{chain, late_file};
use super::to_portal::{Loaded, Prepared, load, user_of};
use super::{Relay, outbound};
use crate::bitrix::error::CallError;
use crate::bitrix::imconnector::{
    DeleteMessages, Delivery, ItemReply, LineChange, LineRemoval, SendDelivery, SendMessages, UpdateMessages,
};
use crate::bitrix::openlines::{HistoryMessage, SessionHistory};
use crate::directory::{Binding, Portal};
use crate::domain::{ChatId, ImMessageId, PhoneKey, PortalId, Wamid};
use crate::queue::job::{Class, Job, Kind, note};
use crate::queue::lanes::Take;
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::jobs::{self, Settlement};
use crate::store::{blobs, chats, events, messages as ledger};
use crate::translate::notes::{self, Note};
use crate::translate::to_line::Action;

/// What one call carries: 50 messages of as many chats, one of them with a file (the portal pulls it inside
/// the call).
pub const TAKE: Take = Take { parallel: 1, jobs: 50, files: 1 };
/// Chats in one call that the portal does not know yet: each costs it a user, a chat, a session and objects
/// of the CRM, one or two seconds of its sixty.
const NEW_CHATS: usize = 5;
/// How long a media link stays good after the portal took the message.
const LINK_AFTER: Duration = Duration::hours(72);
/// A line without a phone's binding, or a portal without our app, is looked at again this often.
const UNBOUND_PAUSE: Duration = Duration::seconds(30);

/// Runs the jobs of class [`Class::Line`].
pub struct Courier(pub Arc<Relay>);

impl Runner for Courier {
    async fn run(&self, started: Started) {
        let (queue, lease) = (started.queue.clone(), started.lease_id.clone());
        let settled = self.0.carry(&queue, started.jobs).await;
        self.0.worker.finish(&lease, settled).await;
    }
}

/// Where a call goes.
struct Line {
    phone: PhoneKey,
    portal: Portal,
    binding: Binding,
}

/// A message with its preparation.
struct Parcel {
    loaded: Loaded,
    prepared: Prepared,
    maybe_twice: bool,
}

impl Relay {
    async fn carry(&self, queue: &str, jobs: Vec<Running>) -> Vec<Settled> {
        let Some(line) = self.line(queue) else {
            let now = self.clock.now();
            self.scheduler.pause(queue, UNBOUND_PAUSE, now);
            return jobs.into_iter().map(|job| Settled::plain(job, Settlement::Released)).collect();
        };
        let family = jobs.first().map(|job| job.claimed.kind.family());
        let fallback = jobs.clone();
        let (loaded, gone) = match self.db.read(move |conn| load(conn, jobs)).await {
            Ok(loaded) => loaded,
            Err(error) => return fallback.into_iter().map(|job| self.store_failed(job, &error)).collect(),
        };
        let mut settled: Vec<Settled> = gone
            .into_iter()
            .map(|job| {
                let error = "the chat or message of this job is gone".to_owned();
                Settled::plain(job, Settlement::Dead { error })
            })
            .collect();
        settled.extend(match family {
            Some(Kind::Acknowledge) => self.acknowledge(queue, &line, loaded).await,
            Some(Kind::Update) => self.change(queue, &line, loaded).await,
            Some(Kind::Delete) => self.remove(queue, &line, loaded).await,
            _ => self.send(queue, &line, loaded).await,
        });
        settled
    }

    fn line(&self, queue: &str) -> Option<Line> {
        let (_, phone) = Class::of_queue(queue)?;
        let snapshot = self.directory.now();
        let binding = snapshot.binding_of_phone(&phone)?.clone();
        let portal = snapshot.portal(&binding.portal).filter(|portal| portal.is_active())?.clone();
        Some(Line { phone, portal, binding })
    }

    /// Messages and notes.
    async fn send(&self, queue: &str, line: &Line, loaded: Vec<Loaded>) -> Vec<Settled> {
        let (parcels, mut settled) = self.parcels(queue, line, loaded).await;
        if parcels.is_empty() {
            return settled;
        }
        if let Err(error) = self.store_before_call(&parcels).await {
            settled
                .extend(parcels.into_iter().map(|parcel| self.store_failed(parcel.loaded.running, &error)));
            return settled;
        }
        let messages: Vec<_> = parcels.iter().flat_map(|parcel| parcel.prepared.messages.clone()).collect();
        let call = SendMessages {
            connector: &self.settings.connector,
            line: &line.binding.line,
            messages: &messages,
        };
        match self.gateway.call(&line.portal.id, &call).await {
            Ok(reply) => {
                self.scheduler.resume(queue);
                let mut place = 0;
                for parcel in parcels {
                    let count = parcel.prepared.messages.len();
                    let replies: Vec<Option<ItemReply>> = (place..place + count)
                        .zip(&parcel.prepared.messages)
                        .map(|(index, message)| reply.item(index, &message.message.id).cloned())
                        .collect();
                    place += count;
                    settled.push(self.delivered(line, parcel, &replies));
                }
            }
            Err(error) => {
                settled.extend(self.call_failed(
                    queue,
                    line,
                    parcels.into_iter().map(of_parcel).collect(),
                    &error,
                ));
            }
        }
        settled
    }

    /// Chooses what goes in this call, and finds out about what is in doubt.
    async fn parcels(&self, queue: &str, line: &Line, loaded: Vec<Loaded>) -> (Vec<Parcel>, Vec<Settled>) {
        let (mut parcels, mut settled, mut new_chats) = (Vec::new(), Vec::new(), 0);
        for loaded in loaded {
            let known = known_on(line, &loaded);
            if !known && new_chats >= NEW_CHATS {
                settled.push(Settled::plain(loaded.running, Settlement::Released));
                continue;
            }
            let prepared = self.prepare(&loaded, &line.portal, &line.binding);
            let mut maybe_twice = loaded.running.row.maybe_twice;
            if loaded.running.row.doubtful {
                match self.is_there(&line.portal.id, known, &loaded, &prepared).await {
                    Ok(true) => {
                        let parcel = Parcel { loaded, prepared, maybe_twice };
                        settled.push(self.delivered(line, parcel, &[]));
                        continue;
                    }
                    Ok(false) => maybe_twice = true,
                    Err(error) => {
                        settled.extend(self.call_failed(
                            queue,
                            line,
                            vec![(loaded, maybe_twice, true)],
                            &error,
                        ));
                        continue;
                    }
                }
            }
            new_chats += usize::from(!known);
            parcels.push(Parcel { loaded, prepared, maybe_twice });
        }
        (parcels, settled)
    }

    /// Whether the chat's history holds a message that we may have sent already.
    async fn is_there(
        &self,
        portal: &PortalId,
        known: bool,
        loaded: &Loaded,
        prepared: &Prepared,
    ) -> Result<bool, CallError> {
        let Some(im_chat_id) = loaded.chat.portal_chat_id.as_deref().filter(|_| known) else {
            // The portal has not told us the id of this chat yet: there is no way to know.
            return Ok(false);
        };
        let Some(last) = prepared.messages.last() else { return Ok(false) };
        let history: Vec<HistoryMessage> =
            match self.gateway.call(portal, &SessionHistory::Chat(im_chat_id)).await {
                Ok(history) => history,
                // A history that is refused as such tells nothing.
                Err(CallError::Refused { http: 400, .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
        Ok(history.iter().any(|message| message.connector_mids.contains(&last.message.id)))
    }

    /// Media links must be good, and echoes expected, before the portal hears of them.
    async fn store_before_call(&self, parcels: &[Parcel]) -> Result<(), crate::store::StoreError> {
        let now = self.clock.now();
        let links: Vec<(String, String)> =
            parcels.iter().filter_map(|parcel| parcel.prepared.link.clone()).collect();
        let echoes: Vec<(String, String)> = parcels
            .iter()
            .flat_map(|parcel| {
                let chat = &parcel.loaded.chat.id;
                parcel.prepared.echoes.iter().map(|text| (chat.clone(), outbound::text_hash(text)))
            })
            .collect();
        if links.is_empty() && echoes.is_empty() {
            return Ok(());
        }
        self.db
            .write(move |tx| {
                for (hash, blob) in &links {
                    blobs::link(tx.conn, hash, blob, None, now)?;
                }
                for (chat, hash) in &echoes {
                    events::expect_echo(tx.conn, chat, hash, now)?;
                }
                Ok(())
            })
            .await
    }

    /// The portal's verdict on one message.
    fn delivered(&self, line: &Line, parcel: Parcel, replies: &[Option<ItemReply>]) -> Settled {
        let now = self.clock.now();
        let Parcel { loaded, prepared, maybe_twice } = parcel;
        let failed = replies.iter().find(|reply| !reply.as_ref().is_some_and(|reply| reply.success));
        if let Some(reply) = failed {
            let error = match reply {
                Some(reply) if !reply.errors.is_empty() => reply.errors.join("; "),
                Some(_) => "the portal did not take the message".to_owned(),
                None => "the portal gave no verdict on the message".to_owned(),
            };
            return self.refused(line, loaded, maybe_twice, error);
        }
        let first = replies.first().and_then(Option::as_ref);
        let sent_files = prepared.messages.first().map_or(0, |message| message.message.files.len());
        let dropped = first.is_some_and(|reply| reply.files < sent_files);
        let im_chat_id = first
            .and_then(|reply| reply.portal_chat_id.clone())
            .or_else(|| loaded.chat.portal_chat_id.clone().filter(|_| known_on(line, &loaded)));
        let user = serde_json::to_string(&user_of(&loaded)).unwrap_or_default();
        let unchanged = loaded.chat.portal_user.as_deref() == Some(user.as_str())
            && loaded.chat.portal_line.as_deref() == Some(line_key(line).as_str())
            && loaded.chat.portal_chat_id == im_chat_id;
        let (line_key, portal_id, phone) = (line_key(line), line.portal.id.to_string(), line.phone.clone());
        let link = prepared.link.clone().filter(|_| !dropped);
        let (message, chat_id) = (loaded.message.clone(), loaded.chat.id.clone());
        let (summary, without_file) = (prepared.summary.clone(), prepared.without_file);
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
            ledger::relayed(
                tx.conn,
                &message.id,
                &portal_id,
                im_chat_id.as_deref(),
                summary.as_deref(),
                now,
            )?;
            if without_file {
                late_file(tx, message, now)?;
            }
            if dropped {
                let job = Job::Relay { chat_id: chat_id.clone(), late_file: true };
                let chat = ChatId::from(chat_id.as_str());
                let mut job =
                    crate::queue::job::to_line(Kind::File, &phone, &chat, Some(message.id.clone()), &job);
                job.dedupe_key = Some(format!("link:{}", message.id));
                if let Some(id) = jobs::enqueue(tx, &job, now)? {
                    jobs::set_attempts(tx.conn, &id, 1)?;
                }
            }
            Ok(())
        });
        settled.maybe_twice = maybe_twice;
        settled
    }

    /// A verdict on the message itself: tried again with growing delay, then dead with a visible note.
    fn refused(&self, line: &Line, loaded: Loaded, maybe_twice: bool, error: String) -> Settled {
        let now = self.clock.now();
        tracing::warn!(
            job.id = loaded.running.row.id,
            chat.id = loaded.chat.id,
            error,
            "the portal refused a message"
        );
        let settlement = self.settings.policy.own_verdict(loaded.running.row.attempts, error, now);
        let dead = matches!(settlement, Settlement::Dead { .. });
        let is_note = matches!(loaded.job, Job::Note { .. });
        let attempts = u32::try_from(loaded.running.row.attempts).unwrap_or(0) + 1;
        let text = notes::text(&Note::Dead { attempts }, line.portal.language);
        let (phone, chat) = (line.phone.clone(), ChatId::from(loaded.chat.id.as_str()));
        let key = format!("dead:{}", loaded.running.row.id);
        let mut settled = Settled::plain(loaded.running, settlement).with(move |tx| {
            if dead && !is_note {
                jobs::enqueue(tx, &note(&phone, &chat, &key, text.clone()), now)?;
            }
            Ok(())
        });
        settled.maybe_twice = maybe_twice;
        settled
    }

    /// Nothing is known of the messages of a call: settled by what the error means.
    fn call_failed(
        &self,
        queue: &str,
        line: &Line,
        jobs: Vec<(Loaded, bool, bool)>,
        error: &CallError,
    ) -> Vec<Settled> {
        let now = self.clock.now();
        let in_doubt = !error.surely_not_executed();
        let text = chain(error);
        let verdict = match error.verdict() {
            // The call as a whole was refused for what it said: whose fault it is is found out one by one.
            crate::domain::Verdict::GiveUp if jobs.len() > 1 => None,
            verdict => Some(verdict),
        };
        if verdict.is_some_and(|verdict| verdict != crate::domain::Verdict::GiveUp) {
            let wait = match error.verdict() {
                crate::domain::Verdict::RetryAfter(wait) => Duration::from_std(wait).unwrap_or_default(),
                crate::domain::Verdict::Reauthorize => UNBOUND_PAUSE,
                _ => Duration::zero(),
            };
            let until = self.scheduler.pause(queue, wait, now);
            tracing::warn!(portal.member_id = %line.portal.member_id, error = text, until = %until, "the portal cannot be used; its messages wait");
        }
        jobs.into_iter()
            .map(|(loaded, maybe_twice, was_doubtful)| {
                let doubtful = in_doubt || was_doubtful;
                let created = loaded.running.row.created_at.and_utc();
                match verdict {
                    Some(crate::domain::Verdict::GiveUp) => {
                        self.refused(line, loaded, maybe_twice, text.clone())
                    }
                    Some(verdict) => {
                        let policy = self.settings.policy;
                        let failure = policy.decide(verdict, doubtful, text.clone(), created, now);
                        let mut settled = Settled::plain(loaded.running, failure.settlement);
                        settled.maybe_twice = maybe_twice;
                        settled
                    }
                    None => {
                        // Spread out, each of them goes in a call of its own soon.
                        let spread = Duration::milliseconds(200 * (loaded.running.row.lane_seq % 50));
                        let not_before = now + Duration::seconds(1) + spread;
                        let error = text.clone();
                        let again = Settlement::Again { not_before, error, counts: true, doubtful };
                        Settled::plain(loaded.running, again)
                    }
                }
            })
            .collect()
    }

    /// Operator's messages that Meta has accepted.
    async fn acknowledge(&self, queue: &str, line: &Line, loaded: Vec<Loaded>) -> Vec<Settled> {
        let date = self.clock.now().timestamp();
        let mut deliveries = Vec::new();
        for loaded in &loaded {
            let Job::Acknowledge { im_chat_id, im_message_id, .. } = &loaded.job else { continue };
            let wamids: Vec<Wamid> =
                loaded.parts.iter().filter_map(|part| part.wamid.as_deref().map(Wamid::from)).collect();
            deliveries.push(Delivery {
                im_chat_id: im_chat_id.clone(),
                im_message_id: ImMessageId::from(im_message_id.as_str()),
                wamids,
                date,
                chat_id: ChatId::from(loaded.chat.id.as_str()),
            });
        }
        let call = SendDelivery {
            connector: &self.settings.connector,
            line: &line.binding.line,
            deliveries: &deliveries,
        };
        let outcome = self.gateway.call(&line.portal.id, &call).await;
        self.settle_all(queue, line, loaded, outcome)
    }

    /// Contacts' edits.
    async fn change(&self, queue: &str, line: &Line, loaded: Vec<Loaded>) -> Vec<Settled> {
        let (mut changes, mut changing, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for loaded in loaded {
            let prepared = self.prepare(&loaded, &line.portal, &line.binding);
            let Action::Update { original } = &prepared.action else {
                settled.extend(self.send(queue, line, vec![loaded]).await);
                continue;
            };
            let text =
                prepared.messages.first().map(|message| message.message.text.clone()).unwrap_or_default();
            changes.push(LineChange {
                user: user_of(&loaded),
                message_id: original.to_string(),
                text,
                chat_id: ChatId::from(loaded.chat.id.as_str()),
            });
            changing.push(loaded);
        }
        if !changes.is_empty() {
            let call = UpdateMessages {
                connector: &self.settings.connector,
                line: &line.binding.line,
                messages: &changes,
            };
            let outcome = self.gateway.call(&line.portal.id, &call).await.map(drop);
            settled.extend(self.settle_all(queue, line, changing, outcome));
        }
        settled
    }

    /// Contacts' revocations.
    async fn remove(&self, queue: &str, line: &Line, loaded: Vec<Loaded>) -> Vec<Settled> {
        let (mut removals, mut removing, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for loaded in loaded {
            let prepared = self.prepare(&loaded, &line.portal, &line.binding);
            let Action::Delete { original } = &prepared.action else {
                settled.extend(self.send(queue, line, vec![loaded]).await);
                continue;
            };
            removals.push(LineRemoval {
                user: user_of(&loaded),
                message_id: original.to_string(),
                chat_id: ChatId::from(loaded.chat.id.as_str()),
            });
            removing.push(loaded);
        }
        if !removals.is_empty() {
            let call = DeleteMessages {
                connector: &self.settings.connector,
                line: &line.binding.line,
                messages: &removals,
            };
            let outcome = self.gateway.call(&line.portal.id, &call).await.map(drop);
            settled.extend(self.settle_all(queue, line, removing, outcome));
        }
        settled
    }

    /// Calls that may be repeated without harm: all done, or all by what the error means.
    fn settle_all(
        &self,
        queue: &str,
        line: &Line,
        loaded: Vec<Loaded>,
        outcome: Result<(), CallError>,
    ) -> Vec<Settled> {
        let (now, portal_id) = (self.clock.now(), line.portal.id.to_string());
        match outcome {
            Ok(()) => {
                self.scheduler.resume(queue);
                loaded
                    .into_iter()
                    .map(|loaded| {
                        let (message, portal_id) = (loaded.message.clone(), portal_id.clone());
                        Settled::plain(loaded.running, Settlement::Done).with(move |tx| match &message {
                            Some(message) => {
                                ledger::relayed(tx.conn, &message.id, &portal_id, None, None, now)
                            }
                            None => Ok(()),
                        })
                    })
                    .collect()
            }
            Err(error) => {
                let jobs = loaded.into_iter().map(|loaded| (loaded, false, false)).collect();
                self.call_failed(queue, line, jobs, &error)
            }
        }
    }
}

fn of_parcel(parcel: Parcel) -> (Loaded, bool, bool) {
    (parcel.loaded, parcel.maybe_twice, false)
}

/// Key of the line in which the portal may know a chat.
fn line_key(line: &Line) -> String {
    format!("{}:{}", line.portal.id, line.binding.line)
}

fn known_on(line: &Line, loaded: &Loaded) -> bool {
    loaded.chat.portal_line.as_deref() == Some(line_key(line).as_str())
}
