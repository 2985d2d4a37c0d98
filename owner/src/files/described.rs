//! Files that are described by length and hash before they are sent, and read in parts while they are: those of
//! `[[downloads]]` are hashed once for as long as they do not change.

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha384};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// How much is read at a time while hashing.
const PART: usize = 64 * 1024;

/// A file as `fdo.download` announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    pub length: u64,
    pub sha384: [u8; 48],
}

/// Remembers what was described, so that a file is hashed once and not for each device.
#[derive(Default)]
pub struct Files {
    known: Mutex<HashMap<PathBuf, (Option<SystemTime>, Described)>>,
    /// One at a time: of a thousand devices that want a new file, the first has it hashed.
    hashing: tokio::sync::Mutex<()>,
}

impl Files {
    /// Length and hash of a file; hashed anew when it has changed.
    pub async fn describe(&self, path: &Path) -> io::Result<Described> {
        let mut file = File::open(path).await?;
        let metadata = file.metadata().await?;
        let changed = metadata.modified().ok();
        if let Some(described) = self.known(path, changed, metadata.len()) {
            return Ok(described);
        }
        let _turn = self.hashing.lock().await;
        if let Some(described) = self.known(path, changed, metadata.len()) {
            return Ok(described);
        }
        let (mut hash, mut length, mut part) = (Sha384::new(), 0, vec![0; PART]);
        loop {
            let read = file.read(&mut part).await?;
            if read == 0 {
                break;
            }
            hash.update(&part[..read]);
            length += read as u64;
        }
        let described = Described { length, sha384: hash.finalize().into() };
        self.lock().insert(path.to_owned(), (changed, described));
        Ok(described)
    }

    fn known(&self, path: &Path, changed: Option<SystemTime>, length: u64) -> Option<Described> {
        let (then, described) = self.lock().get(path).copied()?;
        (then == changed && described.length == length).then_some(described)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Option<SystemTime>, Described)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a file, shorter where the file ends.
    pub async fn read(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        let mut part = Vec::new();
        file.take(length as u64).read_to_end(&mut part).await?;
        Ok(part)
    }
}
