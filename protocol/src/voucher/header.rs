//! OVHeader: what the device and its maker agreed on at DI.

use crate::cbor_array;
use crate::guid::Guid;
use crate::hash::Hash;
use crate::messages::PROTOCOL_VERSION;
use crate::public_key::PublicKey;
use crate::rendezvous_info::RendezvousInfo;

/// `OVHeader`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvHeader {
    /// 101.
    pub version: u16,
    /// The device's GUID.
    pub guid: Guid,
    /// Where the device looks for its owner.
    pub rv_info: RendezvousInfo,
    /// The model, 1 to 255 bytes in vouchers of ours.
    pub device_info: String,
    /// The manufacturer's key, or after TO2 the owner's.
    pub manufacturer_key: PublicKey,
    /// Over the certificates of the device, one after the other; none for EPID devices.
    pub cert_chain_hash: Option<Hash>,
}
cbor_array!(OvHeader { version, guid, rv_info, device_info, manufacturer_key, cert_chain_hash });

impl OvHeader {
    /// A header of FDO 1.1.
    pub fn new(
        guid: Guid,
        rv_info: RendezvousInfo,
        device_info: String,
        manufacturer_key: PublicKey,
        cert_chain_hash: Option<Hash>,
    ) -> Self {
        Self { version: PROTOCOL_VERSION, guid, rv_info, device_info, manufacturer_key, cert_chain_hash }
    }

    /// The bytes that every entry's OVEHashHdrInfo covers.
    pub(crate) fn hashed_info(&self) -> [&[u8]; 2] {
        [self.guid.as_bytes(), self.device_info.as_bytes()]
    }

    /// The header after TO2: new GUID, rendezvous and key, the same device.
    pub(crate) fn replaced(&self, guid: Guid, rv_info: RendezvousInfo, owner2_key: PublicKey) -> Self {
        Self::new(guid, rv_info, self.device_info.clone(), owner2_key, self.cert_chain_hash.clone())
    }
}
