//! The owner's side of TO0.

use crate::cbor::{self, RawItem, Wrapped};
use crate::cose::Sign1;
use crate::crypto::OwnerKey;
use crate::error::{Error, VoucherFault};
use crate::hash::Hash;
use crate::messages::Outbound;
use crate::messages::to0::{AcceptOwner, HelloAck, OwnerSign, To0Hello, To0d, To1dBlob};
use crate::rendezvous_info::RvTo2Addr;
use crate::voucher::VerifiedVoucher;

/// Begins (`-> 20`).
pub fn begin() -> (Outbound, ExpectHelloAck) {
    (Outbound::plain(&To0Hello {}), ExpectHelloAck(()))
}

/// Waits for 21.
pub struct ExpectHelloAck(());

impl ExpectHelloAck {
    /// Signs where the owner is (`21 -> 22`).
    ///
    /// # Errors
    /// [`Error::Voucher`] when the voucher has no entry or is not `key`'s.
    pub fn hello_ack(
        self,
        body: &[u8],
        voucher: &VerifiedVoucher,
        key: &dyn OwnerKey,
        rv_to2_addr: RvTo2Addr,
        wait_seconds: u32,
    ) -> Result<(Outbound, ExpectAcceptOwner), Error> {
        let HelloAck { nonce } = cbor::decode(body)?;
        if voucher.entries().is_empty() {
            return Err(VoucherFault::NoEntries.into());
        }
        if voucher.owner_key() != key.verifying_key() {
            return Err(VoucherFault::NotTheOwner.into());
        }
        let to0d = Wrapped::new(To0d { voucher: RawItem(voucher.bytes().to_vec()), wait_seconds, nonce });
        let to0d_hash = Hash::of(voucher.hash_type(), &[to0d.bytes()]);
        let to1d = Sign1::sign(cbor::encode(&To1dBlob { rv_to2_addr, to0d_hash }), &[], key, &[])?;
        Ok((Outbound::plain(&OwnerSign { to0d, to1d }), ExpectAcceptOwner(())))
    }
}

/// Waits for 23.
pub struct ExpectAcceptOwner(());

impl ExpectAcceptOwner {
    /// Ends (`23 ->`) with the seconds that the rendezvous granted.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 23.
    pub fn accept_owner(self, body: &[u8]) -> Result<u32, Error> {
        cbor::decode::<AcceptOwner>(body).map(|message| message.wait_seconds)
    }
}
