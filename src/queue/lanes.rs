//! The order of work, without clock, disk or task: which jobs may run now.
//!
//! Jobs of one lane run one at a time in the order of commit. A queue is the set of lanes that one worker
//! serves (one phone's line, one phone's way to WhatsApp); it can be paused as a whole.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::job::{Class, Kind};
use super::pace::{Pace, STANDARD};
use super::policy;
use crate::store::jobs::Offer;

/// How much one claim takes from a queue, and how many claims of a queue run at once.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Claims of one queue that run at once.
    pub parallel: usize,
    /// Jobs in one claim, each of another lane, all of one family.
    pub jobs: usize,
    /// Jobs of kind [`Kind::File`] in one claim.
    pub files: usize,
    /// Lanes in one claim that were set aside as new to the other side, see [`Lanes::set_aside`].
    pub newcomers: usize,
}

/// A job that is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The job.
    pub id: String,
    /// Its lane.
    pub lane: Arc<str>,
    /// What it does.
    pub kind: Kind,
}

/// Jobs to be run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Their queue.
    pub queue: Arc<str>,
    /// The jobs, oldest first.
    pub jobs: Vec<Claimed>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    kind: Kind,
    seq: i64,
    not_before: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Lane {
    queue: Arc<str>,
    entries: VecDeque<Entry>,
    running: bool,
    newcomer: bool,
}

/// The first job of a lane, as far as claims look for it.
struct Head {
    queue: Arc<str>,
    rank: u8,
    seq: i64,
    not_before: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// By rank of their kind, then in the order of commit.
    ready: BTreeSet<(u8, i64, Arc<str>)>,
    waiting: BTreeSet<(DateTime<Utc>, Arc<str>)>,
    in_flight: usize,
    failures: u32,
    paused_until: Option<DateTime<Utc>>,
    /// Where the other side takes only so many a second.
    pace: Option<Pace>,
    /// What the pause waits for to change, see [`Lanes::hold`].
    held: Option<String>,
}

impl Queue {
    /// Whether one more claim may run. After a failure one goes ahead as a probe.
    fn has_room(&self, take: Take) -> bool {
        // A pace that takes many at once wants as many under way.
        let burst =
            self.pace.as_ref().and_then(|pace| usize::try_from(pace.burst()).ok()).unwrap_or_default();
        self.in_flight < if self.failures > 0 { 1 } else { take.parallel.max(burst) }
    }

    fn next_due(&self, take: Take) -> Option<DateTime<Utc>> {
        if !self.has_room(take) {
            return None;
        }
        match self.waiting.first() {
            _ if !self.ready.is_empty() => self.closed_until(),
            Some((at, _)) => Some(self.closed_until().map_or(*at, |closed| closed.max(*at))),
            None => None,
        }
    }

    fn closed_until(&self) -> Option<DateTime<Utc>> {
        self.paused_until.max(self.pace.as_ref().and_then(Pace::rests_until))
    }
}

/// All lanes and queues.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: HashMap<Arc<str>, Lane>,
    queues: HashMap<Class, Vec<(Arc<str>, Queue)>>,
    next: HashMap<Class, usize>,
}

