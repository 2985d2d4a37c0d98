//! What needs an operator before it hurts: certificates near their end, devices that do not renew, onboardings that keep
//! failing, and who is told of it.
//!
//! Rules are looked at by one replica at a time. An alert and the messages about it are one transaction, so that a crash
//! loses neither; a message that was sent but not yet written down as sent is sent once more, under the same id.

pub mod delivery;
pub mod metrics;
pub mod routes;
mod rules;
mod schedule;
mod store;
pub mod targets;

use std::fmt;

use fdo_service::database::DbErr;
use fdo_service::lease;
use serde::{Deserialize, Serialize};

pub use store::{Filter, count_waiting, find, list};

use crate::app::App;

const LEASE: &str = "alerts";
const LEASE_SECONDS: u64 = 120;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The threshold is in days.
    CertificateExpires,
    CertificateExpired,
    /// A CA of this owner; the threshold is in days.
    AuthorityExpires,
    /// A device that should have renewed its LDevID by now.
    RenewalOverdue,
    /// A device whose renewal was refused, or did not work.
    RenewalFailed,
    /// A CRL that is not signed again in time.
    CrlOverdue,
    /// The certificate that signs OCSP answers is near its end.
    OcspResponderExpires,
    /// A device whose onboardings fail again and again.
    OnboardingFailing,
    /// An endpoint whose certificates cannot be seen.
    ProbeFailing,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::CertificateExpires,
        Self::CertificateExpired,
        Self::AuthorityExpires,
        Self::RenewalOverdue,
        Self::RenewalFailed,
        Self::CrlOverdue,
        Self::OcspResponderExpires,
        Self::OnboardingFailing,
        Self::ProbeFailing,
    ];
    /// Those about a row of the inventory of certificates: their subject is its fingerprint.
    const OF_CERTIFICATES: [Self; 4] =
        [Self::CertificateExpires, Self::CertificateExpired, Self::AuthorityExpires, Self::RenewalOverdue];
    /// Those of which a later one takes an earlier one's place.
    const OF_ENDS: [Self; 3] = [Self::CertificateExpires, Self::CertificateExpired, Self::AuthorityExpires];

    /// As it stands in the API, in the database and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateExpires => "certificate-expires",
            Self::CertificateExpired => "certificate-expired",
            Self::AuthorityExpires => "authority-expires",
            Self::RenewalOverdue => "renewal-overdue",
            Self::RenewalFailed => "renewal-failed",
            Self::CrlOverdue => "crl-overdue",
            Self::OcspResponderExpires => "ocsp-responder-expires",
            Self::OnboardingFailing => "onboarding-failing",
            Self::ProbeFailing => "probe-failing",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub id: String,
    pub kind: Kind,
    /// A fingerprint, a device's id, an endpoint; [`FLEET`] where it stands for many.
    pub subject: String,
    pub threshold: u64,
    pub severity: Severity,
    pub title: String,
    /// What else is known, as JSON.
    pub detail: serde_json::Value,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    /// How many it stands for.
    pub count: u64,
    pub opened: u64,
    /// When its cause was last seen.
    pub last: u64,
    pub closed: Option<u64>,
    pub acknowledged: Option<u64>,
    pub acknowledged_by: Option<String>,
    pub silenced_until: Option<u64>,
    /// When somebody was last told of it.
    pub told: Option<u64>,
}

/// The subject of an alert that stands for many.
pub const FLEET: &str = "fleet";

/// A cause that a rule found.
#[derive(Clone, Debug)]
struct Cause {
    kind: Kind,
    subject: String,
    threshold: u64,
    severity: Severity,
    title: String,
    detail: serde_json::Value,
    device_id: Option<String>,
    device_serial: Option<String>,
    count: u64,
    /// When it was; now, where it lasts.
    at: Option<u64>,
}

/// Why something cannot be done with alerts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no alert {0}; `alert list --all` shows them")]
    NotFound(String),
    #[error("the alert {0} is closed")]
    Closed(String),
    #[error("an alert is silenced until a time to come, at most a year away")]
    Until,
    #[error("there is no alert target {0}; `alert-target list` shows them")]
    TargetUnknown(String),
    #[error("there is an alert target {0} already")]
    TargetExists(String),
    #[error("{0}: {1}")]
    Target(&'static str, String),
    #[error("the message could not be sent: {0}")]
    Unsent(String),
    #[error("a forecast is for 1 to 366 days")]
    Days,
    #[error("the secret of the target does not open with this sealing key; set it again")]
    Sealed,
    #[error("the alerts' database failed")]
    Database(#[from] DbErr),
}

/// Looks for alerts; one replica does.
pub async fn run(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    if !lease::try_acquire(&app.db, LEASE, &app.replica, now, LEASE_SECONDS).await? {
        return Ok(());
    }
    rules::run(app, now).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
