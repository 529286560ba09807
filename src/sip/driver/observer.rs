//! What operators see of the edge: counters, and a few lines of the log.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::Direction;
use crate::domain::call::{Arrival, CallEvent, CallMoment, ContactReport};
use crate::sip::core::Notice;
use crate::telemetry::Metrics;

/// Strangers that were told of; then the list begins anew.
const STRANGERS: usize = 1000;

/// Counts and logs.
pub struct Observer {
    metrics: Arc<Metrics>,
    /// How the other side looked when it was last told, from Meta and from trunks.
    seen: [Option<ContactReport>; 2],
    strangers: HashSet<IpAddr>,
    shown: Option<(usize, usize)>,
}

impl Observer {
    /// Nothing was seen yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, seen: [None, None], strangers: HashSet::new(), shown: None }
    }

    /// Something happened to a call.
    pub fn call(&mut self, event: &CallEvent) {
        match &event.moment {
            CallMoment::Arrived(arrival) => {
                let direction = direction(arrival.direction);
                self.metrics.sip_call(direction);
                tracing::debug!(call.id = %event.call, direction, "a call arrived");
                self.report(arrival);
            }
            CallMoment::Answered { .. } => tracing::debug!(call.id = %event.call, "a call was answered"),
            CallMoment::Ended(end) => {
                self.metrics.sip_call_ended(end.cause.as_str());
                let (cause, by) = (end.cause.as_str(), end.by);
                tracing::debug!(call.id = %event.call, cause, ?by, status = end.status, "a call ended");
            }
            CallMoment::Forwarded { target } => {
                tracing::debug!(call.id = %event.call, target, "a call was forwarded");
            }
            CallMoment::Noted(note) => tracing::debug!(call.id = %event.call, note, "noted"),
            CallMoment::Identified(_) | CallMoment::Ringing => {}
        }
    }

    /// Something that belongs to no call.
    pub fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Scanner { peer, why } => {
                self.metrics.sip_notice("scanner");
                tracing::debug!(peer = %peer, why, "a scanner was turned away");
            }
            Notice::Stranger { peer } => {
                self.metrics.sip_notice("stranger");
                if self.strangers.len() >= STRANGERS {
                    self.strangers.clear();
                }
                if self.strangers.insert(peer.ip()) {
                    tracing::warn!(peer = %peer, "a call came from outside of Meta's networks (sip.source_check)");
                }
            }
            Notice::Malformed { peer, why } => {
                self.metrics.sip_notice("malformed");
                tracing::debug!(peer = %peer, why, "what was received is no SIP");
            }
            Notice::TrunkState { trunk, target, up } => {
                self.metrics.sip_notice(if *up { "trunk_up" } else { "trunk_down" });
                if *up {
                    tracing::info!(trunk, target, "a trunk answers");
                } else {
                    tracing::warn!(trunk, target, "a trunk does not answer");
                }
            }
            Notice::Overload { phone } => {
                self.metrics.sip_notice("overload");
                tracing::warn!(phone.id = %phone, "calls are refused: there are too many");
            }
        }
    }

    /// How much runs.
    pub fn running(&mut self, calls: usize, connections: usize) {
        if self.shown != Some((calls, connections)) {
            self.shown = Some((calls, connections));
            self.metrics.sip_running(calls, connections);
        }
    }

    /// The first contact report, and again whenever the other side looks different: what nobody could tell
    /// from documents.
    fn report(&mut self, arrival: &Arrival) {
        let report = ContactReport { source: String::new(), ..arrival.report.clone() };
        let [inbound, outbound] = &mut self.seen;
        let seen = if arrival.direction == Direction::Inbound { inbound } else { outbound };
        if seen.as_ref() == Some(&report) {
            return;
        }
        tracing::info!(
            direction = direction(arrival.direction),
            source = arrival.report.source,
            tls = report.tls_version,
            cipher = report.cipher,
            sni = report.sni,
            user_agent = report.user_agent,
            headers = report.headers.join(", "),
            "contact report: how the other side of a call looks"
        );
        *seen = Some(report);
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}
