//! A `payload-begin` that its owner signed, for whoever does not believe the tunnel alone. The owner's own key is
//! accepted; delegates are not.

use super::{Announcement, Beginning, PayloadError};
use crate::cbor::{ByteString, Kind, Reader, decode, encode};
use crate::cose::Sign1;
use crate::crypto::VerifyingKey;
use crate::error::Error;
use crate::guid::Guid;

/// What the signed map is, in the protected header.
const CONTENT_TYPE: &str = "application/cbor+fdo.payload.payload-begin";
/// The text of the external data under the signature.
const EXTERNAL_DATA: &str = "FDO-FSIM-PayloadProvision-v1";
/// The protected header for whom and when it counts.
const SCOPE: &str = "fdo.scope";

/// What a device knows of its owner's signature.
#[derive(Debug, Clone, Default)]
pub struct OwnerSignature(Option<(VerifyingKey, Guid)>);

impl OwnerSignature {
    /// Of the owner that this TO2 is with, over what is for the device of this GUID.
    pub fn of(owner: VerifyingKey, guid: Guid) -> Self {
        Self(Some((owner, guid)))
    }

    /// What is announced, if it may be believed.
    ///
    /// # Errors
    /// What to answer: [`PayloadError::NotAuthorized`] for another's signature, and others for what the owner bound it
    /// to.
    pub fn announcement(&self, beginning: Beginning) -> Result<Announcement, PayloadError> {
        let item = match beginning {
            Beginning::Bare(announcement) => return Ok(*announcement),
            Beginning::Signed(item) => item.0,
        };
        let (owner, guid) = self.0.as_ref().ok_or(PayloadError::NotAuthorized)?;
        let signed = Sign1::from_bytes(&item).map_err(|_| PayloadError::InvalidFormat)?;
        let external = encode(&vec![EXTERNAL_DATA.to_owned()]);
        let payload = signed.verify(owner, &external).map_err(|_| PayloadError::NotAuthorized)?;
        let header = Header::of(&item).map_err(|_| PayloadError::InvalidFormat)?;
        if header.content_type.as_deref() != Some(CONTENT_TYPE) {
            return Err(PayloadError::NotAuthorized);
        }
        if let Some(scope) = &header.scope {
            check_scope(scope, *guid)?;
        }
        let announcement: Announcement = decode(payload).map_err(|_| PayloadError::InvalidFormat)?;
        // Without a hash the signature would say nothing of the content.
        if announcement.begin.expected_hash.is_none() {
            return Err(PayloadError::NotAuthorized);
        }
        Ok(announcement)
    }
}

/// The protected header, as far as it matters here.
struct Header {
    content_type: Option<String>,
    scope: Option<Vec<u8>>,
}

impl Header {
    fn of(item: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(item)?;
        reader.tag()?;
        reader.array(4)?;
        let mut map = Reader::new(reader.bytes()?)?;
        let mut header = Self { content_type: None, scope: None };
        for _ in 0..map.map_length()? {
            match map.kind() {
                Kind::Integer if map.integer()? == 3 => header.content_type = decode(map.raw()?).ok(),
                Kind::Text if map.text()? == SCOPE => header.scope = Some(map.raw()?.to_vec()),
                Kind::Integer | Kind::Text => {
                    map.raw()?;
                }
                _ => return Err(Error::Malformed("a header of another type")),
            }
        }
        Ok(header)
    }
}

