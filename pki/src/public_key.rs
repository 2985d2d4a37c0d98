//! Which public keys may have a certificate here: P-256, P-384 and RSA of 2048 and 3072 bits (EST-16); the rest is
//! refused by name.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use fdo_protocol::crypto::VerifyingKey;

use crate::Error;
use crate::asn1::{self, PublicKeyInfo};

/// A key of an allowed type, told apart from a broken one.
pub(crate) fn parse_key(spki: &[u8]) -> Result<VerifyingKey, Error> {
    let refuse = |reason| Err(Error::UnsupportedKey { reason });
    let info: PublicKeyInfo = asn1::decode("public key", spki, crate::MAX_CERTIFICATE)?;
    match info.algorithm.oid {
        rfc5912::ID_EC_PUBLIC_KEY => {}
        rfc5912::RSA_ENCRYPTION => {
            return VerifyingKey::from_spki_der(spki).or_else(|error| match error {
                fdo_protocol::Error::Unsupported(why) => refuse(why.trim_start_matches("public key: ")),
                _ => refuse("its numbers do not decode"),
            });
        }
        rfc8410::ID_ED_25519 => return refuse("Ed25519 keys are not issued certificates"),
        _ => return refuse("its type is not known"),
    }
    let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match curve {
        Some(rfc5912::SECP_256_R_1 | rfc5912::SECP_384_R_1) => {}
        Some(_) => return refuse("its curve is not allowed"),
        None => return refuse("its curve is not named"),
    }
    VerifyingKey::from_spki_der(spki).or_else(|_| refuse("its point is not on the curve"))
}
