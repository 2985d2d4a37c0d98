//! Both proofs: the owner's in 61, the voucher's entries in 63, and then the device's in 64.

use rand_core::CryptoRng;

use super::DeviceSettings;
use super::provisioning::ExpectSetupDevice;
use crate::cbor::{self, Encoded, Wrapped};
use crate::cose::{EatPayload, Sign1};
use crate::credential::{DeviceCredential, DeviceSecrets};
use crate::crypto::{KeyExchangeReply, SharedSecret, VerifyingKey};
use crate::error::{Error, VoucherFault};
use crate::hash::HmacType;
use crate::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, EUPH_NONCE, GetOvNextEntry, HelloDevice, OvNextEntry, ProveDevice, ProveOvHdr,
    ProveOvHdrPayload,
};
use crate::messages::{Message, Outbound, PROTOCOL_VERSION, SigInfo};
use crate::nonce::{NonceTo2ProveDv, NonceTo2ProveOv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::voucher::{OvEntryPayload, OvHeader};

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
            previous: [payload.ov_header.bytes(), payload.hmac.bytes()].concat(),
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
        if secrets.hmac(payload.hmac.hmac_type(), &[payload.ov_header.bytes()])? != *payload.hmac.value() {
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
        let entry_owner = payload.owner_key.verifying_key()?;
        if entry_owner.key_type() != self.entry_owner.key_type() {
            return Err(VoucherFault::MixedKeyTypes.into());
        }
        self.entry_owner = entry_owner;
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
            KeyExchangeReply::answer(self.settings.kex_suite, &self.x_a_key_exchange, &self.owner_key, rng)?;
        let nonce_setup_dv = NonceTo2SetupDv::random(rng);
        let token = EatPayload::new(self.nonce_prove_dv.as_bytes(), &self.credential.guid, Some(x_b))
            .sign(&[(EUPH_NONCE, cbor::encode(&nonce_setup_dv))], secrets.key())?;
        let next = ExpectSetupDevice {
            nonce_prove_dv: self.nonce_prove_dv,
            nonce_setup_dv,
            shared,
            credential: self.credential,
            settings: self.settings,
            ov_header: self.ov_header,
            hmac_type: self.hmac_type,
            owner_public_key: self.owner_public_key,
        };
        Ok((Outbound::plain(&ProveDevice(token)), next))
    }
}
