//! The numbers behind `/metrics`, in the text form of OpenMetrics.
//!
//! Labels are `&'static str`: what a cloud sends never makes a new series, so their number is bounded by
//! the source.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// From a webhook to the other cloud's answer, in seconds.
const RELAY_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
/// Requests that were committed together.
const GROUP_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// All metrics of one app.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    notifications: Counters<1>,
    updates: Counters<1>,
    signature_failures: Counter,
    portal_events: Counters<1>,
    rest_calls: Counters<2>,
    graph_calls: Counters<2>,
    jobs: Counters<2>,
    queue_oldest_seconds: Gauge<f64, AtomicU64>,
    queue_ready: Gauge,
    queue_dead: Gauge,
    limit_waiting: Gauge,
    sms_waiting: Gauge,
    relay_seconds: Family<Labels<1>, Histogram, RelayHistogram>,
    write_group_size: Histogram,
    sip_connections: Counters<2>,
    sip_calls: Counters<1>,
    sip_calls_ended: Counters<1>,
    sip_notices: Counters<1>,
    sip_calls_running: Gauge,
    sip_connections_open: Gauge,
    certificate_expires_seconds: Family<Labels<1>, Gauge>,
}

/// Makes the histogram of a direction.
#[derive(Clone, Debug)]
struct RelayHistogram;

