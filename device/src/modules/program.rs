//! Running a program for an owner: no shell, in the directory for files, with a limit on time and output.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command as Process};
use tokio::sync::mpsc;

/// Programs get this and nothing of the agent's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Signals of POSIX and Linux.
const SIGNALS: std::ops::RangeInclusive<i64> = 1..=64;

/// What the configuration allows a program.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The directory that programs start in.
    pub directory: PathBuf,
    /// How long one may run.
    pub time_limit: Duration,
    /// How much of each output stream is kept, in bytes; the rest is dropped.
    pub output_limit: usize,
}

/// How a program ended.
pub struct Ended {
    /// Its exit code, 128 and the number for one that a signal ended.
    pub code: i64,
    /// What it said.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

/// Runs a program to its end. What comes over `signals` is sent to it.
///
/// # Errors
/// Why it did not end by itself, for people.
pub async fn run(
    limits: Limits,
    program: String,
    arguments: Vec<String>,
    mut signals: mpsc::Receiver<i64>,
) -> Result<Ended, String> {
    std::fs::create_dir_all(&limits.directory).map_err(|error| error.to_string())?;
    let mut child = Process::new(program)
        .args(arguments)
        .current_dir(&limits.directory)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let group = child.id();
    let limit = limits.output_limit;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let whole = async {
        // Only then is it waited for: until then its number cannot become another's, and its group can be ended by it.
        let (stdout, stderr) = tokio::join!(read(stdout, limit), read(stderr, limit));
        let status = child.wait().await;
        status.map(|status| Ended { code: code(status), stdout, stderr })
    };
    let signalled = async {
        let ended = tokio::time::timeout(limits.time_limit, whole);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                Some(signal) = signals.recv() => send(group, signal).await,
            }
        }
    };
    match signalled.await {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(_) => {
            end(group, &mut child).await;
            Err(format!("it ran for more than {} seconds", limits.time_limit.as_secs()))
        }
    }
}

/// What the program started itself must not outlive the limit either.
async fn end(group: Option<u32>, child: &mut Child) {
    if child.id().is_some() {
        send(group, 9).await;
    }
    let _ = child.kill().await;
}

async fn send(group: Option<u32>, signal: i64) {
    let Some(group) = group.filter(|_| SIGNALS.contains(&signal)) else { return };
    let arguments = [format!("-{signal}"), "--".to_owned(), format!("-{group}")];
    let kill = Process::new("/bin/kill").args(arguments).stderr(Stdio::null()).status();
    let _ = tokio::time::timeout(Duration::from_secs(5), kill).await;
}

fn code(status: ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).map_or(-1, i64::from)
}

/// Reads to the end, so that the program does not block, and keeps the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    if let Some(mut stream) = stream {
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let room = limit.saturating_sub(kept.len()).min(length);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    kept
}
