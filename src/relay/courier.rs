//! Hands what waits for a line to the portal: many chats in one call, one message of each, a verdict per item.
//!
//! There is no timer. While a call is under way, what arrives for the line waits, and goes together in the
//! next one: the slower the portal, the fuller the calls. `imconnector.send.messages` is not idempotent; after
//! an answer that never came, the chat's history tells whether a message is there before it is sent again.
//! A call that is refused as a whole is made again in halves, until what it is refused for stands alone.
//!
//! `call` makes one call, `changes` is about edits and deletions, `doubt` looks into histories, `settle` writes down
//! what became of a message.

mod call;
mod changes;
mod doubt;
mod settle;

use std::sync::Arc;

pub use self::doubt::Doubts;

use chrono::{DateTime, Duration, Utc};

use self::changes::Change;
use super::loaded::{Loaded, load};
use super::to_portal::Prepared;
use super::{Relay, effects, outbound};
use crate::bitrix::imconnector::{Delivery, LineMessage, LineRemoval};
use crate::bitrix::users::AppInfoGet;
use crate::directory::{Binding, Portal};
use crate::domain::{ChatId, ImMessageId, PhoneKey, Verdict, Wamid};
use crate::queue::job::{Class, Job};
use crate::queue::lanes::Take;
use crate::queue::worker::{Runner, Running, Settled, Started};
use crate::store::jobs::{JobRow, Settlement};
use crate::store::{StoreError, Tx, blobs, events};

/// What one call carries: 50 messages of as many chats, one of them with a file (the portal pulls it inside
/// the call).
pub const TAKE: Take = Take { parallel: 1, jobs: 50, files: 1, newcomers: NEW_CHATS };
/// Chats in one call that the portal does not know yet: each costs it a user, a chat, a session and objects
/// of the CRM, one or two seconds of its sixty.
const NEW_CHATS: usize = 5;
/// So many messages that the portal stumbles over are tried in one run, and none after so long.
const STUMBLES: usize = 5;
const ISOLATING: Duration = Duration::minutes(3);
/// A line without a phone's binding, or a portal without our app, is looked at again this often at the
/// latest; a change of either wakes it at once.
const UNBOUND_PAUSE: Duration = Duration::seconds(30);

/// Runs the jobs of class [`Class::Line`].
pub struct Courier(pub Arc<Relay>);

impl Runner for Courier {
    async fn run(&self, started: Started) {
        let (queue, lease) = (started.queue.clone(), started.lease_id.clone());
        let settled = self.0.carry(&queue, started.jobs).await;
        self.0.worker.finish(&lease, settled).await;
    }

    fn broken_off(&self, tx: &mut Tx<'_>, job: &JobRow, now: DateTime<Utc>) -> Result<(), StoreError> {
        effects::broken_off(&self.0.directory.now(), tx, job, now)
    }
}

/// Where a call goes.
struct Line {
    phone: PhoneKey,
    portal: Portal,
    binding: Binding,
}

impl Line {
    /// Key of the line in which the portal may know a chat.
    fn key(&self) -> String {
        format!("{}:{}", self.portal.id, self.binding.line)
    }

    fn knows(&self, loaded: &Loaded) -> bool {
        loaded.chat.portal_line.as_deref() == Some(self.key().as_str())
    }
}

/// A job with what the portal is told.
struct Parcel {
    loaded: Loaded,
    content: Content,
    maybe_twice: bool,
}

impl Parcel {
    /// Whether it bears a file that the portal has to pull.
    fn has_file(&self) -> bool {
        self.content.messages().iter().any(|message| !message.message.files.is_empty())
    }

    /// For a parcel with a file: the payload of its job with which the file goes as a link.
    fn as_link(&self) -> Option<String> {
        let job = match &self.loaded.job {
            Job::Relay { chat_id, late_file, .. } => {
                Job::Relay { chat_id: chat_id.clone(), late_file: *late_file, as_link: true }
            }
            Job::Show { chat_id, .. } => Job::Show { chat_id: chat_id.clone(), as_link: true },
            _ => return None,
        };
        self.has_file().then(|| job.to_json())
    }
}

enum Content {
    /// Messages and notes.
    Messages(Box<Prepared>),
    /// An operator's message that Meta has accepted.
    Accepted(Delivery),
    /// A contact's edit.
    Change(Change),
    /// A contact's revocation.
    Removal(Vec<LineRemoval>),
}