/// This device has no clock to be trusted and keeps no generations: what needs them does not count.
fn check_scope(scope: &[u8], guid: Guid) -> Result<(), PayloadError> {
    let malformed = |_| PayloadError::InvalidFormat;
    let mut reader = Reader::new(scope).map_err(malformed)?;
    for _ in 0..reader.map_length().map_err(malformed)? {
        let name = reader.text().map_err(malformed)?;
        let value = reader.raw().map_err(malformed)?;
        match name {
            "guid" => {
                let guids = match decode::<ByteString>(value) {
                    Ok(one) => vec![one],
                    Err(_) => decode(value).map_err(malformed)?,
                };
                if !guids.iter().any(|known| known.0.as_slice() == guid.as_bytes()) {
                    return Err(PayloadError::Other(16));
                }
            }
            "not_before" | "not_after" => return Err(PayloadError::Other(17)),
            "generation" => return Err(PayloadError::Other(18)),
            _ => return Err(PayloadError::NotAuthorized),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ciborium::Value;
    use coset::iana::Algorithm;
    use coset::{CoseSign1Builder, HeaderBuilder, TaggedCborSerializable};
    use rand_core::SeedableRng;

    use super::*;
    use crate::cbor::RawItem;
    use crate::crypto::{KeyType, OwnerKey, SigningKey};
    use crate::service_info::chunking::Begin;

    const GUID: [u8; 16] = [7; 16];

    fn key(seed: u64) -> SigningKey {
        SigningKey::generate(KeyType::P256, &mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).unwrap()
    }

    fn announcement(hash: bool) -> Announcement {
        let begin = Begin { expected_hash: hash.then(|| vec![1; 32]), ..Begin::default() };
        Announcement { mime_type: "text/plain".into(), name: None, version: None, begin }
    }

    fn signed(key: &SigningKey, content_type: &str, aad: &str, scope: Option<Value>, hash: bool) -> Beginning {
        let mut header = HeaderBuilder::new().algorithm(Algorithm::ES256).content_type(content_type.to_owned());
        if let Some(scope) = scope {
            header = header.text_value(SCOPE.to_owned(), scope);
        }
        let object = CoseSign1Builder::new()
            .protected(header.build())
            .payload(encode(&announcement(hash)))
            .try_create_signature(&encode(&vec![aad.to_owned()]), |message| OwnerKey::sign(key, message))
            .unwrap()
            .build();
        Beginning::Signed(RawItem(object.to_tagged_vec().unwrap()))
    }

    fn scope(name: &str, value: Value) -> Option<Value> {
        Some(Value::Map(vec![(Value::Text(name.into()), value)]))
    }

    #[test]
    fn the_owners_own_signature_counts_for_this_device() {
        let owner = key(1);
        let signature = OwnerSignature::of(owner.verifying_key().clone(), Guid::from_bytes(GUID));
        let mine = || Value::Bytes(GUID.to_vec());
        for scope in
            [None, scope("guid", mine()), scope("guid", Value::Array(vec![Value::Bytes(vec![1; 16]), mine()]))]
        {
            let believed = signature.announcement(signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, scope, true));
            assert_eq!(believed, Ok(announcement(true)));
        }
        assert_eq!(
            signature.announcement(Beginning::Bare(Box::new(announcement(false)))),
            Ok(announcement(false))
        );
        assert_eq!(encode(&vec![EXTERNAL_DATA.to_owned()])[..3], [0x81, 0x78, 0x1c]);
    }

    #[test]
    fn all_else_does_not_count() {
        let (owner, other) = (key(1), key(2));
        let signature = OwnerSignature::of(owner.verifying_key().clone(), Guid::from_bytes(GUID));
        let number = |number: u64| Value::Integer(number.into());
        let cases = [
            (signed(&other, CONTENT_TYPE, EXTERNAL_DATA, None, true), 15),
            (signed(&owner, "application/cbor+fdo.bmo.set", EXTERNAL_DATA, None, true), 15),
            (signed(&owner, CONTENT_TYPE, "FDO-FSIM-BmoProvision-v1", None, true), 15),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, None, false), 15),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, scope("guid", Value::Bytes(vec![1; 16])), true), 16),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, scope("not_after", number(1)), true), 17),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, scope("generation", number(1)), true), 18),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, scope("place", number(1)), true), 15),
            (signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, Some(number(1)), true), 2),
            (Beginning::Signed(RawItem(vec![0xd2, 0xf6])), 2),
        ];
        for (index, (beginning, expected)) in cases.into_iter().enumerate() {
            assert_eq!(signature.announcement(beginning).unwrap_err().number(), expected, "{index}");
        }
        let beginning = signed(&owner, CONTENT_TYPE, EXTERNAL_DATA, None, true);
        assert_eq!(OwnerSignature::default().announcement(beginning), Err(PayloadError::NotAuthorized));
    }
}
