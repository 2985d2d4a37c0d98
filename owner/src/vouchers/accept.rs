//! The checks before an import: structure, signatures, our key at the end, and whether anybody vouches for the maker.

use fdo_pki::{Certificate, DeviceSerial};
use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};
use sha2::{Digest, Sha256};

use super::Error;
use crate::keys::{self, OwnerKeys};
use crate::trust::{Trust, Verdict};

/// What a voucher is held against.
pub struct Acceptance<'a> {
    pub keys: &'a OwnerKeys,
    pub trust: &'a Trust,
    /// Import although nobody vouches for the maker: an operator said so.
    pub allow_untrusted: bool,
}

/// A voucher that may be imported; only [`Acceptance::check`] makes one.
pub struct AcceptedVoucher {
    pub(super) voucher: VerifiedVoucher,
    pub(super) trusted: bool,
    pub(super) device_id: String,
    /// Out of the IDevID's subject.
    serial: Option<String>,
    /// What its maker says besides the voucher.
    pub(super) asserted: Asserted,
}

/// What a maker says about a device; no signature covers it.
#[derive(Clone, Debug, Default)]
pub struct Asserted {
    pub serial: Option<String>,
    pub model: Option<String>,
    pub maker: Option<String>,
}

impl Acceptance<'_> {
    /// Checks one voucher in CBOR.
    pub fn check(&self, bytes: &[u8]) -> Result<AcceptedVoucher, Error> {
        let voucher = Voucher::from_bytes(bytes)?.verify(&VerifyPolicy::default())?;
        if voucher.entries().is_empty() {
            return Err(Error::NoEntries);
        }
        if self.keys.owning(voucher.owner_key()).is_none() {
            return Err(Error::NotOurs(keys::fingerprint(voucher.owner_key())));
        }
        let trusted = self.trust.judge(&voucher)? == Verdict::Trusted;
        if !trusted && !self.allow_untrusted {
            return Err(Error::Untrusted(keys::fingerprint(voucher.manufacturer_key())));
        }
        let serial = serial_of(&voucher)?;
        let device_id = hex::encode(Sha256::digest(voucher.device_key().spki_der()));
        Ok(AcceptedVoucher { voucher, trusted, device_id, serial, asserted: Asserted::default() })
    }
}

impl AcceptedVoucher {
    /// The same with what its maker says about it.
    #[must_use]
    pub fn asserted(mut self, serial: &str, model: Option<&str>, maker: &str) -> Self {
        self.asserted = Asserted {
            serial: Some(serial.to_owned()),
            model: model.map(str::to_owned),
            maker: Some(maker.to_owned()),
        };
        self
    }

    /// The voucher.
    pub fn voucher(&self) -> &VerifiedVoucher {
        &self.voucher
    }

    /// The serial that the device's certificate names.
    pub fn certified_serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// The certificate's serial, else the maker's.
    pub fn serial(&self) -> Option<&str> {
        self.certified_serial().or(self.asserted.serial.as_deref())
    }

    pub(super) fn owner_key_type(&self) -> KeyType {
        self.voucher.owner_key().key_type()
    }
}

fn serial_of(voucher: &VerifiedVoucher) -> Result<Option<String>, Error> {
    let Some(leaf) = voucher.certificates().and_then(<[_]>::first) else { return Ok(None) };
    let certificate = Certificate::parse(leaf)?;
    // What does not fit an inventory is no serial: the device goes by its GUID then.
    let serial = certificate.subject_serial_number().and_then(|text| DeviceSerial::from_certificate(text).ok());
    Ok(serial.map(|serial| serial.as_str().to_owned()))
}