impl Lanes {
    /// Adds jobs that are on disk. Offers come in the order of commit; one that is known already is ignored.
    pub fn offer(&mut self, offers: Vec<Offer>) -> Vec<Class> {
        let mut touched = Vec::new();
        for offer in offers {
            let (Some((class, _)), Some(kind)) = (Class::of_queue(&offer.queue), Kind::parse(&offer.kind))
            else {
                tracing::error!(
                    job.id = offer.id,
                    "a job of a kind that this version does not know is left alone"
                );
                continue;
            };
            let queue = self.queue_key(class, &offer.queue);
            let lane_key: Arc<str> = Arc::from(offer.lane);
            let lane = self.lanes.entry(lane_key.clone()).or_insert_with(|| Lane {
                queue,
                entries: VecDeque::new(),
                running: false,
                newcomer: false,
            });
            let at = lane.entries.partition_point(|entry| entry.seq < offer.seq);
            if lane.entries.get(at).is_some_and(|entry| entry.seq == offer.seq) {
                continue;
            }
            // The head that runs stays the head, whatever comes before it.
            let at = if lane.running { at.max(1) } else { at };
            if at == 0 {
                self.unindex(&lane_key);
            }
            let entry = Entry { id: offer.id, kind, seq: offer.seq, not_before: offer.not_before };
            if let Some(lane) = self.lanes.get_mut(&lane_key) {
                lane.entries.insert(at, entry);
            }
            if at == 0 {
                self.index(&lane_key);
            }
            if !touched.contains(&class) {
                touched.push(class);
            }
        }
        touched
    }

    /// Takes work of a class that may run now.
    pub fn claim(&mut self, class: Class, take: Take, now: DateTime<Utc>) -> Option<Claim> {
        let queues = self.queues.get_mut(&class)?;
        let (count, first) = (queues.len(), self.next.get(&class).copied().unwrap_or(0));
        for step in 0..count {
            let index = (first + step) % count;
            let Some((key, queue)) = queues.get_mut(index) else { continue };
            if !queue.has_room(take) || queue.closed_until().is_some_and(|until| until > now) {
                continue;
            }
            while let Some((at, lane)) = queue.waiting.first().cloned() {
                if at > now {
                    break;
                }
                queue.waiting.pop_first();
                if let Some(entry) = self.lanes.get(&lane).and_then(|lane| lane.entries.front()) {
                    queue.ready.insert((entry.kind.rank(), entry.seq, lane));
                }
            }
            let jobs = pick(queue, &self.lanes, take);
            if jobs.is_empty() {
                continue;
            }
            queue.in_flight += 1;
            let claim = Claim { queue: key.clone(), jobs };
            for job in &claim.jobs {
                if let Some(pace) = queue.pace.as_mut().filter(|_| job.kind.is_paced()) {
                    // It is open: a claim of several may go beyond it a little, and waits for that afterwards.
                    let _ = pace.admit(now);
                }
                if let Some(lane) = self.lanes.get_mut(&job.lane) {
                    lane.running = true;
                    if let Some(entry) = lane.entries.front() {
                        queue.ready.remove(&(entry.kind.rank(), entry.seq, job.lane.clone()));
                    }
                }
            }
            self.next.insert(class, index + 1);
            return Some(claim);
        }
        None
    }

    /// A claimed job ended: `again` is `None` when its lane goes on with the next one.
    pub fn settle(&mut self, lane_key: &Arc<str>, id: &str, again: Option<Option<DateTime<Utc>>>) {
        let Some(lane) = self.lanes.get_mut(lane_key) else { return };
        // A run that was broken off may be settled after all: its job may be over, and another may run.
        let Some(entry) = lane.entries.front_mut().filter(|entry| lane.running && entry.id == id) else {
            return;
        };
        lane.running = false;
        match again {
            Some(not_before) => entry.not_before = not_before,
            None => {
                lane.newcomer = false;
                lane.entries.pop_front();
            }
        }
        if lane.entries.is_empty() {
            self.lanes.remove(lane_key);
            return;
        }
        self.index(lane_key);
    }

    /// The other side does not know this lane yet, and takes only few of such at a time
    /// ([`Take::newcomers`]); known ones need not stand behind them. Until a job of the lane is done.
    pub fn set_aside(&mut self, lane_key: &str) {
        if let Some(lane) = self.lanes.get_mut(lane_key) {
            lane.newcomer = true;
        }
    }

    /// The claim as a whole is over.
    pub fn release(&mut self, queue_key: &str) {
        if let Some(queue) = self.queue_mut(queue_key) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
    }

