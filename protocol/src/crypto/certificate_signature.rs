//! Signatures on certificates. Device CAs in the field also use RSA, which is verified here and never made.

use spki::SubjectPublicKeyInfoRef;
use spki::der::Decode;

use super::backend;
use super::key::{KeyType, VerifyingKey};
use crate::error::Error;

/// The signature algorithms of device certificate chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateAlgorithm {
    /// ecdsa-with-SHA256
    EcdsaSha256,
    /// ecdsa-with-SHA384
    EcdsaSha384,
    /// sha256WithRSAEncryption
    RsaPkcs1Sha256,
    /// sha384WithRSAEncryption
    RsaPkcs1Sha384,
    /// sha512WithRSAEncryption
    RsaPkcs1Sha512,
}

/// Checks the signature on a certificate with its issuer's SubjectPublicKeyInfo.
///
/// # Errors
/// [`Error::Rejected`] when it does not verify, [`Error::Unsupported`] for a pairing of key and hash that is not offered.
pub fn verify_certificate_signature(
    issuer_spki: &[u8],
    algorithm: CertificateAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let bits = match algorithm {
        CertificateAlgorithm::EcdsaSha256 | CertificateAlgorithm::EcdsaSha384 => {
            return verify_ecdsa(issuer_spki, algorithm, message, signature);
        }
        CertificateAlgorithm::RsaPkcs1Sha256 => 256,
        CertificateAlgorithm::RsaPkcs1Sha384 => 384,
        CertificateAlgorithm::RsaPkcs1Sha512 => 512,
    };
    let spki = SubjectPublicKeyInfoRef::from_der(issuer_spki).map_err(|_| Error::Rejected("issuer's key"))?;
    let key = spki.subject_public_key.as_bytes().ok_or(Error::Rejected("issuer's key"))?;
    if backend::verify_rsa_pkcs1(bits, key, message, signature)? {
        Ok(())
    } else {
        Err(Error::Rejected("the signature does not verify"))
    }
}

/// The curve does not settle the hash in X.509, so both pairings occur.
fn verify_ecdsa(
    issuer_spki: &[u8],
    algorithm: CertificateAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let key = VerifyingKey::from_spki_der(issuer_spki)?;
    match (key.key_type(), algorithm) {
        (KeyType::P256, CertificateAlgorithm::EcdsaSha256)
        | (KeyType::P384, CertificateAlgorithm::EcdsaSha384) => key.verify_der(message, signature),
        (KeyType::P384, _) => prehashed_p384(&key, message, signature),
        (KeyType::P256, _) => prehashed_p256(&key, message, signature),
    }
}

fn prehashed_p384(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), Error> {
    use p384::ecdsa::signature::hazmat::PrehashVerifier;
    use sha2::Digest;
    let wrong = |_| Error::Rejected("the signature does not verify");
    let signature = p384::ecdsa::Signature::from_der(signature).map_err(wrong)?;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key.point()).map_err(wrong)?;
    key.verify_prehash(&sha2::Sha256::digest(message), &signature).map_err(wrong)
}

fn prehashed_p256(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), Error> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use sha2::Digest;
    let wrong = |_| Error::Rejected("the signature does not verify");
    let signature = p256::ecdsa::Signature::from_der(signature).map_err(wrong)?;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.point()).map_err(wrong)?;
    key.verify_prehash(&sha2::Sha384::digest(message), &signature).map_err(wrong)
}
