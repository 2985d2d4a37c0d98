//! The owner's side of TO2: what is awaited between two requests, each a struct that its step consumes.

mod proof;
mod provisioning;

use crate::cbor::{Decode, Encode, Encoded, Reader, Writer};
use crate::crypto::EtmForm;
use crate::error::Error;
use crate::guid::Guid;
use crate::messages::to2::HelloDevice;

pub use proof::{ExpectEntryOrProof, begin};
pub use provisioning::{AfterServiceInfo, Completed, ExpectDone, ExpectReady, ExpectServiceInfo, Replacement};

/// What an owner decides for its TO2.
#[derive(Debug, Clone, Copy)]
pub struct OwnerSettings {
    /// The longest message that it takes, in bytes; said in 61.
    pub max_message_size: u16,
    /// The largest service info that it takes, in bytes; said in 67, none is 1300.
    pub max_service_info_size: Option<u16>,
    /// Whether the device is to keep its credential.
    pub reuse: bool,
    /// Whether suites are offered that encrypt and then authenticate, and in which form.
    pub encrypt_then_mac: Option<EtmForm>,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        Self {
            max_message_size: u16::MAX,
            max_service_info_size: Some(16 * 1024),
            reuse: false,
            encrypt_then_mac: None,
        }
    }
}

/// Reads a device's hello (`60 ->`), so that the shell can find its voucher.
///
/// # Errors
/// [`Error::Malformed`] when this is not 60; as [`crate::messages::SigInfo::check`].
pub fn hello_device(body: &[u8]) -> Result<Encoded<HelloDevice>, Error> {
    let hello = Encoded::<HelloDevice>::from_bytes(body)?;
    hello.e_a_sig_info.check()?;
    Ok(hello)
}

/// What a TO2 is between two requests.
pub enum Session {
    /// 62 or 64 comes next.
    ExpectEntryOrProof(ExpectEntryOrProof),
    /// 66 comes next.
    ExpectReady(ExpectReady),
    /// 68 comes next.
    ExpectServiceInfo(ExpectServiceInfo),
    /// 70, or a last 68, comes next.
    ExpectDone(ExpectDone),
}

impl Session {
    /// The GUID that the device came with.
    pub fn guid(&self) -> Guid {
        match self {
            Self::ExpectEntryOrProof(state) => state.guid(),
            Self::ExpectReady(state) => state.guid(),
            Self::ExpectServiceInfo(state) => state.guid(),
            Self::ExpectDone(state) => state.guid(),
        }
    }

    /// The GUID that the device will have, from message 65 on: its LDevID names it.
    pub fn next_guid(&self) -> Option<Guid> {
        match self {
            Self::ExpectEntryOrProof(_) => None,
            Self::ExpectReady(state) => Some(state.next_guid()),
            Self::ExpectServiceInfo(state) => Some(state.next_guid()),
            Self::ExpectDone(state) => Some(state.next_guid()),
        }
    }
}

impl Encode for Session {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2);
        match self {
            Self::ExpectEntryOrProof(state) => writer.unsigned(0).value(state),
            Self::ExpectReady(state) => writer.unsigned(1).value(state),
            Self::ExpectServiceInfo(state) => writer.unsigned(2).value(state),
            Self::ExpectDone(state) => writer.unsigned(3).value(state),
        };
    }
}

impl Decode for Session {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        match reader.unsigned()? {
            0 => Decode::decode_from(reader).map(Self::ExpectEntryOrProof),
            1 => Decode::decode_from(reader).map(Self::ExpectReady),
            2 => Decode::decode_from(reader).map(Self::ExpectServiceInfo),
            3 => Decode::decode_from(reader).map(Self::ExpectDone),
            _ => Err(Error::Malformed("unknown session state")),
        }
    }
}
