//! Signatures on certificates and requests, whose hash the key does not settle as it does in COSE.

use super::backend;
use super::key_type::Curve;
use super::rsa::RsaNumbers;
use super::verifying_key::VerifyingKey;
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
    // A CA may have 4096 bits, which no key of FDO itself has.
    let key = RsaNumbers::from_spki_der(issuer_spki)?.ok_or(Error::Rejected("issuer's key"))?;
    if backend::verify_rsa_pkcs1(bits, &key.to_pkcs1_der()?, message, signature)? {
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
    let (Some(curve), Some(point)) = (key.key_type().curve(), key.point()) else {
        return Err(Error::Unsupported("an ECDSA signature by an RSA key"));
    };
    match (curve, algorithm) {
        (Curve::P256, CertificateAlgorithm::EcdsaSha256) | (Curve::P384, CertificateAlgorithm::EcdsaSha384) => {
            key.verify_der(message, signature)
        }
        (Curve::P384, _) => prehashed_p384(point, message, signature),
        (Curve::P256, _) => prehashed_p256(point, message, signature),
    }
}

fn prehashed_p384(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    use p384::ecdsa::signature::hazmat::PrehashVerifier;
    use sha2::Digest;
    let wrong = |_| Error::Rejected("the signature does not verify");
    let signature = p384::ecdsa::Signature::from_der(signature).map_err(wrong)?;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(wrong)?;
    key.verify_prehash(&sha2::Sha256::digest(message), &signature).map_err(wrong)
}

fn prehashed_p256(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use sha2::Digest;
    let wrong = |_| Error::Rejected("the signature does not verify");
    let signature = p256::ecdsa::Signature::from_der(signature).map_err(wrong)?;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(wrong)?;
    key.verify_prehash(&sha2::Sha384::digest(message), &signature).map_err(wrong)
}
