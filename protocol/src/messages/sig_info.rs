//! `SigInfo = [sgType, Info]`: how a device will sign, said by it and echoed to it.

use crate::cbor::{ByteString, Decode, Encode, Reader, Writer};
use crate::crypto::{KeyType, VerifyingKey};
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
    /// That of a device key of this type.
    pub fn for_key(key_type: KeyType) -> Self {
        Self { sg_type: key_type.cose_algorithm(), info: ByteString::default() }
    }

    /// Refuses what no device of FDO 1.1 without EPID says.
    ///
    /// # Errors
    /// [`Error::Epid`], or [`Error::Rejected`] for an unknown type.
    pub fn check(&self) -> Result<(), Error> {
        match self.sg_type {
            -7 | -35 | -257 | -258 | -37 | -38 => Ok(()),
            90..=92 => Err(Error::Epid),
            _ => Err(Error::Rejected("unknown signature type")),
        }
    }
}

impl SigInfo {
    /// Whether the device signs with PSS, which its certificate does not tell.
    pub fn is_pss(&self) -> bool {
        matches!(self.sg_type, -37 | -38)
    }

    /// The key by which a device's proofs are verified: that of its certificate, for PSS where the device said so.
    ///
    /// # Errors
    /// As [`Self::check`], and [`Error::Rejected`] or [`Error::Unsupported`] when the device cannot sign so with this key.
    pub fn device_key(&self, certified: &VerifyingKey) -> Result<VerifyingKey, Error> {
        self.check()?;
        let key = if self.is_pss() { certified.clone().with_pss()? } else { certified.clone() };
        if *self == Self::for_key(key.key_type()) {
            Ok(key)
        } else {
            Err(Error::Rejected("eASigInfo is not that of the device's key"))
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
