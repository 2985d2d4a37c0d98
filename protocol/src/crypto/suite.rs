//! The key exchange suites, of which a device names one in 60 (FDO 1.1, key exchange).

use std::str::FromStr;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::KeyType;
use crate::error::Error;

/// Key exchange suites, named as in `kexSuiteName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KexSuite {
    /// `ECDH256`, on P-256.
    Ecdh256,
    /// `ECDH384`, on P-384.
    Ecdh384,
    /// `DHKEXid14`, in the group of 2048 bits; with RSA owners.
    Dhkexid14,
    /// `DHKEXid15`, in the group of 3072 bits; with RSA owners.
    Dhkexid15,
    /// `ASYMKEX2048`, encryption to an RSA key of 2048 bits.
    Asymkex2048,
    /// `ASYMKEX3072`, encryption to an RSA key of 3072 bits.
    Asymkex3072,
}

impl KexSuite {
    /// All that are offered.
    pub const ALL: [Self; 6] =
        [Self::Ecdh256, Self::Ecdh384, Self::Dhkexid14, Self::Dhkexid15, Self::Asymkex2048, Self::Asymkex3072];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdh256 => "ECDH256",
            Self::Ecdh384 => "ECDH384",
            Self::Dhkexid14 => "DHKEXid14",
            Self::Dhkexid15 => "DHKEXid15",
            Self::Asymkex2048 => "ASYMKEX2048",
            Self::Asymkex3072 => "ASYMKEX3072",
        }
    }

    /// The suite with this name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        let offered = Self::ALL.into_iter().find(|suite| suite.name() == name);
        offered.ok_or(Error::Unsupported("unknown key exchange"))
    }

    /// Whether an owner with a key of this type may use it. With RSA the size counts, not how the key signs.
    pub fn fits(self, owner: KeyType) -> bool {
        match self {
            Self::Ecdh256 => owner == KeyType::P256,
            Self::Ecdh384 => owner == KeyType::P384,
            Self::Dhkexid14 | Self::Asymkex2048 => owner.modulus_bits() == Some(2048),
            Self::Dhkexid15 | Self::Asymkex3072 => owner.modulus_bits() == Some(3072),
        }
    }

    /// The suite to use with an owner key of this type: one with forward secrecy, which ASYMKEX lacks.
    pub fn for_key(owner: KeyType) -> Self {
        match owner {
            KeyType::P256 => Self::Ecdh256,
            KeyType::P384 => Self::Ecdh384,
            KeyType::Rsa2048 | KeyType::RsaPss2048 => Self::Dhkexid14,
            KeyType::Rsa3072 | KeyType::RsaPss3072 => Self::Dhkexid15,
        }
    }
}

impl KexSuite {
    /// The suite that goes with an owner whose signatures have this COSE algorithm: RSA with SHA-256 is of 2048 bits,
    /// with SHA-384 of 3072.
    pub fn for_signature(algorithm: i64) -> Option<Self> {
        match algorithm {
            -7 => Some(Self::Ecdh256),
            -35 => Some(Self::Ecdh384),
            -257 | -37 => Some(Self::Dhkexid14),
            -258 | -38 => Some(Self::Dhkexid15),
            _ => None,
        }
    }
}

impl FromStr for KexSuite {
    type Err = Error;

    /// Reads a name in any case, as people write it; on the wire only the exact one counts.
    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name));
        known.ok_or(Error::Unsupported("unknown key exchange"))
    }
}

impl Encode for KexSuite {
    fn encode_into(&self, writer: &mut Writer) {
        writer.text(self.name());
    }
}

impl Decode for KexSuite {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_name(reader.text()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for suite in KexSuite::ALL {
            assert_eq!(KexSuite::from_name(suite.name()).unwrap(), suite);
            assert_eq!(suite.name().to_lowercase().parse::<KexSuite>().unwrap(), suite);
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        for name in ["", "ecdh256", "ECDH521"] {
            assert_eq!(KexSuite::from_name(name), Err(Error::Unsupported("unknown key exchange")));
        }
    }

    #[test]
    fn a_signature_shows_its_key_exchange() {
        for key_type in KeyType::ISSUED {
            let shown = KexSuite::for_signature(key_type.cose_algorithm());
            assert_eq!(shown, Some(KexSuite::for_key(key_type)));
        }
        assert_eq!(KexSuite::for_signature(-8), None);
    }

    #[test]
    fn a_key_exchange_fits_one_type_of_owner_key() {
        for suite in KexSuite::ALL {
            let fitting = KeyType::ISSUED.into_iter().filter(|key_type| suite.fits(*key_type));
            assert_eq!(fitting.count(), 1, "{suite:?}");
        }
        for key_type in KeyType::ISSUED {
            assert!(KexSuite::for_key(key_type).fits(key_type), "{key_type}");
        }
    }
}
