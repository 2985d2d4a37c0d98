//! `fdo-manufacturer`: runs the service, or speaks to its operator API.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use fdo_manufacturer::app::{self, Running};
use fdo_manufacturer::cli::{self, Cli, Command, Global, ServeArgs};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::host::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let result = match command {
        Command::Serve(args) => serve(&global, &args).await,
        command => cli::run(&global, command).await.map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be gone; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "fdo-manufacturer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(global: &Global, args: &ServeArgs) -> anyhow::Result<()> {
    let config = args.config(global)?;
    telemetry::init(&config.log, config.log_format)?;
    let data_dir = global.data_dir();
    let running = app::start(&config, &data_dir, Clock::system(), Random::system())
        .await
        .with_context(|| format!("cannot start with the data directory {}", data_dir.display()))?;
    welcome(&running, &data_dir).context("cannot write to standard output")?;
    running.until_signal().await;
    Ok(())
}

/// What an operator needs to know; secrets only on the first start.
fn welcome(running: &Running, data_dir: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(folder) = &running.new_keys {
        writeln!(out, "New keys (readable by this user only; back them up): {}", folder.display())?;
    }
    if let Some(token) = &running.operator_token {
        writeln!(out, "Operator token, shown this once (also in {}/operator-token):", data_dir.display())?;
        writeln!(out, "  {}", token.as_str())?;
    }
    for (name, purpose) in [("device", "devices (DI)"), ("operator", "operators"), ("claims", "buyers")] {
        if let Some(url) = running.url(name) {
            writeln!(out, "Listening for {purpose}: {url}")?;
        }
    }
    writeln!(out, "Identity fingerprint: {}", running.identity_fingerprint)?;
    out.flush()
}
