//! What a certificate costs beside the signature that it cannot do without.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fdo_pki::{
    CaSubject, Csr, DeviceSerial, Issuer, LdevidProfile, LdevidSubject, Lifetime, StatusPointers, build_csr,
    make_root,
};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: u64 = 1_795_478_400;

fn certificate(criterion: &mut Criterion) {
    let rng = &mut ChaCha20Rng::from_seed([7; 32]);
    let key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let name = CaSubject { common_name: "Owner issuing CA".into(), organization: Some("Example".into()) };
    let ca = make_root(&name, &key, Lifetime::years(10), NOW, rng).unwrap().certificate().unwrap();
    let issuer = Issuer::new(&ca).unwrap();
    let device = SigningKey::generate(KeyType::P256, rng).unwrap();
    let serial = DeviceSerial::parse("FL-0001").unwrap();
    let request = build_csr(&device, Some("device"), &serial).unwrap();
    let csr = Csr::parse(&request).unwrap().verify().unwrap();
    let subject = LdevidSubject { serial: Some(serial), ..LdevidSubject::new(Guid::from_bytes([1; 16])) };
    let profile = LdevidProfile { organization: Some("Example".into()), ..LdevidProfile::default() };
    let pointers = |shard: u8| StatusPointers {
        crl: Some(format!("http://pki.example/crl/issuing/{shard}.crl")),
        ocsp: Some("http://pki.example/ocsp".into()),
        issuer: Some("http://pki.example/ca/issuing.cer".into()),
    };
    let mut prepare = || {
        let at = |serial: fdo_pki::CertificateSerial| pointers(serial.shard(256));
        profile.prepare_with(&csr, &subject, &issuer, at, NOW, rng).unwrap()
    };
    let tbs = prepare();
    let mut group = criterion.benchmark_group("certificate");
    group.bench_function("build and encode what is signed", |b| b.iter(|| black_box(prepare())));
    group.bench_function("signature alone", |b| b.iter(|| black_box(key.sign_der(tbs.der()).unwrap())));
    group.bench_function("sign and encode the certificate", |b| {
        b.iter_batched(|| tbs.clone(), |tbs| black_box(tbs.sign(&key).unwrap()), criterion::BatchSize::SmallInput);
    });
    group.bench_function("verify the request", |b| {
        b.iter(|| black_box(Csr::parse(&request).unwrap().verify().unwrap()));
    });
    group.finish();
}

criterion_group!(benches, certificate);
criterion_main!(benches);
