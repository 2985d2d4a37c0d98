//! `PublicKey = [pkType, pkEnc, pkBody]` in all its encodings (FDO 1.1, public keys).

use std::fmt;

use sha2::{Digest, Sha256};
use x509_cert::der::{Decode as _, Encode as _};

use crate::cbor::{Decode, Encode, Kind, Reader, Writer};
use crate::crypto::{KeyType, VerifyingKey};
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
    /// [`Error::Unsupported`] for an unknown one.
    pub fn from_number(number: u64) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == number)
            .map(|(known, _)| *known)
            .ok_or(Error::Unsupported("public key type"))
    }

    /// The curve, unless it is RSA.
    pub fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Secp256r1 => Some(KeyType::P256),
            Self::Secp384r1 => Some(KeyType::P384),
            _ => None,
        }
    }
}

impl From<KeyType> for PublicKeyType {
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::Secp256r1,
            KeyType::P384 => Self::Secp384r1,
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
    /// The key as SubjectPublicKeyInfo, which everybody reads.
    pub fn x509(key: &VerifyingKey) -> Self {
        Self::build(key, PublicKeyEncoding::X509, |writer| {
            writer.bytes(key.spki_der());
        })
    }

    /// The key as a COSE key.
    pub fn cose_key(key: &VerifyingKey) -> Self {
        let length = key.key_type().coordinate_length();
        let (x, y) = key.point()[1..].split_at(length);
        Self::build(key, PublicKeyEncoding::CoseKey, |writer| {
            let curve = if key.key_type() == KeyType::P256 { 1 } else { 2 };
            writer.map(4).integer(1).integer(2).integer(-1).integer(curve);
            writer.integer(-2).bytes(x).integer(-3).bytes(y);
        })
    }

    /// The key as a chain of DER certificates, its own first.
    pub fn x5chain(key: &VerifyingKey, certificates: &[Vec<u8>]) -> Self {
        Self::build(key, PublicKeyEncoding::X5Chain, |writer| {
            writer.array(certificates.len());
            for certificate in certificates {
                writer.bytes(certificate);
            }
        })
    }

    fn build(key: &VerifyingKey, encoding: PublicKeyEncoding, body: impl FnOnce(&mut Writer)) -> Self {
        let key_type = PublicKeyType::from(key.key_type());
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
    /// [`Error::Malformed`] when the body does not decode, [`Error::Unsupported`] for a type without support (RSA).
    pub fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        let key_type =
            self.key_type.key_type().ok_or(Error::Unsupported("RSA public keys are not supported yet"))?;
        let mut reader = Reader::new(&self.encoded)?;
        reader.array(3)?;
        reader.unsigned()?;
        reader.unsigned()?;
        let key = match self.encoding {
            PublicKeyEncoding::X509 => VerifyingKey::from_spki_der(reader.bytes()?)?,
            PublicKeyEncoding::X5Chain => leaf_key(&mut reader)?,
            PublicKeyEncoding::CoseKey => cose_coordinates(&mut reader, key_type)?,
            PublicKeyEncoding::Crypto => return Err(Error::Unsupported("public key encoding Crypto")),
        };
        if key.key_type() == key_type {
            Ok(key)
        } else {
            Err(Error::Rejected("public key of another type than said"))
        }
    }

    /// SHA-256 over the key in its X509 form, whatever form it came in: the name of a key across systems.
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

/// Coordinates may come short, with a leading zero too many, and without the key type.
fn cose_coordinates(reader: &mut Reader<'_>, key_type: KeyType) -> Result<VerifyingKey, Error> {
    let length = key_type.coordinate_length();
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
    if x && y { VerifyingKey::from_point(key_type, &point) } else { Err(Error::Malformed("coordinate missing")) }
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
            (PublicKeyEncoding::Crypto, _) => true,
        };
        if fits {
            Ok(Self { key_type, encoding, encoded: encoded.to_vec() })
        } else {
            Err(Error::Malformed("public key body of the wrong kind"))
        }
    }
}
