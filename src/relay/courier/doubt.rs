//! What may be at the portal already, since an answer never came: the chat's history knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Content, Line, Parcel, Taken};
use crate::bitrix::error::CallError;
use crate::bitrix::openlines::{HistoryMessage, SessionHistory};
use crate::domain::Verdict;
use crate::queue::worker::Settled;
use crate::relay::Relay;

/// How often in a row calls of a queue failed in doubt with the same messages among others.
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
                calls.iter().map(|_| Ok(Vec::new())).collect()
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
                Ok(history) => match there(&mut parcel, &history) {
                    Some(taken) => settled.push(self.taken(line, parcel, taken)),
                    None => missing.push(parcel),
                },
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
            if let crate::store::jobs::Settlement::Again { doubtful, .. } = &mut settled.settlement {
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
