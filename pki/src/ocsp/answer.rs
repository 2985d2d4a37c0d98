//! `OCSPResponse` (RFC 6960, 4.2): made, signed, and the errors that are not signed.

use const_oid::db::rfc6960::ID_PKIX_OCSP_BASIC;
use der::asn1::{GeneralizedTime, OctetString};
use fdo_protocol::crypto::VerifyingKey;
use std::time::Duration;

use super::IssuerId;
use crate::{Certificate, CertificateSigner, Error, Reason, asn1, extensions, issue};

const WHAT: &str = "OCSP answer";
/// `[0] IMPLICIT NULL` and `[2] IMPLICIT NULL`.
const GOOD: [u8; 2] = [0x80, 0];
const UNKNOWN: [u8; 2] = [0x82, 0];

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was issued and is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when, unix seconds.
        at: u64,
        /// Why; an unspecified reason is left out.
        reason: Reason,
    },
    /// This issuer never issued it.
    Unknown,
}

/// The answer about one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single<'a> {
    /// The DER `CertID` of the request.
    pub id: &'a [u8],
    /// What is known.
    pub status: Status,
    /// Since when that is known to hold, unix seconds.
    pub this_update: u64,
    /// When more is known at the latest, unix seconds.
    pub next_update: u64,
}

impl Single<'_> {
    fn der(&self) -> Result<Vec<u8>, Error> {
        let status = match self.status {
            Status::Good => GOOD.to_vec(),
            Status::Unknown => UNKNOWN.to_vec(),
            Status::Revoked { at, reason } => {
                let code = match reason {
                    Reason::Unspecified => Vec::new(),
                    reason => asn1::tagged(WHAT, 0, &[&[0x0a, 1, reason.number()]])?,
                };
                asn1::tagged(WHAT, 1, &[&time(at)?, &code])?
            }
        };
        let next = asn1::tagged(WHAT, 0, &[&time(self.next_update)?])?;
        asn1::sequence(WHAT, &[self.id, &status, &time(self.this_update)?, &next])
    }
}

/// Always `GeneralizedTime`, without fractions.
fn time(seconds: u64) -> Result<Vec<u8>, Error> {
    let time =
        GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).map_err(Error::encoding("time"))?;
    asn1::encode(WHAT, &time)
}

/// Who answers: `byKey`, the SHA-1 hash of the responder's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderId {
    der: Vec<u8>,
    key: VerifyingKey,
    certificate: Vec<u8>,
}

impl ResponderId {
    /// The responder of this certificate, which goes with its answers.
    pub fn new(certificate: &Certificate) -> Result<Self, Error> {
        let key = certificate.public_key()?;
        let hash = OctetString::new(IssuerId::key_sha1(&key)?).map_err(Error::encoding(WHAT))?;
        let der = asn1::tagged(WHAT, 2, &[&asn1::encode(WHAT, &hash)?])?;
        let certificates = asn1::sequence(WHAT, &[certificate.der()])?;
        Ok(Self { der, key, certificate: asn1::tagged(WHAT, 0, &[&certificates])? })
    }
}

/// Makes the answer to all that was asked; `produced` in unix seconds.
pub fn answer(
    responder: &ResponderId,
    produced: u64,
    singles: &[Single<'_>],
    nonce: Option<&[u8]>,
) -> Result<UnsignedAnswer, Error> {
    let singles = singles.iter().map(Single::der).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    let extensions = match nonce {
        Some(nonce) => asn1::tagged(WHAT, 1, &[&asn1::encode(WHAT, &vec![extensions::ocsp_nonce(nonce)?])?])?,
        None => Vec::new(),
    };
    let body =
        asn1::sequence(WHAT, &[&responder.der, &time(produced)?, &asn1::sequence(WHAT, &parts)?, &extensions])?;
    Ok(UnsignedAnswer { body, key: responder.key.clone(), certificate: responder.certificate.clone() })
}

/// An answer before its signature.
#[derive(Clone, Debug)]
pub struct UnsignedAnswer {
    body: Vec<u8>,
    key: VerifyingKey,
    certificate: Vec<u8>,
}

impl UnsignedAnswer {
    /// The DER `ResponseData`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.body
    }

    /// Signs; the signer must hold the responder's key. Gives the whole `OCSPResponse` in DER.
    pub fn sign(&self, signer: &dyn CertificateSigner) -> Result<Vec<u8>, Error> {
        if *signer.public_key() != self.key {
            return Err(Error::Signer("the signer holds another key than the responder's".to_owned()));
        }
        let basic = issue::seal_with(&self.body, signer, &self.certificate)?;
        let octets = OctetString::new(basic).map_err(Error::encoding(WHAT))?;
        let oid = asn1::encode(WHAT, &ID_PKIX_OCSP_BASIC)?;
        let bytes = asn1::sequence(WHAT, &[&oid, &asn1::encode(WHAT, &octets)?])?;
        asn1::sequence(WHAT, &[&[0x0a, 1, 0], &asn1::tagged(WHAT, 0, &[&bytes])?])
    }
}

/// Why there is no answer. Not signed: anybody could say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request is no OCSP request, or asks for too much.
    MalformedRequest,
    /// A fault of this side.
    InternalError,
    /// Ask again later.
    TryLater,
    /// The issuer is not ours, so we know nothing (RFC 5019, 2.2.3).
    Unauthorized,
}

impl Failure {
    /// The whole `OCSPResponse` in DER.
    #[must_use]
    pub const fn der(self) -> [u8; 5] {
        let code = match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        };
        [0x30, 3, 0x0a, 1, code]
    }
}
