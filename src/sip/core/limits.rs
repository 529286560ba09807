//! How much is too much: calls a minute of a phone, refused requests of an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::io::Moment;

const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once.
const MOST_ADDRESSES: usize = 10_000;
/// Refused requests a minute that an address gets an answer for; also how many become records.
pub const MOST_REFUSALS: u32 = 20;
/// Challenges a minute that an address may leave unanswered: each is held for half a minute.
pub const MOST_CHALLENGES: u32 = 200;

/// Calls that may begin in a minute, by whose they are.
#[derive(Default)]
pub struct CallRate {
    /// Credit in milliseconds of the minute, and when it was reckoned.
    buckets: HashMap<String, (u64, Moment)>,
}

impl CallRate {
    /// Whether one more may begin now. A pause earns up to a minute's worth.
    pub fn take(&mut self, now: Moment, key: &str, a_minute: u32) -> bool {
        let price = 60_000 / u64::from(a_minute.max(1));
        let most = price.max(1) * u64::from(a_minute.max(1));
        let (credit, at) = self.buckets.get(key).copied().unwrap_or((most, now));
        let earned = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX);
        let credit = credit.saturating_add(earned).min(most);
        let left = credit.checked_sub(price);
        self.buckets.insert(key.to_owned(), (left.unwrap_or(credit), now));
        left.is_some()
    }
}

/// Refusals by address, so that a flood of wrong requests costs nothing but their reading.
#[derive(Default)]
pub struct Refusals {
    counts: HashMap<IpAddr, Count>,
}

/// What an address did in a minute.
#[derive(Default)]
struct Count {
    refused: u32,
    /// Challenges since it has last proven itself.
    challenged: u32,
    since: Moment,
}

impl Refusals {
    /// Counts one and tells how many there were in this minute.
    pub fn count(&mut self, now: Moment, address: IpAddr) -> u32 {
        let count = self.of(now, address);
        count.refused = count.refused.saturating_add(1);
        count.refused
    }

    /// An address was challenged.
    pub fn challenged(&mut self, now: Moment, address: IpAddr) {
        let count = self.of(now, address);
        count.challenged = count.challenged.saturating_add(1);
    }

    /// It has proven itself: its challenges were no flood.
    pub fn proven(&mut self, address: IpAddr) {
        if let Some(count) = self.counts.get_mut(&place(address)) {
            count.challenged = 0;
        }
    }

    /// Whether an address has used up its answers.
    pub fn is_silenced(&self, now: Moment, address: IpAddr) -> bool {
        self.counts.get(&place(address)).is_some_and(|count| {
            (count.refused > MOST_REFUSALS || count.challenged > MOST_CHALLENGES)
                && now - count.since < MINUTE
        })
    }

    fn of(&mut self, now: Moment, address: IpAddr) -> &mut Count {
        if self.counts.len() >= MOST_ADDRESSES {
            self.counts.retain(|_, count| now - count.since < MINUTE);
            if self.counts.len() >= MOST_ADDRESSES {
                self.counts.clear();
            }
        }
        let count = self.counts.entry(place(address)).or_insert(Count { since: now, ..Count::default() });
        if now - count.since >= MINUTE {
            *count = Count { since: now, ..Count::default() };
        }
        count
    }
}

/// Whose an address is: one customer of a provider has a whole /64 of IPv6.
pub fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    #[test]
    fn so_many_calls_a_minute_begin_and_no_more() {
        let mut rate = CallRate::default();
        let began = (0..100).filter(|_| rate.take(at(0), "a", 60)).count();
        assert_eq!(began, 60);
        assert!(rate.take(at(0), "b", 60));
        assert!(!rate.take(at(999), "a", 60));
        assert!(rate.take(at(1999), "a", 60));
    }

    #[test]
    fn whoever_proves_itself_is_challenged_as_often_as_it_calls() {
        let mut refusals = Refusals::default();
        let address = "2001:db8::1".parse().unwrap();
        for _ in 0..1000 {
            refusals.challenged(at(0), address);
            refusals.proven(address);
        }
        assert!(!refusals.is_silenced(at(0), address));
        (0..=MOST_CHALLENGES).for_each(|_| refusals.challenged(at(0), address));
        let neighbour = "2001:db8::ffff".parse().unwrap();
        assert!(refusals.is_silenced(at(0), neighbour), "it has the addresses of its network");
        assert!(!refusals.is_silenced(at(60_000), address));
    }

    #[test]
    fn an_address_that_is_refused_too_often_is_not_answered_for_a_minute() {
        let mut refusals = Refusals::default();
        let address = "192.0.2.1".parse().unwrap();
        assert!(!refusals.is_silenced(at(0), address));
        assert_eq!((0..30).map(|_| refusals.count(at(0), address)).last(), Some(30));
        assert!(refusals.is_silenced(at(1), address));
        assert!(!refusals.is_silenced(at(60_000), address));
        assert_eq!(refusals.count(at(60_000), address), 1);
    }
}
