//! The device's side of TO2: everything is checked before the device says what its owner could use against it.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{self, Decode, Encoded, Wrapped};
use crate::cose::{EatPayload, Sign1};
use crate::credential::{DeviceCredential, DeviceSecrets};
use crate::crypto::{CipherSuite, KexSuite, KeyExchangeReply, SharedSecret, Tunnel, VerifyingKey};
use crate::error::{Error, VoucherFault};
use crate::guid::Guid;
use crate::hash::{Hash, HmacType};
use crate::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, DeviceServiceInfoReady, Done, Done2, EUPH_NONCE, GetOvNextEntry, HelloDevice,
    OvNextEntry, OwnerServiceInfoReady, ProveDevice, ProveOvHdr, ProveOvHdrPayload, SetupDevice,
    SetupDevicePayload,
};
use crate::messages::{Message, Outbound, PROTOCOL_VERSION, SigInfo};
use crate::nonce::{NonceTo2ProveDv, NonceTo2ProveOv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use crate::to2::seen::SeenMessages;
use crate::voucher::{OvEntryPayload, OvHeader};

/// What a device decides for its TO2.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSettings {
    /// The key exchange that it asks for; it must fit the owner's key.
    pub kex_suite: KexSuite,
    /// The cipher of the tunnel.
    pub cipher_suite: CipherSuite,
    /// The longest message that it takes, in bytes; said in 60.
    pub max_message_size: u16,
    /// The largest service info that it takes, in bytes; said in 66, none is 1300.
    pub max_service_info_size: Option<u16>,
    /// Whether an owner may ask it to keep its credential.
    pub allow_reuse: bool,
}

/// Begins (`-> 60`). `to1d` is the redirect that led here; none after a rendezvous bypass.
pub fn begin(
    credential: DeviceCredential,
    to1d: Option<Sign1>,
    secrets: &dyn DeviceSecrets,
    settings: DeviceSettings,
    rng: &mut dyn CryptoRng,
) -> (Outbound, ExpectProveOvHdr) {
    let hello = Encoded::new(HelloDevice {
        max_device_message_size: settings.max_message_size,
        guid: credential.guid,
        nonce: NonceTo2ProveOv::random(rng),
        kex_suite_name: settings.kex_suite.name().to_owned(),
        cipher_suite: settings.cipher_suite.number(),
        e_a_sig_info: SigInfo::for_key(secrets.key().verifying_key().key_type()),
    });
    let message = Outbound { message_type: HelloDevice::TYPE, body: hello.bytes().to_vec() };
    (message, ExpectProveOvHdr { credential, to1d, settings, hello })
}

/// Waits for 61.
pub struct ExpectProveOvHdr {
    credential: DeviceCredential,
    to1d: Option<Sign1>,
    settings: DeviceSettings,
    hello: Encoded<HelloDevice>,
}

impl ExpectProveOvHdr {
    /// Checks the owner's proof and the voucher's header (`61 -> 62`).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Rejected`], [`Error::Voucher`] or [`Error::OwnerSignature`]: the first check that
    /// fails.
    pub fn prove_ov_hdr(
        self,
        body: &[u8],
        secrets: &dyn DeviceSecrets,
    ) -> Result<(Outbound, ExpectOvNextEntry), Error> {
        let ProveOvHdr(proof) = cbor::decode(body)?;
        let nonce_prove_dv = proof.unprotected(CUPH_NONCE).ok_or(Error::Malformed("CUPHNonce is missing"))?;
        let owner_key =
            proof.unprotected(CUPH_OWNER_PUB_KEY).ok_or(Error::Malformed("the owner's key is missing"))?;
        let nonce_prove_dv: NonceTo2ProveDv = cbor::decode(&nonce_prove_dv)?;
        let owner_public_key: PublicKey = cbor::decode(&owner_key)?;
        let owner_key = owner_public_key.verifying_key()?;
        // Decoding first tells garbage from forgery; nothing is used before the signature holds.
        let payload: ProveOvHdrPayload = cbor::decode(proof.unverified_payload())?;
        proof.verify(&owner_key, &[])?;
        self.check(&payload, secrets)?;
        if let Some(to1d) = &self.to1d {
            to1d.verify(&owner_key, &[]).map_err(|_| Error::OwnerSignature)?;
        }
        let entry_owner = payload.ov_header.manufacturer_key.verifying_key()?;
        let next = ExpectOvNextEntry {
            credential: self.credential,
            settings: self.settings,
            previous: [payload.ov_header.bytes().to_vec(), cbor::encode(&payload.hmac)].concat(),
            hmac_type: payload.hmac.hmac_type(),
            ov_header: payload.ov_header,
            num_ov_entries: payload.num_ov_entries,
            x_a_key_exchange: payload.x_a_key_exchange.0,
            nonce_prove_dv,
            owner_public_key,
            owner_key,
            entry_owner,
            entry_num: 0,
        };
        Ok((Outbound::plain(&GetOvNextEntry { entry_num: 0 }), next))
    }

