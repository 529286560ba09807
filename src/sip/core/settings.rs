//! What the endpoint is told when it is built.

use std::time::Duration;

use super::io::Target;
use crate::domain::CallId;
use crate::domain::call::{DigestAlgorithm, Login, ScannerAnswer};

/// Settings of an endpoint; `app` makes them from the configuration.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Our public name: Via and Contact toward Meta, digest realm toward trunks.
    pub hostname: String,
    /// Our public TLS port.
    pub tls_port: u16,
    /// `host:port` of ours that the trunks are told (Via, Contact); IPv6 in brackets.
    pub trunk_advertised: String,
    /// Where business-initiated calls go: `wa.meta.vc:5061`, TLS.
    pub meta: Target,
    /// Whether Meta's INVITE is challenged.
    pub require_digest: bool,
    /// By which algorithms, in this order.
    pub digest_algorithms: Vec<DigestAlgorithm>,
    /// What a scanner gets.
    pub scanners: ScannerAnswer,
    /// Telephone systems, in the order of their indices.
    pub trunks: Vec<TrunkSettings>,
    /// How long a call may ring.
    pub ring: Duration,
    /// How long a call may last after its answer.
    pub max_call: Duration,
    /// Calls that may begin in a minute, for each phone and direction.
    pub max_calls_per_minute: u32,
    /// Calls that may run at once, in all.
    pub max_calls: usize,
    /// A connection without a dialog is closed after this time of silence.
    pub idle: Duration,
    /// Timers of RFC 3261 and our own.
    pub timers: TimerValues,
}

/// A telephone system.
#[derive(Clone, Debug)]
pub struct TrunkSettings {
    /// Unique name, as routes tell it.
    pub name: String,
    /// Tried in this order. [`Target::parse`] makes one from a `sip:` URI of the configuration.
    pub targets: Vec<Target>,
    /// Answers the trunk's challenge.
    pub login: Option<Login>,
    /// Challenges the trunk.
    pub inbound_login: Option<Login>,
    /// A call of this trunk is taken by TLS only: nothing else would prove that it is from there.
    pub calls_by_tls: bool,
    /// Between two pings; `None` = no pings.
    pub options_interval: Option<Duration>,
}

/// Timer values; the defaults are those of RFC 3261 table 4 and of the bridge.
#[derive(Clone, Copy, Debug)]
pub struct TimerValues {
    /// Round trip estimate.
    pub t1: Duration,
    /// Longest interval of a repetition.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// How long a target of a trunk may stay silent after an INVITE before the next one is tried.
    pub target_deadline: Duration,
    /// How long the answer about a permission is waited for.
    pub permission_deadline: Duration,
    /// How long a message may be under way on a connection, from its first byte to its last.
    pub message_deadline: Duration,
    /// How long a nonce of ours may be used.
    pub nonce_life: Duration,
}

impl Default for TimerValues {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            target_deadline: Duration::from_secs(3),
            permission_deadline: Duration::from_secs(5),
            message_deadline: Duration::from_secs(10),
            nonce_life: Duration::from_secs(60),
        }
    }
}

impl TimerValues {
    /// 64·T1: how long an answer or an ACK is waited for.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }
}

/// Where randomness and ids come from; the driver's is the operating system, a test's is a counter.
pub trait TokenSource: Send {
    /// Fills the bytes with what nobody can guess: tags, branches, Call-IDs, nonce keys.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A new id for a call record (UUIDv7).
    fn call_id(&mut self) -> CallId;
}

impl Target {
    /// Reads `sip:host[:port][;transport=udp|tcp|tls]` or `sips:…` of the configuration; `index` is the
    /// trunk's. `None` if it is no such address.
    pub fn parse(uri: &str, index: usize) -> Option<Self> {
        use super::io::{Transport, Trust};

        let lower = uri.to_ascii_lowercase();
        let (rest, secure) = match (lower.strip_prefix("sips:"), lower.strip_prefix("sip:")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => return None,
        };
        let mut parts = rest.split(';');
        let place = parts.next()?;
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let named = parts.find_map(|part| part.strip_prefix("transport="));
        let transport = match named {
            Some("tls") => Transport::Tls,
            None if secure => Transport::Tls,
            Some("tcp") => Transport::Tcp,
            Some("udp") | None => Transport::Udp,
            Some(_) => return None,
        };
        let default = if transport == Transport::Tls { 5061 } else { 5060 };
        let (host, port) = split_port(place)?;
        Some(Self { transport, host: host.into(), port: port.unwrap_or(default), trust: Trust::Trunk(index) })
    }

    /// `wa.meta.vc:5061` as a TLS target with Meta's roots.
    pub fn meta(place: &str) -> Option<Self> {
        use super::io::{Transport, Trust};

        let (host, port) = split_port(place)?;
        let port = port.unwrap_or(5061);
        Some(Self { transport: Transport::Tls, host: host.into(), port, trust: Trust::Meta })
    }
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` and a bare `v6`.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match place.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Some((place, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => (!place.is_empty()).then_some((place, None)),
    }
}
