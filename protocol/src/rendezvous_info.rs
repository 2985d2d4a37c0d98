//! `RendezvousInfo`: where a device looks for its owner (FDO 1.1, rendezvous structures).
//!
//! It stands in voucher headers, so the received bytes are kept and written back as they came. Every variable is
//! decoded in all the forms that are in the field; only the one form that everybody reads is written.

mod hops;
mod instruction;
mod rv_to2_addr;

use std::fmt;
use std::net::IpAddr;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;
pub use hops::{Hop, HopAddress, Host, Scheme};
pub use instruction::{Instruction, RvProtocol};
pub use rv_to2_addr::{RvTo2Addr, RvTo2AddrEntry, TransportProtocol};

/// The longest DNS name that every device survives, in bytes.
pub const MAX_DNS_LENGTH: usize = 79;

/// Directives in the order in which they are tried. Two of these are equal when their bytes are.
#[derive(Clone)]
pub struct RendezvousInfo {
    directives: Vec<Vec<Instruction>>,
    encoded: Vec<u8>,
}

impl RendezvousInfo {
    /// Encodes directives of our own.
    pub fn new(directives: Vec<Directive>) -> Self {
        Self::from_instructions(directives.into_iter().map(Directive::into_instructions).collect())
    }

    /// Encodes directives whose instructions stand in an order of their own. See [`Directive::check`] for what devices
    /// do not survive.
    pub fn from_instructions(directives: Vec<Vec<Instruction>>) -> Self {
        let mut writer = Writer::default();
        writer.array(directives.len());
        for directive in &directives {
            writer.value(directive);
        }
        Self { directives, encoded: writer.into_bytes() }
    }

    /// The directives, each with its instructions as received.
    pub fn directives(&self) -> &[Vec<Instruction>] {
        &self.directives
    }

    /// Whether it names nothing at all, which the standard does not allow.
    pub fn is_empty(&self) -> bool {
        self.directives.is_empty()
    }

    /// The exact bytes of the list.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// What a device tries, in order. A directive without a usable address stays for its delay.
    pub fn device_hops(&self) -> Vec<Hop> {
        hops::for_device(&self.directives)
    }

    /// Where an owner registers, each place once. Directives for devices only, and bypasses, are left out.
    pub fn owner_hops(&self) -> Vec<Hop> {
        hops::for_owner(&self.directives)
    }
}

impl PartialEq for RendezvousInfo {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for RendezvousInfo {}

impl fmt::Debug for RendezvousInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.directives).finish()
    }
}

impl Encode for RendezvousInfo {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.encoded);
    }
}

impl Decode for RendezvousInfo {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let encoded = reader.raw()?;
        Ok(Self { directives: Vec::decode_from(&mut Reader::new(encoded)?)?, encoded: encoded.to_vec() })
    }
}

/// One directive of our own: what to put into a [`RendezvousInfo`]. What is `None` or false is not written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directive {
    /// Only devices read it.
    pub device_only: bool,
    /// Only owners read it.
    pub owner_only: bool,
    /// An address. Some devices read IPv4 only.
    pub ip: Option<IpAddr>,
    /// The port for devices; the protocol's own if absent.
    pub device_port: Option<u16>,
    /// The port for owners; the protocol's own if absent.
    pub owner_port: Option<u16>,
    /// A name, of at most [`MAX_DNS_LENGTH`] bytes.
    pub dns: Option<String>,
    /// The network interface to use: 0-9 Ethernet, 10-19 Wi-Fi, 20 every Ethernet, 21 every Wi-Fi.
    pub medium: Option<u8>,
    /// The protocol. Some devices ignore a directive without one.
    pub protocol: Option<RvProtocol>,
    /// Seconds to wait after this directive failed.
    pub delay_seconds: Option<u32>,
    /// The address is the owner's: go straight to TO2.
    pub bypass: bool,
}

impl Directive {
    /// A rendezvous at `host` (a name or an address) with one port for devices and owners.
    pub fn at(protocol: RvProtocol, host: &str, port: u16) -> Self {
        let ip = host.parse().ok();
        Self {
            ip,
            dns: ip.is_none().then(|| host.to_owned()),
            device_port: Some(port),
            owner_port: Some(port),
            protocol: Some(protocol),
            ..Self::default()
        }
    }

