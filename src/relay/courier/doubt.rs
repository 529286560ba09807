//! What may be at the portal already, since an answer never came: the chat's history knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Duration;

use super::{Content, Line, Parcel, Taken};
use crate::bitrix::error::CallError;
use crate::bitrix::openlines::{HistoryMessage, SessionHistory};
use crate::domain::Verdict;
use crate::queue::worker::Settled;
use crate::relay::Relay;
use crate::relay::fetch::chain;
use crate::store::jobs::Settlement;

/// So often the history of a chat may fail while those of others are told; then nobody can know.
const HISTORY_FAILURES: u32 = 5;
/// Its job waits so long before the history is asked again.
const HISTORY_PAUSE: Duration = Duration::seconds(2);

/// How often in a row something failed in doubt: calls of a queue with the same messages among others, and
/// the histories of single chats, by the lane.
#[derive(Default)]
pub struct Doubts(Mutex<HashMap<String, u32>>);

impl Doubts {
    /// Whether what is in doubt must go one by one.
    pub(super) fn isolate(&self, queue: &str) -> bool {
        self.lock().get(queue).is_some_and(|failures| *failures >= 2)
    }

    pub(super) fn failed(&self, queue: &str, group: &[Parcel]) {
        if group.len() > 1 {
            let mut failures = self.lock();
            let count = failures.entry(queue.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// A call got through with several messages that had failed together: it was an outage.
    pub(super) fn answered(&self, queue: &str, group: &[Parcel]) {
        if group.len() > 1 && group.iter().any(|parcel| parcel.loaded.running.row.doubtful) {
            self.forget(queue);
        }
    }

    /// All that had to go one by one got through.
    pub(super) fn forget(&self, queue: &str) {
        self.lock().remove(queue);
    }

    /// The history of a lane's chat failed although the portal answers. `true`: it has failed often enough.
    fn history_failed(&self, lane: &str) -> bool {
        let mut failures = self.lock();
        let count = failures.entry(lane.to_owned()).or_default();
        *count += 1;
        let enough = *count >= HISTORY_FAILURES;
        if enough {
            failures.remove(lane);
        }
        enough
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// Settles those that are there, and returns the others with what is missing of them. `Err`: the portal
    /// cannot be asked at present; all of them are settled to wait.
    pub(super) async fn sort_out(
        &self,
        queue: &str,
        line: &Line,
        doubted: Vec<Parcel>,
        settled: &mut Vec<Settled>,
    ) -> Result<Vec<Parcel>, ()> {
        let mut missing = Vec::with_capacity(doubted.len());
        let (mut asked, mut chats) = (Vec::new(), Vec::new());
        for mut parcel in doubted {
            let chat = parcel.loaded.chat.portal_chat_id.clone().filter(|_| line.knows(&parcel.loaded));
            match (&parcel.content, chat) {
                (Content::Messages(_), Some(chat)) => {
                    asked.push(parcel);
                    chats.push(chat);
                }
                // The portal has not told us the id of this chat yet: there is no way to know.
                (Content::Messages(_), None) => {
                    parcel.maybe_twice = true;
                    missing.push(parcel);
                }
                // The others may be repeated without harm.
                _ => missing.push(parcel),
            }
        }
        let calls: Vec<SessionHistory<'_>> = chats.iter().map(|chat| SessionHistory::Chat(chat)).collect();
        let histories = match self.gateway.batch(&line.portal.id, &calls).await {
            Ok(histories) => histories,
            // Not the messages' fault, whatever it is: histories that are not given tell nothing.
            Err(error) if error.verdict() == Verdict::GiveUp => {
                missing.extend(asked.into_iter().map(|parcel| Parcel { maybe_twice: true, ..parcel }));
                return Ok(missing);
            }
            Err(error) => {
                settled.extend(self.still_in_doubt(queue, line, asked, &error));
                settled.extend(missing.into_iter().map(super::release));
                return Err(());
            }
        };
        let mut outage = None;
        for (mut parcel, history) in asked.into_iter().zip(histories) {
            match history {
                Ok(history) => {
                    self.doubts.forget(&parcel.loaded.running.claimed.lane);
                    match there(&mut parcel, &history) {
                        Some(taken) => settled.push(self.taken(line, parcel, taken)),
                        None => missing.push(parcel),
                    }
                }
                // The portal answers, but not this: this chat alone waits, and not for ever.
                Err(error) if error.verdict() == Verdict::Retry => {
                    if self.doubts.history_failed(&parcel.loaded.running.claimed.lane) {
                        parcel.maybe_twice = true;
                        missing.push(parcel);
                    } else {
                        settled.push(self.unknown_yet(parcel, &error));
                    }
                }
                Err(error) if error.verdict() == Verdict::GiveUp => {
                    parcel.maybe_twice = true;
                    missing.push(parcel);
                }
                Err(error) => {
                    settled.extend(self.still_in_doubt(queue, line, vec![parcel], &error));
                    outage = Some(error);
                }
            }
        }
        if outage.is_some() {
            settled.extend(missing.into_iter().map(super::release));
            return Err(());
        }
        Ok(missing)
    }

    /// The history of one chat could not be told.
    fn unknown_yet(&self, parcel: Parcel, error: &CallError) -> Settled {
        let (not_before, error) = (self.clock.now() + HISTORY_PAUSE, chain(error));
        tracing::warn!(chat.id = parcel.loaded.chat.id, error, "the portal does not tell a chat's history");
        let settlement = Settlement::Again { not_before, error, counts: false, doubtful: true };
        let mut settled = Settled::plain(parcel.loaded.running, settlement);
        settled.maybe_twice = parcel.maybe_twice;
        settled
    }

    /// The history could not be asked: what was in doubt stays so.
    fn still_in_doubt(
        &self,
        queue: &str,
        line: &Line,
        parcels: Vec<Parcel>,
        error: &CallError,
    ) -> Vec<Settled> {
        let mut settled = self.call_failed(queue, line, parcels, error);
        for settled in &mut settled {
            if let Settlement::Again { doubtful, .. } = &mut settled.settlement {
                *doubtful = true;
            }
        }
        settled
    }
}

/// What the history says of a parcel that is there as a whole; else leaves in it what is missing.
fn there(parcel: &mut Parcel, history: &[HistoryMessage]) -> Option<Taken> {
    let Content::Messages(prepared) = &mut parcel.content else { return None };
    let find = |id: &String| history.iter().find(|message| message.connector_mids.contains(id));
    let first = prepared.messages.first().and_then(|first| find(&first.message.id));
    let files = first.map(|message| message.files);
    if prepared.messages.iter().all(|message| find(&message.message.id).is_some()) {
        return Some(Taken { files, im_chat_id: None });
    }
    prepared.messages.retain(|message| find(&message.message.id).is_none());
    parcel.maybe_twice = true;
    None
}
