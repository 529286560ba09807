//! Asks the SIP edge and the trunks what the checks of calls judge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use futures_util::future::join_all;

use super::finding::{Check, Finding, Subject};
use super::{Look, certificate, sip};
use crate::config::{TlsFiles, TrunkConfig};
use crate::directory::{Phone, Snapshot};
use crate::setup::Setup;
use crate::sip::probe::{self, Claimant, ProbeFault};
use crate::tls::{self, ReloadingCert};

impl Setup {
    /// The edge's certificate, its port as Meta reaches it, and the trunks behind it.
    pub(super) async fn examine_edge(&self, subject: &Subject, look: &Look) -> Vec<Finding> {
        let config = &self.config.sip;
        if !config.enabled {
            return Vec::new();
        }
        let mut found = Vec::new();
        let hostname = config.hostname.as_deref();
        if let Some(files) = &config.tls {
            let check = Check("sip.certificate", subject);
            let end = super::read_bridge::end_of(files).await;
            found.push(certificate::days_left(check, end, self.clock.now()));
            if let Some(name) = hostname {
                found.push(sip::name(subject, is_for(files, name).await, name));
            }
        }
        if let (true, Some(name)) = (look.thorough, hostname) {
            let port = config.listen.port();
            let shaken = match tls::client_config(config.meta_ca_file.as_deref()) {
                Ok(tls) => probe::shake(name, port, tls).await,
                Err(error) => Err(ProbeFault::Tls(error.to_string())),
            };
            found.push(sip::reached(subject, &shaken, name, port));
            found.push(sip::alpn(subject, &shaken, port));
        }
        let asked =
            config.trunks.iter().map(|trunk| async move { (trunk.name.clone(), answers(trunk).await) });
        let asked = join_all(asked);
        found.push(sip::trunks(subject, &asked.await));
        found
    }

    /// A call to our own edge with the phone's password.
    pub(super) async fn examine_digest(
        &self,
        subject: &Subject,
        snapshot: &Snapshot,
        phone: &Phone,
        look: &Look,
    ) -> Option<Finding> {
        let config = &self.config.sip;
        let calling = snapshot.calling(&phone.key).filter(|calling| calling.is_ours())?;
        let (password, hostname) = (calling.sip_password.as_ref()?, config.hostname.as_deref()?);
        let files = config.tls.as_ref().filter(|_| config.enabled && look.thorough)?;
        let who = Claimant { digits: &phone.number, hostname, password };
        // Whether its chain is one of a public authority is another check's matter.
        let outcome = match tls::client_config(Some(&files.certificate)) {
            Ok(tls) => probe::claim(near(config.listen), &who, tls).await,
            Err(error) => Err(ProbeFault::Tls(error.to_string())),
        };
        Some(sip::digest(subject, &outcome))
    }
}

/// Our listener from this machine.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The first address of a trunk that answers OPTIONS, whatever it says.
async fn answers(trunk: &TrunkConfig) -> Result<u16, String> {
    let mut failure = "it has no address".to_owned();
    for uri in &trunk.uris {
        let tls = tls::client_config(trunk.tls_ca_file.as_deref()).map_err(|error| error.to_string())?;
        match probe::options(uri, tls).await {
            Ok(status) => return Ok(status),
            Err(ProbeFault::Unreachable(why) | ProbeFault::Tls(why) | ProbeFault::Silent(why)) => {
                failure = why
            }
        }
    }
    Err(failure)
}

async fn is_for(files: &TlsFiles, name: &str) -> Result<(), String> {
    let (files, name) = (files.clone(), name.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        let load = |certificate: &Path, key: &Path| ReloadingCert::load(certificate, key);
        let loaded = load(&files.certificate, &files.private_key).map_err(|error| error.to_string())?;
        // What rustls says, without the path before it.
        loaded.check_name(&name).map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        })
    });
    checked.await.unwrap_or_else(|_| Err("the files could not be read".to_owned()))
}
