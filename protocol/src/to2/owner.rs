//! The owner's side of TO2: what is awaited between two requests, each a struct that its step consumes.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{self, ByteString, Decode, Encode, Encoded, RawItem, Reader, Wrapped, Writer};
use crate::cbor_array;
use crate::cose::{Sign1, VerifiedEat};
use crate::crypto::{CipherSuite, KexSuite, OwnerKey, OwnerKeyExchange, Tunnel, VerifyingKey};
use crate::error::{Error, VoucherFault};
use crate::guid::Guid;
use crate::hash::{Hash, Hmac};
use crate::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, DeviceServiceInfoReady, Done, Done2, EUPH_NONCE, GetOvNextEntry, HelloDevice,
    OvNextEntry, OwnerServiceInfoReady, ProveDevice, ProveOvHdr, ProveOvHdrPayload, SetupDevice,
    SetupDevicePayload,
};
use crate::messages::{Message, Outbound};
use crate::nonce::{NonceTo2ProveDv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::rendezvous_info::RendezvousInfo;
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use crate::to2::seen::SeenMessages;
use crate::voucher::{OvHeader, VerifiedVoucher};

/// What an owner decides for its TO2.
#[derive(Debug, Clone, Copy)]
pub struct OwnerSettings {
    /// The longest message that it takes, in bytes; said in 61.
    pub max_message_size: u16,
    /// The largest service info that it takes, in bytes; said in 67, none is 1300.
    pub max_service_info_size: Option<u16>,
    /// Whether the device is to keep its credential.
    pub reuse: bool,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        Self { max_message_size: u16::MAX, max_service_info_size: Some(16 * 1024), reuse: false }
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

/// Proves the owner (`60 -> 61`).
///
/// # Errors
/// [`Error::Unsupported`] for suites that are not offered, [`Error::Rejected`] for a suite that does not fit the key,
/// [`Error::Voucher`] when the voucher has no entry or is not `key`'s.
pub fn begin(
    hello: &Encoded<HelloDevice>,
    voucher: &VerifiedVoucher,
    key: &dyn OwnerKey,
    settings: &OwnerSettings,
    rng: &mut dyn CryptoRng,
) -> Result<(Outbound, ExpectEntryOrProof), Error> {
    let kex_suite = KexSuite::from_name(&hello.kex_suite_name)?;
    let cipher_suite = CipherSuite::from_number(hello.cipher_suite)?;
    if !kex_suite.fits(key.verifying_key().key_type()) {
        return Err(Error::Rejected("the key exchange does not fit the owner's key"));
    }
    let num_ov_entries = u8::try_from(voucher.entries().len()).map_err(|_| VoucherFault::TooManyEntries)?;
    if num_ov_entries == 0 {
        return Err(VoucherFault::NoEntries.into());
    }
    if voucher.owner_key() != key.verifying_key() {
        return Err(VoucherFault::NotTheOwner.into());
    }

    let key_exchange = OwnerKeyExchange::generate(kex_suite, rng)?;
    let nonce_prove_dv = NonceTo2ProveDv::random(rng);
    let owner_key = voucher.owner_public_key().clone();
    let payload = ProveOvHdrPayload {
        ov_header: voucher.header().clone(),
        num_ov_entries,
        hmac: voucher.hmac().clone(),
        nonce: hello.nonce.clone(),
        e_b_sig_info: hello.e_a_sig_info.clone(),
        x_a_key_exchange: ByteString(key_exchange.public().to_vec()),
        hello_device_hash: Hash::of(voucher.hash_type(), &[hello.bytes()]),
        max_owner_message_size: settings.max_message_size,
    };
    let unprotected =
        [(CUPH_NONCE, cbor::encode(&nonce_prove_dv)), (CUPH_OWNER_PUB_KEY, owner_key.encoded().to_vec())];
    let proof = Sign1::sign(cbor::encode(&payload), &unprotected, key, &[])?;
    let state = ExpectEntryOrProof {
        guid: hello.guid,
        device_key: voucher.device_key().clone(),
        ov_header: voucher.header().clone(),
        entries: voucher.entries().iter().map(|entry| RawItem(entry.bytes().to_vec())).collect(),
        owner_key,
        nonce_prove_dv,
        key_exchange,
        cipher_suite,
        reuse: settings.reuse,
        max_service_info_size: settings.max_service_info_size,
    };
    Ok((Outbound::plain(&ProveOvHdr(proof)), state))
}

/// Waits for 62 or 64: the device reads the voucher's entries, then proves itself.
pub struct ExpectEntryOrProof {
    guid: Guid,
    device_key: VerifyingKey,
    ov_header: Wrapped<OvHeader>,
    entries: Vec<RawItem>,
    owner_key: PublicKey,
    nonce_prove_dv: NonceTo2ProveDv,
    key_exchange: OwnerKeyExchange,
    cipher_suite: CipherSuite,
    reuse: bool,
    max_service_info_size: Option<u16>,
}
cbor_array!(ExpectEntryOrProof {
    guid,
    device_key,
    ov_header,
    entries,
    owner_key,
    nonce_prove_dv,
    key_exchange,
    cipher_suite,
    reuse,
    max_service_info_size,
});

impl ExpectEntryOrProof {
    /// Hands out an entry (`62 -> 63`). Any order, and the same one again, is fine.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 62, [`Error::Rejected`] for an entry that the voucher does not have.
    pub fn get_ov_next_entry(self, body: &[u8]) -> Result<(Outbound, Self), Error> {
        let GetOvNextEntry { entry_num } = cbor::decode(body)?;
        let entry = self.entries.get(usize::from(entry_num)).ok_or(Error::Rejected("there is no such entry"))?;
        let entry = Sign1::from_bytes(&entry.0).map_err(|_| Error::Internal("stored entry"))?;
        Ok((Outbound::plain(&OvNextEntry { entry_num, entry }), self))
    }

    /// Checks the device and says what it becomes (`64 -> 65`). The tunnel's keys exist from here only.
    /// `rv_info` and `guid` are the device's next ones; both are ignored where it keeps its credential.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 64, [`Error::Rejected`] when the device does not prove itself.
    pub fn prove_device(
        self,
        body: &[u8],
        key: &dyn OwnerKey,
        rv_info: &RendezvousInfo,
        guid: Guid,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, ExpectReady), Error> {
        let ProveDevice(token) = cbor::decode(body)?;
        let nonce_setup_dv = token.unprotected(EUPH_NONCE).ok_or(Error::Malformed("EUPHNonce is missing"))?;
        let nonce_setup_dv: NonceTo2SetupDv = cbor::decode(&nonce_setup_dv)?;
        let proof = VerifiedEat::verify(&token, &self.device_key, self.nonce_prove_dv.as_bytes(), &self.guid)?;
        let tunnel = self.key_exchange.finish(proof.key_exchange()?)?.derive(self.cipher_suite);

        let (rv_info, next_guid) =
            if self.reuse { (self.ov_header.rv_info.clone(), self.guid) } else { (rv_info.clone(), guid) };
        let payload = SetupDevicePayload {
            rv_info: rv_info.clone(),
            guid: next_guid,
            nonce: nonce_setup_dv.clone(),
            owner2_key: self.owner_key.clone(),
        };
        let setup = SetupDevice(Sign1::sign(cbor::encode(&payload), &[], key, &[])?);
        let replacement = (!self.reuse)
            .then(|| Wrapped::new(self.ov_header.replaced(next_guid, rv_info, self.owner_key.clone())));
        let session = Tunnelled {
            guid: self.guid,
            next_guid,
            nonce_prove_dv: self.nonce_prove_dv,
            nonce_setup_dv,
            tunnel,
            seen: SeenMessages::default(),
        };
        let reply = session.seal(&setup, rng)?;
        let max_service_info_size = self.max_service_info_size;
        Ok((reply, ExpectReady { session, replacement, max_service_info_size }))
    }
}

/// What every stage behind the device's proof needs.
struct Tunnelled {
    guid: Guid,
    next_guid: Guid,
    nonce_prove_dv: NonceTo2ProveDv,
    nonce_setup_dv: NonceTo2SetupDv,
    tunnel: Tunnel,
    seen: SeenMessages,
}
cbor_array!(Tunnelled { guid, next_guid, nonce_prove_dv, nonce_setup_dv, tunnel, seen });

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

/// Waits for 66.
pub struct ExpectReady {
    session: Tunnelled,
    replacement: Option<Wrapped<OvHeader>>,
    max_service_info_size: Option<u16>,
}
cbor_array!(ExpectReady { session, replacement, max_service_info_size });

impl ExpectReady {
    /// The GUID that the device will have; its LDevID names it.
    pub fn next_guid(&self) -> Guid {
        self.session.next_guid
    }

    /// Takes the device's HMAC over its next header (`66 -> 67`), and gives the service-info size that it announced.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 66, [`Error::Rejected`] for a null HMAC that was not asked for.
    pub fn ready(
        mut self,
        body: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, ExpectServiceInfo, Option<u16>), Error> {
        let ready: DeviceServiceInfoReady = self.session.open(body)?;
        let replacement = match (self.replacement, ready.replacement_hmac) {
            (Some(ov_header), Some(hmac)) => Some(Replacement { ov_header, hmac }),
            (Some(_), None) => return Err(Error::Rejected("the device kept its credential unasked")),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Error::Rejected("the device replaced a credential that it was to keep"));
            }
        };
        let reply = OwnerServiceInfoReady { max_device_service_info_size: self.max_service_info_size };
        let reply = self.session.seal(&reply, rng)?;
        let size = ready.max_owner_service_info_size;
        Ok((reply, ExpectServiceInfo { session: self.session, replacement }, size))
    }
}

