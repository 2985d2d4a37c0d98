//! Public keys of every type that FDO 1.1 has, checked when they are read.

use std::fmt;

use p256::pkcs8::{DecodePublicKey, EncodePublicKey};

use super::backend;
use super::key_type::{Curve, KeyType};
use super::rsa::RsaNumbers;
use crate::cbor::{Decode, Encode, Kind, Reader, Writer};
use crate::error::Error;

/// The public half of a key. A point is known to be on its curve, an RSA key to be of 2048 or 3072 bits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifyingKey {
    key_type: KeyType,
    /// The uncompressed point, or RSAPublicKey in DER.
    material: Vec<u8>,
    spki: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo in DER. RSA keys verify PKCS#1 v1.5; see [`Self::with_pss`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it is a P-256 or P-384 key with a point on the curve, or RSA of 2048 or 3072 bits.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, Error> {
        if let Ok(key) = p256::PublicKey::from_public_key_der(spki) {
            return Self::from_parts(KeyType::P256, &key.to_sec1_bytes(), key.to_public_key_der());
        }
        if let Ok(key) = p384::PublicKey::from_public_key_der(spki) {
            return Self::from_parts(KeyType::P384, &key.to_sec1_bytes(), key.to_public_key_der());
        }
        match RsaNumbers::from_spki_der(spki)? {
            Some(numbers) => Self::from_rsa_numbers(&numbers),
            None => Err(Error::Unsupported("public key: P-256, P-384 and RSA are")),
        }
    }

    /// Reads a point in SEC 1 form.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it lies on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, Error> {
        let off_curve = |_| Error::Unsupported("public key: the point is not on its curve");
        match curve {
            Curve::P256 => {
                let key = p256::PublicKey::from_sec1_bytes(point).map_err(off_curve)?;
                Self::from_parts(KeyType::P256, &key.to_sec1_bytes(), key.to_public_key_der())
            }
            Curve::P384 => {
                let key = p384::PublicKey::from_sec1_bytes(point).map_err(off_curve)?;
                Self::from_parts(KeyType::P384, &key.to_sec1_bytes(), key.to_public_key_der())
            }
        }
    }

    /// Takes modulus and exponent as big-endian numbers, which may begin with zeros.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless the modulus has 2048 or 3072 bits and the exponent is odd and at least 65537.
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        Self::from_rsa_numbers(&RsaNumbers::new(modulus, exponent)?)
    }

    pub(super) fn from_rsa_numbers(numbers: &RsaNumbers) -> Result<Self, Error> {
        let key_type = match numbers.bits() {
            2048 => KeyType::Rsa2048,
            3072 => KeyType::Rsa3072,
            _ => return Err(Error::Unsupported("public key: RSA of 2048 and of 3072 bits is")),
        };
        Ok(Self { key_type, material: numbers.to_pkcs1_der()?, spki: numbers.to_spki_der()? })
    }

    fn from_parts(
        key_type: KeyType,
        point: &[u8],
        spki: spki::Result<spki::der::Document>,
    ) -> Result<Self, Error> {
        let spki = spki.map_err(|_| Error::Internal("public key encoding"))?;
        Ok(Self { key_type, material: point.to_vec(), spki: spki.into_vec() })
    }

    /// The same RSA key for PSS signatures.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless it is an RSA key.
    pub fn with_pss(self) -> Result<Self, Error> {
        match self.key_type.modulus_bits() {
            Some(_) => Ok(Self { key_type: self.key_type.with_pss(), ..self }),
            None => Err(Error::Unsupported("PSS with a key that is not RSA")),
        }
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point: `04`, x, y; none for RSA.
    pub fn point(&self) -> Option<&[u8]> {
        self.key_type.curve().map(|_| self.material.as_slice())
    }

    /// Modulus and exponent without leading zeros; none for other keys than RSA.
    pub(crate) fn rsa_numbers(&self) -> Option<RsaNumbers> {
        self.key_type.modulus_bits().and_then(|_| RsaNumbers::from_pkcs1_der(&self.material).ok())
    }

    /// Whether it is RSA with the exponent 65537, which RSA2048RESTR wants.
    pub(crate) fn has_usual_exponent(&self) -> bool {
        self.rsa_numbers().is_some_and(|numbers| numbers.has_usual_exponent())
    }

    /// Checks a signature as COSE has it: r and s in fixed length, or as long as the modulus.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not this key's over this message; [`Error::Unsupported`] for RSA where the
    /// backend lacks it.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let holds = match self.key_type.curve() {
            Some(curve) => backend::verify(curve, &self.material, message, signature),
            None => backend::verify_rsa(self.key_type, &self.material, message, signature)?,
        };
        if holds { Ok(()) } else { Err(Error::Rejected("the signature does not verify")) }
    }

    /// Checks a signature as X.509 has it: DER for elliptic curves, the same as COSE's for RSA.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not this key's over this message.
    pub fn verify_der(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let broken = |_| Error::Rejected("the signature is not in DER");
        let fixed = match self.key_type.curve() {
            Some(Curve::P256) => p256::ecdsa::Signature::from_der(signature).map_err(broken)?.to_bytes().to_vec(),
            Some(Curve::P384) => p384::ecdsa::Signature::from_der(signature).map_err(broken)?.to_bytes().to_vec(),
            None => return self.verify(message, signature),
        };
        self.verify(message, &fixed)
    }

    /// Encrypts a secret of the key exchange to this RSA key: OAEP with SHA-256 and no label.
    pub(super) fn encrypt_oaep(&self, secret: &[u8]) -> Result<Vec<u8>, Error> {
        backend::encrypt_oaep(&self.spki, secret)
    }
}

impl Encode for VerifyingKey {
    /// PSS does not show in SubjectPublicKeyInfo, so such a key is wrapped once more.
    fn encode_into(&self, writer: &mut Writer) {
        if self.key_type.is_pss() {
            writer.array(1);
        }
        writer.bytes(&self.spki);
    }
}

impl Decode for VerifyingKey {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.kind() == Kind::Array {
            reader.array(1)?;
            return Self::from_spki_der(reader.bytes()?)?.with_pss();
        }
        Self::from_spki_der(reader.bytes()?)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.key_type)?;
        // Behind the heads of the DER structures, which all RSA keys of a size share.
        let skip = if self.key_type.curve().is_some() { 1 } else { 9 };
        self.material.iter().skip(skip).take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
