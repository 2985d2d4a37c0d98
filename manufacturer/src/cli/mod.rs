//! The command line: `serve`, and commands that are thin over the operator API.

mod commands;
mod places;
mod rendezvous;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use fdo_service::cli::{ApiClient, CliError, Output};
use fdo_service::host::config::ConfigError;
use fdo_service::host::{config, data_dir};
use fdo_service::transfer::cli::{PartnerCommand, PushCommand};

use crate::config::{Config, ENV_PREFIX};
pub use commands::{AllocateArgs, BuyerCommand, SerialCommand, TokenCommand, VoucherCommand};
pub use serve::ServeArgs;

/// The manufacturer of Firstlight: gives devices their identity (DI), keeps their vouchers and hands them to buyers.
#[derive(Parser)]
#[command(name = "fdo-manufacturer", version)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the service, its data and its API are.
#[derive(Args, Clone)]
pub struct Global {
    /// Folder of database, keys and the first operator token [default: $STATE_DIRECTORY, else
    /// $XDG_STATE_HOME/firstlight/manufacturer, else ~/.local/state/firstlight/manufacturer].
    #[arg(long, global = true, env = "FDO_MANUFACTURER_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Settings in TOML; environment variables FDO_MANUFACTURER_.. and flags override them.
    #[arg(long, global = true, env = "FDO_MANUFACTURER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// URL of the operator API [default: the operators' listener of the configuration]. The token comes from
    /// FDO_TOKEN, else from `operator-token` in the data directory.
    #[arg(long, global = true, env = "FDO_API", value_name = "URL")]
    pub api: Option<String>,
    /// Answer in JSON, for scripts.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the service.
    Serve(Box<ServeArgs>),
    /// Serial numbers that may be initialized: enter, list, release.
    #[command(subcommand)]
    Serial(SerialCommand),
    /// One device: show, block, unblock.
    #[command(subcommand)]
    Device(commands::DeviceCommand),
    /// Ownership vouchers: list, show, download, export.
    #[command(subcommand)]
    Voucher(VoucherCommand),
    /// Buyers: add (prints the enrolment code), list, suspend.
    #[command(subcommand)]
    Buyer(BuyerCommand),
    /// Set serial numbers aside for a buyer, who may then claim them.
    Allocate(AllocateArgs),
    /// Allocations: list, revoke.
    #[command(subcommand)]
    Allocation(commands::AllocationCommand),
    /// Claims of all buyers: list, push.
    #[command(subcommand)]
    Claim(commands::ClaimCommand),
    /// Where new devices look for their owner: show, set, reset.
    #[command(subcommand)]
    Rendezvous(rendezvous::RendezvousCommand),
    /// Organisations that vouchers are pushed to: add (by DID or URL), list, suspend.
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// Vouchers on their way to partners: list, retry.
    #[command(subcommand)]
    Push(PushCommand),
    /// Operator tokens: create, list, delete.
    #[command(subcommand)]
    Token(TokenCommand),
    /// By what buyers know this manufacturer: fingerprint and claims URL.
    Identity,
    /// The keys and CAs that buyers pin.
    Trust,
}

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Api(#[from] CliError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Export(#[from] fdo_service::cli::voucher_files::ExportError),
    #[error("nothing was changed: {0} of the rows were refused, see above")]
    ListRefused(u64),
    #[error("name serial numbers, or a file with --csv")]
    NoSerials,
}

impl Global {
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| data_dir::default_path("manufacturer"))
    }

    fn client(&self) -> Result<ApiClient, CommandError> {
        let token = fdo_service::cli::token(&self.data_dir(), std::env::var("FDO_TOKEN").ok().as_deref())?;
        let api = match &self.api {
            Some(api) => api.clone(),
            None => {
                let config: Config = config::load(self.config.as_deref(), ENV_PREFIX, &())?;
                let scheme = if config.operators.certificate.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", config.operators.address)
            }
        };
        Ok(ApiClient::new(&api, Some(&token))?)
    }

    fn output(&self) -> Output {
        Output { json: self.json }
    }
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(args) => serve::run(&global, &args).await,
        Command::Rendezvous(command) => Ok(rendezvous::run(&command, &global.client()?, global.output()).await?),
        command => Ok(commands::run(&global.client()?, global.output(), command).await?),
    }
}
