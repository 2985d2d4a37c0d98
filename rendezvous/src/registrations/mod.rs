//! Where devices find their owners: one registration per GUID and device certificate (FDO 1.1, TO0 and TO1).
//!
//! A forged voucher with somebody's GUID holds another certificate, so it gets a row of its own and blocks nobody: a
//! device is answered with the row whose key it proves. When a GUID has all the rows it may have, the newest makes room:
//! who registered before a flood of forgeries stays, who comes after it is still let in (see `make_room`).

mod cache;
mod purge;
mod replace;
pub mod routes;
mod store;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use fdo_protocol::Guid;
use fdo_protocol::crypto::VerifyingKey;
use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};
use serde::{Deserialize, Serialize};

use cache::Cache;
pub use purge::purge;
pub use replace::Replace;

/// Devices that one GUID may have, so that a flood of forged vouchers cannot make a device's search endless.
pub const MAX_DEVICES: usize = 16;
/// For how long another replica's registration may go unseen.
const SHARED_CACHE_SECONDS: u64 = 5;
/// Proofs that wait to be written down.
const MAX_PENDING: usize = 65_536;

/// A GUID and the SHA-256 of a device certificate.
pub type DeviceId = (Guid, [u8; 32]);

/// Bounds of what is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationSettings {
    /// Registrations in the database; beyond it only known devices are renewed.
    pub capacity: u64,
    /// GUIDs kept in memory, in 4 KiB each on average.
    pub cache: usize,
    /// Seconds between removals of expired registrations.
    pub purge_seconds: u64,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self { capacity: 10_000_000, cache: 16_384, purge_seconds: 60 }
    }
}

/// A stored registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub guid: Guid,
    /// SHA-256 of the device's certificate.
    pub device: [u8; 32],
    /// SubjectPublicKeyInfo of the device's key.
    pub device_key: Vec<u8>,
    /// The redirect, exactly as it was signed.
    pub to1d: Vec<u8>,
    /// Fingerprint of the key that signed it.
    pub owner: [u8; 32],
    /// Fingerprint of the key in the voucher's header.
    pub manufacturer: [u8; 32],
    /// Entries of the voucher that it came with.
    pub entries: u32,
    /// When the conversation that brought it began.
    pub greeted: u64,
    pub registered: u64,
    pub renewed: u64,
    pub expires: u64,
    /// Whether the device has shown that it holds its key.
    pub proven: bool,
}

/// Whose key a fingerprint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// Who registers: the key that the voucher ends in.
    Owner,
    /// The key in the voucher's header.
    Manufacturer,
}

impl Party {
    pub const ALL: [Self; 2] = [Self::Owner, Self::Manufacturer];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manufacturer => "manufacturer",
        }
    }
}

/// On which terms a registration is taken up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    pub replace: Replace,
    /// Live registrations that one owner's key may have; 0 for any number.
    pub owner_quota: u64,
}

/// A registration that was checked and granted, with the keys of all who owned the device.
#[derive(Clone, Debug)]
pub struct Granted {
    pub registration: Registration,
    /// Fingerprints of the manufacturer's and every owner's key in the voucher.
    pub owners: Vec<[u8; 32]>,
    pub terms: Terms,
}

/// What a device is answered with.
#[derive(Clone, Debug)]
pub struct Live {
    pub device: [u8; 32],
    pub key: VerifyingKey,
    pub to1d: Vec<u8>,
    expires: u64,
}

impl Live {
    /// Whether it has not expired.
    pub fn is_live(&self, now: u64) -> bool {
        now < self.expires
    }
}

