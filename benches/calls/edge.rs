//! The role of the edge: the SIP edge of wabridge with one phone and one trunk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wabridge::config::{Config, SourceCheck, TlsFiles, TrunkConfig};
use wabridge::domain::Secret;
use wabridge::domain::call::{CallRoute, RouteTable};
use wabridge::sip::{Channels, Edge, EdgeOptions, Limits};
use wabridge::telemetry::Metrics;

use crate::message::{HOSTNAME, PASSWORD, PHONE};

pub async fn run(digest: bool, folder: PathBuf, peer: String) {
    let mut config = Config::default().sip;
    config.enabled = true;
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.trunk_listen = "127.0.0.1:0".parse().unwrap();
    config.trunk_advertised = config.trunk_listen;
    config.hostname = Some(HOSTNAME.to_owned());
    config.tls =
        Some(TlsFiles { certificate: folder.join("edge.pem"), private_key: folder.join("edge.key") });
    config.require_digest = digest;
    config.source_check = SourceCheck::Off;
    config.max_calls_per_minute = u32::MAX;
    config.trunks = vec![TrunkConfig {
        name: "peer".to_owned(),
        uris: vec![format!("sip:{peer};transport=udp")],
        login: None,
        inbound_login: None,
        tls_ca_file: None,
        options_interval: None,
    }];
    let mut options = EdgeOptions::new(config);
    options.limits = Limits { total: 100_000, per_source: 100_000, ..Limits::default() };
    options.max_calls = 1_000_000;
    let edge = Edge::bind(options, Arc::new(Metrics::new())).await.unwrap();
    println!("{} {}", edge.meta_address(), edge.trunk_address());
    let (_routes, routes) = watch::channel(Arc::new(RouteTable { routes: vec![route()] }));
    let (events, mut told) = mpsc::unbounded_channel();
    let (permissions, _asked) = mpsc::channel(1);
    let serving = edge.run(Channels { routes, events, permissions }, CancellationToken::new());
    tokio::join!(serving, async { while told.recv().await.is_some() {} });
}

/// An authority and the certificate of the edge, of the kind that public authorities issue.
pub fn write_certificates(folder: &Path) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![HOSTNAME.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    std::fs::write(folder.join("edge.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("edge.key"), key.serialize_pem()).unwrap();
}

fn route() -> CallRoute {
    CallRoute {
        phone: "phone-1".into(),
        phone_number_id: "106540352242922".into(),
        digits: PHONE.to_owned(),
        tgrp: None,
        hostname: HOSTNAME.to_owned(),
        sip_password: Some(Secret::from(PASSWORD.to_owned())),
        trunk: "peer".to_owned(),
        extension: "100".to_owned(),
    }
}
