//! Keys are made once, stay private, and what does not fit is refused.

#![allow(clippy::unwrap_used)]

use super::*;
use fdo_service::host::random::Random;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOW: u64 = 1_800_000_000;

fn load(folder: &Path) -> Result<Keys, KeyError> {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let naming = Naming { maker: "Acme", hosts: &hosts };
    Keys::load_or_create(folder, naming, NOW, &mut Random::system().rng())
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
    let keys = load(folder.path()).unwrap();
    for key_type in KeyType::ALL {
        let key = keys.voucher(key_type);
        for encoding in [PublicKeyEncoding::X509, PublicKeyEncoding::X5Chain, PublicKeyEncoding::CoseKey] {
            let public = key.public_key(encoding).unwrap();
            assert_eq!(public.encoding(), encoding);
            assert_eq!(public.verifying_key().unwrap(), *key.signing().verifying_key());
        }
        assert!(key.public_key(PublicKeyEncoding::Crypto).is_none());
        assert!(keys.voucher_for(key.signing().verifying_key()).is_some());
    }
    assert!(keys.voucher_for(keys.identity().verifying_key()).is_none());
}

#[test]
fn keys_that_were_put_there_are_used_and_wrong_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = SigningKey::generate(KeyType::P256, &mut Random::system().rng()).unwrap();
    let path = folder.path().join("voucher-p256.pem");
    fdo_service::secret_file::write(&path, own.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    let keys = load(folder.path()).unwrap();
    assert_eq!(keys.voucher(KeyType::P256).signing().verifying_key(), own.verifying_key());

    // The certificate beside it is now another key's.
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::Mismatch { .. })));

    let large = SigningKey::generate(KeyType::P384, &mut Random::system().rng()).unwrap();
    fdo_service::secret_file::write(&path, large.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::WrongType { .. })));
    fdo_service::secret_file::write(&path, b"hello").unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::Key { .. })));
}
