//! The cipher suites, of which a device names one in 60, and the forms that encrypt-then-MAC has in the field
//! (FDO 1.1, cipher suites and message encryption).

use std::fmt;
use std::str::FromStr;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::{KexSuite, KeyType};
use crate::error::Error;

/// Cipher suites, numbered as in `cipherSuiteName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CipherSuite {
    /// 1: AES-GCM with a key of 128 bits.
    A128Gcm,
    /// 2: AES-GCM with a key of 192 bits.
    A192Gcm,
    /// 3: AES-GCM with a key of 256 bits.
    A256Gcm,
    /// 30: AES-CCM with a length of 16 bits and a key of 128.
    AesCcm16_128_128,
    /// 31: AES-CCM with a length of 16 bits and a key of 256.
    AesCcm16_128_256,
    /// 32: AES-CCM with a length of 64 bits and a key of 128.
    AesCcm64_128_128,
    /// 33: AES-CCM with a length of 64 bits and a key of 256.
    AesCcm64_128_256,
    /// -17760703: AES-CBC with a key of 128 bits, then HMAC-SHA256.
    CoseAes128Cbc,
    /// -17760704: AES-CTR with a key of 128 bits, then HMAC-SHA256.
    CoseAes128Ctr,
    /// -17760705: AES-CBC with a key of 256 bits, then HMAC-SHA384.
    CoseAes256Cbc,
    /// -17760706: AES-CTR with a key of 256 bits, then HMAC-SHA384.
    CoseAes256Ctr,
}

impl CipherSuite {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::A128Gcm,
        Self::A192Gcm,
        Self::A256Gcm,
        Self::AesCcm16_128_128,
        Self::AesCcm16_128_256,
        Self::AesCcm64_128_128,
        Self::AesCcm64_128_256,
        Self::CoseAes128Cbc,
        Self::CoseAes128Ctr,
        Self::CoseAes256Cbc,
        Self::CoseAes256Ctr,
    ];

    /// The number on the wire.
    pub fn number(self) -> i64 {
        match self {
            Self::A128Gcm => 1,
            Self::A192Gcm => 2,
            Self::A256Gcm => 3,
            Self::AesCcm16_128_128 => 30,
            Self::AesCcm16_128_256 => 31,
            Self::AesCcm64_128_128 => 32,
            Self::AesCcm64_128_256 => 33,
            Self::CoseAes128Cbc => -17_760_703,
            Self::CoseAes128Ctr => -17_760_704,
            Self::CoseAes256Cbc => -17_760_705,
            Self::CoseAes256Ctr => -17_760_706,
        }
    }

    /// The name, for people and for settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A192Gcm => "A192GCM",
            Self::A256Gcm => "A256GCM",
            Self::AesCcm16_128_128 => "AES-CCM-16-128-128",
            Self::AesCcm16_128_256 => "AES-CCM-16-128-256",
            Self::AesCcm64_128_128 => "AES-CCM-64-128-128",
            Self::AesCcm64_128_256 => "AES-CCM-64-128-256",
            Self::CoseAes128Cbc => "COSEAES128CBC",
            Self::CoseAes128Ctr => "COSEAES128CTR",
            Self::CoseAes256Cbc => "COSEAES256CBC",
            Self::CoseAes256Ctr => "COSEAES256CTR",
        }
    }

    /// The suite with this number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown one.
    pub fn from_number(number: i64) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.number() == number)
            .ok_or(Error::Unsupported("unknown cipher suite"))
    }

    /// The usual suite with an owner key of this type; others are allowed too.
    pub fn for_key(owner: KeyType) -> Self {
        Self::for_kex(KexSuite::for_key(owner))
    }

    /// The usual suite with this key exchange; others are allowed too.
    pub fn for_kex(kex: KexSuite) -> Self {
        match kex {
            KexSuite::Ecdh256 | KexSuite::Dhkexid14 | KexSuite::Asymkex2048 => Self::A128Gcm,
            KexSuite::Ecdh384 | KexSuite::Dhkexid15 | KexSuite::Asymkex3072 => Self::A256Gcm,
        }
    }

    /// Whether it is one that encrypts and then authenticates by an HMAC with a key of its own.
    pub fn is_encrypt_then_mac(self) -> bool {
        match self {
            Self::A128Gcm
            | Self::A192Gcm
            | Self::A256Gcm
            | Self::AesCcm16_128_128
            | Self::AesCcm16_128_256
            | Self::AesCcm64_128_128
            | Self::AesCcm64_128_256 => false,
            Self::CoseAes128Cbc | Self::CoseAes128Ctr | Self::CoseAes256Cbc | Self::CoseAes256Ctr => true,
        }
    }

    /// Length of the key that encrypts (SEVK or SEK) in bytes.
    pub fn key_length(self) -> usize {
        match self {
            Self::A128Gcm
            | Self::AesCcm16_128_128
            | Self::AesCcm64_128_128
            | Self::CoseAes128Cbc
            | Self::CoseAes128Ctr => 16,
            Self::A192Gcm => 24,
            Self::A256Gcm
            | Self::AesCcm16_128_256
            | Self::AesCcm64_128_256
            | Self::CoseAes256Cbc
            | Self::CoseAes256Ctr => 32,
        }
    }

    /// Length of the key that authenticates (SVK) in bytes; 0 where the first key does both.
    pub fn mac_key_length(self, form: EtmForm) -> usize {
        match (self.is_encrypt_then_mac(), form) {
            (false, _) => 0,
            (true, EtmForm::Go) => self.key_length(),
            (true, EtmForm::Java | EtmForm::Specification) => 2 * self.key_length(),
        }
    }

    /// L of the key derivation, in bits: all the key material of the suite.
    pub(super) fn kdf_bits(self, form: EtmForm) -> u16 {
        let bytes = self.key_length() + self.mac_key_length(form);
        u16::try_from(8 * bytes).unwrap_or(u16::MAX)
    }

    /// Length of the initialisation vector in bytes.
    pub fn iv_length(self) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => 12,
            Self::AesCcm16_128_128 | Self::AesCcm16_128_256 => 13,
            Self::AesCcm64_128_128 | Self::AesCcm64_128_256 => 7,
            Self::CoseAes128Cbc | Self::CoseAes128Ctr | Self::CoseAes256Cbc | Self::CoseAes256Ctr => 16,
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CipherSuite {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
            .ok_or(Error::Unsupported("unknown cipher suite"))
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

/// How encrypt-then-MAC is laid out. The three do not understand each other. The owner, which encrypts first, chooses;
/// a device answers in the form in which 65 came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EtmForm {
    /// go-fdo's: an inner object without tag, its algorithm unprotected; an SVK as long as the SEK.
    #[default]
    Go,
    /// pri-fidoiot's: as the specification's, but the MAC is over the payload alone.
    Java,
    /// The specification's: a MAC as in RFC 9052; an SVK twice as long as the SEK.
    Specification,
}

