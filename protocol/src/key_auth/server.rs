//! The server of KeyAuth: it challenges whoever says hello, and learns from the proof which key the caller holds.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

use super::wire::{self, ChallengeBody, ChallengePayload, Hello, ProveBody, ProvePayload, VERSION};
use super::{Aad, AadPolicy};
use crate::cbor::{ByteString, decode, encode};
use crate::cbor_array;
use crate::crypto::{OwnerKey, VerifyingKey};
use crate::error::Error;
use crate::hash::{Hash, HashType};
use crate::nonce::{NonceCaller, NonceServer};
use crate::public_key::PublicKey;

/// The answer to a hello.
pub struct Challenge;

impl Challenge {
    /// Answers a hello with a challenge signed by the server's identity key. Whether the caller is known does not
    /// matter here, so that nobody can ask for it. `session` is fresh and random, and names what is to be stored.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the hello or the key in it does not decode, [`Error::Unsupported`] for another
    /// version, a delegate or a type of key that is not offered, [`Error::Internal`] when the server's key fails.
    pub fn answer(
        raw_hello: &[u8],
        server_key: &dyn OwnerKey,
        session: &[u8],
        policy: AadPolicy,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, PendingChallenge), Error> {
        let hello: Hello = decode(raw_hello)?;
        if hello.version != VERSION {
            return Err(Error::Unsupported("another version of KeyAuth than 1"));
        }
        if hello.delegate.is_some() {
            return Err(Error::Unsupported("KeyAuth by a delegate; use the owner key itself"));
        }
        hello.caller_key.verifying_key()?;
        let payload = ChallengePayload {
            nonce_caller: hello.nonce_caller,
            nonce_server: NonceServer::random(rng),
            hash_hello: Hash::of(HashType::Sha256, &[raw_hello]),
            caller_key: hello.caller_key,
        };
        let signature = wire::sign(&payload, server_key, policy)?;
        let raw_challenge = encode(&ChallengeBody {
            session: ByteString(session.to_vec()),
            nonce_server: payload.nonce_server.clone(),
            nonce_caller: payload.nonce_caller.clone(),
            hash_hello: payload.hash_hello,
            signature,
            info: None,
        });
        let pending = PendingChallenge {
            session: ByteString(session.to_vec()),
            caller_key: payload.caller_key,
            nonce_caller: payload.nonce_caller,
            nonce_server: payload.nonce_server,
            sha256: Hash::of(HashType::Sha256, &[&raw_challenge]),
            sha384: Hash::of(HashType::Sha384, &[&raw_challenge]),
        };
        Ok((raw_challenge, pending))
    }
}

/// The session that a prove belongs to, for looking it up. Nothing in it is verified yet.
///
/// # Errors
/// [`Error::Malformed`] when it is no prove.
pub fn session_of(raw_prove: &[u8]) -> Result<Vec<u8>, Error> {
    decode::<ProveBody>(raw_prove).map(|prove| prove.session.0)
}

/// What is stored between challenge and prove. It is good for one prove and a minute: whoever stores it deletes it
/// in the same step in which it is looked up.
pub struct PendingChallenge {
    session: ByteString,
    caller_key: PublicKey,
    nonce_caller: NonceCaller,
    nonce_server: NonceServer,
    sha256: Hash,
    sha384: Hash,
}
cbor_array!(PendingChallenge { session, caller_key, nonce_caller, nonce_server, sha256, sha384 });

/// A caller that holds the private half of its key.
#[derive(Debug)]
pub struct ProvenCaller {
    /// The key that it proved.
    pub key: VerifyingKey,
    /// The same key as the caller sent it.
    pub public_key: PublicKey,
    /// The key's fingerprint, whatever form it came in.
    pub fingerprint: [u8; 32],
    /// Which form of additional data the caller signed, for the log.
    pub aad: Aad,
}

impl PendingChallenge {
    /// The key that the caller says it has, for limits per key.
    pub fn caller_key(&self) -> &PublicKey {
        &self.caller_key
    }

    /// Checks the proof.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decode or answers other bytes than were sent, [`Error::Rejected`] when
    /// it is of another session, or not signed by the caller's key over exactly this session.
    pub fn verify(self, raw_prove: &[u8], policy: AadPolicy) -> Result<ProvenCaller, Error> {
        let prove: ProveBody = decode(raw_prove)?;
        if !bool::from(prove.session.ct_eq(&self.session)) {
            return Err(Error::Rejected("the proof is of another session"));
        }
        if prove.nonce_server != self.nonce_server {
            return Err(Error::Rejected("the proof answers another nonce"));
        }
        if !self.is_hash_of_challenge(&prove.hash_challenge) {
            return Err(Error::Malformed("the challenge did not arrive as it was sent"));
        }
        let key = self.caller_key.verifying_key()?;
        let (signed, aad) = wire::verify::<ProvePayload>(&prove.signature, &key, policy)?;
        if signed.nonce_server != self.nonce_server || signed.nonce_caller != self.nonce_caller {
            return Err(Error::Rejected("the caller signed other nonces"));
        }
        if signed.hash_challenge != prove.hash_challenge {
            return Err(Error::Rejected("the caller signed another hash of the challenge"));
        }
        if !bool::from(signed.caller_key.encoded().ct_eq(self.caller_key.encoded())) {
            return Err(Error::Rejected("the caller signed another key than it sent"));
        }
        Ok(ProvenCaller { fingerprint: self.caller_key.fingerprint()?, public_key: self.caller_key, key, aad })
    }

    fn is_hash_of_challenge(&self, hash: &Hash) -> bool {
        match hash.hash_type() {
            HashType::Sha256 => *hash == self.sha256,
            HashType::Sha384 => *hash == self.sha384,
        }
    }
}
