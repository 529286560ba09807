//! The SIP edge as `app` sees it: built from the settings, then run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::SipError;
use super::driver::{Channels, Driver, OsTokens};
use super::sources::Sources;
use super::transport::{
    self, Addresses, Admission, Datagrams, Dialler, Event, Limits, Patience, Roots, SipListener, Wires,
};
use crate::config::SipConfig;
use crate::sip::core::{Endpoint, EndpointConfig, Target, TimerValues, TrunkSettings};
use crate::telemetry::Metrics;
use crate::tls::{self, ReloadingCert, TlsError};

/// What sockets may have told the driver before they wait.
const EVENTS: usize = 1024;
/// Tries to find a port that is free for UDP and TCP, where the settings leave it to the system.
const PORT_TRIES: u32 = 32;

/// Settings of an edge; all but the configuration have defaults.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// `[sip]`.
    pub config: SipConfig,
    /// Connections that may be open.
    pub limits: Limits,
    /// How long peers may take.
    pub patience: Patience,
    /// Calls that may run at once.
    pub max_calls: usize,
    /// A connection without a dialog is closed after this time of silence.
    pub idle: Duration,
    /// Timers of SIP.
    pub timers: TimerValues,
}

/// The SIP edge: bound, and not yet running.
pub struct Edge {
    config: SipConfig,
    certificate: Arc<ReloadingCert>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sources: Arc<Sources>,
    trunk_listener: TcpListener,
    datagrams: Datagrams,
    targets: Vec<Target>,
    addresses: Addresses,
    roots: Roots,
    limits: Limits,
    patience: Patience,
    endpoint: Endpoint,
    metrics: Arc<Metrics>,
    meta_address: SocketAddr,
    trunk_address: SocketAddr,
}

impl EdgeOptions {
    /// With the defaults for what is no setting.
    pub fn new(config: SipConfig) -> Self {
        Self {
            config,
            limits: Limits::default(),
            patience: Patience::default(),
            max_calls: 4096,
            idle: Duration::from_secs(15 * 60),
            timers: TimerValues::default(),
        }
    }
}

impl Edge {
    /// Reads the certificate, opens the sockets, and resolves the trunks' names.
    pub async fn bind(options: EdgeOptions, metrics: Arc<Metrics>) -> Result<Self, SipError> {
        let config = options.config.clone();
        let hostname = config.hostname.clone().ok_or(SipError::Missing("sip.hostname"))?;
        let files = config.tls.clone().ok_or(SipError::Missing("sip.certificate"))?;
        let certificate = ReloadingCert::load_for(&files.certificate, &files.private_key, &hostname)
            .map_err(certificate_fault)?;
        // No protocol is named: a client that asks for one is served all the same.
        let tls = tls::server_config(certificate.clone(), &[]).map_err(certificate_fault)?;
        let sources = Arc::new(Sources::load(config.source_check, config.sources_file.as_deref())?);
        let (roots, trunks) = (roots(&config)?, trunks(&config)?);
        let targets: Vec<Target> = trunks.iter().flat_map(|trunk| trunk.targets.clone()).collect();

        let listener = listen("sip.listen", config.listen).await?;
        let (trunk_listener, socket) = listen_both("sip.trunk_listen", config.trunk_listen).await?;
        let bound = |socket: std::io::Result<SocketAddr>, fallback| socket.unwrap_or(fallback);
        let meta_address = bound(listener.local_addr(), config.listen);
        let trunk_address = bound(trunk_listener.local_addr(), config.trunk_listen);
        let advertised = if config.trunk_advertised.port() == 0 {
            SocketAddr::new(config.trunk_advertised.ip(), trunk_address.port())
        } else {
            config.trunk_advertised
        };
        let endpoint = EndpointConfig {
            hostname,
            tls_port: meta_address.port(),
            trunk_advertised: advertised.to_string(),
            meta: Target::meta(&config.meta_host)
                .ok_or_else(|| SipError::Address { key: "sip.meta_host", value: config.meta_host.clone() })?,
            require_digest: config.require_digest,
            digest_algorithms: config.digest_algorithms.clone(),
            scanners: config.scanner_answer,
            trunks,
            ring: config.ring,
            max_call: config.max_call,
            max_calls_per_minute: config.max_calls_per_minute,
            max_calls: options.max_calls,
            idle: options.idle,
            timers: options.timers,
        };
        let addresses = transport::resolve_trunks(&targets, &Addresses::default()).await;
        Ok(Self {
            certificate,
            listener,
            acceptor: TlsAcceptor::from(tls),
            sources,
            trunk_listener,
            datagrams: Datagrams::new(socket),
            targets,
            addresses,
            roots,
            limits: options.limits,
            patience: options.patience,
            endpoint: Endpoint::new(endpoint, Box::new(OsTokens)),
            metrics,
            meta_address,
            trunk_address,
            config,
        })
    }

