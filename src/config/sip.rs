//! `[sip]` and `[[sip.trunks]]`: the edge for WhatsApp calls.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::http::{TlsFiles, tls_files};
use super::parse;
use super::reader::Reader;
use crate::domain::call::{DigestAlgorithm, Login, ScannerAnswer};

/// `[sip]`. With `enabled`, `hostname` and `tls` are there.
#[derive(Clone, Debug)]
pub struct SipConfig {
    /// Whether the edge runs.
    pub enabled: bool,
    /// TLS listener for Meta.
    pub listen: SocketAddr,
    /// The name that Meta is given: SAN, From host, digest realm.
    pub hostname: Option<String>,
    /// Certificate of that name.
    pub tls: Option<TlsFiles>,
    /// Whether Meta's INVITE is challenged.
    pub require_digest: bool,
    /// By which algorithms, in this order.
    pub digest_algorithms: Vec<DigestAlgorithm>,
    /// What becomes of an INVITE from elsewhere than Meta's networks.
    pub source_check: SourceCheck,
    /// Networks, one a line; `None` = Meta's published ranges.
    pub sources_file: Option<PathBuf>,
    /// What a request from nowhere gets.
    pub scanner_answer: ScannerAnswer,
    /// `host:port` of business-initiated calls and our BYEs.
    pub meta_host: String,
    /// A further root certificate for Meta's side; tests.
    pub meta_ca_file: Option<PathBuf>,
    /// Telephone systems that calls are handed to.
    pub trunks: Vec<TrunkConfig>,
    /// Our UDP, TCP and TLS address toward the trunks.
    pub trunk_listen: SocketAddr,
    /// What the trunks are told it is.
    pub trunk_advertised: SocketAddr,
    /// How long a call may ring.
    pub ring: Duration,
    /// How long a call may last.
    pub max_call: Duration,
    /// Calls that may begin in a minute, for each phone.
    pub max_calls_per_minute: u32,
    /// How long calls may run on after the signal to stop.
    pub drain: Duration,
}

/// `[[sip.trunks]]`.
#[derive(Clone, Debug)]
pub struct TrunkConfig {
    /// Unique name, used by `PUT /phones/{id}/calling`.
    pub name: String,
    /// SIP URIs, tried in order.
    pub uris: Vec<String>,
    /// Answers the trunk's challenge.
    pub login: Option<Login>,
    /// Challenges the trunk.
    pub inbound_login: Option<Login>,
    /// A further root certificate for this trunk.
    pub tls_ca_file: Option<PathBuf>,
    /// Between two pings; `None` = no pings.
    pub options_interval: Option<Duration>,
}

/// What becomes of a call from elsewhere than Meta's networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceCheck {
    /// Not looked at.
    Off,
    /// Taken, with a warning.
    Warn,
    /// Refused.
    Enforce,
}

