//! Signing keys on P-256 and P-384 and their public halves.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::backend;
use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

/// The curves of device, manufacturer and owner keys. The curve settles the signature: ES256 or ES384.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// NIST P-256 with SHA-256.
    P256,
    /// NIST P-384 with SHA-384.
    P384,
}

impl KeyType {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::P256, Self::P384];

    /// Length of a coordinate, and of r and s, in bytes.
    pub fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// The COSE algorithm of its signatures.
    pub fn cose_algorithm(self) -> i64 {
        match self {
            Self::P256 => -7,
            Self::P384 => -35,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        })
    }
}

impl FromStr for KeyType {
    type Err = Error;

    /// Reads `P-256`, `P-384` and the spellings that the field uses for them.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "p-256" | "p256" | "ec256" | "secp256r1" => Ok(Self::P256),
            "p-384" | "p384" | "ec384" | "secp384r1" => Ok(Self::P384),
            _ => Err(Error::Unsupported("key type: P-256 and P-384 are")),
        }
    }
}

/// The public half of a key. The point is known to be on its curve.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifyingKey {
    key_type: KeyType,
    point: Vec<u8>,
    spki: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it is a P-256 or P-384 key with a point on the curve.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, Error> {
        if let Ok(key) = p256::PublicKey::from_public_key_der(spki) {
            return Self::from_parts(KeyType::P256, &key.to_sec1_bytes(), key.to_public_key_der());
        }
        match p384::PublicKey::from_public_key_der(spki) {
            Ok(key) => Self::from_parts(KeyType::P384, &key.to_sec1_bytes(), key.to_public_key_der()),
            Err(_) => Err(Error::Unsupported("public key: P-256 and P-384 are")),
        }
    }

    /// Reads a point in SEC 1 form.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it lies on the curve.
    pub fn from_point(key_type: KeyType, point: &[u8]) -> Result<Self, Error> {
        let off_curve = |_| Error::Unsupported("public key: the point is not on its curve");
        match key_type {
            KeyType::P256 => {
                let key = p256::PublicKey::from_sec1_bytes(point).map_err(off_curve)?;
                Self::from_parts(key_type, &key.to_sec1_bytes(), key.to_public_key_der())
            }
            KeyType::P384 => {
                let key = p384::PublicKey::from_sec1_bytes(point).map_err(off_curve)?;
                Self::from_parts(key_type, &key.to_sec1_bytes(), key.to_public_key_der())
            }
        }
    }

    fn from_parts(
        key_type: KeyType,
        point: &[u8],
        spki: spki::Result<spki::der::Document>,
    ) -> Result<Self, Error> {
        let spki = spki.map_err(|_| Error::Internal("public key encoding"))?;
        Ok(Self { key_type, point: point.to_vec(), spki: spki.into_vec() })
    }

    /// Its curve.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point: `04`, x, y.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// Checks a signature of fixed length (r and s).
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not this key's over this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        if backend::verify(self.key_type, &self.point, message, signature) {
            Ok(())
        } else {
            Err(Error::Rejected("the signature does not verify"))
        }
    }

    /// Checks a signature in DER, as X.509 has it.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not this key's over this message.
    pub fn verify_der(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let broken = |_| Error::Rejected("the signature is not in DER");
        let fixed = match self.key_type {
            KeyType::P256 => p256::ecdsa::Signature::from_der(signature).map_err(broken)?.to_bytes().to_vec(),
            KeyType::P384 => p384::ecdsa::Signature::from_der(signature).map_err(broken)?.to_bytes().to_vec(),
        };
        self.verify(message, &fixed)
    }
}

impl Encode for VerifyingKey {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bytes(&self.spki);
    }
}

impl Decode for VerifyingKey {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_spki_der(reader.bytes()?)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.key_type)?;
        self.point.iter().skip(1).take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A private key in memory. It is wiped when dropped and never printed.
#[derive(Clone)]
pub struct SigningKey {
    scalar: Arc<Zeroizing<Vec<u8>>>,
    verifying: VerifyingKey,
    signer: Arc<backend::Signer>,
}

impl SigningKey {
    /// Makes a fresh key; in tests with the portable backend the generator fixes it.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system has no randomness.
    pub fn generate(key_type: KeyType, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let pair = backend::Ephemeral::generate(key_type, rng)?;
        Self::from_scalar(key_type, pair.scalar()?)
    }

