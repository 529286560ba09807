//! What was found last, and what is to be looked at next.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::Scope;
use super::finding::{Finding, Kind};
use crate::domain::AppId;
use crate::store::alarms::AlarmRow;

/// A finding and when it was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The finding.
    pub finding: Finding,
    /// When.
    pub at: DateTime<Utc>,
}

/// The doctor's notes, in memory: they are made again at each start.
#[derive(Default)]
pub struct Memory {
    last: Mutex<Vec<Remembered>>,
    wanted: Mutex<Vec<Scope>>,
    heard: Mutex<HashMap<String, DateTime<Utc>>>,
    lost: Mutex<Option<AlarmRow>>,
    wish: Notify,
    alarm: Notify,
}

impl Memory {
    /// Puts new findings in the place of the old ones about the same things.
    pub(super) fn remember(&self, scope: &Scope, found: &[Finding], now: DateTime<Utc>) {
        let seen: HashSet<(&str, Kind, &str)> = found.iter().map(key).collect();
        let subjects: HashSet<(Kind, &str)> =
            found.iter().map(|one| (one.subject.kind, &*one.subject.id)).collect();
        let mut last = lock(&self.last);
        last.retain(|old| {
            let (id, kind, subject) = key(&old.finding);
            // A check that did not run this time (not thorough) keeps its last word; a thing that is gone has none.
            !seen.contains(&(id, kind, subject))
                && (*scope != Scope::All || subjects.contains(&(kind, subject)))
        });
        last.extend(found.iter().map(|finding| Remembered { finding: finding.clone(), at: now }));
        last.sort_by(|a, b| a.finding.subject.cmp(&b.finding.subject).then(a.finding.id.cmp(b.finding.id)));
    }

    pub(super) fn last(&self) -> Vec<Remembered> {
        lock(&self.last).clone()
    }

    pub(super) fn want(&self, scope: Scope) {
        let mut wanted = lock(&self.wanted);
        if !wanted.contains(&scope) {
            wanted.push(scope);
        }
        self.wish.notify_one();
    }

    /// Meta told us something for an app.
    pub(super) fn hear(&self, app: &AppId, now: DateTime<Utc>) {
        lock(&self.heard).insert(app.to_string(), now);
    }

    /// When Meta last told us something for an app, in this process.
    pub(super) fn heard(&self, app: &AppId) -> Option<DateTime<Utc>> {
        lock(&self.heard).get(app.as_str()).copied()
    }

    /// The database takes no alarm; `true` if that is new.
    pub(in crate::setup) fn database_is_lost(&self, alarm: AlarmRow) -> bool {
        let mut lost = lock(&self.lost);
        let is_new = lost.is_none();
        lost.get_or_insert(alarm);
        is_new
    }

    /// It takes them again; the alarm that was told of it.
    pub(in crate::setup) fn database_is_found(&self) -> Option<AlarmRow> {
        lock(&self.lost).take()
    }

    /// There is somebody to be told of an alarm.
    pub(in crate::setup) fn ring(&self) {
        self.alarm.notify_one();
    }

    /// Waits for that.
    pub(in crate::setup) async fn rung(&self) {
        self.alarm.notified().await;
    }

    pub(super) async fn next(&self) -> Scope {
        loop {
            {
                let mut wanted = lock(&self.wanted);
                if !wanted.is_empty() {
                    return wanted.remove(0);
                }
            }
            self.wish.notified().await;
        }
    }
}

fn key(finding: &Finding) -> (&str, Kind, &str) {
    (finding.id, finding.subject.kind, &finding.subject.id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Check, Subject, words};
    use super::*;

    fn subject(id: &str) -> Subject {
        Subject { kind: Kind::App, id: id.to_owned(), name: String::new() }
    }

    #[test]
    fn the_newest_finding_of_a_check_is_kept_and_what_is_gone_is_forgotten() {
        let (memory, now) = (Memory::default(), DateTime::from_timestamp(0, 0).unwrap());
        let (one, two) = (subject("1"), subject("2"));
        let pass = |id, subject| Check(id, subject).pass(words("", ""));
        let fail = |id, subject| Check(id, subject).fail(words("", ""), words("", ""));
        memory.remember(&Scope::All, &[pass("a", &one), pass("b", &one), pass("a", &two)], now);
        memory.remember(&Scope::App("1".into()), &[fail("a", &one)], now);
        let told = |memory: &Memory| -> Vec<(String, bool)> {
            let short = |one: Remembered| {
                (format!("{}{}", one.finding.id, one.finding.subject.id), one.finding.outcome.is_bad())
            };
            memory.last().into_iter().map(short).collect()
        };
        assert_eq!(told(&memory), [("a1".into(), true), ("b1".into(), false), ("a2".into(), false)]);
        memory.remember(&Scope::All, &[pass("a", &two)], now);
        assert_eq!(told(&memory), [("a2".into(), false)]);
    }

    #[tokio::test]
    async fn a_wish_is_kept_once_until_it_is_taken() {
        let memory = Memory::default();
        memory.want(Scope::Bridge);
        memory.want(Scope::Bridge);
        memory.want(Scope::App("1".into()));
        assert_eq!(memory.next().await, Scope::Bridge);
        assert_eq!(memory.next().await, Scope::App("1".into()));
        let waits = tokio::time::timeout(std::time::Duration::ZERO, memory.next());
        assert!(waits.await.is_err());
    }
}