/// Why a registration is refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error("a live registration of this device has a longer ownership chain")]
    Shorter,
    #[error("a live registration of this device is another's, which the rule `{0}` keeps in its place")]
    OtherOwner(&'static str),
    #[error("a live registration of this device keeps its place until it expires (the rule `first-come`)")]
    Taken,
    #[error("the owner's key has all {0} registrations that one key may have here")]
    Quota(u64),
    #[error("a registration that began later is in its place")]
    Superseded,
    #[error("this service has as many registrations as are kept")]
    Full,
    #[error("the registrations' database failed")]
    Database(#[from] DbErr),
}

/// All registrations of the service.
pub struct Registrations {
    db: DatabaseConnection,
    cache: Cache,
    capacity: u64,
    /// Rows, as counted by the last purge and since.
    rows: AtomicU64,
    /// Devices that proved themselves since the last purge: written down then, so that TO1 only reads.
    pending: Mutex<HashSet<DeviceId>>,
}

impl Registrations {
    pub async fn open(db: DatabaseConnection, settings: &RegistrationSettings) -> Result<Self, DbErr> {
        let lifetime = database::is_postgres(&db).then_some(SHARED_CACHE_SECONDS);
        let rows = AtomicU64::new(store::count(&db).await?);
        let cache = Cache::new(settings.cache, lifetime);
        Ok(Self { db, cache, capacity: settings.capacity, rows, pending: Mutex::default() })
    }

    /// Takes up a registration; it is durable when this returns. The very same redirect again changes nothing.
    pub async fn register(self: &Arc<Self>, granted: Granted, now: u64) -> Result<(), RegistrationError> {
        let (this, guid) = (self.clone(), granted.registration.guid);
        self.change(guid, async move {
            let transaction = database::begin(&this.db).await?;
            store::lock(&transaction, &guid).await?;
            this.write(&transaction, granted, now).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Commits a change of a GUID and forgets what is kept of it, in a task of its own: a peer who hangs up drops the
    /// request that waits for it, which must not come between the two.
    pub async fn change<T, E>(
        self: &Arc<Self>,
        guid: Guid,
        committed: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        self.forgetting(move |cache| cache.forget(&guid), committed).await
    }

    /// As [`Registrations::change`], where it is not known of which GUIDs.
    pub async fn change_many<T, E>(
        self: &Arc<Self>,
        committed: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        self.forgetting(Cache::forget_all, committed).await
    }

    async fn forgetting<T, E>(
        self: &Arc<Self>,
        forget: impl FnOnce(&Cache) + Send + 'static,
        committed: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        let this = self.clone();
        let whole = tokio::spawn(async move {
            let result = committed.await;
            // After an error too: the database may have committed all the same.
            forget(&this.cache);
            result
        });
        whole.await.unwrap_or_else(|error| Err(DbErr::Custom(error.to_string()).into()))
    }

    async fn write(
        &self,
        conn: &impl ConnectionTrait,
        granted: Granted,
        now: u64,
    ) -> Result<(), RegistrationError> {
        let Granted { mut registration, owners, terms } = granted;
        let rows = store::list_of(conn, &registration.guid).await?;
        match rows.iter().find(|row| row.device == registration.device) {
            Some(earlier) if earlier.to1d == registration.to1d => return Ok(()),
            Some(earlier) => {
                terms.replace.check(earlier, &registration, &owners, now)?;
                let renewed = earlier.expires > now && earlier.owner == registration.owner;
                if !renewed {
                    check_quota(conn, &registration, terms.owner_quota, now).await?;
                }
                registration.registered = earlier.registered;
            }
            None => {
                check_quota(conn, &registration, terms.owner_quota, now).await?;
                self.make_room(conn, &rows, now).await?;
            }
        }
        Ok(store::upsert(conn, &registration).await?)
    }

    /// Expired rows go first, then the one that was registered last, whether a device has proven it or not: a forger
    /// holds his devices' keys, so a proof tells him from nobody.
    ///
    /// So no flood removes one of the first `MAX_DEVICES - 1` rows of a GUID while it is live, and none closes the
    /// GUID: a newcomer always gets the last place. What remains: an owner who comes only after `MAX_DEVICES - 1` live
    /// forgeries holds that last place until the next newcomer, and an operator has to remove the forgeries.
    async fn make_room(
        &self,
        conn: &impl ConnectionTrait,
        rows: &[Registration],
        now: u64,
    ) -> Result<(), RegistrationError> {
        if rows.len() < MAX_DEVICES {
            return match self.rows.fetch_add(1, Ordering::Relaxed) < self.capacity {
                true => Ok(()),
                false => {
                    self.rows.fetch_sub(1, Ordering::Relaxed);
                    Err(RegistrationError::Full)
                }
            };
        }
        let expired = rows.iter().find(|row| row.expires <= now);
        if let Some(leaving) = expired.or(rows.last()) {
            store::delete_device(conn, (leaving.guid, leaving.device)).await?;
        }
        Ok(())
    }

    /// The redirects of a GUID, one for each device certificate; ask each whether it [`Live::is_live`] still.
    pub async fn find(&self, guid: &Guid, now: u64) -> Result<Arc<[Live]>, DbErr> {
        let read = match self.cache.find(guid, now) {
            Ok(kept) => return Ok(kept),
            Err(read) => read,
        };
        let rows = store::list_of(&self.db, guid).await?;
        let found: Arc<[Live]> = rows.into_iter().filter_map(live).collect();
        // Unknown GUIDs are not kept: anybody can make them up.
        if !found.is_empty() {
            self.cache.insert(guid, found.clone(), read, now);
        }
        Ok(found)
    }

    /// Notes for operators that a device has asked and holds its key.
    pub fn prove(&self, id: DeviceId) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() < MAX_PENDING {
            pending.insert(id);
        }
    }

    /// All of a GUID, live or not.
    pub async fn list_of(&self, guid: &Guid) -> Result<Vec<Registration>, DbErr> {
        store::list_of(&self.db, guid).await
    }

    /// A page of all.
    pub async fn list(&self, after: Option<DeviceId>, limit: u64) -> Result<Vec<Registration>, DbErr> {
        store::list(&self.db, after, limit).await
    }

    /// Removes all of a GUID within the caller's transaction, which belongs in a [`Registrations::change`], and tells
    /// how many there were.
    pub async fn delete(
        &self,
        conn: &(impl ConnectionTrait + TransactionTrait),
        guid: &Guid,
    ) -> Result<u64, DbErr> {
        store::delete(conn, guid).await
    }

    /// Removes all of one key within the caller's transaction, which belongs in a [`Registrations::change_many`], and
    /// tells how many were live.
    pub async fn delete_of(
        &self,
        conn: &impl ConnectionTrait,
        party: Party,
        fingerprint: &[u8; 32],
        now: u64,
    ) -> Result<u64, DbErr> {
        let live = store::count_live(conn, party, fingerprint, now).await?;
        store::delete_of(conn, party, fingerprint).await?;
        Ok(live)
    }
}

/// Whether the owner may have one more; nobody else registers for it until the transaction ends.
async fn check_quota(
    conn: &impl ConnectionTrait,
    registration: &Registration,
    quota: u64,
    now: u64,
) -> Result<(), RegistrationError> {
    if quota == 0 {
        return Ok(());
    }
    store::lock_owner(conn, &registration.owner).await?;
    let live = store::count_live(conn, Party::Owner, &registration.owner, now).await?;
    if live < quota { Ok(()) } else { Err(RegistrationError::Quota(quota)) }
}

fn live(row: Registration) -> Option<Live> {
    match VerifyingKey::from_spki_der(&row.device_key) {
        Ok(key) => Some(Live { device: row.device, key, to1d: row.to1d, expires: row.expires }),
        Err(error) => {
            tracing::error!(guid = %row.guid, %error, "a stored device key does not decode");
            None
        }
    }
}
