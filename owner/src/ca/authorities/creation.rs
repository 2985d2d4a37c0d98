//! Root and issuing CA: made together on the first start, their keys sealed under different secrets.

use std::path::Path;

use fdo_pki::{CaSubject, Issuer, Lifetime, make_issuing_ca, make_root};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::database::{self, DatabaseConnection};
use fdo_service::secret_file;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;

use super::store::{self, StoredAuthority};
use super::{ISSUING, ROOT, Role, SEAL, Standing};
use crate::ca::OpenError;
use crate::config::CaSettings;

const ROOT_LIFETIME: Lifetime = Lifetime::years(20);
pub(super) const ISSUING_LIFETIME: Lifetime = Lifetime::years(10);
/// The file with the secret that the root's key is sealed under, in the data directory of the first start.
pub const ROOT_SECRET: &str = "ca-root-secret";
pub(super) const ROOT_SEAL: &str = "ca root key";

/// Makes and stores both on the first start.
pub(in crate::ca) async fn create(
    db: &DatabaseConnection,
    sealing: &SealingKey,
    data_dir: &Path,
    settings: &CaSettings,
    now: u64,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<(), OpenError> {
    let made = make(sealing, data_dir, settings, now, rng)?;
    match store::insert_all(db, &made).await {
        // Another replica was faster: its CA is the one.
        Err(error) if database::is_unique_violation(&error) => Ok(()),
        other => Ok(other?),
    }
}

fn make(
    sealing: &SealingKey,
    data_dir: &Path,
    settings: &CaSettings,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<[StoredAuthority; 2], OpenError> {
    let subject = |role: &str| CaSubject {
        common_name: format!("{} {role}", settings.name),
        organization: settings.organization.clone(),
    };
    let root_key = SigningKey::generate(KeyType::P256, rng).map_err(OpenError::Key)?;
    let root = make_root(&subject("root CA"), &root_key, ROOT_LIFETIME, now, rng)?;
    let key = SigningKey::generate(KeyType::P256, rng).map_err(OpenError::Key)?;
    let under = Issuer::new(&root.certificate()?)?;
    let issuing =
        make_issuing_ca(&subject("issuing CA"), key.verifying_key(), &under, ISSUING_LIFETIME, now, rng)?
            .sign(&root_key)?;

    let root_secret = SealingKey::new(*secret_file::load_or_create_key(&data_dir.join(ROOT_SECRET), rng)?);
    let mut sealed = |with: &SealingKey, key: &SigningKey, certificate: &[u8]| {
        let der = key.to_pkcs8_der().map_err(OpenError::Key)?;
        Ok::<_, OpenError>(with.seal(certificate, &der, rng))
    };
    let stored = |id: &str, role, certificate: &[u8], sealed_key| StoredAuthority {
        id: id.to_owned(),
        role,
        standing: Standing::Active,
        certificate: certificate.to_vec(),
        sealed_key,
        chain: None,
        settings: None,
        created: now,
        updated: now,
    };
    Ok([
        stored(ROOT, Role::Root, root.der(), sealed(&root_secret.derive(ROOT_SEAL), &root_key, root.der())?),
        stored(ISSUING, Role::Issuing, issuing.der(), sealed(&sealing.derive(SEAL), &key, issuing.der())?),
    ])
}
