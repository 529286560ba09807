//! The edge and a real Asterisk on the documented configuration, joined.

use std::path::Path;
use std::sync::Arc;

use wabridge::sip::EdgeOptions;

use super::programs::{Additions, Asterisk, port};
use super::{Certificates, EdgeSetup, TestEdge};

/// An edge and an Asterisk on the documented configuration; its calls go to an extension of it.
pub async fn edge_and_asterisk(
    tools: &Path,
    extension: &'static str,
    additions: Additions,
) -> (TestEdge, Asterisk) {
    edge_and_asterisk_with(tools, extension, additions, |_| {}).await
}

pub async fn edge_and_asterisk_with(
    tools: &Path,
    extension: &'static str,
    additions: Additions,
    change: impl FnOnce(&mut EdgeOptions) + Send + 'static,
) -> (TestEdge, Asterisk) {
    edge_and_asterisk_of(tools, extension, additions, Certificates::new(), change).await
}

pub async fn edge_and_asterisk_of(
    tools: &Path,
    extension: &'static str,
    additions: Additions,
    certificates: Arc<Certificates>,
    change: impl FnOnce(&mut EdgeOptions) + Send + 'static,
) -> (TestEdge, Asterisk) {
    let (bridge_port, port) = (port(), port());
    let trunk = format!("sip:127.0.0.1:{port};transport=udp");
    let edge = TestEdge::start(EdgeSetup {
        trunks: vec![trunk],
        extension: Some(extension),
        certificates: Some(certificates),
        options: Some(Box::new(move |options| {
            options.config.trunk_listen.set_port(bridge_port);
            options.config.trunk_advertised.set_port(bridge_port);
            change(options);
        })),
        ..EdgeSetup::default()
    })
    .await;
    let asterisk = Asterisk::start(tools, bridge_port, port, additions).await;
    (edge, asterisk)
}
