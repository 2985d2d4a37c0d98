//! The certificate of the EST listener: the operator's own, or one that this owner's CA issues, so that a device that was
//! given the CA in TO2 trusts it. It is renewed while the listener serves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fdo_pki::Certificate;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::tls::TlsError;
use fdo_service::host::{RenewedCertificate, data_dir};
use fdo_service::secret_file::{self, SecretFileError};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::app::App;
use crate::ca;

/// How long such a certificate lives; it is renewed at two thirds.
const LIFE: u64 = 90 * 86_400;
/// A name in the log of whoever looks at the certificate.
const COMMON_NAME: &str = "Firstlight EST";

/// A certificate, and its key in PKCS#8.
type Pair = (Certificate, Zeroizing<Vec<u8>>);

/// What the listener shows, and until when.
#[derive(Default)]
pub struct Identity {
    shown: Arc<RenewedCertificate>,
    /// Unix seconds from which on another one is due.
    due: AtomicU64,
    /// The CA that issued it, or the content of the operator's files.
    origin: Mutex<Option<Vec<u8>>>,
}

impl Identity {
    /// For the TLS listener.
    pub fn shown(&self) -> Arc<RenewedCertificate> {
        self.shown.clone()
    }
}

/// Why the listener has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("cannot use the folder of the EST listener's certificate: {0}")]
    Folder(std::io::Error),
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("the EST listener's certificate cannot be used: {0}")]
    Tls(#[from] TlsError),
    #[error("cannot make a certificate for the EST listener: {0}")]
    Pki(#[from] fdo_pki::Error),
    #[error("cannot make a key for the EST listener: {0}")]
    Key(fdo_protocol::Error),
    #[error("the CA issues no certificate for the EST listener: {0}")]
    Ca(#[from] ca::Error),
}

/// Shows what is due to be shown: called before the listener starts, and then again and again.
pub async fn renew(app: &App) -> Result<(), Error> {
    let settings = &app.settings.est;
    match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => from_files(app, certificate, key),
        _ => from_ca(app).await,
    }
}

/// The operator replaces the files when it is time.
fn from_files(app: &App, certificate: &Path, key: &Path) -> Result<(), Error> {
    let identity = &app.est_identity;
    let now = app.clock.now();
    if now < identity.due.load(Ordering::Relaxed) {
        return Ok(());
    }
    identity.due.store(now + 60, Ordering::Relaxed);
    let chain = std::fs::read(certificate).map_err(|error| Error::File(certificate.to_owned(), error))?;
    let key = secret_file::load(key)?;
    let content = Sha256::new().chain_update(&chain).chain_update(&*key).finalize().to_vec();
    let mut origin = identity.origin.lock().unwrap_or_else(PoisonError::into_inner);
    if origin.as_ref() != Some(&content) {
        identity.shown.set_pem(&chain, &key)?;
        *origin = Some(content);
    }
    Ok(())
}

async fn from_ca(app: &App) -> Result<(), Error> {
    let identity = &app.est_identity;
    let (now, active) = (app.clock.now(), app.ca.active().certificate().der().to_vec());
    let is_of_active = identity.origin.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&active);
    if is_of_active && now < identity.due.load(Ordering::Relaxed) {
        return Ok(());
    }
    let folder = app.data_dir.join("est");
    data_dir::create(&folder).map_err(Error::Folder)?;
    let (certificate, key) = match kept(app, &folder, now)? {
        Some(kept) => kept,
        None => made(app, &folder, now).await?,
    };
    let mut chain = vec![certificate.der().to_vec()];
    chain.extend(app.ca.chain_der());
    identity.shown.set_der(chain, &key)?;
    identity.due.store(due(&certificate), Ordering::Relaxed);
    *identity.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(active);
    Ok(())
}

fn due(certificate: &Certificate) -> u64 {
    let life = certificate.not_after().saturating_sub(certificate.not_before());
    certificate.not_before() + life / 3 * 2
}

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("certificate.pem"), folder.join("key.pem"))
}

/// The pair that an earlier start left behind, where it is still good: of the active CA, for these names, not due.
fn kept(app: &App, folder: &Path, now: u64) -> Result<Option<Pair>, Error> {
    let (certificate_path, key_path) = paths(folder);
    let (Ok(pem), true) = (std::fs::read_to_string(&certificate_path), key_path.exists()) else { return Ok(None) };
    let Some(der) = fdo_pki::pem::decode_certificates(&pem).ok().and_then(|all| all.into_iter().next()) else {
        return Ok(None);
    };
    let (certificate, key_pem) = (Certificate::parse(&der)?, secret_file::load(&key_path)?);
    let key = std::str::from_utf8(&key_pem).ok().and_then(|pem| SigningKey::from_pem(pem).ok());
    let Some(key) = key.filter(|key| key.verifying_key().spki_der() == certificate.spki()) else {
        return Ok(None);
    };
    let names = app.settings.est.server_names();
    let is_good = certificate.not_before() <= now
        && now < due(&certificate)
        && fdo_pki::names_exactly(&certificate, &names)?
        && certificate.verify_signed_by(app.ca.active().certificate()).is_ok();
    Ok(if is_good { Some((certificate, key.to_pkcs8_der().map_err(Error::Key)?)) } else { None })
}

async fn made(app: &App, folder: &Path, now: u64) -> Result<Pair, Error> {
    let key = SigningKey::generate(KeyType::P256, &mut app.random.rng()).map_err(Error::Key)?;
    let names = app.settings.est.server_names();
    let rng = &mut app.random.rng();
    let request =
        ca::ServerRequest { common_name: COMMON_NAME, names: &names, key: key.verifying_key(), life: LIFE };
    let certificate = app.ca.issue_server(&request, now, rng).await?;
    let (certificate_path, key_path) = paths(folder);
    // The key first: a pair that does not belong together is made again.
    secret_file::write(&key_path, key.to_pkcs8_pem().map_err(Error::Key)?.as_bytes())?;
    secret_file::write(&certificate_path, fdo_pki::pem::encode_certificates(&[certificate.der()])?.as_bytes())?;
    tracing::info!(
        serial = certificate.serial(),
        until = certificate.not_after(),
        "the EST listener has a new certificate"
    );
    let pkcs8 = key.to_pkcs8_der().map_err(Error::Key)?;
    Ok((*certificate, pkcs8))
}
