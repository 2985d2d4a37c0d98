//! Wi-Fi networks that devices are given in TO2 (fdo.wifi). A password goes in and never comes out again, save to a device.

pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use fdo_protocol::Guid;
use fdo_service::database::{ConnectionTrait, DbErr};
use fdo_service::sessions::{SealingKey, SessionError};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use store::{delete, find, insert, list, update};

/// How a device gets in; the numbers are those of fdo.wifi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    Open = 0,
    Wpa2Psk = 1,
    Wpa3Psk = 2,
}

impl Auth {
    const ALL: [Self; 3] = [Self::Open, Self::Wpa2Psk, Self::Wpa3Psk];

    /// `auth_type` on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|auth| i32::from(auth.number()) == number)
    }
}

/// Which devices a network is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "scope", content = "target")]
pub enum Scope {
    All,
    /// A model: what the maker says, else the voucher's device information.
    Model(String),
    /// A serial, a GUID, or the inventory's id.
    Device(String),
}

/// A network without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub id: String,
    pub ssid: String,
    pub auth: Auth,
    /// 0: for onboarding only, 1: to keep.
    pub trust_level: u8,
    pub enabled: bool,
    pub scope: Scope,
    pub has_password: bool,
    pub created: u64,
    pub updated: u64,
}

/// A network as a device is told of it. It has no `Debug`.
pub struct DeviceNetwork {
    pub network_id: String,
    pub ssid: String,
    pub auth: Auth,
    pub secret: Option<Zeroizing<Vec<u8>>>,
    pub trust_level: u8,
}

/// What is known of a device whose networks are looked up.
pub struct DeviceScope<'a> {
    pub id: &'a str,
    pub guid: &'a Guid,
    pub serial: Option<&'a str>,
    pub model: Option<&'a str>,
}

/// Why a network is refused, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no network {0}")]
    NotFound(String),
    #[error("there is a network {0} already; change it with `fdo-owner network set {0}`")]
    Exists(String),
    #[error("{0}: {1}")]
    Field(&'static str, &'static str),
    #[error("the password of {0} does not open; is this the sealing key that it was written with?")]
    Sealed(String),
    #[error("the networks' database failed")]
    Database(#[from] DbErr),
}

/// Checks what an operator wrote.
pub fn check(network: &Network, password: Option<&[u8]>) -> Result<(), Error> {
    let id = &network.id;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
        return Err(Error::Field("id", "use 1 to 64 letters, digits, `-`, `_` or `.`"));
    }
    if network.ssid.is_empty() || network.ssid.len() > 32 || network.ssid.chars().any(char::is_control) {
        return Err(Error::Field("ssid", "an SSID has 1 to 32 bytes and no control characters"));
    }
    if network.trust_level > 1 {
        return Err(Error::Field("trust_level", "use 0 (for onboarding only) or 1 (to keep)"));
    }
    if let Scope::Model(target) | Scope::Device(target) = &network.scope
        && (target.is_empty() || target.len() > 255)
    {
        return Err(Error::Field("target", "name the model or the device"));
    }
    let printable = |password: &[u8]| password.iter().all(|byte| (0x20..0x7f).contains(byte));
    match (network.auth, password) {
        (Auth::Open, None) => Ok(()),
        (Auth::Open, Some(_)) => Err(Error::Field("password", "an open network has none")),
        (_, None) => Err(Error::Field("password", "this network needs one")),
        (_, Some(password)) if (8..=63).contains(&password.len()) && printable(password) => Ok(()),
        (Auth::Wpa2Psk, Some(key)) if key.len() == 64 && key.iter().all(u8::is_ascii_hexdigit) => Ok(()),
        _ => Err(Error::Field(
            "password",
            "use 8 to 63 printable ASCII characters, or for WPA2 64 hexadecimal digits",
        )),
    }
}

/// Seals a password for its row; the id is bound to it, so that rows cannot be swapped.
fn seal(key: &SealingKey, id: &str, password: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    key.derive("network passwords").seal(id.as_bytes(), password, rng)
}

fn open(key: &SealingKey, id: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let opened = key.derive("network passwords").open(id.as_bytes(), sealed);
    opened.map_err(|_: SessionError| Error::Sealed(id.to_owned()))
}

/// The networks that a device is to be told of, with their passwords: its own before its model's before everybody's.
pub async fn for_device(
    conn: &impl ConnectionTrait,
    key: &SealingKey,
    device: &DeviceScope<'_>,
) -> Result<Vec<DeviceNetwork>, Error> {
    let mut chosen = Vec::new();
    for (network, sealed) in store::enabled(conn).await? {
        let rank = match &network.scope {
            Scope::All => 2,
            Scope::Model(model) if Some(model.as_str()) == device.model => 1,
            Scope::Device(name) if Some(name.as_str()) == device.serial || name == device.id => 0,
            Scope::Device(name) if name.parse() == Ok(*device.guid) => 0,
            _ => continue,
        };
        chosen.push((rank, network, sealed));
    }
    chosen.sort_by(|(a, left, _), (b, right, _)| (a, &left.id).cmp(&(b, &right.id)));
    let mut names = HashSet::new();
    let mut networks = Vec::new();
    for (_, network, sealed) in chosen {
        // Two passwords for one SSID would leave it to chance which one the device keeps.
        if names.insert(network.ssid.clone()) {
            let secret = sealed.map(|sealed| open(key, &network.id, &sealed)).transpose()?;
            networks.push(DeviceNetwork {
                network_id: network.id,
                ssid: network.ssid,
                auth: network.auth,
                secret,
                trust_level: network.trust_level,
            });
        }
    }
    Ok(networks)
}
