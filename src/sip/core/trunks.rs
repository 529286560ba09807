//! Which targets of a trunk are worth a try. A target that never answered a ping is *unknown* and is tried;
//! only a failed INVITE, or three lost pings after an answer, mark it down.

use std::time::Duration;

use super::io::{Moment, Target};

/// Lost pings after an answer that mark a target down.
const LOST_PINGS: u8 = 3;
/// How long a target without pings stays down after a failed INVITE.
const PENALTY: Duration = Duration::from_secs(30);

/// What is known of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// It never answered a ping.
    Unknown,
    /// It answers pings; so many were lost in a row.
    Up(u8),
    /// Since then.
    Down(Moment),
}

/// The targets of one trunk.
#[derive(Debug)]
pub struct Targets {
    list: Vec<(Target, Health)>,
    has_pings: bool,
}

impl Targets {
    /// All unknown.
    pub fn new(targets: &[Target], has_pings: bool) -> Self {
        Self { list: targets.iter().map(|target| (target.clone(), Health::Unknown)).collect(), has_pings }
    }

    /// In which order an INVITE tries them: as configured, those that are down at the end.
    pub fn order(&self, now: Moment) -> Vec<Target> {
        let is_down = |health: &Health| match health {
            Health::Down(since) => self.has_pings || now - *since < PENALTY,
            _ => false,
        };
        let (down, others): (Vec<_>, Vec<_>) = self.list.iter().partition(|(_, health)| is_down(health));
        others.into_iter().chain(down).map(|(target, _)| target.clone()).collect()
    }

    /// The target of an index.
    pub fn get(&self, index: usize) -> Option<&Target> {
        self.list.get(index).map(|(target, _)| target)
    }

    /// A ping was answered. True if that is news.
    pub fn answered_ping(&mut self, index: usize) -> bool {
        let Some((_, health)) = self.list.get_mut(index) else { return false };
        let is_news = !matches!(health, Health::Up(_));
        *health = Health::Up(0);
        is_news
    }

    /// A ping was lost. True if the target is down by that.
    pub fn lost_ping(&mut self, index: usize, now: Moment) -> bool {
        let Some((_, health)) = self.list.get_mut(index) else { return false };
        match health {
            Health::Up(lost) if *lost + 1 >= LOST_PINGS => {
                *health = Health::Down(now);
                true
            }
            Health::Up(lost) => {
                *lost += 1;
                false
            }
            Health::Unknown | Health::Down(_) => false,
        }
    }

    /// An INVITE got an answer: it is not down, whatever its pings say.
    pub fn answered_call(&mut self, target: &Target) -> bool {
        let found = self.list.iter_mut().find(|(one, _)| one == target);
        match found {
            Some((_, health @ Health::Down(_))) => {
                *health = Health::Unknown;
                true
            }
            _ => false,
        }
    }

    /// An INVITE could not be delivered or got no answer. True if the target was not down before.
    pub fn failed_call(&mut self, target: &Target, now: Moment) -> bool {
        let found = self.list.iter_mut().find(|(one, _)| one == target);
        let Some((_, health)) = found else { return false };
        let is_news = !matches!(health, Health::Down(_));
        *health = Health::Down(now);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn targets(has_pings: bool) -> Targets {
        let list = ["sip:a", "sip:b"].map(|uri| Target::parse(uri, 0).unwrap());
        Targets::new(&list, has_pings)
    }

    fn first(targets: &Targets, now: Moment) -> String {
        targets.order(now).first().unwrap().host.to_string()
    }

    #[test]
    fn a_target_that_never_answered_a_ping_is_tried() {
        let mut targets = targets(true);
        for _ in 0..10 {
            assert!(!targets.lost_ping(0, at(1)));
        }
        assert_eq!(first(&targets, at(2)), "a");
    }

    #[test]
    fn three_lost_pings_after_an_answer_mark_it_down_and_one_answer_up() {
        let mut targets = targets(true);
        assert!(targets.answered_ping(0));
        assert!(!targets.answered_ping(0));
        assert!(!targets.lost_ping(0, at(1)) && !targets.lost_ping(0, at(2)));
        assert!(targets.lost_ping(0, at(3)));
        assert_eq!(first(&targets, at(4)), "b");
        assert_eq!(targets.order(at(4)).len(), 2, "but it is tried when nothing else is left");
        assert!(targets.answered_ping(0));
        assert_eq!(first(&targets, at(5)), "a");
    }

    #[test]
    fn a_failed_call_marks_it_down_until_it_shows_life() {
        let mut targets = targets(true);
        let target = targets.get(0).unwrap().clone();
        assert!(targets.failed_call(&target, at(1)));
        assert_eq!(first(&targets, at(1000)), "b");
        assert!(targets.answered_call(&target));
        assert_eq!(first(&targets, at(1000)), "a");
        let mut targets = self::targets(false);
        targets.failed_call(&target, at(1));
        assert_eq!((first(&targets, at(30)), first(&targets, at(31))), ("b".into(), "a".into()));
    }
}
