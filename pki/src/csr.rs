//! PKCS#10 certification requests (RFC 2986): read and checked by who issues, made by the device.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::asn1::{Any, UintRef};
use der::{Sequence, Tag, TagNumber, Tagged};
use fdo_protocol::crypto::VerifyingKey;

use crate::asn1::{self, PublicKeyInfo, Signed};
use crate::name::{NameBuilder, ReceivedName};
use crate::{CertificateSigner, DeviceSerial, Error, pem, signature};

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
    public_key: VerifyingKey,
}

impl Csr {
    /// Reads DER of at most 16 KiB: version 0, no trailing bytes, a P-256 or P-384 key whose point is on the curve.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let signed: Signed = asn1::decode(WHAT, der, MAX_CSR)?;
        let body = asn1::encode(WHAT, &signed.body)?;
        let info: RequestInfo = asn1::decode(WHAT, &body, MAX_CSR)?;
        if info
            .version
            .decode_as::<UintRef<'_>>()
            .map_err(Error::der(WHAT))?
            .as_bytes()
            != [0]
        {
            return Err(Error::malformed(WHAT, "its version is not 0"));
        }
        let attributes = Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        };
        if info
            .attributes
            .is_some_and(|received| received.tag() != attributes)
        {
            return Err(Error::malformed(WHAT, "its attributes are not where they belong"));
        }
        Ok(Self {
            der: der.to_vec(),
            subject: ReceivedName::parse(WHAT, &info.subject)?,
            public_key: parse_key(&asn1::encode(WHAT, &info.public_key)?)?,
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
            return Err(Error::TooLarge {
                what: WHAT,
                limit: 3 * MAX_CSR,
            });
        }
        if body.trim_ascii_start().starts_with(b"-----BEGIN ") {
            let text = std::str::from_utf8(body).map_err(|_| Error::malformed(WHAT, "it is not text"))?;
            return Self::parse(&pem::decode_csr(text)?);
        }
        Self::parse(&crate::decode_base64(body, MAX_CSR)?)
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

    /// The request in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The subject that was asked for, escaped for display; certificates never take their subject from it.
    #[must_use]
    pub fn requested_subject(&self) -> String {
        self.0.subject.display()
    }
}

/// A key of an allowed type, told apart from a broken one.
pub(crate) fn parse_key(spki: &[u8]) -> Result<VerifyingKey, Error> {
    let refuse = |reason| Err(Error::UnsupportedKey { reason });
    let info: PublicKeyInfo = asn1::decode("public key", spki, MAX_CSR)?;
    match info.algorithm.oid {
        rfc5912::ID_EC_PUBLIC_KEY => {}
        rfc5912::RSA_ENCRYPTION if rsa_bits(&info) < 2048 => return refuse("RSA of less than 2048 bits"),
        rfc5912::RSA_ENCRYPTION => return refuse("RSA keys are not issued certificates"),
        rfc8410::ID_ED_25519 => return refuse("Ed25519 keys are not issued certificates"),
        _ => return refuse("its type is not known"),
    }
    let curve = info
        .algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match curve {
        Some(rfc5912::SECP_256_R_1 | rfc5912::SECP_384_R_1) => {}
        Some(_) => return refuse("its curve is not allowed"),
        None => return refuse("its curve is not named"),
    }
    VerifyingKey::from_spki_der(spki).or_else(|_| refuse("its point is not on the curve"))
}

/// Length of an RSA modulus; 0 where it cannot be read.
fn rsa_bits(info: &PublicKeyInfo) -> usize {
    #[derive(Sequence)]
    struct RsaKey<'a> {
        modulus: UintRef<'a>,
        exponent: UintRef<'a>,
    }
    let Some(Ok(key)) = info.key.as_bytes().map(<RsaKey<'_> as der::Decode>::from_der) else {
        return 0;
    };
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (modulus.len() * 8).saturating_sub(leading)
}

/// Makes a request in DER for the key of `signer`, with the device's serial number (and a common name) as subject.
pub fn build_csr(
    signer: &dyn CertificateSigner,
    common_name: Option<&str>,
    serial: &DeviceSerial,
) -> Result<Vec<u8>, Error> {
    let invalid = Error::encoding(WHAT);
    let info = RequestInfo {
        version: Any::encode_from(&0_u8).map_err(&invalid)?,
        subject: NameBuilder::default()
            .common_name(common_name)?
            .serial_number(serial)?
            .build()?,
        public_key: asn1::decode("public key", signer.public_key().spki_der(), MAX_CSR)?,
        attributes: Some(
            Any::new(
                Tag::ContextSpecific {
                    constructed: true,
                    number: TagNumber(0),
                },
                [],
            )
            .map_err(&invalid)?,
        ),
    };
    crate::issue::seal(&asn1::encode(WHAT, &info)?, signer)
}
