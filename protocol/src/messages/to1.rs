//! TO1: messages 30 to 33 (FDO 1.1, device to rendezvous).

use crate::cbor_array;
use crate::guid::Guid;
use crate::messages::{SigInfo, exchange, signed_message};
use crate::nonce::NonceTo1Proof;

/// 30: a device asks for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloRv {
    /// Its GUID.
    pub guid: Guid,
    /// How it signs.
    pub e_a_sig_info: SigInfo,
}
cbor_array!(HelloRv { guid, e_a_sig_info });

/// 31: a nonce to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloRvAck {
    /// Fresh.
    pub nonce: NonceTo1Proof,
    /// What 30 said.
    pub e_b_sig_info: SigInfo,
}
cbor_array!(HelloRvAck { nonce, e_b_sig_info });

signed_message! {
    /// 32: the device's proof, an EAT with the nonce of 31.
    ProveToRv
}

signed_message! {
    /// 33: to1d, exactly as the owner signed it.
    RvRedirect
}

exchange!(HelloRv -> HelloRvAck, ProveToRv -> RvRedirect);
