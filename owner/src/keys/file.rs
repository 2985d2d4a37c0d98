//! Keys in files: PEM in `<data-dir>/keys`, mode 0600, and 32 bytes for sealing, apart from the database.

use std::path::{Path, PathBuf};

use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::data_dir;
use fdo_service::secret_file;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{KeyError, OwnerKeyFile};

/// The sealing key itself, in hexadecimal, for platforms that hand secrets over in the environment.
const SEALING_VARIABLE: &str = "FIRSTLIGHT_SEALING_KEY";
const SEALING_FILE: &str = "sealing-key";

/// Reads all keys, and makes those of `types` that are missing.
pub(super) fn load_or_create(
    directory: &Path,
    types: &[KeyType],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<OwnerKeyFile>, KeyError> {
    data_dir::create(directory).map_err(|source| KeyError::Directory { path: directory.to_owned(), source })?;
    let mut keys = Vec::new();
    for path in pem_files(directory)? {
        keys.push(OwnerKeyFile { key: load(&path)?, path });
    }
    for &key_type in types {
        if !keys.iter().any(|file| file.key.key_type() == key_type) {
            let path = directory.join(default_name(key_type));
            create(&path, key_type, rng)?;
            keys.push(OwnerKeyFile { key: load(&path)?, path });
        }
    }
    // The file with the usual name is the preferred key of its type; the others still open older vouchers.
    keys.sort_by_key(|file| {
        let usual =
            file.path.file_name().is_some_and(|name| name.to_str() == Some(&default_name(file.key.key_type())));
        (file.key.key_type(), !usual, file.path.clone())
    });
    Ok(keys)
}

/// `owner-p256.pem`, `owner-rsa2048.pem`
fn default_name(key_type: KeyType) -> String {
    format!("owner-{}.pem", key_type.to_string().to_ascii_lowercase().replace('-', ""))
}

fn pem_files(directory: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let failed = |source| KeyError::Directory { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    Ok(files)
}

fn load(path: &Path) -> Result<SigningKey, KeyError> {
    let unusable = |reason: String| KeyError::Unusable { path: path.to_owned(), reason };
    let bytes = secret_file::load(path)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| unusable("it is not text".to_owned()))?;
    SigningKey::from_pem(pem).map_err(|error| unusable(error.to_string()))
}

fn create(path: &Path, key_type: KeyType, rng: &mut dyn CryptoRng) -> Result<(), KeyError> {
    let unusable =
        |error: fdo_protocol::Error| KeyError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let key = SigningKey::generate(key_type, rng).map_err(unusable)?;
    let pem = key.to_pkcs8_pem().map_err(unusable)?;
    secret_file::load_or_create(path, || Zeroizing::new(pem.as_bytes().to_vec()))?;
    Ok(())
}

/// The sealing key: from the environment, a systemd credential, the configured file, else `<data-dir>/sealing-key`.
pub fn sealing_key(
    data_dir: &Path,
    configured: Option<&Path>,
    rng: &mut dyn CryptoRng,
) -> Result<SealingKey, KeyError> {
    if let Ok(text) = std::env::var(SEALING_VARIABLE).map(Zeroizing::new) {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| KeyError::SealingKey)?;
        return Ok(SealingKey::new(*bytes));
    }
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(SEALING_FILE));
    let path = match (configured, credential.filter(|path| path.exists())) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) => path,
        (None, None) => data_dir.join(SEALING_FILE),
    };
    Ok(SealingKey::new(*secret_file::load_or_create_key(&path, rng)?))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::OwnerKeys;
    use super::*;
    use fdo_service::host::random::Random;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_key_of_each_type_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Random::seeded(1).rng();
        let first = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).unwrap();
        let second = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).unwrap();
        assert_eq!(first.all().len(), 2);
        for (a, b) in first.all().iter().zip(second.all()) {
            assert_eq!(a.fingerprint(), b.fingerprint());
            assert_eq!(std::fs::metadata(&a.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let p384 = first.for_type(KeyType::P384).unwrap();
        assert!(first.owning(p384.verifying_key()).is_some());
        let stranger = SigningKey::generate(KeyType::P384, &mut rng).unwrap();
        assert!(first.owning(stranger.verifying_key()).is_none());
    }

    #[test]
    fn an_rsa_key_is_made_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Random::seeded(3).rng();
        let without = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).unwrap();
        assert!(without.for_type(KeyType::Rsa2048).is_none());
        let made = OwnerKeys::load_or_create(folder.path(), &[KeyType::Rsa2048], &mut rng).unwrap();
        let path = folder.path().join("owner-rsa2048.pem");
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        // It stays when the setting goes: vouchers may end in it.
        let again = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).unwrap();
        let key = again.for_type(KeyType::Rsa2048).unwrap();
        assert_eq!(key.verifying_key(), made.for_type(KeyType::Rsa2048).unwrap().verifying_key());
        assert_eq!(again.preferred().count(), 3);
    }

    #[test]
    fn a_key_that_was_put_there_is_used_and_an_unusable_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Random::seeded(2).rng();
        let own = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        secret_file::write(&folder.path().join("ours.pem"), own.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
        let keys = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).unwrap();
        assert_eq!(keys.for_type(KeyType::P256).unwrap().verifying_key(), own.verifying_key());
        assert_eq!(keys.all().len(), 2);
        secret_file::write(&folder.path().join("broken.pem"), b"nothing").unwrap();
        let error = OwnerKeys::load_or_create(folder.path(), &[], &mut rng).err().unwrap().to_string();
        assert!(error.contains("broken.pem"), "{error}");
    }
}
