//! One of the three services as a process of its own, for tests: `service NAME SETTINGS.json DATA_DIR` runs it, and
//! `service cli NAME ARGUMENTS..` is its command line.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Parser;
use fdo_service::host::clock::Clock;
use fdo_service::host::config::load;
use fdo_service::host::random::Random;
use fdo_service::host::telemetry::{self, LogFormat};
use serde_json::Value;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, rest @ ..] = arguments.as_slice()
        && first == "cli"
    {
        return command_line(name, rest).await;
    }
    let [name, settings, data_dir] = arguments.as_slice() else {
        bail!("say: service NAME SETTINGS.json DATA_DIR")
    };
    let settings: Value = serde_json::from_slice(&std::fs::read(settings).context("the settings")?)?;
    let (data_dir, clock, random) = (Path::new(data_dir), Clock::system(), Random::system());
    telemetry::init(settings["log"].as_str().unwrap_or("warn"), LogFormat::Json)?;
    // The settings are given as flags would be: they are all that counts.
    match name.as_str() {
        "manufacturer" => {
            let config = load(None, "FDO_TESTS_NONE_", &settings)?;
            fdo_manufacturer::app::start(&config, data_dir, clock, random).await?.until_signal().await;
        }
        "rendezvous" => {
            let config = load(None, "FDO_TESTS_NONE_", &settings)?;
            fdo_rendezvous::app::start(&config, data_dir, clock, random).await?.until_signal().await;
        }
        "owner" => {
            let config = load(None, "FDO_TESTS_NONE_", &settings)?;
            fdo_owner::app::start(&config, data_dir, clock, random).await?.until_signal().await;
        }
        other => bail!("there is no service {other}"),
    }
    Ok(())
}

async fn command_line(name: &str, rest: &[String]) -> anyhow::Result<()> {
    let line = std::iter::once(format!("fdo-{name}")).chain(rest.iter().cloned());
    match name {
        "manufacturer" => fdo_manufacturer::cli::run(fdo_manufacturer::cli::Cli::parse_from(line)).await,
        "rendezvous" => Ok(fdo_rendezvous::cli::run(fdo_rendezvous::cli::Cli::parse_from(line)).await?),
        "owner" => Ok(fdo_owner::cli::run(fdo_owner::cli::Cli::parse_from(line)).await?),
        other => bail!("there is no service {other}"),
    }
}
