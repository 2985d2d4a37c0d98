//! The backend of the services: AWS-LC, several times faster than portable code and constant-time.
//! It draws its own randomness for key pairs and signatures.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::KeyType;
use crate::error::Error;

fn signing(key_type: KeyType) -> &'static EcdsaSigningAlgorithm {
    match key_type {
        KeyType::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        KeyType::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    }
}

fn verification(key_type: KeyType) -> &'static EcdsaVerificationAlgorithm {
    match key_type {
        KeyType::P256 => &signature::ECDSA_P256_SHA256_FIXED,
        KeyType::P384 => &signature::ECDSA_P384_SHA384_FIXED,
    }
}

fn agreement(key_type: KeyType) -> &'static agreement::Algorithm {
    match key_type {
        KeyType::P256 => &agreement::ECDH_P256,
        KeyType::P384 => &agreement::ECDH_P384,
    }
}

/// A private key ready to sign.
pub struct Signer(EcdsaKeyPair);

impl Signer {
    pub fn new(key_type: KeyType, scalar: &[u8], point: &[u8]) -> Result<Self, Error> {
        EcdsaKeyPair::from_private_key_and_public_key(signing(key_type), scalar, point)
            .map(Self)
            .map_err(|_| Error::Internal("private key"))
    }

    /// Signs to r and s, each in the length of the curve.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| Error::Internal("signing"))
    }
}

/// Whether r and s over the message are of the key with this uncompressed point.
pub fn verify(key_type: KeyType, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(verification(key_type), point).verify(message, signature).is_ok()
}

/// Whether an RSA PKCS#1 v1.5 signature verifies. `key` is an RSAPublicKey in DER.
pub fn verify_rsa_pkcs1(bits: u16, key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    let algorithm = match bits {
        256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(Error::Unsupported("hash of an RSA signature")),
    };
    Ok(signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}

/// A key pair for one key exchange.
pub struct Ephemeral {
    key_type: KeyType,
    key: PrivateKey,
}

impl Ephemeral {
    pub fn generate(key_type: KeyType, _rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let key = PrivateKey::generate(agreement(key_type)).map_err(|_| Error::Internal("key pair"))?;
        Ok(Self { key_type, key })
    }

    pub fn from_scalar(key_type: KeyType, scalar: &[u8]) -> Result<Self, Error> {
        let key =
            PrivateKey::from_private_key(agreement(key_type), scalar).map_err(|_| Error::Internal("key pair"))?;
        Ok(Self { key_type, key })
    }

    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let scalar: EcPrivateKeyBin<'_> = self.key.as_be_bytes().map_err(|_| Error::Internal("key pair"))?;
        Ok(Zeroizing::new(scalar.as_ref().to_vec()))
    }

    /// The uncompressed point.
    pub fn point(&self) -> Result<Vec<u8>, Error> {
        let public = self.key.compute_public_key().map_err(|_| Error::Internal("key pair"))?;
        Ok(public.as_ref().to_vec())
    }

    /// The x coordinate of the shared point, in the length of the curve.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let peer = UnparsedPublicKey::new(agreement(self.key_type), peer);
        agreement::agree(&self.key, peer, Error::Rejected("key exchange with a point off the curve"), |shared| {
            Ok(Zeroizing::new(shared.to_vec()))
        })
    }
}
