//! `fdo-rendezvous serve`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use fdo_service::compat::CompatFlags;
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
    /// Certificate chain of that listener, PEM; with it the listener speaks TLS
    #[arg(long, value_name = "FILE")]
    listen_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    listen_key: Option<PathBuf>,
    /// Where operators reach it [default: 127.0.0.1:8042]
    #[arg(long, value_name = "ADDRESS:PORT")]
    operators: Option<String>,
    /// Certificate chain of the operator listener, PEM
    #[arg(long, value_name = "FILE")]
    operators_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    operators_key: Option<PathBuf>,
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
    #[command(flatten)]
    registrations: RegistrationFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    compat: CompatFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Registrations")]
struct RegistrationFlags {
    /// Whose registrations are accepted, until an operator sets it: open, allow-list or deny-list [default: open]
    #[arg(long, value_name = "POLICY")]
    policy_accept: Option<String>,
    /// Whose voucher replaces a live registration: same-chain, any-voucher, same-owner, same-manufacturer or first-come
    /// [default: same-chain]
    #[arg(long, value_name = "RULE")]
    policy_replace: Option<String>,
    /// any, or required: a device's certificate chains to a listed device CA [default: any]
    #[arg(long, value_name = "RULE")]
    policy_device_ca: Option<String>,
    /// Live registrations that one owner's key may have, 0 for any number [default: 0]
    #[arg(long, value_name = "NUMBER")]
    policy_owner_quota: Option<u64>,
    /// The longest registration that is granted [default: 2592000]
    #[arg(long, value_name = "SECONDS")]
    policy_max_wait_seconds: Option<u32>,
    /// Who asks for less is refused [default: 0]
    #[arg(long, value_name = "SECONDS")]
    policy_min_wait_seconds: Option<u32>,
    /// Registrations that are kept; beyond it only known devices are renewed [default: 10000000]
    #[arg(long, value_name = "NUMBER")]
    registrations_capacity: Option<u64>,
    /// GUIDs kept in memory, in 4 KiB each on average [default: 16384]
    #[arg(long, value_name = "NUMBER")]
    registrations_cache: Option<usize>,
    /// Time between removals of expired registrations [default: 60]
    #[arg(long, value_name = "SECONDS")]
    registrations_purge_seconds: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// First messages a second from one address, 0 for any number [default: 200]
    #[arg(long, value_name = "NUMBER")]
    limits_source_per_second: Option<u32>,
    /// At once, from one address [default: 2000]
    #[arg(long, value_name = "NUMBER")]
    limits_source_burst: Option<u32>,
    /// First messages a second for one GUID, 0 for any number [default: 1]
    #[arg(long, value_name = "NUMBER")]
    limits_guid_per_second: Option<u32>,
    /// At once, for one GUID [default: 60]
    #[arg(long, value_name = "NUMBER")]
    limits_guid_burst: Option<u32>,
    /// Addresses and GUIDs that are counted [default: 65536]
    #[arg(long, value_name = "NUMBER")]
    limits_table: Option<usize>,
}

impl Serve {
    /// The flags as settings; null where one was not given.
    pub(super) fn settings(&self) -> Value {
        let (registrations, limits) = (&self.registrations, &self.limits);
        json!({
            "listen": { "address": self.listen, "certificate": self.listen_certificate, "key": self.listen_key },
            "operators": {
                "address": self.operators, "certificate": self.operators_certificate, "key": self.operators_key,
            },
            "database": self.database,
            "log": self.log,
            "log_format": self.log_format,
            "workers": self.workers,
            "compat": self.compat.settings(),
            "policy": {
                "accept": registrations.policy_accept,
                "replace": registrations.policy_replace,
                "device_ca": registrations.policy_device_ca,
                "owner_quota": registrations.policy_owner_quota,
                "max_wait_seconds": registrations.policy_max_wait_seconds,
                "min_wait_seconds": registrations.policy_min_wait_seconds,
            },
            "registrations": {
                "capacity": registrations.registrations_capacity,
                "cache": registrations.registrations_cache,
                "purge_seconds": registrations.registrations_purge_seconds,
            },
            "limits": {
                "source_per_second": limits.limits_source_per_second,
                "source_burst": limits.limits_source_burst,
                "guid_per_second": limits.limits_guid_per_second,
                "guid_burst": limits.limits_guid_burst,
                "table": limits.limits_table,
            },
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
    for (name, what) in [
        ("device", "owners and devices"),
        ("operator", "operators"),
        ("compat", "scripts of go-fdo-server, without a token"),
    ] {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    #[test]
    fn every_setting_has_a_flag() {
        let (mut flags, mut settings) = (Vec::new(), Vec::new());
        leaves("", &Line::parse_from(["fdo-rendezvous"]).serve.settings(), &mut flags);
        leaves("", &json!(Config::default()), &mut settings);
        flags.sort();
        settings.sort();
        assert_eq!(flags, settings);
    }

    fn leaves(prefix: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| leaves(&format!("{prefix}/{key}"), value, into));
            }
            _ => into.push(prefix.to_owned()),
        }
    }
}
