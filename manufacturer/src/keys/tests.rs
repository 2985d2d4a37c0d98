//! Keys are made once, stay private, and what does not fit is refused.

#![allow(clippy::unwrap_used)]

use super::*;
use fdo_service::host::random::Random;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOW: u64 = 1_800_000_000;

fn load(folder: &Path) -> Result<Keys, KeyError> {
    load_with(folder, &[])
}

fn load_with(folder: &Path, rsa: &[KeyType]) -> Result<Keys, KeyError> {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let naming = Naming { maker: "Acme", hosts: &hosts };
    Keys::load_or_create(folder, rsa, naming, NOW, &mut Random::system().rng())
}

#[test]
fn keys_are_made_once_and_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let first = load(folder.path()).unwrap();
    assert!(first.created());
    for file in ["voucher-p256", "voucher-p384", "device-ca-p256", "device-ca-p384", "identity"] {
        let path = folder.path().join(format!("{file}.pem"));
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let second = load(folder.path()).unwrap();
    assert!(!second.created());
    assert_eq!(first.identity_fingerprint(), second.identity_fingerprint());
    let trust = second.trust("Acme").unwrap();
    assert_eq!(trust.voucher_signing_keys.len(), 2);
    assert_eq!(trust.device_cas[1].key_type, "P-384");
    assert!(trust.voucher_signing_keys[0].public_key.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    second.tls().unwrap();
}

#[test]
fn the_public_key_comes_in_the_encoding_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    recorded::put_rsa(folder.path());
    let keys = load(folder.path()).unwrap();
    let types = [
        (KeyType::P256, PublicKeyType::Secp256r1),
        (KeyType::P384, PublicKeyType::Secp384r1),
        (KeyType::Rsa2048, PublicKeyType::Rsa2048Restr),
        (KeyType::Rsa2048, PublicKeyType::RsaPkcs),
        (KeyType::Rsa3072, PublicKeyType::RsaPkcs),
    ];
    let certified = [PublicKeyEncoding::X509, PublicKeyEncoding::X5Chain, PublicKeyEncoding::CoseKey];
    for (key_type, asked) in types {
        let key = keys.voucher(key_type).unwrap();
        let crypto = key_type.modulus_bits().map(|_| PublicKeyEncoding::Crypto);
        for encoding in certified.into_iter().chain(crypto) {
            let public = key.public_key(asked, encoding).unwrap();
            assert_eq!((public.key_type(), public.encoding()), (asked, encoding));
            assert_eq!(public.verifying_key().unwrap(), *key.signing().verifying_key());
        }
        assert_eq!(key.public_key(asked, PublicKeyEncoding::Crypto).is_ok(), crypto.is_some());
        assert!(keys.voucher_for(key.signing().verifying_key()).is_some());
    }
    assert!(
        keys.voucher(KeyType::Rsa3072).unwrap().public_key(PublicKeyType::Rsa2048Restr, certified[0]).is_err()
    );
    assert!(keys.voucher_for(keys.identity().verifying_key()).is_none());
}

#[test]
fn rsa_keys_are_made_only_when_asked_for_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load(folder.path()).unwrap().voucher(KeyType::Rsa2048).is_none());
    let with = load_with(folder.path(), &[KeyType::Rsa2048]).unwrap();
    assert!(with.created() && with.voucher(KeyType::Rsa3072).is_none());
    let path = folder.path().join("voucher-rsa2048.pem");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let after = load(folder.path()).unwrap();
    let public = |keys: &Keys| keys.voucher(KeyType::Rsa2048).unwrap().signing().verifying_key().clone();
    assert_eq!(public(&with), public(&after));
    assert_eq!(after.trust("Acme").unwrap().voucher_signing_keys[2].key_type, "RSA2048");
}

#[test]
fn a_device_gets_the_key_that_it_can_verify() {
    let folder = tempfile::tempdir().unwrap();
    recorded::put_rsa(folder.path());
    let keys = load(folder.path()).unwrap();
    for (asked, device, expected) in [
        (PublicKeyType::Secp256r1, KeyType::Rsa2048, Some(KeyType::P256)),
        (PublicKeyType::Rsa2048Restr, KeyType::P256, Some(KeyType::Rsa2048)),
        (PublicKeyType::Rsa2048Restr, KeyType::Rsa3072, Some(KeyType::Rsa2048)),
        (PublicKeyType::RsaPkcs, KeyType::Rsa2048, Some(KeyType::Rsa2048)),
        (PublicKeyType::RsaPkcs, KeyType::Rsa3072, Some(KeyType::Rsa3072)),
        (PublicKeyType::RsaPkcs, KeyType::P384, Some(KeyType::Rsa3072)),
        (PublicKeyType::RsaPss, KeyType::Rsa2048, None),
    ] {
        let chosen = keys.voucher_asked(asked, device).map(|key| key.signing().key_type());
        assert_eq!(chosen, expected, "{asked:?} for {device}");
    }
}

#[test]
fn keys_that_were_put_there_are_used_and_wrong_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = SigningKey::generate(KeyType::P256, &mut Random::system().rng()).unwrap();
    let path = folder.path().join("voucher-p256.pem");
    fdo_service::secret_file::write(&path, own.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    let keys = load(folder.path()).unwrap();
    assert_eq!(keys.voucher(KeyType::P256).unwrap().signing().verifying_key(), own.verifying_key());

    // The certificate beside it is now another key's.
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::Mismatch { .. })));

    let large = SigningKey::generate(KeyType::P384, &mut Random::system().rng()).unwrap();
    fdo_service::secret_file::write(&path, large.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::WrongType { .. })));
    fdo_service::secret_file::write(&path, b"hello").unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::Key { .. })));
}
