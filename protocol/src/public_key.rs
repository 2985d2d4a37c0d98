//! `PublicKey = [pkType, pkEnc, pkBody]` in all its encodings (FDO 1.1, public keys).

use std::fmt;

use sha2::{Digest, Sha256};
use x509_cert::der::{Decode as _, Encode as _};

use crate::cbor::{Decode, Encode, Kind, Reader, Writer};
use crate::crypto::{Curve, KeyType, VerifyingKey};
use crate::error::Error;

/// `pkType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyType {
    /// 1: RSA with 2048 bits and exponent 65537.
    Rsa2048Restr,
    /// 5: RSA with PKCS#1 v1.5 signatures.
    RsaPkcs,
    /// 6: RSA with PSS signatures.
    RsaPss,
    /// 10: NIST P-256.
    Secp256r1,
    /// 11: NIST P-384.
    Secp384r1,
}

impl PublicKeyType {
    const ALL: [(Self, u64); 5] = [
        (Self::Rsa2048Restr, 1),
        (Self::RsaPkcs, 5),
        (Self::RsaPss, 6),
        (Self::Secp256r1, 10),
        (Self::Secp384r1, 11),
    ];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or(0, |(_, number)| *number)
    }

    /// The type with this number.
    ///
    /// # Errors
    /// [`Error::Epid`] for those of EPID, [`Error::Unsupported`] for an unknown one.
    pub fn from_number(number: u64) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == number)
            .map(|(known, _)| *known)
            .ok_or(if matches!(number, 90..=92) { Error::Epid } else { Error::Unsupported("public key type") })
    }

    /// The keys that this type is said of.
    pub fn key_types(self) -> &'static [KeyType] {
        match self {
            Self::Rsa2048Restr => &[KeyType::Rsa2048],
            Self::RsaPkcs => &[KeyType::Rsa2048, KeyType::Rsa3072],
            Self::RsaPss => &[KeyType::RsaPss2048, KeyType::RsaPss3072],
            Self::Secp256r1 => &[KeyType::P256],
            Self::Secp384r1 => &[KeyType::P384],
        }
    }

    /// The type by which a key is named unless something else says another: RSA2048RESTR where that fits.
    pub fn usual(key: &VerifyingKey) -> Self {
        match key.key_type() {
            KeyType::P256 => Self::Secp256r1,
            KeyType::P384 => Self::Secp384r1,
            KeyType::Rsa2048 if key.has_usual_exponent() => Self::Rsa2048Restr,
            KeyType::Rsa2048 | KeyType::Rsa3072 => Self::RsaPkcs,
            KeyType::RsaPss2048 | KeyType::RsaPss3072 => Self::RsaPss,
        }
    }

    /// Takes a key that was said to be of this type.
    fn take(self, key: VerifyingKey) -> Result<VerifyingKey, Error> {
        let key = if self == Self::RsaPss && key.point().is_none() { key.with_pss()? } else { key };
        if !self.key_types().contains(&key.key_type()) {
            return Err(Error::Rejected("public key of another type than said"));
        }
        if self == Self::Rsa2048Restr && !key.has_usual_exponent() {
            return Err(Error::Rejected("an RSA2048RESTR key with another exponent than 65537"));
        }
        Ok(key)
    }
}

impl From<KeyType> for PublicKeyType {
    /// The usual one, for a key with the usual exponent.
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::Secp256r1,
            KeyType::P384 => Self::Secp384r1,
            KeyType::Rsa2048 => Self::Rsa2048Restr,
            KeyType::Rsa3072 => Self::RsaPkcs,
            KeyType::RsaPss2048 | KeyType::RsaPss3072 => Self::RsaPss,
        }
    }
}

/// `pkEnc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyEncoding {
    /// 0: a form of its own for each type.
    Crypto,
    /// 1: SubjectPublicKeyInfo in DER.
    X509,
    /// 2: certificates, the key's own first.
    X5Chain,
    /// 3: a COSE key.
    CoseKey,
}

impl PublicKeyEncoding {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::Crypto => 0,
            Self::X509 => 1,
            Self::X5Chain => 2,
            Self::CoseKey => 3,
        }
    }

    /// The encoding with this number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown one.
    pub fn from_number(number: u64) -> Result<Self, Error> {
        [Self::Crypto, Self::X509, Self::X5Chain, Self::CoseKey]
            .into_iter()
            .find(|known| known.number() == number)
            .ok_or(Error::Unsupported("public key encoding"))
    }
}

