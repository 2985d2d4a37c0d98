//! Uploads on disk: parts are written at their place as they come, hashed on the way where that is possible, and the
//! whole is renamed to its name once it was checked.

use std::collections::{HashMap, HashSet};
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use fdo_service::host::data_dir;
use sha2::{Digest, Sha384};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// More files than this do not arrive at a time.
const CAPACITY: usize = 10_000;
/// How much is read at a time while hashing.
const PART: usize = 64 * 1024;
/// What an unfinished file's name ends in.
const UNFINISHED: &str = ".part";

/// Where uploads lie, and what is known of those that arrive here.
pub struct Storage {
    root: PathBuf,
    arriving: Mutex<HashMap<String, Arriving>>,
}

struct Arriving {
    device_id: String,
    /// Set aside for it, in bytes.
    expected: u64,
    since: u64,
    /// Over the bytes so far. Another replica, or this one after a restart, has none and reads the file at the end.
    hash: Option<(Sha384, u64)>,
}

/// Why a file is not stored.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{CAPACITY} files are arriving already")]
    Busy,
    #[error("a part that does not follow the one before it")]
    Gap,
    #[error("the name {0} is none of an upload")]
    Name(String),
    #[error("the folder of uploads {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Storage {
    /// Makes the folder, for its owner only.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        data_dir::create(&root)?;
        Ok(Self { root, arriving: Mutex::default() })
    }

    fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Io { path: self.root.clone(), source }
    }

    /// Where an upload lies. Both names are ours; this is the last look at them before they become a path.
    pub fn path(&self, device_id: &str, id: &str) -> Result<PathBuf, StorageError> {
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match (plain(device_id), plain(id)) {
            (true, true) => Ok(self.root.join(device_id).join(id)),
            _ => Err(StorageError::Name(format!("{device_id}/{id}"))),
        }
    }

    /// Whether room was set aside for it.
    pub(super) fn is_admitted(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Bytes set aside for what is arriving: of a device, and of all.
    pub(super) fn arriving(&self, device_id: &str) -> (u64, u64) {
        self.lock().values().fold((0, 0), |(device, all): (u64, u64), arriving| {
            let own = if arriving.device_id == device_id { arriving.expected } else { 0 };
            (device.saturating_add(own), all.saturating_add(arriving.expected))
        })
    }

    pub(super) fn admit(&self, device_id: &str, id: &str, expected: u64, now: u64) -> Result<(), StorageError> {
        let mut all = self.lock();
        if all.len() >= CAPACITY {
            return Err(StorageError::Busy);
        }
        let new =
            Arriving { device_id: device_id.to_owned(), expected, since: now, hash: Some((Sha384::new(), 0)) };
        all.insert(id.to_owned(), new);
        Ok(())
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn expire(&self, before: u64) {
        self.lock().retain(|_, arriving| arriving.since >= before);
    }

    /// Writes a part at its place; the same part may come again.
    pub(super) async fn write(
        &self,
        device_id: &str,
        id: &str,
        offset: u64,
        data: &[u8],
    ) -> Result<(), StorageError> {
        let path = unfinished(&self.path(device_id, id)?);
        let written = async {
            let mut file = open(&path, device_folder(&path)).await?;
            if file.metadata().await?.len() < offset {
                return Ok(false);
            }
            file.seek(SeekFrom::Start(offset)).await?;
            file.write_all(data).await?;
            file.flush().await?;
            Ok(true)
        };
        if !written.await.map_err(|error| self.failed(error))? {
            return Err(StorageError::Gap);
        }
        self.hash(id, offset, data);
        Ok(())
    }

    fn hash(&self, id: &str, offset: u64, data: &[u8]) {
        let mut all = self.lock();
        let Some(arriving) = all.get_mut(id) else { return };
        match &mut arriving.hash {
            Some((hash, at)) if *at == offset => {
                hash.update(data);
                *at += data.len() as u64;
            }
            // Again what is hashed already.
            Some((_, at)) if *at == offset + data.len() as u64 => {}
            _ => arriving.hash = None,
        }
    }

    /// Checks what was written, makes it durable and puts it in its place; gives its hash. `None`, and nothing is kept,
    /// where it is not what was expected.
    pub(super) async fn finish(
        &self,
        device_id: &str,
        id: &str,
        length: u64,
        expected: Option<[u8; 48]>,
    ) -> Result<Option<[u8; 48]>, StorageError> {
        let path = self.path(device_id, id)?;
        let part = unfinished(&path);
        let known = match self.lock().get_mut(id).and_then(|arriving| arriving.hash.take()) {
            Some((hash, at)) if at == length => Some(<[u8; 48]>::from(hash.finalize())),
            _ => None,
        };
        let finished = async {
            // It may be in its place already: this side failed before it could say so.
            let is_placed = fs::try_exists(&path).await?;
            let mut file =
                if is_placed { File::open(&path).await? } else { open(&part, device_folder(&part)).await? };
            let digest = match known {
                Some(digest) => digest,
                None => digest(&mut file).await?,
            };
            let is_whole = file.metadata().await?.len() == length;
            if !is_whole || expected.is_some_and(|expected| expected != digest) {
                fs::remove_file(if is_placed { &path } else { &part }).await?;
                return Ok(None);
            }
            file.sync_all().await?;
            if !is_placed {
                fs::rename(&part, &path).await?;
            }
            File::open(device_folder(&path)).await?.sync_all().await?;
            File::open(&self.root).await?.sync_all().await?;
            Ok(Some(digest))
        };
        finished.await.map_err(|error| self.failed(error))
    }

    /// Removes what an onboarding did not finish.
    pub(super) async fn abandon(&self, onboarding: &str) {
        let begins = format!("{onboarding}-");
        let gone: Vec<(String, String)> = {
            let mut all = self.lock();
            let ids: Vec<String> = all.keys().filter(|id| id.starts_with(&begins)).cloned().collect();
            ids.into_iter().filter_map(|id| all.remove(&id).map(|arriving| (arriving.device_id, id))).collect()
        };
        for (device_id, id) in gone {
            if let Ok(path) = self.path(&device_id, &id) {
                let _ = fs::remove_file(unfinished(&path)).await;
            }
        }
    }

    /// Takes an upload's content away; what cannot be taken away is found by the sweep.
    pub(super) async fn remove(&self, device_id: &str, id: &str) {
        let removed = match self.path(device_id, id) {
            Ok(path) => fs::remove_file(path).await.map_err(|error| self.failed(error)),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(id, %error, "an upload's content cannot be removed");
        }
    }

    /// Removes content that is not known and was last written before this time.
    pub(super) async fn sweep(&self, known: &HashSet<String>, before: u64) -> Result<u64, StorageError> {
        self.sweep_all(known, before).await.map_err(|error| self.failed(error))
    }

    async fn sweep_all(&self, known: &HashSet<String>, before: u64) -> io::Result<u64> {
        let mut swept = 0;
        let mut devices = fs::read_dir(&self.root).await?;
        while let Some(device) = devices.next_entry().await? {
            let name = device.file_name();
            let is_ours = name
                .to_str()
                .is_some_and(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if !is_ours || !device.file_type().await?.is_dir() {
                continue;
            }
            let mut entries = fs::read_dir(device.path()).await?;
            while let Some(entry) = entries.next_entry().await? {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let metadata = entry.metadata().await?;
                let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let is_old = written.is_some_and(|written| written.as_secs() < before);
                if metadata.is_file() && is_old && !known.contains(&name) {
                    fs::remove_file(entry.path()).await?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arriving>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

fn device_folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Opens an unfinished file, for its owner only.
async fn open(path: &Path, folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    match options.open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            data_dir::create(folder)?;
            options.open(path).await
        }
        opened => opened,
    }
}

async fn digest(file: &mut File) -> io::Result<[u8; 48]> {
    let (mut hash, mut part) = (Sha384::new(), vec![0; PART]);
    loop {
        let read = file.read(&mut part).await?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&part[..read]);
    }
}