    /// Where Meta connects to.
    pub fn meta_address(&self) -> SocketAddr {
        self.meta_address
    }

    /// Where trunks send to, by UDP, TCP and TLS.
    pub fn trunk_address(&self) -> SocketAddr {
        self.trunk_address
    }

    /// The certificate in use, to be watched: a renewed one is taken by new handshakes, and those that are
    /// through go on.
    pub fn certificate(&self) -> Arc<ReloadingCert> {
        self.certificate.clone()
    }

    /// Serves until `stop`; then calls may run on for `sip.drain_seconds`, and the rest is hung up. Every task
    /// of the edge has ended when this returns.
    pub async fn run(self, channels: Channels, stop: CancellationToken) {
        let (sender, events) = mpsc::channel::<Event>(EVENTS);
        let wires = Wires::new(sender, self.metrics.clone(), self.patience);
        let (resolved, addresses) = watch::channel(Arc::new(self.addresses));
        wires.tasks.spawn(transport::keep_resolved(self.targets, resolved, wires.gone.clone()));
        wires.tasks.spawn(transport::accept(
            self.listener,
            SipListener::Meta(self.acceptor.clone(), self.sources),
            Admission::new(self.limits),
            wires.clone(),
        ));
        wires.tasks.spawn(transport::accept(
            self.trunk_listener,
            SipListener::Trunks(self.acceptor, addresses.clone()),
            Admission::new(self.limits),
            wires.clone(),
        ));
        let driver = Driver::new(
            self.endpoint,
            Dialler { roots: self.roots, wires: wires.clone() },
            self.datagrams,
            addresses,
            channels,
            self.metrics,
        );
        driver.run(events, stop, self.config.drain).await;
        wires.end().await;
    }
}

fn certificate_fault(fault: TlsError) -> SipError {
    SipError::Certificate(Box::new(fault))
}

fn trunks(config: &SipConfig) -> Result<Vec<TrunkSettings>, SipError> {
    let settings = config.trunks.iter().enumerate().map(|(index, trunk)| {
        let wrong = |uri: &String| SipError::Address { key: "sip.trunks.uris", value: uri.clone() };
        let targets = trunk.uris.iter().map(|uri| Target::parse(uri, index).ok_or_else(|| wrong(uri)));
        Ok(TrunkSettings {
            name: trunk.name.clone(),
            targets: targets.collect::<Result<_, _>>()?,
            login: trunk.login.clone(),
            inbound_login: trunk.inbound_login.clone(),
            calls_by_tls: config.wants_tls_of(trunk),
            options_interval: trunk.options_interval,
        })
    });
    settings.collect()
}

fn roots(config: &SipConfig) -> Result<Roots, SipError> {
    let connector = |key: String, file: Option<&Path>| match tls::client_config(file) {
        Ok(config) => Ok(TlsConnector::from(Arc::new(config))),
        Err(source) => Err(SipError::Roots { key, source: Box::new(source) }),
    };
    let meta = connector("sip.meta_ca_file".to_owned(), config.meta_ca_file.as_deref())?;
    let trunks = config.trunks.iter().map(|trunk| match &trunk.tls_ca_file {
        None => connector("sip.trunks".to_owned(), None),
        Some(file) => connector(format!("sip.trunks: tls_ca_file of {}", trunk.name), Some(file)),
    });
    Ok(Roots { meta, trunks: trunks.collect::<Result<_, _>>()? })
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, SipError> {
    TcpListener::bind(address).await.map_err(|source| SipError::Bind { key, address, source })
}

/// TCP and UDP on the same port.
async fn listen_both(key: &'static str, address: SocketAddr) -> Result<(TcpListener, UdpSocket), SipError> {
    let mut tries = 0;
    loop {
        let listener = listen(key, address).await?;
        let bound = listener.local_addr().unwrap_or(address);
        match UdpSocket::bind(bound).await {
            Ok(socket) => return Ok((listener, socket)),
            Err(_) if address.port() == 0 && tries < PORT_TRIES => tries += 1,
            Err(source) => return Err(SipError::Bind { key, address: bound, source }),
        }
    }
}
