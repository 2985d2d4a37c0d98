//! What the server refuses: hellos that it cannot answer, and proofs that are not of this caller, key and session.

use fdo_protocol::cbor::{self, Writer};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::key_auth::Challenge;
use fdo_protocol::{Error, Hash, HashType, PublicKey};

use super::hand_made::{Payload, Received, Run, assert_malformed, assert_rejected, proof};
use super::{CHALLENGE, PROVE, SESSION, STRICT, key, rng};

#[test]
fn the_server_refuses_a_proof_over_anything_else() {
    let run = Run::new(1);
    let good = run.prove_payload();
    run.verify(&run.proof_around(&good, &run.caller)).unwrap();

    let other_key = PublicKey::x509(run.server.verifying_key()).encoded().to_vec();
    let same_key_as_cose = PublicKey::cose_key(run.caller.verifying_key()).encoded().to_vec();
    let wrong = |change: &dyn Fn(&mut Payload)| {
        let mut payload = good.clone();
        change(&mut payload);
        run.verify(&run.proof_around(&payload, &run.caller))
    };
    assert_rejected(wrong(&|payload| payload.context = CHALLENGE), "wrong context");
    assert_rejected(wrong(&|payload| std::mem::swap(&mut payload.first, &mut payload.second)), "swapped nonces");
    assert_rejected(wrong(&|payload| payload.first[0] ^= 1), "another server nonce");
    assert_rejected(wrong(&|payload| payload.second[0] ^= 1), "another caller nonce");
    assert_rejected(wrong(&|payload| payload.caller_key = other_key.clone()), "another key");
    assert_rejected(wrong(&|payload| payload.caller_key = same_key_as_cose.clone()), "the key in another form");
    assert_rejected(
        wrong(&|payload| payload.hash = run.hash_of_challenge(HashType::Sha384)),
        "another hash than outside",
    );

    assert_rejected(run.verify(&run.proof_around(&good, &run.server)), "another signer");
    let with_header = good.sign(&run.caller, &[(99, vec![1])], "FDO-KeyAuth-Prove-v1");
    let other_tag = good.sign(&run.caller, &[], "FDO-KeyAuth-Challenge-v1");
    for (what, signature) in [("a header", with_header), ("another tag", other_tag)] {
        let hash = run.hash_of_challenge(HashType::Sha256);
        assert_rejected(run.verify(&proof(&SESSION, &good.first, &hash, &signature)), what);
    }
}

#[test]
fn the_server_checks_the_outer_fields_of_a_proof() {
    let run = Run::new(2);
    let payload = run.prove_payload();
    let signature = payload.sign(&run.caller, &[], "FDO-KeyAuth-Prove-v1");
    let (nonce, hash) = (&payload.first, &payload.hash);
    run.verify(&proof(&SESSION, nonce, hash, &signature)).unwrap();

    assert_rejected(run.verify(&proof(&[8; 16], nonce, hash, &signature)), "a foreign session");
    assert_rejected(run.verify(&proof(&SESSION, &payload.second, hash, &signature)), "nonce");
    assert_malformed(run.verify(&proof(&SESSION, &nonce[1..], hash, &signature)), "a short nonce");
    let other_hash = cbor::encode(&Hash::of(HashType::Sha256, &[b"another challenge"]));
    assert_malformed(run.verify(&proof(&SESSION, nonce, &other_hash, &signature)), "hash");
    assert_malformed(run.verify(&proof(&SESSION, nonce, hash, &[])), "no signature");
    assert_malformed(run.verify(&proof(&SESSION, nonce, hash, &signature[1..])), "an untagged signature");
    assert_malformed(run.verify(&[&run.honest_proof()[..], &[0]].concat()), "trailing bytes");

    // The other hash is fine where it stands in both places.
    let mut longer = payload.clone();
    longer.hash = run.hash_of_challenge(HashType::Sha384);
    let signature = longer.sign(&run.caller, &[], "FDO-KeyAuth-Prove-v1");
    run.verify(&proof(&SESSION, nonce, &longer.hash, &signature)).unwrap();
}

