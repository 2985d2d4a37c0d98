//! Private keys in memory, and the trait of keys that may live elsewhere.

use std::sync::Arc;

use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::backend;
use super::key_type::{Curve, KeyType};
use super::rsa::RsaNumbers;
use super::verifying_key::VerifyingKey;
use crate::error::Error;

const USABLE: &str = "private key: P-256, P-384 and RSA (2048 or 3072 bits) in PKCS#8, SEC 1 or PKCS#1 are";

/// A private key in memory. It is wiped when dropped and never printed.
#[derive(Clone)]
pub struct SigningKey {
    secret: Secret,
    verifying: VerifyingKey,
}

#[derive(Clone)]
enum Secret {
    Elliptic { curve: Curve, scalar: Arc<Zeroizing<Vec<u8>>>, signer: Arc<backend::Signer> },
    Rsa(Arc<backend::RsaPrivate>),
}

impl SigningKey {
    /// Makes a fresh key; in tests with the portable backend the generator fixes it. RSA takes a second or so.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system has no randomness, [`Error::Unsupported`] for PSS, and for RSA where the
    /// backend lacks it.
    pub fn generate(key_type: KeyType, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        match (key_type.curve(), key_type.modulus_bits()) {
            (Some(curve), _) => {
                let pair = backend::Ephemeral::generate(curve, rng)?;
                Self::from_scalar(curve, pair.scalar()?)
            }
            (None, Some(bits)) if !key_type.is_pss() => Self::from_rsa(backend::RsaPrivate::generate(bits)?),
            _ => Err(Error::Unsupported("RSAPSS keys are verified, never issued")),
        }
    }

    fn from_scalar(curve: Curve, scalar: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let point = backend::Ephemeral::from_scalar(curve, &scalar)?.point()?;
        let verifying = VerifyingKey::from_point(curve, &point)?;
        let signer = Arc::new(backend::Signer::new(curve, &scalar, &point)?);
        Ok(Self { secret: Secret::Elliptic { curve, scalar: Arc::new(scalar), signer }, verifying })
    }

    fn from_rsa(key: backend::RsaPrivate) -> Result<Self, Error> {
        let verifying = VerifyingKey::from_rsa_numbers(&RsaNumbers::from_pkcs1_der(&key.public_pkcs1())?)?;
        Ok(Self { secret: Secret::Rsa(Arc::new(key)), verifying })
    }

