//! The owner service's settings: defaults, TOML, environment (`FDO_OWNER_..`), flags.

mod admission;
mod alerts;
mod encrypt_then_mac;
mod est;
mod provisioning;
mod status;
mod transfer;

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

use fdo_protocol::crypto::KeyType;
use fdo_protocol::rendezvous_info::{RvTo2Addr, RvTo2AddrEntry, Scheme};
use fdo_service::compat::CompatSettings;
use fdo_service::endpoint::LimitSettings;
use fdo_service::host::config::Listen;
use fdo_service::host::telemetry::LogFormat;
use fdo_service::sessions::RecordSettings;
use serde::{Deserialize, Serialize};

pub use admission::{AdmissionSettings, Otherwise};
pub use alerts::AlertSettings;
pub use encrypt_then_mac::{EncryptThenMacSettings, Form};
pub use est::{ChallengePassword, EstSettings};
pub use provisioning::{
    CaSettings, CommandSetting, DownloadSetting, FileSettings, OnboardingSettings, RegistrationSettings,
    UploadSettings,
};
pub use status::StatusSettings;
pub use transfer::TransferSettings;

/// Environment variables with settings begin with this.
pub const ENV_PREFIX: &str = "FDO_OWNER_";

/// Where devices find this service unless `public_url` says otherwise.
pub const LOCAL_URL: &str = "http://127.0.0.1:8043";

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Log level, or a list of `target=level`.
    pub log: String,
    pub log_format: LogFormat,
    /// `sqlite://..` or `postgres://..`; without it, a file in the data directory.
    pub database: Option<String>,
    /// Worker threads of the device listener; without it, one per core.
    pub workers: Option<usize>,
    /// The file of the sealing key, where it does not lie in the data directory.
    pub sealing_key: Option<PathBuf>,
    /// Sizes of RSA owner keys, `RSA2048` and `RSA3072`, made when they are named first; none if empty.
    pub rsa_keys: Vec<String>,
    /// Where devices reach this service (RVTO2Addr of TO0), such as `https://owner.example:8043`.
    pub public_url: Option<String>,
    /// Addresses beyond the public ones that this service may call: "loopback", "private", or networks.
    pub outbound_allow: Vec<String>,
    /// The listener for devices.
    pub listen: Listen,
    /// The listener for operators.
    pub operators: Listen,
    pub sessions: RecordSettings,
    pub limits: LimitSettings,
    pub claims: ClaimSettings,
    pub transfer: TransferSettings,
    pub registration: RegistrationSettings,
    pub ca: CaSettings,
    pub status: StatusSettings,
    pub est: EstSettings,
    pub admission: AdmissionSettings,
    pub onboarding: OnboardingSettings,
    pub encrypt_then_mac: EncryptThenMacSettings,
    pub files: FileSettings,
    pub uploads: UploadSettings,
    pub alerts: AlertSettings,
    /// Files for devices that no plan is for.
    pub downloads: Vec<DownloadSetting>,
    /// Commands for devices that no plan is for.
    pub commands: Vec<CommandSetting>,
    /// The listener for scripts written for go-fdo-server; off by default.
    pub compat: CompatSettings,
    /// While no device CA is pinned, such scripts import vouchers of every maker, as at that server.
    pub compat_accept_any_maker: bool,
}

/// How claims are asked for again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimSettings {
    /// The first pause after a failure, in seconds; it doubles.
    pub retry_seconds: u64,
    /// The longest pause.
    pub retry_most_seconds: u64,
    /// The pause after "not found": goods may ship before the maker's list is loaded.
    pub not_found_seconds: u64,
    /// After so many seconds of "not found" a claim is given up.
    pub not_found_total_seconds: u64,
    /// How many vouchers are fetched at a time.
    pub parallel: usize,
}

impl Default for ClaimSettings {
    fn default() -> Self {
        Self {
            retry_seconds: 5,
            retry_most_seconds: 3_600,
            not_found_seconds: 86_400,
            not_found_total_seconds: 14 * 86_400,
            parallel: 8,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            database: None,
            workers: None,
            sealing_key: None,
            rsa_keys: Vec::new(),
            public_url: None,
            outbound_allow: Vec::new(),
            listen: Listen::at("127.0.0.1:8043"),
            operators: Listen::at("127.0.0.1:8044"),
            sessions: RecordSettings::default(),
            limits: LimitSettings::default(),
            claims: ClaimSettings::default(),
            transfer: TransferSettings::default(),
            registration: RegistrationSettings::default(),
            ca: CaSettings::default(),
            status: StatusSettings::default(),
            est: EstSettings::default(),
            admission: AdmissionSettings::default(),
            onboarding: OnboardingSettings::default(),
            encrypt_then_mac: EncryptThenMacSettings::default(),
            files: FileSettings::default(),
            uploads: UploadSettings::default(),
            alerts: AlertSettings::default(),
            downloads: Vec::new(),
            commands: Vec::new(),
            compat: CompatSettings::default(),
            compat_accept_any_maker: false,
        }
    }
}