#[test]
fn a_proof_is_good_for_its_own_challenge_only() {
    let (one, two) = (Run::new(3), Run::new(4));
    one.verify(&one.honest_proof()).unwrap();
    assert_rejected(two.verify(&one.honest_proof()), "a replayed proof");
    assert_rejected(two.prove(&one.challenge), "a replayed challenge");
}

#[test]
fn a_hello_with_a_short_cose_key_is_understood() {
    let mut rng = rng();
    let is_short = |key: &SigningKey| key.verifying_key().point().unwrap()[1] == 0;
    let caller =
        (0..20_000).map(|_| SigningKey::generate(KeyType::P256, &mut rng).unwrap()).find(is_short).unwrap();
    let (x, y) = caller.verifying_key().point().unwrap()[1..].split_at(32);
    let mut short_key = Writer::default();
    short_key.array(3).unsigned(10).unsigned(3).map(4);
    short_key.integer(1).integer(2).integer(-1).integer(1);
    short_key.integer(-2).bytes(&x[1..]).integer(-3).bytes(y);
    let caller_key = short_key.into_bytes();
    let hello = hello(&caller_key, |writer| {
        writer.null().bytes(&[1; 16]).unsigned(1);
    });

    let server = key(KeyType::P256);
    let (challenge, pending) = Challenge::answer(&hello, &server, &SESSION, STRICT, &mut rng).unwrap();
    let received = Received::read(&challenge);
    let hash = cbor::encode(&Hash::of(HashType::Sha256, &[&challenge]));
    let payload = Payload {
        context: PROVE,
        first: received.nonce_server.clone(),
        second: received.nonce_caller,
        hash: hash.clone(),
        caller_key: caller_key.clone(),
    };
    let signature = payload.sign(&caller, &[], "FDO-KeyAuth-Prove-v1");
    let prove = proof(&SESSION, &received.nonce_server, &hash, &signature);
    let proven = pending.verify(&prove, STRICT).unwrap();
    assert_eq!(&proven.key, caller.verifying_key());
    assert_eq!(proven.public_key.encoded(), caller_key);
    let normal = PublicKey::x509(caller.verifying_key()).fingerprint().unwrap();
    assert_eq!(proven.fingerprint, normal);
}

fn hello(caller_key: &[u8], rest: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(4).raw(caller_key);
    rest(&mut writer);
    writer.into_bytes()
}

#[test]
fn the_server_refuses_a_hello_that_it_cannot_answer() {
    let server = key(KeyType::P256);
    let caller_key = PublicKey::x509(server.verifying_key()).encoded().to_vec();
    let answer = |raw: &[u8]| Challenge::answer(raw, &server, &SESSION, STRICT, &mut rng()).map(|_| ());
    let good = hello(&caller_key, |writer| {
        writer.null().bytes(&[1; 16]).unsigned(1);
    });
    answer(&good).unwrap();
    assert_malformed(answer(&[&good[..], &[0]].concat()), "trailing bytes");
    assert_malformed(answer(&good[..good.len() - 1]), "cut short");
    let short_nonce = hello(&caller_key, |writer| {
        writer.null().bytes(&[1; 15]).unsigned(1);
    });
    assert_malformed(answer(&short_nonce), "a short nonce");
    let version = hello(&caller_key, |writer| {
        writer.null().bytes(&[1; 16]).unsigned(2);
    });
    assert!(matches!(answer(&version), Err(Error::Unsupported(_))));
    let delegate = hello(&caller_key, |writer| {
        writer.array(1).bytes(&[0x30]).bytes(&[1; 16]).unsigned(1);
    });
    assert!(matches!(answer(&delegate), Err(Error::Unsupported(_))));
    let mut garbage_key = Writer::default();
    garbage_key.array(3).unsigned(10).unsigned(1).bytes(&[0x30]);
    let garbage_key = hello(&garbage_key.into_bytes(), |writer| {
        writer.null().bytes(&[1; 16]).unsigned(1);
    });
    assert!(matches!(answer(&garbage_key), Err(Error::Unsupported(_))));
}
