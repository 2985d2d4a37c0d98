//! `SigInfo = [sgType, Info]`: how a device will sign, said by it and echoed to it.

use crate::cbor::{ByteString, Decode, Encode, Reader, Writer};
use crate::crypto::KeyType;
use crate::error::Error;

/// eASigInfo and eBSigInfo. `Info` is empty for everything that is not EPID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigInfo {
    /// The COSE algorithm of the device's signatures, or 90 and 91 for EPID.
    pub sg_type: i64,
    /// Data of the signature scheme.
    pub info: ByteString,
}

impl SigInfo {
    /// That of a device key on this curve.
    pub fn for_key(key_type: KeyType) -> Self {
        Self { sg_type: key_type.cose_algorithm(), info: ByteString::default() }
    }

    /// Refuses what no device of FDO 1.1 without EPID says.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for EPID, [`Error::Rejected`] for an unknown type.
    pub fn check(&self) -> Result<(), Error> {
        match self.sg_type {
            -7 | -35 | -257 | -258 | -37 | -38 => Ok(()),
            90 | 91 => Err(Error::Unsupported("EPID devices")),
            _ => Err(Error::Rejected("unknown signature type")),
        }
    }
}

impl Encode for SigInfo {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).integer(self.sg_type).value(&self.info);
    }
}

impl Decode for SigInfo {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        Ok(Self { sg_type: reader.integer()?, info: ByteString::decode_from(reader)? })
    }
}