    /// Reads PKCS#8, SEC 1 or PKCS#1 in DER.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it is a P-256, P-384 or RSA key (2048 or 3072 bits).
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if let Ok(key) =
            p256::SecretKey::from_pkcs8_der(der).or_else(|_| p256::SecretKey::from_der(der).map_err(|_| ()))
        {
            return Self::from_scalar(Curve::P256, Zeroizing::new(key.to_bytes().to_vec()));
        }
        if let Ok(key) =
            p384::SecretKey::from_pkcs8_der(der).or_else(|_| p384::SecretKey::from_der(der).map_err(|_| ()))
        {
            return Self::from_scalar(Curve::P384, Zeroizing::new(key.to_bytes().to_vec()));
        }
        match backend::RsaPrivate::from_der(der)? {
            Some(key) => Self::from_rsa(key),
            None => Err(Error::Unsupported(USABLE)),
        }
    }

    /// Reads the first private key in a PEM file: `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY` (SEC 1) or
    /// `RSA PRIVATE KEY` (PKCS#1).
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless there is a key as in [`Self::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let missing =
            || Error::Unsupported("private key: the file holds no PEM block of a P-256, P-384 or RSA key");
        let start = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]
            .iter()
            .filter_map(|label| pem.find(&format!("-----BEGIN {label}-----")))
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
        let document = match &self.secret {
            Secret::Elliptic { curve: Curve::P256, scalar, .. } => p256::SecretKey::from_slice(scalar)
                .map_err(|_| Error::Internal("private key"))?
                .to_pkcs8_der()
                .map_err(failed)?,
            Secret::Elliptic { curve: Curve::P384, scalar, .. } => p384::SecretKey::from_slice(scalar)
                .map_err(|_| Error::Internal("private key"))?
                .to_pkcs8_der()
                .map_err(failed)?,
            Secret::Rsa(key) => return key.pkcs8(),
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

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.verifying.key_type()
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs as COSE has it, with the hash of the key's type: r and s in fixed length, or PKCS#1 v1.5.
    ///
    /// # Errors
    /// [`Error::Internal`] when the backend fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.secret {
            Secret::Elliptic { signer, .. } => signer.sign(message),
            Secret::Rsa(key) => key.sign(self.key_type(), message),
        }
    }

    /// Signs as X.509 has it: DER for elliptic curves, the same as COSE's for RSA.
    ///
    /// # Errors
    /// [`Error::Internal`] when the backend fails.
    pub fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(message)?;
        let failed = |_| Error::Internal("signature encoding");
        Ok(match self.key_type().curve() {
            Some(Curve::P256) => {
                p256::ecdsa::Signature::from_slice(&signature).map_err(failed)?.to_der().as_bytes().to_vec()
            }
            Some(Curve::P384) => {
                p384::ecdsa::Signature::from_slice(&signature).map_err(failed)?.to_der().as_bytes().to_vec()
            }
            None => signature,
        })
    }
}

/// A private key that signs COSE objects, wherever it lives: a file, later an HSM or a TPM.
pub trait OwnerKey: Send + Sync {
    /// The public half.
    fn verifying_key(&self) -> &VerifyingKey;

    /// Signs as COSE has it: r and s in the length of the curve, or PKCS#1 v1.5.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;

    /// Decrypts a secret of the key exchange: RSA-OAEP with SHA-256 and no label.
    ///
    /// # Errors
    /// [`Error::Rejected`], always the same one, when it does not decrypt; [`Error::Unsupported`] for other keys than
    /// RSA, and for those that do not decrypt.
    fn decrypt_oaep(&self, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Err(Error::Unsupported("key exchange by encryption: the key only signs"))
    }
}

impl OwnerKey for SigningKey {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Self::sign(self, message)
    }

    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        match &self.secret {
            Secret::Rsa(key) => key.decrypt_oaep(ciphertext),
            Secret::Elliptic { .. } => Err(Error::Unsupported("key exchange by encryption: the key is not RSA")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::recorded_keys;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn keys() -> impl Iterator<Item = SigningKey> {
        KeyType::ISSUED
            .into_iter()
            .filter(|key_type| cfg!(feature = "aws-lc") || key_type.curve().is_some())
            .map(recorded_keys::key)
    }

    #[test]
    fn keys_survive_pem_and_sign_both_ways() {
        for key in keys() {
            let again = SigningKey::from_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
            assert_eq!(again.verifying_key(), key.verifying_key());
            let public = VerifyingKey::from_spki_der(key.verifying_key().spki_der()).unwrap();
            let signature = again.sign(b"m").unwrap();
            assert_eq!(signature.len(), key.key_type().signature_length());
            public.verify(b"m", &signature).unwrap();
            public.verify_der(b"m", &again.sign_der(b"m").unwrap()).unwrap();
            assert!(public.verify(b"n", &signature).is_err());
            assert!(public.verify(b"m", &[]).is_err());
            assert_eq!(crate::cbor::decode::<VerifyingKey>(&crate::cbor::encode(&public)).unwrap(), public);
        }
    }

    #[test]
    fn an_rsa_key_decrypts_what_its_public_half_encrypts_and_nothing_else() {
        for key in keys() {
            if key.key_type().curve().is_some() {
                assert!(matches!(key.decrypt_oaep(&[0; 256]), Err(Error::Unsupported(_))));
                continue;
            }
            let mut ciphertext = key.verifying_key().encrypt_oaep(b"secret").unwrap();
            assert_eq!(*key.decrypt_oaep(&ciphertext).unwrap(), b"secret");
            assert_eq!(ciphertext.len(), key.key_type().signature_length());
            ciphertext[255] ^= 1;
            let refused = key.decrypt_oaep(&ciphertext).unwrap_err();
            assert!(matches!(refused, Error::Rejected(_)));
            for garbage in [&[][..], &[0; 255], &[0; 256], &[0xff; 256], &[1; 257]] {
                assert_eq!(key.decrypt_oaep(garbage).unwrap_err(), refused);
            }
        }
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn a_fresh_rsa_key_is_of_its_size_and_reads_as_pkcs1_too() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let key = SigningKey::generate(KeyType::Rsa2048, &mut rng).unwrap();
        assert_eq!(key.key_type(), KeyType::Rsa2048);
        let pkcs8 = key.to_pkcs8_der().unwrap();
        let pkcs1 = pkcs8::PrivateKeyInfoRef::try_from(pkcs8.as_slice()).unwrap().private_key.as_bytes().to_vec();
        assert_eq!(SigningKey::from_der(&pkcs1).unwrap().verifying_key(), key.verifying_key());
        assert!(SigningKey::from_der(&pkcs1[1..]).is_err());
    }

    #[test]
    fn a_pss_key_keeps_its_scheme_and_is_never_made() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        assert!(SigningKey::generate(KeyType::RsaPss2048, &mut rng).is_err());
        for key in keys() {
            let public = key.verifying_key().clone();
            if public.point().is_some() {
                assert!(public.with_pss().is_err());
                continue;
            }
            let pss = public.clone().with_pss().unwrap();
            assert_ne!(pss, public);
            assert_eq!(crate::cbor::decode::<VerifyingKey>(&crate::cbor::encode(&pss)).unwrap(), pss);
            assert!(pss.verify(b"m", &key.sign(b"m").unwrap()).is_err(), "PKCS#1 v1.5 is not PSS");
        }
    }

    #[test]
    fn refuses_a_point_off_the_curve() {
        let mut point = vec![4; 65];
        point[64] = 9;
        assert!(VerifyingKey::from_point(Curve::P256, &point).is_err());
    }
}
