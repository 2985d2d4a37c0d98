//! Verification of a voucher: structure, the hash of the device's certificates, and every entry up to the owner.
//!
//! Signatures between certificates, and whose device CA is trusted, are the business of `fdo-pki`.

use std::ops::Deref;

use x509_cert::der::{Decode as _, Encode as _};

use super::{OvHeader, Voucher, before_entries, payload_of};
use crate::cbor::{ByteString, Encode, Writer};
use crate::crypto::VerifyingKey;
use crate::error::{Error, VoucherFault};
use crate::hash::{Hash, HashType};
use crate::messages::PROTOCOL_VERSION;
use crate::public_key::PublicKey;

/// What a verification lets pass beyond the standard.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyPolicy {
    /// Old fido-device-onboard-rs vouchers hash the CBOR array of certificates.
    pub legacy_chain_hash: bool,
}

/// A voucher whose every hash and signature holds, up to the key of its present owner.
#[derive(Clone, Debug)]
pub struct VerifiedVoucher {
    voucher: Voucher,
    manufacturer: VerifyingKey,
    owner: PublicKey,
    owner_key: VerifyingKey,
    device: VerifyingKey,
}

impl Voucher {
    /// Verifies the voucher.
    ///
    /// # Errors
    /// [`Error::Voucher`] with the first thing that does not hold.
    pub fn verify(self, policy: &VerifyPolicy) -> Result<VerifiedVoucher, Error> {
        self.check_header()?;
        let device = self.check_certificates(policy)?;
        let first = self.header.manufacturer_key.clone();
        let manufacturer = first.verifying_key().map_err(|_| VoucherFault::PublicKey)?;

        let (mut owner, mut owner_key) = (first, manufacturer.clone());
        for (index, entry) in self.entries.iter().enumerate() {
            let payload = payload_of(entry)?;
            entry.verify(&owner_key, &[]).map_err(|_| VoucherFault::Signature(index))?;
            let holds = match index.checked_sub(1) {
                None => payload.previous_hash.matches(&before_entries(&self.header, &self.hmac)),
                Some(previous) => payload.previous_hash.matches(&[self.entries[previous].bytes()]),
            };
            if !holds {
                return Err(VoucherFault::PreviousHash(index).into());
            }
            if !payload.header_hash.matches(&self.header.hashed_info()) {
                return Err(VoucherFault::HeaderHash(index).into());
            }
            if payload.owner_key.key_type() != owner.key_type() {
                return Err(VoucherFault::MixedKeyTypes.into());
            }
            owner_key = payload.owner_key.verifying_key().map_err(|_| VoucherFault::PublicKey)?;
            // RSAPKCS is one type for two sizes, and a voucher keeps to one of them.
            if owner_key.key_type() != manufacturer.key_type() {
                return Err(VoucherFault::MixedKeyTypes.into());
            }
            owner = payload.owner_key;
        }
        Ok(VerifiedVoucher { voucher: self, manufacturer, owner, owner_key, device })
    }

    fn check_header(&self) -> Result<(), Error> {
        let header: &OvHeader = &self.header;
        if header.version != PROTOCOL_VERSION {
            return Err(VoucherFault::Version.into());
        }
        if header.rv_info.is_empty() {
            return Err(VoucherFault::NoRendezvous.into());
        }
        if !(1..=255).contains(&header.device_info.len()) {
            return Err(VoucherFault::DeviceInfo.into());
        }
        Ok(())
    }

    fn check_certificates(&self, policy: &VerifyPolicy) -> Result<VerifyingKey, Error> {
        let epid = VoucherFault::CertificateChain("there is none, as with EPID devices, which are not supported");
        let certificates = self.certificates.as_deref().ok_or(epid)?;
        let leaf = certificates.first().ok_or(VoucherFault::CertificateChain("there is no certificate"))?;
        let expected = self.header.cert_chain_hash.as_ref().ok_or(VoucherFault::CertificateChainHash)?;
        let parts: Vec<&[u8]> = certificates.iter().map(|certificate| &certificate[..]).collect();
        let legacy = || {
            let mut writer = Writer::default();
            certificates.to_vec().encode_into(&mut writer);
            expected.matches(&[&writer.into_bytes()])
        };
        if expected.matches(&parts) || (policy.legacy_chain_hash && legacy()) {
            leaf_key(leaf)
        } else {
            Err(VoucherFault::CertificateChainHash.into())
        }
    }
}

