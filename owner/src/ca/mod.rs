//! The owner's certificate authority: a root that is not loaded while serving, an issuing CA below it, and LDevIDs.
//!
//! Who a certificate names is the owner's record of the device, never the request. A certificate belongs to the TO2 it
//! was issued in until that ends: with 70 it is confirmed, without it is revoked.

pub mod authorities;
mod certificates;
mod current;
mod issuance;
pub mod profiles;
pub mod requests;
pub mod routes;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use fdo_pki::Certificate;
use fdo_protocol::service_info::csr::CsrError;
use fdo_service::database::{ConnectionTrait, DatabaseConnection, DbErr};
use fdo_service::secret_file::SecretFileError;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;

pub use authorities::{Authority, Role, Signer, Standing};
pub(crate) use certificates::store::insert_foreign;
pub use certificates::store::{
    abandon, confirm, find, find_by_fingerprint, find_by_guid, keep_pending, list, newest_of_device, revoke,
    revoke_abandoned, revoke_device,
};
pub use certificates::{CertificateFilter, IssuedCertificate, State};
pub use fdo_pki::Reason;
pub use issuance::{Granted, Origin, Requester, SERVER, ServerRequest};
pub use profiles::Profile;

use crate::config::CaSettings;
use crate::{inventory, vouchers};
use current::Current;
use issuance::writer::Writer;
use profiles::Compiled;

/// The profile of devices that no other is for.
pub const LDEVID: &str = "ldevid";

