//! A hand-made caller and server: every field of a message and of what is signed can be changed.

use fdo_protocol::cbor::{self, Reader, Writer};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::key_auth::{CallerHello, Challenge, PendingChallenge};
use fdo_protocol::{Error, Hash, HashType, PublicKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{PROVE, SESSION, STRICT, key};

/// The fields of a challenge, as a hand-made caller reads them.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) session: Vec<u8>,
    pub(crate) nonce_server: Vec<u8>,
    pub(crate) nonce_caller: Vec<u8>,
    pub(crate) hash_hello: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) info: Vec<u8>,
}

impl Received {
    pub(crate) fn read(raw: &[u8]) -> Self {
        let mut reader = Reader::new(raw).unwrap();
        reader.array(6).unwrap();
        Self {
            session: reader.bytes().unwrap().to_vec(),
            nonce_server: reader.bytes().unwrap().to_vec(),
            nonce_caller: reader.bytes().unwrap().to_vec(),
            hash_hello: reader.raw().unwrap().to_vec(),
            signature: reader.bytes().unwrap().to_vec(),
            info: reader.raw().unwrap().to_vec(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(6).bytes(&self.session).bytes(&self.nonce_server);
        writer.bytes(&self.nonce_caller).raw(&self.hash_hello);
        writer.bytes(&self.signature).raw(&self.info);
        writer.into_bytes()
    }
}

/// What a side signs, open to change.
#[derive(Clone)]
pub(crate) struct Payload {
    pub(crate) context: &'static str,
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) caller_key: Vec<u8>,
}

impl Payload {
    pub(crate) fn sign(&self, key: &SigningKey, unprotected: &[(i64, Vec<u8>)], tag: &str) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(5).text(self.context).bytes(&self.first);
        writer.bytes(&self.second).raw(&self.hash).raw(&self.caller_key);
        let mut aad = Writer::default();
        aad.array(1).text(tag);
        let signed = Sign1::sign(writer.into_bytes(), unprotected, key, &aad.into_bytes()).unwrap();
        signed.bytes().to_vec()
    }
}

pub(crate) fn proof(session: &[u8], nonce_server: &[u8], hash: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(4).bytes(session).bytes(nonce_server).raw(hash).bytes(signature);
    writer.into_bytes()
}

/// A run up to the challenge, from which each test goes its own wrong way.
pub(crate) struct Run {
    pub(crate) caller: SigningKey,
    pub(crate) server: SigningKey,
    pub(crate) hello: CallerHello,
    pub(crate) challenge: Vec<u8>,
    pub(crate) pending: Vec<u8>,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (caller, server) = (key(KeyType::P256), key(KeyType::P384));
        let hello = CallerHello::new(caller.verifying_key(), &mut rng);
        let (challenge, pending) = Challenge::answer(hello.bytes(), &server, &SESSION, STRICT, &mut rng).unwrap();
        let pending = cbor::encode(&pending);
        Self { caller, server, hello, challenge, pending }
    }

    pub(crate) fn caller_key(&self) -> Vec<u8> {
        PublicKey::x509(self.caller.verifying_key()).encoded().to_vec()
    }

    pub(crate) fn honest_proof(&self) -> Vec<u8> {
        self.hello.prove(&self.challenge, self.server.verifying_key(), &self.caller, STRICT).unwrap()
    }

    pub(crate) fn verify(&self, prove: &[u8]) -> Result<(), Error> {
        let pending: PendingChallenge = cbor::decode(&self.pending).unwrap();
        pending.verify(prove, STRICT).map(|_| ())
    }

    pub(crate) fn prove(&self, challenge: &[u8]) -> Result<(), Error> {
        self.hello.prove(challenge, self.server.verifying_key(), &self.caller, STRICT).map(|_| ())
    }

    pub(crate) fn hash_of_challenge(&self, hash_type: HashType) -> Vec<u8> {
        cbor::encode(&Hash::of(hash_type, &[&self.challenge]))
    }

    pub(crate) fn prove_payload(&self) -> Payload {
        let challenge = Received::read(&self.challenge);
        Payload {
            context: PROVE,
            first: challenge.nonce_server,
            second: challenge.nonce_caller,
            hash: self.hash_of_challenge(HashType::Sha256),
            caller_key: self.caller_key(),
        }
    }

    /// A proof whose outer fields are right, around this payload.
    pub(crate) fn proof_around(&self, payload: &Payload, key: &SigningKey) -> Vec<u8> {
        let signature = payload.sign(key, &[], "FDO-KeyAuth-Prove-v1");
        let nonce = Received::read(&self.challenge).nonce_server;
        proof(&SESSION, &nonce, &self.hash_of_challenge(HashType::Sha256), &signature)
    }
}

pub(crate) fn assert_rejected(result: Result<(), Error>, what: &str) {
    let error = result.expect_err(what);
    assert!(matches!(error, Error::Rejected(_)), "{what}: {error}");
}

pub(crate) fn assert_malformed(result: Result<(), Error>, what: &str) {
    let error = result.expect_err(what);
    assert!(matches!(error, Error::Malformed(_)), "{what}: {error}");
}