    fn check(&self, payload: &ProveOvHdrPayload, secrets: &dyn DeviceSecrets) -> Result<(), Error> {
        let header: &OvHeader = &payload.ov_header;
        if payload.nonce != self.hello.nonce {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        if !payload.hello_device_hash.matches(&[self.hello.bytes()]) {
            return Err(Error::Rejected("the hash of the hello is wrong"));
        }
        if payload.e_b_sig_info != self.hello.e_a_sig_info {
            return Err(Error::Rejected("eBSigInfo differs from eASigInfo"));
        }
        if header.version != PROTOCOL_VERSION {
            return Err(VoucherFault::Version.into());
        }
        if secrets.hmac(payload.hmac.hmac_type(), &[payload.ov_header.bytes()])? != payload.hmac {
            return Err(VoucherFault::Hmac.into());
        }
        if !self.credential.public_key_hash.matches(&[header.manufacturer_key.encoded()]) {
            return Err(Error::Rejected("the manufacturer's key is not the one that the device was born with"));
        }
        if header.guid != self.credential.guid {
            return Err(Error::Rejected("the header names another device"));
        }
        if payload.num_ov_entries == 0 {
            return Err(VoucherFault::NoEntries.into());
        }
        Ok(())
    }
}

/// Waits for 63.
pub struct ExpectOvNextEntry {
    credential: DeviceCredential,
    settings: DeviceSettings,
    ov_header: Wrapped<OvHeader>,
    hmac_type: HmacType,
    num_ov_entries: u8,
    x_a_key_exchange: Vec<u8>,
    nonce_prove_dv: NonceTo2ProveDv,
    owner_public_key: PublicKey,
    owner_key: VerifyingKey,
    /// Who must have signed the next entry.
    entry_owner: VerifyingKey,
    /// What the next entry's hash of what precedes it covers.
    previous: Vec<u8>,
    entry_num: u8,
}

/// What follows a 63.
pub enum AfterEntry {
    /// Another entry (62).
    Next(Outbound, ExpectOvNextEntry),
    /// All entries hold and end in the owner's key: the device proves itself (64).
    Prove(Outbound, ExpectSetupDevice),
}

impl ExpectOvNextEntry {
    /// Checks an entry (`63 -> 62` or `63 -> 64`).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Rejected`] for another entry than asked for, [`Error::Voucher`] for one that
    /// does not hold.
    pub fn ov_next_entry(
        mut self,
        body: &[u8],
        secrets: &dyn DeviceSecrets,
        rng: &mut dyn CryptoRng,
    ) -> Result<AfterEntry, Error> {
        let OvNextEntry { entry_num, entry } = cbor::decode(body)?;
        if entry_num != self.entry_num {
            return Err(Error::Rejected("another entry than asked for"));
        }
        let number = usize::from(entry_num);
        let payload: OvEntryPayload = cbor::decode(entry.unverified_payload())?;
        entry.verify(&self.entry_owner, &[]).map_err(|_| VoucherFault::Signature(number))?;
        if !payload.previous_hash.matches(&[&self.previous]) {
            return Err(VoucherFault::PreviousHash(number).into());
        }
        if !payload.header_hash.matches(&self.ov_header.hashed_info()) {
            return Err(VoucherFault::HeaderHash(number).into());
        }
        if payload.owner_key.key_type() != self.ov_header.manufacturer_key.key_type() {
            return Err(VoucherFault::MixedKeyTypes.into());
        }
        self.entry_owner = payload.owner_key.verifying_key()?;
        self.previous = entry.bytes().to_vec();
        self.entry_num += 1;
        if self.entry_num < self.num_ov_entries {
            let request = Outbound::plain(&GetOvNextEntry { entry_num: self.entry_num });
            return Ok(AfterEntry::Next(request, self));
        }
        if self.entry_owner != self.owner_key {
            return Err(VoucherFault::NotTheOwner.into());
        }
        let (request, next) = self.prove(secrets, rng)?;
        Ok(AfterEntry::Prove(request, next))
    }

