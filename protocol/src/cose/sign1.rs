//! COSE_Sign1 (tag 18) by an ECDSA or RSA key: entries, to1d, 61, 32, 64, 65 and KeyAuth.

use ciborium::Value;
use coset::iana::{Algorithm, EnumI64};
use coset::{
    CoseSign1, CoseSign1Builder, HeaderBuilder, Label, RegisteredLabelWithPrivate, TaggedCborSerializable,
};

use crate::cbor::{self, Decode, Encode, Reader, Writer};
use crate::cose::shape;
use crate::crypto::{KeyType, OwnerKey, VerifyingKey};
use crate::error::Error;

/// A signed object as it was received, or as it is sent. Nothing in it is verified until [`Sign1::verify`].
#[derive(Clone)]
pub struct Sign1 {
    object: CoseSign1,
    encoded: Vec<u8>,
}

impl std::fmt::Debug for Sign1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sign1 of {} bytes", self.encoded.len())
    }
}

impl PartialEq for Sign1 {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for Sign1 {}

impl Sign1 {
    /// Signs `payload`. `unprotected` holds labels with encoded items; `aad` is empty for everything in FDO 1.1.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key cannot be used.
    pub fn sign(
        payload: Vec<u8>,
        unprotected: &[(i64, Vec<u8>)],
        key: &dyn OwnerKey,
        aad: &[u8],
    ) -> Result<Self, Error> {
        let key_type = key.verifying_key().key_type();
        if key_type.is_pss() {
            return Err(Error::Unsupported("RSAPSS keys are verified, never used to sign"));
        }
        let mut header = HeaderBuilder::new();
        for (label, item) in unprotected {
            let value = ciborium::from_reader(item.as_slice()).map_err(|_| Error::Internal("COSE header"))?;
            header = header.value(*label, value);
        }
        let object = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(algorithm(key_type)).build())
            .unprotected(header.build())
            .payload(payload)
            .try_create_signature(aad, |message| key.sign(message))?
            .build();
        let encoded = object.clone().to_tagged_vec().map_err(|_| Error::Internal("COSE encoding"))?;
        Ok(Self { object, encoded })
    }

    /// Decodes a tagged COSE_Sign1 with its payload inside.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        shape::check(bytes)?;
        let object = CoseSign1::from_tagged_slice(bytes).map_err(|_| Error::Malformed("not a COSE_Sign1"))?;
        if object.payload.is_none() {
            return Err(Error::Malformed("a COSE_Sign1 without payload"));
        }
        Ok(Self { object, encoded: bytes.to_vec() })
    }

    /// The exact bytes of the object, its tag included.
    pub fn bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// The payload, not yet verified: only for finding the key to verify with.
    pub fn unverified_payload(&self) -> &[u8] {
        self.object.payload.as_deref().unwrap_or_default()
    }

    /// The algorithm that it names, not yet verified: only for guessing at the key of whoever signed.
    pub fn unverified_algorithm(&self) -> Option<i64> {
        match self.object.protected.header.alg.as_ref()? {
            RegisteredLabelWithPrivate::Assigned(algorithm) => Some(algorithm.to_i64()),
            RegisteredLabelWithPrivate::PrivateUse(number) => Some(*number),
            RegisteredLabelWithPrivate::Text(_) => None,
        }
    }

    /// The encoded item under a label of the unprotected header, which no signature covers.
    pub fn unprotected(&self, label: i64) -> Option<Vec<u8>> {
        let (_, value) = self.object.unprotected.rest.iter().find(|(known, _)| *known == Label::Int(label))?;
        encode_value(value)
    }

    /// Whether the unprotected header holds anything at all.
    pub fn has_unprotected(&self) -> bool {
        !self.object.unprotected.is_empty()
    }

    /// Verifies signature and algorithm with `key` and gives the payload's bytes.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the algorithm does not fit the key or the signature does not verify.
    pub fn verify(&self, key: &VerifyingKey, aad: &[u8]) -> Result<&[u8], Error> {
        let header = &self.object.protected.header;
        let expected = algorithm(key.key_type());
        if header.alg != Some(RegisteredLabelWithPrivate::Assigned(expected)) {
            return Err(Error::Rejected("the signature's algorithm does not fit the key"));
        }
        if !header.crit.is_empty() {
            return Err(Error::Rejected("a critical header parameter is not understood"));
        }
        let message = self.object.tbs_data(aad);
        let signature = &self.object.signature;
        if let Some(curve) = key.key_type().curve() {
            let length = curve.coordinate_length();
            if signature.len() + 1 == 2 * length {
                return verify_short(key, &message, signature, length).map(|()| self.unverified_payload());
            }
        }
        key.verify(&message, signature).map(|()| self.unverified_payload())
    }

    /// Verifies and decodes the payload.
    ///
    /// # Errors
    /// As [`Self::verify`], then [`Error::Malformed`] when the payload is not a `T`.
    pub fn verify_as<T: Decode>(&self, key: &VerifyingKey) -> Result<T, Error> {
        cbor::decode(self.verify(key, &[])?)
    }
}

/// The one algorithm that signatures by a key of this type have.
fn algorithm(key_type: KeyType) -> Algorithm {
    match key_type {
        KeyType::P256 => Algorithm::ES256,
        KeyType::P384 => Algorithm::ES384,
        KeyType::Rsa2048 => Algorithm::RS256,
        KeyType::Rsa3072 => Algorithm::RS384,
        KeyType::RsaPss2048 => Algorithm::PS256,
        KeyType::RsaPss3072 => Algorithm::PS384,
    }
}

/// One client in the field drops a leading zero byte of r or of s, about once in 128 signatures.
fn verify_short(key: &VerifyingKey, message: &[u8], signature: &[u8], length: usize) -> Result<(), Error> {
    let with_zero_at = |position: usize| {
        let mut whole = signature.to_vec();
        whole.insert(position, 0);
        key.verify(message, &whole)
    };
    with_zero_at(0).or_else(|_| with_zero_at(length))
}

fn encode_value(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).ok()?;
    Some(bytes)
}

impl Encode for Sign1 {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.encoded);
    }
}

impl Decode for Sign1 {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_bytes(reader.raw()?)
    }
}
