//! `RendezvousInstr = [RVVariable, ? RVValue]`: every variable, in each form that is in the field.

use std::net::IpAddr;

use crate::cbor::{Decode, Encode, Kind, Reader, Writer, decode, encode};
use crate::error::Error;
use crate::hash::Hash;

/// `RVProtocol`. The numbers differ from those of [`super::TransportProtocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RvProtocol {
    /// 0: the device chooses, HTTPS before HTTP.
    Rest,
    /// 1
    Http,
    /// 2
    Https,
    /// 3
    Tcp,
    /// 4
    Tls,
    /// 5
    CoapTcp,
    /// 6
    CoapUdp,
    /// A number that the standard does not know.
    Other(u8),
}

impl RvProtocol {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Rest => 0,
            Self::Http => 1,
            Self::Https => 2,
            Self::Tcp => 3,
            Self::Tls => 4,
            Self::CoapTcp => 5,
            Self::CoapUdp => 6,
            Self::Other(number) => number,
        }
    }

    /// The protocol with this number.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Rest,
            1 => Self::Http,
            2 => Self::Https,
            3 => Self::Tcp,
            4 => Self::Tls,
            5 => Self::CoapTcp,
            6 => Self::CoapUdp,
            other => Self::Other(other),
        }
    }
}

/// One instruction. A value that does not decode, or an unknown variable, becomes [`Instruction::Other`]: a device in
/// the field must still follow the rest of its voucher.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instruction {
    /// 0: the directive is for devices only.
    DevOnly,
    /// 1: the directive is for owners only.
    OwnerOnly,
    /// 2: an address; IPv4 in IPv6 form is already unmapped.
    IpAddress(IpAddr),
    /// 3: the port for devices.
    DevPort(u16),
    /// 4: the port for owners.
    OwnerPort(u16),
    /// 5: a name.
    Dns(String),
    /// 6: hash of the TLS server's certificate.
    SvCertHash(Hash),
    /// 7: hash of a CA certificate that the server's must chain to.
    ClCertHash(Hash),
    /// 8: whether to ask a user; some makers leave the value out.
    UserInput(Option<bool>),
    /// 9: name of a Wi-Fi network, readable by everyone who sees the voucher.
    WifiSsid(String),
    /// 10: its password, equally readable.
    WifiPw(String),
    /// 11: the interface to use.
    Medium(u8),
    /// 12: the protocol.
    Protocol(RvProtocol),
    /// 13: seconds to wait after the directive failed.
    DelaySec(u32),
    /// 14: the address is the owner's.
    Bypass,
    /// 15: another mechanism, kept as it came.
    ExtRv(Vec<u8>),
    /// Anything else.
    Other {
        /// The variable's number.
        variable: u8,
        /// The encoded value as it stood, with its byte string head if it had one.
        value: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WifiPw(_) => f.write_str("WifiPw(..)"),
            Self::IpAddress(ip) => write!(f, "IpAddress({ip})"),
            Self::DevPort(port) => write!(f, "DevPort({port})"),
            Self::OwnerPort(port) => write!(f, "OwnerPort({port})"),
            Self::Dns(name) => write!(f, "Dns({name:?})"),
            Self::Medium(medium) => write!(f, "Medium({medium})"),
            Self::Protocol(protocol) => write!(f, "Protocol({protocol:?})"),
            Self::DelaySec(seconds) => write!(f, "DelaySec({seconds})"),
            other => write!(f, "Instruction({})", other.variable()),
        }
    }
}

impl Instruction {
    /// The variable's number.
    pub fn variable(&self) -> u8 {
        match self {
            Self::DevOnly => 0,
            Self::OwnerOnly => 1,
            Self::IpAddress(_) => 2,
            Self::DevPort(_) => 3,
            Self::OwnerPort(_) => 4,
            Self::Dns(_) => 5,
            Self::SvCertHash(_) => 6,
            Self::ClCertHash(_) => 7,
            Self::UserInput(_) => 8,
            Self::WifiSsid(_) => 9,
            Self::WifiPw(_) => 10,
            Self::Medium(_) => 11,
            Self::Protocol(_) => 12,
            Self::DelaySec(_) => 13,
            Self::Bypass => 14,
            Self::ExtRv(_) => 15,
            Self::Other { variable, .. } => *variable,
        }
    }

