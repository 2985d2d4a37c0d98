//! Files that travel, a web server that hands one out, and patience with a limit.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// How long anything may take that is no device.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent, as the bytes that must arrive.
pub struct Files {
    /// Of more than one message.
    pub sent: PathBuf,
    /// Where the same can be fetched.
    pub url: String,
    content: Vec<u8>,
    server: AbortHandle,
}

impl Files {
    pub async fn create(directory: &Path) -> anyhow::Result<Self> {
        // Every byte value, and no period that a chunk could hide.
        let content: Vec<u8> =
            (0_u32..5_003).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        let sent = directory.join("sent.bin");
        std::fs::write(&sent, &content)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/sent.bin", listener.local_addr()?);
        let body = content.clone();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Whoever hangs up has had what it wanted.
                let _ = tokio::time::timeout(PATIENCE, serve(client, &body)).await;
            }
        });
        Ok(Self { sent, url, content, server: server.abort_handle() })
    }

    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// A file with other bytes, or none, is an error.
    pub fn compare(&self, arrived: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(arrived).with_context(|| format!("{} did not arrive", arrived.display()))?;
        self.compare_bytes(&bytes).with_context(|| arrived.display().to_string())
    }

    pub fn compare_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes != self.content {
            bail!("other bytes arrived ({} of {})", bytes.len(), self.content.len());
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One answer to one request, whatever it was.
async fn serve(mut client: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 8_192 {
        request.push(client.read_u8().await?);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let body = if request.starts_with(b"HEAD") { &[] } else { body };
    client.write_all(&[head.as_bytes(), body].concat()).await?;
    client.shutdown().await
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