/// Why a certificate is not issued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request does not decode or is too large.
    #[error("the certification request cannot be read: {0}")]
    Malformed(fdo_pki::Error),
    /// Whoever asks does not hold the key.
    #[error("the certification request does not prove its key: {0}")]
    Proof(fdo_pki::Error),
    /// The key or the signature is of a kind that this CA does not certify.
    #[error("the certification request cannot be granted: {0}")]
    Unsupported(fdo_pki::Error),
    /// The key is somebody's already, or the device's own attestation key.
    #[error("the key of the certification request was seen before; make a fresh key")]
    KeySeen,
    /// It was revoked, or a repeated request took its place.
    #[error("the certificate was withdrawn before it was sent")]
    Withdrawn,
    /// An operator or an outside CA said no.
    #[error("the request was refused: {0}")]
    Refused(String),
    #[error("there is no certificate profile {0}")]
    UnknownProfile(String),
    #[error(transparent)]
    Device(#[from] inventory::Error),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    /// A fault of this side.
    #[error("the CA failed: {0}")]
    Authority(fdo_pki::Error),
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Error {
    /// What a device is told inside `fdo.csr`; none where the fault is ours.
    pub fn device_error(&self) -> Option<CsrError> {
        match self {
            Self::Malformed(_) => Some(CsrError::BadRequest),
            Self::Proof(_) | Self::KeySeen | Self::Refused(_) => Some(CsrError::Unauthorized),
            Self::Unsupported(_) => Some(CsrError::UnsupportedFormat),
            _ => None,
        }
    }

    fn in_request(error: fdo_pki::Error) -> Self {
        match error {
            fdo_pki::Error::BadSignature { .. } => Self::Proof(error),
            fdo_pki::Error::UnsupportedKey { .. } | fdo_pki::Error::UnsupportedSignature(_) => {
                Self::Unsupported(error)
            }
            _ => Self::Malformed(error),
        }
    }
}

/// Why the CA cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make or read the CA: {0}")]
    Pki(#[from] fdo_pki::Error),
    #[error("cannot make or read the CA's key: {0}")]
    Key(fdo_protocol::Error),
    #[error(
        "the CA's issuing key does not open with this sealing key; restore the sealing key that belongs to the database"
    )]
    Sealed,
    #[error("none of the issuing CAs in the database is active")]
    NoneActive,
    #[error("the connection to the outside CA {0} in the database does not hold: {1}")]
    External(String, String),
    #[error("the certificate profile {0} in the database does not hold: {1}")]
    Profile(String, Box<profiles::Error>),
    #[error(transparent)]
    RootSecret(#[from] SecretFileError),
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// The CA as it serves: it holds the keys of issuing CAs only. What changes meanwhile, here or in another replica, is
/// taken up by [`Ca::reload`].
pub struct Ca {
    current: RwLock<Arc<Current>>,
    sealing: SealingKey,
    settings: CaSettings,
    /// Where CRL, OCSP and CA certificates are published, if they are.
    status_url: Option<String>,
    writer: Writer,
}

impl Ca {
    /// Opens the CA, or makes it on the first start: the root's secret lands in `<data_dir>/ca-root-secret`.
    pub async fn open(
        db: &DatabaseConnection,
        sealing: &SealingKey,
        data_dir: &Path,
        settings: &CaSettings,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Self, OpenError> {
        let current = match current::load(db, sealing, settings).await? {
            Some(current) => current,
            None => {
                authorities::creation::create(db, sealing, data_dir, settings, now, rng).await?;
                current::load(db, sealing, settings).await?.ok_or(OpenError::NoneActive)?
            }
        };
        Ok(Self {
            current: RwLock::new(Arc::new(current)),
            sealing: sealing.clone(),
            settings: settings.clone(),
            status_url: None,
            writer: Writer::start(db),
        })
    }

    /// With the URL at which CRL, OCSP and CA certificates are published, without a slash at its end; certificates name
    /// it as their profiles say.
    #[must_use]
    pub fn with_status_url(self, url: Option<String>) -> Self {
        Self { status_url: url, ..self }
    }

    /// Takes up what has changed in the database; true if something had.
    pub async fn reload(&self, conn: &impl ConnectionTrait) -> Result<bool, OpenError> {
        if authorities::store::revision(conn).await? == self.snapshot().revision {
            return Ok(false);
        }
        let current = current::load(conn, &self.sealing, &self.settings).await?.ok_or(OpenError::NoneActive)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(true)
    }

    fn snapshot(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn profiles(&self) -> Vec<Arc<Compiled>> {
        self.snapshot().profiles().to_vec()
    }

    fn compiled(&self, profile: &str) -> Option<Arc<Compiled>> {
        self.snapshot().profile(profile).cloned()
    }

    /// A profile by its name.
    pub fn profile(&self, name: &str) -> Option<Profile> {
        self.compiled(name).map(|compiled| compiled.profile.clone())
    }

    /// The name of the profile that devices of a model get.
    pub fn profile_of_model(&self, model: Option<&str>) -> String {
        let snapshot = self.snapshot();
        let is_for = |compiled: &&Arc<Compiled>| {
            model.is_some_and(|model| compiled.profile.models.iter().any(|named| named == model))
        };
        snapshot.profiles().iter().find(is_for).map_or(LDEVID.to_owned(), |found| found.profile.name.clone())
    }

    /// The name of the profile that a device gets, by its model.
    pub async fn profile_of(
        &self,
        conn: &impl ConnectionTrait,
        device_id: &str,
    ) -> Result<String, inventory::Error> {
        if self.snapshot().profiles().iter().all(|compiled| compiled.profile.models.is_empty()) {
            return Ok(LDEVID.to_owned());
        }
        let device = inventory::find(conn, device_id).await?;
        Ok(self.profile_of_model(device.and_then(|device| device.model).as_deref()))
    }

    /// The issuing CA that new certificates come from.
    pub fn active(&self) -> Signer {
        self.snapshot().active().clone()
    }

    /// An issuing CA by its id, a retired one too: its CRL goes on.
    pub fn signer(&self, authority: &str) -> Option<Signer> {
        self.snapshot().signer(authority)
    }

    /// All issuing CAs with their keys, retired ones too: those that answer for what they issued.
    pub fn signers(&self) -> Vec<Signer> {
        let snapshot = self.snapshot();
        snapshot.authorities().iter().filter_map(|authority| snapshot.signer(&authority.id)).collect()
    }

    /// All CAs that are trusted: the active issuing CA first, then the other issuing CAs, roots, outside CAs.
    pub fn authorities(&self) -> Vec<Arc<Authority>> {
        self.snapshot().authorities().iter().filter(|authority| authority.is_trusted()).cloned().collect()
    }

    /// All CAs, retired ones too.
    pub fn all_authorities(&self) -> Vec<Arc<Authority>> {
        self.snapshot().authorities().to_vec()
    }

    /// A CA by its id, whatever its standing.
    pub fn authority(&self, id: &str) -> Option<Arc<Authority>> {
        self.snapshot().find(id).cloned()
    }

    /// Every CA certificate that devices are to trust, with what stands above it.
    pub fn trusted_certificates(&self) -> Vec<Certificate> {
        self.snapshot().trusted_certificates().into_iter().cloned().collect()
    }

    /// The certificate at the top of the active CA's chain.
    pub fn anchor(&self) -> Certificate {
        let snapshot = self.snapshot();
        let above = snapshot.above_active();
        above.last().map_or_else(|| snapshot.active().certificate().clone(), |top| (*top).clone())
    }

    /// The active CA and what stands above it, in DER, as a TLS server sends it and OCSP clients need it.
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        let snapshot = self.snapshot();
        let chain = [snapshot.active().certificate()].into_iter().chain(snapshot.above_active());
        chain.map(|certificate| certificate.der().to_vec()).collect()
    }

    /// [`Ca::trusted_certificates`] in one PKCS#7 (certificates only), in DER, as `cacerts-res` carries them.
    pub fn trusted_pkcs7(&self) -> Result<Vec<u8>, fdo_pki::Error> {
        let snapshot = self.snapshot();
        let all: Vec<&[u8]> = snapshot.trusted_certificates().into_iter().map(Certificate::der).collect();
        fdo_pki::pkcs7::build_certs_only(&all)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;
