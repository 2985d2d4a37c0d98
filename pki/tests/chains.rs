//! Device certificate chains: those of other makers' vouchers, and forged ones.
#![allow(clippy::unwrap_used)]

mod fixtures;

use fdo_pki::{
    Certificate, ChainPolicy, Csr, DeviceChain, Error, LdevidProfile, LdevidSubject, LeafValidity, TrustedCas, pem,
};
use fixtures::{NOW, World, guid, record};

fn load(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/tests/data/chain-{name}.pem", env!("CARGO_MANIFEST_DIR"));
    pem::decode_certificates(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn pinned(der: &[u8]) -> TrustedCas {
    let mut trusted = TrustedCas::new();
    trusted.pin_certificate(Certificate::parse(der).unwrap());
    trusted
}

fn verify(chain: &[Vec<u8>], trusted: &TrustedCas) -> Result<fdo_pki::VerifiedChain, Error> {
    DeviceChain::parse(chain)?.verify(trusted, &ChainPolicy::default())
}

const FIELD: [&str; 7] = [
    "astarte-sample-ec256",
    "fdo-rs-v101-voucher1",
    "fdo-rs-v101-voucher2",
    "fdo-rs-v101-voucher3",
    "fido-conformance-interop-example",
    "go-fdo-server-x5chain-owner-mapped-ipv4",
    "go-fdo-testdata-ov",
];

#[test]
fn chains_of_other_makers_verify_up_to_their_last_certificate() {
    for name in FIELD {
        let chain = load(name);
        let root = chain.last().unwrap();
        let certificate = Certificate::parse(root).unwrap();
        let verified = verify(&chain, &pinned(root)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verified.anchor(), &certificate.fingerprint());
        assert_eq!(verified.leaf().der(), chain[0]);
        for pin in 0..2 {
            let mut trusted = TrustedCas::new();
            match pin {
                0 => trusted.pin_key(certificate.spki_sha256()),
                _ => trusted.pin_fingerprint(certificate.fingerprint()),
            }
            verify(&chain, &trusted).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(verify(&chain, &TrustedCas::new()).is_err(), "{name} is trusted without a pin");
        DeviceChain::parse(&chain).unwrap().accept_unanchored(&ChainPolicy::default()).unwrap();
    }
}

#[test]
fn a_chain_without_its_ca_is_found_through_the_pinned_certificate() {
    for name in FIELD {
        let chain = load(name);
        verify(&chain[..chain.len() - 1], &pinned(chain.last().unwrap())).unwrap();
    }
}

#[test]
fn what_stands_above_the_pinned_ca_does_not_matter() {
    // The root's signature over this intermediate is RSA with SHA-1, which is not accepted.
    let chain = load("go-fdo-testdata-ov_extended");
    assert!(matches!(verify(&chain, &pinned(&chain[2])), Err(Error::UnsupportedSignature(_))));
    verify(&chain, &pinned(&chain[1])).unwrap();
    DeviceChain::parse(&chain).unwrap().accept_unanchored(&ChainPolicy::default()).unwrap();
}

#[test]
fn an_over_long_common_name_is_read() {
    let leaf = Certificate::parse(&load("fido-conformance-interop-example")[0]).unwrap();
    assert_eq!(leaf.common_name().unwrap().len(), 97);
    assert_eq!(leaf.subject_serial_number(), None);
    assert!(leaf.issuer().starts_with("CN=FDO TEST INTERMEDIATE, emailAddress=info@webauthn.works"));
    assert_eq!(leaf.not_after(), 2_069_577_236);
}

#[test]
fn a_broken_signature_and_a_wrong_order_are_refused() {
    for name in FIELD {
        let chain = load(name);
        let mut broken = chain.clone();
        *broken[0].last_mut().unwrap() ^= 1;
        assert!(matches!(
            verify(&broken, &pinned(chain.last().unwrap())),
            Err(Error::BadSignature { .. } | Error::Malformed { .. })
        ));
        if chain.len() == 3 {
            let swapped = [chain[0].clone(), chain[2].clone(), chain[1].clone()];
            assert!(verify(&swapped, &pinned(&chain[2])).is_err(), "{name}");
        }
    }
    let other = load("astarte-sample-ec256");
    let mixed = [other[0].clone(), load("fdo-rs-v101-voucher1")[1].clone()];
    assert!(DeviceChain::parse(&mixed).unwrap().accept_unanchored(&ChainPolicy::default()).is_err());
}

#[test]
fn another_makers_device_is_not_trusted() {
    let mut world = World::p256();
    let leaf = world.plain_idevid();
    let chain = [leaf.der().to_vec(), world.device_ca.issued.der().to_vec()];
    let stranger = load("astarte-sample-ec256");
    assert!(matches!(verify(&chain, &pinned(&stranger[1])), Err(Error::NotTrusted)));
    assert!(matches!(verify(&chain[..1], &pinned(&stranger[1])), Err(Error::NotTrusted)));
    let verified = verify(&chain, &pinned(&chain[1])).unwrap();
    assert_eq!(verified.leaf().subject_serial_number(), Some("FL-0001"));
    assert_eq!(verified.leaf_key(), world.csr().public_key());
}

#[test]
fn a_device_cannot_sign_another_device() {
    let mut world = World::p256();
    let leaf = world.plain_idevid();
    // The certificate of our device, used as a CA for one that was never made.
    let fake = {
        let ca = fdo_pki::CaSubject { common_name: "Fake".into(), organization: None };
        let self_made = fdo_pki::make_root(&ca, &world.device, fdo_pki::Lifetime::WithoutEnd, NOW, &mut world.rng);
        let issuer = fdo_pki::Issuer::new(&self_made.unwrap().certificate().unwrap()).unwrap();
        let profile = fdo_pki::IdevidProfile::default();
        let csr = world.csr();
        let tbs = profile.prepare(&csr, &record(), &issuer, NOW, &mut world.rng).unwrap();
        tbs.sign(&world.device).unwrap()
    };
    let device_ca = world.device_ca.issued.der();
    let chain = [fake.der().to_vec(), leaf.der().to_vec(), device_ca.to_vec()];
    assert!(matches!(verify(&chain, &pinned(device_ca)), Err(Error::WrongUse { index: 1, .. })));
}

#[test]
fn a_path_length_is_kept() {
    let mut world = World::p256();
    let ldevid = world.ldevid(&LdevidProfile::default());
    let [root, issuing] = [&world.root, &world.issuing].map(|ca| ca.issued.der().to_vec());
    let chain = [ldevid.der().to_vec(), issuing.clone(), root.clone()];
    verify(&chain, &pinned(&root)).unwrap();
    // An issuing CA below an issuing CA.
    let name = fdo_pki::CaSubject { common_name: "Below".into(), organization: None };
    let life = fdo_pki::Lifetime::years(1);
    let public = world.device.verifying_key().clone();
    let below =
        fdo_pki::make_issuing_ca(&name, &public, &world.issuing.issuer, life, NOW, &mut world.rng).unwrap();
    let below = below.sign(&world.issuing.key).unwrap();
    let issuer = fdo_pki::Issuer::new(&below.certificate().unwrap()).unwrap();
    let csr = world.csr();
    let device = LdevidSubject::new(guid());
    let leaf = LdevidProfile::default().prepare(&csr, &device, &issuer, NOW, &mut world.rng).unwrap();
    let leaf = leaf.sign(&world.device).unwrap();
    let chain = [leaf.der().to_vec(), below.der().to_vec(), issuing, root.clone()];
    assert!(matches!(verify(&chain, &pinned(&root)), Err(Error::WrongUse { index: 2, .. })));
}

#[test]
fn the_leafs_validity_counts_only_when_asked() {
    let chain = load("fdo-rs-v101-voucher1");
    let trusted = pinned(&chain[1]);
    let at = |now| ChainPolicy { leaf_validity: LeafValidity::At(now) };
    let check = |policy| DeviceChain::parse(&chain).unwrap().verify(&trusted, &policy);
    check(ChainPolicy::default()).unwrap();
    check(at(NOW)).unwrap();
    assert!(matches!(check(at(2_500_000_000)), Err(Error::NotValidNow { .. })));
    assert!(matches!(check(at(1)), Err(Error::NotValidNow { .. })));
}

#[test]
fn empty_long_and_nonsensical_chains_are_refused() {
    let chain = load("astarte-sample-ec256");
    assert!(DeviceChain::parse::<Vec<u8>>(&[]).is_err());
    assert!(DeviceChain::parse(&vec![chain[0].clone(); 9]).is_err());
    assert!(DeviceChain::parse(&[vec![0x30; 17 * 1024]]).is_err());
    // An RSA certificate is no device's.
    let rsa = load("go-fdo-testdata-ov");
    assert!(matches!(DeviceChain::parse(&rsa[1..]), Err(Error::UnsupportedKey { .. })));
}

#[test]
fn damaged_certificates_and_requests_never_panic() {
    for name in FIELD {
        for der in load(name) {
            damage(&der, |bytes| {
                if let Ok(certificate) = Certificate::parse(bytes) {
                    let _ = (certificate.subject(), certificate.public_key());
                }
            });
        }
    }
    let csr = World::p256().csr();
    damage(csr.der(), |bytes| {
        if let Ok(parsed) = Csr::from_any(bytes) {
            assert!(bytes == csr.der() || parsed.verify().is_err());
        }
    });
}

/// Every truncation, a trailing byte, and each byte changed in a few ways.
fn damage(der: &[u8], mut check: impl FnMut(&[u8])) {
    for end in 0..der.len() {
        check(&der[..end]);
    }
    check(&[der, &[0]].concat());
    let mut bytes = der.to_vec();
    for index in 0..der.len() {
        for change in [0x01, 0x20, 0x80, 0xff] {
            bytes[index] ^= change;
            check(&bytes);
            bytes[index] ^= change;
        }
    }
}
