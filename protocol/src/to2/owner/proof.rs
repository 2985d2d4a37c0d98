//! Both proofs: the owner's in 61, the voucher's entries in 63, the device's in 64.

use rand_core::CryptoRng;

use super::OwnerSettings;
use super::provisioning::{ExpectReady, Tunnelled};
use crate::cbor::{self, ByteString, Encoded, RawItem, Wrapped};
use crate::cbor_array;
use crate::cose::{Sign1, VerifiedEat};
use crate::crypto::{CipherSuite, EtmForm, KexSuite, OwnerKey, OwnerKeyExchange, VerifyingKey};
use crate::error::{Error, VoucherFault};
use crate::guid::Guid;
use crate::hash::Hash;
use crate::messages::Outbound;
use crate::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, EUPH_NONCE, GetOvNextEntry, HelloDevice, OvNextEntry, ProveDevice, ProveOvHdr,
    ProveOvHdrPayload, SetupDevice, SetupDevicePayload,
};
use crate::nonce::{NonceTo2ProveDv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::rendezvous_info::RendezvousInfo;
use crate::to2::seen::SeenMessages;
use crate::voucher::{OvHeader, VerifiedVoucher};

/// Proves the owner (`60 -> 61`).
///
/// # Errors
/// [`Error::Unsupported`] for suites that are not offered, [`Error::Rejected`] for a suite that does not fit the
/// owner's key or an eASigInfo that does not fit the device's,
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
    let etm_form = match (cipher_suite.is_encrypt_then_mac(), settings.encrypt_then_mac) {
        (true, None) => return Err(Error::Unsupported("encrypt-then-MAC suites are not offered here")),
        (_, form) => form.unwrap_or_default(),
    };
    let device_key = hello.e_a_sig_info.device_key(voucher.device_key())?;
    if voucher.owner_key().key_type().is_pss() {
        return Err(Error::Unsupported("RSAPSS keys are verified, never used to sign"));
    }
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
        hmac: voucher.encoded_hmac().clone(),
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
        device_key,
        ov_header: voucher.header().clone(),
        entries: voucher.entries().iter().map(|entry| RawItem(entry.bytes().to_vec())).collect(),
        owner_key,
        nonce_prove_dv,
        key_exchange,
        cipher_suite,
        etm_form,
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
    etm_form: EtmForm,
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
    etm_form,
    reuse,
    max_service_info_size,
});

impl ExpectEntryOrProof {
    pub(super) fn guid(&self) -> Guid {
        self.guid
    }

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
        let secret = self.key_exchange.finish(proof.key_exchange()?, key)?;
        let tunnel = secret.derive_in(self.cipher_suite, self.etm_form);

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
