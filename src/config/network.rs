//! Addresses, networks and host names in settings.

use std::fmt;
use std::net::IpAddr;

use super::parse;
use super::reader::Reader;

/// A network in CIDR notation; one address is a network of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8` or `127.0.0.1`; the error says in words what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address or network, as 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { address, prefix })
    }

    /// Whether the address is in this network; an IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |own: u128, other: u128, bits: u8| {
            let host_bits = u32::from(bits.saturating_sub(self.prefix));
            own.checked_shr(host_bits) == other.checked_shr(host_bits)
        };
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u128::from(u32::from(own)), u128::from(u32::from(other)), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(u128::from(own), u128::from(other), 128),
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Where fetches may go although it is private.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AllowedHost {
    /// A host name in lower case, whatever it resolves to.
    Name(String),
    /// Every address of a network.
    Network(Network),
}

impl AllowedHost {
    /// Reads a host name, an address or a network.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(network) = Network::parse(text) {
            return Ok(Self::Network(network));
        }
        match parse::host(text) {
            // What looks like numbers was meant as an address.
            Ok(name) if !name.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Ok(Self::Name(name)),
            _ => Err(format!("`{text}` is not a host name, address or network, as 10.0.0.0/8")),
        }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// `[outbound]`: fetches of addresses that users gave.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// Private hosts that may be reached all the same; link-local never.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Tests only: all private networks, and portals by `http`.
    pub allow_private_networks: bool,
}

impl OutboundConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            allowed_hosts: r.list("outbound.allowed_hosts", AllowedHost::parse),
            allow_private_networks: r.flag("outbound.allow_private_networks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_only() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/8", "10.9.9.9", "9.9.9.9"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "2001:db8::1", "8.8.8.8"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0", "host", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mistyped_address_is_not_taken_for_a_name() {
        assert_eq!(AllowedHost::parse("Files.LAN"), Ok(AllowedHost::Name("files.lan".to_owned())));
        assert!(AllowedHost::parse("10.0.0").is_err());
        assert!(AllowedHost::parse("10.0.0.0/40").is_err());
    }
}
