//! Inside the tunnel: what the device becomes (65), service info (69), and the end (71).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::DeviceSettings;
use crate::cbor::{self, Decode, Wrapped};
use crate::credential::{DeviceCredential, DeviceSecrets};
use crate::crypto::{SharedSecret, Tunnel, VerifyingKey};
use crate::error::Error;
use crate::guid::Guid;
use crate::hash::{Hash, HmacType};
use crate::messages::to2::{
    DeviceServiceInfoReady, Done, Done2, OwnerServiceInfoReady, SetupDevice, SetupDevicePayload,
};
use crate::messages::{Message, Outbound};
use crate::nonce::{NonceTo2ProveDv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use crate::to2::seen::SeenMessages;
use crate::voucher::OvHeader;

/// What every stage behind the device's proof needs.
pub(super) struct Tunnelled {
    pub(super) nonce_prove_dv: NonceTo2ProveDv,
    pub(super) nonce_setup_dv: NonceTo2SetupDv,
    pub(super) tunnel: Tunnel,
    pub(super) seen: SeenMessages,
}

impl Tunnelled {
    fn seal<T: Message>(&self, message: &T, rng: &mut dyn CryptoRng) -> Result<Outbound, Error> {
        Ok(Outbound {
            message_type: T::TYPE,
            body: self.tunnel.seal(&Zeroizing::new(cbor::encode(message)), rng)?,
        })
    }

    fn open<T: Decode>(&mut self, body: &[u8]) -> Result<T, Error> {
        let plaintext = Zeroizing::new(self.tunnel.open(body)?);
        self.seen.take(body)?;
        cbor::decode(&plaintext)
    }
}

/// Waits for 65.
pub struct ExpectSetupDevice {
    pub(super) nonce_prove_dv: NonceTo2ProveDv,
    pub(super) nonce_setup_dv: NonceTo2SetupDv,
    /// The keys follow from it once 65 has shown their form.
    pub(super) shared: SharedSecret,
    pub(super) credential: DeviceCredential,
    pub(super) settings: DeviceSettings,
    pub(super) ov_header: Wrapped<OvHeader>,
    pub(super) hmac_type: HmacType,
    pub(super) owner_public_key: PublicKey,
}

impl ExpectSetupDevice {
    /// Checks what the device is to become (`65 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] when something in it does not
    /// hold, [`Error::CredentialReuse`] when the owner asks for reuse and the device does not allow it.
    pub fn setup_device(self, body: &[u8]) -> Result<SetUp, Error> {
        let (tunnel, plaintext) = self.shared.open_first(self.settings.cipher_suite, body)?;
        let SetupDevice(signed) = cbor::decode(&Zeroizing::new(plaintext))?;
        let payload: SetupDevicePayload = cbor::decode(signed.unverified_payload())?;
        signed.verify(&payload.owner2_key.verifying_key()?, &[])?;
        if payload.nonce != self.nonce_setup_dv {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        if payload.rv_info.is_empty() || payload.guid == Guid::from_bytes([0; 16]) {
            return Err(Error::Rejected("a device without rendezvous or GUID could never come back"));
        }
        let reuse = payload.guid == self.credential.guid
            && payload.rv_info == self.ov_header.rv_info
            && payload.owner2_key == self.owner_public_key;
        if reuse && !self.settings.allow_reuse {
            return Err(Error::CredentialReuse);
        }
        let mut seen = SeenMessages::default();
        seen.take(body)?;
        let session =
            Tunnelled { nonce_prove_dv: self.nonce_prove_dv, nonce_setup_dv: self.nonce_setup_dv, tunnel, seen };
        Ok(SetUp {
            session,
            credential: self.credential,
            settings: self.settings,
            ov_header: self.ov_header,
            hmac_type: self.hmac_type,
            owner_public_key: self.owner_public_key,
            payload,
            reuse,
        })
    }
}

/// 65 holds; the device chooses its next secret and says 66.
pub struct SetUp {
    session: Tunnelled,
    credential: DeviceCredential,
    settings: DeviceSettings,
    ov_header: Wrapped<OvHeader>,
    hmac_type: HmacType,
    owner_public_key: PublicKey,
    payload: SetupDevicePayload,
    reuse: bool,
}

impl SetUp {
    /// Whether the device keeps its credential.
    pub fn is_reuse(&self) -> bool {
        self.reuse
    }

    /// The key of the owner that this TO2 is with.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it cannot verify anything, which the proof before this excludes.
    pub fn owner_key(&self) -> Result<VerifyingKey, Error> {
        self.owner_public_key.verifying_key()
    }

    /// Length in bytes that the next HMAC secret should have.
    pub fn secret_length(&self) -> usize {
        self.hmac_type.length()
    }

    /// Takes the new credential (`-> 66`). `next` holds the HMAC secret that `next_secret` is the copy of; a device
    /// that cannot change its secret passes the old one.
    ///
    /// # Errors
    /// [`Error::Internal`] when the secret cannot be used.
    pub fn ready(
        self,
        next: &dyn DeviceSecrets,
        next_secret: Zeroizing<Vec<u8>>,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, ExpectReady), Error> {
        let (replacement_hmac, credential) = if self.reuse {
            (None, DeviceCredential { active: false, ..self.credential })
        } else {
            let SetupDevicePayload { rv_info, guid, owner2_key, .. } = self.payload;
            let header = Wrapped::new(self.ov_header.replaced(guid, rv_info.clone(), owner2_key.clone()));
            let credential = DeviceCredential {
                active: false,
                hmac_secret: next_secret,
                device_info: header.device_info.clone(),
                guid,
                rv_info,
                public_key_hash: Hash::of(self.hmac_type.hash_type(), &[owner2_key.encoded()]),
            };
            (Some(next.hmac(self.hmac_type, &[header.bytes()])?), credential)
        };
        let max_owner_service_info_size = self.settings.max_service_info_size;
        let message = DeviceServiceInfoReady { replacement_hmac, max_owner_service_info_size };
        let message = self.session.seal(&message, rng)?;
        Ok((message, ExpectReady { session: self.session, credential }))
    }
}

/// Waits for 67.
pub struct ExpectReady {
    session: Tunnelled,
    credential: DeviceCredential,
}

impl ExpectReady {
    /// Learns how much service info the owner takes (`67 ->`), in bytes; none is 1300.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode.
    pub fn ready(mut self, body: &[u8]) -> Result<(ServiceInfoLoop, Option<u16>), Error> {
        let ready: OwnerServiceInfoReady = self.session.open(body)?;
        let size = ready.max_device_service_info_size;
        Ok((ServiceInfoLoop { session: self.session, credential: self.credential }, size))
    }
}

/// The exchange of 68 and 69, as often as the modules need it. Whose turn it is, is for `service_info` to say.
pub struct ServiceInfoLoop {
    session: Tunnelled,
    credential: DeviceCredential,
}

impl ServiceInfoLoop {
    /// The device's service info (`-> 68`).
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn device_service_info(
        &self,
        message: &DeviceServiceInfo,
        rng: &mut dyn CryptoRng,
    ) -> Result<Outbound, Error> {
        self.session.seal(message, rng)
    }

    /// The owner's answer (`69 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] when it is done and has more, or
    /// is an older one.
    pub fn owner_service_info(&mut self, body: &[u8]) -> Result<OwnerServiceInfo, Error> {
        let message: OwnerServiceInfo = self.session.open(body)?;
        if message.is_more && message.is_done {
            return Err(Error::Rejected("the owner is done and has more"));
        }
        Ok(message)
    }

    /// Finishes (`-> 70`). The credential must be durable, beside the old one, before this is sent.
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn done(self, rng: &mut dyn CryptoRng) -> Result<(Outbound, DeviceCredential, ExpectDone2), Error> {
        let message = self.session.seal(&Done { nonce: self.session.nonce_prove_dv.clone() }, rng)?;
        Ok((message, self.credential, ExpectDone2 { session: self.session }))
    }
}

/// Waits for 71.
pub struct ExpectDone2 {
    session: Tunnelled,
}

impl ExpectDone2 {
    /// Ends (`71 ->`): the new credential is the only one from here. Gives the nonce that ended it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] for a wrong nonce.
    pub fn done2(mut self, body: &[u8]) -> Result<NonceTo2SetupDv, Error> {
        let Done2 { nonce } = self.session.open(body)?;
        if nonce == self.session.nonce_setup_dv {
            Ok(nonce)
        } else {
            Err(Error::Rejected("the nonce is not the one that was sent"))
        }
    }
}
