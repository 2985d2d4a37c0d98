//! The certificates that the CA issued, or was about to.

pub(super) mod store;

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Stored, but perhaps never signed.
    Prepared,
    Issued,
    Revoked,
}

impl State {
    pub(super) const ALL: [Self; 3] = [Self::Prepared, Self::Issued, Self::Revoked];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Issued => "issued",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A certificate of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    pub serial: String,
    pub guid: String,
    /// The inventory's id of the device.
    pub device_id: String,
    pub device_serial: Option<String>,
    pub subject: String,
    pub state: State,
    /// Whether the TO2 that it was issued in has ended, if it was one.
    pub confirmed: bool,
    pub not_before: u64,
    pub not_after: u64,
    pub created: u64,
    pub updated: u64,
    pub revoked: Option<u64>,
    /// Why it was revoked, as RFC 5280 names it.
    pub reason: Option<String>,
    pub reason_code: Option<u8>,
    /// The CA that issued it.
    pub authority: String,
    pub profile: String,
    /// SHA-256 of the certificate in hexadecimal; none while it is prepared.
    pub fingerprint: Option<String>,
    pub key_type: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo in hexadecimal.
    pub key_sha256: Option<String>,
    /// The shard of its CA's CRL that it belongs to.
    pub shard: u8,
    /// "to2", "est", "upload" or "external".
    pub origin: String,
    /// The serial number of the certificate that it follows.
    pub replaces: Option<String>,
    pub pem: Option<String>,
}

/// Which certificates to list.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CertificateFilter {
    pub guid: Option<String>,
    pub serial: Option<String>,
    pub state: Option<State>,
}
