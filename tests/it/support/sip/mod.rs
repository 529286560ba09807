//! What tests of calls stand on: the SIP edge without the rest of the bridge, scripted peers that speak SIP as
//! text, and real programs.

pub mod hosts;
pub mod message;
pub mod peers;
pub mod phone;
pub mod programs;
pub mod relay;
pub mod talker;
pub mod together;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wabridge::config::{Config, SipConfig, TlsFiles, TrunkConfig};
use wabridge::domain::Secret;
use wabridge::domain::call::{
    CallEnd, CallEvent, CallMoment, CallPermission, CallRoute, EndedBy, RouteTable,
};
use wabridge::sip::{Channels, Edge, EdgeOptions};
use wabridge::telemetry::Metrics;
use wabridge::tls::ReloadingCert;

use super::DEADLINE;

/// The bridge's name in certificates, From and realm.
pub const HOSTNAME: &str = "sip.example.com";
/// The business phone of every test.
pub const PHONE: &str = "12195550123";
/// Its SIP password.
pub const PASSWORD: &str = "sip-password-of-the-phone";
/// Somebody on WhatsApp.
pub const CUSTOMER: &str = "12195550714";

/// An authority and what it has signed.
pub struct Certificates {
    pub folder: TempDir,
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

/// The edge, running.
pub struct TestEdge {
    pub meta: SocketAddr,
    pub trunk: SocketAddr,
    pub certificates: Arc<Certificates>,
    pub certificate: Arc<ReloadingCert>,
    pub metrics: Arc<Metrics>,
    /// Kept, so that the edge has routes.
    _routes: watch::Sender<Arc<RouteTable>>,
    told: Arc<Mutex<Vec<CallEvent>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

type Change<T> = Box<dyn FnOnce(&mut T) + Send>;

/// What a test wants otherwise.
#[derive(Default)]
pub struct EdgeSetup {
    /// `sip:` addresses of the trunk `asterisk`.
    pub trunks: Vec<String>,
    /// Where calls go.
    pub extension: Option<&'static str>,
    pub certificates: Option<Arc<Certificates>>,
    pub options: Option<Change<EdgeOptions>>,
    pub permission: Option<CallPermission>,
}

impl Certificates {
    pub fn new() -> Arc<Self> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let certificates = Self { folder, ca };
        certificates.sign("bridge", &[HOSTNAME, "127.0.0.1", "localhost"], 2100);
        certificates.sign("meta", &["wa.meta.vc", "localhost", "127.0.0.1"], 2100);
        Arc::new(certificates)
    }

    /// Writes `NAME.pem` and `NAME.key`, and both in one as `NAME.both.pem`.
    pub fn sign(&self, name: &str, hosts: &[&str], year: i32) {
        self.sign_with(name, hosts, (year, 12, 31));
    }

    /// The same with another end.
    pub fn sign_until(&self, name: &str, hosts: &[&str], end: chrono::DateTime<chrono::Utc>) {
        use chrono::Datelike as _;
        let (month, day) = (u8::try_from(end.month()).unwrap(), u8::try_from(end.day()).unwrap());
        self.sign_with(name, hosts, (end.year(), month, day));
    }

    fn sign_with(&self, name: &str, hosts: &[&str], (year, month, day): (i32, u8, u8)) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        std::fs::write(self.path(&format!("{name}.both.pem")), format!("{certificate}{key}")).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn files(&self, name: &str) -> TlsFiles {
        TlsFiles {
            certificate: self.path(&format!("{name}.pem")),
            private_key: self.path(&format!("{name}.key")),
        }
    }
}

impl TestEdge {
    /// One with a scripted telephone system.
    pub async fn with_pbx() -> (Self, peers::Pbx) {
        let pbx = peers::Pbx::start().await;
        let edge = Self::start(EdgeSetup { trunks: vec![pbx.uri()], ..EdgeSetup::default() }).await;
        (edge, pbx)
    }

