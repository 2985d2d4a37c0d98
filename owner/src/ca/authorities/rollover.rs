//! A new issuing CA takes over from an old one: introduced, so that devices trust both; activated, so that new
//! certificates come from it; and the old one retired, once nothing of it is left.

use fdo_pki::{CaSubject, Certificate, Issuer, check_issuing_chain, make_issuing_ca};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::database::{self, DatabaseTransaction, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::sessions::SealingKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::creation::{ISSUING_LIFETIME, ROOT_SEAL};
use super::store::{self, StoredAuthority};
use super::{ISSUING, ROOT, Role, SEAL, Standing};
use crate::app::App;
use crate::ca::{OpenError, certificates, profiles};

/// For so many seconds another replica may still issue from the CA that was active.
const OTHERS_NOTICE: u64 = 60;
/// How many CAs are kept, retired ones included: all of them go to devices.
pub(super) const MOST: usize = 12;

/// Why a CA is not introduced, activated or retired.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no CA {0}; `fdo-owner ca authorities` shows those there are")]
    NotFound(String),
    #[error("the root's key does not open with this secret; give the file `ca-root-secret` of the first start")]
    RootSecret,
    #[error("the root is retired, or has ended; import an issuing CA instead")]
    RootGone,
    #[error("the chain cannot be used: {0}")]
    Chain(fdo_pki::Error),
    #[error("the key cannot be used: {0}")]
    Key(fdo_protocol::Error),
    #[error("the key is not that of the first certificate in the chain")]
    OtherKey,
    #[error("this CA is here already, as {0}")]
    Known(String),
    #[error("{id} is {what}")]
    Standing { id: String, what: &'static str },
    #[error("{count} certificates of {id} still hold; wait until their devices have renewed, or use --force")]
    InUse { id: String, count: u64 },
    #[error("the issuing CA {other} stands below {id}; retire that first")]
    Below { id: String, other: String },
    #[error("the profile {profile} has its certificates signed by {id}; change that first")]
    Named { id: String, profile: String },
    #[error(
        "an outside CA's id has 1 to 32 of a-z, 0-9 and -, is not \"own\" or \"root\", and does not begin with \"issuing\""
    )]
    Id,
    #[error("there are {MOST} CAs already")]
    TooMany,
    #[error(transparent)]
    Pki(#[from] fdo_pki::Error),
    #[error(transparent)]
    Reload(#[from] OpenError),
    #[error("the CA's database failed")]
    Database(#[from] DbErr),
}

pub(super) async fn record(
    conn: &DatabaseTransaction,
    now: u64,
    (actor, action): (&str, &str),
    id: &str,
    detail: &str,
) -> Result<(), DbErr> {
    audit::record(conn, now, Event { actor, action, subject: id, outcome: Outcome::Success, detail }).await
}

/// The id and the number of the next issuing CA.
fn next(all: &[StoredAuthority]) -> Result<(String, usize), Error> {
    if all.len() >= MOST {
        return Err(Error::TooMany);
    }
    let taken = |id: &String| all.iter().any(|authority| authority.id == *id);
    let mut number = 2;
    while taken(&format!("{ISSUING}-{number}")) {
        number += 1;
    }
    Ok((format!("{ISSUING}-{number}"), number))
}

fn stored(id: &str, certificate: &[u8], sealed_key: Vec<u8>, now: u64) -> StoredAuthority {
    StoredAuthority {
        id: id.to_owned(),
        role: Role::Issuing,
        standing: Standing::Trusted,
        certificate: certificate.to_vec(),
        sealed_key,
        chain: None,
        settings: None,
        created: now,
        updated: now,
    }
}

/// Makes a new issuing CA under the root, whose secret is used for this only. Gives its id.
pub async fn introduce(app: &App, actor: &str, root_secret: &Zeroizing<[u8; 32]>) -> Result<String, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let all = store::all(&transaction).await?;
    let root = all.iter().find(|authority| authority.id == ROOT && authority.standing != Standing::Retired);
    let root = root.ok_or(Error::RootGone)?;
    let certificate = Certificate::parse(&root.certificate)?;
    certificate.check_validity("root CA", now).map_err(|_| Error::RootGone)?;
    let opened = SealingKey::new(**root_secret).derive(ROOT_SEAL).open(&root.certificate, &root.sealed_key);
    let root_key = SigningKey::from_der(&opened.map_err(|_| Error::RootSecret)?).map_err(Error::Key)?;

    let (id, number) = next(&all)?;
    let settings = &app.settings.ca;
    let subject = CaSubject {
        common_name: format!("{} issuing CA {number}", settings.name),
        organization: settings.organization.clone(),
    };
    let rng = &mut app.random.rng();
    let key = SigningKey::generate(KeyType::P256, rng).map_err(Error::Key)?;
    let under = Issuer::new(&certificate)?;
    let issued =
        make_issuing_ca(&subject, key.verifying_key(), &under, ISSUING_LIFETIME, now, rng)?.sign(&root_key)?;
    drop(root_key);
    let sealed = app.sealing.derive(SEAL).seal(issued.der(), &key.to_pkcs8_der().map_err(Error::Key)?, rng);
    store::insert(&transaction, &stored(&id, issued.der(), sealed, now)).await?;
    record(&transaction, now, (actor, "ca.introduce"), &id, &hex::encode(issued.fingerprint())).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(id)
}

/// Takes an issuing CA of the company's: its certificate, what stands above it up to the root, and its key. Gives its id.
pub async fn import(app: &App, actor: &str, chain: &[Certificate], key: &SigningKey) -> Result<String, Error> {
    let now = app.clock.now();
    check_issuing_chain(chain, now).map_err(Error::Chain)?;
    let [certificate, above @ ..] = chain else { return Err(Error::OtherKey) };
    if certificate.public_key().ok().as_ref() != Some(key.verifying_key()) {
        return Err(Error::OtherKey);
    }
    let transaction = database::begin(&app.db).await?;
    let all = store::all(&transaction).await?;
    if let Some(known) = all.iter().find(|known| known.certificate == certificate.der()) {
        return Err(Error::Known(known.id.clone()));
    }
    let (id, _) = next(&all)?;
    let der = key.to_pkcs8_der().map_err(Error::Key)?;
    let sealed = app.sealing.derive(SEAL).seal(certificate.der(), &der, &mut app.random.rng());
    let above: Vec<&[u8]> = above.iter().map(Certificate::der).collect();
    let chain = match above.as_slice() {
        [] => None,
        above => Some(fdo_pki::pem::encode_certificates(above)?.into_bytes()),
    };
    store::insert(&transaction, &StoredAuthority { chain, ..stored(&id, certificate.der(), sealed, now) }).await?;
    let fingerprint = hex::encode(Sha256::digest(certificate.der()));
    record(&transaction, now, (actor, "ca.import"), &id, &fingerprint).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(id)
}

/// Lets new certificates come from this CA; the one before stays trusted.
pub async fn activate(app: &App, actor: &str, id: &str) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let all = store::all(&transaction).await?;
    let next = all.iter().find(|authority| authority.id == id).ok_or_else(|| Error::NotFound(id.to_owned()))?;
    let refused = |what| Err(Error::Standing { id: id.to_owned(), what });
    match (next.role, next.standing) {
        (Role::Issuing, Standing::Trusted) => {}
        (Role::Issuing, Standing::Active) => return refused("active already"),
        (_, Standing::Retired) => return refused("retired"),
        _ => return refused("no issuing CA of ours"),
    }
    if Certificate::parse(&next.certificate)?.check_validity("issuing CA", now).is_err() {
        return refused("not valid at this time");
    }
    for before in all.iter().filter(|one| one.role == Role::Issuing && one.standing == Standing::Active) {
        store::set_standing(&transaction, &before.id, (Standing::Active, Standing::Trusted), now).await?;
    }
    if !store::set_standing(&transaction, id, (Standing::Trusted, Standing::Active), now).await? {
        return refused("no longer what it was; look again");
    }
    record(&transaction, now, (actor, "ca.activate"), id, "").await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(())
}

