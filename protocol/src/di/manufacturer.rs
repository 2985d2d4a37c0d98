//! The manufacturer's side of DI. The shell decides who is admitted and issues the certificate between 10 and 11.

use crate::cbor::{self, ByteString, Wrapped};
use crate::cbor_array;
use crate::crypto::KeyType;
use crate::error::Error;
use crate::guid::Guid;
use crate::hash::{Hash, HashType};
use crate::messages::di::{AppStart, DeviceMfgInfo, DiDone, SetCredentials, SetHmac};
use crate::messages::{Outbound, printable};
use crate::public_key::PublicKey;
use crate::rendezvous_info::RendezvousInfo;
use crate::voucher::{OvHeader, Voucher};

/// Reads what a device says of itself (`10 ->`).
///
/// # Errors
/// [`Error::Malformed`] when it does not decode, [`Error::Rejected`] for a serial or model that no record should hold.
pub fn app_start(body: &[u8]) -> Result<DeviceMfgInfo, Error> {
    let AppStart { mfg_info } = cbor::decode(body)?;
    let info = mfg_info.0.into_value();
    if info.serial_number.is_empty() {
        return Err(Error::Rejected("the serial number is empty"));
    }
    printable(&info.serial_number, "the serial number is not printable or longer than 255 bytes")?;
    printable(&info.device_info, "the device information is not printable or longer than 255 bytes")?;
    Ok(info)
}

/// What the manufacturer gives a device.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its GUID.
    pub guid: Guid,
    /// Where it looks for its owner.
    pub rv_info: RendezvousInfo,
    /// The model.
    pub device_info: String,
    /// The key that signs the voucher's first entry.
    pub manufacturer_key: PublicKey,
    /// Curve of the device's key, which settles the hash together with the manufacturer's.
    pub device_key_type: KeyType,
    /// DER certificates, the device's own first.
    pub certificates: Vec<Vec<u8>>,
}

/// Builds the voucher's header (`-> 11`).
///
/// # Errors
/// [`Error::Unsupported`] when the manufacturer's key cannot be used.
pub fn set_credentials(credentials: Credentials) -> Result<(Outbound, ExpectSetHmac), Error> {
    let manufacturer = credentials.manufacturer_key.verifying_key()?;
    let hash_type = HashType::for_keys(credentials.device_key_type, manufacturer.key_type());
    let parts: Vec<&[u8]> = credentials.certificates.iter().map(Vec::as_slice).collect();
    let cert_chain_hash = Some(Hash::of(hash_type, &parts));
    let ov_header = Wrapped::new(OvHeader::new(
        credentials.guid,
        credentials.rv_info,
        credentials.device_info,
        credentials.manufacturer_key,
        cert_chain_hash,
    ));
    let certificates = credentials.certificates.into_iter().map(ByteString).collect();
    let reply = Outbound::plain(&SetCredentials { ov_header: ov_header.clone() });
    Ok((reply, ExpectSetHmac { ov_header, certificates }))
}

/// Waits for 12.
#[derive(Debug, Clone)]
pub struct ExpectSetHmac {
    ov_header: Wrapped<OvHeader>,
    certificates: Vec<ByteString>,
}
cbor_array!(ExpectSetHmac { ov_header, certificates });

impl ExpectSetHmac {
    /// The GUID that the device was given.
    pub fn guid(&self) -> Guid {
        self.ov_header.guid
    }

    /// Completes the voucher (`12 -> 13`). It must be durable before the reply is sent.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the HMAC does not decode.
    pub fn set_hmac(self, body: &[u8]) -> Result<(Voucher, Outbound), Error> {
        let SetHmac { hmac } = cbor::decode(body)?;
        let certificates = self.certificates.into_iter().map(|certificate| certificate.0).collect();
        Ok((Voucher::new(self.ov_header, hmac, certificates), Outbound::plain(&DiDone {})))
    }
}
