//! Logs: human lines or JSON on standard error, at the levels that the configuration names.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Human,
    Json,
}

/// Starts logging. `log` is a level or a list of `target=level` as tracing's `EnvFilter` reads them.
/// A second call changes nothing, so that tests may start several services in one process.
pub fn init(log: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(log).map_err(|source| TelemetryError { log: log.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A subscriber that is already there stays: its owner has decided.
    let _ = match format {
        LogFormat::Human => builder.with_target(false).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// The `log` setting does not parse.
#[derive(Debug, thiserror::Error)]
#[error("`log = \"{log}\"` is not understood ({source}); use a level such as `info`, or `info,fdo_owner=debug`")]
pub struct TelemetryError {
    log: String,
    source: tracing_subscriber::filter::ParseError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_named() {
        assert!(
            init("info,fdo=verybad=x", LogFormat::Human).is_err_and(|error| error.to_string().contains("verybad"))
        );
    }
}
