//! How often Meta lets templates be created and edited (whatsapp-messaging facts §4.2). Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// Templates that an account may create within [`HOUR`].
const CREATIONS: usize = 100;
const HOUR: TimeDelta = TimeDelta::hours(1);
/// Templates that an account may have, if its business is verified; else 250, which Meta alone can tell.
const MOST: usize = 6_000;
/// Edits of an approved template within [`MONTH`], and one within [`DAY`].
const EDITS: usize = 10;
const DAY: TimeDelta = TimeDelta::hours(24);
/// So far back edits count.
pub(super) const MONTH: TimeDelta = TimeDelta::days(30);

/// Since when creations count.
pub(super) fn creations_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - HOUR
}

/// Why no template may be created now, after these creations, the oldest first, by an account that has so many.
pub(super) fn creation(created: &[DateTime<Utc>], has: usize, now: DateTime<Utc>) -> Result<(), String> {
    if has >= MOST {
        return Err(format!("the account has {has} templates, and Meta allows {MOST}: delete some"));
    }
    match free_again(created, CREATIONS, HOUR, now) {
        Some(at) => Err(format!(
            "{CREATIONS} templates were created within an hour, and Meta allows no more; {}",
            from(at)
        )),
        None => Ok(()),
    }
}

/// Why an approved template may not be edited now, after these edits, the oldest first.
pub(super) fn edit(edited: &[DateTime<Utc>], now: DateTime<Utc>) -> Result<(), String> {
    if let Some(at) = free_again(edited, 1, DAY, now) {
        return Err(format!("an approved template can be edited once in 24 hours; {}", from(at)));
    }
    match free_again(edited, EDITS, MONTH, now) {
        Some(at) => Err(format!("an approved template can be edited {EDITS} times in 30 days; {}", from(at))),
        None => Ok(()),
    }
}

/// When one more is within the limit again, if it is not now.
fn free_again(
    times: &[DateTime<Utc>],
    most: usize,
    within: TimeDelta,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let nth = times.iter().rev().nth(most.checked_sub(1)?)?;
    Some(*nth + within).filter(|at| *at > now)
}

fn from(at: DateTime<Utc>) -> String {
    format!("it is possible again from {} UTC", at.format("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        "2026-03-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hours)
    }

    #[test]
    fn an_approved_template_is_edited_once_a_day_and_ten_times_in_thirty_days() {
        assert_eq!(edit(&[], at(0)), Ok(()));
        let told = edit(&[at(0)], at(23)).unwrap_err();
        assert!(told.contains("once in 24 hours") && told.contains("2026-03-02 00:00 UTC"), "{told}");
        assert_eq!(edit(&[at(0)], at(24)), Ok(()));
        let ten: Vec<_> = (0..10).map(|day| at(day * 48)).collect();
        let told = edit(&ten, at(29 * 24)).unwrap_err();
        assert!(told.contains("10 times in 30 days") && told.contains("2026-03-31 00:00 UTC"), "{told}");
        assert_eq!(edit(&ten, at(30 * 24)), Ok(()));
    }

    #[test]
    fn an_account_creates_a_hundred_templates_an_hour_and_has_six_thousand() {
        let hundred: Vec<_> = (0..100).map(|n| at(0) + TimeDelta::seconds(n)).collect();
        assert_eq!(creation(&hundred[1..], 99, at(0) + TimeDelta::minutes(30)), Ok(()));
        assert!(creation(&hundred, 100, at(0) + TimeDelta::minutes(30)).is_err());
        assert_eq!(creation(&hundred, 100, at(1)), Ok(()));
        assert!(creation(&[], 6_000, at(0)).unwrap_err().contains("delete some"));
    }
}
