//! `[compat]`: the listener for scripts that know no token, off by default.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where scripts written for go-fdo-server find this service, and as whom they act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompatSettings {
    /// A loopback address, such as "127.0.0.1:9038"; without it there is no such listener.
    pub address: Option<String>,
    /// The name of the operator token whose role and id every request has.
    pub operator: Option<String>,
    /// Names besides those of loopback by which scripts may call it, such as "manufacturer".
    pub hosts: Vec<String>,
}

/// The same as flags of `serve`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Scripts written for go-fdo-server")]
pub struct CompatFlags {
    /// A loopback address where they need no token; off if absent
    #[arg(long, value_name = "ADDRESS:PORT")]
    compat_address: Option<String>,
    /// The operator token that they act as, by its name
    #[arg(long, value_name = "NAME")]
    compat_operator: Option<String>,
    /// Names besides localhost by which they may call it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    compat_hosts: Option<Vec<String>>,
}

impl CompatFlags {
    /// As settings; null where one was not given.
    pub fn settings(&self) -> Value {
        json!({ "address": self.compat_address, "operator": self.compat_operator, "hosts": self.compat_hosts })
    }
}

/// A setting that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum CompatSettingsError {
    #[error(
        "`compat.address` = {0} is not loopback: whoever reaches it needs no token, so it must be 127.0.0.1 or [::1]"
    )]
    Exposed(String),
    #[error("`compat.address` = {address} is no address: {source}")]
    Address { address: String, source: std::io::Error },
    #[error(
        "`compat.address` is set, but `compat.operator` is not; name the operator token that its requests act as"
    )]
    Operator,
}

impl CompatSettings {
    /// Address and operator, where the listener is wanted.
    pub fn listener(&self) -> Result<Option<(&str, &str)>, CompatSettingsError> {
        let Some(address) = self.address.as_deref() else { return Ok(None) };
        let broken = |source| CompatSettingsError::Address { address: address.to_owned(), source };
        let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(broken)?.collect();
        if resolved.is_empty() || resolved.iter().any(|address| !address.ip().is_loopback()) {
            return Err(CompatSettingsError::Exposed(address.to_owned()));
        }
        let operator = self.operator.as_deref().filter(|name| !name.is_empty());
        Ok(Some((address, operator.ok_or(CompatSettingsError::Operator)?)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_off_by_default_and_never_leaves_the_machine() {
        assert!(CompatSettings::default().listener().unwrap().is_none());
        let at = |address: &str| CompatSettings {
            address: Some(address.to_owned()),
            operator: Some("scripts".to_owned()),
            ..CompatSettings::default()
        };
        assert_eq!(at("127.0.0.1:0").listener().unwrap(), Some(("127.0.0.1:0", "scripts")));
        for exposed in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            assert!(matches!(at(exposed).listener(), Err(CompatSettingsError::Exposed(_))), "{exposed}");
        }
        assert!(matches!(at("nonsense").listener(), Err(CompatSettingsError::Address { .. })));
        let nobody = CompatSettings { operator: None, ..at("127.0.0.1:0") };
        assert!(matches!(nobody.listener(), Err(CompatSettingsError::Operator)));
    }
}
