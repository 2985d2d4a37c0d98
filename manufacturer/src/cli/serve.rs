//! `serve`: a flag for each setting; what is not given comes from the environment, the file, or the defaults.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use fdo_service::compat::CompatFlags;
use fdo_service::host::clock::Clock;
use fdo_service::host::config::{self, ConfigError};
use fdo_service::host::random::Random;
use fdo_service::host::telemetry;
use serde_json::{Value, json};

use super::Global;
use crate::app::{self, Running};
use crate::config::{Config, ENV_PREFIX};

#[derive(Clone, Copy, ValueEnum)]
enum Admission {
    /// Only serial numbers entered beforehand.
    Listed,
    /// Every serial number that has no voucher yet.
    Open,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Args, Clone)]
pub struct ServeArgs {
    /// The maker's name: in certificates, and what buyers see [default: Firstlight].
    #[arg(long)]
    name: Option<String>,
    /// sqlite:///path/file.db?mode=rwc or postgres://user@host/name [default: a file in the data directory].
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Worker threads of the device and claims listeners [default: one a core].
    #[arg(long)]
    workers: Option<usize>,
    /// Filter of the log, such as `info` or `info,fdo_manufacturer=debug` [default: info, less of the libraries].
    #[arg(long)]
    log: Option<String>,
    /// How log lines look [default: human].
    #[arg(long)]
    log_format: Option<Format>,
    /// Which devices may be initialized [default: listed].
    #[arg(long)]
    admission: Option<Admission>,
    /// Where devices look for their owner, in order; repeat it. Bypass, delays and the like stand in the file
    /// [default: http://127.0.0.1:8041].
    #[arg(long, value_name = "URL")]
    rendezvous: Option<Vec<String>>,
    /// An RSA key for vouchers, RSA2048 or RSA3072, made if it is missing; repeat it [default: none].
    #[arg(long, value_name = "TYPE")]
    rsa_key: Option<Vec<String>>,
    /// Address of the device listener (DI) [default: 127.0.0.1:8038].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// PEM chain for TLS on the device listener.
    #[arg(long, value_name = "FILE")]
    listen_certificate: Option<PathBuf>,
    /// PEM key for TLS on the device listener.
    #[arg(long, value_name = "FILE")]
    listen_key: Option<PathBuf>,
    /// Address of the operators' listener; TLS is required unless it is loopback [default: 127.0.0.1:8039].
    #[arg(long, value_name = "ADDRESS")]
    operators: Option<String>,
    /// PEM chain for TLS on the operators' listener.
    #[arg(long, value_name = "FILE")]
    operators_certificate: Option<PathBuf>,
    /// PEM key for TLS on the operators' listener.
    #[arg(long, value_name = "FILE")]
    operators_key: Option<PathBuf>,
    /// Address of the claims listener, always TLS with the identity key [default: 127.0.0.1:8040].
    #[arg(long, value_name = "ADDRESS")]
    claims: Option<String>,
    /// Host name or address in the claims certificate; repeat it [default: localhost 127.0.0.1 ::1].
    #[arg(long, value_name = "NAME")]
    claims_name: Option<Vec<String>>,
    /// URL that buyers are told [default: https:// and the claims address].
    #[arg(long, value_name = "URL")]
    claims_url: Option<String>,
    /// Accept KeyAuth signatures of older clients (empty or raw additional data).
    #[arg(long)]
    older_key_auth: bool,
    /// Extend what is allocated at once to its buyer's key, for buyers whose client only pulls; cannot be undone.
    #[arg(long)]
    claim_on_allocate: bool,
    /// What this service may call beyond public addresses: loopback, private, or a network like 10.0.0.0/8.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    outbound_allow: Option<Vec<String>>,
    /// Serial numbers that one buyer's key may ask for in an hour [default: 600].
    #[arg(long)]
    serials_per_hour: Option<u32>,
    /// Unknown serials and wrong codes that one address may send in an hour [default: 60].
    #[arg(long)]
    misses_per_hour: Option<u32>,
    /// Organization in IDevIDs [default: the maker's name].
    #[arg(long)]
    organization: Option<String>,
    /// OID of the hardware's type; with it, IDevIDs carry a HardwareModuleName.
    #[arg(long, value_name = "OID")]
    hardware_type: Option<String>,
    #[command(flatten)]
    bounds: BoundFlags,
    #[command(flatten)]
    compat: CompatFlags,
    /// PEM file with the key that a script's first GET of a voucher extends it to.
    #[arg(long, value_name = "FILE", help_heading = "Scripts written for go-fdo-server")]
    compat_extend_to: Option<PathBuf>,
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Bounds")]
struct BoundFlags {
    /// Sessions at a time [default: 10000].
    #[arg(long, value_name = "NUMBER")]
    sessions_capacity: Option<usize>,
    /// Bytes of sessions in memory [default: 67108864].
    #[arg(long, value_name = "BYTES")]
    sessions_bytes: Option<usize>,
    /// A session without a message for so long ends [default: 900].
    #[arg(long, value_name = "SECONDS")]
    sessions_idle_seconds: Option<u64>,
    /// A session ends after so long [default: 86400].
    #[arg(long, value_name = "SECONDS")]
    sessions_total_seconds: Option<u64>,
    /// First messages a second from one address, 0 for any number [default: 200].
    #[arg(long, value_name = "NUMBER")]
    limits_source_per_second: Option<u32>,
    /// At once, from one address [default: 2000].
    #[arg(long, value_name = "NUMBER")]
    limits_source_burst: Option<u32>,
    /// Of no effect here: no first message of this service names a GUID [default: 1].
    #[arg(long, value_name = "NUMBER")]
    limits_guid_per_second: Option<u32>,
    /// Of no effect here either [default: 60].
    #[arg(long, value_name = "NUMBER")]
    limits_guid_burst: Option<u32>,
    /// Addresses that are counted [default: 65536].
    #[arg(long, value_name = "NUMBER")]
    limits_table: Option<usize>,
}

impl ServeArgs {
    /// All settings together.
    pub fn config(&self, global: &Global) -> Result<Config, ConfigError> {
        config::load(global.config.as_deref(), ENV_PREFIX, &self.flags())
    }

