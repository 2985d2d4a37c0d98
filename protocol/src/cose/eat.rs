//! The entity attestation token by which a device proves itself in 32 and 64 (FDO 1.1, EAToken).

use crate::cbor::{self, Decode, Encode, Reader, Writer};
use crate::cose::Sign1;
use crate::crypto::{OwnerKey, VerifyingKey};
use crate::error::Error;
use crate::guid::Guid;

const NONCE: i64 = 10;
const UEID: i64 = 256;
const FDO: i64 = -257;

/// The claims: the peer's nonce, the device's GUID and, in 64 only, its part of the key exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EatPayload {
    /// EAT-NONCE, 16 bytes.
    pub nonce: Vec<u8>,
    /// EAT-UEID, which must be `01` and the GUID.
    pub ueid: Vec<u8>,
    /// The one element of EAT-FDO: xBKeyExchange.
    pub key_exchange: Option<Vec<u8>>,
}

impl EatPayload {
    /// Claims of the device with this GUID.
    pub fn new(nonce: &[u8; 16], guid: &Guid, key_exchange: Option<Vec<u8>>) -> Self {
        Self { nonce: nonce.to_vec(), ueid: guid.ueid().to_vec(), key_exchange }
    }

    /// Signs the claims with the device's attestation key.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key cannot be used.
    pub fn sign(&self, unprotected: &[(i64, Vec<u8>)], key: &dyn OwnerKey) -> Result<Sign1, Error> {
        Sign1::sign(cbor::encode(self), unprotected, key, &[])
    }
}

/// Claims whose signature, nonce and GUID were checked.
#[derive(Debug)]
pub struct VerifiedEat {
    key_exchange: Option<Vec<u8>>,
}

impl VerifiedEat {
    /// Verifies a token by the device's key, our nonce, and the GUID that the conversation is about.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the claims do not decode, [`Error::Rejected`] when one does not hold.
    pub fn verify(token: &Sign1, key: &VerifyingKey, nonce: &[u8; 16], guid: &Guid) -> Result<Self, Error> {
        // Decoding first costs little and tells garbage from forgery.
        let claims: EatPayload = cbor::decode(token.unverified_payload())?;
        if claims.nonce != nonce {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        if claims.ueid != guid.ueid() {
            return Err(Error::Rejected("the token names another device"));
        }
        token.verify(key, &[])?;
        Ok(Self { key_exchange: claims.key_exchange })
    }

    /// xBKeyExchange.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the claim is absent.
    pub fn key_exchange(&self) -> Result<&[u8], Error> {
        self.key_exchange.as_deref().ok_or(Error::Malformed("the key exchange is missing"))
    }
}

impl Encode for EatPayload {
    fn encode_into(&self, writer: &mut Writer) {
        writer.map(if self.key_exchange.is_some() { 3 } else { 2 });
        writer.integer(NONCE).bytes(&self.nonce).integer(UEID).bytes(&self.ueid);
        if let Some(key_exchange) = &self.key_exchange {
            writer.integer(FDO).array(1).bytes(key_exchange);
        }
    }
}

impl Decode for EatPayload {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (mut nonce, mut ueid, mut key_exchange) = (None, None, None);
        for _ in 0..reader.map_length()? {
            // Claims may also be named by text; those are none of ours.
            let Ok(label) = reader.clone().integer() else {
                reader.raw()?;
                reader.raw()?;
                continue;
            };
            reader.integer()?;
            match label {
                NONCE => nonce = Some(reader.bytes()?.to_vec()),
                UEID => ueid = Some(reader.bytes()?.to_vec()),
                FDO => {
                    reader.array(1)?;
                    key_exchange = Some(reader.bytes()?.to_vec());
                }
                _ => {
                    reader.raw()?;
                }
            }
        }
        match (nonce, ueid) {
            (Some(nonce), Some(ueid)) => Ok(Self { nonce, ueid, key_exchange }),
            _ => Err(Error::Malformed("a claim is missing")),
        }
    }
}