    /// The instruction for a variable whose value item is `item`; `None` when the two do not fit.
    fn understand(variable: u8, item: Option<&[u8]>) -> Option<Self> {
        Some(match variable {
            0 => Self::DevOnly,
            1 => Self::OwnerOnly,
            2 => Self::IpAddress(ip_address(item?)?),
            3 => Self::DevPort(decode(item?).ok()?),
            4 => Self::OwnerPort(decode(item?).ok()?),
            5 => Self::Dns(decode(item?).ok()?),
            6 => Self::SvCertHash(hash(item?)?),
            7 => Self::ClCertHash(hash(item?)?),
            8 => Self::UserInput(item.map(decode).transpose().ok()?),
            9 => Self::WifiSsid(decode(item?).ok()?),
            10 => Self::WifiPw(decode(item?).ok()?),
            11 => Self::Medium(decode(item?).ok()?),
            12 => Self::Protocol(RvProtocol::from_number(decode(item?).ok()?)),
            13 => Self::DelaySec(decode(item?).ok()?),
            14 => Self::Bypass,
            15 => Self::ExtRv(item?.to_vec()),
            _ => return None,
        })
    }
}

/// 4 or 16 bytes in network order.
pub(super) fn ip_from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// An item that is a byte string; without the wrapping, `item` is itself the address.
fn ip_address(item: &[u8]) -> Option<IpAddr> {
    let mut reader = Reader::new(item).ok()?;
    ip_from_bytes(reader.bytes().ok()?).map(|ip| ip.to_canonical())
}

/// A hash in its array, or a digest alone, whose length tells its type.
fn hash(item: &[u8]) -> Option<Hash> {
    let mut reader = Reader::new(item).ok()?;
    if reader.kind() == Kind::Bytes {
        let digest = reader.bytes().ok()?;
        let number = if digest.len() == 32 { -16 } else { -43 };
        let mut array = Writer::default();
        array.array(2).integer(number).bytes(digest);
        decode(&array.into_bytes()).ok()
    } else {
        decode(item).ok()
    }
}

fn write_value<T: Encode + ?Sized>(writer: &mut Writer, variable: u8, value: &T) {
    writer.array(2).unsigned(u64::from(variable)).bytes(&encode(value));
}

impl Encode for Instruction {
    fn encode_into(&self, writer: &mut Writer) {
        let variable = self.variable();
        match self {
            Self::DevOnly | Self::OwnerOnly | Self::Bypass | Self::UserInput(None) => {
                writer.array(1).unsigned(u64::from(variable));
            }
            Self::IpAddress(ip) => {
                let mut item = Writer::default();
                match ip {
                    IpAddr::V4(ip) => item.bytes(&ip.octets()),
                    IpAddr::V6(ip) => item.bytes(&ip.octets()),
                };
                writer.array(2).unsigned(u64::from(variable)).bytes(&item.into_bytes());
            }
            Self::DevPort(port) | Self::OwnerPort(port) => write_value(writer, variable, port),
            Self::Dns(text) | Self::WifiSsid(text) | Self::WifiPw(text) => {
                write_value(writer, variable, text);
            }
            Self::SvCertHash(hash) | Self::ClCertHash(hash) => write_value(writer, variable, hash),
            Self::UserInput(Some(ask)) => write_value(writer, variable, ask),
            Self::Medium(medium) => write_value(writer, variable, medium),
            Self::Protocol(protocol) => write_value(writer, variable, &protocol.number()),
            Self::DelaySec(seconds) => write_value(writer, variable, seconds),
            Self::ExtRv(item) => {
                writer.array(2).unsigned(u64::from(variable)).bytes(item);
            }
            Self::Other { value, .. } => {
                writer.array(1 + usize::from(value.is_some())).unsigned(u64::from(variable));
                if let Some(value) = value {
                    writer.raw(value);
                }
            }
        }
    }
}

impl Decode for Instruction {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.array_length()?;
        if !(1..=2).contains(&length) {
            return Err(Error::Malformed("a rendezvous instruction has one or two elements"));
        }
        let variable = u8::decode_from(reader)?;
        let value = if length == 2 { Some(reader.raw()?) } else { None };
        let wrapped = value.and_then(|value| Reader::new(value).ok()?.bytes().ok());
        // Some peers leave the wrapping out, and then an address is the byte string itself.
        Ok(Self::understand(variable, wrapped.or(value))
            .or_else(|| Self::understand(variable, value))
            .unwrap_or_else(|| Self::Other { variable, value: value.map(<[u8]>::to_vec) }))
    }
}
