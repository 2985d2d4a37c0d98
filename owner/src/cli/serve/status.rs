//! The flags of the status listener.

use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(next_help_heading = "Revocation")]
pub(super) struct StatusFlags {
    /// Where anybody fetches CRLs, OCSP answers and CA certificates, plain HTTP; empty for nowhere [default: 127.0.0.1:8046]
    #[arg(long, value_name = "ADDRESS:PORT")]
    status: Option<String>,
    /// The URL of that in certificates [default: http:// and the address]
    #[arg(long, value_name = "URL")]
    status_public_url: Option<String>,
    /// How long a CRL holds [default: 24]
    #[arg(long, value_name = "HOURS")]
    status_crl_hours: Option<u64>,
    /// How long an OCSP answer holds [default: 12]
    #[arg(long, value_name = "HOURS")]
    status_ocsp_hours: Option<u64>,
    /// The most that caches may keep an answer [default: 300]
    #[arg(long, value_name = "SECONDS")]
    status_cache_seconds: Option<u64>,
    /// Signed OCSP answers kept in memory [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    status_ocsp_answers: Option<usize>,
}

impl StatusFlags {
    pub(super) fn settings(&self) -> Value {
        json!({
            "address": self.status,
            "public_url": self.status_public_url,
            "crl_hours": self.status_crl_hours,
            "ocsp_hours": self.status_ocsp_hours,
            "cache_seconds": self.status_cache_seconds,
            "ocsp_answers": self.status_ocsp_answers,
        })
    }
}
