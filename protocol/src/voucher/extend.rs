//! A voucher's next state: one entry more at a sale, a new header after TO2.

use super::entry::OvEntryPayload;
use super::{MAX_ENTRIES, OvHeader, VerifiedVoucher, Voucher, before_entries};
use crate::cbor::{self, Encoded, Wrapped};
use crate::cose::Sign1;
use crate::crypto::{OwnerKey, VerifyingKey};
use crate::error::{Error, VoucherFault};
use crate::hash::{Hash, Hmac};
use crate::public_key::{PublicKey, PublicKeyEncoding};

impl VerifiedVoucher {
    /// Hands the device to `next`. `signer` must be the present owner.
    ///
    /// Signatures are random: sign once, keep the bytes, answer with the same bytes again.
    ///
    /// # Errors
    /// [`Error::Voucher`] when `signer` is not the owner, the keys differ in type, or the voucher is full.
    pub fn extend(&self, signer: &dyn OwnerKey, next: &VerifyingKey) -> Result<Self, Error> {
        if self.owner_key().key_type().is_pss() {
            return Err(Error::Unsupported("RSAPSS keys are verified, never used to sign"));
        }
        if signer.verifying_key() != self.owner_key() {
            return Err(VoucherFault::NotTheOwner.into());
        }
        if next.key_type() != signer.verifying_key().key_type() {
            return Err(VoucherFault::MixedKeyTypes.into());
        }
        if self.entries.len() >= MAX_ENTRIES {
            return Err(VoucherFault::TooManyEntries.into());
        }
        let hash_type = self.hash_type();
        let previous_hash = match self.entries.last() {
            None => Hash::of(hash_type, &before_entries(&self.header, &self.hmac)),
            Some(entry) => Hash::of(hash_type, &[entry.bytes()]),
        };
        // X509 is the one encoding that every device reads; a COSE key begets COSE keys.
        let owner_key = match self.header.manufacturer_key.encoding() {
            PublicKeyEncoding::CoseKey => PublicKey::cose_key(next),
            _ => PublicKey::x509(next),
        };
        // An RSA key of 2048 bits has two types; a voucher has one.
        let key_type = self.header.manufacturer_key.key_type();
        let owner_key = match owner_key.key_type() == key_type {
            true => owner_key,
            false => owner_key.under(key_type).map_err(|_| VoucherFault::MixedKeyTypes)?,
        };
        let header_hash = Hash::of(hash_type, &self.header.hashed_info());
        let payload = OvEntryPayload { previous_hash, header_hash, extra: None, owner_key };
        let entry = Sign1::sign(cbor::encode(&payload), &[], signer, &[])?;
        let mut entries = self.entries.clone();
        entries.push(entry);
        Self::unchecked(Voucher::assemble(
            self.header.clone(),
            self.hmac.clone(),
            self.certificates.clone(),
            entries,
        ))
    }

    /// The voucher after TO2: the header of 65 and the HMAC of 66, no entries, the same device.
    ///
    /// # Errors
    /// [`Error::Voucher`] when the header does not decode to usable keys.
    pub fn replace(&self, header: Wrapped<OvHeader>, hmac: Hmac) -> Result<Self, Error> {
        Self::unchecked(Voucher::assemble(header, Encoded::new(hmac), self.certificates.clone(), Vec::new()))
    }
}
