//! What `fdo-device status` tells: facts for people and scripts, none of them secret. What the agent itself relies on,
//! the serial number, is kept with the identity.

use fdo_pki::Certificate;
use serde::{Deserialize, Serialize};

/// The device as it sees itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The serial number of DI.
    pub serial: String,
    /// The model of DI.
    pub model: String,
    /// When DI ended, unix seconds.
    pub initialised_at: Option<u64>,
    /// When the last TO2 ended, unix seconds.
    pub onboarded_at: Option<u64>,
    /// The owner service of the last TO2.
    pub owner: Option<String>,
    /// The LDevID that the device has, if any.
    pub ldevid: Option<LdevidStatus>,
    /// Why the last TO2 brought no LDevID, if the owner asked for one.
    pub no_ldevid: Option<String>,
    /// Names of the Wi-Fi networks that the last TO2 brought and that were kept.
    pub networks: Vec<String>,
    /// Files that the last TO2 brought.
    pub files: Vec<String>,
    /// What the agent refused to do in the last TO2.
    pub refused: Vec<String>,
    /// When the last attempt failed, unix seconds.
    pub failed_at: Option<u64>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
}

/// An LDevID in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdevidStatus {
    /// Its subject.
    pub subject: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its last second, unix seconds.
    pub not_after: u64,
}

impl LdevidStatus {
    /// Of this certificate.
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject(),
            serial: certificate.serial().to_owned(),
            not_after: certificate.not_after(),
        }
    }
}
