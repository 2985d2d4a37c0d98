//! Tests of finite-field Diffie-Hellman: the primes, recorded shares and keys, and what is no share.

use super::*;
use crate::cbor;
use crate::crypto::{CipherSuite, KexSuite, KeyType, OwnerKeyExchange, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

const GROUPS: [(Group, KexSuite, CipherSuite); 2] = [
    (Group::Fourteen, KexSuite::Dhkexid14, CipherSuite::A128Gcm),
    (Group::Fifteen, KexSuite::Dhkexid15, CipherSuite::A256Gcm),
];

fn vectors(name: &str) -> Value {
    let path = format!("{}/../tests/vectors/misc/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Diffie-Hellman does not ask for the owner's own key.
fn key() -> SigningKey {
    SigningKey::generate(KeyType::P256, &mut ChaCha20Rng::seed_from_u64(9)).unwrap()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap()).unwrap()
}

/// Whether the secret derives the key: what it sealed, a tunnel with the key opens.
fn derives(secret: &SharedSecret, suite: CipherSuite, key: &[u8]) -> bool {
    let encoded = cbor::encode(&secret.derive(suite));
    encoded.ends_with(key) && encoded.len() > key.len()
}

/// The arc tangent of 1/n times 2^bits, rounded down term by term.
fn arctan<const LIMBS: usize>(n: u64, bits: u32) -> Uint<LIMBS> {
    let divide = |value: &Uint<LIMBS>, by: u64| value.div_rem(&Uint::<LIMBS>::from_u64(by).to_nz().unwrap()).0;
    let mut power = divide(&Uint::ONE.shl_vartime(bits), n);
    let mut sum = power;
    for term in 1_u64.. {
        power = divide(&power, n * n);
        if power == Uint::ZERO {
            break;
        }
        let part = divide(&power, 2 * term + 1);
        sum = if term % 2 == 1 { sum.wrapping_sub(&part) } else { sum.wrapping_add(&part) };
    }
    sum
}

/// The prime as RFC 3526 defines it, with pi by Machin's formula.
fn prime<const LIMBS: usize>(bits: u32, addend: u64) -> Uint<LIMBS> {
    // So many bits beyond the point swallow the rounding of some two thousand terms.
    let (precision, guard) = (bits - 130, 64);
    let scale = precision + guard;
    let times = |value: Uint<LIMBS>, by: u64| value.wrapping_mul(&Uint::<LIMBS>::from_u64(by));
    let pi = times(arctan::<LIMBS>(5, scale), 16).wrapping_sub(&times(arctan::<LIMBS>(239, scale), 4));
    let pi = pi.shr_vartime(guard);
    // 2^bits wraps to 0 where it does not fit.
    Uint::<LIMBS>::ZERO
        .wrapping_sub(&Uint::ONE.shl_vartime(bits - 64))
        .wrapping_sub(&Uint::ONE)
        .wrapping_add(&pi.wrapping_add(&Uint::from_u64(addend)).shl_vartime(64))
}

#[test]
fn the_primes_are_those_of_the_rfc() {
    assert_eq!(U2048::from_be_hex(PRIME_14), prime::<{ U2048::LIMBS }>(2048, 124_476));
    assert_eq!(U3072::from_be_hex(PRIME_15), prime::<{ U3072::LIMBS }>(3072, 1_690_314));
    assert_ne!(U2048::from_be_hex(PRIME_14), prime::<{ U2048::LIMBS }>(2048, 124_477));
    let openssl = vectors("modp-groups.json");
    assert_eq!(
        (PRIME_14, PRIME_15),
        (openssl["DHKEXid14"].as_str().unwrap(), openssl["DHKEXid15"].as_str().unwrap())
    );
    assert_eq!(usize::try_from(U2048::BITS).unwrap(), 8 * Group::Fourteen.length());
    assert_eq!(usize::try_from(U3072::BITS).unwrap(), 8 * Group::Fifteen.length());
}

#[test]
fn gives_the_recorded_shares_and_keys() {
    let all = vectors("kex-vectors.json");
    for (group, suite, cipher) in GROUPS {
        let case = &all[suite.name()];
        let (owner, device) = (bytes(case, "owner_exponent"), bytes(case, "device_exponent"));
        let (x_a, x_b) = (bytes(case, "xA"), bytes(case, "xB"));
        assert_eq!(share(group, &owner).unwrap(), x_a);
        assert_eq!(share(group, &device).unwrap(), x_b);
        assert_eq!(*group.raise(&x_b, &owner).unwrap(), bytes(case, "ShSe"));
        for (exponent, peer) in [(&owner, &x_b), (&device, &x_a)] {
            assert!(derives(&finish(group, exponent, peer).unwrap(), cipher, &bytes(case, "SEVK")));
        }
    }
}

#[test]
fn a_secret_keeps_its_leading_zeros() {
    let all = vectors("kex-edge-vectors.json");
    let case = all.as_array().unwrap().iter().find(|case| case["kex"] == "DHKEXid14").unwrap();
    let secret = bytes(case, "ShSe_padded");
    assert_eq!((secret.len(), secret[0]), (256, 0));
    for (exponent, peer) in [("owner_exponent", "xB"), ("device_exponent", "xA")] {
        let found = finish(Group::Fourteen, &bytes(case, exponent), &bytes(case, peer)).unwrap();
        assert!(derives(&found, CipherSuite::A128Gcm, &bytes(case, "SEVK_padded")));
        assert!(!derives(&found, CipherSuite::A128Gcm, &bytes(case, "SEVK_if_peer_strips_zeros")));
    }
}

#[test]
fn a_share_may_have_a_zero_in_front_or_lack_some() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (exponent, _) = offer(Group::Fourteen, &mut rng).unwrap();
    // A share with three leading zero bytes.
    let mut short = vec![0; 253];
    rng.fill_bytes(&mut short);
    short[0] |= 1;
    let key = |share: &[u8]| {
        cbor::encode(&finish(Group::Fourteen, &exponent, share).unwrap().derive(CipherSuite::A256Gcm))
    };
    let expected = key(&short);
    for zeros in 1..=4 {
        assert_eq!(key(&[&vec![0; zeros][..], &short].concat()), expected);
    }
}

#[test]
fn refuses_what_is_no_share() {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    for (group, suite, _) in GROUPS {
        let length = group.length();
        let one_less = |text: &str| {
            let mut number = hex::decode(text).unwrap();
            *number.last_mut().unwrap() -= 1;
            number
        };
        let prime = match group {
            Group::Fourteen => PRIME_14,
            Group::Fifteen => PRIME_15,
        };
        let p = hex::decode(prime).unwrap();
        let small = |last: u8| {
            let mut number = vec![0; length];
            number[length - 1] = last;
            number
        };
        let owner = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
        let good = owner.public();
        for (what, share) in [
            ("nothing", Vec::new()),
            ("0", vec![0]),
            ("0 in full length", small(0)),
            ("1", vec![1]),
            ("1 in full length", small(1)),
            ("2, whose logarithm is known", small(2)),
            ("p - 1", one_less(prime)),
            ("p", p.clone()),
            ("p with a sign", [&[0], &p[..]].concat()),
            ("more than p", vec![0xff; length]),
            ("longer than the modulus", [&[1], good].concat()),
            ("much longer than the modulus", [good, good].concat()),
            ("two zeros in front", [&[0, 0], good].concat()),
            ("half of it", good[..length / 2].to_vec()),
            ("seventeen bytes too few", good[17..].to_vec()),
        ] {
            assert!(matches!(owner.finish(&share, &key()), Err(Error::Rejected(_))), "{suite:?}: {what}");
            let answer = answer(group, &share, &mut rng);
            assert!(matches!(answer, Err(Error::Rejected(_))), "{suite:?}: {what}");
        }
        // The greatest that counts.
        let mut greatest = one_less(prime);
        *greatest.last_mut().unwrap() -= 1;
        assert!(owner.finish(&greatest, &key()).is_ok());
    }
}

/// A generator that gives only zeros must not lead to a tunnel that everybody can open.
#[test]
fn an_exponent_of_zeros_is_the_generators_fault() {
    for (group, _, _) in GROUPS {
        assert!(matches!(share(group, &vec![0; group.exponent_length()]), Err(Error::Internal(_))));
        assert!(matches!(group.raise(&[2], &[1]), Err(Error::Internal(_))));
    }
}

#[test]
fn shares_have_the_full_length() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for (group, suite, _) in GROUPS {
        let owner = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
        let (x_b, _) = answer(group, owner.public(), &mut rng).unwrap();
        assert_eq!((owner.public().len(), x_b.len()), (group.length(), group.length()));
    }
}
