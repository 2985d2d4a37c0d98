//! Devices, ours and go-fdo-client, as processes with a time limit.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use fdo_tests::process::program;
use serde_json::Value;
use tokio::process::Command;

use super::cell::{By, Cell};
use super::peers::Peers;

/// How long one command of a device may take; RSA keys and debug builds are slow.
const LIMIT: Duration = Duration::from_secs(45);

/// One device with a directory of its own.
pub struct Device<'a> {
    cell: &'a Cell,
    client: PathBuf,
    directory: PathBuf,
}

impl<'a> Device<'a> {
    pub fn new(cell: &'a Cell, peers: &Peers, directory: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { cell, client: peers.client.clone(), directory })
    }

    /// Where downloads go and where commands run.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// DI; the GUID with hyphens.
    pub async fn born(&self, maker: &str, serial: &str) -> anyhow::Result<String> {
        std::fs::create_dir_all(self.files())?;
        let key = self.cell.key;
        match self.cell.device {
            By::Go => {
                let init = ["device-init", maker, "--device-info", "gateway", "--serial-number", serial];
                let keys = ["--key", key.name(), "--key-enc", self.cell.encoding];
                self.go(&[&init[..], &keys].concat(), "di.log", Watch::Exit).await?;
                // The exit code proves nothing: the credential does.
                let told = self.go(&["print"], "print.log", Watch::Exit).await?;
                guid_in(&told).context("go-fdo-client has no GUID after DI")
            }
            By::Us | By::Library => {
                let init = ["init", "--manufacturer", maker, "--serial", serial, "--model", "gateway"];
                let told = self.ours(&[&init[..], &["--key-type", key.our_name()]].concat(), "di.log").await?;
                let told: Value = serde_json::from_str(&told)?;
                told["guid"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("{told}"))
            }
        }
    }

    /// TO1 and TO2.
    pub async fn onboard(&self) -> anyhow::Result<()> {
        let Cell { key, exchange, cipher, .. } = *self.cell;
        let files = self.files();
        let folder = files.to_str().context("a path that is no text")?;
        match self.cell.device {
            By::Go => {
                let suite = ["onboard", "--key", key.name(), "--kex", exchange, "--cipher", cipher];
                let folders =
                    ["--download", folder, "--wget-dir", folder, "--default-working-dir", folder, "--debug"];
                self.go(&[&suite[..], &folders].concat(), "onboard.log", Watch::Onboarding).await?;
                Ok(())
            }
            By::Us | By::Library => {
                let suite = ["onboard", "--key-exchange", exchange, "--cipher", cipher];
                let settings = ["--enable-commands", "--files-dir", folder];
                let told = self.ours(&[&suite[..], &settings].concat(), "onboard.log").await?;
                let told: Value = serde_json::from_str(&told)?;
                if told["result"] != "onboarded" {
                    bail!("our device: {told}");
                }
                Ok(())
            }
        }
    }

    async fn go(&self, arguments: &[&str], log: &str, watch: Watch) -> anyhow::Result<String> {
        let mut command = Command::new(&self.client);
        command.args(arguments).arg("--blob").arg(self.directory.join("credential"));
        // Commands run where it was started.
        command.current_dir(self.files());
        run(command, &self.directory.join(log), watch).await
    }

    async fn ours(&self, arguments: &[&str], log: &str) -> anyhow::Result<String> {
        let mut command = Command::new(program("fdo-device"));
        command.arg("--json").arg("--state-dir").arg(self.directory.join("state")).args(arguments);
        // The file that `fdo.wget` fetches is on this machine.
        let config = self.directory.join("device.toml");
        std::fs::write(&config, "outbound_allow = [\"loopback\"]\n")?;
        command.arg("--config").arg(config).env("FDO_DEVICE_LOG", "info");
        run(command, &self.directory.join(log), Watch::Exit).await
    }
}

/// What shows that a command is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// It ends, with success.
    Exit,
    /// What it says: on failure go-fdo-client goes on for ever.
    Onboarding,
}

/// Runs a command to its end or its limit; what it said on standard output. All it said is in the log.
async fn run(mut command: Command, log: &Path, watch: Watch) -> anyhow::Result<String> {
    let errors = log.with_extension("err");
    command.stdin(Stdio::null()).stdout(std::fs::File::create(log)?).stderr(std::fs::File::create(&errors)?);
    let mut child = command.kill_on_drop(true).spawn()?;
    let deadline = Instant::now() + LIMIT;
    let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    loop {
        let ended = child.try_wait()?;
        let (told, complaint) = (read(log)?, read(&errors)?);
        let all = || format!("{told}{complaint}");
        match (watch, ended) {
            (Watch::Exit, Some(status)) if status.success() => return Ok(told),
            (Watch::Onboarding, Some(_)) if all().contains("FIDO Device Onboard Complete") => return Ok(told),
            (_, Some(status)) => bail!("{status}: {}", said(&all())),
            (Watch::Onboarding, None) if ["TO1 failed", "TO2 failed"].iter().any(|line| all().contains(line)) => {
                // Its reason comes in the lines after that.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let all = read(log)? + &read(&errors)?;
                child.kill().await?;
                bail!("{}", said(&all));
            }
            _ if Instant::now() > deadline => {
                child.kill().await?;
                bail!("no end within {} seconds: {}", LIMIT.as_secs(), said(&all()));
            }
            _ => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

/// The lines that tell why, in one.
fn said(text: &str) -> String {
    let telling = |line: &&str| {
        let line = line.to_lowercase();
        ["error", "fail", "refus"].iter().any(|word| line.contains(word))
    };
    let lines: Vec<_> = text.lines().map(str::trim).filter(telling).collect();
    let shown = if lines.is_empty() { text.lines().map(str::trim).collect() } else { lines };
    shown[shown.len().saturating_sub(4)..].join(" | ")
}

/// The first GUID in a text, with hyphens; go-fdo prints 32 digits.
fn guid_in(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.to_lowercase().contains("guid"))?;
    let is_digits = |word: &&str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = line.split(|c: char| !c.is_ascii_alphanumeric()).find(is_digits)?;
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::{guid_in, said};

    #[test]
    fn a_guid_is_found_among_what_is_printed() {
        let text = "Version 101\n  GUID          41316ea737ef6ac994e4cc32275ced9a\n";
        assert_eq!(guid_in(text).as_deref(), Some("41316ea7-37ef-6ac9-94e4-cc32275ced9a"));
        assert_eq!(guid_in("GUID none"), None);
    }

    #[test]
    fn the_lines_that_tell_why_are_shown() {
        assert_eq!(said("hello\nTO2 failed\n  error: no\nbye"), "TO2 failed | error: no");
        assert_eq!(said("one\ntwo"), "one | two");
    }
}
