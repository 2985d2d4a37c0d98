//! Configuration: defaults, overridden by a TOML file, by environment variables, by flags. An unknown key is an error.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Variables that flags read by themselves and that are no configuration keys.
const FLAG_VARIABLES: [&str; 5] = ["CONFIG", "DATA_DIR", "API", "TOKEN", "API_FINGERPRINT"];

/// Why there is no configuration; the text names the key, the place and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("configuration: {0}")]
    Content(String),
    #[error("cannot turn the settings into a configuration: {0}")]
    Settings(#[from] serde_json::Error),
}

/// Where a listener binds, and the certificate it shows (PEM files); without one it speaks plain HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    pub address: String,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl Listen {
    /// Plain HTTP at `address` ("127.0.0.1:8043", port 0 for any).
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }
}

/// Reads the configuration `C`, whose `Default` holds the defaults and which denies unknown fields.
///
/// `env_prefix` is like `FDO_OWNER_`, sections are separated by two underscores. In `flags`, null means "not given".
pub fn load<C>(file: Option<&Path>, env_prefix: &str, flags: &impl Serialize) -> Result<C, ConfigError>
where
    C: Default + Serialize + DeserializeOwned,
{
    let mut figment = Figment::from(Serialized::defaults(without_nulls(serde_json::to_value(C::default())?)));
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        figment = figment.merge(Toml::string(&text));
    }
    figment = figment.merge(Env::prefixed(env_prefix).ignore(&FLAG_VARIABLES).split("__"));
    // A command without flags of its own may pass `()`.
    if let flags @ Value::Object(_) = serde_json::to_value(flags)? {
        figment = figment.merge(Serialized::defaults(without_nulls(flags)));
    }
    figment.extract().map_err(|error| ConfigError::Content(explain(error, file, env_prefix)))
}

fn explain(errors: figment::Error, file: Option<&Path>, env_prefix: &str) -> String {
    let explained = errors.into_iter().map(|error| {
        let path = error.path.join(".");
        let place = match error.metadata.as_ref().map(|metadata| metadata.name.as_ref()) {
            Some(name) if name.contains("environment") => {
                format!(" (from an environment variable {env_prefix}..)")
            }
            Some(name) if name.contains("TOML") => {
                file.map(|file| format!(" (in {})", file.display())).unwrap_or_default()
            }
            _ => String::new(),
        };
        if path.is_empty() { format!("{}{place}", error.kind) } else { format!("`{path}`: {}{place}", error.kind) }
    });
    explained.collect::<Vec<_>>().join("; ")
}

/// A flag that was not given must not override what is below it.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        log: String,
        database: Option<String>,
        workers: Option<usize>,
        listen: Listen,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { log: "info".into(), database: None, workers: None, listen: Listen::at("127.0.0.1:1") }
        }
    }

    fn write(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_override_the_file_which_overrides_the_defaults() {
        let file = write("log = \"debug\"\nworkers = 3\n[listen]\naddress = \"127.0.0.1:2\"\n");
        let flags = serde_json::json!({ "workers": 5, "log": null });
        let sample: Sample = load(Some(file.path()), "FDO_SAMPLE_A_", &flags).unwrap();
        assert_eq!((sample.log.as_str(), sample.workers), ("debug", Some(5)));
        assert_eq!(sample.listen, Listen::at("127.0.0.1:2"));
        let bare: Sample = load(None, "FDO_SAMPLE_A_", &()).unwrap();
        assert_eq!(bare.log, "info");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let file = write("[listen]\nadress = \"127.0.0.1:2\"\n");
        let message = load::<Sample>(Some(file.path()), "FDO_SAMPLE_B_", &()).unwrap_err().to_string();
        assert!(message.contains("adress"), "{message}");
        let top = write("colour = 1\n");
        let message = load::<Sample>(Some(top.path()), "FDO_SAMPLE_B_", &()).unwrap_err().to_string();
        assert!(message.contains("colour"), "{message}");
    }
}
