//! The device's side of DI.

use zeroize::Zeroizing;

use crate::cbor::{self, Wrapped};
use crate::credential::{DeviceCredential, DeviceSecrets};
use crate::error::Error;
use crate::hash::{Hash, HmacType};
use crate::messages::di::{AppStart, DeviceMfgInfo, DiDone, SetCredentials, SetHmac};
use crate::messages::{Outbound, PROTOCOL_VERSION};

/// Begins (`-> 10`).
pub fn begin(info: DeviceMfgInfo) -> (Outbound, ExpectSetCredentials) {
    (Outbound::plain(&AppStart { mfg_info: Wrapped::new(info) }), ExpectSetCredentials(()))
}

/// Waits for 11.
pub struct ExpectSetCredentials(());

impl ExpectSetCredentials {
    /// Takes the header and authenticates it (`11 -> 12`). `hmac_secret` is the secret that `secrets` uses.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Rejected`] for a header that this device cannot live with.
    pub fn set_credentials(
        self,
        body: &[u8],
        secrets: &dyn DeviceSecrets,
        hmac_secret: Zeroizing<Vec<u8>>,
    ) -> Result<(Outbound, ExpectDone), Error> {
        let SetCredentials { ov_header } = cbor::decode(body)?;
        if ov_header.version != PROTOCOL_VERSION {
            return Err(Error::Rejected("the header is of another version"));
        }
        if ov_header.rv_info.is_empty() {
            return Err(Error::Rejected("the header names no rendezvous"));
        }
        let manufacturer = ov_header.manufacturer_key.verifying_key()?;
        let hmac_type = HmacType::for_keys(secrets.key().verifying_key().key_type(), manufacturer.key_type());
        let hmac = secrets.hmac(hmac_type, &[ov_header.bytes()])?;
        let credential = DeviceCredential {
            active: true,
            hmac_secret,
            device_info: ov_header.device_info.clone(),
            guid: ov_header.guid,
            rv_info: ov_header.rv_info.clone(),
            public_key_hash: Hash::of(hmac_type.hash_type(), &[ov_header.manufacturer_key.encoded()]),
        };
        Ok((Outbound::plain(&SetHmac { hmac }), ExpectDone { credential }))
    }
}

/// Waits for 13.
pub struct ExpectDone {
    credential: DeviceCredential,
}

impl ExpectDone {
    /// Ends (`13 ->`): the credential is valid from here.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 13.
    pub fn done(self, body: &[u8]) -> Result<DeviceCredential, Error> {
        cbor::decode::<DiDone>(body)?;
        Ok(self.credential)
    }
}
