//! What the configuration says of the service-info modules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fdo_http::outbound::Guard;

use super::{Config, ConfigError};
use crate::modules::{CsrSettings, Limits, ModuleSettings, PayloadSettings, WgetSettings, WifiSettings};
use crate::renewal::RenewalSettings;

/// How much of what the hook of a renewal writes is kept, in bytes, to say why it failed.
const HOOK_OUTPUT: usize = 4096;

impl Config {
    pub(super) fn module_settings(&self, files: Option<PathBuf>) -> Result<ModuleSettings, ConfigError> {
        let limits = |directory, seconds| Limits {
            directory,
            time_limit: Duration::from_secs(seconds),
            output_limit: self.command_output,
        };
        let csr = CsrSettings { attributes: self.enrolment_attributes, server_key: self.enrolment_server_key };
        let wget = match files.clone().filter(|_| self.wget) {
            None => None,
            Some(directory) => Some(WgetSettings {
                directory,
                limit: self.download_limit,
                time_limit: Duration::from_secs(self.wget_seconds),
                guard: self.guard()?,
                authority: self.wget_authority()?,
                unverified: self.wget_unverified,
            }),
        };
        let payload = |directory| PayloadSettings {
            types: self.payload_types.iter().map(|name| name.to_ascii_lowercase()).collect(),
            limit: self.payload_limit,
            program: self.payload_program.clone(),
            limits: limits(directory, self.payload_seconds),
            log: self.payload_log,
        };
        Ok(ModuleSettings {
            wifi: WifiSettings {
                format: self.wifi_format,
                interface: self.wifi_interface.clone(),
                country: self.wifi_country.clone(),
                server_domain: self.wifi_server_domain.clone(),
            },
            enrolment: self.enrolment.then_some(csr),
            renewal: self.enrolment && self.renewal,
            download: files.clone().filter(|_| self.downloads).map(|files| (files, self.download_limit)),
            upload: files.clone().filter(|_| self.uploads),
            wget,
            payload: files.clone().filter(|_| !self.payload_types.is_empty()).map(payload),
            command: files.filter(|_| self.commands).map(|files| limits(files, self.command_seconds)),
            conformance: self.conformance_logger.is_some(),
        })
    }

    pub(super) fn renewal_settings(&self, state: Option<&Path>) -> RenewalSettings {
        let limits = Limits {
            directory: state.map_or_else(std::env::temp_dir, Path::to_path_buf),
            time_limit: Duration::from_secs(self.renewal_hook_seconds.max(1)),
            output_limit: HOOK_OUTPUT,
        };
        RenewalSettings { hook: self.renewal_hook.clone(), hook_limits: limits, reonboard: self.renewal_reonboard }
    }

    pub(super) fn guard(&self) -> Result<Guard, ConfigError> {
        let reason = "may hold \"loopback\", \"private\" and networks like 10.0.0.0/8";
        Guard::new(&self.outbound_allow).map_err(|_| ConfigError::Value { key: "outbound_allow", reason })
    }

    fn wget_authority(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(path) = &self.wget_ca else { return Ok(None) };
        let pem = std::fs::read_to_string(path).ok();
        let certificates = pem.and_then(|pem| fdo_pki::pem::decode_certificates(&pem).ok());
        let authority = certificates.and_then(|certificates| certificates.into_iter().next());
        let reason = "must be a file with a CA certificate in PEM";
        authority.map(Some).ok_or(ConfigError::Value { key: "wget_ca", reason })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_costs_trust_is_off_unless_asked_for() {
        let modules = |config: Config| config.agent_settings(Some(Path::new("/state"))).unwrap().modules;
        let default = modules(Config::default());
        assert!(default.command.is_none() && default.payload.is_none() && !default.conformance);
        assert!(default.upload.is_some() && !default.wget.unwrap().unverified);
        let on = Config {
            payload_types: vec!["Text/Plain".into()],
            conformance_logger: Some("http://127.0.0.1:1".into()),
            ..Config::default()
        };
        let on = modules(on);
        assert_eq!(on.payload.unwrap().types, ["text/plain"]);
        assert!(on.conformance);
        // In memory there is no place for files.
        let none = Config::default().agent_settings(None).unwrap().modules;
        assert!(none.download.is_none() && none.upload.is_none() && none.wget.is_none());
    }

    #[test]
    fn values_without_a_meaning_are_named() {
        for (config, key) in [
            (Config { outbound_allow: vec!["everything".into()], ..Config::default() }, "outbound_allow"),
            (Config { wget_ca: Some("/no/such/file".into()), ..Config::default() }, "wget_ca"),
        ] {
            let error = config.agent_settings(Some(Path::new("/state"))).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        let logger = serde_json::json!({ "conformance_logger": "no URL" });
        assert!(Config::load(None, logger).unwrap_err().to_string().contains("conformance_logger"));
    }
}
