//! The rendezvous' side of TO0. Its state is one nonce, which can travel sealed in the session token.

use rand_core::CryptoRng;

use crate::cbor;
use crate::cbor_array;
use crate::cose::Sign1;
use crate::error::{Error, VoucherFault};
use crate::messages::Outbound;
use crate::messages::to0::{AcceptOwner, HelloAck, OwnerSign, To0Hello, To0d, To1dBlob};
use crate::nonce::NonceTo0Sign;
use crate::rendezvous_info::RvTo2Addr;
use crate::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};

/// Answers an owner's hello (`20 -> 21`).
///
/// # Errors
/// [`Error::Malformed`] when this is not 20.
pub fn hello(body: &[u8], rng: &mut dyn CryptoRng) -> Result<(Outbound, ExpectOwnerSign), Error> {
    cbor::decode::<To0Hello>(body)?;
    let nonce = NonceTo0Sign::random(rng);
    Ok((Outbound::plain(&HelloAck { nonce: nonce.clone() }), ExpectOwnerSign { nonce }))
}

/// Waits for 22.
#[derive(Debug, Clone)]
pub struct ExpectOwnerSign {
    nonce: NonceTo0Sign,
}
cbor_array!(ExpectOwnerSign { nonce });

/// A registration whose every hash and signature holds; whether it is welcome is for the shell to say.
#[derive(Debug)]
pub struct RegistrationRequest {
    /// The device's voucher, which ends in the key that signed the redirect.
    pub voucher: VerifiedVoucher,
    /// The redirect, to be handed to the device as it is.
    pub to1d: Sign1,
    /// Where the owner is.
    pub rv_to2_addr: RvTo2Addr,
    /// For how many seconds the owner asks.
    pub wait_seconds: u32,
}

impl ExpectOwnerSign {
    /// Checks a registration (`22 ->`): the cheap checks first, signatures last.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Rejected`] (nonce, hash, address), [`Error::Voucher`], or
    /// [`Error::OwnerSignature`].
    pub fn owner_sign(self, body: &[u8], policy: &VerifyPolicy) -> Result<RegistrationRequest, Error> {
        let OwnerSign { to0d, to1d } = cbor::decode(body)?;
        let To0d { voucher, wait_seconds, nonce } = to0d.value().clone();
        if nonce != self.nonce {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        let blob: To1dBlob = cbor::decode(to1d.unverified_payload())?;
        if !blob.to0d_hash.matches(&[to0d.bytes()]) {
            return Err(Error::Rejected("the redirect's hash of to0d is wrong"));
        }
        let voucher = Voucher::from_bytes(&voucher.0)?;
        if voucher.entries().is_empty() {
            return Err(VoucherFault::NoEntries.into());
        }
        let voucher = voucher.verify(policy)?;
        to1d.verify(voucher.owner_key(), &[]).map_err(|_| Error::OwnerSignature)?;
        Ok(RegistrationRequest { voucher, to1d, rv_to2_addr: blob.rv_to2_addr, wait_seconds })
    }
}

/// Accepts (`-> 23`). The registration must be durable before this is sent.
pub fn accept_owner(wait_seconds: u32) -> Outbound {
    Outbound::plain(&AcceptOwner { wait_seconds })
}
