//! Vouchers made by other implementations: decoded, verified, and re-encoded to the same bytes. Those of FDO 1.0 are
//! refused. Origins: `tests/vectors/README.md`.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use fdo_protocol::cbor::{Encode, Writer};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::voucher::{VerifyPolicy, Voucher};
use fdo_protocol::{DeviceSecrets, Error, FileSecrets, Hash, PublicKeyEncoding, VoucherFault};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn voucher(name: &str) -> Voucher {
    let mut vouchers = Voucher::from_file(&file(&format!("vouchers/{name}"))).unwrap();
    assert_eq!(vouchers.len(), 1);
    vouchers.remove(0)
}

/// Encodes a voucher from its parts, not from the kept bytes.
fn encoded_again(voucher: &Voucher) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(5).unsigned(101).value(voucher.header()).value(voucher.hmac());
    match voucher.certificates() {
        Some(certificates) => certificates.to_vec().encode_into(&mut writer),
        None => {
            writer.null();
        }
    }
    voucher.entries().to_vec().encode_into(&mut writer);
    writer.into_bytes()
}

#[test]
fn elliptic_curve_vouchers_verify_and_encode_to_the_same_bytes() {
    for (name, key_type, entries, legacy) in [
        ("astarte-sample-ec256.pem", KeyType::P256, 1, false),
        ("fdo-rs-v101-voucher1.pem", KeyType::P256, 1, true),
        ("fdo-rs-v101-voucher2.pem", KeyType::P256, 2, false),
        ("fdo-rs-v101-voucher3.pem", KeyType::P256, 1, false),
        ("fido-conformance-interop-example.pem", KeyType::P384, 3, false),
        ("go-fdo-server-x5chain-owner-mapped-ipv4.pem", KeyType::P256, 1, false),
        ("go-fdo-testdata-ov.pem", KeyType::P384, 0, false),
    ] {
        let voucher = voucher(name);
        assert_eq!(encoded_again(&voucher), voucher.bytes(), "{name}");
        let again = Voucher::from_file(voucher.to_pem().as_bytes()).unwrap();
        assert_eq!(again, vec![voucher.clone()], "{name}");
        if legacy {
            let strict = voucher.clone().verify(&VerifyPolicy::default());
            assert_eq!(strict.unwrap_err(), Error::Voucher(VoucherFault::CertificateChainHash), "{name}");
        }
        let verified = voucher.verify(&VerifyPolicy { legacy_chain_hash: legacy }).unwrap();
        assert_eq!(verified.manufacturer_key().key_type(), key_type, "{name}");
        assert_eq!(verified.entries().len(), entries, "{name}");
        assert_eq!(verified.device_key().key_type(), KeyType::P256, "{name}");
    }
}

#[test]
fn the_last_owner_key_beside_a_voucher_is_the_one_it_ends_in() {
    for name in ["fdo-rs-v101-voucher3.pem", "fido-conformance-interop-example.pem"] {
        let pem = String::from_utf8(file(&format!("vouchers/{name}"))).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        let verified = voucher(name).verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(verified.owner_key(), key.verifying_key(), "{name}");
        verified.extend(&key, key.verifying_key()).unwrap();
    }
}

#[cfg(feature = "aws-lc")]
#[test]
fn an_rsa_voucher_verifies_and_encodes_to_the_same_bytes() {
    let voucher = voucher("go-fdo-testdata-ov_extended.pem");
    assert_eq!(voucher.header().manufacturer_key.key_type(), fdo_protocol::PublicKeyType::Rsa2048Restr);
    assert_eq!(encoded_again(&voucher), voucher.bytes());
    let verified = voucher.verify(&VerifyPolicy::default()).unwrap();
    assert_eq!(verified.entries().len(), 6);
    assert_eq!(verified.owner_key().key_type(), KeyType::Rsa2048);
    assert_eq!(verified.device_key().key_type(), KeyType::P256);
    assert_eq!(verified.hash_type(), fdo_protocol::HashType::Sha256);
}

