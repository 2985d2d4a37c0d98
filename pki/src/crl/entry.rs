//! One revoked certificate in a list (RFC 5280, 5.3).

use const_oid::db::rfc5280::ID_CE_CRL_REASONS;
use der::asn1::OctetString;
use x509_cert::ext::Extension;

use super::{WHAT, integer};
use crate::{Error, Reason, asn1, validity};

/// A serial number, since when, and why; encoded once, however often its list is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedEntry(Vec<u8>);

impl RevokedEntry {
    /// `serial` most significant octet first, `revoked` in unix seconds. Nothing is said of a reason that is unspecified.
    pub fn new(serial: &[u8], revoked: u64, reason: Reason) -> Result<Self, Error> {
        let extensions = match reason {
            Reason::Unspecified => Vec::new(),
            Reason::RemoveFromCrl => {
                let reason = "removeFromCRL stands in delta CRLs only";
                return Err(Error::InvalidField { field: "reason", reason });
            }
            reason => {
                let code = [0x0a, 1, reason.number()];
                let extn_value = OctetString::new(code.as_slice()).map_err(Error::encoding("reason"))?;
                asn1::encode(WHAT, &vec![Extension { extn_id: ID_CE_CRL_REASONS, critical: false, extn_value }])?
            }
        };
        let time = asn1::encode(WHAT, &validity::time(revoked)?)?;
        asn1::sequence(WHAT, &[&integer(serial)?, &time, &extensions]).map(Self)
    }

    /// The DER of the entry.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_short_as_it_can_be() {
        let plain = RevokedEntry::new(&[0x40; 16], 1_795_478_400, Reason::Unspecified).unwrap();
        assert_eq!(plain.der().len(), 35);
        assert_eq!(plain.der()[20..22], [0x17, 13], "UTCTime until 2049");
        let why = RevokedEntry::new(&[0x40; 16], 1_795_478_400, Reason::KeyCompromise).unwrap();
        assert_eq!(why.der().len(), 49);
        assert_eq!(why.der()[46..], [0x0a, 1, 1]);
    }

    #[test]
    fn a_serial_stays_positive_and_without_zeros_at_its_front() {
        let serial =
            |octets: &[u8]| RevokedEntry::new(octets, 0, Reason::Unspecified).unwrap().der()[2..].to_vec();
        assert_eq!(serial(&[0x80])[..4], [2, 2, 0, 0x80]);
        assert_eq!(serial(&[0, 0, 1])[..3], [2, 1, 1]);
        assert_eq!(serial(&[0, 0])[..3], [2, 1, 0]);
        assert_eq!(serial(&[])[..3], [2, 1, 0]);
        assert!(RevokedEntry::new(&[1], 0, Reason::RemoveFromCrl).is_err());
    }
}
