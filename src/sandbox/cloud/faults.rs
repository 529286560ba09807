//! What can be made to go wrong in the simulated cloud, at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::Rng;

/// How one send goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendFault {
    /// HTTP 500, code 131000.
    Internal,
    /// HTTP 500 with a page of HTML, as an edge server gives.
    Html,
    /// HTTP 503, code 2.
    Unavailable,
    /// HTTP 429, code 130429: throughput of the number.
    Throughput,
    /// HTTP 400, code 131056: too many to the same person.
    PairRate,
    /// HTTP 400, code 131047 at once instead of by a status.
    WindowAtOnce,
    /// The connection closes before anything is accepted.
    Dropped,
    /// The message is accepted and goes out; the connection closes instead of the answer.
    LostAnswer,
}

/// The switches. `POST /_sim/faults` takes any subset of these keys and leaves the others.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every call's connection is closed as soon as its head is read (but for `/_sim/`).
    pub cloud_down: bool,
    /// Every token answers 190 with subcode 463.
    pub token_expired: bool,
    /// Seconds that Meta's clock is ahead of ours, as its answers tell.
    pub clock_ahead_seconds: i64,
    /// A call without `appsecret_proof` answers code 100.
    pub require_appsecret_proof: bool,
    /// Milliseconds before every answer.
    pub latency_ms: u64,
    /// Probability that any call but a send answers HTTP 500.
    pub graph_internal: f64,
    /// Probability of each fault of a send.
    pub send: BTreeMap<SendFault, f64>,
    /// What the next sends meet, in this order, before any dice are thrown.
    pub send_next: Vec<SendFault>,
    /// Milliseconds that [`SendFault::Dropped`] and [`SendFault::LostAnswer`] hang before they close.
    pub hang_ms: u64,
    /// How many of the next sends end in a failed status (the POST answers 200).
    pub fail_next: u32,
    /// Code of those failed statuses.
    pub fail_code: u32,
    /// No statuses at all.
    pub statuses_withheld: bool,
    /// `delivered` before `sent`.
    pub statuses_reversed: bool,
    /// Each status twice.
    pub statuses_doubled: bool,
    /// The first statuses are delivered before the send is answered.
    pub status_before_answer: bool,
    /// Templates cannot be listed (code 80007).
    pub templates_fail: bool,
    /// How many templates an account has and may have is not told.
    pub template_counts_hidden: bool,
    /// Uploads are refused (code 100).
    pub upload_refused: bool,
    /// How many of the next uploads answer HTTP 500.
    pub upload_fail_next: u32,
    /// Size limits per kind are applied at upload (code 100) and not only at the send (131053).
    pub strict_sizes: bool,
    /// Document types outside the published list are refused at upload.
    pub strict_documents: bool,
    /// `GET /{media-id}` knows no medium.
    pub media_unknown: bool,
    /// Every download answers 404.
    pub media_missing: bool,
    /// How many of the next downloads answer HTTP 500.
    pub media_fail_next: u32,
    /// How many of the next downloads break off half-way.
    pub media_cut_next: u32,
    /// Milliseconds that a download takes in its middle.
    pub media_slow_ms: u64,
    /// Nothing is delivered to callbacks; it waits.
    pub webhooks_paused: bool,
    /// Probability that a notification is delivered a second time after its 200.
    pub webhook_doubled: f64,
    /// How many of the next notifications bear a wrong signature.
    pub webhook_bad_signature_next: u32,
    /// A failed delivery is repeated to every subscribed app, not only to the one that failed.
    pub retries_reach_all_apps: bool,
    /// Every write of a number's settings for calls is refused with this code; 0 = none.
    pub calling_code: u32,
    /// Writes of settings for calls are answered with success, and nothing is changed.
    pub calling_ignored: bool,
    /// The token may not see SIP passwords.
    pub sip_password_hidden: bool,
    /// At most so many updates a notification, in place of the option's number.
    pub max_batch: Option<usize>,
}

impl Faults {
    /// What this send meets.
    pub(super) fn draw_send(&mut self, dice: &mut Rng) -> Option<SendFault> {
        if !self.send_next.is_empty() {
            return Some(self.send_next.remove(0));
        }
        self.send.iter().find(|(_, probability)| dice.chance(**probability)).map(|(fault, _)| *fault)
    }

    /// The code of the failed status that this send ends in.
    pub(super) fn draw_failure(&mut self) -> Option<u32> {
        take(&mut self.fail_next).then_some(self.fail_code)
    }
}

/// Takes one of a number of "next" faults.
pub(super) fn take(next: &mut u32) -> bool {
    let had = *next > 0;
    *next = next.saturating_sub(1);
    had
}
