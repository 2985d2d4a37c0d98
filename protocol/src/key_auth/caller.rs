//! The caller of KeyAuth: it says hello, checks who answers, and proves its key.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

use super::AadPolicy;
use super::wire::{self, ChallengeBody, ChallengePayload, Hello, ProveBody, ProvePayload, VERSION};
use crate::cbor::{Encoded, Kind, Reader, decode, encode};
use crate::crypto::{OwnerKey, VerifyingKey};
use crate::error::Error;
use crate::hash::{Hash, HashType};
use crate::nonce::NonceCaller;
use crate::public_key::PublicKey;

/// The hello, kept until the challenge comes.
pub struct CallerHello {
    hello: Encoded<Hello>,
}

impl CallerHello {
    /// A hello for the owner key whose public half this is.
    pub fn new(key: &VerifyingKey, rng: &mut dyn CryptoRng) -> Self {
        Self {
            hello: Encoded::new(Hello {
                caller_key: PublicKey::x509(key),
                delegate: None,
                nonce_caller: NonceCaller::random(rng),
                version: VERSION,
            }),
        }
    }

    /// The body of the first request.
    pub fn bytes(&self) -> &[u8] {
        self.hello.bytes()
    }

    /// Checks the server's challenge against this hello and the pinned server key, and gives the body of the second
    /// request. Nothing is signed before every check has passed.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the challenge does not decode, [`Error::Rejected`] when it does not answer this
    /// hello or is not the pinned server's, [`Error::Internal`] when our key cannot be used.
    pub fn prove(
        &self,
        raw_challenge: &[u8],
        server: &VerifyingKey,
        key: &dyn OwnerKey,
        policy: AadPolicy,
    ) -> Result<Vec<u8>, Error> {
        let challenge: ChallengeBody = decode(raw_challenge)?;
        self.check(&challenge, server, policy)?;
        if self.hello.caller_key != PublicKey::x509(key.verifying_key()) {
            return Err(Error::Internal("KeyAuth with another key than said hello"));
        }
        answer(&self.hello, raw_challenge, challenge, key, policy)
    }

    fn check(&self, challenge: &ChallengeBody, server: &VerifyingKey, policy: AadPolicy) -> Result<(), Error> {
        if challenge.nonce_caller != self.hello.nonce_caller {
            return Err(Error::Rejected("the challenge answers another nonce"));
        }
        if !challenge.hash_hello.matches(&[self.hello.bytes()]) {
            return Err(Error::Rejected("the challenge answers another hello"));
        }
        if let Some(info) = &challenge.info
            && !matches!(Reader::new(&info.0)?.kind(), Kind::Map | Kind::Array)
        {
            return Err(Error::Malformed("the server's information is no map"));
        }
        let (signed, _) = wire::verify::<ChallengePayload>(&challenge.signature, server, policy)?;
        if signed.nonce_caller != challenge.nonce_caller || signed.nonce_server != challenge.nonce_server {
            return Err(Error::Rejected("the server signed other nonces"));
        }
        if signed.hash_hello != challenge.hash_hello {
            return Err(Error::Rejected("the server signed another hash of the hello"));
        }
        let same_key = signed.caller_key.encoded().ct_eq(self.hello.caller_key.encoded());
        if bool::from(same_key) { Ok(()) } else { Err(Error::Rejected("the server signed another caller's key")) }
    }
}

fn answer(
    hello: &Hello,
    raw_challenge: &[u8],
    challenge: ChallengeBody,
    key: &dyn OwnerKey,
    policy: AadPolicy,
) -> Result<Vec<u8>, Error> {
    let hash_challenge = Hash::of(HashType::Sha256, &[raw_challenge]);
    let payload = ProvePayload {
        nonce_server: challenge.nonce_server.clone(),
        nonce_caller: hello.nonce_caller.clone(),
        hash_challenge: hash_challenge.clone(),
        caller_key: hello.caller_key.clone(),
    };
    Ok(encode(&ProveBody {
        session: challenge.session,
        nonce_server: challenge.nonce_server,
        hash_challenge,
        signature: wire::sign(&payload, key, policy)?,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::super::Challenge;
    use super::*;
    use crate::cose::Sign1;
    use crate::crypto::Curve;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use sha2::{Digest, Sha256};

    /// Signs nothing: it gives zeros, and keeps what it was asked to sign.
    struct ZeroKey(VerifyingKey, Mutex<Vec<u8>>);

    impl OwnerKey for ZeroKey {
        fn verifying_key(&self) -> &VerifyingKey {
            &self.0
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            *self.1.lock().unwrap() = message.to_vec();
            Ok(vec![0; 64])
        }
    }

    fn sequence(first: u8) -> [u8; 16] {
        std::array::from_fn(|index| first + u8::try_from(index).unwrap())
    }

    #[test]
    fn encodes_a_proof_as_the_vector_has_it() {
        let generator = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let point = hex::decode(generator).unwrap();
        let key = ZeroKey(VerifyingKey::from_point(Curve::P256, &point).unwrap(), Mutex::default());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut hello = CallerHello::new(&key.0, &mut rng).hello.into_value();
        hello.nonce_caller = NonceCaller::from_slice(&sequence(0)).unwrap();
        let raw_hello = encode(&hello);
        let (raw, _) =
            Challenge::answer(&raw_hello, &key, &sequence(0x20), AadPolicy::default(), &mut rng).unwrap();
        let mut challenge: ChallengeBody = decode(&raw).unwrap();
        challenge.nonce_server = crate::nonce::NonceServer::from_slice(&sequence(0x10)).unwrap();
        let payload = ChallengePayload {
            nonce_caller: hello.nonce_caller.clone(),
            nonce_server: challenge.nonce_server.clone(),
            hash_hello: Hash::of(HashType::Sha256, &[&raw_hello]),
            caller_key: hello.caller_key.clone(),
        };
        challenge.signature = wire::sign(&payload, &key, AadPolicy::default()).unwrap();
        let raw = encode(&challenge);
        let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        assert_eq!(hash(&raw), "3ddbcece4f49bdbd12a35e2e67179de66f5d776010d153c65dc35e9cfed95f03");

        let proof = answer(&hello, &raw, challenge, &key, AadPolicy::default()).unwrap();
        let proof: ProveBody = decode(&proof).unwrap();
        let signed = Sign1::from_bytes(&proof.signature).unwrap();
        assert_eq!(signed.unverified_payload().len(), 184);
        assert_eq!(
            hash(signed.unverified_payload()),
            "453f9721adfef012221f0949c5206dab47644c45c3a0027add1a75846d06030b"
        );
        let structure = key.1.lock().unwrap();
        assert_eq!(structure.len(), 225);
        assert_eq!(hash(&structure), "c305dce84831be030df3957171c982298081000072095f47b4fb15e1abc36912");
    }
}
