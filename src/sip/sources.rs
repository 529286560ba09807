//! Where Meta calls from: networks, built in or from `sip.sources_file`.

use std::net::IpAddr;
use std::path::Path;

use super::SipError;
use crate::config::{Network, SourceCheck};
use crate::sip::core::Origin;

/// What Meta publishes for its calls and webhooks (AS32934), as of September 2026. The list changes, which is
/// why the check only warns unless told otherwise.
const META: &str = include_str!("meta-networks.txt");

/// Judges where a connection comes from.
#[derive(Debug)]
pub struct Sources {
    check: SourceCheck,
    networks: Vec<Network>,
}

impl Sources {
    /// Reads `file`, or takes the built-in networks.
    pub fn load(check: SourceCheck, file: Option<&Path>) -> Result<Self, SipError> {
        let networks = match file {
            None => parse(META),
            Some(path) => {
                let read = std::fs::read_to_string(path);
                parse(&read.map_err(|source| SipError::SourcesFile { path: path.to_owned(), source })?)
            }
        };
        let path = file.unwrap_or_else(|| Path::new("meta-networks.txt"));
        match networks {
            Ok(networks) if networks.is_empty() => {
                let fault = "there is no network in it".to_owned();
                Err(SipError::Sources { path: path.to_owned(), fault })
            }
            Ok(networks) => Ok(Self { check, networks }),
            Err(fault) => Err(SipError::Sources { path: path.to_owned(), fault }),
        }
    }

    /// What is to be thought of a peer of the TLS listener.
    pub fn judge(&self, peer: IpAddr) -> Origin {
        if self.check == SourceCheck::Off || self.networks.iter().any(|network| network.contains(peer)) {
            return Origin::Meta;
        }
        if self.check == SourceCheck::Enforce { Origin::Refused } else { Origin::Stranger }
    }
}

/// One network a line; `#` begins a comment.
fn parse(text: &str) -> Result<Vec<Network>, String> {
    let mut networks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            networks.push(Network::parse(line).map_err(|fault| format!("line {}: {fault}", index + 1))?);
        }
    }
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(check: SourceCheck, peer: &str) -> Origin {
        Sources::load(check, None).unwrap().judge(peer.parse().unwrap())
    }

    #[test]
    fn meta_is_known_by_its_networks() {
        for peer in
            ["31.13.66.215", "157.240.229.209", "69.171.251.112", "2a03:2880:f1::1", "::ffff:31.13.66.1"]
        {
            assert_eq!(judged(SourceCheck::Enforce, peer), Origin::Meta, "{peer}");
        }
        for peer in ["192.0.2.1", "2001:db8::1", "69.63.192.1"] {
            assert_eq!(judged(SourceCheck::Enforce, peer), Origin::Refused, "{peer}");
            assert_eq!(judged(SourceCheck::Warn, peer), Origin::Stranger, "{peer}");
            assert_eq!(judged(SourceCheck::Off, peer), Origin::Meta, "{peer}");
        }
    }

    #[test]
    fn a_file_of_networks_takes_the_place_of_the_built_in_ones_and_its_faults_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("networks");
        std::fs::write(&file, "# ours\n127.0.0.0/8\n\n192.0.2.7 # one\n").unwrap();
        let sources = Sources::load(SourceCheck::Enforce, Some(&file)).unwrap();
        assert_eq!(sources.judge("127.0.0.1".parse().unwrap()), Origin::Meta);
        assert_eq!(sources.judge("192.0.2.7".parse().unwrap()), Origin::Meta);
        assert_eq!(sources.judge("31.13.66.215".parse().unwrap()), Origin::Refused);

        for (text, fault) in [("127.0.0.1\nnonsense\n", "line 2"), ("# nothing\n", "no network")] {
            std::fs::write(&file, text).unwrap();
            let error = Sources::load(SourceCheck::Warn, Some(&file)).unwrap_err().to_string();
            assert!(error.contains("networks") && error.contains(fault), "{error}");
        }
        assert!(Sources::load(SourceCheck::Warn, Some(&folder.path().join("none"))).is_err());
    }
}
