//! `fdo-rendezvous serve`.

use std::io::Write;
use std::path::Path;

use clap::Args;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::host::telemetry;
use serde_json::{Value, json};

use super::Error;
use crate::app::{self, Running, SEALING_KEY_FILE};
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "\
Both listeners bind to loopback unless told otherwise. A rendezvous that owners and devices elsewhere reach needs, for \
example, --listen 0.0.0.0:8041; FDO protects its messages itself. The operator listener needs TLS on such an address.")]
pub(super) struct Serve {
    /// Where owners and devices reach it [default: 127.0.0.1:8041]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where operators reach it [default: 127.0.0.1:8042]
    #[arg(long, value_name = "ADDRESS:PORT")]
    operators: Option<String>,
    /// sqlite:///path/file.db?mode=rwc or postgres://user@host/name [default: a file in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Log level, or a list of target=level [default: info]
    #[arg(long)]
    log: Option<String>,
    /// human or json [default: human]
    #[arg(long)]
    log_format: Option<String>,
    /// Worker threads of the device listener [default: one per core]
    #[arg(long)]
    workers: Option<usize>,
}

impl Serve {
    /// The flags as settings; null where one was not given.
    pub(super) fn settings(&self) -> Value {
        json!({
            "listen": { "address": self.listen },
            "operators": { "address": self.operators },
            "database": self.database,
            "log": self.log,
            "log_format": self.log_format,
            "workers": self.workers,
        })
    }
}

pub(super) async fn run(config: &Config, data_dir: &Path) -> Result<(), Error> {
    telemetry::init(&config.log, config.log_format)?;
    let running = app::start(config, data_dir, Clock::system(), Random::system()).await?;
    announce(&running, data_dir)?;
    running.until_signal().await;
    Ok(())
}

fn announce(running: &Running, data_dir: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, what) in [("device", "owners and devices"), ("operator", "operators")] {
        if let Some(address) = running.address(name) {
            writeln!(out, "{what}: {address}")?;
        }
    }
    if let Some(token) = &running.first_token {
        writeln!(out, "sealing key: {}", data_dir.join(SEALING_KEY_FILE).display())?;
        writeln!(out, "operator token, shown this once: {}", token.as_str())?;
        writeln!(out, "it is also kept in {}", data_dir.join("operator-token").display())?;
    }
    out.flush()
}
