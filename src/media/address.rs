//! Which addresses a fetch for a user may reach: the public internet, and what the operator of the
//! bridge has allowed inside private networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// How far an address may be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// On the public internet.
    Public,
    /// Inside a private network or this machine: only where it is allowed.
    Private,
    /// Link-local, metadata services, multicast, reserved and translated ranges: never.
    Never,
}

/// An entry of `outbound.allowed_hosts`: a host name, or an address range as CIDR or single address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostRule {
    /// A host by its exact name, lower case; whatever private address it resolves to.
    Name(String),
    /// Addresses by range, whatever their name.
    Net(IpAddr, u8),
}

/// Not a host name, address or CIDR.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is neither a host name nor an address range such as 10.1.0.0/16")]
pub struct HostRuleError(String);

/// What may be reached.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// What is allowed inside private networks.
    pub allowed: Vec<HostRule>,
    /// All private addresses (tests only).
    pub allow_private: bool,
}

impl AddressRules {
    /// Whether a connection to `ip`, to which `host` resolved, may be opened.
    pub fn permits(&self, host: &str, ip: IpAddr) -> bool {
        match reach(ip) {
            Reach::Public => true,
            Reach::Never => false,
            Reach::Private => self.allow_private || self.allowed.iter().any(|rule| rule.covers(host, ip)),
        }
    }
}

impl HostRule {
    fn covers(&self, host: &str, ip: IpAddr) -> bool {
        match self {
            Self::Name(name) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
            Self::Net(net, prefix) => in_net(ip, *net, *prefix),
        }
    }
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        let error = || HostRuleError(text.to_owned());
        let text = text.trim();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| error())?)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(bits);
            return if prefix <= bits { Ok(Self::Net(ip, prefix)) } else { Err(error()) };
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let named = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_name = prefix.is_none() && name.chars().all(named) && name.chars().any(char::is_alphabetic);
        if is_name { Ok(Self::Name(name)) } else { Err(error()) }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Net(net, prefix) => write!(f, "{net}/{prefix}"),
        }
    }
}

/// Judges an address by the IANA special-purpose registries (RFC 6890 and its updates). IPv4 inside IPv6
/// (mapped, NAT64) is judged as IPv4.
pub fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let within =
        |nets: &[(Ipv4Addr, u8)]| nets.iter().any(|(net, prefix)| in_net(ip.into(), (*net).into(), *prefix));
    if within(NEVER_V4) {
        Reach::Never
    } else if within(PRIVATE_V4) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    let segments = ip.segments();
    if let Some(v4) = ip.to_ipv4_mapped() {
        return reach_v4(v4);
    }
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        return reach_v4(Ipv4Addr::new(a, b, c, d));
    }
    let within =
        |nets: &[(Ipv6Addr, u8)]| nets.iter().any(|(net, prefix)| in_net(ip.into(), (*net).into(), *prefix));
    if within(NEVER_V6) {
        Reach::Never
    } else if ip.is_loopback() || in_net(ip.into(), UNIQUE_LOCAL.into(), 7) {
        Reach::Private
    } else if in_net(ip.into(), GLOBAL_UNICAST.into(), 3) {
        Reach::Public
    } else {
        Reach::Never
    }
}

