//! Settings of the EST listener.

use std::path::PathBuf;

use fdo_pki::ServerName;
use serde::{Deserialize, Serialize};

use super::SettingError;

/// Where devices renew their certificates (RFC 7030), always TLS.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstSettings {
    /// Address of the listener; an empty one for none.
    pub address: String,
    /// The URL that devices are told; `https://` and the address if absent. Needed where the address is not loopback.
    pub public_url: Option<String>,
    /// Its certificate chain and key, PEM; without them this owner's CA issues one for `names`, and renews it.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// DNS names and addresses in the certificate that this owner's CA issues for it.
    pub names: Vec<String>,
    /// How long after its end a device's newest certificate still renews, in seconds; 0 for never.
    pub expired_grace_seconds: u64,
    /// Refuse renewals before the profile's renewal window.
    pub refuse_early: bool,
    /// Revoke a renewed certificate as superseded, once the one that follows it was used here.
    pub revoke_on_renew: bool,
    /// Answer in lines of 64 columns; otherwise only clients that need them get them.
    pub wrap: bool,
    /// Make keys for devices that ask for one (`serverkeygen`); such a key is never stored.
    pub server_key_generation: bool,
    /// What becomes of a request with a challengePassword.
    pub challenge_password: ChallengePassword,
}

/// RFC 7030, 3.5: a request may name the TLS channel that it comes by in its challengePassword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengePassword {
    /// Such a request is refused: `tls-unique`, which clients mean, does not exist in TLS 1.3.
    Refuse,
    /// It is passed over.
    Ignore,
    /// It must be `tls-exporter` (RFC 9266) of the connection, in base64.
    TlsExporter,
}

impl Default for EstSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8045".to_owned(),
            public_url: None,
            certificate: None,
            key: None,
            names: ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).to_vec(),
            expired_grace_seconds: 30 * 86_400,
            refuse_early: false,
            revoke_on_renew: false,
            wrap: false,
            server_key_generation: false,
            challenge_password: ChallengePassword::Refuse,
        }
    }
}

impl EstSettings {
    /// Whether there is such a listener.
    pub fn is_on(&self) -> bool {
        !self.address.is_empty()
    }

    /// The URL that devices are told, without a slash at its end; `/.well-known/est` follows it.
    pub fn url(&self) -> String {
        let own = || format!("https://{}", self.address);
        self.public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }

    /// The names for the certificate that this owner's CA issues.
    pub fn server_names(&self) -> Vec<ServerName> {
        let name = |name: &String| match name.parse() {
            Ok(address) => ServerName::Ip(address),
            Err(_) => ServerName::Dns(name.clone()),
        };
        self.names.iter().map(name).collect()
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        if !self.is_on() {
            return Ok(());
        }
        if self.public_url.is_none() && super::is_exposed(&self.address)? {
            return Err(SettingError::EstUrl(self.address.clone()));
        }
        if let Some(url) = &self.public_url {
            let parsed = reqwest::Url::parse(url).ok().filter(|url| url.scheme() == "https");
            let bare =
                parsed.filter(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty());
            if bare.is_none() {
                return Err(SettingError::EstPublicUrl(url.clone()));
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(SettingError::EstHalf);
        }
        if self.certificate.is_none() && self.names.is_empty() {
            return Err(SettingError::EstNames);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let default = EstSettings::default;
        default().check().unwrap();
        assert_eq!(default().url(), "https://127.0.0.1:8045");
        let error = |settings: EstSettings| settings.check().unwrap_err().to_string();
        let exposed = EstSettings { address: "0.0.0.0:8045".to_owned(), ..default() };
        assert!(error(exposed).contains("est.public_url"));
        for url in ["http://est.example", "https://est.example/.well-known/est", "est.example"] {
            assert!(
                error(EstSettings { public_url: Some(url.to_owned()), ..default() }).contains("est.public_url")
            );
        }
        assert!(error(EstSettings { key: Some("key.pem".into()), ..default() }).contains("est.certificate"));
        assert!(error(EstSettings { names: Vec::new(), ..default() }).contains("est.names"));
        EstSettings { address: String::new(), names: Vec::new(), ..default() }.check().unwrap();
    }
}
