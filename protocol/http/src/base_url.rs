//! Where a service is, and the route of each message below it (FDO 1.1, HTTP transport: `/fdo/101/msg/{n}`).

use std::fmt;
use std::str::FromStr;

use fdo_protocol::messages::{MessageType, PROTOCOL_VERSION};
use fdo_protocol::rendezvous_info::{HopAddress, Host, RendezvousInfo, RvTo2Addr, Scheme};

use crate::error::Error;

/// Scheme, host, port and an optional path prefix; displayed as a URL without a final slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    address: HopAddress,
    prefix: String,
}

impl BaseUrl {
    /// A service without a path prefix.
    pub fn new(scheme: Scheme, host: Host, port: u16) -> Self {
        Self { address: HopAddress { scheme, host, port }, prefix: String::new() }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> Scheme {
        self.address.scheme
    }

    /// The name or address.
    pub fn host(&self) -> &Host {
        &self.address.host
    }

    /// The port, the scheme's own if none was given.
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Empty, or a path that begins with a slash and does not end in one.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where a message of this type is posted.
    pub fn message_url(&self, message_type: MessageType) -> String {
        format!("{self}/fdo/{PROTOCOL_VERSION}/msg/{}", message_type.number())
    }

    /// Where a device that was redirected finds its owner, in the order to try.
    pub fn of_owner(addr: &RvTo2Addr) -> Vec<Self> {
        addr.addresses().iter().map(Self::from).collect()
    }

    /// Where an owner registers a device with this rendezvous information.
    pub fn of_rendezvous(info: &RendezvousInfo) -> Vec<Self> {
        info.owner_hops().iter().flat_map(|hop| &hop.addresses).map(Self::from).collect()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, self.prefix)
    }
}

impl From<HopAddress> for BaseUrl {
    fn from(address: HopAddress) -> Self {
        Self { address, prefix: String::new() }
    }
}

impl From<&HopAddress> for BaseUrl {
    fn from(address: &HopAddress) -> Self {
        Self::from(address.clone())
    }
}

impl FromStr for BaseUrl {
    type Err = Error;

    /// Reads `http[s]://host[:port][/prefix]`; credentials, a query or a fragment are refused.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Address { address: text.to_owned(), reason };
        let url = reqwest::Url::parse(text).map_err(|_| wrong("write it like http://host:8041"))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(wrong("only http and https are supported")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must not hold credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must not have a query or a fragment"));
        }
        let host = url.host_str().and_then(Host::from_dns).ok_or_else(|| wrong("its host is not usable"))?;
        let port = url.port().unwrap_or(scheme.default_port());
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { address: HopAddress { scheme, host, port }, prefix })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::RvTo2AddrEntry;

    #[test]
    fn joins_the_route_below_a_prefix() {
        let base: BaseUrl = "http://rv.example:8041/tenant/a/".parse().unwrap();
        assert_eq!(base.message_url(MessageType::HelloRv), "http://rv.example:8041/tenant/a/fdo/101/msg/30");
        let plain: BaseUrl = "https://[::1]".parse().unwrap();
        assert_eq!(plain.to_string(), "https://[::1]:443");
        assert_eq!(plain.port(), 443);
        assert_eq!(plain.prefix(), "");
    }

    #[test]
    fn refuses_what_is_no_base() {
        for text in ["rv.example:8041", "ftp://a", "http://u:p@a", "http://a/?q", "http://a/#f", "http://"] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn redirects_become_bases_in_order() {
        let entry = |host, port| RvTo2AddrEntry::at(Scheme::Http, host, port);
        let addr = RvTo2Addr(vec![entry("owner.example", 8043), entry("10.0.0.1", 0)]);
        let bases: Vec<_> = BaseUrl::of_owner(&addr).iter().map(ToString::to_string).collect();
        assert_eq!(bases, ["http://owner.example:8043", "http://10.0.0.1:80"]);
    }
}