/// IPv4 written as IPv6 is compared as IPv4.
fn in_net(ip: IpAddr, net: IpAddr, prefix: u8) -> bool {
    let shared = |ip: u128, net: u128, bits: u8| {
        let differing = (ip ^ net).checked_shr(u32::from(bits.saturating_sub(prefix))).unwrap_or(0);
        differing == 0
    };
    match (ip.to_canonical(), net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => shared(ip.to_bits().into(), net.to_bits().into(), 32),
        (IpAddr::V6(ip), IpAddr::V6(net)) => shared(ip.to_bits(), net.to_bits(), 128),
        _ => false,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(segments: [u16; 3]) -> Ipv6Addr {
    let [a, b, c] = segments;
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

const NEVER_V4: &[(Ipv4Addr, u8)] = &[
    (v4(0, 0, 0, 0), 8),
    // Link-local, with the metadata services of most clouds.
    (v4(169, 254, 0, 0), 16),
    // Metadata services elsewhere.
    (v4(100, 100, 100, 200), 32),
    (v4(168, 63, 129, 16), 32),
    (v4(192, 0, 0, 0), 24),
    // Documentation.
    (v4(192, 0, 2, 0), 24),
    (v4(198, 51, 100, 0), 24),
    (v4(203, 0, 113, 0), 24),
    (v4(192, 88, 99, 0), 24),
    // Multicast, reserved, broadcast.
    (v4(224, 0, 0, 0), 4),
    (v4(240, 0, 0, 0), 4),
];

const PRIVATE_V4: &[(Ipv4Addr, u8)] = &[
    (v4(10, 0, 0, 0), 8),
    (v4(100, 64, 0, 0), 10),
    (v4(127, 0, 0, 0), 8),
    (v4(172, 16, 0, 0), 12),
    (v4(192, 168, 0, 0), 16),
    (v4(198, 18, 0, 0), 15),
];

const NEVER_V6: &[(Ipv6Addr, u8)] = &[
    // A metadata service.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128),
    // IETF protocols (Teredo, ORCHID), documentation, 6to4.
    (v6([0x2001, 0, 0]), 23),
    (v6([0x2001, 0xdb8, 0]), 32),
    (v6([0x2002, 0, 0]), 16),
    (v6([0x3fff, 0, 0]), 20),
];

const UNIQUE_LOCAL: Ipv6Addr = v6([0xfc00, 0, 0]);
const GLOBAL_UNICAST: Ipv6Addr = v6([0x2000, 0, 0]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_known() {
        use Reach::{Never, Private, Public};
        for (ip, expected) in [
            ("8.8.8.8", Public),
            ("172.15.255.255", Public),
            ("172.32.0.0", Public),
            ("100.63.255.255", Public),
            ("198.17.255.255", Public),
            ("223.255.255.255", Public),
            ("10.0.0.1", Private),
            ("100.64.0.1", Private),
            ("127.0.0.1", Private),
            ("127.255.255.255", Private),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("198.19.255.255", Private),
            ("0.0.0.0", Never),
            ("0.1.2.3", Never),
            ("169.254.169.254", Never),
            ("100.100.100.200", Never),
            ("192.0.0.1", Never),
            ("192.0.2.1", Never),
            ("224.0.0.1", Never),
            ("240.0.0.1", Never),
            ("255.255.255.255", Never),
            ("2606:4700::1111", Public),
            ("::1", Private),
            ("fd12:3456::1", Private),
            ("fc00::1", Private),
            ("::", Never),
            ("fe80::1", Never),
            ("febf::1", Never),
            ("fec0::1", Never),
            ("ff02::1", Never),
            ("fd00:ec2::254", Never),
            ("2001:db8::1", Never),
            ("2001::1", Never),
            ("2002:7f00:1::", Never),
            ("100::1", Never),
            ("::127.0.0.1", Never),
            ("::ffff:127.0.0.1", Private),
            ("::ffff:169.254.169.254", Never),
            ("::ffff:8.8.8.8", Public),
            ("64:ff9b::a00:1", Private),
            ("64:ff9b::a9fe:a9fe", Never),
            ("64:ff9b::808:808", Public),
            ("64:ff9b:1::808:808", Never),
        ] {
            assert_eq!(reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn a_rule_opens_a_private_address_but_never_a_link_local_one() {
        let rules = AddressRules {
            allowed: ["files.corp.example", "10.1.0.0/16", "fd12::/16", "0.0.0.0/0"]
                .map(|t| t.parse().unwrap())
                .into(),
            allow_private: false,
        };
        let narrow = AddressRules { allowed: rules.allowed[..3].to_vec(), ..Default::default() };
        for (host, ip, permitted) in [
            ("a.example", "8.8.8.8", true),
            ("a.example", "10.1.2.3", true),
            ("a.example", "::ffff:10.1.2.3", true),
            ("a.example", "10.2.0.1", false),
            ("a.example", "fd12::5", true),
            ("a.example", "fd13::5", false),
            ("Files.Corp.Example.", "192.168.7.7", true),
            ("xfiles.corp.example", "192.168.7.7", false),
            ("files.corp.example", "169.254.169.254", false),
        ] {
            assert_eq!(narrow.permits(host, ip.parse().unwrap()), permitted, "{host} {ip}");
        }
        assert!(rules.permits("a", "10.2.0.1".parse().unwrap()));
        assert!(!rules.permits("a", "169.254.0.1".parse().unwrap()));
        let all = AddressRules { allow_private: true, ..Default::default() };
        assert!(all.permits("a", "127.0.0.1".parse().unwrap()));
        assert!(!all.permits("a", "fe80::1".parse().unwrap()));
    }

    #[test]
    fn what_is_neither_name_nor_range_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "host/8", "http://host", "a b", "*", "10.0.0"] {
            assert!(text.parse::<HostRule>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.7".parse(), Ok(HostRule::Net("10.0.0.7".parse().unwrap(), 32)));
        assert_eq!("[fd00::7]".parse(), Ok(HostRule::Net("fd00::7".parse().unwrap(), 128)));
        assert_eq!("Box.".parse(), Ok(HostRule::Name("box".to_owned())));
    }
}