/// Ends the trust in a CA of which nothing holds any more; with `force`, whatever holds.
pub async fn retire(app: &App, actor: &str, id: &str, force: bool) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let all = store::all(&transaction).await?;
    let gone = all.iter().find(|authority| authority.id == id).ok_or_else(|| Error::NotFound(id.to_owned()))?;
    let refused = |what| Err(Error::Standing { id: id.to_owned(), what });
    match (gone.role, gone.standing) {
        (_, Standing::Retired) => return refused("retired already"),
        (Role::Issuing, Standing::Active) => return refused("active; activate another first"),
        (Role::Issuing, _) if !force && now < gone.updated.saturating_add(OTHERS_NOTICE) => {
            return refused("active until a moment ago; wait a minute, so that every replica knows");
        }
        (Role::Root, _) => {
            let root = Certificate::parse(&gone.certificate)?;
            for below in all.iter().filter(|one| one.role == Role::Issuing && one.standing != Standing::Retired) {
                if Certificate::parse(&below.certificate)?.verify_signed_by(&root).is_ok() {
                    return Err(Error::Below { id: id.to_owned(), other: below.id.clone() });
                }
            }
        }
        _ => {}
    }
    let profiles = profiles::store::all(&transaction).await?;
    if let Some(named) = profiles.iter().find(|stored| stored.profile.authority.as_deref() == Some(id)) {
        return Err(Error::Named { id: id.to_owned(), profile: named.profile.name.clone() });
    }
    let count = certificates::store::count_live(&transaction, id, now).await?;
    if count > 0 && !force {
        return Err(Error::InUse { id: id.to_owned(), count });
    }
    if !store::set_standing(&transaction, id, (gone.standing, Standing::Retired), now).await? {
        return refused("no longer what it was; look again");
    }
    let detail = if count == 0 { String::new() } else { format!("forced, {count} certificates held") };
    record(&transaction, now, (actor, "ca.retire"), id, &detail).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(())
}
