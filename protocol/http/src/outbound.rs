//! Guards outbound calls of services and agents: an address that others name must not lead into the caller's own
//! network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why a call is not made.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("`outbound_allow` entry `{0}` is neither \"loopback\", \"private\" nor a network like 10.0.0.0/8")]
    Entry(String),
    #[error(
        "calls to {0} are refused; if it is meant, add its network, \"private\" or \"loopback\" to `outbound_allow`"
    )]
    Refused(IpAddr),
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: std::io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
}

/// Which addresses may be called: all public ones, and what the configuration's `outbound_allow` names.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    loopback: bool,
    private: bool,
    networks: Vec<(IpAddr, u8)>,
}

impl Guard {
    pub fn new(outbound_allow: &[String]) -> Result<Self, OutboundError> {
        let mut guard = Self::default();
        for entry in outbound_allow {
            match entry.as_str() {
                "loopback" => guard.loopback = true,
                "private" => guard.private = true,
                network => guard.networks.push(parse(network).ok_or_else(|| OutboundError::Entry(entry.clone()))?),
            }
        }
        Ok(guard)
    }

    /// Whether this address may be called.
    pub fn check(&self, address: IpAddr) -> Result<(), OutboundError> {
        let plain = unmapped(address);
        let named = self.networks.iter().any(|network| contains(*network, plain));
        let allowed = named
            || match class(plain) {
                Class::Public => true,
                Class::Loopback => self.loopback,
                Class::Private => self.private,
                Class::Never => false,
            };
        if allowed { Ok(()) } else { Err(OutboundError::Refused(address)) }
    }

    /// Resolves a host and gives the addresses that may be connected to. Connect to these and to no others: a second
    /// resolution might answer differently. One refused address refuses the host.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(|source| OutboundError::Resolve { host: host.to_owned(), source })?
                .collect(),
        };
        for address in &addresses {
            self.check(address.ip())?;
        }
        if addresses.is_empty() { Err(OutboundError::NoAddress(host.to_owned())) } else { Ok(addresses) }
    }
}

enum Class {
    Public,
    Loopback,
    Private,
    /// Link-local, multicast, unspecified, reserved: nobody's service.
    Never,
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(v4: Ipv4Addr) -> Class {
    let [a, b, c, _] = v4.octets();
    if v4.is_loopback() {
        return Class::Loopback;
    }
    // 100.64/10 is the shared space of carriers, as unreachable from outside as the private ones.
    if v4.is_private() || (a == 100 && b & 0xc0 == 64) {
        return Class::Private;
    }
    let benchmark = a == 198 && b & 0xfe == 18;
    let protocol = a == 192 && b == 0 && c == 0;
    if a == 0 || a >= 224 || v4.is_link_local() || v4.is_documentation() || benchmark || protocol {
        return Class::Never;
    }
    Class::Public
}

fn class_v6(v6: Ipv6Addr) -> Class {
    let head = v6.segments()[0];
    if v6.is_loopback() {
        return Class::Loopback;
    }
    if head & 0xfe00 == 0xfc00 {
        return Class::Private;
    }
    // Only 2000::/3 is public; 6to4, Teredo and NAT64 would lead to an IPv4 address that was never checked.
    let tunnelled = head == 0x2002 || (head == 0x2001 && v6.segments()[1] == 0);
    if head & 0xe000 != 0x2000 || tunnelled { Class::Never } else { Class::Public }
}

/// `::ffff:127.0.0.1` is 127.0.0.1.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn parse(network: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match network.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, bits.parse().ok()?),
        None => {
            let address = network.parse::<IpAddr>().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn contains((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(bits);
            u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(bits);
            u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed(guard: &Guard, address: &str) -> bool {
        guard.check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn by_default_only_public_addresses() {
        let guard = Guard::new(&[]).unwrap();
        for public in ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(allowed(&guard, public), "{public}");
        }
        for inner in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "224.0.0.1",
            "ff02::1",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001:0:1::",
        ] {
            assert!(!allowed(&guard, inner), "{inner}");
        }
    }

    #[test]
    fn the_configuration_names_exceptions() {
        let guard =
            Guard::new(&["loopback".into(), "10.1.0.0/16".into(), "fd12::/16".into(), "0.0.0.0/32".into()])
                .unwrap();
        for named in ["127.0.0.1", "::1", "10.1.255.1", "fd12::7", "::ffff:10.1.0.1"] {
            assert!(allowed(&guard, named), "{named}");
        }
        assert!(!allowed(&guard, "10.2.0.1"));
        assert!(allowed(&Guard::new(&["0.0.0.0/0".into()]).unwrap(), "192.168.1.1"));
        assert!(Guard::new(&["10.0.0.0/33".into()]).is_err());
        assert!(Guard::new(&["privat".into()]).is_err());
    }

    #[tokio::test]
    async fn names_are_resolved_and_checked() {
        assert!(Guard::default().resolve("localhost", 80).await.is_err());
        let guard = Guard::new(&["loopback".into()]).unwrap();
        assert!(guard.resolve("localhost", 80).await.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(Guard::default().resolve("[::1]", 80).await.is_err());
    }
}
