//! A received certificate, read leniently and kept byte for byte (RFC 5280, 4.1).
//!
//! Reading proves nothing: a chain is verified in `chain.rs`.

use const_oid::AssociatedOid;
use der::asn1::AnyRef;
use der::{Decode, Reader, TagNumber, Tagged};
use fdo_protocol::crypto::VerifyingKey;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName, SubjectKeyIdentifier};

use crate::asn1::{self, Signed, TbsCertificate};
use crate::name::ReceivedName;
use crate::serial_number::lower_hex;
use crate::{Error, HardwareModule, extensions, signature, validity};

/// Longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
const WHAT: &str = "certificate";

/// One X.509 certificate with the facts that the services need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    body: Vec<u8>,
    signed: Signed,
    serial: String,
    subject_der: der::Any,
    subject: ReceivedName,
    issuer: ReceivedName,
    not_before: u64,
    not_after: u64,
    spki: Vec<u8>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    key_identifier: Option<Vec<u8>>,
    uris: Vec<String>,
    hardware: Option<HardwareModule>,
}

impl Certificate {
    /// Reads one DER certificate of at most 16 KiB without trailing bytes; attributes may be longer than X.520 allows.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let signed: Signed = asn1::decode(WHAT, der, MAX_CERTIFICATE)?;
        let body = asn1::encode(WHAT, &signed.body)?;
        let tbs: TbsCertificate = asn1::decode(WHAT, &body, MAX_CERTIFICATE)?;
        if tbs.signature != signed.algorithm {
            return Err(Error::malformed(WHAT, "it names two signature algorithms"));
        }
        let extensions = tbs.extensions.as_deref().unwrap_or(&[]);
        Ok(Self {
            der: der.to_vec(),
            serial: serial_hex(tbs.serial_number.as_bytes()),
            subject: ReceivedName::parse(WHAT, &tbs.subject)?,
            issuer: ReceivedName::parse(WHAT, &tbs.issuer)?,
            not_before: validity::seconds(tbs.validity.not_before),
            not_after: validity::seconds(tbs.validity.not_after),
            spki: asn1::encode(WHAT, &tbs.subject_public_key_info)?,
            basic_constraints: find(extensions)?,
            key_usage: find(extensions)?,
            key_identifier: find::<SubjectKeyIdentifier>(extensions)?.map(|id| id.0.as_bytes().to_vec()),
            uris: uris(extensions)?,
            hardware: hardware(extensions),
            subject_der: tbs.subject,
            body,
            signed,
        })
    }

    /// The certificate as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number in lower-case hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The subject for display, escaped, attributes in the certificate's order.
    #[must_use]
    pub fn subject(&self) -> String {
        self.subject.display()
    }

    /// The issuer for display, escaped.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.issuer.display()
    }

    /// The subject's first `serialNumber` attribute: the device's serial number. Unescaped, any length.
    #[must_use]
    pub fn subject_serial_number(&self) -> Option<&str> {
        self.subject.serial_number()
    }

    /// The subject's first common name. Unescaped, any length.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.subject.common_name()
    }

    /// Start of validity, unix seconds.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity, unix seconds; 253402300799 where there is no end.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The DER `SubjectPublicKeyInfo`, exactly as in the certificate.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The issuer's first common name. Unescaped, any length.
    #[must_use]
    pub fn issuer_common_name(&self) -> Option<&str> {
        self.issuer.common_name()
    }

    /// The type of the key, such as `P-256`, whatever it is.
    #[must_use]
    pub fn key_description(&self) -> String {
        crate::describe_key(&self.spki)
    }

    /// The public key, where it is one of those that devices and owners use.
    pub fn public_key(&self) -> Result<VerifyingKey, Error> {
        crate::public_key::parse_key(&self.spki)
    }

    /// SHA-256 of the whole certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        asn1::sha256(&self.der)
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        asn1::sha256(&self.spki)
    }

    /// The URIs among the subject's alternative names, for example `urn:uuid:` and a device's GUID.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The hardware that holds the key, where the alternative names say it (RFC 4108, 5).
    #[must_use]
    pub fn hardware_module(&self) -> Option<HardwareModule> {
        self.hardware.clone()
    }

    /// Whether basicConstraints says that this is a CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca)
    }

    /// Checks that the key in `issuer` signed this certificate; names are not compared.
    pub fn verify_signed_by(&self, issuer: &Self) -> Result<(), Error> {
        signature::verify(WHAT, &issuer.spki, &self.signed, &self.body)
    }

    /// Checks `now` against notBefore and notAfter.
    pub fn check_validity(&self, what: &'static str, now: u64) -> Result<(), Error> {
        if now < self.not_before {
            return Err(Error::NotValidNow { what, reason: "it is not valid yet; is the clock right?" });
        }
        if now > self.not_after {
            return Err(Error::NotValidNow { what, reason: "it has expired" });
        }
        Ok(())
    }

    pub(crate) fn key_usage(&self) -> Option<&KeyUsage> {
        self.key_usage.as_ref()
    }

    pub(crate) fn basic_constraints(&self) -> Option<&BasicConstraints> {
        self.basic_constraints.as_ref()
    }

    /// The signed part.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn subject_der(&self) -> &der::Any {
        &self.subject_der
    }

    /// The identifier that certificates issued under this one name.
    pub(crate) fn key_identifier(&self) -> Result<Vec<u8>, Error> {
        match &self.key_identifier {
            Some(identifier) => Ok(identifier.clone()),
            None => extensions::key_identifier(&self.spki),
        }
    }
}

