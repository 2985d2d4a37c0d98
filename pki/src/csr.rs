//! PKCS#10 certification requests (RFC 2986): read and checked by who issues, made by the device.

use der::asn1::{Any, UintRef};
use der::{Sequence, Tag, TagNumber, Tagged};
use fdo_protocol::crypto::{KeyType, VerifyingKey};

use crate::asn1::{self, Signed};
use crate::name::{NameBuilder, ReceivedName};
use crate::public_key::parse_key;
use crate::requested::{self, Requested};
use crate::{Certificate, CertificateSigner, DeviceSerial, Error, pem, signature};

/// Longest certification request that is read, in bytes of DER.
pub const MAX_CSR: usize = 16 * 1024;
const WHAT: &str = "certification request";

/// `CertificationRequestInfo`; the attributes are optional because some clients leave out the empty set.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct RequestInfo {
    version: Any,
    subject: Any,
    public_key: Any,
    attributes: Option<Any>,
}

/// A well-formed request for a key of an allowed type. Who sent it has not shown to hold the key.
#[derive(Clone, Debug)]
pub struct Csr {
    der: Vec<u8>,
    body: Vec<u8>,
    signed: Signed,
    subject: ReceivedName,
    subject_der: Any,
    attributes: Option<Any>,
    public_key: VerifyingKey,
}

impl Csr {
    /// Reads DER of at most 16 KiB: version 0, no trailing bytes, a P-256 or P-384 key whose point is on the curve.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let signed: Signed = asn1::decode(WHAT, der, MAX_CSR)?;
        let body = asn1::encode(WHAT, &signed.body)?;
        let info: RequestInfo = asn1::decode(WHAT, &body, MAX_CSR)?;
        if info.version.decode_as::<UintRef<'_>>().map_err(Error::der(WHAT))?.as_bytes() != [0] {
            return Err(Error::malformed(WHAT, "its version is not 0"));
        }
        let attributes = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
        if info.attributes.as_ref().is_some_and(|received| received.tag() != attributes) {
            return Err(Error::malformed(WHAT, "its attributes are not where they belong"));
        }
        Ok(Self {
            der: der.to_vec(),
            subject: ReceivedName::parse(WHAT, &info.subject)?,
            public_key: parse_key(&asn1::encode(WHAT, &info.public_key)?)?,
            subject_der: info.subject,
            attributes: info.attributes,
            body,
            signed,
        })
    }

    /// Reads what clients really send (EST-6): DER, PEM, or base64 with any white space.
    pub fn from_any(body: &[u8]) -> Result<Self, Error> {
        if body.first() == Some(&0x30) {
            return Self::parse(body);
        }
        if body.len() > 3 * MAX_CSR {
            return Err(Error::TooLarge { what: WHAT, limit: 3 * MAX_CSR });
        }
        if body.trim_ascii_start().starts_with(b"-----BEGIN ") {
            let text = std::str::from_utf8(body).map_err(|_| Error::malformed(WHAT, "it is not text"))?;
            return Self::parse(&pem::decode_csr(text)?);
        }
        Self::parse(&crate::decode_base64(body, MAX_CSR)?)
    }

    /// What it asks for beyond its key.
    pub fn requested(&self) -> Result<Requested, Error> {
        Requested::parse(&self.subject_der, self.attributes.as_ref())
    }

    /// The key that it names; only [`Csr::verify`] shows that the sender holds it.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.public_key.key_type()
    }

    /// Checks the request's own signature: its sender holds the private key.
    pub fn verify(self) -> Result<VerifiedCsr, Error> {
        signature::verify(WHAT, self.public_key.spki_der(), &self.signed, &self.body)?;
        Ok(VerifiedCsr(self))
    }
}

/// A request whose sender has shown to hold the key; only [`Csr::verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedCsr(Csr);

impl VerifiedCsr {
    /// The key that asks for a certificate.
    #[must_use]
    pub fn public_key(&self) -> &VerifyingKey {
        &self.0.public_key
    }

    /// SHA-256 of the key's `SubjectPublicKeyInfo`, to find a key that was used before.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        asn1::sha256(self.0.public_key.spki_der())
    }

    /// SHA-256 of the request, to find one that was asked before.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        asn1::sha256(&self.0.der)
    }

    /// The request in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// What it asks for beyond its key.
    pub fn requested(&self) -> Result<Requested, Error> {
        self.0.requested()
    }

    /// The subject that was asked for, escaped for display; certificates never take their subject from it.
    #[must_use]
    pub fn requested_subject(&self) -> String {
        self.0.subject.display()
    }
}

/// Makes a request in DER for the key of `signer`, with the device's serial number (and a common name) as subject.
pub fn build_csr(
    signer: &dyn CertificateSigner,
    common_name: Option<&str>,
    serial: &DeviceSerial,
) -> Result<Vec<u8>, Error> {
    build(signer, NameBuilder::default().common_name(common_name)?.serial_number(serial)?.build()?, None)
}

/// Makes a request in DER for the key of `signer` with exactly the subject and the alternative names of the certificate
/// that it is to follow.
pub fn build_renewal(signer: &dyn CertificateSigner, of: &Certificate) -> Result<Vec<u8>, Error> {
    let names = requested::alternative_names_der(of)?.map(requested::ask_for_alternative_names);
    build(signer, of.subject_der().clone(), names.transpose()?)
}

fn build(signer: &dyn CertificateSigner, subject: Any, attributes: Option<Any>) -> Result<Vec<u8>, Error> {
    let invalid = Error::encoding(WHAT);
    let none = || Any::new(Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, []);
    let info = RequestInfo {
        version: Any::encode_from(&0_u8).map_err(&invalid)?,
        subject,
        public_key: asn1::decode("public key", signer.public_key().spki_der(), MAX_CSR)?,
        attributes: Some(attributes.map_or_else(none, Ok).map_err(&invalid)?),
    };
    crate::issue::seal(&asn1::encode(WHAT, &info)?, signer)
}
