//! What operators see of the edge: counters, and a few lines of the log.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::Direction;
use crate::domain::call::{Arrival, CallEvent, CallMoment, CallProof, ContactReport};
use crate::sip::core::Notice;
use crate::telemetry::Metrics;

/// Strangers that were told of; then the list begins anew.
const STRANGERS: usize = 1000;

/// Looks of the other side that are remembered.
const LOOKS: usize = 32;

/// Counts and logs.
pub struct Observer {
    metrics: Arc<Metrics>,
    /// How the other side has looked, Meta's and trunks'.
    seen: VecDeque<(Direction, ContactReport)>,
    strangers: HashSet<IpAddr>,
    shown: Option<(usize, usize)>,
}

impl Observer {
    /// Nothing was seen yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, seen: VecDeque::new(), strangers: HashSet::new(), shown: None }
    }

    /// Something happened to a call. What its report says in values stays there where it is news.
    pub fn call(&mut self, event: &mut CallEvent) {
        match &mut event.moment {
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
    /// from documents. Whoever has proven nothing is no other side.
    fn report(&mut self, arrival: &mut Arrival) {
        let report = &mut arrival.report;
        let look = (arrival.direction, ContactReport { source: String::new(), ..without_values(report) });
        if report.proof == CallProof::Nothing || self.seen.contains(&look) {
            *report = without_values(report);
            return;
        }
        tracing::info!(
            direction = direction(arrival.direction),
            proof = report.proof.as_str(),
            source = report.source,
            tls = report.tls_version,
            cipher = report.cipher,
            sni = report.sni,
            user_agent = report.user_agent,
            headers = headers(report),
            offer = report.offer.join(" | "),
            "contact report: how the other side of a call looks"
        );
        if self.seen.len() >= LOOKS {
            self.seen.pop_front();
        }
        self.seen.push_back(look);
    }
}

fn headers(report: &ContactReport) -> String {
    let lines: Vec<_> = report.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join(" | ")
}

/// Values differ from call to call; the names are the look.
fn without_values(report: &ContactReport) -> ContactReport {
    let headers = report.headers.iter().map(|(name, _)| (name.clone(), String::new())).collect();
    ContactReport { headers, offer: Vec::new(), ..report.clone() }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallId;
    use crate::domain::call::CallPeer;

    fn arrived(proof: CallProof, agent: &str, from: &str) -> CallEvent {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let arrival = Arrival {
            direction: Direction::Inbound,
            phone: None,
            peer: CallPeer::default(),
            wacid: None,
            sip_call_id: "x".to_owned(),
            trunk: None,
            payload: None,
            report: ContactReport {
                proof,
                source: from.to_owned(),
                user_agent: Some(agent.to_owned()),
                headers: vec![header("User-Agent", agent), header("Via", from)],
                offer: vec!["v=0".to_owned()],
                ..ContactReport::default()
            },
        };
        CallEvent { call: CallId::new("1"), moment: CallMoment::Arrived(Box::new(arrival)) }
    }

    /// Whether its report keeps its values.
    fn is_news(observer: &mut Observer, mut event: CallEvent) -> bool {
        observer.call(&mut event);
        let CallMoment::Arrived(arrival) = event.moment else { panic!() };
        let report = arrival.report;
        assert_eq!(report.headers[0].0, "User-Agent", "the names are always there");
        assert_eq!(report.offer.is_empty(), report.headers[0].1.is_empty());
        !report.offer.is_empty()
    }

    #[test]
    fn a_side_is_reported_in_full_when_it_looks_as_none_before() {
        let mut observer = Observer::new(Arc::new(Metrics::new()));
        let mut look = |agent, from| is_news(&mut observer, arrived(CallProof::Digest, agent, from));
        assert!(look("Facebook SipGateway", "31.13.66.215:1"));
        assert!(!look("Facebook SipGateway", "31.13.66.216:2"), "another address is no other look");
        assert!(look("Facebook SipGateway/2", "31.13.66.215:1"));
        assert!(!look("Facebook SipGateway", "31.13.66.215:3"), "and is known for good");
    }

    #[test]
    fn a_scanner_makes_no_report() {
        let mut observer = Observer::new(Arc::new(Metrics::new()));
        assert!(!is_news(&mut observer, arrived(CallProof::Nothing, "friendly-scanner", "203.0.113.9:1")));
        assert!(observer.seen.is_empty());
        assert!(is_news(&mut observer, arrived(CallProof::Digest, "friendly-scanner", "203.0.113.9:1")));
    }
}
