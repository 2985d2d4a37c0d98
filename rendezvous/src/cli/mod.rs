//! The command line: `serve`, and a thin client of the operator API.

mod policy;
mod registration;
mod serve;
mod token;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use fdo_service::cli::{self, ApiClient, CliError, Output};
use fdo_service::host::config::{self, ConfigError};
use fdo_service::host::data_dir;
use fdo_service::host::telemetry::TelemetryError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::StartError;
use crate::config::{Config, ENV_PREFIX};
use crate::policy::PolicyError;

/// The FDO rendezvous: owners register where their devices find them, devices ask for it.
#[derive(Debug, Parser)]
#[command(
    name = "fdo-rendezvous",
    version,
    after_help = "\
Settings come from the file given by --config, overridden by environment variables FDO_RENDEZVOUS_.. (nested by two \
underscores: FDO_RENDEZVOUS_LISTEN__ADDRESS), overridden by flags."
)]
pub struct Cli {
    /// Where keys and the SQLite database are kept.
    #[arg(long, global = true, env = "FDO_RENDEZVOUS_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings.
    #[arg(long, global = true, env = "FDO_RENDEZVOUS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The operator API to talk to; by default the operator listener of the settings.
    #[arg(long, global = true, env = "FDO_API", value_name = "URL")]
    api: Option<String>,
    /// The operator token; by default that in the data directory. Give it by the environment, not on the command line.
    #[arg(long, global = true, env = "FDO_TOKEN", hide_env_values = true, hide = true)]
    token: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop.
    Serve(Box<serve::Serve>),
    /// What is registered.
    #[command(subcommand)]
    Registration(registration::Command),
    /// Who may register, and on which terms.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Tokens of operators.
    #[command(subcommand)]
    Token(token::Command),
}

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Api(#[from] CliError),
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("say what to set; `fdo-rendezvous policy set --help` lists it")]
    NothingToSet,
    #[error("cannot write to standard output: {0}")]
    Stdout(#[from] std::io::Error),
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> Result<(), Error> {
    let data_dir = cli.data_dir.clone().unwrap_or_else(|| data_dir::default_path("rendezvous"));
    let output = Output { json: cli.json };
    match &cli.command {
        Command::Serve(serve) => {
            let config: Config = config::load(cli.config.as_deref(), ENV_PREFIX, &serve.settings())?;
            serve::run(&config, &data_dir).await
        }
        Command::Registration(command) => Ok(registration::run(command, &cli.client(&data_dir)?, output).await?),
        Command::Policy(command) => policy::run(command, &cli.client(&data_dir)?, output).await,
        Command::Token(command) => Ok(token::run(command, &cli.client(&data_dir)?, output).await?),
    }
}

impl Cli {
    fn client(&self, data_dir: &std::path::Path) -> Result<ApiClient, Error> {
        let base = match &self.api {
            Some(api) => api.clone(),
            None => {
                let config: Config = config::load(self.config.as_deref(), ENV_PREFIX, &())?;
                let scheme = if config.operators.certificate.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", config.operators.address)
            }
        };
        let token = cli::token(data_dir, self.token.as_deref())?;
        Ok(ApiClient::new(&base, Some(&token))?)
    }
}

/// A time for people.
fn at(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
    }
}
