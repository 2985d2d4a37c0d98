//! Every certificate of the fleet in one list, whoever issued it, and bare keys beside them.
//!
//! One row a fingerprint. What knows a certificate best says where it comes from: a device's own record overrides what an
//! upload or a probe said of it.

mod ends;
pub mod export;
mod found;
pub mod gather;
pub mod probes;
pub mod routes;
mod store;
pub mod upload;

use std::fmt;

use fdo_service::database::DbErr;
use serde::{Deserialize, Serialize};

pub use ends::{alive_between, due, forecast, next_end, reconsider};
pub use found::{Found, Holder};
pub use store::{Filter, WITHOUT_END, count, cursor, find, list, record, set_cursor, withdraw_holder};

/// Where a certificate or a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Issued to a device by our CA.
    Ldevid,
    /// The first certificate of a voucher's chain.
    Idevid,
    /// A maker's CA: from a voucher's chain, or pinned.
    DeviceCa,
    /// A CA of this owner.
    Authority,
    /// A bare key that vouchers end in.
    OwnerKey,
    /// A bare key that stands in vouchers' headers.
    MakerKey,
    /// Given by an operator.
    Upload,
    /// Served by an endpoint.
    Probe,
}

impl Source {
    pub const ALL: [Self; 8] = [
        Self::Ldevid,
        Self::Idevid,
        Self::DeviceCa,
        Self::Authority,
        Self::OwnerKey,
        Self::MakerKey,
        Self::Upload,
        Self::Probe,
    ];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ldevid => "ldevid",
            Self::Idevid => "idevid",
            Self::DeviceCa => "device-ca",
            Self::Authority => "authority",
            Self::OwnerKey => "owner-key",
            Self::MakerKey => "maker-key",
            Self::Upload => "upload",
            Self::Probe => "probe",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// Whether its own record, and nobody's say-so, tells how the certificate stands.
    fn is_authoritative(self) -> bool {
        !matches!(self, Self::Upload | Self::Probe)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a certificate stands, as it is stored: time is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The TO2 that it was issued in has not ended.
    Pending,
    Active,
    /// The device has a newer one.
    Replaced,
    Revoked,
    /// It is not used here any more: the device was sold, the pin removed, the endpoint serves another one.
    Retired,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Pending, Self::Active, Self::Replaced, Self::Revoked, Self::Retired];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.name() == name)
    }
}

/// How a certificate stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The TO2 that it was issued in has not ended.
    Pending,
    Valid,
    Expired,
    /// Its validity has not begun.
    Future,
    Replaced,
    Revoked,
    Retired,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// SHA-256 of the certificate, or of the key in its X509 form; hexadecimal.
    pub fingerprint: String,
    pub source: Source,
    pub subject: String,
    pub issuer: String,
    /// The issuer's common name; its whole name where it has none.
    pub issuer_name: String,
    /// In hexadecimal; empty for a bare key.
    pub serial: String,
    pub not_before: u64,
    /// [`WITHOUT_END`] where there is none.
    pub not_after: u64,
    pub key_type: String,
    pub is_ca: bool,
    pub standing: Standing,
    pub reason: Option<String>,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub guid: Option<String>,
    pub profile: Option<String>,
    pub name: Option<String>,
    pub first_seen: u64,
    pub last_seen: u64,
    /// When alerts look at it next; 0 for at once, none where nothing about it will change by itself.
    pub attention: Option<u64>,
}

impl Listed {
    /// How it stands at this time.
    pub fn status(&self, now: u64) -> Status {
        match self.standing {
            Standing::Pending => Status::Pending,
            Standing::Revoked => Status::Revoked,
            Standing::Replaced => Status::Replaced,
            Standing::Retired => Status::Retired,
            Standing::Active if self.not_after < now => Status::Expired,
            Standing::Active if self.not_before > now => Status::Future,
            Standing::Active => Status::Valid,
        }
    }

    /// Whether it is a key without a certificate.
    pub fn is_bare_key(&self) -> bool {
        matches!(self.source, Source::OwnerKey | Source::MakerKey)
    }
}

/// Why the inventory of certificates fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no certificate with the fingerprint {0} is known here")]
    NotFound(String),
    #[error("{0} is not a fingerprint: write SHA-256 as 64 hexadecimal digits")]
    Fingerprint(String),
    #[error("the search has no letters or digits")]
    Search,
    #[error(transparent)]
    Device(#[from] super::Error),
    #[error(
        "there is a private key in the upload; nothing of it was kept. Treat the key as exposed if it left the machine \
         that it belongs to, and upload the certificate alone"
    )]
    PrivateKey,
    #[error("{0} stands for what other records say of it ({1}); only what was uploaded is retired by hand")]
    NotUploaded(String, Source),
    #[error("this is no certificate in PEM or DER: {0}")]
    Certificate(#[from] fdo_pki::Error),
    #[error("there is no endpoint {0} to probe; `probe list` shows them")]
    ProbeUnknown(String),
    #[error("{0} is probed already")]
    ProbeExists(String),
    #[error("{0} is no endpoint: write host:port, such as www.example.com:443 or [2001:db8::1]:8443")]
    Endpoint(String),
    #[error("an endpoint is probed every 60 to 31536000 seconds")]
    Interval,
    #[error("the inventory's database failed")]
    Database(#[from] DbErr),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