impl EtmForm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Go, Self::Java, Self::Specification];

    /// The name, for people and for settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Java => "java",
            Self::Specification => "specification",
        }
    }
}

impl fmt::Display for EtmForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EtmForm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|form| form.name() == name);
        known.ok_or(Error::Unsupported("form of encrypt-then-MAC: go, java and specification are"))
    }
}

impl Encode for EtmForm {
    fn encode_into(&self, writer: &mut Writer) {
        writer.text(self.name());
    }
}

impl Decode for EtmForm {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.text()?.parse()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::from_number(suite.number()).unwrap(), suite);
            assert_eq!(suite.name().parse::<CipherSuite>().unwrap(), suite);
        }
        for form in EtmForm::ALL {
            assert_eq!(form.name().parse::<EtmForm>().unwrap(), form);
        }
        for number in [0, 4, 29, 34, -17_760_702, -17_760_707] {
            assert_eq!(CipherSuite::from_number(number), Err(Error::Unsupported("unknown cipher suite")));
        }
        assert!("DES".parse::<CipherSuite>().is_err() && "conf".parse::<EtmForm>().is_err());
    }

    #[test]
    fn the_key_material_is_that_of_the_forms() {
        for suite in CipherSuite::ALL.into_iter().filter(|suite| !suite.is_encrypt_then_mac()) {
            for form in EtmForm::ALL {
                assert_eq!(usize::from(suite.kdf_bits(form)), 8 * suite.key_length());
            }
        }
        for (suite, go, others) in [
            (CipherSuite::CoseAes128Ctr, 256, 384),
            (CipherSuite::CoseAes128Cbc, 256, 384),
            (CipherSuite::CoseAes256Ctr, 512, 768),
            (CipherSuite::CoseAes256Cbc, 512, 768),
        ] {
            assert_eq!(suite.kdf_bits(EtmForm::Go), go);
            assert_eq!(suite.kdf_bits(EtmForm::Java), others);
            assert_eq!(suite.kdf_bits(EtmForm::Specification), others);
        }
    }
}
