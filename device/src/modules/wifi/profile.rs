//! A network as the writers of configurations need it: what `fdo_protocol` read and checked, with the secrets as text.

use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::wifi::{AuthType, Network as Received, Secret, ToDevice, TrustLevel, WifiError};
use fdo_protocol::{Hash, HashType};
use zeroize::Zeroizing;

pub use fdo_protocol::service_info::wifi::EapMethod;

/// Why a network is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the owner is told if no network of the set is usable.
    pub error: WifiError,
    /// For the log, where there is more to say; never a secret.
    pub detail: Option<&'static str>,
}

impl From<WifiError> for Refusal {
    fn from(error: WifiError) -> Self {
        Self { error, detail: None }
    }
}

/// A broken rule that is this device's own.
pub const fn invalid(detail: &'static str) -> Refusal {
    Refusal { error: WifiError::InvalidNetwork, detail: Some(detail) }
}

/// How the network authenticates.
pub enum Security {
    /// Not at all.
    Open,
    /// WPA2 with a pass phrase of 8 to 63 printable characters.
    Wpa2Passphrase(Zeroizing<String>),
    /// WPA2 with a raw key, 64 hexadecimal digits.
    Wpa2Key(Zeroizing<String>),
    /// WPA3 with a password.
    Sae(Zeroizing<String>),
    /// WPA3-Enterprise.
    Enterprise(Enterprise),
}

/// What an enterprise network needs.
pub struct Enterprise {
    /// The method.
    pub method: EapMethod,
    /// The CAs of the authentication server, DER.
    pub authorities: Vec<Vec<u8>>,
    /// User name, with PEAP and TTLS.
    pub username: Option<String>,
    /// Password, with PEAP and TTLS.
    pub password: Option<Zeroizing<String>>,
}

/// A network that may be written into a configuration.
pub struct Network {
    /// The owner's name for it, any text without control characters.
    pub id: String,
    /// 1 to 32 bytes.
    pub ssid: Vec<u8>,
    /// How it authenticates.
    pub security: Security,
    /// Whether it is to be kept after onboarding (trust level 1).
    pub keep: bool,
    /// Whether fast roaming is wanted.
    pub fast_roaming: bool,
}

impl Network {
    /// Reads the map of one `network-add`, in any of the layouts in the field.
    pub fn decode(item: &[u8]) -> Result<Self, Refusal> {
        match ToDevice::decode("network-add", item) {
            Ok(Some(ToDevice::NetworkAdd(add))) => Self::take(add.network()?),
            _ => Err(WifiError::BadFormat.into()),
        }
    }

    fn take(received: Received) -> Result<Self, Refusal> {
        if received.hotspot2.is_some() {
            return Err(Refusal { error: WifiError::UnsupportedAuth, detail: Some("Hotspot 2.0") });
        }
        let secret = || received.password.as_ref().map(text).unwrap_or(Err(invalid("no password")));
        let security = match received.auth {
            AuthType::Open => Security::Open,
            // The rules leave 64 characters to the key in hexadecimal.
            AuthType::Wpa2Psk => match secret()? {
                key if key.len() == 64 => Security::Wpa2Key(key),
                phrase => Security::Wpa2Passphrase(phrase),
            },
            AuthType::Wpa3Psk => Security::Sae(secret()?),
            AuthType::Enterprise => Security::Enterprise(Enterprise {
                method: received.eap_method.unwrap_or(EapMethod::Tls),
                authorities: received.ca_certificates,
                username: received.eap_username,
                password: received.eap_password.as_ref().map(text).transpose()?,
            }),
        };
        Ok(Self {
            id: received.id,
            ssid: received.ssid,
            security,
            keep: received.trust == TrustLevel::FullAccess,
            fast_roaming: received.fast_roaming.is_some_and(|roaming| roaming.enabled),
        })
    }

    /// The part of file names: the owner's name where it is harmless, else a hash of it.
    pub fn file_id(&self) -> String {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=32).contains(&self.id.len()) && self.id.bytes().all(harmless) {
            return self.id.clone();
        }
        hex::encode(&Hash::of(HashType::Sha256, &[self.id.as_bytes()]).digest()[..8])
    }
}

/// Configurations are text, and a control character in them could begin a line of its own.
fn text(secret: &Secret) -> Result<Zeroizing<String>, Refusal> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| invalid("a password that is no text"))?;
    if text.chars().any(char::is_control) {
        return Err(invalid("a password with control characters"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}
