//! Settings: what they are, their defaults, and what must not be left to a default.

mod rendezvous;

use std::path::{Path, PathBuf};

use fdo_protocol::RendezvousInfo;
use fdo_protocol::crypto::KeyType;
use fdo_service::compat::CompatSettings;
use fdo_service::endpoint::LimitSettings;
use fdo_service::host::config::Listen;
use fdo_service::host::telemetry::LogFormat;
use fdo_service::sessions::RecordSettings;
use serde::{Deserialize, Serialize};

pub use rendezvous::{ConditionalPlace, Place, checked, rendezvous_info};

/// Variables that override settings begin with this.
pub const ENV_PREFIX: &str = "FDO_MANUFACTURER_";
const DEFAULT_RENDEZVOUS: &str = "http://127.0.0.1:8041";

/// All settings of the manufacturer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The maker's name: organization of IDevIDs and CAs, and what buyers see.
    pub name: String,
    /// `sqlite:///path/file.db?mode=rwc` or `postgres://user@host/name`; a file in the data directory if absent.
    pub database: Option<String>,
    /// Worker threads of the device and claims listeners; one a core if absent.
    pub workers: Option<usize>,
    /// Filter of the log, such as `info` or `fdo_manufacturer=debug`.
    pub log: String,
    pub log_format: LogFormat,
    /// Which devices may be initialized.
    pub admission: Admission,
    /// Where devices look for their owner, in order; `http://127.0.0.1:8041` if absent.
    pub rendezvous: Option<Vec<Place>>,
    /// Sizes of RSA keys for vouchers, `RSA2048` and `RSA3072`, made when they are named first; none if empty.
    pub rsa_keys: Vec<String>,
    /// The device listener (DI).
    pub listen: Listen,
    /// The operators' listener.
    pub operators: Listen,
    pub claims: ClaimsSettings,
    /// Addresses beyond the public ones that this service may call: "loopback", "private", or networks.
    pub outbound_allow: Vec<String>,
    pub idevid: IdevidSettings,
    pub sessions: RecordSettings,
    pub limits: LimitSettings,
    /// The listener for scripts written for go-fdo-server; off by default.
    pub compat: CompatSettings,
    /// A PEM file with the key that such a script's first GET of a voucher extends it to.
    pub compat_extend_to: Option<PathBuf>,
}

/// Which serial numbers may be initialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// Only those entered beforehand.
    Listed,
    /// Every one that has no voucher yet.
    Open,
}

/// The listener for buyers: always TLS with the identity key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsSettings {
    pub address: String,
    /// DNS names and addresses in its certificate, which is made on first start.
    pub names: Vec<String>,
    /// The URL that buyers are told; `https://` and the address if absent.
    pub public_url: Option<String>,
    /// Accept KeyAuth signatures of older clients (empty or raw additional data).
    pub older_key_auth: bool,
    /// Extend what is allocated at once to its buyer's key, for buyers whose client only pulls. Cannot be undone.
    pub claim_on_allocate: bool,
    /// Serial numbers that one key may ask for in an hour.
    pub serials_per_hour: u32,
    /// Unknown serial numbers and wrong codes that one address may send in an hour.
    pub misses_per_hour: u32,
}

impl Default for ClaimsSettings {
    fn default() -> Self {
        let names = ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).to_vec();
        Self {
            address: "127.0.0.1:8040".to_owned(),
            names,
            public_url: None,
            older_key_auth: false,
            claim_on_allocate: false,
            serials_per_hour: 600,
            misses_per_hour: 60,
        }
    }
}

/// What all IDevIDs have in common.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdevidSettings {
    /// Organization of the subject; the maker's name if absent.
    pub organization: Option<String>,
    /// OID of the hardware's type; with it, IDevIDs carry a HardwareModuleName.
    pub hardware_type: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "Firstlight".to_owned(),
            database: None,
            workers: None,
            log: "info,actix_server=warn".to_owned(),
            log_format: LogFormat::Human,
            admission: Admission::Listed,
            rendezvous: None,
            rsa_keys: Vec::new(),
            listen: Listen::at("127.0.0.1:8038"),
            operators: Listen::at("127.0.0.1:8039"),
            claims: ClaimsSettings::default(),
            outbound_allow: Vec::new(),
            idevid: IdevidSettings::default(),
            sessions: RecordSettings::default(),
            limits: LimitSettings::default(),
            compat: CompatSettings::default(),
            compat_extend_to: None,
        }
    }
}

