//! `fdo.wifi`: the networks that a device shall join. A draft with three layouts in the field: all are read, and the
//! one that most peers read is written.

mod layout;
mod network;

use zeroize::Zeroizing;

use crate::cbor::decode;
use crate::error::Error;
use crate::service_info::{ModuleMessage, ServiceInfoKv, decode_active};
pub use layout::Layout;
pub use network::{AuthType, EapMethod, FastRoaming, Network, Secret, TrustLevel};

/// The module's name.
pub const MODULE: &str = "fdo.wifi";

/// Why a device cannot use what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WifiError {
    /// 1000: the map does not decode.
    #[error("network-add does not decode")]
    BadFormat,
    /// 1001: the radio or its software cannot do this.
    #[error("authentication of this type is not supported")]
    UnsupportedAuth,
    /// 1002: a client certificate is needed and there is no way to one.
    #[error("no client certificate can be had")]
    NoCertificate,
    /// 1003: a rule is broken.
    #[error("the network's settings contradict each other or break a limit")]
    InvalidNetwork,
    /// 1004: the owner was not verified well enough for this level of trust.
    #[error("this level of trust is not allowed")]
    TrustNotAllowed,
    /// A number that the draft does not know.
    #[error("error {0}")]
    Other(u64),
}

impl WifiError {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::BadFormat => 1000,
            Self::UnsupportedAuth => 1001,
            Self::NoCertificate => 1002,
            Self::InvalidNetwork => 1003,
            Self::TrustNotAllowed => 1004,
            Self::Other(number) => number,
        }
    }

    /// The error with this number.
    pub fn from_number(number: u64) -> Self {
        match number {
            1000 => Self::BadFormat,
            1001 => Self::UnsupportedAuth,
            1002 => Self::NoCertificate,
            1003 => Self::InvalidNetwork,
            1004 => Self::TrustNotAllowed,
            other => Self::Other(other),
        }
    }
}

/// The map of a `network-add`, not yet understood: a bad one is told to the owner, it does not end the conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct NetworkAdd {
    item: Zeroizing<Vec<u8>>,
}

impl NetworkAdd {
    /// The map for a network.
    pub fn new(network: &Network, layout: Layout) -> Self {
        Self { item: layout::write(network, layout) }
    }

    /// The network, checked against every rule.
    ///
    /// # Errors
    /// The number to answer with, should no network of the set be usable.
    pub fn network(&self) -> Result<Network, WifiError> {
        let network = layout::read(&self.item)?;
        network.check()?;
        Ok(network)
    }
}

/// What the owner says. Certificates for single networks (`csr-*`, `cert-*`, `ca-*`) are left to `fdo.csr`.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `network-add`
    NetworkAdd(NetworkAdd),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::NetworkAdd(add) => ServiceInfoKv::from_item(format!("{MODULE}:network-add"), add.item.to_vec()),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "network-add" => Self::NetworkAdd(NetworkAdd { item: Zeroizing::new(item.to_vec()) }),
            _ => return Ok(None),
        }))
    }
}

/// What the device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `error`: nothing of what was sent can be used.
    Error(WifiError),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Error(error) => ServiceInfoKv::new(MODULE, "error", &error.number()),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "error" => Self::Error(WifiError::from_number(decode(item)?)),
            _ => return Ok(None),
        }))
    }
}
