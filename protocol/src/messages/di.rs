//! DI: messages 10 to 13 (FDO 1.1, device initialization).

use crate::cbor::{ByteString, Decode, Encode, Kind, Reader, Wrapped, Writer};
use crate::cbor_array;
use crate::error::Error;
use crate::hash::Hmac;
use crate::messages::exchange;
use crate::public_key::{PublicKeyEncoding, PublicKeyType};
use crate::voucher::OvHeader;

/// 10: the device introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppStart {
    /// What the manufacturer needs to know, wrapped in a byte string.
    pub mfg_info: Wrapped<DeviceMfgInfo>,
}
cbor_array!(AppStart { mfg_info });

/// `DeviceMfgInfo`: not standardised; this is what the field agrees on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMfgInfo {
    /// Type of the manufacturer's key that the device can verify.
    pub key_type: PublicKeyType,
    /// The encoding that it wants for that key.
    pub key_encoding: PublicKeyEncoding,
    /// The device's serial number.
    pub serial_number: String,
    /// The model; becomes OVDeviceInfo.
    pub device_info: String,
    /// PKCS#10 in DER.
    pub csr: ByteString,
}

impl Encode for DeviceMfgInfo {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(5).unsigned(self.key_type.number()).unsigned(self.key_encoding.number());
        writer.text(&self.serial_number).text(&self.device_info).value(&self.csr);
    }
}

impl Decode for DeviceMfgInfo {
    /// Special builds add up to four elements, which are skipped.
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.array_length()?;
        if !(5..=9).contains(&length) {
            return Err(Error::Malformed("wrong number of elements"));
        }
        let info = Self {
            key_type: PublicKeyType::from_number(reader.unsigned()?)?,
            key_encoding: PublicKeyEncoding::from_number(reader.unsigned()?)?,
            serial_number: reader.text()?.to_owned(),
            device_info: reader.text()?.to_owned(),
            csr: if reader.kind() == Kind::Bytes {
                ByteString::decode_from(reader)?
            } else {
                return Err(Error::Unsupported("a certificate chain in place of a certification request"));
            },
        };
        for _ in 5..length {
            reader.raw()?;
        }
        Ok(info)
    }
}

/// 11: the header of the voucher to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCredentials {
    /// OVHeader; the device authenticates these very bytes.
    pub ov_header: Wrapped<OvHeader>,
}
cbor_array!(SetCredentials { ov_header });

/// 12: the device's HMAC over the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHmac {
    /// OVHeaderHMac.
    pub hmac: Hmac,
}
cbor_array!(SetHmac { hmac });

/// 13: the voucher is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiDone {}
cbor_array!(DiDone {});

exchange!(AppStart -> SetCredentials, SetHmac -> DiDone);
