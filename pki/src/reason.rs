//! Why a certificate is revoked (RFC 5280, 5.3.1).

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A reason code: its number stands in CRLs and OCSP answers, its name in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing is said; CRL and OCSP leave the code out.
    Unspecified,
    /// The device's key is in other hands, or may be.
    KeyCompromise,
    /// The issuer's key is.
    CaCompromise,
    /// The subject's name, or whom it belongs to, has changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The device left the fleet.
    CessationOfOperation,
    /// For now; the only one that can be lifted.
    CertificateHold,
    /// Only in a delta CRL: the hold was lifted.
    RemoveFromCrl,
    /// A privilege in the certificate was taken away.
    PrivilegeWithdrawn,
    /// The attribute authority's key is in other hands.
    AaCompromise,
}

impl Reason {
    /// All of them, in the order of their numbers; 7 is not used.
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The number in the enumeration `CRLReason`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::RemoveFromCrl => 8,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// The name in RFC 5280.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// The reason of a number, where there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Reason {
    type Err = Error;

    /// The name in RFC 5280 in upper or lower case, with or without hyphens, or the number.
    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = text.replace(['-', '_'], "");
        let number = plain.parse().ok();
        let is = |reason: &Self| reason.name().eq_ignore_ascii_case(&plain) || Some(reason.number()) == number;
        let reason = "it must be a name or number of RFC 5280, 5.3.1, such as keyCompromise or 1";
        Self::ALL.into_iter().find(is).ok_or(Error::InvalidField { field: "reason", reason })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_rfc_and_read_back() {
        let numbers: Vec<u8> = Reason::ALL.into_iter().map(Reason::number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(reason));
            assert_eq!(reason.name().parse::<Reason>().unwrap(), reason);
            assert_eq!(reason.number().to_string().parse::<Reason>().unwrap(), reason);
        }
        assert_eq!("key-compromise".parse::<Reason>().unwrap(), Reason::KeyCompromise);
        assert_eq!("CERTIFICATE-HOLD".parse::<Reason>().unwrap(), Reason::CertificateHold);
        for wrong in ["", "7", "11", "stolen"] {
            assert!(wrong.parse::<Reason>().is_err(), "{wrong}");
        }
        assert_eq!(Reason::from_number(7), None);
    }
}