impl Content {
    fn messages(&self) -> &[LineMessage] {
        match self {
            Self::Messages(prepared) => &prepared.messages,
            _ => &[],
        }
    }
}

/// What the portal says of one parcel.
enum Told {
    Taken(Taken),
    Refused {
        error: String,
        /// Some of its messages were taken.
        partly: bool,
    },
}

/// What the portal says of a parcel that it took.
#[derive(Default)]
struct Taken {
    /// Files that it kept of the first message; `None`: not said.
    files: Option<usize>,
    im_chat_id: Option<String>,
}

impl Relay {
    /// How the way of a courier's queue is set up; another answer than before means that a person has
    /// changed something, so that a queue that is held may be tried again.
    pub fn line_stamp(&self, queue: &str) -> String {
        self.line(queue).map_or_else(String::new, |line| {
            format!("{}|{}|{}", line.key(), line.portal.row.updated_at, line.portal.row.status)
        })
    }

    async fn carry(&self, queue: &str, jobs: Vec<Running>) -> Vec<Settled> {
        let Some(line) = self.line(queue) else {
            let now = self.clock.now();
            self.scheduler.hold(queue, String::new(), UNBOUND_PAUSE, now);
            return jobs.into_iter().map(|job| Settled::plain(job, Settlement::Released)).collect();
        };
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
        let (mut errands, mut messages, mut doubted, mut newcomers) = (vec![], vec![], vec![], 0);
        for loaded in loaded {
            if let Job::Acknowledge { portal_id, .. } = &loaded.job
                && *portal_id != line.portal.id.to_string()
            {
                // The phone has moved; its former portal's ids mean something else to this one.
                settled.push(Settled::plain(loaded.running, Settlement::Done));
                continue;
            }
            if line.passes_over(&loaded) {
                settled.push(self.passed_over(&line, loaded));
                continue;
            }
            let parcel = self.parcel(&line, loaded);
            if !matches!(parcel.content, Content::Messages(_)) {
                errands.push(parcel);
                continue;
            }
            if !line.knows(&parcel.loaded) {
                if newcomers >= NEW_CHATS {
                    let running = parcel.loaded.running;
                    self.scheduler.set_aside(&running.claimed.lane);
                    settled.push(Settled::plain(running, Settlement::Released));
                    continue;
                }
                newcomers += 1;
            }
            let doubtful = parcel.loaded.running.row.doubtful;
            if doubtful { doubted.push(parcel) } else { messages.push(parcel) }
        }
        let known = self.sort_out(queue, &line, doubted, &mut settled).await;
        let went = match known {
            Ok(missing) => {
                messages.extend(missing);
                messages.sort_by_key(|parcel| parcel.loaded.running.row.lane_seq);
                self.deliver(queue, &line, messages, &mut settled).await
            }
            Err(()) => {
                settled.extend(messages.into_iter().map(release));
                false
            }
        };
        if went {
            self.deliver(queue, &line, errands, &mut settled).await;
        } else {
            settled.extend(errands.into_iter().map(release));
        }
        settled
    }

    fn line(&self, queue: &str) -> Option<Line> {
        let phone = PhoneKey::from(Class::of_queue(queue)?.1);
        let snapshot = self.directory.now();
        let binding = snapshot.binding_of_phone(&phone)?.clone();
        let portal = snapshot.portal(&binding.portal).filter(|portal| portal.is_active())?.clone();
        Some(Line { phone, portal, binding })
    }

    fn parcel(&self, line: &Line, loaded: Loaded) -> Parcel {
        let maybe_twice = loaded.running.row.maybe_twice;
        if let Job::Acknowledge { im_chat_id, im_message_id, .. } = &loaded.job {
            let wamids = loaded.parts.iter().filter_map(|part| part.wamid.as_deref().map(Wamid::from));
            let content = Content::Accepted(Delivery {
                im_chat_id: im_chat_id.clone(),
                im_message_id: ImMessageId::from(im_message_id.as_str()),
                wamids: wamids.collect(),
                date: self.clock.now().timestamp(),
                chat_id: ChatId::from(loaded.chat.name()),
            });
            return Parcel { loaded, content, maybe_twice };
        }
        let prepared = self.prepare(&loaded, &line.portal);
        let change = line.change(&loaded, &prepared);
        let content = change.unwrap_or_else(|| Content::Messages(Box::new(prepared)));
        Parcel { loaded, content, maybe_twice }
    }