/// A public key as it was received, or as we send it. Two of them are equal when their bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key_type: PublicKeyType,
    encoding: PublicKeyEncoding,
    encoded: Vec<u8>,
}

impl PublicKey {
    /// The key as SubjectPublicKeyInfo, which everybody reads, under its usual type.
    pub fn x509(key: &VerifyingKey) -> Self {
        Self::build(PublicKeyType::usual(key), PublicKeyEncoding::X509, |writer| {
            writer.bytes(key.spki_der());
        })
    }

    /// The key as a COSE key, under its usual type.
    pub fn cose_key(key: &VerifyingKey) -> Self {
        Self::build(PublicKeyType::usual(key), PublicKeyEncoding::CoseKey, |writer| write_cose_key(key, writer))
    }

    /// The key as a chain of DER certificates, its own first, under its usual type.
    pub fn x5chain(key: &VerifyingKey, certificates: &[Vec<u8>]) -> Self {
        Self::build(PublicKeyType::usual(key), PublicKeyEncoding::X5Chain, |writer| {
            writer.array(certificates.len());
            for certificate in certificates {
                writer.bytes(certificate);
            }
        })
    }

    /// RSA's modulus and exponent, as one server in the field encodes it, under the key's usual type.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other keys than RSA.
    pub fn crypto(key: &VerifyingKey) -> Result<Self, Error> {
        let numbers =
            key.rsa_numbers().ok_or(Error::Unsupported("public key encoding Crypto of a key that is not RSA"))?;
        Ok(Self::build(PublicKeyType::usual(key), PublicKeyEncoding::Crypto, |writer| {
            writer.array(2).bytes(&numbers.modulus).bytes(&numbers.exponent);
        }))
    }

    /// The same key under another type that fits it: an RSA key of 2048 bits may be RSA2048RESTR or RSAPKCS.
    ///
    /// # Errors
    /// [`Error::Rejected`] for a type that does not fit, as [`Self::verifying_key`] for a key that does not decode.
    pub fn under(self, key_type: PublicKeyType) -> Result<Self, Error> {
        key_type.take(self.verifying_key()?)?;
        let mut body = Reader::new(&self.encoded)?;
        body.array(3)?;
        body.unsigned()?;
        body.unsigned()?;
        Ok(Self::build(key_type, self.encoding, |writer| {
            writer.raw(body.raw().unwrap_or_default());
        }))
    }

    fn build(key_type: PublicKeyType, encoding: PublicKeyEncoding, body: impl FnOnce(&mut Writer)) -> Self {
        let mut writer = Writer::default();
        writer.array(3).unsigned(key_type.number()).unsigned(encoding.number());
        body(&mut writer);
        Self { key_type, encoding, encoded: writer.into_bytes() }
    }

    /// `pkType`.
    pub fn key_type(&self) -> PublicKeyType {
        self.key_type
    }

    /// `pkEnc`.
    pub fn encoding(&self) -> PublicKeyEncoding {
        self.encoding
    }

    /// The exact bytes of the array.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// The key itself.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the body does not decode, [`Error::Unsupported`] for a key that is not taken,
    /// [`Error::Rejected`] for one of another type than said.
    pub fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        let mut reader = Reader::new(&self.encoded)?;
        reader.array(3)?;
        reader.unsigned()?;
        reader.unsigned()?;
        let curve = self.key_type.key_types().first().and_then(|key_type| key_type.curve());
        let key = match (self.encoding, curve) {
            (PublicKeyEncoding::X509, _) => VerifyingKey::from_spki_der(reader.bytes()?)?,
            (PublicKeyEncoding::X5Chain, _) => leaf_key(&mut reader)?,
            (PublicKeyEncoding::CoseKey, Some(curve)) => cose_coordinates(&mut reader, curve)?,
            (PublicKeyEncoding::CoseKey, None) => cose_numbers(&mut reader)?,
            (PublicKeyEncoding::Crypto, None) => {
                reader.array(2)?;
                VerifyingKey::from_rsa(reader.bytes()?, reader.bytes()?)?
            }
            (PublicKeyEncoding::Crypto, Some(_)) => {
                return Err(Error::Unsupported("public key encoding Crypto of an elliptic curve key"));
            }
        };
        self.key_type.take(key)
    }

    /// SHA-256 over the key in its X509 form and under its usual type, whatever it came as: the name of a key across
    /// systems.
    ///
    /// # Errors
    /// As [`Self::verifying_key`].
    pub fn fingerprint(&self) -> Result<[u8; 32], Error> {
        Ok(Sha256::digest(Self::x509(&self.verifying_key()?).encoded()).into())
    }
}

