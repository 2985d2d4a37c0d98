//! The extensions that our profiles write, each with its criticality (RFC 5280, 4.2).

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::Encode;
use der::asn1::OctetString;
use der::flagset::FlagSet;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralNames;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};

use crate::Error;
use crate::asn1::{PublicKeyInfo, decode, sha256};

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, Error> {
    let encode = || OctetString::new(value.to_der()?);
    let extn_value = encode().map_err(Error::encoding("extension"))?;
    Ok(Extension { extn_id: T::OID, critical, extn_value })
}

fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::encoding("extension"))
}

/// The key identifier of a key: the leftmost 160 bits of SHA-256 over the key's bits (RFC 7093, 2).
pub(crate) fn key_identifier(spki: &[u8]) -> Result<Vec<u8>, Error> {
    let info: PublicKeyInfo = decode("public key", spki, crate::MAX_CERTIFICATE)?;
    Ok(sha256(info.key.raw_bytes())[..20].to_vec())
}

pub(crate) fn subject_key(identifier: &[u8]) -> Result<Extension, Error> {
    extension(false, &SubjectKeyIdentifier(octets(identifier)?))
}

pub(crate) fn authority_key(identifier: &[u8]) -> Result<Extension, Error> {
    let key_identifier = Some(octets(identifier)?);
    extension(false, &AuthorityKeyIdentifier { key_identifier, ..Default::default() })
}

pub(crate) fn digital_signature() -> Result<Extension, Error> {
    extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))
}

pub(crate) fn signs_certificates_and_crls() -> Result<Extension, Error> {
    let usages: FlagSet<KeyUsages> = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
    extension(true, &KeyUsage(usages))
}

pub(crate) fn authority(path_length: Option<u8>) -> Result<Extension, Error> {
    extension(true, &BasicConstraints { ca: true, path_len_constraint: path_length })
}

pub(crate) fn end_entity() -> Result<Extension, Error> {
    extension(true, &BasicConstraints { ca: false, path_len_constraint: None })
}

pub(crate) fn extended_key_usage(uses: Vec<ObjectIdentifier>) -> Result<Extension, Error> {
    extension(false, &ExtendedKeyUsage(uses))
}

/// Not critical: every subject that we write has a name.
pub(crate) fn subject_alternative_names(names: GeneralNames) -> Result<Extension, Error> {
    extension(false, &SubjectAltName(names))
}
