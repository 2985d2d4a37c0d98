//! TO0: messages 20 to 23 (FDO 1.1, owner to rendezvous).

use crate::cbor::{RawItem, Wrapped};
use crate::cbor_array;
use crate::cose::Sign1;
use crate::hash::Hash;
use crate::messages::exchange;
use crate::nonce::NonceTo0Sign;
use crate::rendezvous_info::RvTo2Addr;

/// 20: an owner wants to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct To0Hello {}
cbor_array!(To0Hello {});

/// 21: a nonce to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloAck {
    /// Fresh.
    pub nonce: NonceTo0Sign,
}
cbor_array!(HelloAck { nonce });

/// 22: the voucher, and the redirect signed by its last key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerSign {
    /// What the redirect's hash covers.
    pub to0d: Wrapped<To0d>,
    /// The redirect that devices will be handed: [`To1dBlob`] signed by the owner.
    pub to1d: Sign1,
}
cbor_array!(OwnerSign { to0d, to1d });

/// `to0d`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct To0d {
    /// The ownership voucher, decoded apart so that its faults are told as such.
    pub voucher: RawItem,
    /// For how many seconds the owner wants to be registered.
    pub wait_seconds: u32,
    /// The nonce of 21.
    pub nonce: NonceTo0Sign,
}
cbor_array!(To0d { voucher, wait_seconds, nonce });

/// The payload of to1d.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct To1dBlob {
    /// Where the owner is.
    pub rv_to2_addr: RvTo2Addr,
    /// Binds it to the to0d that it came with.
    pub to0d_hash: Hash,
}
cbor_array!(To1dBlob { rv_to2_addr, to0d_hash });

/// 23: registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptOwner {
    /// For how many seconds.
    pub wait_seconds: u32,
}
cbor_array!(AcceptOwner { wait_seconds });

exchange!(To0Hello -> HelloAck, OwnerSign -> AcceptOwner);
