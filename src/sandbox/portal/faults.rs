//! The faults of the simulated portal, switched at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What can go wrong with one REST call, item or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// HTTP 500 with an HTML body, nothing executed.
    Status500,
    /// HTTP 502 with an HTML body, nothing executed.
    Status502,
    /// HTTP 503 with an HTML body, nothing executed.
    Status503,
    /// HTTP 503 `QUERY_LIMIT_EXCEEDED`, nothing executed.
    QueryLimit,
    /// HTTP 429 `OPERATION_TIME_LIMIT`, nothing executed.
    OperationLimit,
    /// The connection is cut before the call is executed.
    DropBefore,
    /// The call is executed, then the connection is cut: its answer is lost.
    DropAfter,
    /// No answer for [`Faults::hang_seconds`], nothing executed, then the connection is cut.
    Hang,
    /// HTTP 401 `expired_token`, nothing executed; the token stays good.
    ExpiredToken,
    /// HTTP 400 `ERROR_ARGUMENT`, nothing executed.
    Refused,
    /// One item of `imconnector.send.messages` answers `SUCCESS:false` and is not stored.
    ItemFails,
    /// One file of `imconnector.send.messages` is dropped silently.
    FileDropped,
}

/// A fault for the next calls (or items, or files) that match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFault {
    /// What happens.
    pub kind: FaultKind,
    /// The lower-case REST method it is meant for; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How many times.
    #[serde(default = "once")]
    pub times: u32,
}

/// All switches. `Default` is a portal without faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every connection to the portal is cut without an answer.
    pub down: bool,
    /// Every connection to the OAuth server is cut without an answer.
    pub oauth_down: bool,
    /// Seed of the random faults; 0 continues the present sequence.
    pub seed: u64,
    /// Chance, 0 to 1, of each fault per REST call, item or file.
    pub random: BTreeMap<FaultKind, f64>,
    /// Lower-case methods that random faults are limited to; all when empty.
    pub random_methods: Vec<String>,
    /// Faults for the next calls, first match first.
    pub planned: Vec<PlannedFault>,
    /// How long [`FaultKind::Hang`] lasts, in seconds; 0 means 120.
    pub hang_seconds: u64,
    /// All access tokens expire at the moment this is set; it then reads `false` again.
    pub expire_tokens: bool,
    /// The OAuth server answers every refresh with `invalid_grant`.
    pub refresh_refused: bool,
    /// The OAuth server answers every refresh with HTTP 200 `wrong_client`.
    pub wrong_client: bool,
    /// A call that sends a message with this text is refused as a whole, HTTP 400 `ERROR_ARGUMENT`.
    pub refused_text: Option<String>,
    /// A call that sends a message with this text, or with a file of this name, ends in HTTP 500
    /// `INTERNAL_SERVER_ERROR`.
    pub broken_text: Option<String>,
    /// The history of the chat with a client of this name ends in HTTP 500 `INTERNAL_SERVER_ERROR`.
    pub broken_history: Option<String>,
    /// Events carry an `application_token` that is not the application's.
    pub wrong_application_token: bool,
    /// Every event is sent twice.
    pub duplicate_events: bool,
    /// Events come without tokens, as those of robots do.
    pub events_without_tokens: bool,
    /// An SMS is written only so many seconds after it was handed over: until then a status update ends in
    /// `ERROR_MESSAGE_NOT_FOUND`.
    pub sms_written_late: u32,
    /// The application's payment has expired, as `app.info` tells.
    pub payment_expired: bool,
    /// Events are lost: the queue server never calls the handler.
    pub events_lost: bool,
}

fn once() -> u32 {
    1
}

/// A small repeatable sequence of random numbers (splitmix64).
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // 53 bits fill a double exactly.
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

const PER_CALL: [FaultKind; 10] = [
    FaultKind::Status500,
    FaultKind::Status502,
    FaultKind::Status503,
    FaultKind::QueryLimit,
    FaultKind::OperationLimit,
    FaultKind::DropBefore,
    FaultKind::DropAfter,
    FaultKind::Hang,
    FaultKind::ExpiredToken,
    FaultKind::Refused,
];

impl Faults {
    /// The fault of one REST call, if any. Planned ones are used up.
    pub(super) fn of_call(&mut self, dice: &mut Dice, method: &str) -> Option<FaultKind> {
        PER_CALL.into_iter().find(|&kind| self.hits(dice, kind, method))
    }

    /// Whether this fault happens now.
    pub(super) fn hits(&mut self, dice: &mut Dice, kind: FaultKind, method: &str) -> bool {
        let planned = self.planned.iter_mut().find(|planned| {
            planned.kind == kind
                && planned.times > 0
                && planned.method.as_deref().is_none_or(|only| only == method)
        });
        if let Some(planned) = planned {
            planned.times -= 1;
            self.planned.retain(|planned| planned.times > 0);
            return true;
        }
        let Some(&chance) = self.random.get(&kind) else { return false };
        let concerned = self.random_methods.is_empty() || self.random_methods.iter().any(|m| m == method);
        concerned && dice.roll() < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planned_fault_is_used_up() {
        let plan = |method: Option<&str>| PlannedFault {
            kind: FaultKind::Status502,
            method: method.map(str::to_owned),
            times: 1,
        };
        let mut faults = Faults { planned: vec![plan(Some("profile"))], ..Faults::default() };
        let mut dice = Dice(1);
        assert_eq!(faults.of_call(&mut dice, "scope"), None);
        assert_eq!(faults.of_call(&mut dice, "profile"), Some(FaultKind::Status502));
        assert_eq!(faults.of_call(&mut dice, "profile"), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let run = || {
            let random = BTreeMap::from([(FaultKind::DropAfter, 0.3)]);
            let mut faults = Faults { random, ..Faults::default() };
            let mut dice = Dice(7);
            (0..200).map(|_| faults.of_call(&mut dice, "profile").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let hits = run().into_iter().filter(|hit| *hit).count();
        assert!((30..90).contains(&hits), "{hits}");
    }
}
