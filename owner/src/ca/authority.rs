//! The CA's two keys: made together on the first start, sealed under different secrets, kept in the database.

use std::path::Path;

use fdo_pki::{CaSubject, Certificate, Issuer, LdevidProfile, Lifetime, make_issuing_ca, make_root};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::database::{self, DatabaseConnection};
use fdo_service::secret_file;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;

use super::store::{self, Authorities, StoredAuthority};
use super::{Ca, OpenError};
use crate::config::CaSettings;

const ROOT_LIFETIME: Lifetime = Lifetime::years(20);
const ISSUING_LIFETIME: Lifetime = Lifetime::years(10);
const ROOT_SECRET: &str = "ca-root-secret";
const SEAL: &str = "ca issuing key";

pub(super) async fn open_or_create(
    db: &DatabaseConnection,
    sealing: &SealingKey,
    data_dir: &Path,
    settings: &CaSettings,
    now: u64,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Ca, OpenError> {
    let stored = match store::find_authorities(db).await? {
        Some(stored) => stored,
        None => {
            let made = make(sealing, data_dir, settings, now, rng)?;
            match store::insert_authorities(db, &made, now).await {
                Ok(()) => made,
                // Another replica was faster: its CA is the one.
                Err(error) if database::is_unique_violation(&error) => {
                    store::find_authorities(db).await?.ok_or(error)?
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    load(sealing, &stored, settings)
}

fn make(
    sealing: &SealingKey,
    data_dir: &Path,
    settings: &CaSettings,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<Authorities, OpenError> {
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
    Ok(Authorities {
        root: StoredAuthority {
            sealed_key: sealed(&root_secret.derive("ca root key"), &root_key, root.der())?,
            certificate: root.der().to_vec(),
        },
        issuing: StoredAuthority {
            sealed_key: sealed(&sealing.derive(SEAL), &key, issuing.der())?,
            certificate: issuing.der().to_vec(),
        },
    })
}

fn load(sealing: &SealingKey, stored: &Authorities, settings: &CaSettings) -> Result<Ca, OpenError> {
    let issuing = Certificate::parse(&stored.issuing.certificate)?;
    let der = sealing
        .derive(SEAL)
        .open(&stored.issuing.certificate, &stored.issuing.sealed_key)
        .map_err(|_| OpenError::Sealed)?;
    Ok(Ca {
        root: Certificate::parse(&stored.root.certificate)?,
        issuer: Issuer::new(&issuing)?,
        issuing,
        key: SigningKey::from_der(&der).map_err(OpenError::Key)?,
        profile: LdevidProfile {
            validity_seconds: settings.validity_days * 86_400,
            organization: settings.organization.clone(),
            allow_rsa: settings.rsa_device_keys,
            ..LdevidProfile::default()
        },
    })
}
