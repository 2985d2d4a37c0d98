//! COSE_Encrypt0 (tag 16): the form of every message of TO2 from 65 on, with the suite's number as its algorithm, or
//! what lies in such a message where the suite authenticates by a COSE_Mac0 around it.

use coset::iana::{Algorithm, EnumI64};
use coset::{
    CborSerializable, CoseEncrypt0, CoseEncrypt0Builder, Header, RegisteredLabelWithPrivate,
    TaggedCborSerializable,
};

use crate::cose::shape;
use crate::crypto::{CipherSuite, EtmForm};
use crate::error::Error;

type Label = RegisteredLabelWithPrivate<Algorithm>;

fn label(number: i64) -> Label {
    Algorithm::from_i64(number).map_or(Label::PrivateUse(number), Label::Assigned)
}

/// Builds a message around what `encrypt` makes of the IV and the authenticated data.
pub(crate) fn seal(
    suite: CipherSuite,
    iv: &[u8],
    encrypt: impl FnOnce(&[u8], &[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    CoseEncrypt0Builder::new()
        .protected(Header { alg: Some(label(suite.number())), ..Header::default() })
        .unprotected(Header { iv: iv.to_vec(), ..Header::default() })
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
    let object = CoseEncrypt0::from_tagged_slice(message).map_err(|_| NO_OBJECT)?;
    let iv = checked_iv(suite, &object, object.protected.header.alg.as_ref(), &label(suite.number()))?;
    object.decrypt_ciphertext(&[], || NO_CIPHERTEXT, |ciphertext, aad| decrypt(iv, ciphertext, aad))
}

const NO_OBJECT: Error = Error::Malformed("not a COSE_Encrypt0");
const NO_CIPHERTEXT: Error = Error::Malformed("a COSE_Encrypt0 without ciphertext");

/// Where go-fdo has no suite in the protected header, it has the algorithm alone in the other one.
fn go_algorithm(suite: CipherSuite) -> Result<Label, Error> {
    Ok(label(match suite {
        CipherSuite::CoseAes128Ctr => -65_534,
        CipherSuite::CoseAes256Ctr => -65_532,
        CipherSuite::CoseAes128Cbc => -65_531,
        CipherSuite::CoseAes256Cbc => -65_529,
        _ => return Err(Error::Internal("cipher suite")),
    }))
}

/// The object that a COSE_Mac0 authenticates.
pub(super) fn inner(suite: CipherSuite, form: EtmForm, iv: &[u8], ciphertext: Vec<u8>) -> Result<Vec<u8>, Error> {
    let builder = CoseEncrypt0Builder::new().ciphertext(ciphertext);
    let header = |alg: Option<Label>, iv: &[u8]| Header { alg, iv: iv.to_vec(), ..Header::default() };
    match form {
        EtmForm::Go => builder.unprotected(header(Some(go_algorithm(suite)?), iv)).build().to_vec(),
        EtmForm::Java | EtmForm::Specification => builder
            .protected(header(Some(label(suite.number())), &[]))
            .unprotected(header(None, iv))
            .build()
            .to_tagged_vec(),
    }
    .map_err(|_| Error::Internal("COSE encoding"))
}

/// Takes apart what a COSE_Mac0 authenticates.
pub(super) fn open_inner(
    suite: CipherSuite,
    form: EtmForm,
    bytes: &[u8],
    decrypt: impl FnOnce(&[u8], &[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let (object, found, expected) = match form {
        EtmForm::Go => {
            shape::check_untagged(bytes)?;
            let object = CoseEncrypt0::from_slice(bytes).map_err(|_| NO_OBJECT)?;
            let algorithm = object.unprotected.alg.clone();
            (object, algorithm, go_algorithm(suite)?)
        }
        EtmForm::Java | EtmForm::Specification => {
            shape::check(bytes)?;
            let object = CoseEncrypt0::from_tagged_slice(bytes).map_err(|_| NO_OBJECT)?;
            let algorithm = object.protected.header.alg.clone();
            (object, algorithm, label(suite.number()))
        }
    };
    let iv = checked_iv(suite, &object, found.as_ref(), &expected)?;
    decrypt(iv, object.ciphertext.as_deref().ok_or(NO_CIPHERTEXT)?)
}

/// The IV of an object whose headers are as they must be.
fn checked_iv<'a>(
    suite: CipherSuite,
    object: &'a CoseEncrypt0,
    found: Option<&Label>,
    expected: &Label,
) -> Result<&'a [u8], Error> {
    if found != Some(expected) {
        return Err(Error::Malformed("encrypted with another suite than agreed on"));
    }
    if !object.protected.header.crit.is_empty() {
        return Err(Error::Malformed("a critical header parameter is not understood"));
    }
    let iv = &object.unprotected.iv;
    if iv.len() != suite.iv_length() {
        return Err(Error::Malformed("an initialisation vector of the wrong length"));
    }
    Ok(iv)
}
