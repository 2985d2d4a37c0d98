//! COSE_Encrypt0 (tag 16): the form of every message of TO2 from 65 on, with the suite's number as its algorithm.

use coset::iana::{Algorithm, EnumI64};
use coset::{
    CoseEncrypt0, CoseEncrypt0Builder, HeaderBuilder, RegisteredLabelWithPrivate, TaggedCborSerializable,
};

use crate::cose::shape;
use crate::crypto::CipherSuite;
use crate::error::Error;

fn algorithm(suite: CipherSuite) -> Result<Algorithm, Error> {
    Algorithm::from_i64(suite.number()).ok_or(Error::Internal("COSE algorithm"))
}

/// Builds a message around what `encrypt` makes of the IV and the authenticated data.
pub(crate) fn seal(
    suite: CipherSuite,
    iv: &[u8],
    encrypt: impl FnOnce(&[u8], &[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let protected = HeaderBuilder::new().algorithm(algorithm(suite)?).build();
    let unprotected = HeaderBuilder::new().iv(iv.to_vec()).build();
    CoseEncrypt0Builder::new()
        .protected(protected)
        .unprotected(unprotected)
        .try_create_ciphertext(&[], &[], |_, aad| encrypt(iv, aad))?
        .build()
        .to_tagged_vec()
        .map_err(|_| Error::Internal("COSE encoding"))
}

/// Takes a message apart and gives IV, ciphertext and authenticated data to `decrypt`.
pub(crate) fn open(
    suite: CipherSuite,
    message: &[u8],
    decrypt: impl FnOnce(&[u8], &[u8], &[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    shape::check(message)?;
    let object = CoseEncrypt0::from_tagged_slice(message).map_err(|_| Error::Malformed("not a COSE_Encrypt0"))?;
    let header = &object.protected.header;
    if header.alg != Some(RegisteredLabelWithPrivate::Assigned(algorithm(suite)?)) {
        return Err(Error::Malformed("encrypted with another suite than agreed on"));
    }
    if !header.crit.is_empty() {
        return Err(Error::Malformed("a critical header parameter is not understood"));
    }
    let iv = &object.unprotected.iv;
    if iv.len() != suite.iv_length() {
        return Err(Error::Malformed("an initialisation vector of the wrong length"));
    }
    object.decrypt_ciphertext(
        &[],
        || Error::Malformed("a COSE_Encrypt0 without ciphertext"),
        |ciphertext, aad| decrypt(iv, ciphertext, aad),
    )
}
