//! Flags of alerts.

use clap::Args;
use serde_json::{Value, json};

use super::given;

#[derive(Debug, Args)]
#[command(next_help_heading = "Alerts")]
pub(super) struct AlertFlags {
    /// Days before its end at which a certificate is told of [default: 30,14,7,1]
    #[arg(long, value_name = "DAYS", value_delimiter = ',')]
    alerts_expiry_days: Vec<u32>,
    /// The same for this owner's CAs [default: 365,90,30,7]
    #[arg(long, value_name = "DAYS", value_delimiter = ',')]
    alerts_authority_days: Vec<u32>,
    /// How much of an LDevID's life may be over before its device is late to renew it [default: 80]
    #[arg(long, value_name = "PERCENT")]
    alerts_renewal_overdue_percent: Option<u8>,
    /// Onboardings of a device that fail within a day, or looks at an endpoint, before it is told [default: 3]
    #[arg(long, value_name = "NUMBER")]
    alerts_failures: Option<u32>,
    /// More certificates than this at one threshold are one alert [default: 50]
    #[arg(long, value_name = "NUMBER")]
    alerts_digest_above: Option<u32>,
    /// How often alerts are looked for [default: 15]
    #[arg(long, value_name = "SECONDS")]
    alerts_every_seconds: Option<u64>,
    /// A critical alert that nobody acknowledged is told of again, 0 for never [default: 24]
    #[arg(long, value_name = "HOURS")]
    alerts_repeat_hours: Option<u32>,
}

impl AlertFlags {
    pub fn settings(&self) -> Value {
        json!({
            "expiry_days": given(&self.alerts_expiry_days),
            "authority_days": given(&self.alerts_authority_days),
            "renewal_overdue_percent": self.alerts_renewal_overdue_percent,
            "failures": self.alerts_failures,
            "digest_above": self.alerts_digest_above,
            "every_seconds": self.alerts_every_seconds,
            "repeat_hours": self.alerts_repeat_hours,
        })
    }
}
