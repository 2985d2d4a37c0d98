//! COSE_Mac0 (tag 17) around a COSE_Encrypt0: the messages of the suites that encrypt and then authenticate, in the
//! forms that the field has.

use coset::iana::Algorithm;
use coset::{CoseMac0, CoseMac0Builder, HeaderBuilder, RegisteredLabelWithPrivate, TaggedCborSerializable};

use crate::cose::{encrypt0, shape};
use crate::crypto::{CipherSuite, EtmForm};
use crate::error::Error;

fn algorithm(suite: CipherSuite) -> Algorithm {
    if suite.key_length() == 16 { Algorithm::HMAC_256_256 } else { Algorithm::HMAC_384_384 }
}

/// Builds a message around a ciphertext; `authenticate` makes the MAC over what the form says.
pub(crate) fn seal(
    suite: CipherSuite,
    form: EtmForm,
    iv: &[u8],
    ciphertext: Vec<u8>,
    authenticate: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let inner = encrypt0::inner(suite, form, iv, ciphertext)?;
    let builder = CoseMac0Builder::new()
        .protected(HeaderBuilder::new().algorithm(algorithm(suite)).build())
        .payload(inner.clone());
    let object = match form {
        EtmForm::Go | EtmForm::Specification => builder.try_create_tag(&[], authenticate)?,
        EtmForm::Java => builder.tag(authenticate(&inner)?),
    };
    object.build().to_tagged_vec().map_err(|_| Error::Internal("COSE encoding"))
}

/// Takes a message apart: gives the input of the MAC and the MAC to `verify`, and only then looks at what lies in it
/// and gives IV and ciphertext to `decrypt`.
pub(crate) fn open(
    suite: CipherSuite,
    form: EtmForm,
    message: &[u8],
    verify: impl FnOnce(&[u8], &[u8]) -> Result<(), Error>,
    decrypt: impl FnOnce(&[u8], &[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    shape::check(message)?;
    let object = CoseMac0::from_tagged_slice(message).map_err(|_| Error::Malformed("not a COSE_Mac0"))?;
    let header = &object.protected.header;
    if header.alg != Some(RegisteredLabelWithPrivate::Assigned(algorithm(suite))) {
        return Err(Error::Malformed("authenticated with another suite than agreed on"));
    }
    if !header.crit.is_empty() {
        return Err(Error::Malformed("a critical header parameter is not understood"));
    }
    const EMPTY: Error = Error::Malformed("a COSE_Mac0 without payload");
    let payload = object.payload.as_deref().ok_or(EMPTY)?;
    match form {
        EtmForm::Go | EtmForm::Specification => {
            object.verify_payload_tag(&[], || EMPTY, |mac, input| verify(input, mac))?;
        }
        EtmForm::Java => verify(payload, &object.tag)?,
    }
    encrypt0::open_inner(suite, form, payload, decrypt)
}