/// The key of the first certificate. Some peers wrap the array in a byte string.
fn leaf_key(reader: &mut Reader<'_>) -> Result<VerifyingKey, Error> {
    if reader.kind() == Kind::Bytes {
        return leaf_key(&mut Reader::new(reader.bytes()?)?);
    }
    if reader.array_length()? == 0 {
        return Err(Error::Malformed("a certificate chain without certificates"));
    }
    let certificate = x509_cert::Certificate::from_der(reader.bytes()?)
        .map_err(|_| Error::Malformed("a certificate that does not decode"))?;
    let spki = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .map_err(|_| Error::Malformed("a certificate's key does not encode"))?;
    VerifyingKey::from_spki_der(&spki)
}

fn write_cose_key(key: &VerifyingKey, writer: &mut Writer) {
    if let (Some(curve), Some(point)) = (key.key_type().curve(), key.point()) {
        let (x, y) = point[1..].split_at(curve.coordinate_length());
        writer.map(4).integer(1).integer(2).integer(-1).integer(if curve == Curve::P256 { 1 } else { 2 });
        writer.integer(-2).bytes(x).integer(-3).bytes(y);
    } else if let Some(numbers) = key.rsa_numbers() {
        writer.map(3).integer(1).integer(3);
        writer.integer(-1).bytes(&numbers.modulus).integer(-2).bytes(&numbers.exponent);
    }
}

/// Coordinates may come short, with a leading zero too many, and without the key type.
fn cose_coordinates(reader: &mut Reader<'_>, curve: Curve) -> Result<VerifyingKey, Error> {
    let length = curve.coordinate_length();
    let mut point = vec![0; 1 + 2 * length];
    point[0] = 4;
    let mut place = |offset: usize, coordinate: &[u8]| -> Result<(), Error> {
        let zeros = coordinate.iter().take_while(|byte| **byte == 0).count();
        let digits = &coordinate[zeros..];
        let start = (offset + length).checked_sub(digits.len()).filter(|start| *start >= offset);
        let start = start.ok_or(Error::Malformed("coordinate too long"))?;
        point[start..offset + length].copy_from_slice(digits);
        Ok(())
    };
    let (mut x, mut y) = (false, false);
    for _ in 0..reader.map_length()? {
        match reader.integer()? {
            -2 => {
                place(1, reader.bytes()?)?;
                x = true;
            }
            -3 => {
                place(1 + length, reader.bytes()?)?;
                y = true;
            }
            _ => {
                reader.raw()?;
            }
        }
    }
    if x && y { VerifyingKey::from_point(curve, &point) } else { Err(Error::Malformed("coordinate missing")) }
}

/// RSA's numbers may come with leading zeros, and without the key type.
fn cose_numbers(reader: &mut Reader<'_>) -> Result<VerifyingKey, Error> {
    let (mut modulus, mut exponent) = (None, None);
    for _ in 0..reader.map_length()? {
        match reader.integer()? {
            1 if reader.integer()? == 3 => {}
            1 => return Err(Error::Rejected("public key of another type than said")),
            -1 => modulus = Some(reader.bytes()?),
            -2 => exponent = Some(reader.bytes()?),
            _ => {
                reader.raw()?;
            }
        }
    }
    match (modulus, exponent) {
        (Some(modulus), Some(exponent)) => VerifyingKey::from_rsa(modulus, exponent),
        _ => Err(Error::Malformed("modulus or exponent missing")),
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.key_type, self.encoding)
    }
}

impl Encode for PublicKey {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.encoded);
    }
}

impl Decode for PublicKey {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let encoded = reader.raw()?;
        let mut parts = Reader::new(encoded)?;
        parts.array(3)?;
        let key_type = PublicKeyType::from_number(parts.unsigned()?)?;
        let encoding = PublicKeyEncoding::from_number(parts.unsigned()?)?;
        let fits = match (encoding, parts.kind()) {
            (PublicKeyEncoding::X509, kind) => kind == Kind::Bytes,
            (PublicKeyEncoding::X5Chain, kind) => matches!(kind, Kind::Array | Kind::Bytes),
            (PublicKeyEncoding::CoseKey, kind) => kind == Kind::Map,
            (PublicKeyEncoding::Crypto, kind) => kind == Kind::Array || kind == Kind::Bytes,
        };
        if fits {
            Ok(Self { key_type, encoding, encoded: encoded.to_vec() })
        } else {
            Err(Error::Malformed("public key body of the wrong kind"))
        }
    }
}
