//! Files that travel, and patience with a limit.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long anything may take that is no device.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent, as the bytes that must arrive.
pub struct Files {
    /// Of more than one message.
    pub sent: PathBuf,
    content: Vec<u8>,
}

impl Files {
    pub fn create(directory: &Path) -> anyhow::Result<Self> {
        // Every byte value, and no period that a chunk could hide.
        let content: Vec<u8> =
            (0_u32..5_003).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        let sent = directory.join("sent.bin");
        std::fs::write(&sent, &content)?;
        Ok(Self { sent, content })
    }

    /// A file with other bytes, or none, is an error.
    pub fn compare(&self, arrived: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(arrived).with_context(|| format!("{} did not arrive", arrived.display()))?;
        if bytes != self.content {
            bail!("{} arrived with other bytes ({} of {})", arrived.display(), bytes.len(), self.content.len());
        }
        Ok(())
    }
}

/// Asks until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("{what}: nothing for {} seconds", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
