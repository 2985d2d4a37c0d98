//! Issuance in two steps: the bytes to be signed exist (and can be stored) before the signature does.

use der::asn1::{Any, BitString, Int, Uint};
use fdo_protocol::crypto::VerifyingKey;
use rand_core::CryptoRng;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;

use crate::asn1::{self, TbsCertificate, sha256};
use crate::name::ReceivedName;
use crate::{Certificate, CertificateSerial, CertificateSigner, Error, signature, validity};

const WHAT: &str = "certificate";

/// A CA's certificate, ready to issue: what goes into the certificates beneath it.
#[derive(Clone, Debug)]
pub struct Issuer {
    subject: Any,
    key_identifier: Vec<u8>,
    key: VerifyingKey,
    not_after: u64,
}

impl Issuer {
    /// Takes a CA certificate with a P-256 or P-384 key; one that may not sign certificates is refused.
    pub fn new(certificate: &Certificate) -> Result<Self, Error> {
        let may_sign = certificate.key_usage().is_none_or(x509_cert::ext::pkix::KeyUsage::key_cert_sign);
        if !certificate.is_ca() || !may_sign {
            return Err(Error::WrongUse { index: 0, reason: "it is not the certificate of a CA" });
        }
        Ok(Self {
            subject: certificate.subject_der().clone(),
            key_identifier: certificate.key_identifier()?,
            key: certificate.public_key()?,
            not_after: certificate.not_after(),
        })
    }

    /// An issuer that signs itself: the subject and the key of the certificate to come.
    pub(crate) fn of_itself(subject: Any, key: &VerifyingKey) -> Result<Self, Error> {
        Ok(Self {
            subject,
            key_identifier: crate::extensions::key_identifier(key.spki_der())?,
            key: key.clone(),
            not_after: validity::WITHOUT_END,
        })
    }

    /// The issuer's public key.
    #[must_use]
    pub fn public_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Last second of the issuer's own validity, unix seconds.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    pub(crate) fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    pub(crate) fn subject(&self) -> &Any {
        &self.subject
    }
}

/// What a profile has decided about one certificate.
pub(crate) struct Decided<'a> {
    pub subject: Any,
    pub key: &'a VerifyingKey,
    pub not_before: u64,
    pub not_after: u64,
    pub extensions: Vec<Extension>,
}

/// A certificate before its signature: store [`ToBeSigned::serial`] and [`ToBeSigned::der`], then sign.
#[derive(Clone, Debug)]
pub struct ToBeSigned {
    der: Vec<u8>,
    serial: CertificateSerial,
    not_before: u64,
    not_after: u64,
    subject: String,
    spki_sha256: [u8; 32],
    issuer: VerifyingKey,
}

impl ToBeSigned {
    pub(crate) fn new(issuer: &Issuer, decided: Decided<'_>, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        Self::with_serial(issuer, decided, CertificateSerial::random(rng))
    }

    /// For a serial number that the decision depended on; it must be fresh.
    pub(crate) fn with_serial(
        issuer: &Issuer,
        decided: Decided<'_>,
        serial: CertificateSerial,
    ) -> Result<Self, Error> {
        if decided.not_before >= issuer.not_after {
            let reason = "its certificate has expired; renew it first";
            return Err(Error::NotValidNow { what: "issuing CA", reason });
        }
        let spki = decided.key.spki_der();
        let subject = ReceivedName::parse(WHAT, &decided.subject)?.display();
        let serial_number = Uint::new(serial.as_bytes()).map_err(Error::encoding("serial number"))?;
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: Int::from(serial_number),
            signature: signature::algorithm_of(issuer.key.key_type()),
            issuer: issuer.subject.clone(),
            validity: validity::validity(decided.not_before, decided.not_after)?,
            subject: decided.subject,
            subject_public_key_info: asn1::decode("public key", spki, crate::MAX_CERTIFICATE)?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(decided.extensions),
        };
        Ok(Self {
            der: asn1::encode(WHAT, &tbs)?,
            serial,
            not_before: decided.not_before,
            not_after: decided.not_after,
            subject,
            spki_sha256: sha256(spki),
            issuer: issuer.key.clone(),
        })
    }

    /// The DER `TBSCertificate`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate's serial number.
    #[must_use]
    pub fn serial(&self) -> CertificateSerial {
        self.serial
    }

    /// Start of validity, unix seconds.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity, unix seconds.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The subject for display.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of the subject's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// Signs; the signer must hold the issuer's key.
    pub fn sign(self, signer: &dyn CertificateSigner) -> Result<Issued, Error> {
        if *signer.public_key() != self.issuer {
            return Err(Error::Signer("the signer holds another key than the issuer's".to_owned()));
        }
        Ok(Issued {
            der: seal(&self.der, signer)?,
            serial: self.serial,
            not_before: self.not_before,
            not_after: self.not_after,
            subject: self.subject,
            spki_sha256: self.spki_sha256,
        })
    }
}

/// A signed certificate; only [`ToBeSigned::sign`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    der: Vec<u8>,
    serial: CertificateSerial,
    not_before: u64,
    not_after: u64,
    subject: String,
    spki_sha256: [u8; 32],
}

impl Issued {
    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate's serial number.
    #[must_use]
    pub fn serial(&self) -> CertificateSerial {
        self.serial
    }

    /// Start of validity, unix seconds.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity, unix seconds.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The subject for display, escaped.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of the subject's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// SHA-256 of the DER, as fingerprints are shown.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// The certificate, read back.
    pub fn certificate(&self) -> Result<Certificate, Error> {
        Certificate::parse(&self.der)
    }
}

/// `SEQUENCE { body, algorithm, signature }` over the exact bytes of `body`.
pub(crate) fn seal(body: &[u8], signer: &dyn CertificateSigner) -> Result<Vec<u8>, Error> {
    seal_with(body, signer, &[])
}

/// The same with more after the signature, as OCSP has it.
pub(crate) fn seal_with(body: &[u8], signer: &dyn CertificateSigner, after: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = asn1::encode(WHAT, &signature::algorithm_of(signer.key_type()))?;
    let bits = BitString::from_bytes(&signer.sign_der(body)?).map_err(Error::encoding("signature"))?;
    asn1::sequence(WHAT, &[body, &algorithm, &asn1::encode(WHAT, &bits)?, after])
}
