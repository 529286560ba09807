//! The addresses of the trunks: which trunk a peer is, and where datagrams go. Names are asked again from
//! time to time; what was known stays when a name server is silent.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::sip::core::{Target, Trust};

/// Between two questions to the name server.
const ROUND: Duration = Duration::from_secs(60);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Targets of trunks and their addresses.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    by_target: HashMap<Target, Vec<SocketAddr>>,
}

impl Addresses {
    /// Where datagrams for a target go.
    pub fn of(&self, target: &Target) -> Option<SocketAddr> {
        self.by_target.get(target)?.first().copied()
    }

    /// Whose address this is: with this port, else with any, since a peer may send from another one.
    pub fn trunk_of(&self, peer: SocketAddr) -> Option<usize> {
        let (ip, port) = (peer.ip().to_canonical(), peer.port());
        let mut found = None;
        for (target, addresses) in &self.by_target {
            let Trust::Trunk(index) = target.trust else { continue };
            for address in addresses.iter().filter(|address| address.ip().to_canonical() == ip) {
                if address.port() == port {
                    return Some(index);
                }
                found = Some(found.map_or(index, |other: usize| other.min(index)));
            }
        }
        found
    }
}

/// Asks for every target once; those in `known` keep what they have if nobody answers.
pub async fn resolve_trunks(targets: &[Target], known: &Addresses) -> Addresses {
    let mut by_target = HashMap::new();
    for target in targets {
        let asked = tokio::net::lookup_host((&*target.host, target.port));
        let found = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let found = if found.is_empty() { known.by_target.get(target).cloned() } else { Some(found) };
        match found {
            Some(addresses) => drop(by_target.insert(target.clone(), addresses)),
            None => tracing::warn!(target = %target, "the name of a trunk has no address"),
        }
    }
    Addresses { by_target }
}

/// Asks again until the edge is gone; ends at once if there are no names.
pub async fn keep_resolved(
    targets: Vec<Target>,
    addresses: watch::Sender<Arc<Addresses>>,
    gone: CancellationToken,
) {
    if targets.iter().all(|target| target.host.parse::<IpAddr>().is_ok()) {
        return;
    }
    loop {
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
        let known = addresses.borrow().clone();
        addresses.send_replace(Arc::new(resolve_trunks(&targets, &known).await));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_is_the_trunk_whose_address_it_has() {
        let uris =
            [("sip:127.0.0.1:5060", 0), ("sip:127.0.0.1:5070", 1), ("sip:[::1]:5060;transport=tcp", 2)];
        let targets: Vec<Target> =
            uris.iter().map(|(uri, index)| Target::parse(uri, *index).unwrap()).collect();
        let addresses = resolve_trunks(&targets, &Addresses::default()).await;
        let trunk_of = |peer: &str| addresses.trunk_of(peer.parse().unwrap());
        assert_eq!(trunk_of("127.0.0.1:5070"), Some(1));
        assert_eq!(trunk_of("127.0.0.1:40000"), Some(0), "the first of several with this address");
        assert_eq!(trunk_of("[::1]:40000"), Some(2));
        assert_eq!(trunk_of("192.0.2.1:5060"), None);
        assert_eq!(addresses.of(&targets[0]), Some("127.0.0.1:5060".parse().unwrap()));
    }

    #[tokio::test]
    async fn what_was_known_stays_when_a_name_is_not_answered() {
        let target = Target::parse("sip:nowhere.invalid:5060", 0).unwrap();
        let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let known = Addresses { by_target: HashMap::from([(target.clone(), vec![address])]) };
        let again = resolve_trunks(std::slice::from_ref(&target), &known).await;
        assert_eq!(again.of(&target), Some(address));
    }
}