/// A setting that cannot work; the text says what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error(
        "`listen.address` {0} is not loopback: set `rendezvous` to where these devices find it, such as [\"https://rv.example.com\"]"
    )]
    RendezvousUnset(String),
    #[error(
        "`rendezvous` entry {0:?}: write http://HOST:PORT or https://HOST:PORT with a name of at most 79 bytes"
    )]
    Rendezvous(String),
    #[error("`rendezvous` is empty: name at least one, or leave it out")]
    RendezvousEmpty,
    #[error("`rendezvous` entry {0}: {1}")]
    RendezvousPlace(usize, &'static str),
    #[error("`rendezvous` entry {0:?} is an address already, and `ip` would make it two addresses")]
    RendezvousTwoAddresses(String),
    #[error("`rendezvous` may have at most {0} entries: small devices cannot take more")]
    RendezvousCount(usize),
    #[error("`rendezvous` names places for owners only, so that no device could find its own")]
    RendezvousWithoutDevices,
    #[error(
        "`rendezvous` sends devices to a rendezvous that no owner registers at; leave `device_only` out of one"
    )]
    RendezvousWithoutOwners,
    #[error("`name` must have 1 to 40 characters, none of them a control character")]
    Name,
    #[error("`rsa_keys` entry {0:?}: write RSA2048 or RSA3072")]
    RsaKeys(String),
    #[error("`claims.names` is empty: name at least one host name or address for the certificate")]
    ClaimsNames,
}

impl Config {
    /// The database, by default a file in the data directory.
    pub fn database_url(&self, data_dir: &Path) -> String {
        let file = || format!("sqlite://{}?mode=rwc", data_dir.join("manufacturer.db").display());
        self.database.clone().unwrap_or_else(file)
    }

    /// The URL that buyers are told. `bound` is the listener's port, which is what a configured port 0 stands for.
    pub fn claims_url(&self, bound: Option<u16>) -> String {
        let own = || {
            let (host, port) = self.claims.address.rsplit_once(':').unwrap_or((&self.claims.address, "443"));
            // Nobody can reach "every address"; the certificate's first name is a better guess.
            let host = if matches!(host, "0.0.0.0" | "[::]") {
                self.claims.names.first().map_or(host, String::as_str)
            } else {
                host
            };
            let port = bound.filter(|_| port == "0").map_or_else(|| port.to_owned(), |bound| bound.to_string());
            format!("https://{host}:{port}")
        };
        self.claims.public_url.clone().unwrap_or_else(own)
    }

    /// What goes into the vouchers. A default that only works on this machine is refused where others can reach it.
    pub fn rendezvous_info(&self) -> Result<RendezvousInfo, SettingError> {
        match &self.rendezvous {
            Some(places) => rendezvous::rendezvous_info(places),
            None if !is_loopback(&self.listen.address) => {
                Err(SettingError::RendezvousUnset(self.listen.address.clone()))
            }
            None => rendezvous::rendezvous_info(&[DEFAULT_RENDEZVOUS.into()]),
        }
    }

    /// The types of RSA keys that vouchers may begin with.
    pub fn rsa_key_types(&self) -> Result<Vec<KeyType>, SettingError> {
        let read = |name: &String| match name.parse::<KeyType>() {
            Ok(key_type) if key_type.modulus_bits().is_some() => Ok(key_type),
            _ => Err(SettingError::RsaKeys(name.clone())),
        };
        self.rsa_keys.iter().map(read).collect()
    }

    /// Checks what no type checks.
    pub fn check(&self) -> Result<(), SettingError> {
        let length = self.name.chars().count();
        if length == 0 || length > 40 || self.name.chars().any(char::is_control) {
            return Err(SettingError::Name);
        }
        if self.claims.names.is_empty() {
            return Err(SettingError::ClaimsNames);
        }
        self.rsa_key_types()?;
        self.rendezvous_info().map(|_| ())
    }
}

/// Whether only this machine reaches the address.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::rendezvous_info::{Instruction, RvProtocol};

    #[test]
    fn the_default_rendezvous_is_for_loopback_only() {
        let mut config = Config::default();
        let info = config.rendezvous_info().unwrap();
        assert!(info.directives()[0].contains(&Instruction::Protocol(RvProtocol::Http)));
        assert!(info.directives()[0].contains(&Instruction::OwnerPort(8041)));
        config.listen = Listen::at("0.0.0.0:8038");
        let message = config.check().unwrap_err().to_string();
        assert!(message.contains("`rendezvous`"), "{message}");
        config.rendezvous = Some(vec!["https://rv.example.com".into(), "http://[2001:db8::1]:8041/".into()]);
        let info = config.rendezvous_info().unwrap();
        assert!(info.directives()[0].contains(&Instruction::DevPort(443)));
        assert!(info.directives()[1].contains(&Instruction::IpAddress("2001:db8::1".parse().unwrap())));
    }

    #[test]
    fn buyers_are_told_a_url_that_they_can_reach() {
        let mut config = Config::default();
        assert_eq!(config.claims_url(Some(8040)), "https://127.0.0.1:8040");
        config.claims.address = "0.0.0.0:0".into();
        assert_eq!(config.claims_url(Some(4711)), "https://localhost:4711");
        config.claims.public_url = Some("https://claims.example.com".into());
        assert_eq!(config.claims_url(Some(4711)), "https://claims.example.com");
    }

    #[test]
    fn places_that_no_device_could_use_are_refused() {
        for place in ["rv.example.com", "ftp://a", "http://a:b", "http://a/b", "http://"] {
            let config = Config { rendezvous: Some(vec![place.into()]), ..Config::default() };
            assert!(config.check().is_err(), "{place}");
        }
        assert!(Config { rendezvous: Some(vec![]), ..Config::default() }.check().is_err());
        assert!(Config { name: String::new(), ..Config::default() }.check().is_err());
    }
}
