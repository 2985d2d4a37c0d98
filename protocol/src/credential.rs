//! What a device keeps of DI and of each TO2 (FDO 1.1, device credential), and the two secrets it works with.

use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::{OwnerKey, SigningKey};
use crate::error::Error;
use crate::guid::Guid;
use crate::hash::{Hash, Hmac, HmacType};
use crate::messages::PROTOCOL_VERSION;
use crate::rendezvous_info::RendezvousInfo;

/// `DeviceCredential`. The HMAC secret in it is wiped when it is dropped.
#[derive(Clone)]
pub struct DeviceCredential {
    /// Whether the device is to onboard at its next start.
    pub active: bool,
    /// The device's HMAC secret.
    pub hmac_secret: Zeroizing<Vec<u8>>,
    /// The model.
    pub device_info: String,
    /// Its GUID.
    pub guid: Guid,
    /// Where it looks for its owner.
    pub rv_info: RendezvousInfo,
    /// Over the PublicKey that the voucher's header must name.
    pub public_key_hash: Hash,
}

impl Encode for DeviceCredential {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(7).bool(self.active).value(&PROTOCOL_VERSION).bytes(&self.hmac_secret);
        writer.text(&self.device_info).value(&self.guid).value(&self.rv_info).value(&self.public_key_hash);
    }
}

impl Decode for DeviceCredential {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(7)?;
        let active = reader.bool()?;
        if reader.unsigned()? != u64::from(PROTOCOL_VERSION) {
            return Err(Error::Malformed("a credential of another version"));
        }
        Ok(Self {
            active,
            hmac_secret: Zeroizing::new(reader.bytes()?.to_vec()),
            device_info: reader.text()?.to_owned(),
            guid: Guid::decode_from(reader)?,
            rv_info: RendezvousInfo::decode_from(reader)?,
            public_key_hash: Hash::decode_from(reader)?,
        })
    }
}

/// The attestation key and the HMAC secret of a device, wherever they live: files, later a TPM.
pub trait DeviceSecrets: Send + Sync {
    /// The attestation key.
    fn key(&self) -> &dyn OwnerKey;

    /// Authenticates the parts one after the other.
    ///
    /// # Errors
    /// [`Error::Internal`] when the secret cannot be used now.
    fn hmac(&self, hmac_type: HmacType, parts: &[&[u8]]) -> Result<Hmac, Error>;
}

/// Secrets that were read from files.
pub struct FileSecrets {
    key: SigningKey,
    hmac_secret: Zeroizing<Vec<u8>>,
}

impl FileSecrets {
    /// With this key and secret.
    pub fn new(key: SigningKey, hmac_secret: Zeroizing<Vec<u8>>) -> Self {
        Self { key, hmac_secret }
    }
}

impl DeviceSecrets for FileSecrets {
    fn key(&self) -> &dyn OwnerKey {
        &self.key
    }

    fn hmac(&self, hmac_type: HmacType, parts: &[&[u8]]) -> Result<Hmac, Error> {
        Hmac::of(hmac_type, &self.hmac_secret, parts)
    }
}
