//! The flags of admission.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(next_help_heading = "Admission")]
pub(super) struct AdmissionFlags {
    /// Devices that no rule fits: allow or deny [default: allow]
    #[arg(long, value_name = "WHAT")]
    admission_default: Option<String>,
    /// Asked for each device that the rules let in; without an answer nobody gets in
    #[arg(long, value_name = "URL")]
    admission_webhook: Option<String>,
    /// A file with the secret that questions are signed with, mode 0600
    #[arg(long, value_name = "FILE")]
    admission_webhook_secret: Option<PathBuf>,
    /// How long an answer may take [default: 5000]
    #[arg(long, value_name = "MILLISECONDS")]
    admission_webhook_milliseconds: Option<u64>,
}

impl AdmissionFlags {
    pub(super) fn settings(&self) -> Value {
        json!({
            "default": self.admission_default,
            "webhook": self.admission_webhook,
            "webhook_secret": self.admission_webhook_secret,
            "webhook_milliseconds": self.admission_webhook_milliseconds,
        })
    }
}
