//! The types of device, manufacturer and owner keys (FDO 1.1, public keys), and what each settles.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What kind of key it is. The type settles how it signs: ES256, ES384, RS256, RS384, PS256 or PS384.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// NIST P-256 with SHA-256.
    P256,
    /// NIST P-384 with SHA-384.
    P384,
    /// RSA of 2048 bits with PKCS#1 v1.5 and SHA-256; on the wire RSA2048RESTR or RSAPKCS.
    Rsa2048,
    /// RSA of 3072 bits with PKCS#1 v1.5 and SHA-384; on the wire RSAPKCS.
    Rsa3072,
    /// RSA of 2048 bits with PSS and SHA-256: verified, never issued.
    RsaPss2048,
    /// RSA of 3072 bits with PSS and SHA-384: verified, never issued.
    RsaPss3072,
}

impl KeyType {
    /// Those that keys are made of here.
    pub const ISSUED: [Self; 4] = [Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072];

    /// Those on an elliptic curve, which are made in no time.
    pub const ELLIPTIC: [Self; 2] = [Self::P256, Self::P384];

    /// The curve, unless it is RSA.
    pub fn curve(self) -> Option<Curve> {
        match self {
            Self::P256 => Some(Curve::P256),
            Self::P384 => Some(Curve::P384),
            Self::Rsa2048 | Self::Rsa3072 | Self::RsaPss2048 | Self::RsaPss3072 => None,
        }
    }

    /// Length of the modulus in bits, if it is RSA.
    pub fn modulus_bits(self) -> Option<usize> {
        match self {
            Self::P256 | Self::P384 => None,
            Self::Rsa2048 | Self::RsaPss2048 => Some(2048),
            Self::Rsa3072 | Self::RsaPss3072 => Some(3072),
        }
    }

    /// Whether it signs with PSS.
    pub fn is_pss(self) -> bool {
        matches!(self, Self::RsaPss2048 | Self::RsaPss3072)
    }

    /// Length of its signatures in bytes: r and s, or the modulus.
    pub fn signature_length(self) -> usize {
        match (self.curve(), self.modulus_bits()) {
            (Some(curve), _) => 2 * curve.coordinate_length(),
            (None, bits) => bits.unwrap_or_default() / 8,
        }
    }

    /// The COSE algorithm of its signatures.
    pub fn cose_algorithm(self) -> i64 {
        match self {
            Self::P256 => -7,
            Self::P384 => -35,
            Self::Rsa2048 => -257,
            Self::Rsa3072 => -258,
            Self::RsaPss2048 => -37,
            Self::RsaPss3072 => -38,
        }
    }

    /// The same RSA key with PSS in place of PKCS#1 v1.5; others stay as they are.
    pub(crate) fn with_pss(self) -> Self {
        match self {
            Self::Rsa2048 => Self::RsaPss2048,
            Self::Rsa3072 => Self::RsaPss3072,
            other => other,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Rsa2048 => "RSA2048",
            Self::Rsa3072 => "RSA3072",
            Self::RsaPss2048 => "RSAPSS2048",
            Self::RsaPss3072 => "RSAPSS3072",
        })
    }
}

impl FromStr for KeyType {
    type Err = Error;

    /// Reads `P-256`, `P-384`, `RSA2048`, `RSA3072` and the spellings that the field uses for them.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "p-256" | "p256" | "ec256" | "secp256r1" => Ok(Self::P256),
            "p-384" | "p384" | "ec384" | "secp384r1" => Ok(Self::P384),
            "rsa2048" | "rsa-2048" | "rsa2048restr" => Ok(Self::Rsa2048),
            "rsa3072" | "rsa-3072" => Ok(Self::Rsa3072),
            _ => Err(Error::Unsupported("key type: P-256, P-384, RSA2048 and RSA3072 are")),
        }
    }
}

/// The elliptic curves of keys and of the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Length of a coordinate, and of r and s, in bytes.
    pub fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl From<Curve> for KeyType {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::P256,
            Curve::P384 => Self::P384,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for key_type in KeyType::ISSUED {
            assert_eq!(key_type.to_string().parse::<KeyType>().unwrap(), key_type);
        }
        for name in ["RSAPSS2048", "RSA1024", "RSA4096", "", "Ed25519"] {
            assert!(name.parse::<KeyType>().is_err(), "{name}");
        }
    }
}
