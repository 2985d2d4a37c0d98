//! What must hold before a claimed voucher is imported (voucher transfer, section 9.8).

use fdo_protocol::Guid;
use sha2::{Digest, Sha256};

use crate::keys;
use crate::manufacturers::{ClaimAnswer, Download, Manufacturer};
use crate::trust::Trust;
use crate::vouchers::{self, Acceptance, AcceptedVoucher};

/// Why a voucher that a manufacturer handed over is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("the download does not have the promised checksum")]
    Checksum,
    #[error("the download is the voucher of {0}")]
    OtherGuid(Guid),
    #[error("the voucher's first key is not one of this manufacturer's")]
    Maker,
    #[error("the voucher ends in another of our keys than the one that we proved")]
    OtherKey,
    #[error("the device's certificate names the serial {0}")]
    Serial(String),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
}

impl Distrust {
    /// The stable word that the claim keeps.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Checksum => "checksum_mismatch",
            Self::OtherGuid(_) => "guid_mismatch",
            Self::Maker | Self::Voucher(vouchers::Error::Untrusted(_)) => "maker_untrusted",
            Self::OtherKey => "key_mismatch",
            Self::Serial(_) => "serial_mismatch",
            Self::Voucher(vouchers::Error::Fork(_)) => "fork",
            Self::Voucher(vouchers::Error::Database(_) | vouchers::Error::Inventory(_)) => "internal",
            Self::Voucher(_) => "voucher_invalid",
        }
    }

    /// Whether asking again may help: a broken transfer, or a fault of this side.
    pub fn may_pass(&self) -> bool {
        matches!(self.code(), "checksum_mismatch" | "internal")
    }
}

/// What was asked, and with which key.
pub struct Asked<'a> {
    pub serial: &'a str,
    pub guid: Guid,
    pub manufacturer: &'a Manufacturer,
    /// The fingerprint of the key that was proven.
    pub key: &'a str,
}

impl Asked<'_> {
    /// Checks everything and gives the voucher as one that may be imported.
    pub fn accept(
        &self,
        answer: &ClaimAnswer,
        download: &Download,
        acceptance: &Acceptance<'_>,
        trust: &Trust,
    ) -> Result<AcceptedVoucher, Distrust> {
        let sum = format!("sha256:{}", hex::encode(Sha256::digest(&download.bytes)));
        for promised in [&answer.checksum, &download.checksum] {
            if promised.as_ref().is_none_or(|promised| !promised.eq_ignore_ascii_case(&sum)) {
                return Err(Distrust::Checksum);
            }
        }
        let accepted = acceptance.check(&download.bytes)?;
        let voucher = accepted.voucher();
        if voucher.guid() != self.guid {
            return Err(Distrust::OtherGuid(voucher.guid()));
        }
        if !trust.is_maker_key(voucher.manufacturer_key(), &self.manufacturer.id) {
            return Err(Distrust::Maker);
        }
        if keys::fingerprint(voucher.owner_key()) != self.key {
            return Err(Distrust::OtherKey);
        }
        match accepted.certified_serial() {
            Some(serial) if canonical(serial) != canonical(self.serial) => {
                Err(Distrust::Serial(serial.to_owned()))
            }
            _ => Ok(accepted.asserted(self.serial, answer.model.as_deref(), &self.manufacturer.name)),
        }
    }
}

/// Serials are compared without case, spaces and hyphens, as labels are typed (voucher transfer, section 9.3).
pub fn canonical(serial: &str) -> String {
    serial.chars().filter(|c| !matches!(c, ' ' | '-')).flat_map(char::to_uppercase).collect()
}
