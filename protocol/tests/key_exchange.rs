//! Finite-field Diffie-Hellman under attack: a genuine owner or a genuine device sends a share that would give the
//! secret away, and nothing comes of it.
// Its owners have RSA keys, which the portable backend refuses.
#![cfg(feature = "aws-lc")]
#![allow(clippy::unwrap_used)]

mod support;

use fdo_protocol::cbor::{ByteString, decode, encode};
use fdo_protocol::cose::{EatPayload, Sign1};
use fdo_protocol::crypto::{KexSuite, KeyType};
use fdo_protocol::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, EUPH_NONCE, ProveDevice, ProveOvHdr, ProveOvHdrPayload,
};
use fdo_protocol::nonce::NonceTo2SetupDv;
use fdo_protocol::to2::device::{AfterEntry, ExpectOvNextEntry};
use fdo_protocol::to2::owner::{ExpectEntryOrProof, OwnerSettings};
use fdo_protocol::{Error, ErrorCode, Guid, to2};
use support::World;

const GROUPS: [(KeyType, KexSuite, usize); 2] =
    [(KeyType::Rsa2048, KexSuite::Dhkexid14, 256), (KeyType::Rsa3072, KexSuite::Dhkexid15, 384)];

/// The prime of a suite's group, from OpenSSL.
fn prime(suite: KexSuite) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/misc/modp-groups.json");
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    hex::decode(all[suite.name()].as_str().unwrap()).unwrap()
}

/// What no side may take for a share.
fn bad_shares(suite: KexSuite, length: usize, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let p = prime(suite);
    assert_eq!(p.len(), length);
    let mut one_less = p.clone();
    one_less[length - 1] -= 1;
    let small = |last: u8| [&vec![0; length - 1][..], &[last]].concat();
    vec![
        ("nothing", Vec::new()),
        ("0", small(0)),
        ("1", small(1)),
        ("a short 1", vec![1]),
        ("p - 1", one_less),
        ("p", p),
        ("more than p", vec![0xff; length]),
        ("longer than the modulus", [good, &[1]].concat()),
        ("too short", good[..length - 17].to_vec()),
        ("a share of an elliptic curve", vec![0, 32]),
    ]
}

fn at_62(world: &mut World) -> (ExpectOvNextEntry, Vec<u8>, ExpectEntryOrProof) {
    let (secrets, settings) = (world.secrets(), world.settings());
    let rng = &mut world.rng;
    let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, settings, rng);
    let hello = to2::owner::hello_device(&hello.body).unwrap();
    let (reply, owner) =
        to2::owner::begin(&hello, &world.voucher, &world.owner, &OwnerSettings::default(), rng).unwrap();
    let (request, device) = device.prove_ov_hdr(&reply.body, &secrets).unwrap();
    (device, request.body, owner)
}

#[test]
fn an_owner_refuses_a_device_whose_share_is_none() {
    for (key_type, suite, length) in GROUPS {
        let mut world = World::new(key_type);
        world.kex_suite = Some(suite);
        let (device, request, owner) = at_62(&mut world);
        let (reply, owner) = owner.get_ov_next_entry(&request).unwrap();
        let secrets = world.secrets();
        let AfterEntry::Prove(proof, _) = device.ov_next_entry(&reply.body, &secrets, &mut world.rng).unwrap()
        else {
            panic!("there is one entry only");
        };
        let stored = encode(&owner);
        let (rv_info, guid) = (support::rendezvous_info(), Guid::random(&mut world.rng));
        let mut prove = |body: &[u8]| {
            let owner: ExpectEntryOrProof = decode(&stored).unwrap();
            owner.prove_device(body, &world.owner, &rv_info, guid, &mut world.rng).map(|_| ())
        };
        prove(&proof.body).unwrap();

        let ProveDevice(token) = decode(&proof.body).unwrap();
        let claims: EatPayload = decode(token.unverified_payload()).unwrap();
        let good = claims.key_exchange.clone().unwrap();
        assert_eq!(good.len(), length);
        let nonce: NonceTo2SetupDv = decode(&token.unprotected(EUPH_NONCE).unwrap()).unwrap();
        for (what, share) in bad_shares(suite, length, &good) {
            let forged = EatPayload { key_exchange: Some(share), ..claims.clone() };
            let forged = forged.sign(&[(EUPH_NONCE, encode(&nonce))], &world.device).unwrap();
            let refused = prove(&encode(&ProveDevice(forged))).unwrap_err();
            assert!(matches!(refused, Error::Rejected(_)), "{suite:?}, {what}: {refused}");
            assert_eq!(refused.code(), ErrorCode::InvalidMessage);
        }
    }
}

#[test]
fn a_device_refuses_an_owner_whose_share_is_none() {
    for (key_type, suite, length) in GROUPS {
        let mut world = World::new(key_type);
        world.kex_suite = Some(suite);
        let good = {
            let (_, _, owner) = at_62(&mut world);
            let stored = encode(&owner);
            // The share lies in the stored state behind its head of three bytes.
            let head = [0x59, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()];
            let start = 3 + stored.windows(3).position(|bytes| bytes == head).unwrap();
            stored[start..start + length].to_vec()
        };
        for (what, share) in bad_shares(suite, length, &good) {
            let (secrets, settings) = (world.secrets(), world.settings());
            let rng = &mut world.rng;
            let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, settings, rng);
            let hello = to2::owner::hello_device(&hello.body).unwrap();
            let (reply, owner) =
                to2::owner::begin(&hello, &world.voucher, &world.owner, &OwnerSettings::default(), rng).unwrap();
            let ProveOvHdr(proof) = decode(&reply.body).unwrap();
            let payload: ProveOvHdrPayload = decode(proof.unverified_payload()).unwrap();
            let payload = ProveOvHdrPayload { x_a_key_exchange: ByteString(share), ..payload };
            let header = |label| (label, proof.unprotected(label).unwrap());
            let forged = Sign1::sign(
                encode(&payload),
                &[header(CUPH_NONCE), header(CUPH_OWNER_PUB_KEY)],
                &world.owner,
                &[],
            );
            let forged = encode(&ProveOvHdr(forged.unwrap()));
            let (request, device) = device.prove_ov_hdr(&forged, &secrets).unwrap();
            let (entry, _) = owner.get_ov_next_entry(&request.body).unwrap();
            // Before the device proves itself: no 64 leaves it.
            let refused = device.ov_next_entry(&entry.body, &secrets, rng).map(|_| ()).unwrap_err();
            assert!(matches!(refused, Error::Rejected(_)), "{suite:?}, {what}: {refused}");
        }
    }
}
