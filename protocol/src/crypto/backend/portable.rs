//! The portable backend: pure Rust, reproducible from a seed, for targets and tests where AWS-LC does not fit.

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::{Curve, KeyType};
use crate::error::Error;

const NO_RSA: Error = Error::Unsupported("RSA needs the aws-lc feature");
const RSA_ENCRYPTION: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key ready to sign.
pub enum Signer {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl Signer {
    pub fn new(curve: Curve, scalar: &[u8], _point: &[u8]) -> Result<Self, Error> {
        let unusable = |_| Error::Internal("private key");
        match curve {
            Curve::P256 => p256::ecdsa::SigningKey::from_slice(scalar).map(Self::P256).map_err(unusable),
            Curve::P384 => p384::ecdsa::SigningKey::from_slice(scalar).map(Self::P384).map_err(unusable),
        }
    }

    /// Signs to r and s, each in the length of the curve.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Internal("signing");
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_bytes().to_vec())
            }
        }
    }
}

/// Whether r and s over the message are of the key with this uncompressed point.
pub fn verify(curve: Curve, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match curve {
        Curve::P256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p256::ecdsa::Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
        }
        Curve::P384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p384::ecdsa::Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
        }
    }
}

/// RSA is not in this backend: the one crate that has it stands under an advisory.
pub fn verify_rsa_pkcs1(_bits: u16, _key: &[u8], _message: &[u8], _signature: &[u8]) -> Result<bool, Error> {
    Err(NO_RSA)
}

/// As [`verify_rsa_pkcs1`].
pub fn verify_rsa(_key_type: KeyType, _key: &[u8], _message: &[u8], _signature: &[u8]) -> Result<bool, Error> {
    Err(NO_RSA)
}

/// As [`verify_rsa_pkcs1`].
pub fn encrypt_oaep(_spki: &[u8], _secret: &[u8]) -> Result<Vec<u8>, Error> {
    Err(NO_RSA)
}

/// A key that cannot exist here.
pub enum RsaPrivate {}

impl RsaPrivate {
    pub fn generate(_bits: usize) -> Result<Self, Error> {
        Err(NO_RSA)
    }

    /// Tells an RSA key from what is no key at all.
    pub fn from_der(der: &[u8]) -> Result<Option<Self>, Error> {
        let is_rsa = pkcs8::PrivateKeyInfoRef::try_from(der).is_ok_and(|key| key.algorithm.oid == RSA_ENCRYPTION);
        if is_rsa { Err(NO_RSA) } else { Ok(None) }
    }

    pub fn public_pkcs1(&self) -> Vec<u8> {
        match *self {}
    }

    pub fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match *self {}
    }

    pub fn sign(&self, _key_type: KeyType, _message: &[u8]) -> Result<Vec<u8>, Error> {
        match *self {}
    }

    pub fn decrypt_oaep(&self, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        match *self {}
    }
}

/// A key pair for one key exchange.
pub enum Ephemeral {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

impl Ephemeral {
    pub fn generate(curve: Curve, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        // A draw outside 1..order is as good as impossible; a few more draws make it a fault of the generator.
        for _ in 0..8 {
            let mut scalar = Zeroizing::new(vec![0; curve.coordinate_length()]);
            rng.fill_bytes(&mut scalar);
            if let Ok(key) = Self::from_scalar(curve, &scalar) {
                return Ok(key);
            }
        }
        Err(Error::Internal("random generator"))
    }

    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, Error> {
        let unusable = |_| Error::Internal("key pair");
        match curve {
            Curve::P256 => p256::SecretKey::from_slice(scalar).map(Self::P256).map_err(unusable),
            Curve::P384 => p384::SecretKey::from_slice(scalar).map(Self::P384).map_err(unusable),
        }
    }

    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(match self {
            Self::P256(key) => key.to_bytes().to_vec(),
            Self::P384(key) => key.to_bytes().to_vec(),
        }))
    }

    /// The uncompressed point.
    pub fn point(&self) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::P256(key) => key.public_key().to_sec1_bytes().into_vec(),
            Self::P384(key) => key.public_key().to_sec1_bytes().into_vec(),
        })
    }

    /// The x coordinate of the shared point, in the length of the curve.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let off_curve = |_| Error::Rejected("key exchange with a point off the curve");
        Ok(Zeroizing::new(match self {
            Self::P256(key) => {
                let peer = p256::PublicKey::from_sec1_bytes(peer).map_err(off_curve)?;
                key.diffie_hellman(&peer).raw_secret_bytes().to_vec()
            }
            Self::P384(key) => {
                let peer = p384::PublicKey::from_sec1_bytes(peer).map_err(off_curve)?;
                key.diffie_hellman(&peer).raw_secret_bytes().to_vec()
            }
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn signs_verifies_and_agrees_on_both_curves() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        for curve in [Curve::P256, Curve::P384] {
            let one = Ephemeral::generate(curve, &mut rng).unwrap();
            let two = Ephemeral::generate(curve, &mut rng).unwrap();
            let (first, second) = (one.point().unwrap(), two.point().unwrap());
            assert_eq!(*one.agree(&second).unwrap(), *two.agree(&first).unwrap());

            let signer = Signer::new(curve, &one.scalar().unwrap(), &first).unwrap();
            let signature = signer.sign(b"message").unwrap();
            assert!(verify(curve, &first, b"message", &signature));
            assert!(!verify(curve, &first, b"another", &signature));
            assert!(!verify(curve, &second, b"message", &signature));
        }
    }

    #[test]
    fn agrees_with_the_other_backend() {
        #[cfg(feature = "aws-lc")]
        for curve in [Curve::P256, Curve::P384] {
            let mut rng = ChaCha20Rng::seed_from_u64(8);
            let ours = Ephemeral::generate(curve, &mut rng).unwrap();
            let theirs = super::super::aws_lc::Ephemeral::generate(curve, &mut rng).unwrap();
            assert_eq!(
                *ours.agree(&theirs.point().unwrap()).unwrap(),
                *theirs.agree(&ours.point().unwrap()).unwrap()
            );
        }
    }
}