    /// The other side of a queue is unwell: nothing is claimed from it for a while. Returns until when.
    pub fn pause(
        &mut self,
        queue_key: &str,
        at_least: Option<chrono::Duration>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let Some(queue) = self.queue_mut(queue_key) else { return now };
        let running = queue.paused_until.filter(|until| *until > now);
        let mut until = running.unwrap_or(now).max(now + at_least.unwrap_or_default());
        // What failed together failed of one cause: the calls under way when a pause began count once.
        if running.is_none() {
            until = until.max(now + policy::circuit_delay(queue.failures));
            queue.failures = queue.failures.saturating_add(1);
        }
        queue.paused_until = Some(until);
        until
    }

    /// The other side of a queue takes so many a second.
    pub fn set_pace(&mut self, queue_key: &str, per_second: u32) {
        if let Some(queue) = self.queue_mut(queue_key) {
            queue.pace.get_or_insert_with(|| Pace::new(per_second)).set(per_second);
        }
    }

    /// One more place in the pace of a queue, beside that which a job takes when it is claimed; or when to ask
    /// again.
    pub fn admit(&mut self, queue_key: &str, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        let pace = self.queue_mut(queue_key).and_then(|queue| queue.pace.as_mut());
        pace.map_or(Ok(()), |pace| pace.admit(now))
    }

    /// As [`Lanes::pause`], for something that only a person can change: `stamp` names how it is now, and who
    /// sees another one may end the pause at once.
    pub fn hold(
        &mut self,
        queue_key: &str,
        stamp: String,
        at_least: chrono::Duration,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let until = self.pause(queue_key, Some(at_least), now);
        if let Some(queue) = self.queue_mut(queue_key) {
            queue.held = Some(stamp);
        }
        until
    }

    /// Queues that are held, with their stamps.
    pub fn held(&self) -> Vec<(String, String)> {
        let queues = self.queues.values().flatten();
        queues.filter_map(|(key, queue)| Some((key.to_string(), queue.held.clone()?))).collect()
    }

    /// The other side of a queue answered: it is well.
    pub fn resume(&mut self, queue_key: &str) {
        if let Some(queue) = self.queue_mut(queue_key) {
            queue.failures = 0;
            queue.paused_until = None;
            queue.held = None;
        }
    }

    /// Lets a waiting job at the head of its lane run now.
    pub fn wake(&mut self, lane_key: &str, id: &str) -> Option<Class> {
        let (key, lane) = self.lanes.get_key_value(lane_key)?;
        let (key, class) = (key.clone(), Class::of_queue(&lane.queue)?.0);
        let index = lane.entries.iter().position(|entry| entry.id == id)?;
        let idle_head = index == 0 && !lane.running;
        if idle_head {
            self.unindex(&key);
        }
        if let Some(entry) = self.lanes.get_mut(&key).and_then(|lane| lane.entries.get_mut(index)) {
            entry.not_before = None;
        }
        if idle_head {
            self.index(&key);
        }
        Some(class)
    }

