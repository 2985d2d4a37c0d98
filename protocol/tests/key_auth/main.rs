//! KeyAuth: both roles against each other, against the encoding vector of the voucher transfer draft, and against a
//! hand-made caller that cheats.

#![allow(clippy::unwrap_used)]

mod hand_made;
mod hostile_caller;
mod hostile_server;

use std::convert::Infallible;
use std::sync::Mutex;

use fdo_protocol::cbor;
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{Curve, KeyType, OwnerKey, SigningKey, VerifyingKey};
use fdo_protocol::key_auth::{Aad, AadPolicy, CallerHello, Challenge, PendingChallenge, session_of};
use fdo_protocol::{Error, PublicKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

use hand_made::Received;

const STRICT: AadPolicy = AadPolicy { sign: Aad::Array, compat: false };
const SESSION: [u8; 16] = [7; 16];
const CHALLENGE: &str = "FDOKeyAuth.Challenge";
const PROVE: &str = "FDOKeyAuth.Prove";

/// Gives consecutive bytes, as the vector has them.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

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

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(11)
}

fn key(key_type: KeyType) -> SigningKey {
    SigningKey::generate(key_type, &mut rng()).unwrap()
}

#[test]
fn encodes_as_the_vector_has_it() {
    let generator = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let point = VerifyingKey::from_point(Curve::P256, &hex::decode(generator).unwrap()).unwrap();
    let hello = CallerHello::new(&point, &mut Counting(0));
    assert_eq!(hello.bytes().len(), 116);
    assert_eq!(sha256(hello.bytes()), "35db735c11237735424ebe57f1be995331f50bd59cb78cf113756dfd0639c1f5");

    let session: Vec<u8> = (0x20..0x30).collect();
    let zero = ZeroKey(point.clone(), Mutex::default());
    let (challenge, pending) =
        Challenge::answer(hello.bytes(), &zero, &session, STRICT, &mut Counting(0x10)).unwrap();
    assert_eq!(challenge.len(), 355);
    assert_eq!(sha256(&challenge), "3ddbcece4f49bdbd12a35e2e67179de66f5d776010d153c65dc35e9cfed95f03");
    let structure = zero.1.lock().unwrap();
    assert_eq!(structure.len(), 235);
    assert_eq!(sha256(&structure), "05b7b3fcc47e70b2c22ff2965d9ea4b9d093f8ab7af23d897ac8d32a781a95c3");
    let signature = Sign1::from_bytes(&Received::read(&challenge).signature).unwrap();
    assert_eq!(signature.unverified_payload().len(), 188);
    assert_eq!(
        sha256(signature.unverified_payload()),
        "cc0328c215ebe0b66bebee2c207d015afe5c2f866eb1dc1f9fd481aaa2a1aa50"
    );
    assert_eq!(
        hex::encode(pending.caller_key().fingerprint().unwrap()),
        "edb89525a0f5d6044c124afcb628f4e2af65d8cc80f55145c2283c978811e1b1"
    );
}

#[test]
fn both_roles_agree_with_either_type_of_key_and_every_form_of_additional_data() {
    for (caller_type, server_type) in [(KeyType::P256, KeyType::P384), (KeyType::P384, KeyType::P256)] {
        let (caller, server) = (key(caller_type), key(server_type));
        for sign in [Aad::Array, Aad::Raw, Aad::Empty] {
            let policy = AadPolicy { sign, compat: sign != Aad::Array };
            let mut rng = rng();
            let hello = CallerHello::new(caller.verifying_key(), &mut rng);
            let (challenge, pending) =
                Challenge::answer(hello.bytes(), &server, &SESSION, policy, &mut rng).unwrap();
            let prove = hello.prove(&challenge, server.verifying_key(), &caller, policy).unwrap();
            assert_eq!(session_of(&prove).unwrap(), SESSION);
            let stored: PendingChallenge = cbor::decode(&cbor::encode(&pending)).unwrap();
            let proven = stored.verify(&prove, policy).unwrap();
            assert_eq!(&proven.key, caller.verifying_key());
            assert_eq!(proven.public_key, PublicKey::x509(caller.verifying_key()));
            assert_eq!(proven.fingerprint, proven.public_key.fingerprint().unwrap());
            assert_eq!(proven.aad, sign);
            if sign != Aad::Array {
                let refused = hello.prove(&challenge, server.verifying_key(), &caller, STRICT);
                assert!(matches!(refused, Err(Error::Rejected(_))));
                assert!(matches!(pending.verify(&prove, STRICT), Err(Error::Rejected(_))));
            }
        }
    }
}
