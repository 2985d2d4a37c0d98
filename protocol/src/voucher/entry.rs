//! OVEntry: one sale, signed by the seller.

use crate::cbor::{ByteString, Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::hash::Hash;
use crate::public_key::PublicKey;

/// `OVEntryPayload`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvEntryPayload {
    /// Over header and HMAC for entry 0, over the whole entry before it for the others.
    pub previous_hash: Hash,
    /// Over GUID and device information.
    pub header_hash: Hash,
    /// OVEExtra: an encoded map, or nothing.
    pub extra: Option<ByteString>,
    /// The key of the next owner.
    pub owner_key: PublicKey,
}

impl Encode for OvEntryPayload {
    fn encode_into(&self, writer: &mut Writer) {
        writer
            .array(4)
            .value(&self.previous_hash)
            .value(&self.header_hash)
            .value(&self.extra)
            .value(&self.owner_key);
    }
}

impl Decode for OvEntryPayload {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        let payload = Self {
            previous_hash: Hash::decode_from(reader)?,
            header_hash: Hash::decode_from(reader)?,
            extra: Option::decode_from(reader)?,
            owner_key: PublicKey::decode_from(reader)?,
        };
        if let Some(extra) = &payload.extra {
            Reader::new(extra)?.map_length()?;
        }
        Ok(payload)
    }
}