    pub async fn start(setup: EdgeSetup) -> Self {
        let certificates = setup.certificates.unwrap_or_else(Certificates::new);
        let mut options = EdgeOptions::new(config(&certificates, setup.trunks));
        if let Some(change) = setup.options {
            change(&mut options);
        }
        let metrics = Arc::new(Metrics::new());
        let edge = Edge::bind(options, metrics.clone()).await.unwrap();
        let (meta, trunk, certificate) = (edge.meta_address(), edge.trunk_address(), edge.certificate());
        let (routes, given) = watch::channel(Arc::new(table(setup.extension.unwrap_or("100"))));
        let (events, mut heard) = mpsc::unbounded_channel();
        let (permissions, mut asked) = mpsc::channel::<wabridge::sip::PermissionRequest>(16);
        let told: Arc<Mutex<Vec<CallEvent>>> = Arc::default();
        let (stop, written) = (CancellationToken::new(), told.clone());
        let answer = setup.permission.unwrap_or(CallPermission::Allowed);
        let serving = edge.run(Channels { routes: given, events, permissions }, stop.clone());
        let recording = async move {
            while let Some(event) = heard.recv().await {
                written.lock().unwrap().push(event);
            }
        };
        let permitting = async move {
            while let Some(request) = asked.recv().await {
                let _ = request.answer.send(answer.clone());
            }
        };
        let task = tokio::spawn(async move {
            tokio::join!(serving, recording, permitting);
        });
        Self { meta, trunk, certificates, certificate, metrics, _routes: routes, told, stop, task }
    }

    /// Everything that was told, in order.
    pub fn events(&self) -> Vec<CallEvent> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until what was told gives something.
    pub async fn told<T>(&self, what: &str, mut find: impl FnMut(&[CallEvent]) -> Option<T>) -> T {
        eventually(what, || find(&self.events())).await
    }

    /// Waits until this many calls have ended; how.
    pub async fn ends(&self, count: usize) -> Vec<CallEnd> {
        let ends = |events: &[CallEvent]| {
            let of = |event: &CallEvent| match &event.moment {
                CallMoment::Ended(end) => Some(end.clone()),
                _ => None,
            };
            let ends: Vec<CallEnd> = events.iter().filter_map(of).collect();
            (ends.len() >= count).then_some(ends)
        };
        self.told("calls that end", ends).await
    }

    /// Waits until a call was ended by this side.
    pub async fn ended_by(&self, by: EndedBy) {
        let is_end = |event: &CallEvent| matches!(&event.moment, CallMoment::Ended(end) if end.by == by);
        self.told("an end", |events| events.iter().any(is_end).then_some(())).await;
    }

    /// Waits until a call was answered.
    pub async fn answered(&self) {
        let is_answer = |event: &CallEvent| matches!(event.moment, CallMoment::Answered { .. });
        self.told("an answer", |events| events.iter().any(is_answer).then_some(())).await;
    }

    /// The value of a metric, by the beginning of its line.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or_default()
    }

    /// Tells it to stop, as SIGTERM does, and does not wait.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) -> Vec<CallEvent> {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the edge ends").unwrap();
        let told = self.told.lock().unwrap();
        told.clone()
    }
}

/// Settings of an edge on free ports of loopback, where everybody counts as Meta.
pub fn config(certificates: &Certificates, trunks: Vec<String>) -> SipConfig {
    let mut config = Config::default().sip;
    config.enabled = true;
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.trunk_listen = "127.0.0.1:0".parse().unwrap();
    config.trunk_advertised = config.trunk_listen;
    config.hostname = Some(HOSTNAME.to_owned());
    config.tls = Some(certificates.files("bridge"));
    config.source_check = wabridge::config::SourceCheck::Off;
    config.meta_ca_file = Some(certificates.path("ca.pem"));
    if !trunks.is_empty() {
        config.trunks = vec![trunk(trunks)];
    }
    config
}

/// The trunk `asterisk`.
pub fn trunk(uris: Vec<String>) -> TrunkConfig {
    TrunkConfig {
        name: "asterisk".to_owned(),
        uris,
        login: None,
        inbound_login: None,
        tls_ca_file: None,
        options_interval: None,
    }
}

fn table(extension: &str) -> RouteTable {
    RouteTable {
        routes: vec![CallRoute {
            phone: "phone-1".into(),
            phone_number_id: "106540352242922".into(),
            digits: PHONE.to_owned(),
            tgrp: None,
            hostname: HOSTNAME.to_owned(),
            sip_password: Some(Secret::from(PASSWORD.to_owned())),
            trunk: "asterisk".to_owned(),
            extension: extension.to_owned(),
        }],
    }
}

/// Waits until `find` gives something.
pub async fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
