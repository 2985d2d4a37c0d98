//! What the caller refuses: challenges that are not the pinned server's answer to its hello, and senseless results.

use fdo_protocol::cbor;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::key_auth::KeyAuthResult;
use fdo_protocol::{Error, Hash, HashType, PublicKey};

use super::hand_made::{Payload, Received, Run, assert_malformed, assert_rejected};
use super::{CHALLENGE, PROVE};

#[test]
fn the_caller_refuses_a_challenge_that_is_not_the_pinned_servers_answer() {
    let run = Run::new(5);
    run.prove(&run.challenge).unwrap();
    let challenge = Received::read(&run.challenge);
    let good = Payload {
        context: CHALLENGE,
        first: challenge.nonce_caller.clone(),
        second: challenge.nonce_server.clone(),
        hash: challenge.hash_hello.clone(),
        caller_key: run.caller_key(),
    };
    let around = |payload: &Payload, key: &SigningKey| {
        let mut changed = challenge.clone();
        changed.signature = payload.sign(key, &[], "FDO-KeyAuth-Challenge-v1");
        run.prove(&changed.bytes())
    };
    around(&good, &run.server).unwrap();
    assert_rejected(around(&good, &run.caller), "a wrong server key");
    let wrong = |change: &dyn Fn(&mut Payload)| {
        let mut payload = good.clone();
        change(&mut payload);
        around(&payload, &run.server)
    };
    assert_rejected(wrong(&|payload| payload.context = PROVE), "wrong context");
    assert_rejected(wrong(&|payload| std::mem::swap(&mut payload.first, &mut payload.second)), "swapped nonces");
    let other_hash = cbor::encode(&Hash::of(HashType::Sha256, &[b"another hello"]));
    assert_rejected(wrong(&|payload| payload.hash = other_hash.clone()), "another hello");
    let other_key = PublicKey::x509(run.server.verifying_key()).encoded().to_vec();
    assert_rejected(wrong(&|payload| payload.caller_key = other_key.clone()), "another key");

    let outer = |change: &dyn Fn(&mut Received)| {
        let mut changed = challenge.clone();
        change(&mut changed);
        run.prove(&changed.bytes())
    };
    assert_rejected(outer(&|changed| changed.nonce_caller[0] ^= 1), "caller nonce");
    assert_rejected(outer(&|changed| changed.nonce_server[0] ^= 1), "server nonce");
    assert_rejected(outer(&|changed| changed.hash_hello = other_hash.clone()), "hash");
    assert_malformed(outer(&|changed| changed.signature.clear()), "no signature");
    assert_malformed(outer(&|changed| changed.info = vec![1]), "information that is none");
    outer(&|changed| changed.info = vec![0xa0]).unwrap();
    assert_malformed(run.prove(&[&run.challenge[..], &[0]].concat()), "trailing bytes");
}

#[test]
fn a_result_must_be_sane() {
    let result = |token: &str, expires: u64| KeyAuthResult {
        token: token.to_owned().into(),
        expires,
        fingerprint: [3; 32],
        voucher_count: 4,
    };
    let read = |result: &KeyAuthResult| KeyAuthResult::from_bytes(&cbor::encode(result), 1000);
    let good = read(&result("token", 1600)).unwrap();
    assert_eq!((good.token.as_str(), good.expires), ("token", 1600));
    assert_eq!((good.fingerprint, good.voucher_count), ([3; 32], 4));
    assert!(!format!("{good:?}").contains("token"));
    for wrong in [result("", 1600), result("token", 1000), result("token", 1000 + 86_401)] {
        assert!(matches!(read(&wrong), Err(Error::Rejected(_))));
    }
    let mut other = cbor::encode(&result("token", 1600));
    other[2] ^= 1;
    assert!(matches!(KeyAuthResult::from_bytes(&other, 1000), Err(Error::Malformed(_))));
}
