//! The suites that TO2 negotiates in 60: how keys are agreed on, and how messages from 65 on are encrypted
//! (FDO 1.1, key exchange and cipher suites).

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
}

impl KexSuite {
    /// All that are offered.
    pub const ALL: [Self; 4] = [Self::Ecdh256, Self::Ecdh384, Self::Dhkexid14, Self::Dhkexid15];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdh256 => "ECDH256",
            Self::Ecdh384 => "ECDH384",
            Self::Dhkexid14 => "DHKEXid14",
            Self::Dhkexid15 => "DHKEXid15",
        }
    }

    /// The suite with this name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown name, and for one that is known but not offered.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        let offered = Self::ALL.into_iter().find(|suite| suite.name() == name);
        offered.ok_or(Error::Unsupported(match name {
            "ASYMKEX2048" => "key exchange ASYMKEX2048 is known but not offered",
            "ASYMKEX3072" => "key exchange ASYMKEX3072 is known but not offered",
            _ => "unknown key exchange",
        }))
    }

    /// Whether an owner with a key of this type may use it.
    pub fn fits(self, owner: KeyType) -> bool {
        self == Self::for_key(owner)
    }

    /// The suite that goes with an owner key of this type.
    pub fn for_key(owner: KeyType) -> Self {
        match owner {
            KeyType::P256 => Self::Ecdh256,
            KeyType::P384 => Self::Ecdh384,
        }
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

/// Cipher suites, numbered as in `cipherSuiteName`, which is also the COSE algorithm of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CipherSuite {
    /// 1: AES-GCM with a key of 128 bits.
    A128Gcm,
    /// 3: AES-GCM with a key of 256 bits.
    A256Gcm,
}

impl CipherSuite {
    /// All that are offered.
    pub const ALL: [Self; 2] = [Self::A128Gcm, Self::A256Gcm];

    /// The number on the wire.
    pub fn number(self) -> i64 {
        match self {
            Self::A128Gcm => 1,
            Self::A256Gcm => 3,
        }
    }

    /// The suite with this number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown number, and for one that is known but not offered.
    pub fn from_number(number: i64) -> Result<Self, Error> {
        let offered = Self::ALL.into_iter().find(|suite| suite.number() == number);
        offered.ok_or(Error::Unsupported(match number {
            2 => "cipher suite A192GCM (2) is known but not offered",
            30 => "cipher suite AES-CCM-16-128-128 (30) is known but not offered",
            31 => "cipher suite AES-CCM-16-128-256 (31) is known but not offered",
            32 => "cipher suite AES-CCM-64-128-128 (32) is known but not offered",
            33 => "cipher suite AES-CCM-64-128-256 (33) is known but not offered",
            -17_760_703 => "cipher suite COSEAES128CBC (-17760703) is known but not offered",
            -17_760_704 => "cipher suite COSEAES128CTR (-17760704) is known but not offered",
            -17_760_705 => "cipher suite COSEAES256CBC (-17760705) is known but not offered",
            -17_760_706 => "cipher suite COSEAES256CTR (-17760706) is known but not offered",
            _ => "unknown cipher suite",
        }))
    }

    /// The usual suite with an owner key of this type; others are allowed too.
    pub fn for_key(owner: KeyType) -> Self {
        match owner {
            KeyType::P256 => Self::A128Gcm,
            KeyType::P384 => Self::A256Gcm,
        }
    }

    /// Length of the session key in bytes.
    pub fn key_length(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm => 32,
        }
    }

    /// L of the key derivation, in bits: all the key material of the suite.
    pub fn kdf_bits(self) -> u16 {
        match self {
            Self::A128Gcm => 128,
            Self::A256Gcm => 256,
        }
    }

    /// Length of the initialisation vector in bytes.
    pub fn iv_length(self) -> usize {
        match self {
            Self::A128Gcm | Self::A256Gcm => 12,
        }
    }
}

impl Encode for CipherSuite {
    fn encode_into(&self, writer: &mut Writer) {
        writer.integer(self.number());
    }
}

impl Decode for CipherSuite {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_number(reader.integer()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for suite in KexSuite::ALL {
            assert_eq!(KexSuite::from_name(suite.name()).unwrap(), suite);
        }
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::from_number(suite.number()).unwrap(), suite);
            assert_eq!(usize::from(suite.kdf_bits()), 8 * suite.key_length());
        }
    }

    #[test]
    fn tells_what_is_unknown_from_what_is_not_offered() {
        for name in ["ASYMKEX2048", "ASYMKEX3072"] {
            let error = KexSuite::from_name(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("not offered"), "{error}");
        }
        for number in [2, 30, 31, 32, 33, -17_760_703, -17_760_704, -17_760_705, -17_760_706] {
            let error = CipherSuite::from_number(number).unwrap_err().to_string();
            assert!(error.contains(&format!("({number})")), "{error}");
        }
        for name in ["", "ecdh256", "ECDH521"] {
            assert_eq!(KexSuite::from_name(name), Err(Error::Unsupported("unknown key exchange")));
        }
        assert_eq!(CipherSuite::from_number(0), Err(Error::Unsupported("unknown cipher suite")));
    }

    #[test]
    fn a_key_exchange_fits_one_type_of_owner_key() {
        assert!(KexSuite::Ecdh256.fits(KeyType::P256) && !KexSuite::Ecdh256.fits(KeyType::P384));
        assert!(KexSuite::Ecdh384.fits(KeyType::P384) && !KexSuite::Ecdh384.fits(KeyType::P256));
        for suite in [KexSuite::Dhkexid14, KexSuite::Dhkexid15] {
            assert!(!suite.fits(KeyType::P256) && !suite.fits(KeyType::P384));
        }
    }
}
