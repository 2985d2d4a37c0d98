//! The command line: `serve`, and a thin client of the operator API.

mod admission;
mod alert;
mod alert_target;
mod ca;
mod certificate;
mod claim;
mod device;
mod file;
mod inventory;
mod manufacturer;
mod network;
mod onboarding;
mod plan;
mod probe;
mod profile;
mod redirect;
mod registration;
mod request;
mod resale;
mod serve;
mod token;
mod transfer;
mod trust;
mod upload;
mod voucher;
mod voucher_export;
mod voucher_import;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use fdo_service::cli::{self, ApiClient, CliError, Output, Table};
use fdo_service::host::clock::Clock;
use fdo_service::host::config::{self, ConfigError};
use fdo_service::host::data_dir;
use fdo_service::host::telemetry::TelemetryError;
use fdo_service::transfer::cli::{self as transfer_cli, PartnerCommand, PushCommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{Config, ENV_PREFIX};
use crate::error::StartError;
use crate::keys::routes::KeyView;

/// The FDO owner: claims vouchers, onboards devices, gives them networks and certificates.
#[derive(Debug, Parser)]
#[command(
    name = "fdo-owner",
    version,
    after_help = "\
Settings come from the file given by --config, overridden by environment variables FDO_OWNER_.. (nested by two \
underscores: FDO_OWNER_LISTEN__ADDRESS), overridden by flags."
)]
pub struct Cli {
    /// Where keys and the SQLite database are kept.
    #[arg(long, global = true, env = "FDO_OWNER_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings.
    #[arg(long, global = true, env = "FDO_OWNER_CONFIG", value_name = "FILE")]
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
    /// Claim serials that were bought, and wait for their vouchers.
    Claim(claim::Claim),
    /// Ownership vouchers.
    #[command(subcommand)]
    Voucher(voucher::Command),
    /// Devices that were sold on.
    #[command(subcommand)]
    Resale(resale::Command),
    /// The fleet.
    #[command(subcommand)]
    Device(device::Command),
    /// What became of devices that came to be onboarded.
    #[command(subcommand)]
    Onboarding(onboarding::Command),
    /// What devices get: for one, for a model or for all.
    #[command(subcommand)]
    Plan(plan::Command),
    /// Files that devices sent.
    #[command(subcommand)]
    Upload(upload::Command),
    /// Files that plans name.
    #[command(subcommand)]
    File(file::Command),
    /// Registrations at rendezvous.
    #[command(subcommand)]
    Registration(registration::Command),
    /// Where devices are sent: the address that registrations tell.
    #[command(subcommand)]
    Redirect(redirect::Command),
    /// The certificate authority and what it issued.
    #[command(subcommand)]
    Ca(ca::Command),
    /// Certificates of devices: look at them, revoke them.
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Who may be onboarded, and who may enrol.
    #[command(subcommand)]
    Admission(admission::Command),
    /// Devices' requests for certificates that wait for an approval or for an outside CA.
    #[command(subcommand)]
    Request(request::Command),
    /// Certificate profiles: what stands in certificates, for how long, for which keys.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Every certificate of the fleet, whoever issued it.
    #[command(subcommand)]
    Inventory(inventory::Command),
    /// TLS endpoints whose certificates are looked at.
    #[command(subcommand)]
    Probe(probe::Command),
    /// What needs attention.
    #[command(subcommand)]
    Alert(alert::Command),
    /// Who is told of alerts.
    #[command(subcommand)]
    AlertTarget(alert_target::Command),
    /// How many certificates expire on each coming day.
    Forecast(alert::ForecastCommand),
    /// Wi-Fi networks that devices are given.
    #[command(subcommand)]
    Network(network::Command),
    /// Manufacturers that this owner is enrolled at.
    #[command(subcommand)]
    Manufacturer(manufacturer::Command),
    /// Organisations that vouchers are given to or taken from.
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// Vouchers on their way to partners.
    #[command(subcommand)]
    Push(PushCommand),
    /// By what partners know this owner: DID, URLs and fingerprint.
    Transfer,
    /// Makers' keys and device CAs that vouchers are accepted from.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Owner keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Tokens of operators.
    #[command(subcommand)]
    Token(token::Command),
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// The public halves of the owner keys.
    List,
    /// Print the public key that new vouchers are to end in, PEM: for a maker or a seller.
    Export {
        /// P-256 or P-384, as the maker's key is.
        #[arg(long, value_name = "TYPE", default_value = "P-256")]
        key_type: String,
    },
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
    Redirect(#[from] crate::redirect::Error),
    #[error(transparent)]
    Api(#[from] CliError),
    #[error(transparent)]
    Secret(#[from] fdo_service::secret_file::SecretFileError),
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the plan {0}: {1}")]
    PlanFile(PathBuf, String),
    #[error("the certificate profile {0}: {1}")]
    ProfileFile(PathBuf, String),
    #[error("cannot use standard input or output: {0}")]
    Stdio(#[from] std::io::Error),
    #[error(transparent)]
    Export(#[from] fdo_service::cli::voucher_files::ExportError),
    #[error("{0}")]
    Usage(&'static str),
    #[error("{refused} of {total} vouchers were refused; see above")]
    Refused { refused: usize, total: usize },
    #[error("{refused} of {total} were refused or are still asked for; see above")]
    Incomplete { refused: usize, total: usize },
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> Result<(), Error> {
    let data_dir = cli.data_dir.clone().unwrap_or_else(|| data_dir::default_path("owner"));
    let output = Output { json: cli.json };
    if let Command::Serve(serve) = &cli.command {
        let config: Config = config::load(cli.config.as_deref(), ENV_PREFIX, &serve.settings())?;
        return serve::run(&config, &data_dir).await;
    }
    let api = cli.client(&data_dir)?;
    match &cli.command {
        Command::Serve(_) => Ok(()),
        Command::Claim(claim) => claim::run(claim, &api, output).await,
        Command::Voucher(command) => voucher::run(command, &api, output).await,
        Command::Resale(command) => resale::run(command, &api, output).await,
        Command::Device(command) => device::run(command, &api, output).await,
        Command::Onboarding(command) => Ok(onboarding::run(command, &api, output).await?),
        Command::Plan(command) => plan::run(command, &api, output).await,
        Command::Upload(command) => upload::run(command, &api, output).await,
        Command::File(command) => file::run(command, &api, output).await,
        Command::Registration(command) => Ok(registration::run(command, &api, output).await?),
        Command::Redirect(command) => Ok(redirect::run(command, &api, output).await?),
        Command::Certificate(command) => Ok(certificate::run(command, &api, output).await?),
        Command::Admission(command) => admission::run(command, &api, output).await,
        Command::Ca(command) => ca::run(command, &api, &data_dir, output).await,
        Command::Request(command) => request::run(command, &api, output).await,
        Command::Profile(command) => profile::run(command, &api, output).await,
        Command::Inventory(command) => inventory::run(command, &api, output, Clock::system().now()).await,
        Command::Probe(command) => probe::run(command, &api, output).await,
        Command::Alert(command) => alert::run(command, &api, output, Clock::system().now()).await,
        Command::AlertTarget(command) => alert_target::run(command, &api, output).await,
        Command::Forecast(command) => alert::forecast(command, &api, output).await,
        Command::Network(command) => network::run(command, &api, output).await,
        Command::Manufacturer(command) => manufacturer::run(command, &api, output).await,
        Command::Partner(command) => {
            Ok(transfer_cli::partner(command, &api, output, Clock::system().now()).await?)
        }
        Command::Push(command) => Ok(transfer_cli::push(command, &api, output).await?),
        Command::Transfer => transfer::introduce(&api, output).await,
        Command::Trust(command) => trust::run(command, &api, output).await,
        Command::Key(KeyCommand::List) => Ok(list_keys(&api, output).await?),
        Command::Key(KeyCommand::Export { key_type }) => export_key(key_type, &api, output).await,
        Command::Token(command) => Ok(token::run(command, &api, output).await?),
    }
}

impl Cli {
    fn client(&self, data_dir: &Path) -> Result<ApiClient, Error> {
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

async fn list_keys(api: &ApiClient, output: Output) -> Result<(), CliError> {
    let keys: Vec<KeyView> = api.pages("/api/v1/keys").await?;
    output.print(&keys, |keys| {
        let head = Table::new(&["TYPE", "FINGERPRINT", "NEW VOUCHERS", "FILE"]);
        keys.iter().fold(head, |table, key| {
            let preferred = if key.preferred { "yes" } else { "no" };
            table.row([key.key_type.as_str(), &key.fingerprint, preferred, &key.file])
        })
    })
}

async fn export_key(key_type: &str, api: &ApiClient, output: Output) -> Result<(), Error> {
    let keys: Vec<KeyView> = api.pages("/api/v1/keys").await?;
    let wanted = |key: &&KeyView| key.preferred && key.key_type.eq_ignore_ascii_case(key_type);
    let none = "there is no owner key of that type; see `fdo-owner key list`";
    let key = keys.iter().find(wanted).ok_or(Error::Usage(none))?;
    Ok(output.bytes(key.public_key.as_bytes())?)
}

/// A time for people.
fn at(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// A piece of a path: serials may hold anything printable.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
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
    fn a_serial_becomes_a_piece_of_a_path() {
        assert_eq!(escaped("SN 1/a"), "SN%201%2Fa");
    }
}
