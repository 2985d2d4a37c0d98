//! Settings of admission: who may be onboarded and who may enrol, where no rule says so.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SettingError;

/// What counts where no rule fits, and who has the last word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionSettings {
    /// Of devices that no rule fits.
    pub default: Otherwise,
    /// Asked by POST for each device that the rules let in; without an answer nobody gets in.
    pub webhook: Option<String>,
    /// A file with the secret that questions are signed with.
    pub webhook_secret: Option<PathBuf>,
    /// How long an answer may take, in milliseconds.
    pub webhook_milliseconds: u64,
}

/// What counts where no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    Allow,
    Deny,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { default: Otherwise::Allow, webhook: None, webhook_secret: None, webhook_milliseconds: 5_000 }
    }
}

impl AdmissionSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        if let Some(url) = &self.webhook {
            let parsed = reqwest::Url::parse(url).ok();
            if parsed.is_none_or(|url| !matches!(url.scheme(), "http" | "https") || url.host_str().is_none()) {
                return Err(SettingError::Webhook(url.clone()));
            }
        }
        let (value, least, most) = (self.webhook_milliseconds, 1, 60_000);
        if !(least..=most).contains(&value) {
            let setting = "admission.webhook_milliseconds";
            return Err(SettingError::Range { setting, value, least, most });
        }
        Ok(())
    }
}
