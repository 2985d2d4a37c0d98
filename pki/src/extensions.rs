//! The extensions that our profiles write, each with its criticality (RFC 5280, 4.2).

use const_oid::db::rfc5280::{ID_AD_CA_ISSUERS, ID_AD_OCSP, ID_CE_ISSUING_DISTRIBUTION_POINT};
use const_oid::db::rfc6960::{ID_PKIX_OCSP_NOCHECK, ID_PKIX_OCSP_NONCE};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::Encode;
use der::asn1::{Ia5String, Null, OctetString};
use der::flagset::FlagSet;
use fdo_protocol::crypto::KeyType;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::crl::{CrlDistributionPoints, CrlNumber, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage,
    KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};

use crate::asn1::{PublicKeyInfo, decode, sha256};
use crate::{Error, KeyUse};

/// `id-ce-noRevAvail`
const ID_CE_NO_REV_AVAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.56");

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, Error> {
    named(T::OID, critical, value)
}

fn named(oid: ObjectIdentifier, critical: bool, value: &impl Encode) -> Result<Extension, Error> {
    let encode = || OctetString::new(value.to_der()?);
    let extn_value = encode().map_err(Error::encoding("extension"))?;
    Ok(Extension { extn_id: oid, critical, extn_value })
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

/// The uses that a key of this type can have: RSA keys wrap keys, those on curves agree on them (RFC 5480, 3).
pub(crate) fn key_usage(uses: &[KeyUse], key_type: KeyType) -> Result<Extension, Error> {
    let elliptic = key_type.curve().is_some();
    let bits = uses.iter().filter_map(|usage| match usage {
        KeyUse::DigitalSignature => Some(KeyUsages::DigitalSignature),
        KeyUse::ContentCommitment => Some(KeyUsages::NonRepudiation),
        KeyUse::KeyEncipherment => (!elliptic).then_some(KeyUsages::KeyEncipherment),
        KeyUse::KeyAgreement => elliptic.then_some(KeyUsages::KeyAgreement),
    });
    extension(true, &KeyUsage(bits.fold(FlagSet::default(), |set: FlagSet<KeyUsages>, bit| set | bit)))
}

/// Where the CRL is that would list the certificate.
pub(crate) fn crl_distribution_point(uri: &str) -> Result<Extension, Error> {
    let names = vec![uri_name("distribution point", uri)?];
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    };
    extension(false, &CrlDistributionPoints(vec![point]))
}

/// Where the OCSP responder and the issuer's certificate are; none where neither is.
pub(crate) fn authority_information(ocsp: Option<&str>, issuer: Option<&str>) -> Result<Option<Extension>, Error> {
    let mut list = Vec::new();
    for (access_method, uri) in [(ID_AD_OCSP, ocsp), (ID_AD_CA_ISSUERS, issuer)] {
        if let Some(uri) = uri {
            list.push(AccessDescription {
                access_method,
                access_location: uri_name("authority information", uri)?,
            });
        }
    }
    if list.is_empty() { Ok(None) } else { extension(false, &AuthorityInfoAccessSyntax(list)).map(Some) }
}

/// That nobody says whether the certificate is revoked (RFC 9608).
pub(crate) fn no_rev_avail() -> Result<Extension, Error> {
    named(ID_CE_NO_REV_AVAIL, false, &Null)
}

fn uri_name(field: &'static str, uri: &str) -> Result<GeneralName, Error> {
    Ia5String::new(uri).map(GeneralName::UniformResourceIdentifier).map_err(Error::encoding(field))
}

/// The number of a CRL among those of its scope.
pub(crate) fn crl_number(number: u64) -> Result<Extension, Error> {
    let number = CrlNumber::try_from(number).map_err(Error::encoding("CRL number"))?;
    extension(false, &number)
}

/// A CRL of the end entities whose certificates name this very URI. Written with its own object identifier: that of the
/// library's type is another extension's.
pub(crate) fn issuing_distribution_point(uri: &str) -> Result<Extension, Error> {
    let uri = Ia5String::new(uri).map_err(Error::encoding("distribution point"))?;
    let names = vec![GeneralName::UniformResourceIdentifier(uri)];
    let point = IssuingDistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        only_contains_user_certs: true,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    };
    named(ID_CE_ISSUING_DISTRIBUTION_POINT, true, &point)
}

/// Nobody need ask whether an OCSP responder's certificate is revoked (RFC 6960, 4.2.2.2.1).
pub(crate) fn ocsp_no_check() -> Result<Extension, Error> {
    named(ID_PKIX_OCSP_NOCHECK, false, &Null)
}

/// An OCSP nonce (RFC 9654, 2.1).
pub(crate) fn ocsp_nonce(nonce: &[u8]) -> Result<Extension, Error> {
    named(ID_PKIX_OCSP_NONCE, false, &octets(nonce)?)
}
