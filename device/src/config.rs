//! The agent's configuration: defaults, a TOML file over them, the environment (`FDO_DEVICE_`) over that, and flags
//! over all. An unknown key is an error that names it.

mod modules;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use fdo_http::{BaseUrl, ServerTrust};
use fdo_pki::pem::decode_certificates;
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType};
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::agent::AgentSettings;
use crate::modules::WifiFormat;

/// What the environment variables begin with.
pub const ENV_PREFIX: &str = "FDO_DEVICE_";

const KEY_EXCHANGES: &str = "must be ECDH256, ECDH384, DHKEXid14, DHKEXid15, ASYMKEX2048 or ASYMKEX3072";
const CIPHERS: &str = "must be A128GCM, A192GCM, A256GCM, AES-CCM-16-128-128, AES-CCM-16-128-256, AES-CCM-64-128-128, \
                       AES-CCM-64-128-256, COSEAES128CBC, COSEAES128CTR, COSEAES256CBC or COSEAES256CTR";

/// All settings; every one has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The manufacturer's service, for `init`.
    pub manufacturer: String,
    /// The CA that an `https://` manufacturer's certificate must chain to, in PEM; any certificate will do if none.
    pub manufacturer_ca: Option<PathBuf>,
    /// The serial number, for `init`; that of the machine's firmware if none.
    pub serial: Option<String>,
    /// The model, for `init`.
    pub model: String,
    /// The type of the device's key: `P-256`, `P-384`, `RSA2048` or `RSA3072`.
    pub key_type: String,
    /// `ECDH256`, `DHKEXid14` and so on; by the owner's key, else the device's, if none.
    pub key_exchange: Option<String>,
    /// `A128GCM`, `AES-CCM-64-128-128` and so on; by the key exchange if none.
    pub cipher: Option<String>,
    /// The longest message that the device takes, in bytes.
    pub max_message_size: u16,
    /// The largest service info that the device takes, in bytes.
    pub service_info_size: u16,
    /// Whether an owner may ask the device to keep its credential.
    pub credential_reuse: bool,
    /// How long one TO2 may take, in seconds.
    pub time_limit: u64,
    /// Whether `fdo.csr` is offered.
    pub enrolment: bool,
    /// Whether the owner is asked what a request for a certificate should contain.
    pub enrolment_attributes: bool,
    /// Whether the owner makes the key of the certificate.
    pub enrolment_server_key: bool,
    /// Whether the certificate is renewed (`firstlight.est`, `run`).
    pub renewal: bool,
    /// The program, with its arguments, that is run once a new certificate is in place; nothing if empty.
    pub renewal_hook: Vec<String>,
    /// How long that program may run, in seconds.
    pub renewal_hook_seconds: u64,
    /// Whether a device whose owner renews no more asks for its owner again (TO1, TO2).
    pub renewal_reonboard: bool,
    /// Who reads Wi-Fi networks: `networkmanager`, `wpa_supplicant` or `none`.
    pub wifi_format: WifiFormat,
    /// Where Wi-Fi networks are written; `wifi` in the state directory if none.
    pub wifi_dir: Option<PathBuf>,
    /// The network interface that networks are for (NetworkManager).
    pub wifi_interface: Option<String>,
    /// The country, two letters (wpa_supplicant).
    pub wifi_country: Option<String>,
    /// What the name of an enterprise network's server must end in.
    pub wifi_server_domain: Option<String>,
    /// Whether `fdo.download` is offered.
    pub downloads: bool,
    /// Where downloads go, and where commands run; `files` in the state directory if none.
    pub files_dir: Option<PathBuf>,
    /// The most bytes of one download, sent or fetched.
    pub download_limit: u64,
    /// Whether `fdo.upload` is offered, for the files of that directory.
    pub uploads: bool,
    /// Whether `fdo.wget` is offered.
    pub wget: bool,
    /// How long fetching one file may take, in seconds.
    pub wget_seconds: u64,
    /// A file with the only CA certificate that `https` servers may chain to; those of the system if none.
    pub wget_ca: Option<PathBuf>,
    /// Whether a file may come over `http` although the owner gives no hash.
    pub wget_unverified: bool,
    /// Which addresses that are not public may be called: `loopback`, `private`, or networks.
    pub outbound_allow: Vec<String>,
    /// The MIME types that `fdo.payload` takes; it is not offered if there is none.
    pub payload_types: Vec<String>,
    /// The program that applies payloads, with its first arguments; they are files if there is none.
    pub payload_program: Vec<String>,
    /// The most bytes of one payload.
    pub payload_limit: u64,
    /// How long applying a payload may take, in seconds.
    pub payload_seconds: u64,
    /// Whether the program's output is sent to the owner.
    pub payload_log: bool,
    /// The event logger of an interoperability event; `fido_alliance` is not offered if there is none.
    pub conformance_logger: Option<String>,
    /// Where the manufacturer usage description of this device is, for `devmod`.
    pub mud_url: Option<String>,
    /// Whether `fdo.command` is offered.
    pub commands: bool,
    /// How long a command may run, in seconds.
    pub command_seconds: u64,
    /// How much of each output stream of a command is sent back, in bytes.
    pub command_output: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            manufacturer: "http://127.0.0.1:8038".to_owned(),
            manufacturer_ca: None,
            serial: None,
            model: "firstlight-device".to_owned(),
            key_type: KeyType::P256.to_string(),
            key_exchange: None,
            cipher: None,
            max_message_size: u16::MAX,
            service_info_size: 16 * 1024,
            credential_reuse: false,
            time_limit: 3600,
            enrolment: true,
            enrolment_attributes: false,
            enrolment_server_key: false,
            renewal: true,
            renewal_hook: Vec::new(),
            renewal_hook_seconds: 60,
            renewal_reonboard: false,
            wifi_format: WifiFormat::default(),
            wifi_dir: None,
            wifi_interface: None,
            wifi_country: None,
            wifi_server_domain: None,
            downloads: true,
            files_dir: None,
            download_limit: 256 << 20,
            uploads: true,
            wget: true,
            wget_seconds: 600,
            wget_ca: None,
            wget_unverified: false,
            outbound_allow: Vec::new(),
            payload_types: Vec::new(),
            payload_program: Vec::new(),
            payload_limit: 16 << 20,
            payload_seconds: 300,
            payload_log: false,
            conformance_logger: None,
            mud_url: None,
            commands: false,
            command_seconds: 300,
            command_output: 64 * 1024,
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file, a variable or a flag is wrong.
    #[error("configuration: {0}")]
    Source(Box<figment::Error>),
    /// A value means nothing.
    #[error("configuration: `{key}` {reason}")]
    Value {
        /// Its key.
        key: &'static str,
        /// What it should be.
        reason: &'static str,
    },
    /// The file is not there.
    #[error("configuration: there is no file {0}")]
    NoFile(PathBuf),
}

