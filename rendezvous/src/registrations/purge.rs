//! The background work on registrations: writes down who proved itself, and removes what has expired.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use fdo_service::database::DbErr;
use fdo_service::lease;

use super::{Registrations, store};

/// The lease under which one replica removes expired registrations.
const LEASE: &str = "registrations/purge";

/// Does one round; `holder` names this process, `seconds` is the time to the next round.
pub async fn purge(registrations: &Registrations, holder: &str, now: u64, seconds: u64) -> Result<u64, DbErr> {
    let db = &registrations.db;
    let proven = std::mem::take(&mut *registrations.pending.lock().unwrap_or_else(PoisonError::into_inner));
    for id in proven {
        store::mark_proven(db, id).await?;
    }
    let mut removed = 0;
    if lease::try_acquire(db, LEASE, holder, now, seconds.max(1)).await? {
        removed = store::delete_expired(db, now).await?;
    }
    registrations.rows.store(store::count(db).await?, Ordering::Relaxed);
    Ok(removed)
}