#[test]
fn an_rsa_header_with_a_certificate_chain_decodes() {
    use fdo_protocol::cbor::Encoded;
    use fdo_protocol::voucher::OvHeader;
    let text = String::from_utf8(file("misc/ovheader-rsa2048-x5chain.hex")).unwrap();
    let bytes = hex::decode(text.split_whitespace().collect::<String>()).unwrap();
    let header = Encoded::<OvHeader>::from_bytes(&bytes).unwrap();
    assert_eq!(header.manufacturer_key.encoding(), PublicKeyEncoding::X5Chain);
    assert_eq!(header.manufacturer_key.verifying_key().unwrap().key_type(), KeyType::Rsa2048);
    assert!(header.cert_chain_hash.is_none());
    assert_eq!(fdo_protocol::cbor::encode(header.value()), bytes);
}

#[test]
fn vouchers_of_fdo_1_0_are_refused() {
    for name in ["negative-fdo-rs-v100-voucher1.pem", "negative-fdo-rs-v100-voucher2.pem"] {
        let refused = Voucher::from_file(&file(&format!("vouchers/{name}")));
        assert_eq!(refused.unwrap_err(), Error::Voucher(VoucherFault::Version), "{name}");
    }
}

/// The one voucher whose device secrets are known: its HMAC, its key, and the hash that the device was born with.
#[test]
fn the_device_behind_the_go_test_voucher_agrees_with_it() {
    let verified = voucher("go-fdo-testdata-ov.pem").verify(&VerifyPolicy::default()).unwrap();
    let manufacturer =
        SigningKey::from_pem(std::str::from_utf8(&file("keys/go-fdo-testdata-mfg_key.pem")).unwrap()).unwrap();
    assert_eq!(verified.owner_key(), manufacturer.verifying_key());

    let secret = hex::decode("6ac6578a647f8e90c4322c63625fd6b0afebbe7b1d6731750d53cc9b7796128a").unwrap();
    let device = SigningKey::generate(KeyType::P256, &mut rng()).unwrap();
    let secrets = FileSecrets::new(device, zeroize::Zeroizing::new(secret));
    let hmac = secrets.hmac(verified.hmac().hmac_type(), &[verified.header().bytes()]).unwrap();
    assert!(hmac == *verified.hmac());

    let credential = file("credentials/go-fdo-testdata-dc.bin");
    let hash = Hash::of(verified.hash_type(), &[verified.header().manufacturer_key.encoded()]);
    assert!(credential.windows(hash.digest().len()).any(|window| window == hash.digest()));
}

fn rng() -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::seed_from_u64(3)
}

/// A key of a type or an encoding that nobody knows is a fault of the voucher, wherever in it the key stands.
#[test]
fn an_unknown_key_type_or_encoding_is_a_fault_of_the_voucher() {
    let good = voucher("fdo-rs-v101-voucher2.pem").bytes().to_vec();
    let keys: Vec<usize> =
        (0..good.len() - 4).filter(|at| good[*at..].starts_with(&[0x83, 10, 1, 0x58])).collect();
    assert!(!keys.is_empty());
    for key in keys {
        for (position, number) in [(key + 1, 23), (key + 2, 9)] {
            let mut bad = good.clone();
            bad[position] = number;
            let refused = Voucher::from_bytes(&bad).and_then(|voucher| voucher.verify(&VerifyPolicy::default()));
            assert_eq!(refused.unwrap_err().code().number(), 2);
        }
    }
}

/// Each bit of a voucher that is covered by a hash or a signature: flip a byte, and it must not verify any more.
#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    let good = voucher("fdo-rs-v101-voucher2.pem");
    let bytes = good.bytes().to_vec();
    // The head of the outer array and the certificate behind the leaf's hash are covered like all the rest.
    for position in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[position] ^= 1;
        let accepted = Voucher::from_bytes(&bad).and_then(|voucher| voucher.verify(&VerifyPolicy::default()));
        assert!(accepted.is_err(), "a flip at byte {position} was not noticed");
    }
}

#[test]
fn a_truncated_voucher_is_refused_at_every_length() {
    let good = voucher("fdo-rs-v101-voucher3.pem");
    for length in 0..good.bytes().len() {
        assert!(Voucher::from_bytes(&good.bytes()[..length]).is_err(), "{length} bytes were enough");
    }
}
