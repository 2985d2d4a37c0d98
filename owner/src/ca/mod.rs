//! The owner's certificate authority: a root that is not loaded while serving, an issuing CA below it, and LDevIDs.
//!
//! Who a certificate names is the owner's record of the device, never the request. A certificate belongs to the TO2 it
//! was issued in until that ends: with 70 it is confirmed, without it is revoked.

mod authority;
pub mod routes;
mod store;

use std::path::Path;

use fdo_pki::{Certificate, Csr, DeviceSerial, Issuer, LdevidProfile, LdevidSubject};
use fdo_protocol::Guid;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::csr::CsrError;
use fdo_service::database::{ConnectionTrait, DatabaseConnection, DbErr};
use fdo_service::secret_file::SecretFileError;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;

pub use store::{
    CertificateFilter, IssuedCertificate, State, abandon, confirm, find_by_guid, keep_pending, list,
    revoke_abandoned, revoke_device,
};

use crate::config::CaSettings;

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
            Self::Proof(_) | Self::KeySeen => Some(CsrError::Unauthorized),
            Self::Unsupported(_) => Some(CsrError::UnsupportedFormat),
            Self::Withdrawn | Self::Authority(_) | Self::Database(_) => None,
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
    #[error(transparent)]
    RootSecret(#[from] SecretFileError),
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// The CA as it serves: it holds the issuing key only.
pub struct Ca {
    root: Certificate,
    issuing: Certificate,
    issuer: Issuer,
    key: SigningKey,
    profile: LdevidProfile,
}

/// The device that asks, as TO2 and the owner's records know it.
pub struct Requester<'a> {
    /// The inventory's id of the device: SHA-256 of its attestation key, in hexadecimal.
    pub device_id: &'a str,
    /// The serial number in its IDevID.
    pub serial: Option<&'a str>,
    /// The GUID that it was given in message 65.
    pub guid: Guid,
    /// The TO2 that the certificate belongs to until it is confirmed.
    pub session: &'a str,
    /// When it is taken to be abandoned, unless it is confirmed or [`keep_pending`] moves that.
    pub pending_until: u64,
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
        authority::open_or_create(db, sealing, data_dir, settings, now, rng).await
    }

    /// The certificate of the root.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The certificate of the issuing CA.
    pub fn issuing(&self) -> &Certificate {
        &self.issuing
    }

    /// Issuing CA and root, in DER.
    pub fn chain_der(&self) -> [&[u8]; 2] {
        [self.issuing.der(), self.root.der()]
    }

    /// Both in one PKCS#7 (certificates only), in DER, as `cacerts-res` carries them.
    pub fn chain_pkcs7(&self) -> Result<Vec<u8>, fdo_pki::Error> {
        fdo_pki::pkcs7::build_certs_only(&self.chain_der())
    }

    /// Issues an LDevID for the key in `csr` (PKCS#10 in DER, PEM or base64).
    ///
    /// The serial and what will be signed are stored before the signature is made.
    pub async fn issue_ldevid(
        &self,
        conn: &impl ConnectionTrait,
        csr: &[u8],
        requester: &Requester<'_>,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<Certificate, Error> {
        let csr = Csr::from_any(csr).and_then(Csr::verify).map_err(Error::in_request)?;
        if hex::encode(csr.spki_sha256()) == requester.device_id {
            return Err(Error::KeySeen);
        }
        let serial = requester.serial.map(DeviceSerial::from_certificate).transpose().map_err(Error::Authority)?;
        let subject = LdevidSubject { serial, guid: requester.guid };
        let prepared =
            self.profile.prepare(&csr, &subject, &self.issuer, now, rng).map_err(|error| match error {
                // The key is a fine one, but not for this profile.
                fdo_pki::Error::UnsupportedKey { .. } => Error::in_request(error),
                other => Error::Authority(other),
            })?;
        if let Some(der) = store::insert_prepared(conn, &prepared, requester, now).await? {
            return Certificate::parse(&der).map_err(Error::Authority);
        }
        let issued = prepared.sign(&self.key).map_err(Error::Authority)?;
        if store::set_issued(conn, &issued).await? {
            return Certificate::parse(issued.der()).map_err(Error::Authority);
        }
        let other = store::issued_meanwhile(conn, issued.spki_sha256(), requester).await?;
        Certificate::parse(&other.ok_or(Error::Withdrawn)?).map_err(Error::Authority)
    }
}

/// Why a certificate is no longer good (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The device was onboarded again.
    Superseded,
    /// The TO2 that it was issued in never ended, or the device left the fleet.
    CessationOfOperation,
}

impl Reason {
    /// The name in RFC 5280.
    pub fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;