    /// Checks what would make a device fail for good.
    ///
    /// # Errors
    /// [`Error::Rejected`] for a name that is no host name or too long, or for a directive that says nothing.
    pub fn check(&self) -> Result<(), Error> {
        if *self == Self::default() {
            return Err(Error::Rejected("a rendezvous directive that says nothing"));
        }
        match &self.dns {
            Some(dns) if dns.len() > MAX_DNS_LENGTH => {
                Err(Error::Rejected("a rendezvous DNS name of more than 79 bytes"))
            }
            Some(dns) if Host::from_dns(dns).is_none() => Err(Error::Rejected("not a DNS name")),
            _ => Ok(()),
        }
    }

    fn into_instructions(self) -> Vec<Instruction> {
        [
            self.device_only.then_some(Instruction::DevOnly),
            self.owner_only.then_some(Instruction::OwnerOnly),
            self.ip.map(|ip| Instruction::IpAddress(ip.to_canonical())),
            self.device_port.map(Instruction::DevPort),
            self.owner_port.map(Instruction::OwnerPort),
            self.dns.map(Instruction::Dns),
            self.medium.map(Instruction::Medium),
            self.protocol.map(Instruction::Protocol),
            self.delay_seconds.map(Instruction::DelaySec),
            self.bypass.then_some(Instruction::Bypass),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};

    fn parse(hex: &str) -> RendezvousInfo {
        let bytes = hex::decode(hex).unwrap();
        let info: RendezvousInfo = decode(&bytes).unwrap();
        assert_eq!(encode(&info), bytes);
        info
    }

    #[test]
    fn own_directives_have_the_form_that_everybody_reads() {
        let info = RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 18041)]);
        assert_eq!(hex::encode(encode(&info)), "8184820245447f000001820343194679820443194679820c4101");
        assert_eq!(decode::<RendezvousInfo>(info.encoded()).unwrap(), info);
        let name = RendezvousInfo::new(vec![Directive {
            bypass: true,
            ..Directive::at(RvProtocol::Https, "localhost", 8041)
        }]);
        assert!(hex::encode(name.encoded()).contains("82054a696c6f63616c686f7374"));
        assert!(name.encoded().ends_with(&[0x81, 0x0e]));
    }

    #[test]
    fn divergent_forms_are_read_and_kept() {
        // Bypass with null and with true, IPv4 in 16 bytes, unwrapped DNS and port, UserInput without a value.
        let info = parse(concat!(
            "8287820e41f682004101820251",
            "5000000000000000000000ffff0a000001",
            "8205656c6f63616c8203191f698108820c4101",
            "81820d421a01" // a delay that does not decode stays raw
        ));
        let first = &info.directives()[0];
        assert!(first.contains(&Instruction::Bypass));
        assert!(first.contains(&Instruction::DevOnly));
        assert!(first.contains(&Instruction::IpAddress("10.0.0.1".parse().unwrap())));
        assert!(first.contains(&Instruction::Dns("local".into())));
        assert!(first.contains(&Instruction::DevPort(8041)));
        assert!(first.contains(&Instruction::UserInput(None)));
        assert!(matches!(info.directives()[1][0], Instruction::Other { variable: 13, .. }));
    }

    #[test]
    fn hashes_come_as_arrays_or_bare() {
        let bare = format!("8181820658225820{}", "ab".repeat(32));
        let full = format!("818182065824822f5820{}", "ab".repeat(32));
        assert_eq!(parse(&bare).directives(), parse(&full).directives());
    }

    #[test]
    fn an_empty_list_decodes_and_says_so() {
        assert!(parse("80").is_empty());
        assert!(decode::<RendezvousInfo>(&hex::decode("a0").unwrap()).is_err());
        assert!(decode::<RendezvousInfo>(&hex::decode("8181830c410100").unwrap()).is_err());
    }

    #[test]
    fn unknown_variables_are_kept() {
        let info = parse("8182821863420102811863");
        assert_eq!(info.directives()[0].len(), 2);
        assert!(matches!(info.directives()[0][0], Instruction::Other { variable: 99, value: Some(_) }));
    }

    #[test]
    fn names_that_break_devices_are_refused() {
        assert!(Directive::at(RvProtocol::Http, &"a".repeat(80), 1).check().is_err());
        assert!(Directive::at(RvProtocol::Http, "a/b", 1).check().is_err());
        assert!(Directive::default().check().is_err());
        assert!(Directive::at(RvProtocol::Http, "rv.example.com", 1).check().is_ok());
    }
}
