//! The flags of the EST listener.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(next_help_heading = "Renewal (EST)")]
pub(super) struct EstFlags {
    /// Where devices renew their certificates, always TLS; empty for nowhere [default: 127.0.0.1:8045]
    #[arg(long, value_name = "ADDRESS:PORT")]
    est: Option<String>,
    /// The URL that devices are told [default: https:// and the address]
    #[arg(long, value_name = "URL")]
    est_public_url: Option<String>,
    /// Its certificate chain, PEM [default: one that this owner's CA issues and renews]
    #[arg(long, value_name = "FILE")]
    est_certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    est_key: Option<PathBuf>,
    /// Host name or address in the certificate that this owner's CA issues; repeat it [default: localhost 127.0.0.1 ::1]
    #[arg(long, value_name = "NAME")]
    est_name: Vec<String>,
    /// How long after its end a device's newest certificate still renews [default: 2592000]
    #[arg(long, value_name = "SECONDS")]
    est_expired_grace_seconds: Option<u64>,
    /// Refuse renewals before the profile's renewal window [default: false]
    #[arg(long, value_name = "BOOL")]
    est_refuse_early: Option<bool>,
    /// Revoke a renewed certificate once its successor was used here [default: false]
    #[arg(long, value_name = "BOOL")]
    est_revoke_on_renew: Option<bool>,
    /// Answer every client in lines of 64 columns [default: false]
    #[arg(long, value_name = "BOOL")]
    est_wrap: Option<bool>,
    /// Make keys for devices that ask for one [default: false]
    #[arg(long, value_name = "BOOL")]
    est_server_key_generation: Option<bool>,
    /// Requests with a challengePassword: refuse, ignore or tls-exporter [default: refuse]
    #[arg(long, value_name = "WHAT")]
    est_challenge_password: Option<String>,
}

impl EstFlags {
    pub(super) fn settings(&self) -> Value {
        json!({
            "address": self.est,
            "public_url": self.est_public_url,
            "certificate": self.est_certificate,
            "key": self.est_key,
            "names": super::given(&self.est_name),
            "expired_grace_seconds": self.est_expired_grace_seconds,
            "refuse_early": self.est_refuse_early,
            "revoke_on_renew": self.est_revoke_on_renew,
            "wrap": self.est_wrap,
            "server_key_generation": self.est_server_key_generation,
            "challenge_password": self.est_challenge_password,
        })
    }
}
