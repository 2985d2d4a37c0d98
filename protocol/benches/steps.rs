//! What each step of a server costs, beside the public-key operations that it cannot avoid.
//!
//! `cargo bench -p fdo-protocol`
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyExchangeReply, KeyType, OwnerKeyExchange, SharedSecret};
use fdo_protocol::rendezvous_info::{RvTo2AddrEntry, Scheme};
use fdo_protocol::to2::device::AfterEntry;
use fdo_protocol::to2::owner::{ExpectEntryOrProof, OwnerSettings};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{Guid, RvTo2Addr, to0, to1, to2};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use support::World;
use zeroize::Zeroizing;

fn floor(c: &mut Criterion) {
    let mut group = c.benchmark_group("public-key operations");
    for key_type in KeyType::ELLIPTIC {
        let mut world = World::new(key_type);
        let signature = world.owner.sign(&[0; 256]).unwrap();
        group.bench_function(BenchmarkId::new("sign", key_type), |b| {
            b.iter(|| world.owner.sign(&[0; 256]).unwrap());
        });
        group.bench_function(BenchmarkId::new("verify", key_type), |b| {
            b.iter(|| world.owner.verifying_key().verify(&[0; 256], &signature).unwrap());
        });
        let suite = KexSuite::for_key(key_type);
        let pair = OwnerKeyExchange::generate(suite, &mut world.rng).unwrap();
        let (x_b, _) =
            KeyExchangeReply::answer(suite, pair.public(), world.owner.verifying_key(), &mut world.rng).unwrap();
        group.bench_function(BenchmarkId::new("key exchange", key_type), |b| {
            b.iter(|| {
                let pair = OwnerKeyExchange::generate(suite, &mut world.rng).unwrap();
                black_box(pair.finish(&x_b, &world.owner).unwrap());
            });
        });
    }
    group.finish();
}

fn with_rsa_owners(c: &mut Criterion) {
    let mut group = c.benchmark_group("key exchange");
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    for (suite, key_type) in [
        (KexSuite::Dhkexid14, KeyType::Rsa2048),
        (KexSuite::Dhkexid15, KeyType::Rsa3072),
        (KexSuite::Asymkex2048, KeyType::Rsa2048),
        (KexSuite::Asymkex3072, KeyType::Rsa3072),
    ] {
        let owner = support::key(key_type, 1, rng);
        let pair = OwnerKeyExchange::generate(suite, rng).unwrap();
        let (x_b, _) = KeyExchangeReply::answer(suite, pair.public(), owner.verifying_key(), rng).unwrap();
        group.bench_function(BenchmarkId::new("owner", suite.name()), |b| {
            b.iter(|| {
                let pair = OwnerKeyExchange::generate(suite, rng).unwrap();
                black_box(pair.finish(&x_b, &owner).unwrap());
            });
        });
    }
    group.finish();
}

fn tunnel(c: &mut Criterion) {
    let mut group = c.benchmark_group("tunnel, 1300 bytes");
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let secret = SharedSecret::new(Zeroizing::new(vec![7; 64]), Zeroizing::default());
    for suite in CipherSuite::ALL {
        let tunnel = secret.derive(suite);
        let message = tunnel.seal(&[7; 1300], rng).unwrap();
        group.bench_function(BenchmarkId::new("open and seal", suite), |b| {
            b.iter(|| tunnel.seal(&tunnel.open(&message).unwrap(), rng).unwrap());
        });
    }
    group.finish();
}

