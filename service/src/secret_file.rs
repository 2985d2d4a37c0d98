//! Files that hold a secret: mode 0600, written atomically, refused when others may read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Why a secret file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path} can be read or written by others (mode {mode:04o}); run `chmod 600 {path}` and, if somebody may have read it, replace it"
    )]
    Permissions { path: PathBuf, mode: u32 },
    #[error("{path} holds {found} bytes where {expected} are needed; restore it from a backup")]
    Length { path: PathBuf, found: usize, expected: usize },
}

/// Reads a secret; `None` when there is no such file.
pub fn find(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretFileError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    let metadata = file.metadata().map_err(|error| io_error(path, error))?;
    check_mode(path, &metadata)?;
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    // Capacity up front, so that no half-filled copy is left behind by growth.
    let mut secret = Zeroizing::new(Vec::with_capacity(size + 1));
    file.read_to_end(&mut secret).map_err(|error| io_error(path, error))?;
    Ok(Some(secret))
}

/// Reads a secret that must be there.
pub fn load(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    find(path)?.ok_or_else(|| io_error(path, io::Error::from(io::ErrorKind::NotFound)))
}

/// Reads a secret, or writes the one that `make` gives; of two processes that race, both get the winner's.
pub fn load_or_create(
    path: &Path,
    make: impl FnOnce() -> Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    if let Some(secret) = find(path)? {
        return Ok(secret);
    }
    let secret = make();
    let temporary = write_temporary(path, &secret)?;
    // A hard link, unlike a rename, does not replace a file that somebody else has made meanwhile.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(|error| io_error(path, error))?;
    match linked {
        Ok(()) => {
            sync_parent(path)?;
            Ok(secret)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(io_error(path, error)),
    }
}

/// Reads a 32-byte key, or makes one.
pub fn load_or_create_key(path: &Path, rng: &mut dyn CryptoRng) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    let bytes = load_or_create(path, || {
        let mut key = Zeroizing::new(vec![0_u8; 32]);
        rng.fill_bytes(&mut key);
        key
    })?;
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretFileError::Length {
        path: path.to_owned(),
        found: bytes.len(),
        expected: 32,
    })?;
    Ok(Zeroizing::new(key))
}

/// Writes a secret, replacing the file atomically.
pub fn write(path: &Path, secret: &[u8]) -> Result<(), SecretFileError> {
    let temporary = write_temporary(path, secret)?;
    fs::rename(&temporary, path).map_err(|error| io_error(path, error))?;
    sync_parent(path)
}

fn write_temporary(path: &Path, secret: &[u8]) -> Result<PathBuf, SecretFileError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&temporary, error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(|error| io_error(&temporary, error))?;
    file.write_all(secret).and_then(|()| file.sync_all()).map_err(|error| io_error(&temporary, error))?;
    Ok(temporary)
}

fn sync_parent(path: &Path) -> Result<(), SecretFileError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(|error| io_error(parent, error))
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(SecretFileError::Permissions { path: path.to_owned(), mode })
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), SecretFileError> {
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> SecretFileError {
    SecretFileError::Io { path: path.to_owned(), source }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let random = Random::seeded(1);
        let first = load_or_create_key(&path, &mut random.rng()).unwrap();
        let second = load_or_create_key(&path, &mut random.rng()).unwrap();
        assert_eq!(*first, *second);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write(&path, b"short").unwrap();
        assert!(matches!(
            load_or_create_key(&path, &mut random.rng()),
            Err(SecretFileError::Length { found: 5, .. })
        ));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("chmod 600"), "{message}");
        assert!(find(&folder.path().join("none")).unwrap().is_none());
    }
}