    fn from_scalar(key_type: KeyType, scalar: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let point = backend::Ephemeral::from_scalar(key_type, &scalar)?.point()?;
        let verifying = VerifyingKey::from_point(key_type, &point)?;
        let signer = Arc::new(backend::Signer::new(key_type, &scalar, &point)?);
        Ok(Self { scalar: Arc::new(scalar), verifying, signer })
    }

    /// Reads PKCS#8 or SEC 1 in DER.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it is a P-256 or P-384 key.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if let Ok(key) =
            p256::SecretKey::from_pkcs8_der(der).or_else(|_| p256::SecretKey::from_der(der).map_err(|_| ()))
        {
            return Self::from_scalar(KeyType::P256, Zeroizing::new(key.to_bytes().to_vec()));
        }
        match p384::SecretKey::from_pkcs8_der(der).or_else(|_| p384::SecretKey::from_der(der).map_err(|_| ())) {
            Ok(key) => Self::from_scalar(KeyType::P384, Zeroizing::new(key.to_bytes().to_vec())),
            Err(()) => Err(Error::Unsupported("private key: P-256 and P-384 in PKCS#8 or SEC 1 are")),
        }
    }

    /// Reads the first private key in a PEM file: `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC 1).
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless there is a P-256 or P-384 key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let missing = || Error::Unsupported("private key: the file holds no PEM block of a P-256 or P-384 key");
        let start = ["-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----"]
            .iter()
            .filter_map(|label| pem.find(label))
            .min()
            .ok_or_else(missing)?;
        let end = pem[start..].find("-----END").and_then(|end| {
            pem[start + end..].find('\n').map_or(Some(pem.len()), |line| Some(start + end + line + 1))
        });
        let block = &pem[start..end.ok_or_else(missing)?];
        let (_, der) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(|_| missing())?;
        Self::from_der(&Zeroizing::new(der))
    }

    /// PKCS#8 in DER.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |_| Error::Internal("private key encoding");
        let document = match self.key_type() {
            KeyType::P256 => p256::SecretKey::from_slice(&self.scalar)
                .map_err(|_| Error::Internal("private key"))?
                .to_pkcs8_der()
                .map_err(failed)?,
            KeyType::P384 => p384::SecretKey::from_slice(&self.scalar)
                .map_err(|_| Error::Internal("private key"))?
                .to_pkcs8_der()
                .map_err(failed)?,
        };
        Ok(document.to_bytes())
    }

    /// PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        let der = self.to_pkcs8_der()?;
        pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &der)
            .map(Zeroizing::new)
            .map_err(|_| Error::Internal("private key encoding"))
    }

    /// Its curve.
    pub fn key_type(&self) -> KeyType {
        self.verifying.key_type()
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs to r and s in the length of the curve, with the curve's hash.
    ///
    /// # Errors
    /// [`Error::Internal`] when the backend fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.signer.sign(message)
    }

    /// Signs to DER, as X.509 has it.
    ///
    /// # Errors
    /// [`Error::Internal`] when the backend fails.
    pub fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let fixed = self.sign(message)?;
        let failed = |_| Error::Internal("signature encoding");
        Ok(match self.key_type() {
            KeyType::P256 => {
                p256::ecdsa::Signature::from_slice(&fixed).map_err(failed)?.to_der().as_bytes().to_vec()
            }
            KeyType::P384 => {
                p384::ecdsa::Signature::from_slice(&fixed).map_err(failed)?.to_der().as_bytes().to_vec()
            }
        })
    }
}

/// A private key that signs COSE objects, wherever it lives: a file, later an HSM or a TPM.
pub trait OwnerKey: Send + Sync {
    /// The public half.
    fn verifying_key(&self) -> &VerifyingKey;

    /// Signs to r and s in the length of the curve.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

impl OwnerKey for SigningKey {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Self::sign(self, message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn keys_survive_pem_and_sign_both_ways() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for key_type in KeyType::ALL {
            let key = SigningKey::generate(key_type, &mut rng).unwrap();
            let again = SigningKey::from_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
            assert_eq!(again.verifying_key(), key.verifying_key());
            let public = VerifyingKey::from_spki_der(key.verifying_key().spki_der()).unwrap();
            public.verify(b"m", &again.sign(b"m").unwrap()).unwrap();
            public.verify_der(b"m", &again.sign_der(b"m").unwrap()).unwrap();
            assert!(public.verify(b"n", &again.sign(b"m").unwrap()).is_err());
            assert!(public.verify(b"m", &[]).is_err());
        }
    }

    #[test]
    fn refuses_a_point_off_the_curve() {
        let mut point = vec![4; 65];
        point[64] = 9;
        assert!(VerifyingKey::from_point(KeyType::P256, &point).is_err());
    }
}