    /// As a tree like the file's; null is "not given".
    fn flags(&self) -> Value {
        let bounds = &self.bounds;
        json!({
            "name": self.name,
            "database": self.database,
            "workers": self.workers,
            "log": self.log,
            "log_format": self.log_format.and_then(name),
            "admission": self.admission.and_then(name),
            "rendezvous": self.rendezvous,
            "rsa_keys": self.rsa_key,
            "compat": self.compat.settings(),
            "compat_extend_to": self.compat_extend_to,
            "listen": {
                "address": self.listen,
                "certificate": self.listen_certificate,
                "key": self.listen_key,
            },
            "operators": {
                "address": self.operators,
                "certificate": self.operators_certificate,
                "key": self.operators_key,
            },
            "claims": {
                "address": self.claims,
                "names": self.claims_name,
                "public_url": self.claims_url,
                "older_key_auth": self.older_key_auth.then_some(true),
                "claim_on_allocate": self.claim_on_allocate.then_some(true),
                "serials_per_hour": self.serials_per_hour,
                "misses_per_hour": self.misses_per_hour,
            },
            "outbound_allow": self.outbound_allow,
            "idevid": {
                "organization": self.organization,
                "hardware_type": self.hardware_type,
            },
            "sessions": {
                "capacity": bounds.sessions_capacity,
                "bytes": bounds.sessions_bytes,
                "idle_seconds": bounds.sessions_idle_seconds,
                "total_seconds": bounds.sessions_total_seconds,
            },
            "limits": {
                "source_per_second": bounds.limits_source_per_second,
                "source_burst": bounds.limits_source_burst,
                "guid_per_second": bounds.limits_guid_per_second,
                "guid_burst": bounds.limits_guid_burst,
                "table": bounds.limits_table,
            },
        })
    }
}

fn name(value: impl ValueEnum + Copy) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

pub(super) async fn run(global: &Global, args: &ServeArgs) -> anyhow::Result<()> {
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
    for (name, purpose) in [
        ("device", "devices (DI)"),
        ("operator", "operators"),
        ("claims", "buyers"),
        ("compat", "scripts of go-fdo-server, without a token"),
    ] {
        if let Some(url) = running.url(name) {
            writeln!(out, "Listening for {purpose}: {url}")?;
        }
    }
    writeln!(out, "Identity fingerprint: {}", running.identity_fingerprint)?;
    out.flush()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Cli, Command};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "name = \"Acme\"\nadmission = \"listed\"\n[claims]\naddress = \"127.0.0.1:1\"\n",
        )
        .unwrap();
        let path = file.path().to_str().unwrap();
        let cli = Cli::parse_from([
            "fdo-manufacturer",
            "serve",
            "--config",
            path,
            "--admission",
            "open",
            "--rendezvous",
            "http://a",
            "--rendezvous",
            "https://b:1",
            "--older-key-auth",
        ]);
        let Command::Serve(serve) = &cli.command else { panic!("not serve") };
        let config = serve.config(&cli.global).unwrap();
        assert_eq!((config.name.as_str(), config.admission), ("Acme", crate::config::Admission::Open));
        assert_eq!(config.rendezvous_info().unwrap().directives().len(), 2);
        assert_eq!((config.claims.address.as_str(), config.claims.older_key_auth), ("127.0.0.1:1", true));
        std::fs::write(file.path(), "nmae = \"Acme\"\n").unwrap();
        assert!(serve.config(&cli.global).unwrap_err().to_string().contains("nmae"));
    }
}
