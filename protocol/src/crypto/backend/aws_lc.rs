//! The backend of the services: AWS-LC, several times faster than portable code and constant-time.
//! It draws its own randomness for key pairs and signatures.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, RsaKeyPair,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::NOT_DECRYPTED;
use crate::crypto::{Curve, KeyType};
use crate::error::Error;

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    }
}

fn verification(curve: Curve) -> &'static EcdsaVerificationAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
    }
}

fn agreement(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    }
}

/// A private key ready to sign.
pub struct Signer(EcdsaKeyPair);

impl Signer {
    pub fn new(curve: Curve, scalar: &[u8], point: &[u8]) -> Result<Self, Error> {
        EcdsaKeyPair::from_private_key_and_public_key(signing(curve), scalar, point)
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
pub fn verify(curve: Curve, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(verification(curve), point).verify(message, signature).is_ok()
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

/// Whether an RSA signature verifies, by the padding and hash of the key's type. `key` is an RSAPublicKey in DER.
pub fn verify_rsa(key_type: KeyType, key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    let algorithm = match key_type {
        KeyType::Rsa2048 => &signature::RSA_PKCS1_2048_8192_SHA256,
        KeyType::Rsa3072 => &signature::RSA_PKCS1_2048_8192_SHA384,
        KeyType::RsaPss2048 => &signature::RSA_PSS_2048_8192_SHA256,
        KeyType::RsaPss3072 => &signature::RSA_PSS_2048_8192_SHA384,
        KeyType::P256 | KeyType::P384 => return Err(Error::Internal("an elliptic curve key taken for RSA")),
    };
    Ok(signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}

/// Encrypts to the RSA key in a SubjectPublicKeyInfo: OAEP with SHA-256, MGF1 with SHA-256, no label.
pub fn encrypt_oaep(spki: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
    let key = PublicEncryptingKey::from_der(spki).ok().and_then(|key| OaepPublicEncryptingKey::new(key).ok());
    let key = key.ok_or(Error::Unsupported("encryption to this key"))?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let encrypted = key.encrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut ciphertext, None);
    Ok(encrypted.map_err(|_| Error::Internal("encryption"))?.to_vec())
}

/// An RSA private key: signs, and decrypts secrets of the key exchange.
pub struct RsaPrivate {
    signing: RsaKeyPair,
    decrypting: OaepPrivateDecryptingKey,
}

impl RsaPrivate {
    /// Makes a fresh key, which takes a second or so.
    pub fn generate(bits: usize) -> Result<Self, Error> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            _ => return Err(Error::Unsupported("RSA of another size than 2048 and 3072 bits")),
        };
        Self::new(RsaKeyPair::generate(size).map_err(|_| Error::Internal("key pair"))?)
    }

    /// Reads PKCS#8 or PKCS#1; none where it is neither.
    pub fn from_der(der: &[u8]) -> Result<Option<Self>, Error> {
        match RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            Ok(signing) => Self::new(signing).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn new(signing: RsaKeyPair) -> Result<Self, Error> {
        let pkcs8 = pkcs8_of(&signing)?;
        let unusable = Error::Internal("private key");
        let decrypting = PrivateDecryptingKey::from_pkcs8(&pkcs8).map_err(|_| unusable.clone())?;
        Ok(Self { signing, decrypting: OaepPrivateDecryptingKey::new(decrypting).map_err(|_| unusable)? })
    }

    /// RSAPublicKey in DER.
    pub fn public_pkcs1(&self) -> Vec<u8> {
        self.signing.public_key().as_ref().to_vec()
    }

    /// PKCS#8 in DER.
    pub fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        pkcs8_of(&self.signing)
    }

    /// Signs with PKCS#1 v1.5 and the hash of the key's type.
    pub fn sign(&self, key_type: KeyType, message: &[u8]) -> Result<Vec<u8>, Error> {
        let padding = match key_type {
            KeyType::Rsa2048 => &signature::RSA_PKCS1_SHA256,
            KeyType::Rsa3072 => &signature::RSA_PKCS1_SHA384,
            _ => return Err(Error::Unsupported("RSAPSS keys are verified, never used to sign")),
        };
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(padding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::Internal("signing"))?;
        Ok(signature)
    }

    /// Decrypts what [`encrypt_oaep`] made. Every failure is the same, and AWS-LC takes the same time for each.
    pub fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut buffer = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let secret = self.decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut buffer, None);
        Ok(Zeroizing::new(secret.map_err(|_| Error::Rejected(NOT_DECRYPTED))?.to_vec()))
    }
}

fn pkcs8_of(key: &RsaKeyPair) -> Result<Zeroizing<Vec<u8>>, Error> {
    let der = AsDer::as_der(key).map_err(|_| Error::Internal("private key encoding"))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

/// A key pair for one key exchange.
pub struct Ephemeral {
    curve: Curve,
    key: PrivateKey,
}

impl Ephemeral {
    pub fn generate(curve: Curve, _rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let key = PrivateKey::generate(agreement(curve)).map_err(|_| Error::Internal("key pair"))?;
        Ok(Self { curve, key })
    }

    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, Error> {
        let key =
            PrivateKey::from_private_key(agreement(curve), scalar).map_err(|_| Error::Internal("key pair"))?;
        Ok(Self { curve, key })
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
        let peer = UnparsedPublicKey::new(agreement(self.curve), peer);
        agreement::agree(&self.key, peer, Error::Rejected("key exchange with a point off the curve"), |shared| {
            Ok(Zeroizing::new(shared.to_vec()))
        })
    }
}
