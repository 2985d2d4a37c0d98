//! The two ASN.1 shapes that everything here is made of: a signed body, and a certificate's body (RFC 5280, 4.1).
//! What holds many values that are encoded already (CRLs, OCSP answers) is put together by [`wrap`].
//!
//! Names and keys stay undecoded (`Any`), so that what is copied or hashed is byte for byte what was received.

use der::asn1::{Any, BitString, Int};
use der::{Decode, Encode, Header, Length, Sequence, Tag, TagNumber};
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::certificate::{Raw, Version};
use x509_cert::ext::Extension;
use x509_cert::time::Validity;

use crate::Error;

/// `SEQUENCE { body, signatureAlgorithm, signature }`: a certificate, or a certification request.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct Signed {
    pub body: Any,
    pub algorithm: AlgorithmIdentifierOwned,
    pub signature: BitString,
}

/// `TBSCertificate`, read from others and written by us.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct TbsCertificate {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub version: Version,
    pub serial_number: Int,
    pub signature: AlgorithmIdentifierOwned,
    pub issuer: Any,
    pub validity: Validity<Raw>,
    pub subject: Any,
    pub subject_public_key_info: Any,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub issuer_unique_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub subject_unique_id: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// `SubjectPublicKeyInfo` with its algorithm readable and its key opaque.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct PublicKeyInfo {
    pub algorithm: AlgorithmIdentifierOwned,
    pub key: BitString,
}

/// The one size-checked entry to DER decoding; trailing bytes are refused.
pub(crate) fn decode<'a, T>(what: &'static str, bytes: &'a [u8], limit: usize) -> Result<T, Error>
where
    T: Decode<'a, Error = der::Error>,
{
    if bytes.len() > limit {
        return Err(Error::TooLarge { what, limit });
    }
    T::from_der(bytes).map_err(Error::der(what))
}

/// DER of a value that consists of checked parts.
pub(crate) fn encode<T: Encode>(what: &'static str, value: &T) -> Result<Vec<u8>, Error> {
    value.to_der().map_err(Error::encoding(what))
}

/// `tag` and length around values that are encoded already.
pub(crate) fn wrap(what: &'static str, tag: Tag, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let header = || Header::new(tag, Length::try_from(length)?).to_der();
    let mut der = header().map_err(Error::encoding(what))?;
    der.reserve_exact(length);
    parts.iter().for_each(|part| der.extend_from_slice(part));
    Ok(der)
}

/// `SEQUENCE` of values that are encoded already.
pub(crate) fn sequence(what: &'static str, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    wrap(what, Tag::Sequence, parts)
}

/// `[number] EXPLICIT`, or an implicit one of what is constructed.
pub(crate) fn tagged(what: &'static str, number: u32, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    wrap(what, TagNumber(number).context_specific(true), parts)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
