//! Certs-only CMS `SignedData` (RFC 5652, section 5; RFC 7030, 4.1.3): how CA certificates travel in EST and `fdo.csr`.

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos};
use const_oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use der::asn1::{Any, AnyRef, SetOfVec};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::asn1::{decode, encode};
use crate::{Certificate, Error, decode_base64, encode_base64};

/// Longest certs-only message that is read, in bytes of DER.
pub const MAX_CERTS_ONLY: usize = 64 * 1024;
/// More certificates than this are refused.
pub const MAX_CERTIFICATES: usize = 16;
const WHAT: &str = "certs-only message";

/// Builds a certs-only message from DER certificates; the set has no order, and one given twice stands in it once.
pub fn build_certs_only<T: AsRef<[u8]>>(certificates: &[T]) -> Result<Vec<u8>, Error> {
    let mut set = SetOfVec::new();
    for der in certificates {
        let certificate =
            CertificateChoices::Certificate(decode("certificate", der.as_ref(), crate::MAX_CERTIFICATE)?);
        if !set.iter().any(|known| *known == certificate) {
            set.insert(certificate).map_err(Error::encoding(WHAT))?;
        }
    }
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo { econtent_type: ID_DATA, econtent: None },
        certificates: Some(CertificateSet(set)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    let content = Any::encode_from(&signed_data).map_err(Error::encoding(WHAT))?;
    encode(WHAT, &ContentInfo { content_type: ID_SIGNED_DATA, content })
}

/// Reads the certificates (at least one, each well-formed) out of a certs-only message, byte for byte.
///
/// What else a `SignedData` may carry is skipped: nothing in the message is trusted for its signature.
pub fn parse_certs_only(der: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let info: ContentInfo = decode(WHAT, der, MAX_CERTS_ONLY)?;
    if info.content_type != ID_SIGNED_DATA {
        return Err(Error::malformed(WHAT, "it is no SignedData"));
    }
    let certificates_tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let walk = || {
        AnyRef::from(&info.content).sequence(|fields| {
            let mut certificates = Vec::new();
            while !fields.is_finished() {
                let field = AnyRef::decode(fields)?;
                if field.tag() == certificates_tag {
                    let mut set = SliceReader::new(field.value())?;
                    while !set.is_finished() && certificates.len() <= MAX_CERTIFICATES {
                        certificates.push(AnyRef::decode(&mut set)?.to_der()?);
                    }
                }
            }
            Ok::<_, der::Error>(certificates)
        })
    };
    let certificates = walk().map_err(Error::der(WHAT))?;
    if certificates.is_empty() || certificates.len() > MAX_CERTIFICATES {
        return Err(Error::malformed(WHAT, "it must hold 1 to 16 certificates"));
    }
    for certificate in &certificates {
        Certificate::parse(certificate)?;
    }
    Ok(certificates)
}

/// [`build_certs_only`] as one line of base64, the body that EST and `fdo.csr:cacerts-res` carry.
pub fn encode_certs_only<T: AsRef<[u8]>>(certificates: &[T]) -> Result<String, Error> {
    build_certs_only(certificates).map(|der| encode_base64(&der))
}

/// [`parse_certs_only`] of base64 with any white space.
pub fn decode_certs_only(text: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    parse_certs_only(&decode_base64(text, MAX_CERTS_ONLY)?)
}