impl Config {
    /// Reads `file`, the environment and `flags` (whose nulls mean "not given"). The variables that the command line
    /// reads itself (state directory, configuration file, logs) are not settings.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is wrong.
    pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.to_path_buf()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed(ENV_PREFIX).ignore(&["config", "state_dir", "log", "log_format"]);
        let config: Self = figment
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| ConfigError::Source(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason| Err(ConfigError::Value { key, reason });
        self.parsed_key_type()?;
        self.suites()?;
        if self.service_info_size < 256 {
            return value("service_info_size", "must be at least 256");
        }
        if self.max_message_size < 1300 {
            return value("max_message_size", "must be at least 1300");
        }
        let plain = |text: &Option<String>| {
            text.as_deref().is_none_or(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)))
        };
        if let Some(logger) = &self.conformance_logger
            && BaseUrl::from_str(logger).is_err()
        {
            return value("conformance_logger", "must be the http or https URL of an event logger");
        }
        self.guard()?;
        if !plain(&self.wifi_interface) || !plain(&self.wifi_country) || !plain(&self.wifi_server_domain) {
            return value("wifi_*", "may hold letters, digits, dots and hyphens only");
        }
        Ok(())
    }

    /// The type of the device's key.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn parsed_key_type(&self) -> Result<KeyType, ConfigError> {
        let wrong = |_| ConfigError::Value { key: "key_type", reason: "must be P-256, P-384, RSA2048 or RSA3072" };
        self.key_type.parse().map_err(wrong)
    }

    fn suites(&self) -> Result<(Option<KexSuite>, Option<CipherSuite>), ConfigError> {
        let kex = self.key_exchange.as_deref().map(str::parse).transpose();
        let kex = kex.map_err(|_| ConfigError::Value { key: "key_exchange", reason: KEY_EXCHANGES })?;
        let cipher = self.cipher.as_deref().map(str::parse).transpose();
        let cipher = cipher.map_err(|_| ConfigError::Value { key: "cipher", reason: CIPHERS })?;
        Ok((kex, cipher))
    }

    /// DI has no proof of the manufacturer's: its key is trusted from then on.
    fn manufacturer_trust(&self) -> Result<ServerTrust, ConfigError> {
        let Some(file) = &self.manufacturer_ca else { return Ok(ServerTrust::Any) };
        if !self.manufacturer.starts_with("https://") {
            let reason = "is of no use without https:// in `manufacturer`";
            return Err(ConfigError::Value { key: "manufacturer_ca", reason });
        }
        let pem = std::fs::read_to_string(file).map_err(|_| ConfigError::NoFile(file.clone()))?;
        let unusable = ConfigError::Value { key: "manufacturer_ca", reason: "must name a CA certificate in PEM" };
        match decode_certificates(&pem).as_deref() {
            Ok([certificate]) => Ok(ServerTrust::Authority(certificate.clone())),
            _ => Err(unusable),
        }
    }

    /// Where Wi-Fi networks go, if anywhere.
    pub fn wifi_directory(&self, state: &Path) -> Option<PathBuf> {
        let directory = || self.wifi_dir.clone().unwrap_or_else(|| state.join("wifi"));
        (self.wifi_format != WifiFormat::None).then(directory)
    }

    /// The agent's settings with these directories. `state` is none for a device in memory, which takes no files.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn agent_settings(&self, state: Option<&Path>) -> Result<AgentSettings, ConfigError> {
        let (kex_suite, cipher_suite) = self.suites()?;
        let manufacturer_trust = self.manufacturer_trust()?;
        let files = self.files_dir.clone().or_else(|| state.map(|state| state.join("files")));
        Ok(AgentSettings {
            kex_suite,
            cipher_suite,
            max_message_size: self.max_message_size,
            service_info_size: self.service_info_size,
            allow_reuse: self.credential_reuse,
            time_limit: Duration::from_secs(self.time_limit),
            manufacturer_trust,
            modules: self.module_settings(files)?,
            mud_url: self.mud_url.clone(),
            conformance_logger: self.conformance_logger.clone(),
            renewal: self.renewal_settings(state),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_and_flags_win() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("device.toml");
        std::fs::write(&file, "model = \"from-file\"\ncommands = true\n").unwrap();
        let config = Config::load(Some(&file), serde_json::json!({ "model": "from-flag" })).unwrap();
        assert_eq!((config.model.as_str(), config.commands), ("from-flag", true));
        std::fs::write(&file, "modell = \"x\"\n").unwrap();
        let error = Config::load(Some(&file), serde_json::json!({})).unwrap_err().to_string();
        assert!(error.contains("modell"), "{error}");
        let missing = Config::load(Some(Path::new("/no/such/file")), serde_json::json!({}));
        assert!(matches!(missing, Err(ConfigError::NoFile(_))));
    }

    #[test]
    fn values_without_a_meaning_are_refused() {
        for flags in [
            serde_json::json!({ "key_type": "P-521" }),
            serde_json::json!({ "cipher": "DES" }),
            serde_json::json!({ "key_exchange": "ECDH512" }),
            serde_json::json!({ "service_info_size": 100 }),
            serde_json::json!({ "wifi_interface": "wlan0\npsk=x" }),
        ] {
            assert!(Config::load(None, &flags).is_err(), "{flags}");
        }
        assert!(Config::load(None, serde_json::json!({ "service_info_size": 1300 })).is_ok());
    }

    #[test]
    fn a_manufacturers_ca_needs_https_and_a_certificate() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = |manufacturer: &str| Config {
            manufacturer: manufacturer.into(),
            manufacturer_ca: Some(file.path().into()),
            ..Config::default()
        };
        for manufacturer in ["http://127.0.0.1:8038", "https://127.0.0.1:8038"] {
            let error = config(manufacturer).agent_settings(None).unwrap_err().to_string();
            assert!(error.contains("manufacturer_ca"), "{error}");
        }
        let trust = Config::default().agent_settings(None).unwrap().manufacturer_trust;
        assert_eq!(trust, ServerTrust::Any);
    }

    #[test]
    fn every_suite_can_be_chosen_and_is_named_where_it_is_not_known() {
        for suite in CipherSuite::ALL {
            let config = Config { cipher: Some(suite.name().to_owned()), ..Config::default() };
            assert_eq!(config.agent_settings(None).unwrap().cipher_suite, Some(suite));
            assert!(CIPHERS.contains(suite.name()), "{suite}");
        }
        for suite in KexSuite::ALL {
            let config = Config { key_exchange: Some(suite.name().to_owned()), ..Config::default() };
            assert_eq!(config.agent_settings(None).unwrap().kex_suite, Some(suite));
            assert!(KEY_EXCHANGES.contains(suite.name()), "{}", suite.name());
        }
    }

    #[test]
    fn commands_are_off_unless_asked_for() {
        let state = Path::new("/state");
        assert!(Config::default().agent_settings(Some(state)).unwrap().modules.command.is_none());
        let on = Config { commands: true, ..Config::default() };
        assert!(on.agent_settings(Some(state)).unwrap().modules.command.is_some());
    }
}
