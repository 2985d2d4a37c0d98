//! Checking the signatures of certificates and requests: the one place that names algorithms.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::asn1::Any;
use fdo_protocol::crypto::{CertificateAlgorithm, KeyType, verify_certificate_signature};
use spki::AlgorithmIdentifierOwned;

use crate::Error;
use crate::asn1::Signed;

/// The algorithm of our own signatures: the one that belongs to the type of the key. Nothing here signs with PSS.
pub(crate) fn algorithm_of(key_type: KeyType) -> AlgorithmIdentifierOwned {
    let (oid, parameters) = match key_type {
        KeyType::P256 => (rfc5912::ECDSA_WITH_SHA_256, None),
        KeyType::P384 => (rfc5912::ECDSA_WITH_SHA_384, None),
        KeyType::Rsa2048 | KeyType::RsaPss2048 => (rfc5912::SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
        KeyType::Rsa3072 | KeyType::RsaPss3072 => (rfc5912::SHA_384_WITH_RSA_ENCRYPTION, Some(Any::null())),
    };
    AlgorithmIdentifierOwned { oid, parameters }
}

fn supported(oid: ObjectIdentifier) -> Option<CertificateAlgorithm> {
    Some(match oid {
        rfc5912::ECDSA_WITH_SHA_256 => CertificateAlgorithm::EcdsaSha256,
        rfc5912::ECDSA_WITH_SHA_384 => CertificateAlgorithm::EcdsaSha384,
        rfc5912::SHA_256_WITH_RSA_ENCRYPTION => CertificateAlgorithm::RsaPkcs1Sha256,
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION => CertificateAlgorithm::RsaPkcs1Sha384,
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION => CertificateAlgorithm::RsaPkcs1Sha512,
        _ => return None,
    })
}

/// Checks that the holder of `issuer_spki` signed `message`, the exact bytes of the body of `signed`.
pub(crate) fn verify(
    what: &'static str,
    issuer_spki: &[u8],
    signed: &Signed,
    message: &[u8],
) -> Result<(), Error> {
    let algorithm = supported(signed.algorithm.oid)
        .ok_or_else(|| Error::UnsupportedSignature(signed.algorithm.oid.to_string()))?;
    let signature = signed.signature.as_bytes().ok_or(Error::malformed(what, "its signature has loose bits"))?;
    verify_certificate_signature(issuer_spki, algorithm, message, signature).map_err(|error| match error {
        fdo_protocol::Error::Unsupported(_) => {
            Error::UnsupportedSignature(format!("{} with this key", signed.algorithm.oid))
        }
        _ => Error::BadSignature { what },
    })
}