    /// Drops every waiting job of a lane; how an erased person's work ends.
    pub fn forget(&mut self, lane_key: &str) {
        let Some((key, lane)) = self.lanes.get_key_value(lane_key) else { return };
        let (key, running) = (key.clone(), lane.running);
        if running {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.entries.truncate(1);
            }
        } else {
            self.unindex(&key);
            self.lanes.remove(&key);
        }
    }

    /// When something of a class may run that may not run now for the time alone. A queue all of whose claims
    /// are under way is not among it: their end rings.
    pub fn next_due(&self, class: Class, take: Take) -> Option<DateTime<Utc>> {
        let queues = self.queues.get(&class)?;
        queues.iter().filter_map(|(_, queue)| queue.next_due(take)).min()
    }

    /// Whether nothing of a class runs, and nothing may run now.
    pub fn is_quiet(&self, class: Class, now: DateTime<Utc>) -> bool {
        let quiet = |queue: &Queue| {
            let open = queue.closed_until().is_none_or(|until| until <= now);
            let due = !queue.ready.is_empty() || queue.waiting.first().is_some_and(|(at, _)| *at <= now);
            queue.in_flight == 0 && !(open && due)
        };
        self.queues.get(&class).is_none_or(|queues| queues.iter().all(|(_, queue)| quiet(queue)))
    }

    /// Jobs that are not finished.
    pub fn pending(&self) -> usize {
        self.lanes.values().map(|lane| lane.entries.len()).sum()
    }

    /// Jobs of a queue that are not finished.
    pub fn pending_in(&self, queue_key: &str) -> usize {
        self.lanes.values().filter(|lane| &*lane.queue == queue_key).map(|lane| lane.entries.len()).sum()
    }

    fn queue_key(&mut self, class: Class, name: &str) -> Arc<str> {
        let queues = self.queues.entry(class).or_default();
        if let Some((key, _)) = queues.iter().find(|(key, _)| &**key == name) {
            return key.clone();
        }
        let key: Arc<str> = Arc::from(name);
        // From the first claim on, whatever is learnt later.
        let pace = (class == Class::Send).then(|| Pace::new(STANDARD));
        queues.push((key.clone(), Queue { pace, ..Queue::default() }));
        key
    }

    fn queue_mut(&mut self, name: &str) -> Option<&mut Queue> {
        let (class, _) = Class::of_queue(name)?;
        self.queues.get_mut(&class)?.iter_mut().find(|(key, _)| &**key == name).map(|(_, queue)| queue)
    }

    /// Puts the head of an idle lane where claims look for it.
    fn index(&mut self, lane_key: &Arc<str>) {
        let Some(Head { queue: name, rank, seq, not_before }) = self.head(lane_key) else { return };
        let Some(queue) = self.queue_mut(&name) else { return };
        match not_before {
            Some(at) => queue.waiting.insert((at, lane_key.clone())),
            None => queue.ready.insert((rank, seq, lane_key.clone())),
        };
    }

    /// Takes the head of a lane out of there, before the head changes.
    fn unindex(&mut self, lane_key: &Arc<str>) {
        let Some(Head { queue: name, rank, seq, not_before }) = self.head(lane_key) else { return };
        let Some(queue) = self.queue_mut(&name) else { return };
        queue.ready.remove(&(rank, seq, lane_key.clone()));
        if let Some(at) = not_before {
            queue.waiting.remove(&(at, lane_key.clone()));
        }
    }

    fn head(&self, lane_key: &Arc<str>) -> Option<Head> {
        let lane = self.lanes.get(lane_key)?;
        let entry = lane.entries.front()?;
        let (rank, seq, not_before) = (entry.kind.rank(), entry.seq, entry.not_before);
        Some(Head { queue: lane.queue.clone(), rank, seq, not_before })
    }
}

fn pick(queue: &Queue, lanes: &HashMap<Arc<str>, Lane>, take: Take) -> Vec<Claimed> {
    let mut jobs: Vec<Claimed> = Vec::new();
    let (mut files, mut newcomers) = (0, 0);
    for (_, _, lane_key) in &queue.ready {
        if jobs.len() >= take.jobs {
            break;
        }
        let Some(lane) = lanes.get(lane_key) else { continue };
        let Some(entry) = lane.entries.front() else { continue };
        if jobs.first().is_some_and(|first| first.kind.family() != entry.kind.family()) {
            continue;
        }
        if entry.kind == Kind::File && files >= take.files {
            continue;
        }
        if lane.newcomer && newcomers >= take.newcomers {
            continue;
        }
        files += usize::from(entry.kind == Kind::File);
        newcomers += usize::from(lane.newcomer);
        jobs.push(Claimed { id: entry.id.clone(), lane: lane_key.clone(), kind: entry.kind });
    }
    jobs
}

#[cfg(test)]
mod tests;