fn voucher(c: &mut Criterion) {
    let mut group = c.benchmark_group("voucher");
    for key_type in KeyType::ELLIPTIC {
        let world = World::new(key_type);
        let bytes = world.voucher.bytes().to_vec();
        group.bench_function(BenchmarkId::new("decode and verify, 1 entry", key_type), |b| {
            b.iter(|| Voucher::from_bytes(&bytes).unwrap().verify(&VerifyPolicy::default()).unwrap());
        });
        group.bench_function(BenchmarkId::new("take up a stored one", key_type), |b| {
            b.iter(|| VerifiedVoucher::trust_stored(&bytes).unwrap());
        });
        group.bench_function(BenchmarkId::new("extend", key_type), |b| {
            b.iter(|| {
                let voucher = VerifiedVoucher::trust_stored(&bytes).unwrap();
                voucher.extend(&world.owner, world.owner.verifying_key()).unwrap()
            });
        });
    }
    group.finish();
}

fn rendezvous(c: &mut Criterion) {
    let mut group = c.benchmark_group("rendezvous");
    for key_type in KeyType::ELLIPTIC {
        let mut world = World::new(key_type);
        let secrets = world.secrets();
        let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "127.0.0.1", 8043)]);
        let (hello, owner) = to0::owner::begin();
        let (ack, state) = to0::rendezvous::hello(&hello.body, &mut world.rng).unwrap();
        let (sign, _) = owner.hello_ack(&ack.body, &world.voucher, &world.owner, address, 3600).unwrap();
        group.bench_function(BenchmarkId::new("22 to 23", key_type), |b| {
            b.iter(|| state.clone().owner_sign(&sign.body, &VerifyPolicy::default()).unwrap());
        });
        let (hello, device) = to1::device::begin(world.credential.guid, key_type);
        let hello = to1::rendezvous::hello_rv(&hello.body).unwrap();
        let (ack, state) = to1::rendezvous::hello_rv_ack(&hello, &mut world.rng);
        let (prove, _) = device.hello_rv_ack(&ack.body, &secrets).unwrap();
        let key = world.device.verifying_key();
        group.bench_function(BenchmarkId::new("32 to 33", key_type), |b| {
            b.iter(|| state.clone().prove_to_rv(&prove.body).unwrap().verify(key).unwrap());
        });
    }
    group.finish();
}

fn owner(c: &mut Criterion) {
    let mut group = c.benchmark_group("owner");
    for key_type in KeyType::ELLIPTIC {
        let mut world = World::new(key_type);
        let secrets = world.secrets();
        let (hello, device) =
            to2::device::begin(world.credential.clone(), None, &secrets, world.settings(), &mut world.rng);
        let settings = OwnerSettings::default();
        group.bench_function(BenchmarkId::new("60 to 61", key_type), |b| {
            b.iter(|| {
                let hello = to2::owner::hello_device(&hello.body).unwrap();
                to2::owner::begin(&hello, &world.voucher, &world.owner, &settings, &mut world.rng).unwrap()
            });
        });
        let hello = to2::owner::hello_device(&hello.body).unwrap();
        let (reply, state) =
            to2::owner::begin(&hello, &world.voucher, &world.owner, &settings, &mut world.rng).unwrap();
        let stored = encode(&state);
        let (request, device) = device.prove_ov_hdr(&reply.body, &secrets).unwrap();
        group.bench_function(BenchmarkId::new("62 to 63", key_type), |b| {
            b.iter(|| decode::<ExpectEntryOrProof>(&stored).unwrap().get_ov_next_entry(&request.body).unwrap());
        });
        let (entry, _) = state.get_ov_next_entry(&request.body).unwrap();
        let AfterEntry::Prove(prove, _) = device.ov_next_entry(&entry.body, &secrets, &mut world.rng).unwrap()
        else {
            panic!("there is one entry only");
        };
        let rv_info = support::rendezvous_info();
        let guid = Guid::random(&mut world.rng);
        group.bench_function(BenchmarkId::new("64 to 65", key_type), |b| {
            b.iter(|| {
                let state: ExpectEntryOrProof = decode(&stored).unwrap();
                state.prove_device(&prove.body, &world.owner, &rv_info, guid, &mut world.rng).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(500));
    targets = floor, with_rsa_owners, tunnel, voucher, rendezvous, owner
}
criterion_main!(benches);