impl SipConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let trunk_listen = r.text("sip.trunk_listen", parse::socket);
        let algorithms = &[("MD5", DigestAlgorithm::Md5), ("SHA-256", DigestAlgorithm::Sha256)];
        let checks =
            &[("off", SourceCheck::Off), ("warn", SourceCheck::Warn), ("enforce", SourceCheck::Enforce)];
        let answers = &[("forbidden", ScannerAnswer::Forbidden), ("silence", ScannerAnswer::Silence)];
        let config = Self {
            enabled: r.flag("sip.enabled"),
            listen: r.text("sip.listen", parse::socket),
            hostname: r.optional("sip.hostname", parse::host),
            tls: tls_files(r, "sip"),
            require_digest: r.flag("sip.require_digest"),
            digest_algorithms: r.list("sip.digest_algorithms", |text| parse::word(text, algorithms)),
            source_check: r.text("sip.source_check", |text| parse::word(text, checks)),
            sources_file: r.path("sip.sources_file"),
            scanner_answer: r.text("sip.scanner_answer", |text| parse::word(text, answers)),
            meta_host: r.text("sip.meta_host", parse::host_and_port),
            meta_ca_file: r.path("sip.meta_ca_file"),
            trunk_listen,
            trunk_advertised: r.optional("sip.trunk_advertised", parse::socket).unwrap_or(trunk_listen),
            ring: r.seconds("sip.ring_seconds", 1..=600),
            max_call: r.seconds("sip.max_call_seconds", 1..=86_400),
            max_calls_per_minute: r.whole("sip.max_calls_per_minute", 1..=100_000),
            drain: r.seconds("sip.drain_seconds", 0..=86_400),
            trunks: r.tables("sip.trunks", TrunkConfig::read),
        };
        config.check(r);
        config
    }

    /// Whether a call of this trunk is taken by TLS only: it proves itself by no password, and others than this
    /// machine reach `trunk_listen`. A sender's address is no proof on UDP.
    pub fn wants_tls_of(&self, trunk: &TrunkConfig) -> bool {
        trunk.inbound_login.is_none() && !self.trunk_listen.ip().is_loopback()
    }

    /// What is wrong only in combination.
    fn check(&self, r: &mut Reader<'_>) {
        for (index, trunk) in self.trunks.iter().enumerate() {
            if self.trunks.iter().take(index).any(|other| other.name == trunk.name) {
                r.fault(&format!("sip.trunks[{index}].name"), format!("`{}` is there twice", trunk.name));
            }
        }
        if !self.enabled {
            return;
        }
        if self.hostname.is_none() {
            r.fault("sip.hostname", "is missing, but sip.enabled is true");
        }
        if self.tls.is_none() {
            r.fault("sip.certificate", "is missing, as is sip.private_key, but sip.enabled is true");
        }
        if self.require_digest && self.digest_algorithms.is_empty() {
            r.fault("sip.digest_algorithms", "is empty, but sip.require_digest is true");
        }
        if !self.trunk_listen.ip().is_loopback() {
            for (index, _) in self.trunks.iter().enumerate().filter(|(_, trunk)| !trunk.is_proven()) {
                let problem = "sip.trunk_listen is open to others: this trunk wants inbound_username and \
                               inbound_password, or TLS in each of its uris";
                r.fault(&format!("sip.trunks[{index}]"), problem);
            }
        }
    }
}

impl TrunkConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let name = r.optional("name", |text| Ok(text.to_owned())).unwrap_or_else(|| {
            r.fault("name", "is missing");
            String::new()
        });
        let faults_before = r.faults.len();
        let uris = r.list("uris", sip_uri);
        if uris.is_empty() && r.faults.len() == faults_before {
            r.fault("uris", "must hold at least one address, as [\"sip:127.0.0.1:5060;transport=udp\"]");
        }
        let interval = r.whole_or("options_interval", 0..=3600, Some(30));
        Self {
            name,
            uris,
            login: login(r, "username", "password"),
            inbound_login: login(r, "inbound_username", "inbound_password"),
            tls_ca_file: r.path("tls_ca_file"),
            options_interval: (interval > 0).then(|| Duration::from_secs(u64::from(interval))),
        }
    }

    /// Whether a call that claims to come from this trunk can prove it.
    fn is_proven(&self) -> bool {
        let is_tls = |uri: &String| uri.starts_with("sips:") || uri.contains(";transport=tls");
        self.inbound_login.is_some() || (!self.uris.is_empty() && self.uris.iter().all(is_tls))
    }
}

fn login(r: &mut Reader<'_>, username: &str, password: &str) -> Option<Login> {
    match (r.optional(username, |text| Ok(text.to_owned())), r.secret(password)) {
        (Some(username), Some(password)) => return Some(Login { username, password }),
        (Some(_), None) => r.fault(password, format!("is missing, but {username} is set")),
        (None, Some(_)) => r.fault(username, format!("is missing, but {password} is set")),
        (None, None) => {}
    }
    None
}

fn sip_uri(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not a SIP address, as sip:127.0.0.1:5060;transport=udp");
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("sip:").or_else(|| lower.strip_prefix("sips:")).ok_or_else(wrong)?;
    let mut parts = rest.split(';');
    let host = parts.next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let bare_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    if !bare_address && parse::host_and_port(host).is_err() && parse::host(host).is_err() {
        return Err(wrong());
    }
    for transport in parts.filter_map(|part| part.strip_prefix("transport=")) {
        if !matches!(transport, "udp" | "tcp" | "tls") {
            return Err(format!("`{text}` must have transport=udp, tcp or tls"));
        }
    }
    Ok(text.replace(";transport=TLS", ";transport=tls"))
}