/// The parts of a voucher that TO2 renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The new header, over which the device computed its HMAC.
    pub ov_header: Wrapped<OvHeader>,
    /// That HMAC.
    pub hmac: Hmac,
}
cbor_array!(Replacement { ov_header, hmac });

/// Waits for 68.
pub struct ExpectServiceInfo {
    session: Tunnelled,
    replacement: Option<Replacement>,
}
cbor_array!(ExpectServiceInfo { session, replacement });

/// What follows a 69.
pub enum AfterServiceInfo {
    /// More service info.
    Continue(ExpectServiceInfo),
    /// The owner is done: 70, or a last 68.
    Finish(ExpectDone),
}

impl ExpectServiceInfo {
    /// Reads the device's service info (`68 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] for an older one.
    pub fn device_service_info(&mut self, body: &[u8]) -> Result<DeviceServiceInfo, Error> {
        self.session.open(body)
    }

    /// Answers with the owner's (`-> 69`).
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn owner_service_info(
        self,
        message: &OwnerServiceInfo,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, AfterServiceInfo), Error> {
        let reply = self.session.seal(message, rng)?;
        let next = if message.is_done {
            AfterServiceInfo::Finish(ExpectDone { session: self.session, replacement: self.replacement })
        } else {
            AfterServiceInfo::Continue(self)
        };
        Ok((reply, next))
    }
}

