//! What is due when; exact, so that nothing is left behind when its owner is gone.

use std::collections::BTreeMap;

use super::io::Moment;

/// An armed timer; good for disarming it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerId(Moment, u64);

/// Timers in the order of their time.
#[derive(Debug)]
pub struct Timers<K> {
    due: BTreeMap<TimerId, K>,
    next: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), next: 0 }
    }
}

impl<K> Timers<K> {
    /// Arms a timer.
    pub fn arm(&mut self, at: Moment, key: K) -> TimerId {
        let id = TimerId(at, self.next);
        self.next += 1;
        self.due.insert(id, key);
        id
    }

    /// Disarms it; nothing happens if it has gone off already.
    pub fn disarm(&mut self, id: Option<TimerId>) {
        if let Some(id) = id {
            self.due.remove(&id);
        }
    }

    /// Takes the earliest that is due.
    pub fn pop(&mut self, now: Moment) -> Option<K> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the earliest is due.
    pub fn next(&self) -> Option<Moment> {
        self.due.first_key_value().map(|(id, _)| id.0)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_go_off_in_order_and_not_after_they_were_disarmed() {
        let at = |seconds| Moment(Duration::from_secs(seconds));
        let mut timers = Timers::default();
        timers.arm(at(2), "b");
        let gone = timers.arm(at(1), "gone");
        timers.arm(at(1), "a");
        timers.disarm(Some(gone));
        assert_eq!((timers.next(), timers.len()), (Some(at(1)), 2));
        assert_eq!(timers.pop(at(0)), None);
        assert_eq!((timers.pop(at(5)), timers.pop(at(5)), timers.pop(at(5))), (Some("a"), Some("b"), None));
    }
}
