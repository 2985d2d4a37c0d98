//! A folder of content: what arrives is streamed to disk in bounded memory, and is in its place whole or not at all.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use fdo_service::host::data_dir;
use futures_util::{Stream, StreamExt};
use rand_core::CryptoRng;
use sha2::{Digest, Sha384};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

/// A sender that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where content lies.
pub struct Folder {
    path: PathBuf,
    /// The most bytes of one file.
    limit: u64,
}

/// Content that has arrived whole and is durable; it goes again unless it is kept.
pub struct Received {
    pub content: String,
    pub length: u64,
    pub sha384: [u8; 48],
    path: PathBuf,
    is_kept: bool,
}

/// Why content is not kept.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the file is larger than {0} bytes; `files.file_bytes` in the configuration is the limit")]
    TooLarge(u64),
    #[error("the file did not arrive whole: {0}; nothing was kept")]
    CutShort(String),
    #[error("the folder of files {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Received {
    /// It has its row.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Folder {
    /// Makes the folder, for its owner only.
    pub fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        data_dir::create(&path)?;
        Ok(Self { path, limit })
    }

    /// Where content of this name lies.
    pub fn path(&self, content: &str) -> PathBuf {
        self.path.join(content)
    }

    fn failed(&self, source: io::Error) -> FolderError {
        FolderError::Io { path: self.path.clone(), source }
    }

    /// Streams a body to disk, hashing it on the way.
    pub async fn receive<S, B, E>(&self, body: S, rng: &mut dyn CryptoRng) -> Result<Received, FolderError>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: AsRef<[u8]>,
        E: std::fmt::Display,
    {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let content = hex::encode(id);
        let path = self.path(&content);
        let mut file = create(&path).await.map_err(|error| self.failed(error))?;
        let mut received = Received { content, length: 0, sha384: [0; 48], path, is_kept: false };
        received.sha384 = self.write(body, &mut file, &mut received.length).await?;
        file.sync_all().await.map_err(|error| self.failed(error))?;
        sync(&self.path).await.map_err(|error| self.failed(error))?;
        Ok(received)
    }

    async fn write<S, B, E>(&self, mut body: S, file: &mut File, length: &mut u64) -> Result<[u8; 48], FolderError>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: AsRef<[u8]>,
        E: std::fmt::Display,
    {
        let mut hash = Sha384::new();
        loop {
            let next = tokio::time::timeout(PATIENCE, body.next()).await;
            let next = next.map_err(|_| FolderError::CutShort("the sender stopped".to_owned()))?;
            let Some(part) = next else { break };
            let part = part.map_err(|error| FolderError::CutShort(error.to_string()))?;
            let part = part.as_ref();
            *length += part.len() as u64;
            if *length > self.limit {
                return Err(FolderError::TooLarge(self.limit));
            }
            hash.update(part);
            file.write_all(part).await.map_err(|error| self.failed(error))?;
        }
        file.flush().await.map_err(|error| self.failed(error))?;
        Ok(hash.finalize().into())
    }

    /// Takes content away; what cannot be taken away is found by the sweep.
    pub async fn remove(&self, content: &str) {
        if let Err(error) = fs::remove_file(self.path(content)).await {
            tracing::warn!(content, %error, "a file's content cannot be removed");
        }
    }

    /// Removes content that is not known and was last written before this time.
    pub async fn sweep(&self, known: &HashSet<String>, before: u64) -> Result<u64, FolderError> {
        let mut swept = 0;
        let mut entries = fs::read_dir(&self.path).await.map_err(|error| self.failed(error))?;
        while let Some(entry) = entries.next_entry().await.map_err(|error| self.failed(error))? {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_ours = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let Ok(metadata) = entry.metadata().await else { continue };
            let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let is_old = written.is_some_and(|written| written.as_secs() < before);
            if is_ours && metadata.is_file() && is_old && !known.contains(&name) {
                self.remove(&name).await;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

async fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await
}

/// Makes the names in a folder durable.
async fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}
