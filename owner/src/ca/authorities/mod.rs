//! The CAs that this owner trusts: a root whose key is not here while it serves, one issuing CA that is active, others
//! that devices still hold certificates of.

pub(super) mod creation;
pub mod external;
pub mod rollover;
pub mod routes;
pub(super) mod store;

use std::fmt;
use std::sync::Arc;

use fdo_pki::{Certificate, Issuer};
use fdo_protocol::crypto::SigningKey;
use fdo_service::sessions::SealingKey;
use serde::{Deserialize, Serialize};

use super::OpenError;
use external::Connection;
use store::StoredAuthority;

/// Where the root's secret lies on the host of the first start.
pub fn creation_secret(data_dir: &std::path::Path) -> std::path::PathBuf {
    data_dir.join(creation::ROOT_SECRET)
}

/// The id of the root that is made on the first start.
pub const ROOT: &str = "root";
/// The id of the first issuing CA.
pub const ISSUING: &str = "issuing";
const SEAL: &str = "ca issuing key";

/// What a CA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Signs devices' certificates; its key is here.
    Issuing,
    /// Signs issuing CAs only.
    Root,
    /// Somebody else's, which signs what it is sent.
    External,
}

/// Whether certificates come from a CA, and whether those that did are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// New certificates come from it. Of the issuing CAs one is active.
    Active,
    /// Its certificates hold, but new ones come from another.
    Trusted,
    /// Nothing of it holds any more.
    Retired,
}

impl Role {
    const ALL: [Self; 3] = [Self::Issuing, Self::Root, Self::External];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
            Self::External => "external",
        }
    }
}

impl Standing {
    const ALL: [Self; 3] = [Self::Active, Self::Trusted, Self::Retired];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Trusted => "trusted",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A CA that this owner knows.
pub struct Authority {
    pub id: String,
    pub role: Role,
    pub standing: Standing,
    pub created: u64,
    certificate: Certificate,
    chain: Vec<Certificate>,
    signing: Option<Arc<Signing>>,
    connection: Option<Connection>,
}

struct Signing {
    issuer: Issuer,
    key: SigningKey,
}

impl Authority {
    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What stands above it, where that is not our own root: the nearest first.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Whether certificates of it hold.
    pub fn is_trusted(&self) -> bool {
        self.standing != Standing::Retired
    }

    /// How requests reach it, if it is an outside CA.
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Whether it signs with a key that is here.
    pub fn has_key(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn open(stored: &StoredAuthority, sealing: &SealingKey) -> Result<Self, OpenError> {
        let certificate = Certificate::parse(&stored.certificate)?;
        let signing = match stored.role {
            Role::Issuing => {
                let der = sealing
                    .derive(SEAL)
                    .open(&stored.certificate, &stored.sealed_key)
                    .map_err(|_| OpenError::Sealed)?;
                let key = SigningKey::from_der(&der).map_err(OpenError::Key)?;
                Some(Arc::new(Signing { issuer: Issuer::new(&certificate)?, key }))
            }
            Role::Root | Role::External => None,
        };
        Ok(Self {
            id: stored.id.clone(),
            role: stored.role,
            standing: stored.standing,
            created: stored.created,
            chain: match &stored.chain {
                Some(pem) => routes::read_chain(&String::from_utf8_lossy(pem))?,
                None => Vec::new(),
            },
            certificate,
            signing,
            connection: match stored.role {
                Role::External => Some(Connection::open(sealing, &stored.id, stored.settings.as_deref())?),
                Role::Root | Role::Issuing => None,
            },
        })
    }
}

/// An issuing CA with its key: for certificates, CRLs and OCSP.
#[derive(Clone)]
pub struct Signer {
    authority: Arc<Authority>,
    signing: Arc<Signing>,
}

impl Signer {
    pub(super) fn new(authority: &Arc<Authority>) -> Option<Self> {
        let signing = authority.signing.clone()?;
        Some(Self { authority: authority.clone(), signing })
    }

    /// The CA's id.
    pub fn id(&self) -> &str {
        &self.authority.id
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.authority.certificate
    }

    /// What stands above it, where that is not our own root: the nearest first.
    pub fn chain(&self) -> &[Certificate] {
        &self.authority.chain
    }

    /// The CA as an issuer of certificates.
    pub fn issuer(&self) -> &Issuer {
        &self.signing.issuer
    }

    /// The CA's key.
    pub fn key(&self) -> &SigningKey {
        &self.signing.key
    }
}
