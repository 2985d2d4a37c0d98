//! `OCSPRequest` (RFC 6960, 4.1), read with bounds. A signature around it is not asked for and not looked at.

use const_oid::db::rfc6960::ID_PKIX_OCSP_NONCE;
use der::asn1::{Any, OctetString};
use der::{Decode, Sequence};
use x509_cert::ext::Extension;

use super::CertificateId;
use crate::{Error, asn1};

/// Longest request that is read, in bytes.
pub const MAX_REQUEST: usize = 8 * 1024;
/// The most certificates that one request may ask for.
pub const MAX_SINGLES: usize = 16;
/// RFC 9654, 2.1.
const MAX_NONCE: usize = 128;
const WHAT: &str = "OCSP request";

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct OcspRequest {
    body: TbsRequest,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    signature: Option<Any>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TbsRequest {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    version: u8,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    requestor: Option<Any>,
    list: Vec<SingleRequest>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct SingleRequest {
    id: Any,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// At least one certificate, at most [`MAX_SINGLES`].
    pub ids: Vec<CertificateId>,
    /// 1 to 128 octets; they must come back in an answer that was made for this request.
    pub nonce: Option<Vec<u8>>,
}

impl Request {
    /// Reads a request of at most [`MAX_REQUEST`] bytes; every error means `malformedRequest`.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let request: OcspRequest = asn1::decode(WHAT, der, MAX_REQUEST)?;
        let body = request.body;
        if body.version != 0 {
            return Err(Error::malformed(WHAT, "its version is not 1"));
        }
        if body.list.is_empty() || body.list.len() > MAX_SINGLES {
            return Err(Error::malformed(WHAT, "it must ask for 1 to 16 certificates"));
        }
        let extensions = body.extensions.unwrap_or_default();
        let mut nonces = extensions.iter().filter(|extension| extension.extn_id == ID_PKIX_OCSP_NONCE);
        let nonce = nonces.next().map(nonce).transpose()?;
        if nonces.next().is_some() {
            return Err(Error::malformed(WHAT, "it has two nonces"));
        }
        let of_singles = body.list.iter().filter_map(|single| single.extensions.as_deref()).flatten();
        let unknown = |extension: &Extension| extension.critical && extension.extn_id != ID_PKIX_OCSP_NONCE;
        if extensions.iter().chain(of_singles).any(unknown) {
            return Err(Error::malformed(WHAT, "it has a critical extension that is not known"));
        }
        let ids = body.list.iter().map(|single| CertificateId::read(&single.id)).collect::<Result<_, _>>()?;
        Ok(Self { ids, nonce })
    }
}

fn nonce(extension: &Extension) -> Result<Vec<u8>, Error> {
    let octets = OctetString::from_der(extension.extn_value.as_bytes()).map_err(Error::der("OCSP nonce"))?;
    match octets.as_bytes().len() {
        1..=MAX_NONCE => Ok(octets.as_bytes().to_vec()),
        _ => Err(Error::malformed("OCSP nonce", "it must have 1 to 128 octets")),
    }
}