    /// Hands over parcels of one family, together if the portal takes them so. `false`: the portal cannot
    /// be used at present.
    async fn deliver(
        &self,
        queue: &str,
        line: &Line,
        parcels: Vec<Parcel>,
        settled: &mut Vec<Settled>,
    ) -> bool {
        if parcels.is_empty() {
            return true;
        }
        if let Err(error) = self.store_before_call(&parcels).await {
            let jobs = parcels.into_iter().map(|parcel| parcel.loaded.running);
            settled.extend(jobs.map(|job| self.store_failed(job, &error)));
            return true;
        }
        let mut groups = self.groups(queue, parcels);
        let alone = groups.len();
        let (began, mut stumbles) = (self.clock.now(), 0);
        while let Some(mut group) = groups.pop() {
            if stumbles >= STUMBLES || (stumbles > 0 && self.clock.now() - began > ISOLATING) {
                // A run has its deadline; those that failed wait, so that the others come first next time.
                settled.extend(group.into_iter().chain(groups.into_iter().flatten()).map(release));
                return true;
            }
            let error = match self.call(line, &group).await {
                Ok(told) => {
                    self.scheduler.resume(queue);
                    self.doubts.answered(queue, &group);
                    let each = group.into_iter().zip(told);
                    settled.extend(each.map(|(parcel, told)| self.told(line, parcel, told)));
                    continue;
                }
                Err(error) => error,
            };
            if error.verdict() == Verdict::Retry && !error.surely_not_executed() {
                self.doubts.failed(queue, &group);
                let again = group.iter().any(|parcel| parcel.loaded.running.row.doubtful);
                if again && group.len() == 1 && self.answers(line).await {
                    stumbles += 1;
                    settled.extend(group.into_iter().map(|parcel| self.stumbled(line, parcel, &error)));
                    continue;
                }
            }
            if error.verdict() != Verdict::GiveUp {
                settled.extend(self.call_failed(queue, line, group, &error));
                settled.extend(groups.into_iter().flatten().map(release));
                return false;
            }
            if group.len() < 2 {
                settled.extend(self.call_failed(queue, line, group, &error));
                continue;
            }
            // Whose fault it is is found out by halves; the others are not to wait for it.
            tracing::warn!(queue, error = %error, messages = group.len(), "the portal refused a call; it is made again in parts");
            if !error.surely_not_executed() {
                group = match self.sort_out(queue, line, group, settled).await {
                    Ok(missing) => missing,
                    Err(()) => {
                        settled.extend(groups.into_iter().flatten().map(release));
                        return false;
                    }
                };
            }
            let second = group.split_off(group.len() / 2);
            groups.extend([second, group].into_iter().filter(|half| !half.is_empty()));
        }
        if stumbles == 0 && alone > 2 {
            self.doubts.forget(queue);
        }
        true
    }

    /// What goes together. What failed in doubt joins the others once more; after that, and if it bears a
    /// file, it goes alone after them, so that one message which the portal stumbles over holds no other.
    fn groups(&self, queue: &str, parcels: Vec<Parcel>) -> Vec<Vec<Parcel>> {
        let isolate = self.doubts.isolate(queue);
        let alone = |parcel: &Parcel| parcel.loaded.running.row.doubtful && (isolate || parcel.has_file());
        let (alone, together): (Vec<_>, Vec<_>) = parcels.into_iter().partition(alone);
        let mut groups: Vec<Vec<Parcel>> = alone.into_iter().rev().map(|parcel| vec![parcel]).collect();
        if !together.is_empty() {
            groups.push(together);
        }
        groups
    }

    /// Whether the portal answers anything at all.
    async fn answers(&self, line: &Line) -> bool {
        self.gateway.call(&line.portal.id, &AppInfoGet).await.is_ok()
    }

    /// Media links must be good, and echoes expected, before the portal hears of them.
    async fn store_before_call(&self, parcels: &[Parcel]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (mut links, mut echoes) = (Vec::new(), Vec::new());
        for parcel in parcels {
            let Content::Messages(prepared) = &parcel.content else { continue };
            links.extend(prepared.link.clone());
            let texts = prepared.echoes.iter();
            echoes.extend(texts.map(|text| (parcel.loaded.chat.id.clone(), outbound::text_hash(text))));
        }
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
}

/// Not tried after all.
fn release(parcel: Parcel) -> Settled {
    let mut settled = Settled::plain(parcel.loaded.running, Settlement::Released);
    settled.maybe_twice = parcel.maybe_twice;
    settled
}
