//! Settings of alerts.

use serde::{Deserialize, Serialize};

/// When something is worth an alert, and how often it is looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Days before its end at which a certificate is told of. An LDevID, which its device renews by itself, is told of at
    /// those that are less than a third of its life.
    pub expiry_days: Vec<u32>,
    /// The same for this owner's CAs.
    pub authority_days: Vec<u32>,
    /// A device that has not renewed its LDevID when so much of the LDevID's life is over is late, in percent.
    pub renewal_overdue_percent: u8,
    /// So many onboardings of a device that fail within a day are told of; probes that fail so often in a row, too.
    pub failures: u32,
    /// More certificates than this at one threshold in one look are one alert.
    pub digest_above: u32,
    /// How often alerts are looked for, in seconds.
    pub every_seconds: u64,
    /// A critical alert that nobody acknowledged is told of again after so many hours; 0 for never.
    pub repeat_hours: u32,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            expiry_days: vec![30, 14, 7, 1],
            authority_days: vec![365, 90, 30, 7],
            renewal_overdue_percent: 80,
            failures: 3,
            digest_above: 50,
            every_seconds: 15,
            repeat_hours: 24,
        }
    }
}
