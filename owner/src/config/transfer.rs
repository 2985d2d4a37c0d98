//! Settings of voucher transfer between organisations.

use std::path::PathBuf;

use fdo_service::host::config::Listen;
use serde::{Deserialize, Serialize};

/// The transfer listener, always TLS, and how partners are asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransferSettings {
    /// Address of the listener for other organisations; without it there is none.
    pub address: Option<String>,
    /// Its certificate chain and key, PEM; without them a self-signed pair is made, for partners to pin.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// DNS names and addresses in the self-signed certificate.
    pub names: Vec<String>,
    /// The URL that the DID document names; `https://` and the address if absent.
    pub public_url: Option<String>,
    /// Accept KeyAuth signatures of older clients (empty or raw additional data).
    pub older_key_auth: bool,
    /// How often partners are asked for vouchers, in seconds; 0 for only when told to.
    pub poll_seconds: u64,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            address: None,
            certificate: None,
            key: None,
            names: ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).to_vec(),
            public_url: None,
            older_key_auth: false,
            poll_seconds: 300,
        }
    }
}

impl TransferSettings {
    /// The listener, where there is one.
    pub fn listen(&self) -> Option<Listen> {
        let address = self.address.as_deref()?;
        Some(Listen { certificate: self.certificate.clone(), key: self.key.clone(), ..Listen::at(address) })
    }

    /// The URL that partners are told, without a slash at its end.
    pub fn url(&self) -> String {
        let own = || format!("https://{}", self.address.as_deref().unwrap_or("localhost"));
        self.public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }
}
