//! The lanes behind a lock, with a bell for each class of workers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Duration, Utc};
use tokio::sync::Notify;

use super::job::Class;
use super::lanes::{Claim, Lanes, Take};
use crate::store::jobs::{self, Offer};
use crate::store::{Db, StoreError};

/// Jobs read at a time when the scheduler learns what waits on disk.
const PAGE: i64 = 5_000;

/// Which jobs may run now; shared by all workers.
#[derive(Debug, Default)]
pub struct Scheduler {
    lanes: Mutex<Lanes>,
    line: Notify,
    send: Notify,
    media: Notify,
    call: Notify,
    portal: Notify,
}

impl Scheduler {
    /// A scheduler that knows of no job.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Learns what waits on disk; called at start, after the leases of the last run are cleared.
    pub async fn load(&self, db: &Db) -> Result<usize, StoreError> {
        let (mut after, mut count) = (0, 0);
        loop {
            let page = db.read(move |conn| jobs::ready_after(conn, after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.seq;
            count += page.len();
            self.offer(page);
        }
    }

    /// Takes in jobs that are on disk; called by the writer after each commit.
    pub fn offer(&self, offers: Vec<Offer>) {
        let touched = self.lock().offer(offers);
        touched.into_iter().for_each(|class| self.ring(class));
    }

    /// Takes work that may run now.
    pub fn claim(&self, class: Class, take: Take, now: DateTime<Utc>) -> Option<Claim> {
        self.lock().claim(class, take, now)
    }

    /// A claimed job ended; see [`Lanes::settle`].
    pub fn settle(&self, lane: &Arc<str>, id: &str, again: Option<Option<DateTime<Utc>>>) {
        self.lock().settle(lane, id, again);
    }

    /// A claim is over as a whole.
    pub fn release(&self, queue: &str) {
        self.lock().release(queue);
        if let Some((class, _)) = Class::of_queue(queue) {
            self.ring(class);
        }
    }

    /// Pauses a queue; see [`Lanes::pause`].
    pub fn pause(&self, queue: &str, at_least: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
        self.lock().pause(queue, Some(at_least), now)
    }

    /// The other side of a queue takes so many a second; see [`Lanes::set_pace`].
    pub fn set_pace(&self, queue: &str, per_second: u32) {
        self.lock().set_pace(queue, per_second);
    }

    /// One more place in the pace of a queue; see [`Lanes::admit`].
    pub fn admit(&self, queue: &str, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        self.lock().admit(queue, now)
    }

    /// Pauses a queue until a person changes something; see [`Lanes::hold`].
    pub fn hold(&self, queue: &str, stamp: String, at_least: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
        self.lock().hold(queue, stamp, at_least, now)
    }

    /// Queues that are held, with their stamps.
    pub fn held(&self) -> Vec<(String, String)> {
        self.lock().held()
    }

    /// Sets a lane aside as new to the other side; see [`Lanes::set_aside`].
    pub fn set_aside(&self, lane: &str) {
        self.lock().set_aside(lane);
    }

    /// Ends a queue's pause.
    pub fn resume(&self, queue: &str) {
        self.lock().resume(queue);
        if let Some((class, _)) = Class::of_queue(queue) {
            self.ring(class);
        }
    }

    /// Lets a waiting job run now.
    pub fn wake(&self, lane: &str, id: &str) {
        let class = self.lock().wake(lane, id);
        if let Some(class) = class {
            self.ring(class);
        }
    }

    /// Drops every waiting job of a lane.
    pub fn forget(&self, lane: &str) {
        self.lock().forget(lane);
    }

    /// When something of a class may run that may not run now.
    pub fn next_due(&self, class: Class, take: Take) -> Option<DateTime<Utc>> {
        self.lock().next_due(class, take)
    }

    /// Whether nothing of a class runs, and nothing may run now.
    pub fn is_quiet(&self, class: Class, now: DateTime<Utc>) -> bool {
        self.lock().is_quiet(class, now)
    }

    /// Jobs that are not finished.
    pub fn pending(&self) -> usize {
        self.lock().pending()
    }

    /// Jobs of a queue that are not finished.
    pub fn pending_in(&self, queue: &str) -> usize {
        self.lock().pending_in(queue)
    }

    /// The bell that rings when a class may have work.
    pub fn bell(&self, class: Class) -> &Notify {
        match class {
            Class::Line => &self.line,
            Class::Send => &self.send,
            Class::Media => &self.media,
            Class::Call => &self.call,
            Class::Portal => &self.portal,
        }
    }

    /// Rings the bell of a class: look again.
    pub fn ring(&self, class: Class) {
        self.bell(class).notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
