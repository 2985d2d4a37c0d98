//! `RVTO2Addr`: where the owner can be reached for TO2, as messages 22 and 33 carry it.

use std::net::IpAddr;

use super::hops::{HopAddress, Host, Scheme};
use super::instruction::ip_from_bytes;
use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

/// `RVProtocol` of an [`RvTo2AddrEntry`]. The numbers differ from those of [`super::RvProtocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportProtocol {
    /// 1
    Tcp,
    /// 2
    Tls,
    /// 3
    Http,
    /// 4
    Coap,
    /// 5
    Https,
    /// 6
    Coaps,
}

impl TransportProtocol {
    const ALL: [(Self, u64); 6] =
        [(Self::Tcp, 1), (Self::Tls, 2), (Self::Http, 3), (Self::Coap, 4), (Self::Https, 5), (Self::Coaps, 6)];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or(0, |(_, number)| *number)
    }

    fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Http => Some(Scheme::Http),
            Self::Https => Some(Scheme::Https),
            _ => None,
        }
    }
}

/// One place where the owner can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RvTo2AddrEntry {
    /// Its address, as it was written: IPv4 in IPv6 form stays so.
    pub ip: Option<IpAddr>,
    /// Its name.
    pub dns: Option<String>,
    /// Its port; some peers mean the protocol's own by 0.
    pub port: u16,
    /// How to speak to it.
    pub protocol: TransportProtocol,
}

impl RvTo2AddrEntry {
    /// An owner at `host` (a name or an address) over HTTP or HTTPS.
    pub fn at(scheme: Scheme, host: &str, port: u16) -> Self {
        let ip: Option<IpAddr> = host.parse().ok();
        Self {
            ip,
            dns: ip.is_none().then(|| host.to_owned()),
            port,
            protocol: match scheme {
                Scheme::Http => TransportProtocol::Http,
                Scheme::Https => TransportProtocol::Https,
            },
        }
    }

    /// The addresses that can be used, the name first.
    pub fn addresses(&self) -> Vec<HopAddress> {
        let Some(scheme) = self.protocol.scheme() else {
            return Vec::new();
        };
        let dns = self.dns.as_deref().and_then(Host::from_dns);
        let ip = self.ip.map(|ip| Host::Ip(ip.to_canonical()));
        let port = if self.port == 0 { scheme.default_port() } else { self.port };
        [dns, ip].into_iter().flatten().map(|host| HopAddress { scheme, host, port }).collect()
    }
}

impl Encode for RvTo2AddrEntry {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(4);
        match self.ip {
            Some(IpAddr::V4(ip)) => writer.bytes(&ip.octets()),
            Some(IpAddr::V6(ip)) => writer.bytes(&ip.octets()),
            None => writer.null(),
        };
        writer.value(&self.dns).value(&self.port).unsigned(self.protocol.number());
    }
}

impl Decode for RvTo2AddrEntry {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        let ip = if reader.null() {
            None
        } else {
            let ip = ip_from_bytes(reader.bytes()?);
            Some(ip.ok_or(Error::Rejected("an owner address of neither 4 nor 16 bytes"))?)
        };
        let dns = Option::<String>::decode_from(reader)?;
        if ip.is_none() && dns.is_none() {
            return Err(Error::Rejected("an owner address with neither a name nor an address"));
        }
        let port = u16::decode_from(reader)?;
        let number = reader.unsigned()?;
        let protocol = TransportProtocol::ALL
            .iter()
            .find(|(_, known)| *known == number)
            .map(|(known, _)| *known)
            .ok_or(Error::Rejected("an owner address with an unknown protocol"))?;
        Ok(Self { ip, dns, port, protocol })
    }
}

/// The places where the owner can be reached, in the order to try them; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RvTo2Addr(pub Vec<RvTo2AddrEntry>);

impl RvTo2Addr {
    /// The addresses that can be used: entry by entry, each with its name before its address.
    pub fn addresses(&self) -> Vec<HopAddress> {
        self.0.iter().flat_map(RvTo2AddrEntry::addresses).collect()
    }

    /// The same as base URLs without a final slash.
    pub fn urls(&self) -> Vec<String> {
        self.addresses().iter().map(HopAddress::url).collect()
    }
}

impl Encode for RvTo2Addr {
    fn encode_into(&self, writer: &mut Writer) {
        self.0.encode_into(writer);
    }
}

impl Decode for RvTo2Addr {
    /// [`Error::Malformed`] for another shape, [`Error::Rejected`] for one that names no place.
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let entries = Vec::decode_from(reader)?;
        if entries.is_empty() { Err(Error::Rejected("no owner address")) } else { Ok(Self(entries)) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};
    use crate::error::ErrorCode;

    #[test]
    fn the_recorded_address_decodes() {
        let bytes = hex::decode("8184447f000001f619467b03").unwrap();
        let addr: RvTo2Addr = decode(&bytes).unwrap();
        assert_eq!(addr.urls(), ["http://127.0.0.1:18043"]);
        assert_eq!(encode(&addr), bytes);
        assert_eq!(encode(&RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "127.0.0.1", 18043)])), bytes);
    }

    #[test]
    fn names_come_first_and_unknown_transports_are_left_out() {
        let mapped = "5000000000000000000000ffff0a000001";
        let hex = format!("828444{}6161000184{mapped}6162000584{mapped}f6190050{}", "0a000001", "01");
        let bytes = hex::decode(hex.replacen("8284", "8384", 1)).unwrap();
        let addr: RvTo2Addr = decode(&bytes).unwrap();
        assert_eq!(addr.urls(), ["https://b:443", "https://10.0.0.1:443"]);
        assert_eq!(encode(&addr).len() + 1, bytes.len());
    }

    #[test]
    fn an_address_that_names_no_place_is_rejected() {
        for hex in
            ["80", "8184f6f6185003", "818443000000f6185003", "8184447f000001f6185000", "8184447f000001f6185007"]
        {
            let error = decode::<RvTo2Addr>(&hex::decode(hex).unwrap()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidMessage, "{hex}");
        }
        let error = decode::<RvTo2Addr>(&hex::decode("8183f6f61850").unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MessageBody);
    }
}
