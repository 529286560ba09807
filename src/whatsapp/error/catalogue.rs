//! Meta's error codes as data (whatsapp-messaging facts §5.2).
//!
//! The class says what the table says. The verdict is what follows for the queue, whose `Retry`,
//! `RetryAfter` and `Reauthorize` pause the whole phone: a condition of one recipient, template or message
//! therefore gives up visibly even where the table says "after somebody acted" or "after some time".

use std::time::Duration;

use crate::domain::Verdict;

/// The table's column R.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryClass {
    /// Y: come back with growing pauses.
    Backoff,
    /// Y, then give up: may be the message's own fault.
    FewTimes,
    /// N.
    Never,
    /// A: after an administrator or operator acted.
    Admin,
    /// T: after some time.
    Wait,
}

/// What is to be done about a range of codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeRule {
    /// First code.
    pub first: i64,
    /// Last code, included.
    pub last: i64,
    /// The table's column.
    pub class: RetryClass,
    /// What the queue does.
    pub verdict: Verdict,
}

/// The rule for a code, if the table knows it.
pub fn rule(code: i64) -> Option<CodeRule> {
    CATALOGUE.iter().find(|rule| (rule.first..=rule.last).contains(&code)).copied()
}

const fn range(first: i64, last: i64, class: RetryClass, verdict: Verdict) -> CodeRule {
    CodeRule { first, last, class, verdict }
}
const fn backoff(code: i64) -> CodeRule {
    range(code, code, RetryClass::Backoff, Verdict::Retry)
}
const fn backoff_seconds(code: i64, seconds: u64) -> CodeRule {
    range(code, code, RetryClass::Backoff, Verdict::RetryAfter(Duration::from_secs(seconds)))
}
const fn few_times(code: i64) -> CodeRule {
    range(code, code, RetryClass::FewTimes, Verdict::Retry)
}
const fn never(first: i64, last: i64) -> CodeRule {
    range(first, last, RetryClass::Never, Verdict::GiveUp)
}
/// Token, permission or registration: the phone as a whole waits.
const fn access(first: i64, last: i64) -> CodeRule {
    range(first, last, RetryClass::Admin, Verdict::Reauthorize)
}
/// Somebody must act, but this message fails visibly.
const fn admin(first: i64, last: i64) -> CodeRule {
    range(first, last, RetryClass::Admin, Verdict::GiveUp)
}
/// A limit of the phone, account or app.
const fn wait(code: i64, seconds: u64) -> CodeRule {
    range(code, code, RetryClass::Wait, Verdict::RetryAfter(Duration::from_secs(seconds)))
}
/// A limit of one recipient or template: others must not wait for it.
const fn wait_alone(first: i64, last: i64) -> CodeRule {
    range(first, last, RetryClass::Wait, Verdict::GiveUp)
}

const MINUTE: u64 = 60;

/// Every code of the table.
pub const CATALOGUE: &[CodeRule] = &[
    access(0, 0),
    few_times(1),
    backoff(2),
    access(3, 3),
    wait(4, 5 * MINUTE),
    access(10, 10),
    wait(17, 5 * MINUTE),
    access(33, 33),
    never(100, 100),
    access(104, 104),
    access(190, 190),
    access(200, 299),
    admin(368, 368),
    wait(613, 5 * MINUTE),
    never(803, 803),
    wait(80_007, 5 * MINUTE),
    wait(80_008, 5 * MINUTE),
    never(130_403, 130_403),
    backoff_seconds(130_429, 2),
    never(130_472, 130_472),
    never(130_497, 130_497),
    few_times(131_000),
    access(131_005, 131_005),
    never(131_008, 131_009),
    backoff(131_016),
    never(131_020, 131_021),
    never(131_026, 131_026),
    admin(131_030, 131_030),
    access(131_031, 131_031),
    admin(131_037, 131_037),
    never(131_041, 131_041),
    admin(131_042, 131_042),
    admin(131_044, 131_044),
    access(131_045, 131_045),
    never(131_047, 131_047),
    admin(131_048, 131_048),
    wait_alone(131_049, 131_049),
    never(131_050, 131_053),
    never(131_055, 131_055),
    backoff_seconds(131_056, 6),
    backoff_seconds(131_057, MINUTE),
    never(131_059, 131_060),
    never(131_062, 131_062),
    admin(131_063, 131_063),
    wait_alone(131_064, 131_064),
    never(131_201, 131_215),
    never(132_000, 132_001),
    never(132_005, 132_005),
    never(132_007, 132_008),
    never(132_012, 132_012),
    wait_alone(132_015, 132_015),
    never(132_016, 132_016),
    never(132_018, 132_018),
    admin(132_068, 132_068),
    wait_alone(132_069, 132_069),
    admin(133_000, 133_000),
    backoff(133_004),
    admin(133_005, 133_006),
    wait_alone(133_008, 133_009),
    access(133_010, 133_010),
    wait(133_015, 5 * MINUTE),
    wait_alone(133_016, 133_016),
    admin(134_011, 134_011),
    never(134_100, 134_100),
    wait_alone(134_101, 134_101),
    admin(134_102, 134_102),
    never(135_000, 135_000),
    never(137_000, 137_000),
    // Calls: of no message.
    never(138_000, 138_018),
    never(139_000, 139_004),
    never(139_100, 139_101),
    backoff(139_102),
    backoff(139_103),
    never(147_001, 147_005),
    never(200_005, 200_007),
    never(1_752_041, 1_752_041),
    admin(2_388_001, 2_388_001),
    admin(2_388_012, 2_388_012),
    never(2_388_019, 2_388_019),
    never(2_388_040, 2_388_040),
    never(2_388_047, 2_388_047),
    never(2_388_072, 2_388_073),
    admin(2_388_091, 2_388_091),
    admin(2_388_093, 2_388_093),
    admin(2_388_103, 2_388_103),
    never(2_388_293, 2_388_293),
    never(2_388_299, 2_388_299),
    backoff_seconds(2_494_100, MINUTE),
    never(2_593_107, 2_593_109),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_without_overlap() {
        for pair in CATALOGUE.windows(2) {
            assert!(pair[0].first <= pair[0].last && pair[0].last < pair[1].first, "{pair:?}");
        }
    }

    #[test]
    fn codes_have_the_verdicts_of_the_facts() {
        use Verdict::*;
        let seconds = |seconds| RetryAfter(Duration::from_secs(seconds));
        let cases = [
            (0, Reauthorize),
            (190, Reauthorize),
            (10, Reauthorize),
            (200, Reauthorize),
            (299, Reauthorize),
            (131_005, Reauthorize),
            (2, Retry),
            (131_000, Retry),
            (131_016, Retry),
            (4, seconds(300)),
            (80_007, seconds(300)),
            (130_429, seconds(2)),
            (131_056, seconds(6)),
            (100, GiveUp),
            (131_026, GiveUp),
            (131_030, GiveUp),
            (131_042, GiveUp),
            (131_047, GiveUp),
            (131_049, GiveUp),
            (131_053, GiveUp),
            (132_015, GiveUp),
        ];
        for (code, verdict) in cases {
            assert_eq!(rule(code).map(|rule| rule.verdict), Some(verdict), "{code}");
        }
        assert_eq!(rule(300), None);
        assert_eq!(rule(131_000).map(|rule| rule.class), Some(RetryClass::FewTimes));
        assert_eq!(rule(131_042).map(|rule| rule.class), Some(RetryClass::Admin));
    }
}
