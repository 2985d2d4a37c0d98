//! `fdo-owner serve`: a flag for each setting, and what a first start prints.

mod admission;
mod alerts;
mod est;
mod ca;
mod status;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use fdo_service::compat::CompatFlags;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::host::telemetry;
use serde_json::{Map, Value, json};

use super::Error;
use crate::app::{self, Running};
use crate::config::Config;
use crate::redirect;

#[derive(Debug, Args)]
#[command(after_help = "\
Both listeners bind to loopback unless told otherwise. An owner that devices elsewhere reach needs, for example, \
--listen 0.0.0.0:8043 --public-url http://owner.example:8043; FDO protects its messages itself. The operator listener \
needs TLS on such an address. The sealing key may also come from a systemd credential `sealing-key`, or, as 64 \
hexadecimal digits, from the environment variable FIRSTLIGHT_SEALING_KEY.")]
pub(super) struct Serve {
    /// Where devices reach this service [default: 127.0.0.1:8043]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Certificate chain of the device listener, PEM; with it the listener speaks TLS
    #[arg(long, value_name = "FILE")]
    listen_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    listen_key: Option<PathBuf>,
    /// Where operators reach this service [default: 127.0.0.1:8044]
    #[arg(long, value_name = "ADDRESS:PORT")]
    operators: Option<String>,
    /// Certificate chain of the operator listener, PEM
    #[arg(long, value_name = "FILE")]
    operators_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    operators_key: Option<PathBuf>,
    /// An RSA owner key, RSA2048 or RSA3072, made if it is missing; repeat it [default: none]
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    rsa_key: Vec<String>,
    /// The URL that rendezvous servers give to devices [default: http://127.0.0.1:8043]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// What this service may call beyond public addresses: loopback, private, or a network like 10.0.0.0/8
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    outbound_allow: Vec<String>,
    /// sqlite:///path/file.db?mode=rwc or postgres://user@host/name [default: a file in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The file of the sealing key [default: sealing-key in the data directory]
    #[arg(long, value_name = "FILE")]
    sealing_key: Option<PathBuf>,
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
    claims: ClaimFlags,
    #[command(flatten)]
    transfer: TransferFlags,
    #[command(flatten)]
    devices: DeviceFlags,
    #[command(flatten)]
    ca: ca::CaFlags,
    #[command(flatten)]
    status: status::StatusFlags,
    #[command(flatten)]
    est: est::EstFlags,
    #[command(flatten)]
    admission: admission::AdmissionFlags,
    #[command(flatten)]
    ciphers: CipherFlags,
    #[command(flatten)]
    bounds: BoundFlags,
    #[command(flatten)]
    alerts: alerts::AlertFlags,
    #[command(flatten)]
    compat: CompatFlags,
    /// While no device CA is pinned, they import vouchers of every maker [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Scripts written for go-fdo-server")]
    compat_accept_any_maker: Option<bool>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Ciphers")]
struct CipherFlags {
    /// Let devices ask for suites that encrypt and then authenticate (COSEAES128CTR and its like) [default: false]
    #[arg(long, value_name = "BOOL")]
    encrypt_then_mac_offered: Option<bool>,
    /// Their form: go, java or specification [default: go]
    #[arg(long, value_name = "FORM")]
    encrypt_then_mac_form: Option<String>,
    /// Their form for devices of a model, by the DeviceInfo of its vouchers
    #[arg(long, value_name = "MODEL=FORM")]
    encrypt_then_mac_model: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Claims")]
struct ClaimFlags {
    /// First pause after a failure; it doubles [default: 5]
    #[arg(long, value_name = "SECONDS")]
    claims_retry_seconds: Option<u64>,
    /// The longest pause [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    claims_retry_most_seconds: Option<u64>,
    /// The pause after "not found" [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    claims_not_found_seconds: Option<u64>,
    /// How long "not found" is asked again [default: 1209600]
    #[arg(long, value_name = "SECONDS")]
    claims_not_found_total_seconds: Option<u64>,
    /// Vouchers fetched at a time [default: 8]
    #[arg(long, value_name = "NUMBER")]
    claims_parallel: Option<usize>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Voucher transfer")]
struct TransferFlags {
    /// Where other organisations reach this service, always TLS [default: no such listener]
    #[arg(long, value_name = "ADDRESS:PORT")]
    transfer: Option<String>,
    /// Its certificate chain, PEM [default: a self-signed one, for partners to pin]
    #[arg(long, value_name = "FILE")]
    transfer_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    transfer_key: Option<PathBuf>,
    /// Host name or address in the self-signed certificate; repeat it [default: localhost 127.0.0.1 ::1]
    #[arg(long, value_name = "NAME")]
    transfer_name: Vec<String>,
    /// The URL that the DID document names [default: https:// and the address]
    #[arg(long, value_name = "URL")]
    transfer_public_url: Option<String>,
    /// Accept KeyAuth signatures of older clients [default: false]
    #[arg(long, value_name = "BOOL")]
    transfer_older_key_auth: Option<bool>,
    /// How often partners are asked for vouchers, 0 for never [default: 300]
    #[arg(long, value_name = "SECONDS")]
    transfer_poll_seconds: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Devices")]
struct DeviceFlags {
    /// Days that a rendezvous is asked to keep a registration [default: 7]
    #[arg(long, value_name = "DAYS")]
    registration_days: Option<u32>,
    /// Rendezvous spoken to at a time [default: 16]
    #[arg(long, value_name = "NUMBER")]
    registration_parallel: Option<usize>,
    /// Devices keep GUID, key and HMAC [default: false]
    #[arg(long, value_name = "BOOL")]
    onboarding_credential_reuse: Option<bool>,
    /// Largest service info taken from a device, in bytes [default: 16384]
    #[arg(long, value_name = "BYTES")]
    onboarding_max_service_info_size: Option<u16>,
    /// A device that has networks to get but no fdo.wifi fails [default: false]
    #[arg(long, value_name = "BOOL")]
    onboarding_wifi_required: Option<bool>,
    /// A device without fdo.csr fails [default: false]
    #[arg(long, value_name = "BOOL")]
    onboarding_csr_required: Option<bool>,
    /// Where the content of files lies that plans name [default: files in the data directory]
    #[arg(long, value_name = "FOLDER")]
    files_directory: Option<PathBuf>,
    /// The most bytes of such a file [default: 17179869184]
    #[arg(long, value_name = "BYTES")]
    files_file_bytes: Option<u64>,
    /// Where files of devices lie [default: uploads in the data directory]
    #[arg(long, value_name = "FOLDER")]
    uploads_directory: Option<PathBuf>,
    /// The most bytes of a device's file [default: 1073741824]
    #[arg(long, value_name = "BYTES")]
    uploads_file_bytes: Option<u64>,
    /// The most bytes of all files of a device [default: 4294967296]
    #[arg(long, value_name = "BYTES")]
    uploads_device_bytes: Option<u64>,
    /// The most bytes of all devices' files [default: 68719476736]
    #[arg(long, value_name = "BYTES")]
    uploads_total_bytes: Option<u64>,
    /// A file for devices that no plan is for, by its name there; more in the configuration file
    #[arg(long, value_name = "NAME=FILE")]
    download: Vec<String>,
    /// A command, with its arguments after spaces, for devices that no plan is for; more in the configuration file
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Bounds")]
struct BoundFlags {
    /// Sessions at a time [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    sessions_capacity: Option<usize>,
    /// Bytes of sessions in memory [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    sessions_bytes: Option<usize>,
    /// A session without a message for so long ends [default: 900]
    #[arg(long, value_name = "SECONDS")]
    sessions_idle_seconds: Option<u64>,
    /// A session ends after so long [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    sessions_total_seconds: Option<u64>,
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
        let (claims, transfer, devices, bounds) = (&self.claims, &self.transfer, &self.devices, &self.bounds);
        json!({
            "listen": { "address": self.listen, "certificate": self.listen_certificate, "key": self.listen_key },
            "operators": {
                "address": self.operators, "certificate": self.operators_certificate, "key": self.operators_key,
            },
            "rsa_keys": given(&self.rsa_key),
            "public_url": self.public_url,
            "compat": self.compat.settings(),
            "compat_accept_any_maker": self.compat_accept_any_maker,
            "outbound_allow": given(&self.outbound_allow),
            "database": self.database,
            "sealing_key": self.sealing_key,
            "log": self.log,
            "log_format": self.log_format,
            "workers": self.workers,
            "claims": {
                "retry_seconds": claims.claims_retry_seconds,
                "retry_most_seconds": claims.claims_retry_most_seconds,
                "not_found_seconds": claims.claims_not_found_seconds,
                "not_found_total_seconds": claims.claims_not_found_total_seconds,
                "parallel": claims.claims_parallel,
            },
            "transfer": {
                "address": transfer.transfer,
                "certificate": transfer.transfer_certificate,
                "key": transfer.transfer_key,
                "names": given(&transfer.transfer_name),
                "public_url": transfer.transfer_public_url,
                "older_key_auth": transfer.transfer_older_key_auth,
                "poll_seconds": transfer.transfer_poll_seconds,
            },
            "registration": { "days": devices.registration_days, "parallel": devices.registration_parallel },
            "ca": self.ca.settings(),
            "status": self.status.settings(),
            "est": self.est.settings(),
            "admission": self.admission.settings(),
            "onboarding": {
                "credential_reuse": devices.onboarding_credential_reuse,
                "max_service_info_size": devices.onboarding_max_service_info_size,
                "wifi_required": devices.onboarding_wifi_required,
                "csr_required": devices.onboarding_csr_required,
            },
            "encrypt_then_mac": {
                "offered": self.ciphers.encrypt_then_mac_offered,
                "form": self.ciphers.encrypt_then_mac_form,
                "models": self.ciphers.encrypt_then_mac_model.iter().map(|text| form(text)).collect::<Map<_, _>>(),
            },
            "files": { "directory": devices.files_directory, "file_bytes": devices.files_file_bytes },
            "uploads": {
                "directory": devices.uploads_directory,
                "file_bytes": devices.uploads_file_bytes,
                "device_bytes": devices.uploads_device_bytes,
                "total_bytes": devices.uploads_total_bytes,
            },
            "alerts": self.alerts.settings(),
            "downloads": given(&devices.download.iter().map(|text| download(text)).collect::<Vec<_>>()),
            "commands": given(&devices.command.iter().map(|text| command(text)).collect::<Vec<_>>()),
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

fn given<T: serde::Serialize>(list: &[T]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn download(text: &str) -> Value {
    let (name, file) = text.split_once('=').unwrap_or((text, text));
    json!({ "name": name, "file": file })
}

fn form(text: &str) -> (String, Value) {
    let (model, form) = text.rsplit_once('=').unwrap_or((text, ""));
    (model.to_owned(), json!(form))
}

fn command(text: &str) -> Value {
    let mut words = text.split_whitespace();
    let program = words.next().unwrap_or_default();
    json!({ "command": program, "args": words.collect::<Vec<_>>() })
}

pub(super) async fn run(config: &Config, data_dir: &Path) -> Result<(), Error> {
    telemetry::init(&config.log, config.log_format)?;
    let running = app::start(config, data_dir, Clock::system(), Random::system()).await?;
    let redirect = redirect::current(&running.app.db, config).await?;
    announce(&running, config, &redirect.urls())?;
    running.until_signal().await;
    Ok(())
}

fn announce(running: &Running, config: &Config, sent_to: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let scheme = |tls: bool| if tls { "https" } else { "http" };
    if let Some(address) = running.address("device") {
        writeln!(out, "devices:   {}://{address}", scheme(config.listen.certificate.is_some()))?;
    }
    if let Some(address) = running.address("operator") {
        writeln!(out, "operators: {}://{address}", scheme(config.operators.certificate.is_some()))?;
    }
    if let Some(address) = running.address("status") {
        writeln!(out, "anybody:   http://{address} (CRL and OCSP; certificates name {})", config.status.url())?;
    }
    if let Some(address) = running.address("est") {
        writeln!(out, "renewal:   https://{address}/.well-known/est")?;
    }
    if let Some(address) = running.address("transfer") {
        writeln!(out, "partners:  https://{address} ({})", crate::transfer::document(&running.app).id)?;
        if let Some(pin) = running.app.transfer_pin.get() {
            writeln!(out, "           they pin its TLS key: {pin}")?;
        }
    }
    if let Some(address) = running.address("compat") {
        writeln!(out, "scripts of go-fdo-server, without a token: http://{address}")?;
    }
    writeln!(out, "devices are sent to {}", sent_to.join(" "))?;
    if let Some(token) = &running.first_token {
        for file in running.app.keys.all() {
            writeln!(out, "owner key {}: {}", file.key.key_type(), file.path.display())?;
        }
        let data_dir = &running.app.data_dir;
        let sealing = config.sealing_key.clone().unwrap_or_else(|| data_dir.join("sealing-key"));
        if sealing.exists() {
            writeln!(
                out,
                "sealing key: {} (without it, what is sealed in the database is lost)",
                sealing.display()
            )?;
        }
        let est = data_dir.join("est");
        if config.est.is_on() && est.exists() {
            writeln!(out, "key of the renewal listener: {}", est.join("key.pem").display())?;
        }
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
        fn leaves(prefix: &str, value: &Value, into: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    map.iter().for_each(|(key, value)| leaves(&format!("{prefix}/{key}"), value, into));
                }
                _ => into.push(prefix.to_owned()),
            }
        }
        let (mut flags, mut settings) = (Vec::new(), Vec::new());
        leaves("", &Line::parse_from(["fdo-owner"]).serve.settings(), &mut flags);
        leaves("", &json!(Config::default()), &mut settings);
        flags.sort();
        settings.sort();
        assert_eq!(flags, settings);
    }

    #[test]
    fn flags_become_settings() {
        let line =
            ["fdo-owner", "--listen", "127.0.0.1:0", "--outbound-allow", "loopback", "--download", "motd=/x"];
        let line = [&line[..], &["--encrypt-then-mac-model", "a=b=java"]].concat();
        let settings = Line::parse_from(line).serve.settings();
        let config: Config = fdo_service::host::config::load(None, "FDO_OWNER_TEST_B_", &settings).unwrap();
        assert_eq!(config.listen.address, "127.0.0.1:0");
        assert_eq!(config.outbound_allow, ["loopback"]);
        assert_eq!(config.downloads[0].name, "motd");
        assert_eq!(config.operators.address, "127.0.0.1:8044");
        assert_eq!(config.encrypt_then_mac.models["a=b"], crate::config::Form::Java);
    }
}
