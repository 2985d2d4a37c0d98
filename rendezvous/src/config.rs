//! The rendezvous' settings: defaults, TOML, environment (`FDO_RENDEZVOUS_..`), flags.

use std::path::Path;

use fdo_service::compat::CompatSettings;
use fdo_service::endpoint::LimitSettings;
use fdo_service::host::config::Listen;
use fdo_service::host::telemetry::LogFormat;
use serde::{Deserialize, Serialize};

use crate::policy::PolicySettings;
use crate::registrations::RegistrationSettings;

/// Variables that override settings begin with this.
pub const ENV_PREFIX: &str = "FDO_RENDEZVOUS_";

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
    /// The listener for owners and devices.
    pub listen: Listen,
    /// The listener for operators.
    pub operators: Listen,
    pub limits: LimitSettings,
    pub policy: PolicySettings,
    pub registrations: RegistrationSettings,
    /// The listener for scripts written for go-fdo-server; off by default.
    pub compat: CompatSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Human,
            database: None,
            workers: None,
            listen: Listen::at("127.0.0.1:8041"),
            operators: Listen::at("127.0.0.1:8042"),
            limits: LimitSettings::default(),
            policy: PolicySettings::default(),
            registrations: RegistrationSettings::default(),
            compat: CompatSettings::default(),
        }
    }
}

impl Config {
    /// The database, by default a file in the data directory.
    pub fn database_url(&self, data_dir: &Path) -> String {
        let file = || format!("sqlite://{}?mode=rwc", data_dir.join("rendezvous.db").display());
        self.database.clone().unwrap_or_else(file)
    }
}
