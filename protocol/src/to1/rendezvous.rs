//! The rendezvous' side of TO1. Its state is a nonce and a GUID, which can travel sealed in the session token.

use rand_core::CryptoRng;

use crate::cbor;
use crate::cbor_array;
use crate::cose::{Sign1, VerifiedEat};
use crate::crypto::VerifyingKey;
use crate::error::Error;
use crate::guid::Guid;
use crate::messages::to1::{HelloRv, HelloRvAck, ProveToRv};
use crate::messages::{MessageType, Outbound};
use crate::nonce::NonceTo1Proof;

/// Reads a device's question (`30 ->`); the shell answers [`Error::NotFound`] where the GUID is not registered.
///
/// # Errors
/// [`Error::Malformed`] when this is not 30; as [`crate::messages::SigInfo::check`].
pub fn hello_rv(body: &[u8]) -> Result<HelloRv, Error> {
    let hello: HelloRv = cbor::decode(body)?;
    hello.e_a_sig_info.check()?;
    Ok(hello)
}

/// Asks the device to prove itself (`-> 31`).
pub fn hello_rv_ack(hello: &HelloRv, rng: &mut dyn CryptoRng) -> (Outbound, ExpectProveToRv) {
    let nonce = NonceTo1Proof::random(rng);
    let e_b_sig_info = hello.e_a_sig_info.clone();
    let message = Outbound::plain(&HelloRvAck { nonce: nonce.clone(), e_b_sig_info });
    (message, ExpectProveToRv { guid: hello.guid, nonce, pss: hello.e_a_sig_info.is_pss() })
}

/// Waits for 32.
#[derive(Debug, Clone)]
pub struct ExpectProveToRv {
    guid: Guid,
    nonce: NonceTo1Proof,
    /// Whether the device said that it signs with PSS.
    pss: bool,
}
cbor_array!(ExpectProveToRv { guid, nonce, pss });

impl ExpectProveToRv {
    /// The GUID that the conversation is about.
    pub fn guid(&self) -> Guid {
        self.guid
    }

    /// Reads the device's proof (`32 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decode.
    pub fn prove_to_rv(self, body: &[u8]) -> Result<UnverifiedProof, Error> {
        let ProveToRv(token) = cbor::decode(body)?;
        // An EAT that does not decode is garbage, whoever's key it is held against.
        cbor::decode::<crate::cose::EatPayload>(token.unverified_payload())?;
        Ok(UnverifiedProof { state: self, token })
    }
}

/// A proof that still wants a key; the registration whose device key verifies it is the one asked for.
#[derive(Debug)]
pub struct UnverifiedProof {
    state: ExpectProveToRv,
    token: Sign1,
}

impl UnverifiedProof {
    /// Verifies it with the key of one registration.
    ///
    /// # Errors
    /// [`Error::Rejected`] when signature, nonce or GUID do not hold.
    pub fn verify(&self, device_key: &VerifyingKey) -> Result<VerifiedEat, Error> {
        // One device in the field always says ES384; whatever else it said, its certificate's key must verify.
        let pss = if self.state.pss { Some(device_key.clone().with_pss()?) } else { None };
        let device_key = pss.as_ref().unwrap_or(device_key);
        VerifiedEat::verify(&self.token, device_key, self.state.nonce.as_bytes(), &self.state.guid)
    }
}

/// Redirects the device (`-> 33`) with to1d exactly as it was registered.
pub fn rv_redirect(_proof: &VerifiedEat, to1d: &[u8]) -> Outbound {
    Outbound { message_type: MessageType::RvRedirect, body: to1d.to_vec() }
}
