//! TO2: messages 60 to 71 (FDO 1.1, device to owner). 68 and 69 live with service info.

use crate::cbor::{ByteString, Encoded, Wrapped};
use crate::cbor_array;
use crate::cose::Sign1;
use crate::guid::Guid;
use crate::hash::{Hash, Hmac};
use crate::messages::{Message, MessageType, SigInfo, exchange, signed_message};
use crate::nonce::{NonceTo2ProveDv, NonceTo2ProveOv, NonceTo2SetupDv};
use crate::public_key::PublicKey;
use crate::rendezvous_info::RendezvousInfo;
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use crate::voucher::OvHeader;

/// Unprotected label of the owner's nonce in 61.
pub const CUPH_NONCE: i64 = 256;
/// Unprotected label of the owner's key in 61.
pub const CUPH_OWNER_PUB_KEY: i64 = 257;
/// Unprotected label of the device's nonce in 64.
pub const EUPH_NONCE: i64 = -259;

/// 60: a device begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloDevice {
    /// The longest message that it can take, in bytes; 0 says nothing.
    pub max_device_message_size: u16,
    /// Its GUID.
    pub guid: Guid,
    /// For the owner to sign.
    pub nonce: NonceTo2ProveOv,
    /// Name of the key exchange suite.
    pub kex_suite_name: String,
    /// Number of the cipher suite.
    pub cipher_suite: i64,
    /// How it signs.
    pub e_a_sig_info: SigInfo,
}
cbor_array!(HelloDevice { max_device_message_size, guid, nonce, kex_suite_name, cipher_suite, e_a_sig_info });

signed_message! {
    /// 61: the voucher's header and the owner's part of the key exchange, signed by the owner.
    ProveOvHdr
}

/// The payload of 61.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProveOvHdrPayload {
    /// OVHeader, as the voucher has it.
    pub ov_header: Wrapped<OvHeader>,
    /// How many entries will follow, at least 1.
    pub num_ov_entries: u8,
    /// OVHeaderHMac, as the voucher has it.
    pub hmac: Encoded<Hmac>,
    /// The nonce of 60.
    pub nonce: NonceTo2ProveOv,
    /// What 60 said.
    pub e_b_sig_info: SigInfo,
    /// The owner's part of the key exchange.
    pub x_a_key_exchange: ByteString,
    /// Hash over the body of 60, so that nobody weakened the suites.
    pub hello_device_hash: Hash,
    /// The longest message that the owner can take, in bytes.
    pub max_owner_message_size: u16,
}
cbor_array!(ProveOvHdrPayload {
    ov_header,
    num_ov_entries,
    hmac,
    nonce,
    e_b_sig_info,
    x_a_key_exchange,
    hello_device_hash,
    max_owner_message_size,
});

/// 62: asks for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOvNextEntry {
    /// Its number, from 0.
    pub entry_num: u8,
}
cbor_array!(GetOvNextEntry { entry_num });

/// 63: that entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvNextEntry {
    /// Its number.
    pub entry_num: u8,
    /// OVEntry, as the voucher has it.
    pub entry: Sign1,
}
cbor_array!(OvNextEntry { entry_num, entry });

signed_message! {
    /// 64: the device's proof, an EAT with the owner's nonce and the device's part of the key exchange.
    ProveDevice
}

signed_message! {
    /// 65: what the device becomes, signed by the key that it will know its owner by.
    SetupDevice
}

/// The payload of 65.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupDevicePayload {
    /// Where to look for the owner the next time.
    pub rv_info: RendezvousInfo,
    /// The device's next GUID.
    pub guid: Guid,
    /// The nonce of 64.
    pub nonce: NonceTo2SetupDv,
    /// The owner's key of the next voucher.
    pub owner2_key: PublicKey,
}
cbor_array!(SetupDevicePayload { rv_info, guid, nonce, owner2_key });

/// 66: the device takes its new credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceServiceInfoReady {
    /// Its HMAC over the next voucher's header; null where it keeps its credential.
    pub replacement_hmac: Option<Hmac>,
    /// The largest service info that it can take, in bytes; null is 1300.
    pub max_owner_service_info_size: Option<u16>,
}
cbor_array!(DeviceServiceInfoReady { replacement_hmac, max_owner_service_info_size });

/// 67: the owner is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerServiceInfoReady {
    /// The largest service info that it can take, in bytes; null is 1300.
    pub max_device_service_info_size: Option<u16>,
}
cbor_array!(OwnerServiceInfoReady { max_device_service_info_size });

/// 70: the device is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The nonce of 61.
    pub nonce: NonceTo2ProveDv,
}
cbor_array!(Done { nonce });

/// 71: so is the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done2 {
    /// The nonce of 64.
    pub nonce: NonceTo2SetupDv,
}
cbor_array!(Done2 { nonce });

impl Message for DeviceServiceInfo {
    const TYPE: MessageType = MessageType::DeviceServiceInfo;
}

impl Message for OwnerServiceInfo {
    const TYPE: MessageType = MessageType::OwnerServiceInfo;
}

impl crate::messages::Request for DeviceServiceInfo {
    type Reply = OwnerServiceInfo;
}

exchange!(
    HelloDevice -> ProveOvHdr,
    GetOvNextEntry -> OvNextEntry,
    ProveDevice -> SetupDevice,
    DeviceServiceInfoReady -> OwnerServiceInfoReady,
    Done -> Done2,
);