/// Waits for 70; a device may still send a last 68.
pub struct ExpectDone {
    session: Tunnelled,
    replacement: Option<Replacement>,
}
cbor_array!(ExpectDone { session, replacement });

/// What a finished TO2 changes. It must be durable before 71 is sent.
#[derive(Debug, Clone)]
pub struct Completed {
    /// The GUID that the device came with.
    pub guid: Guid,
    /// The GUID that it has now.
    pub next_guid: Guid,
    /// The parts of its next voucher; none where it keeps its credential.
    pub replacement: Option<Replacement>,
}

impl ExpectDone {
    /// Reads a last 68 (`68 ->`), which may carry what the device still had to say.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] when it wants to begin again.
    pub fn device_service_info(&mut self, body: &[u8]) -> Result<DeviceServiceInfo, Error> {
        let message: DeviceServiceInfo = self.session.open(body)?;
        if message.is_more {
            return Err(Error::Rejected("service info after it was finished"));
        }
        Ok(message)
    }

    /// Answers a last 68 (`-> 69`): still done.
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn still_done(
        self,
        message: &OwnerServiceInfo,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, Self), Error> {
        Ok((self.session.seal(message, rng)?, self))
    }

    /// Ends TO2 (`70 -> 71`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 70, [`Error::Rejected`] for a wrong nonce.
    pub fn done(mut self, body: &[u8], rng: &mut dyn CryptoRng) -> Result<(Completed, Outbound), Error> {
        let Done { nonce } = self.session.open(body)?;
        if nonce != self.session.nonce_prove_dv {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        let reply = self.session.seal(&Done2 { nonce: self.session.nonce_setup_dv.clone() }, rng)?;
        let completed = Completed {
            guid: self.session.guid,
            next_guid: self.session.next_guid,
            replacement: self.replacement,
        };
        Ok((completed, reply))
    }
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
            Self::ExpectEntryOrProof(state) => state.guid,
            Self::ExpectReady(state) => state.session.guid,
            Self::ExpectServiceInfo(state) => state.session.guid,
            Self::ExpectDone(state) => state.session.guid,
        }
    }

    /// The GUID that the device will have, from message 65 on: its LDevID names it.
    pub fn next_guid(&self) -> Option<Guid> {
        match self {
            Self::ExpectEntryOrProof(_) => None,
            Self::ExpectReady(state) => Some(state.session.next_guid),
            Self::ExpectServiceInfo(state) => Some(state.session.next_guid),
            Self::ExpectDone(state) => Some(state.session.next_guid),
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