/// Without the zero octet that only keeps the number positive.
fn serial_hex(octets: &[u8]) -> String {
    match octets {
        [0, rest @ ..] if !rest.is_empty() => lower_hex(rest),
        octets => lower_hex(octets),
    }
}

/// The only extension of type `T`; two of a kind contradict each other.
fn find<T>(extensions: &[Extension]) -> Result<Option<T>, Error>
where
    T: AssociatedOid + for<'a> Decode<'a, Error = der::Error>,
{
    only(extensions, T::OID)?.map(|bytes| T::from_der(bytes).map_err(Error::der(WHAT))).transpose()
}

fn only(extensions: &[Extension], oid: const_oid::ObjectIdentifier) -> Result<Option<&[u8]>, Error> {
    let mut found = extensions.iter().filter(|extension| extension.extn_id == oid);
    let first = found.next().map(|extension| extension.extn_value.as_bytes());
    match found.next() {
        Some(_) => Err(Error::malformed(WHAT, "an extension stands in it twice")),
        None => Ok(first),
    }
}

/// The first `HardwareModuleName`; one that cannot be read is none.
fn hardware(extensions: &[Extension]) -> Option<HardwareModule> {
    let bytes = only(extensions, SubjectAltName::OID).ok().flatten()?;
    let walk = || {
        AnyRef::from_der(bytes)?.sequence(|names| {
            let mut found = None;
            while !names.is_finished() {
                let name = AnyRef::decode(names)?;
                if name.tag().is_context_specific() && name.tag().number() == TagNumber(0) && found.is_none() {
                    found = HardwareModule::from_other_name(name.value());
                }
            }
            Ok::<_, der::Error>(found)
        })
    };
    walk().ok().flatten()
}

/// Walks the alternative names by hand: a name of a kind that nobody knows must not hide the others.
fn uris(extensions: &[Extension]) -> Result<Vec<String>, Error> {
    let Some(bytes) = only(extensions, SubjectAltName::OID)? else {
        return Ok(Vec::new());
    };
    let walk = || {
        AnyRef::from_der(bytes)?.sequence(|names| {
            let mut uris = Vec::new();
            while !names.is_finished() {
                let name = AnyRef::decode(names)?;
                let is_uri = name.tag().is_context_specific() && name.tag().number() == TagNumber(6);
                if let Some(text) = std::str::from_utf8(name.value()).ok().filter(|_| is_uri) {
                    uris.push(text.to_owned());
                }
            }
            Ok::<_, der::Error>(uris)
        })
    };
    walk().map_err(Error::der(WHAT))
}