    fn prove(
        self,
        secrets: &dyn DeviceSecrets,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, ExpectSetupDevice), Error> {
        let (x_b, shared): (Vec<u8>, SharedSecret) =
            KeyExchangeReply::answer(self.settings.kex_suite, &self.x_a_key_exchange, rng)?;
        let nonce_setup_dv = NonceTo2SetupDv::random(rng);
        let token = EatPayload::new(self.nonce_prove_dv.as_bytes(), &self.credential.guid, Some(x_b))
            .sign(&[(EUPH_NONCE, cbor::encode(&nonce_setup_dv))], secrets.key())?;
        let next = ExpectSetupDevice {
            session: Tunnelled {
                nonce_prove_dv: self.nonce_prove_dv,
                nonce_setup_dv,
                tunnel: shared.derive(self.settings.cipher_suite),
                seen: SeenMessages::default(),
            },
            credential: self.credential,
            settings: self.settings,
            ov_header: self.ov_header,
            hmac_type: self.hmac_type,
            owner_public_key: self.owner_public_key,
        };
        Ok((Outbound::plain(&ProveDevice(token)), next))
    }
}

/// What every stage behind the device's proof needs.
struct Tunnelled {
    nonce_prove_dv: NonceTo2ProveDv,
    nonce_setup_dv: NonceTo2SetupDv,
    tunnel: Tunnel,
    seen: SeenMessages,
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
    session: Tunnelled,
    credential: DeviceCredential,
    settings: DeviceSettings,
    ov_header: Wrapped<OvHeader>,
    hmac_type: HmacType,
    owner_public_key: PublicKey,
}

impl ExpectSetupDevice {
    /// Checks what the device is to become (`65 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] when something in it does not
    /// hold, [`Error::CredentialReuse`] when the owner asks for reuse and the device does not allow it.
    pub fn setup_device(mut self, body: &[u8]) -> Result<SetUp, Error> {
        let SetupDevice(signed) = self.session.open(body)?;
        let payload: SetupDevicePayload = cbor::decode(signed.unverified_payload())?;
        signed.verify(&payload.owner2_key.verifying_key()?, &[])?;
        if payload.nonce != self.session.nonce_setup_dv {
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
        Ok(SetUp { state: self, payload, reuse })
    }
}

/// 65 holds; the device chooses its next secret and says 66.
pub struct SetUp {
    state: ExpectSetupDevice,
    payload: SetupDevicePayload,
    reuse: bool,
}

impl SetUp {
    /// Whether the device keeps its credential.
    pub fn is_reuse(&self) -> bool {
        self.reuse
    }

    /// Length in bytes that the next HMAC secret should have.
    pub fn secret_length(&self) -> usize {
        self.state.hmac_type.length()
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
        let state = self.state;
        let (replacement_hmac, credential) = if self.reuse {
            (None, DeviceCredential { active: false, ..state.credential })
        } else {
            let SetupDevicePayload { rv_info, guid, owner2_key, .. } = self.payload;
            let header = Wrapped::new(state.ov_header.replaced(guid, rv_info.clone(), owner2_key.clone()));
            let credential = DeviceCredential {
                active: false,
                hmac_secret: next_secret,
                device_info: header.device_info.clone(),
                guid,
                rv_info,
                public_key_hash: Hash::of(state.hmac_type.hash_type(), &[owner2_key.encoded()]),
            };
            (Some(next.hmac(state.hmac_type, &[header.bytes()])?), credential)
        };
        let max_owner_service_info_size = state.settings.max_service_info_size;
        let message = DeviceServiceInfoReady { replacement_hmac, max_owner_service_info_size };
        let message = state.session.seal(&message, rng)?;
        Ok((message, ExpectReady { session: state.session, credential }))
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
    /// Ends (`71 ->`): the new credential is the only one from here.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] for a wrong nonce.
    pub fn done2(mut self, body: &[u8]) -> Result<(), Error> {
        let Done2 { nonce } = self.session.open(body)?;
        if nonce == self.session.nonce_setup_dv {
            Ok(())
        } else {
            Err(Error::Rejected("the nonce is not the one that was sent"))
        }
    }
}
