//! The flags of the certificate authority.

use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(next_help_heading = "Certificate authority")]
pub(super) struct CaFlags {
    /// What the CA's names begin with; counts on the first start only [default: Firstlight owner]
    #[arg(long, value_name = "NAME")]
    ca_name: Option<String>,
    /// The organization in certificates
    #[arg(long, value_name = "NAME")]
    ca_organization: Option<String>,
    /// Life of an LDevID [default: 90]
    #[arg(long, value_name = "DAYS")]
    ca_validity_days: Option<u64>,
    /// A device may have its LDevID for an RSA key [default: false]
    #[arg(long, value_name = "BOOL")]
    ca_rsa_device_keys: Option<bool>,
    /// Make keys for devices that ask for one (fdo.csr, server-generated keys) [default: false]
    #[arg(long, value_name = "BOOL")]
    ca_server_key_generation: Option<bool>,
    /// Lists that a CA's revoked certificates are divided into, 1 to 256 [default: 256]
    #[arg(long, value_name = "NUMBER")]
    ca_crl_shards: Option<u16>,
}

impl CaFlags {
    pub(super) fn settings(&self) -> Value {
        json!({
            "name": self.ca_name,
            "organization": self.ca_organization,
            "validity_days": self.ca_validity_days,
            "rsa_device_keys": self.ca_rsa_device_keys,
            "server_key_generation": self.ca_server_key_generation,
            "crl_shards": self.ca_crl_shards,
        })
    }
}
