//! `Hash` and `HMac`: a type and a digest of that type's length (FDO 1.1, hash types).

use std::fmt;

use hmac::{KeyInit, Mac};
use sha2::Digest;
use subtle::ConstantTimeEq;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::KeyType;
use crate::error::Error;

/// The hash functions of FDO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashType {
    /// SHA-256, number -16, 32 bytes.
    Sha256,
    /// SHA-384, number -43, 48 bytes.
    Sha384,
}

/// The HMACs of FDO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacType {
    /// HMAC-SHA-256, number 5, 32 bytes.
    Sha256,
    /// HMAC-SHA-384, number 6, 48 bytes.
    Sha384,
}

impl HashType {
    /// The strength that goes with a pair of device key and owner key: SHA-384 where P-384 is one of them, or both are
    /// RSA of 3072 bits.
    pub fn for_keys(device: KeyType, owner: KeyType) -> Self {
        let is_large_rsa = |key_type: KeyType| key_type.modulus_bits() == Some(3072);
        let is_p384 = device == KeyType::P384 || owner == KeyType::P384;
        if is_p384 || (is_large_rsa(device) && is_large_rsa(owner)) { Self::Sha384 } else { Self::Sha256 }
    }

    fn number(self) -> i64 {
        match self {
            Self::Sha256 => -16,
            Self::Sha384 => -43,
        }
    }
}

impl HmacType {
    /// The strength that goes with a pair of device key and owner key.
    pub fn for_keys(device: KeyType, owner: KeyType) -> Self {
        match HashType::for_keys(device, owner) {
            HashType::Sha256 => Self::Sha256,
            HashType::Sha384 => Self::Sha384,
        }
    }

    /// The hash of the same strength, which entries, hello and redirect hashes follow.
    pub fn hash_type(self) -> HashType {
        match self {
            Self::Sha256 => HashType::Sha256,
            Self::Sha384 => HashType::Sha384,
        }
    }

    /// Length of the digest in bytes, which is also the length of a secret that is worth it.
    pub fn length(self) -> usize {
        self.hash_type().length()
    }

    fn number(self) -> i64 {
        match self {
            Self::Sha256 => 5,
            Self::Sha384 => 6,
        }
    }
}

impl HashType {
    /// Length of the digest in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// A typed digest. Compared in constant time.
#[derive(Clone)]
pub struct Hash {
    hash_type: HashType,
    digest: Vec<u8>,
}

impl Hash {
    /// Hashes the parts one after the other, with nothing between them.
    pub fn of(hash_type: HashType, parts: &[&[u8]]) -> Self {
        fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hasher = D::new();
            for part in parts {
                hasher.update(part);
            }
            hasher.finalize().to_vec()
        }
        let digest = match hash_type {
            HashType::Sha256 => digest::<sha2::Sha256>(parts),
            HashType::Sha384 => digest::<sha2::Sha384>(parts),
        };
        Self { hash_type, digest }
    }

    /// Which hash function made it.
    pub fn hash_type(&self) -> HashType {
        self.hash_type
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Whether the parts hash to this, by the type that this one has.
    pub fn matches(&self, parts: &[&[u8]]) -> bool {
        *self == Self::of(self.hash_type, parts)
    }
}

/// A typed message authentication code. Compared in constant time.
#[derive(Clone)]
pub struct Hmac {
    hmac_type: HmacType,
    digest: Vec<u8>,
}

impl Hmac {
    /// Authenticates the parts one after the other under `secret`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the secret cannot be used as a key.
    pub fn of(hmac_type: HmacType, secret: &[u8], parts: &[&[u8]]) -> Result<Self, Error> {
        fn code<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
            let mut mac = <M as KeyInit>::new_from_slice(secret).map_err(|_| Error::Internal("HMAC secret"))?;
            for part in parts {
                mac.update(part);
            }
            Ok(mac.finalize().into_bytes().to_vec())
        }
        let digest = match hmac_type {
            HmacType::Sha256 => code::<hmac::Hmac<sha2::Sha256>>(secret, parts)?,
            HmacType::Sha384 => code::<hmac::Hmac<sha2::Sha384>>(secret, parts)?,
        };
        Ok(Self { hmac_type, digest })
    }

    /// Which HMAC it is.
    pub fn hmac_type(&self) -> HmacType {
        self.hmac_type
    }

    /// The code.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

macro_rules! wire {
    ($name:ident, $field:ident, $ty:ident, $what:literal) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.$field == other.$field && bool::from(self.digest.ct_eq(&other.digest))
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}:", self.$field)?;
                self.digest.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Encode for $name {
            fn encode_into(&self, writer: &mut Writer) {
                writer.array(2).integer(self.$field.number()).bytes(&self.digest);
            }
        }

        impl Decode for $name {
            fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
                reader.array(2)?;
                let number = reader.integer()?;
                let $field = [$ty::Sha256, $ty::Sha384]
                    .into_iter()
                    .find(|candidate| candidate.number() == number)
                    .ok_or(Error::Malformed(concat!("unknown ", $what, " type")))?;
                let digest = reader.bytes()?.to_vec();
                if digest.len() != $field.length() {
                    return Err(Error::Malformed(concat!($what, " of the wrong length")));
                }
                Ok(Self { $field, digest })
            }
        }
    };
}
wire!(Hash, hash_type, HashType, "hash");
wire!(Hmac, hmac_type, HmacType, "HMAC");