impl MetricConstructor<Histogram> for RelayHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(RELAY_BUCKETS)
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut r = Registry::with_prefix("wabridge");
        let relay = Family::new_with_constructor(RelayHistogram);
        Self {
            notifications: register(&mut r, "notifications", "Webhook requests of Meta, by outcome"),
            updates: register(&mut r, "updates", "Messages, statuses and other updates in them, by kind"),
            signature_failures: register(
                &mut r,
                "signature_failures",
                "Webhook requests not signed by an app",
            ),
            portal_events: register(&mut r, "portal_events", "Events of portals, by name"),
            rest_calls: register(&mut r, "rest_calls", "Calls to portals, by method and outcome"),
            graph_calls: register(&mut r, "graph_calls", "Calls to Meta, by kind and outcome"),
            jobs: register(&mut r, "jobs", "Attempts of jobs, by kind and outcome"),
            queue_oldest_seconds: register(
                &mut r,
                "queue_oldest_seconds",
                "Age of the oldest job that is due",
            ),
            queue_ready: register(&mut r, "queue_ready", "Jobs that are due"),
            queue_dead: register(&mut r, "queue_dead", "Jobs that were given up"),
            limit_waiting: register(&mut r, "limit_waiting", "Jobs that wait for the messaging limit"),
            sms_waiting: register(&mut r, "sms_waiting", "Messages of CRMs that wait to be sent"),
            relay_seconds: add(
                &mut r,
                "relay_seconds",
                "From acceptance to the other cloud, by direction",
                relay,
            ),
            write_group_size: add(
                &mut r,
                "write_group_size",
                "Requests committed together",
                Histogram::new(GROUP_BUCKETS),
            ),
            sip_connections: register(&mut r, "sip_connections", "Connections to us, by side and outcome"),
            sip_calls: register(&mut r, "sip_calls", "Calls that arrived, by direction"),
            sip_calls_ended: register(&mut r, "sip_calls_ended", "Calls that ended, by cause"),
            sip_notices: register(&mut r, "sip_notices", "What belongs to no call, by kind"),
            sip_calls_running: register(&mut r, "sip_calls_running", "Calls that run"),
            sip_connections_open: register(&mut r, "sip_connections_open", "SIP connections that are open"),
            certificate_expires_seconds: register(
                &mut r,
                "certificate_expires_seconds",
                "When a certificate of ours expires, as Unix time, by listener",
            ),
            registry: r,
        }
    }

    /// A webhook request of Meta was answered.
    pub fn notification(&self, outcome: &'static str) {
        self.notifications.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Updates of one kind were taken in.
    pub fn updates(&self, kind: &'static str, count: u64) {
        self.updates.get_or_create(&[("kind", kind)]).inc_by(count);
    }

    /// A webhook request was signed by none of our apps.
    pub fn signature_failure(&self) {
        self.signature_failures.inc();
    }

    /// A portal posted an event.
    pub fn portal_event(&self, event: &'static str) {
        self.portal_events.get_or_create(&[("event", event)]).inc();
    }

    /// A portal answered a REST call, or did not.
    pub fn rest_call(&self, method: &'static str, outcome: &'static str) {
        self.rest_calls.get_or_create(&[("method", method), ("outcome", outcome)]).inc();
    }

    /// Meta answered a call, or did not.
    pub fn graph_call(&self, kind: &'static str, outcome: &'static str) {
        self.graph_calls.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
    }

    /// An attempt of a job ended.
    pub fn job(&self, kind: &'static str, outcome: &'static str) {
        self.jobs.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
    }

    /// How the queue stands: age of the oldest job that is due, jobs that are due, jobs given up.
    pub fn queue(&self, oldest: Duration, ready: i64, dead: i64) {
        self.queue_oldest_seconds.set(oldest.as_secs_f64());
        self.queue_ready.set(ready);
        self.queue_dead.set(dead);
    }

    /// So many jobs wait for Meta's messaging limit.
    pub fn limit(&self, waiting: i64) {
        self.limit_waiting.set(waiting);
    }

    /// So many messages of CRMs wait to be sent.
    pub fn sms(&self, waiting: i64) {
        self.sms_waiting.set(waiting);
    }

    /// A message reached the other cloud this long after it was accepted; `inbound` or `outbound`.
    pub fn relayed(&self, direction: &'static str, took: Duration) {
        self.relay_seconds.get_or_create(&[("direction", direction)]).observe(took.as_secs_f64());
    }

    /// So many requests went into one transaction.
    pub fn write_group(&self, size: usize) {
        self.write_group_size.observe(size as f64);
    }

    /// A connection to the SIP edge came to this; `meta` or `trunk`.
    pub fn sip_connection(&self, side: &'static str, outcome: &'static str) {
        self.sip_connections.get_or_create(&[("side", side), ("outcome", outcome)]).inc();
    }

    /// A call arrived; `inbound` or `outbound`.
    pub fn sip_call(&self, direction: &'static str) {
        self.sip_calls.get_or_create(&[("direction", direction)]).inc();
    }

    /// A call ended.
    pub fn sip_call_ended(&self, cause: &'static str) {
        self.sip_calls_ended.get_or_create(&[("cause", cause)]).inc();
    }

    /// Something at the SIP edge that belongs to no call.
    pub fn sip_notice(&self, kind: &'static str) {
        self.sip_notices.get_or_create(&[("kind", kind)]).inc();
    }

    /// How many calls run, and how many SIP connections are open.
    pub fn sip_running(&self, calls: usize, connections: usize) {
        self.sip_calls_running.set(i64::try_from(calls).unwrap_or(i64::MAX));
        self.sip_connections_open.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// When the certificate of a listener expires, as Unix time; `http` or `sip`.
    pub fn certificate_expires(&self, listener: &'static str, at: i64) {
        self.certificate_expires_seconds.get_or_create(&[("listener", listener)]).set(at);
    }

    /// The body of `/metrics`; content type `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    add(registry, name, help, M::default())
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_encoded_under_their_names() {
        let metrics = Metrics::new();
        metrics.notification("accepted");
        metrics.updates("message", 3);
        metrics.signature_failure();
        metrics.portal_event("OnImConnectorMessageAdd");
        metrics.rest_call("imconnector.send.messages", "ok");
        metrics.graph_call("send", "131047");
        metrics.job("to_line", "done");
        metrics.queue(Duration::from_millis(1500), 2, 1);
        metrics.limit(4);
        metrics.sms(3);
        metrics.relayed("inbound", Duration::from_millis(7));
        metrics.write_group(64);
        metrics.sip_connection("meta", "accepted");
        metrics.sip_call("inbound");
        metrics.sip_call_ended("hung_up");
        metrics.sip_notice("scanner");
        metrics.sip_running(2, 3);
        metrics.certificate_expires("sip", 1_800_000_000);
        let text = metrics.encode();
        for line in [
            r#"wabridge_notifications_total{outcome="accepted"} 1"#,
            r#"wabridge_updates_total{kind="message"} 3"#,
            "wabridge_signature_failures_total 1",
            r#"wabridge_portal_events_total{event="OnImConnectorMessageAdd"} 1"#,
            r#"wabridge_rest_calls_total{method="imconnector.send.messages",outcome="ok"} 1"#,
            r#"wabridge_graph_calls_total{kind="send",outcome="131047"} 1"#,
            r#"wabridge_jobs_total{kind="to_line",outcome="done"} 1"#,
            "wabridge_queue_oldest_seconds 1.5",
            "wabridge_queue_ready 2",
            "wabridge_queue_dead 1",
            "wabridge_limit_waiting 4",
            "wabridge_sms_waiting 3",
            r#"wabridge_relay_seconds_bucket{le="0.01",direction="inbound"} 1"#,
            r#"wabridge_write_group_size_bucket{le="64.0"} 1"#,
            r#"wabridge_sip_connections_total{side="meta",outcome="accepted"} 1"#,
            r#"wabridge_sip_calls_total{direction="inbound"} 1"#,
            r#"wabridge_sip_calls_ended_total{cause="hung_up"} 1"#,
            r#"wabridge_sip_notices_total{kind="scanner"} 1"#,
            "wabridge_sip_calls_running 2",
            "wabridge_sip_connections_open 3",
            r#"wabridge_certificate_expires_seconds{listener="sip"} 1800000000"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn two_apps_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.signature_failure();
        assert!(other.encode().contains("wabridge_signature_failures_total 0"));
    }
}
