//! How often Meta lets templates be created and edited (whatsapp-messaging facts §4.2). Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// Templates that an account may create within [`HOUR`].
const CREATIONS: usize = 100;
const HOUR: TimeDelta = TimeDelta::hours(1);
/// Templates that an account may have at most, and unless its business is verified and one of its numbers has an
/// approved display name.
const MOST: usize = 6_000;
const UNVERIFIED: usize = 250;
/// State of a business that Meta has verified.
const VERIFIED: &str = "verified";
/// State of a display name that Meta has approved, and those of one that it has not. What else there is tells
/// nothing.
const NAME_APPROVED: &str = "APPROVED";
const NAME_OPEN: [&str; 4] = ["DECLINED", "EXPIRED", "PENDING_REVIEW", "NONE"];
/// Edits of an approved template within [`MONTH`], and one within [`DAY`].
const EDITS: usize = 10;
const DAY: TimeDelta = TimeDelta::hours(24);
/// So far back edits count.
pub(super) const MONTH: TimeDelta = TimeDelta::days(30);

/// Since when creations count.
pub(super) fn creations_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - HOUR
}

/// Whether an account with so many templates may be at its limit, so that Meta has to be asked for it.
pub(super) fn is_near_limit(has: usize) -> bool {
    has >= UNVERIFIED
}

/// How many templates an account may have, by the state of its business and those of its numbers' names; `None`:
/// that is not known here, and Meta decides.
pub(super) fn most(verification: Option<&str>, names: &[Option<String>]) -> Option<usize> {
    let verified = verification.map(|state| state.eq_ignore_ascii_case(VERIFIED));
    let named = || {
        let is = |words: &[&str], name: &Option<String>| {
            name.as_deref().is_some_and(|name| words.contains(&name.to_ascii_uppercase().as_str()))
        };
        if names.iter().any(|name| is(&[NAME_APPROVED], name)) {
            return Some(true);
        }
        names.iter().all(|name| is(&NAME_OPEN, name)).then_some(false)
    };
    match (verified, named()) {
        (Some(false), _) | (_, Some(false)) => Some(UNVERIFIED),
        (Some(true), Some(true)) => Some(MOST),
        _ => None,
    }
}

/// Why no template may be created now, after these creations, the oldest first, by an account that has so many
/// and may have `most`.
pub(super) fn creation(
    created: &[DateTime<Utc>],
    has: usize,
    most: Option<usize>,
    now: DateTime<Utc>,
) -> Result<(), String> {
    let most = most.unwrap_or(MOST);
    if has >= most {
        let more = match most {
            ..MOST => format!(
                " ({MOST} once the business is verified and one of its numbers has an approved display name)"
            ),
            _ => String::new(),
        };
        return Err(format!("the account has {has} templates, and Meta allows {most}{more}: delete some"));
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
    fn an_account_creates_a_hundred_templates_an_hour() {
        let hundred: Vec<_> = (0..100).map(|n| at(0) + TimeDelta::seconds(n)).collect();
        assert_eq!(creation(&hundred[1..], 99, None, at(0) + TimeDelta::minutes(30)), Ok(()));
        assert!(creation(&hundred, 100, None, at(0) + TimeDelta::minutes(30)).is_err());
        assert_eq!(creation(&hundred, 100, None, at(1)), Ok(()));
    }

    #[test]
    fn an_account_has_as_many_templates_as_meta_says_and_never_more_than_six_thousand() {
        assert_eq!(creation(&[], 249, Some(250), at(0)), Ok(()));
        let told = creation(&[], 250, Some(250), at(0)).unwrap_err();
        assert!(told.contains("has 250 templates, and Meta allows 250 (6000 once the business is"), "{told}");
        assert_eq!(creation(&[], 5_999, None, at(0)), Ok(()));
        let told = creation(&[], 6_000, Some(6_000), at(0)).unwrap_err();
        assert!(told.ends_with("Meta allows 6000: delete some"), "{told}");
        assert!(creation(&[], 6_000, None, at(0)).is_err());
        assert!(!is_near_limit(249) && is_near_limit(250));
    }

    #[test]
    fn every_refusal_is_in_the_documentation() {
        let docs =
            include_str!("../../../docs/templates.md").split_whitespace().collect::<Vec<_>>().join(" ");
        let ten: Vec<_> = (0..10).map(|day| at(day * 48)).collect();
        let hundred: Vec<_> = (0..100).map(|_| at(0)).collect();
        for told in [
            creation(&[], 6_000, None, at(0)),
            creation(&hundred, 100, None, at(0)),
            edit(&[at(0)], at(1)),
            edit(&ten, at(29 * 24)),
        ] {
            let told = told.unwrap_err().replace("has 6000", "has …").replace("allows 6000", "allows …");
            let told = match told.split_once("again from ") {
                Some((before, _)) => format!("{before}again from … UTC"),
                None => told,
            };
            assert!(docs.contains(&told), "docs/templates.md lacks: {told}");
        }
    }

    #[test]
    fn six_thousand_want_a_verified_business_and_an_approved_name_and_what_is_unknown_is_metas() {
        let names = |states: &[Option<&str>]| {
            states.iter().map(|state| state.map(str::to_owned)).collect::<Vec<Option<String>>>()
        };
        let (good, bad) = (names(&[Some("DECLINED"), Some("APPROVED")]), names(&[Some("PENDING_REVIEW")]));
        assert_eq!(most(Some("verified"), &good), Some(6_000));
        assert_eq!(most(Some("not_verified"), &good), Some(250));
        assert_eq!(most(Some("verified"), &bad), Some(250));
        assert_eq!(most(None, &bad), Some(250));
        assert_eq!(most(Some("verified"), &[]), Some(250), "without a number there is no name");
        assert_eq!(most(None, &good), None);
        for unclear in [&[None][..], &[Some("AVAILABLE_WITHOUT_REVIEW")], &[Some("NONE"), Some("NEW_WORD")]] {
            assert_eq!(most(Some("verified"), &names(unclear)), None, "{unclear:?}");
        }
    }
}
