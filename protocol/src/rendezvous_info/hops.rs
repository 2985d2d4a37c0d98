//! What the directives mean: for a device in the order of its attempts, for an owner the places to register at.

use std::fmt;
use std::net::IpAddr;

use super::instruction::{Instruction, RvProtocol};
use crate::hash::Hash;

/// The two transports that this implementation speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP; FDO protects itself.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A name or an address that is safe to put into a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Host {
    /// The host that a DNS value names; `None` when it is no host name. An address written as text is an address.
    pub fn from_dns(name: &str) -> Option<Self> {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(name).parse::<IpAddr>() {
            return Some(Self::Ip(ip.to_canonical()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let fits = (1..=253).contains(&name.len()) && name.bytes().all(allowed);
        fits.then(|| Self::Dns(name.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// One address to try. Displayed as a URL without a path or a final slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HopAddress {
    /// HTTP or HTTPS.
    pub scheme: Scheme,
    /// Name or address.
    pub host: Host,
    /// The port, the scheme's own if none was given.
    pub port: u16,
}

impl HopAddress {
    /// The base URL, without a final slash.
    pub fn url(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for HopAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

/// What one directive tells its reader to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The addresses in the order to try them; empty when the directive has none that can be used.
    pub addresses: Vec<HopAddress>,
    /// The addresses are the owner's: run TO2 there without TO1.
    pub bypass: bool,
    /// Seconds to wait after this directive failed; give it a jitter of a quarter either way.
    pub delay_seconds: Option<u32>,
    /// The interface to use, if the directive says so.
    pub medium: Option<u8>,
    /// Whether a user should be asked first.
    pub user_input: bool,
    /// The hash of the TLS server's certificate, to pin it.
    pub server_certificate: Option<Hash>,
    /// The hash of a CA certificate that the TLS server's must chain to.
    pub ca_certificate: Option<Hash>,
}

/// Who reads the directives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Device,
    Owner,
}

pub(super) fn for_device(directives: &[Vec<Instruction>]) -> Vec<Hop> {
    directives
        .iter()
        .filter(|directive| !directive.contains(&Instruction::OwnerOnly))
        .map(|directive| hop(directive, Role::Device))
        .collect()
}

pub(super) fn for_owner(directives: &[Vec<Instruction>]) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    for directive in directives {
        if directive.contains(&Instruction::DevOnly) || directive.contains(&Instruction::Bypass) {
            continue;
        }
        let hop = hop(directive, Role::Owner);
        let known = hops.iter().any(|earlier| earlier.addresses == hop.addresses);
        if !hop.addresses.is_empty() && !known {
            hops.push(hop);
        }
    }
    hops
}

fn hop(directive: &[Instruction], role: Role) -> Hop {
    let (mut dns, mut ip, mut port, mut protocol) = (None, None, None, RvProtocol::Https);
    let mut hop = Hop {
        addresses: Vec::new(),
        bypass: false,
        delay_seconds: None,
        medium: None,
        user_input: false,
        server_certificate: None,
        ca_certificate: None,
    };
    for instruction in directive {
        match instruction {
            Instruction::Dns(name) => dns = Host::from_dns(name),
            Instruction::IpAddress(address) => ip = Some(Host::Ip(*address)),
            Instruction::DevPort(number) if role == Role::Device => port = Some(*number),
            Instruction::OwnerPort(number) if role == Role::Owner => port = Some(*number),
            Instruction::Protocol(number) => protocol = *number,
            Instruction::DelaySec(seconds) => hop.delay_seconds = Some(*seconds),
            Instruction::Bypass => hop.bypass = true,
            Instruction::Medium(medium) => hop.medium = Some(*medium),
            Instruction::UserInput(ask) => hop.user_input = ask.unwrap_or(true),
            Instruction::SvCertHash(hash) => hop.server_certificate = Some(hash.clone()),
            Instruction::ClCertHash(hash) => hop.ca_certificate = Some(hash.clone()),
            _ => {}
        }
    }
    let schemes: &[Scheme] = match protocol {
        RvProtocol::Rest => &[Scheme::Https, Scheme::Http],
        RvProtocol::Http => &[Scheme::Http],
        RvProtocol::Https => &[Scheme::Https],
        _ => &[],
    };
    for host in [dns, ip].into_iter().flatten() {
        for scheme in schemes {
            let address = HopAddress {
                scheme: *scheme,
                host: host.clone(),
                port: port.filter(|port| *port != 0).unwrap_or(scheme.default_port()),
            };
            if !hop.addresses.contains(&address) {
                hop.addresses.push(address);
            }
        }
    }
    hop
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Directive, RendezvousInfo};
    use super::*;

    fn urls(hop: &Hop) -> Vec<String> {
        hop.addresses.iter().map(HopAddress::url).collect()
    }

    #[test]
    fn a_device_tries_names_before_addresses_and_https_before_http() {
        let info = RendezvousInfo::new(vec![
            Directive {
                ip: Some("10.0.0.1".parse().unwrap()),
                dns: Some("rv.example".into()),
                protocol: Some(RvProtocol::Rest),
                owner_port: Some(9),
                ..Directive::default()
            },
            Directive { owner_only: true, ..Directive::at(RvProtocol::Http, "other", 1) },
            Directive { delay_seconds: Some(3), ..Directive::at(RvProtocol::CoapUdp, "coap", 5683) },
            Directive { ip: Some("::1".parse().unwrap()), bypass: true, ..Directive::default() },
        ]);
        let hops = info.device_hops();
        assert_eq!(hops.len(), 3);
        assert_eq!(
            urls(&hops[0]),
            ["https://rv.example:443", "http://rv.example:80", "https://10.0.0.1:443", "http://10.0.0.1:80"]
        );
        assert!(hops[1].addresses.is_empty());
        assert_eq!(hops[1].delay_seconds, Some(3));
        assert_eq!(urls(&hops[2]), ["https://[::1]:443"]);
        assert!(hops[2].bypass);
    }

    #[test]
    fn an_owner_registers_once_at_each_place() {
        let info = RendezvousInfo::new(vec![
            Directive { owner_port: Some(8042), ..Directive::at(RvProtocol::Http, "rv", 8041) },
            Directive { device_only: true, ..Directive::at(RvProtocol::Http, "dev", 1) },
            Directive { bypass: true, ..Directive::at(RvProtocol::Http, "owner", 1) },
            Directive { owner_port: Some(8042), device_port: Some(7), ..Directive::at(RvProtocol::Http, "rv", 1) },
        ]);
        let hops = info.owner_hops();
        assert_eq!(hops.len(), 1);
        assert_eq!(urls(&hops[0]), ["http://rv:8042"]);
    }

    #[test]
    fn a_name_that_would_change_the_url_gives_no_address() {
        let info = RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "a@b/c?d", 1)]);
        assert!(info.device_hops()[0].addresses.is_empty());
        assert_eq!(Host::from_dns("[::1]"), Some(Host::Ip("::1".parse().unwrap())));
    }
}
