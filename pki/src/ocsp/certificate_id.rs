//! `CertID`: which certificate is asked for, by hashes of its issuer's name and key and by its serial number.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_SHA_1, ID_SHA_256};
use der::asn1::{Any, Int, OctetString};
use der::{Decode, Encode, Sequence};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;

use crate::asn1::{self, PublicKeyInfo};
use crate::{Error, Issuer};

const WHAT: &str = "OCSP request";

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct CertId {
    hash_algorithm: AlgorithmIdentifierOwned,
    issuer_name_hash: OctetString,
    issuer_key_hash: OctetString,
    serial_number: Int,
}

/// The certificate that somebody asks for. It is repeated in the answer byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    der: Vec<u8>,
    algorithm: ObjectIdentifier,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

impl CertificateId {
    pub(super) fn read(received: &Any) -> Result<Self, Error> {
        let der = received.to_der().map_err(Error::der(WHAT))?;
        let id = CertId::from_der(&der).map_err(Error::der(WHAT))?;
        let serial = match id.serial_number.as_bytes() {
            [0, rest @ ..] if !rest.is_empty() => rest,
            octets => octets,
        };
        Ok(Self {
            algorithm: id.hash_algorithm.oid,
            name_hash: id.issuer_name_hash.as_bytes().to_vec(),
            key_hash: id.issuer_key_hash.as_bytes().to_vec(),
            serial: serial.to_vec(),
            der,
        })
    }

    /// The id as it was received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number, most significant octet first, without a zero at its front.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }
}

/// An issuer as requests name it: the SHA-1 and SHA-256 hashes of its name and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerId {
    sha1: [Vec<u8>; 2],
    sha256: [Vec<u8>; 2],
}

impl IssuerId {
    /// The hashes of a CA.
    pub fn new(issuer: &Issuer) -> Result<Self, Error> {
        let name = asn1::encode("issuer", issuer.subject())?;
        let info: PublicKeyInfo =
            asn1::decode("public key", issuer.public_key().spki_der(), crate::MAX_CERTIFICATE)?;
        let key = info.key.raw_bytes();
        Ok(Self {
            sha1: [name.as_slice(), key].map(|bytes| Sha1::digest(bytes).to_vec()),
            sha256: [name.as_slice(), key].map(|bytes| Sha256::digest(bytes).to_vec()),
        })
    }

    /// Whether the certificate that is asked for is one of this issuer's.
    #[must_use]
    pub fn issued(&self, id: &CertificateId) -> bool {
        let [name, key] = match id.algorithm {
            ID_SHA_1 => &self.sha1,
            ID_SHA_256 => &self.sha256,
            _ => return false,
        };
        id.name_hash == *name && id.key_hash == *key
    }

    /// The key's SHA-1 hash.
    pub(super) fn key_sha1(key: &fdo_protocol::crypto::VerifyingKey) -> Result<Vec<u8>, Error> {
        let info: PublicKeyInfo = asn1::decode("public key", key.spki_der(), crate::MAX_CERTIFICATE)?;
        Ok(Sha1::digest(info.key.raw_bytes()).to_vec())
    }
}