fn leaf_key(leaf: &ByteString) -> Result<VerifyingKey, Error> {
    let broken = VoucherFault::CertificateChain("the device's certificate does not decode");
    let certificate = x509_cert::Certificate::from_der(leaf).map_err(|_| broken)?;
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(|_| broken)?;
    VerifyingKey::from_spki_der(&spki).map_err(|_| {
        VoucherFault::CertificateChain("the device's key is neither P-256 nor P-384 nor RSA of 2048 or 3072 bits")
            .into()
    })
}

impl VerifiedVoucher {
    /// Takes up a voucher that this service verified before it stored the bytes, without doing so again.
    ///
    /// # Errors
    /// [`Error::Voucher`] when the bytes do not decode.
    pub fn trust_stored(bytes: &[u8]) -> Result<Self, Error> {
        Self::unchecked(Voucher::from_bytes(bytes)?)
    }

    pub(super) fn unchecked(voucher: Voucher) -> Result<Self, Error> {
        let unusable = |_| Error::from(VoucherFault::PublicKey);
        let manufacturer = voucher.header.manufacturer_key.verifying_key().map_err(unusable)?;
        let owner = match voucher.entries.last() {
            Some(entry) => payload_of(entry)?.owner_key,
            None => voucher.header.manufacturer_key.clone(),
        };
        let owner_key = owner.verifying_key().map_err(unusable)?;
        let leaf = voucher.certificates.as_deref().unwrap_or_default().first();
        let device = leaf_key(leaf.ok_or(VoucherFault::CertificateChain("there is no certificate"))?)?;
        Ok(Self { voucher, manufacturer, owner, owner_key, device })
    }

    /// The key of the present owner: that of the last entry, or the manufacturer's where there is none.
    pub fn owner_key(&self) -> &VerifyingKey {
        &self.owner_key
    }

    /// The same key as the voucher spells it; 61 must repeat these bytes.
    pub fn owner_public_key(&self) -> &PublicKey {
        &self.owner
    }

    /// The key that the header names: the manufacturer's, or after TO2 the owner's of then.
    pub fn manufacturer_key(&self) -> &VerifyingKey {
        &self.manufacturer
    }

    /// The device's attestation key, from its certificate.
    pub fn device_key(&self) -> &VerifyingKey {
        &self.device
    }

    /// The hash that entries, hello and redirect of this voucher use.
    pub fn hash_type(&self) -> HashType {
        self.hmac().hmac_type().hash_type()
    }

    /// Whether `earlier` is this voucher at an earlier time: same header, HMAC and first entries.
    pub fn continues(&self, earlier: &Voucher) -> bool {
        self.header.bytes() == earlier.header.bytes()
            && self.voucher.hmac == earlier.hmac
            && self.entries.len() >= earlier.entries.len()
            && self.entries.iter().zip(&earlier.entries).all(|(ours, theirs)| ours == theirs)
    }

    /// SHA-256 over the device's certificate: with the GUID it names a device that a rendezvous cannot confuse.
    pub fn device_certificate_hash(&self) -> Hash {
        let leaf = self.certificates.as_deref().unwrap_or_default().first();
        Hash::of(HashType::Sha256, &[leaf.map_or(&[][..], |leaf| &leaf[..])])
    }

    /// The voucher without its proof.
    pub fn into_voucher(self) -> Voucher {
        self.voucher
    }
}

impl Deref for VerifiedVoucher {
    type Target = Voucher;
    fn deref(&self) -> &Voucher {
        &self.voucher
    }
}
