//! The wire structures of KeyAuth, and the signatures in them.

use super::{Aad, AadPolicy};
use crate::cbor::{self, ByteString, Decode, Encode, RawItem, Reader, Writer};
use crate::cbor_array;
use crate::cose::Sign1;
use crate::crypto::{OwnerKey, VerifyingKey};
use crate::error::Error;
use crate::hash::Hash;
use crate::nonce::{NonceCaller, NonceServer};
use crate::public_key::PublicKey;

pub(super) const VERSION: u64 = 1;

/// `[caller-key, delegate / null, nonce-caller, version]`
pub(super) struct Hello {
    pub caller_key: PublicKey,
    pub delegate: Option<RawItem>,
    pub nonce_caller: NonceCaller,
    pub version: u64,
}
cbor_array!(Hello { caller_key, delegate, nonce_caller, version });

/// `[session, nonce-server, nonce-caller, hash-hello, server-sig, info / null]`
pub(super) struct ChallengeBody {
    pub session: ByteString,
    pub nonce_server: NonceServer,
    pub nonce_caller: NonceCaller,
    pub hash_hello: Hash,
    pub signature: ByteString,
    pub info: Option<RawItem>,
}
cbor_array!(ChallengeBody { session, nonce_server, nonce_caller, hash_hello, signature, info });

/// `[session, nonce-server, hash-challenge, caller-sig]`
pub(super) struct ProveBody {
    pub session: ByteString,
    pub nonce_server: NonceServer,
    pub hash_challenge: Hash,
    pub signature: ByteString,
}
cbor_array!(ProveBody { session, nonce_server, hash_challenge, signature });

/// What a side signs. The context string comes first, so that no other signature of an owner key passes for it.
pub(super) trait Signed: Encode + Decode {
    const TAG: &'static str;
}

/// `["FDOKeyAuth.Challenge", nonce-caller, nonce-server, hash-hello, caller-key]`
pub(super) struct ChallengePayload {
    pub nonce_caller: NonceCaller,
    pub nonce_server: NonceServer,
    pub hash_hello: Hash,
    pub caller_key: PublicKey,
}

/// `["FDOKeyAuth.Prove", nonce-server, nonce-caller, hash-challenge, caller-key]`
pub(super) struct ProvePayload {
    pub nonce_server: NonceServer,
    pub nonce_caller: NonceCaller,
    pub hash_challenge: Hash,
    pub caller_key: PublicKey,
}

macro_rules! signed {
    ($name:ident, $context:literal, $tag:literal, [$($field:ident),*]) => {
        impl Signed for $name {
            const TAG: &'static str = $tag;
        }

        impl Encode for $name {
            fn encode_into(&self, writer: &mut Writer) {
                writer.array(5).text($context);
                $(writer.value(&self.$field);)*
            }
        }

        impl Decode for $name {
            fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
                reader.array(5)?;
                if reader.text()? != $context {
                    return Err(Error::Rejected("a signature made for another purpose"));
                }
                Ok(Self { $($field: Decode::decode_from(reader)?),* })
            }
        }
    };
}
signed!(
    ChallengePayload,
    "FDOKeyAuth.Challenge",
    "FDO-KeyAuth-Challenge-v1",
    [nonce_caller, nonce_server, hash_hello, caller_key]
);
signed!(
    ProvePayload,
    "FDOKeyAuth.Prove",
    "FDO-KeyAuth-Prove-v1",
    [nonce_server, nonce_caller, hash_challenge, caller_key]
);

fn external_aad(form: Aad, tag: &str) -> Vec<u8> {
    match form {
        Aad::Array => {
            let mut writer = Writer::default();
            writer.array(1).text(tag);
            writer.into_bytes()
        }
        Aad::Raw => tag.as_bytes().to_vec(),
        Aad::Empty => Vec::new(),
    }
}

pub(super) fn sign<P: Signed>(payload: &P, key: &dyn OwnerKey, policy: AadPolicy) -> Result<ByteString, Error> {
    let aad = external_aad(policy.sign, P::TAG);
    let signed = Sign1::sign(cbor::encode(payload), &[], key, &aad)?;
    Ok(ByteString(signed.bytes().to_vec()))
}

/// Verifies a signature, and only then decodes what it covers. Also says which form of additional data it has.
pub(super) fn verify<P: Signed>(
    signature: &[u8],
    key: &VerifyingKey,
    policy: AadPolicy,
) -> Result<(P, Aad), Error> {
    let signed = Sign1::from_bytes(signature)?;
    if signed.has_unprotected() || !only_the_algorithm_is_protected(signature)? {
        return Err(Error::Rejected("a signature of KeyAuth has no header but its algorithm"));
    }
    let forms = if policy.compat { &[Aad::Array, Aad::Empty, Aad::Raw][..] } else { &[Aad::Array][..] };
    for form in forms {
        if let Ok(payload) = signed.verify(key, &external_aad(*form, P::TAG)) {
            return Ok((cbor::decode(payload)?, *form));
        }
    }
    Err(Error::Rejected("the signature does not verify"))
}

fn only_the_algorithm_is_protected(signature: &[u8]) -> Result<bool, Error> {
    let mut object = Reader::new(signature)?;
    object.tag()?;
    object.array(4)?;
    let mut protected = Reader::new(object.bytes()?)?;
    Ok(protected.map_length()? == 1 && protected.integer()? == 1)
}
