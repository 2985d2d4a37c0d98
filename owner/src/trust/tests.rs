//! Which vouchers are trusted by which pins.
#![allow(clippy::unwrap_used)]

use fdo_protocol::crypto::KeyType;

use super::*;
use crate::fixtures::{Maker, NOW};

fn pins(trust: &mut Trust, maker: &Maker, manufacturer: &str, names_ca: bool) {
    let key = maker.key.verifying_key().spki_der();
    let key = TrustedKey::parse(Kind::ManufacturerKey, "maker", Some(manufacturer), key, NOW).unwrap();
    trust.add(&key).unwrap();
    if names_ca {
        let ca = TrustedKey::parse(Kind::DeviceCa, "maker", Some(manufacturer), &maker.ca_der, NOW).unwrap();
        trust.add(&ca).unwrap();
    }
}

#[test]
fn a_maker_that_named_its_cas_is_held_to_its_own() {
    let (mut one, mut two) = (Maker::new(1, KeyType::P256), Maker::new(2, KeyType::P256));
    let owner = Maker::new(3, KeyType::P256).key.verifying_key().clone();
    let mut trust = Trust::default();
    pins(&mut trust, &one, "one", true);
    pins(&mut trust, &two, "two", true);
    assert_eq!(trust.judge(&one.sold("SN-1", &owner)).unwrap(), Verdict::Trusted);
    assert_eq!(trust.judge(&two.sold("SN-2", &owner)).unwrap(), Verdict::Trusted);
    // The key of one maker over a device of the other's CA: both are pinned, and they do not go together.
    let key = std::mem::replace(&mut two.key, one.key.clone());
    assert!(trust.judge(&two.sold("SN-3", &owner)).is_err());
    two.key = key;
    assert_eq!(trust.judge(&two.sold("SN-4", &owner)).unwrap(), Verdict::Trusted);
}

#[test]
fn a_maker_without_named_cas_is_known_by_its_key() {
    let mut maker = Maker::new(4, KeyType::P256);
    let owner = Maker::new(5, KeyType::P256).key.verifying_key().clone();
    let mut trust = Trust::default();
    assert_eq!(trust.judge(&maker.sold("SN-1", &owner)).unwrap(), Verdict::Unknown);
    pins(&mut trust, &maker, "maker", false);
    assert_eq!(trust.judge(&maker.sold("SN-2", &owner)).unwrap(), Verdict::Trusted);
}