/// A setting that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error(
        "`listen.address` = {0} is not loopback, but `public_url` is not set; set it to the URL that devices reach this \
         service at, such as http://owner.example:8043, or listen on 127.0.0.1"
    )]
    PublicUrl(String),
    #[error(
        "`status.address` = {0} is not loopback, but `status.public_url` is not set; set it to the URL that certificates \
         are to name, such as http://pki.example, or listen on 127.0.0.1"
    )]
    StatusUrl(String),
    #[error(
        "`est.address` = {0} is not loopback, but `est.public_url` is not set; set it to the URL that devices renew at, \
         such as https://est.example:8045"
    )]
    EstUrl(String),
    #[error("`est.public_url` = {0} must look like https://est.example:8045, without a path")]
    EstPublicUrl(String),
    #[error("set both `est.certificate` and `est.key`, or neither")]
    EstHalf,
    #[error("`est.names` must name what the EST listener is reached by")]
    EstNames,
    #[error("`admission.webhook` = {0} must be an http:// or https:// URL")]
    Webhook(String),
    #[error("`status.public_url` = {0} must look like http://pki.example, with at most 200 characters")]
    StatusPublicUrl(String),
    #[error("`{setting}` = {value} must be from {least} to {most}")]
    Range { setting: &'static str, value: u64, least: u64, most: u64 },
    #[error("`rsa_keys` entry {0:?}: write RSA2048 or RSA3072")]
    RsaKeys(String),
    #[error("`public_url` = {0} must look like http://host:port or https://host:port, without a path")]
    Url(String),
    #[error("{address:?} is no address to listen on: {source}")]
    Address { address: String, source: std::io::Error },
}

impl Config {
    /// The database: as set, else a file in the data directory.
    pub fn database_url(&self, data_dir: &Path) -> String {
        let file = || format!("sqlite://{}?mode=rwc", data_dir.join("owner.db").display());
        self.database.clone().unwrap_or_else(file)
    }

    /// What must fit together, before anything is started.
    pub fn check(&self) -> Result<(), SettingError> {
        if is_exposed(&self.listen.address)? && self.public_url.is_none() {
            return Err(SettingError::PublicUrl(self.listen.address.clone()));
        }
        self.status.check()?;
        self.est.check()?;
        self.admission.check()?;
        self.check_ranges()?;
        self.rsa_key_types()?;
        self.rv_to2_addr().map(|_| ())
    }

    /// The types of RSA owner keys to have.
    pub fn rsa_key_types(&self) -> Result<Vec<KeyType>, SettingError> {
        let read = |name: &String| match name.parse::<KeyType>() {
            Ok(key_type) if key_type.modulus_bits().is_some() => Ok(key_type),
            _ => Err(SettingError::RsaKeys(name.clone())),
        };
        self.rsa_keys.iter().map(read).collect()
    }

    fn check_ranges(&self) -> Result<(), SettingError> {
        let size = u64::from(self.onboarding.max_service_info_size);
        for (setting, value, least, most) in [
            ("registration.days", u64::from(self.registration.days), 1, 30),
            ("ca.validity_days", self.ca.validity_days, 1, 366),
            ("ca.crl_shards", u64::from(self.ca.crl_shards), 1, 256),
            ("onboarding.max_service_info_size", size, 256, 65_535),
            ("alerts.renewal_overdue_percent", u64::from(self.alerts.renewal_overdue_percent), 1, 100),
            ("alerts.failures", u64::from(self.alerts.failures), 1, 1_000),
            ("alerts.digest_above", u64::from(self.alerts.digest_above), 1, 1_000),
            ("alerts.every_seconds", self.alerts.every_seconds, 1, 86_400),
        ] {
            if !(least..=most).contains(&value) {
                return Err(SettingError::Range { setting, value, least, most });
            }
        }
        Ok(())
    }

    /// `public_url` as TO0 registers it.
    pub fn rv_to2_addr(&self) -> Result<RvTo2Addr, SettingError> {
        let url = self.public_url.as_deref().unwrap_or(LOCAL_URL);
        Ok(RvTo2Addr(vec![rv_to2_addr_entry(url)?]))
    }
}

/// Whether others than this machine reach an address.
fn is_exposed(address: &str) -> Result<bool, SettingError> {
    let resolved = address
        .to_socket_addrs()
        .map_err(|source| SettingError::Address { address: address.to_owned(), source })?;
    Ok(resolved.into_iter().any(|address| !address.ip().is_loopback()))
}

/// `http://host:port` or `https://host:port` as TO0 registers it.
pub fn rv_to2_addr_entry(url: &str) -> Result<RvTo2AddrEntry, SettingError> {
    let wrong = || SettingError::Url(url.to_owned());
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
    let scheme = match parsed.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(wrong()),
    };
    let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.username().is_empty();
    let host = parsed.host_str().filter(|_| bare).ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = parsed.port_or_known_default().ok_or_else(wrong)?;
    Ok(RvTo2AddrEntry::at(scheme, host, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_public_listener_needs_a_public_url() {
        let mut config = Config { listen: Listen::at("0.0.0.0:8043"), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("public_url"));
        config.public_url = Some("http://owner.example:8043".to_owned());
        config.check().unwrap();
        Config::default().check().unwrap();
    }

    #[test]
    fn a_value_out_of_its_range_is_named() {
        let mut config = Config::default();
        config.registration.days = 31;
        assert!(config.check().unwrap_err().to_string().contains("registration.days"));
    }

    #[test]
    fn the_public_url_becomes_an_address() {
        let entry = |url: &str| {
            let config = Config { public_url: Some(url.to_owned()), ..Config::default() };
            config.rv_to2_addr().map(|addresses| addresses.urls())
        };
        assert_eq!(entry("http://owner.example:8043").unwrap().len(), 1);
        assert!(entry("https://[::1]:8043").is_ok());
        for wrong in
            ["owner.example", "ftp://owner.example", "http://owner.example/fdo", "http://me@owner.example"]
        {
            assert!(entry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[claims]\nretry = 3\n").unwrap();
        let error = fdo_service::host::config::load::<Config>(Some(file.path()), "FDO_OWNER_TEST_", &());
        assert!(error.unwrap_err().to_string().contains("retry"));
    }
}
