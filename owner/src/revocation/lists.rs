//! CRLs: one of each shard of each CA, signed when something changed, at half of its life, and when the first one asks.
//!
//! The number is committed before the signature is made, and the list is stored in the transaction that takes the marks
//! of its changes away. Where signing fails the earlier list is served, and the marks stay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fdo_pki::crl::{CrlProfile, RevokedEntry};
use fdo_service::database;
use fdo_service::lease;
use rand_core::Rng;
use sha2::{Digest, Sha256};

use super::view::{Known, Scope};
use super::{Error, status, store};
use crate::app::App;
use crate::ca::Signer;

/// Signing takes milliseconds; a replica that died over it is waited for so long.
const LEASE_SECONDS: u64 = 30;
/// A list that could not be signed is tried again after so many seconds.
const RETRY_SECONDS: u64 = 5;
/// A list of everything is not signed more often, in seconds.
const FULL_PAUSE: u64 = 10;
/// The most bytes of lists in memory.
const MEMORY: usize = 64 * 1024 * 1024;

/// A list as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub der: bytes::Bytes,
    pub this_update: u64,
    pub next_update: u64,
    /// SHA-256 of the list in hexadecimal.
    pub tag: String,
    known: Known,
}

impl Published {
    fn new(list: store::StoredList) -> Self {
        Self {
            tag: hex::encode(Sha256::digest(&list.der)),
            der: list.der.into(),
            this_update: list.known.this_update,
            next_update: list.known.next_update,
            known: list.known,
        }
    }
}

/// Lists in memory.
#[derive(Default)]
pub(super) struct Lists {
    kept: Mutex<HashMap<(String, Scope), Arc<Published>>>,
    /// One signs at a time; the others find what it made.
    signing: tokio::sync::Mutex<()>,
    /// Lists that could not be signed, and until when they are left alone.
    failed: Mutex<HashMap<(String, Scope), u64>>,
}

impl Lists {
    fn find(&self, authority: &str, scope: Scope, number: u64) -> Option<Arc<Published>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&(authority.to_owned(), scope));
        found.filter(|list| list.known.number == number).cloned()
    }

    fn keep(&self, authority: &str, scope: Scope, list: &Arc<Published>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let size: usize = kept.values().map(|list| list.der.len()).sum();
        if size + list.der.len() > MEMORY {
            kept.clear();
        }
        if list.der.len() <= MEMORY {
            kept.insert((authority.to_owned(), scope), list.clone());
        }
    }

    fn is_left_alone(&self, key: &(String, Scope), now: u64) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(key).is_some_and(|until| now < *until)
    }

    fn set_failed(&self, key: &(String, Scope), until: Option<u64>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match until {
            Some(until) => failed.insert(key.clone(), until),
            None => failed.remove(key),
        };
    }
}

/// Learns what changed here and elsewhere; OCSP answers from memory are right from then on.
pub async fn refresh(app: &App) -> Result<(), Error> {
    app.revocation.view.replace(store::shards(&app.db).await?);
    Ok(())
}

/// Learns what changed and signs what is due. Gives how many lists were signed.
pub async fn run_due(app: &App) -> Result<usize, Error> {
    refresh(app).await?;
    let now = app.clock.now();
    let mut done = 0;
    for key in app.revocation.view.due(now) {
        let Some(signer) = app.ca.signer(&key.0) else { continue };
        if key.1 == Scope::Full || app.revocation.lists.is_left_alone(&key, now) {
            // A list of everything is signed when somebody asks for it.
            continue;
        }
        match sign(app, &signer, key.1).await {
            Ok(_) => {
                app.revocation.lists.set_failed(&key, None);
                done += 1;
            }
            Err(Error::Busy) => {}
            Err(error) => {
                tracing::error!(authority = key.0, scope = ?key.1, %error, "a CRL cannot be signed; the earlier one is served");
                app.metrics.count("firstlight_crl_failures_total");
                app.revocation.lists.set_failed(&key, Some(now + RETRY_SECONDS));
            }
        }
    }
    Ok(done)
}

/// The list to serve now. Signs it where there is none that holds.
pub async fn current(app: &App, authority: &str, scope: Scope) -> Result<Arc<Published>, Error> {
    let signer = app.ca.signer(authority).ok_or_else(|| Error::NoAuthority(authority.to_owned()))?;
    let now = app.clock.now();
    let known = app.revocation.view.of(authority, scope);
    let holds = |list: &Published| now < list.next_update && !is_old(app, authority, scope, list, now);
    if let Some(list) = app.revocation.lists.find(authority, scope, known.number).filter(|list| holds(list)) {
        return Ok(list);
    }
    let _alone = app.revocation.lists.signing.lock().await;
    let stored = store::list(&app.db, authority, scope).await?.map(|list| Arc::new(Published::new(list)));
    if let Some(list) = stored.as_ref().filter(|list| holds(list)) {
        app.revocation.lists.keep(authority, scope, list);
        app.revocation.view.signed(authority, scope, Known { is_behind: known.is_behind, ..list.known });
        return Ok(list.clone());
    }
    match (sign(app, &signer, scope).await, stored) {
        (Ok(list), _) => Ok(list),
        (Err(error), Some(earlier)) => {
            if !matches!(error, Error::Busy) {
                tracing::error!(authority, ?scope, %error, "a CRL cannot be signed; the earlier one is served");
                app.metrics.count("firstlight_crl_failures_total");
            }
            Ok(earlier)
        }
        (Err(error), None) => Err(error),
    }
}

/// Whether a list of everything lags behind the shards, or half of its time is over: nothing else renews it.
fn is_old(app: &App, authority: &str, scope: Scope, list: &Published, now: u64) -> bool {
    if scope != Scope::Full {
        return false;
    }
    let (newest, behind) = app.revocation.view.newest_shard(authority);
    let lags = behind || newest >= list.this_update;
    (lags && now >= list.this_update + FULL_PAUSE) || now >= list.known.half()
}

async fn sign(app: &App, signer: &Signer, scope: Scope) -> Result<Arc<Published>, Error> {
    let key = format!("crl/{}/{}", signer.id(), scope.column());
    let holder = format!("{}/{:016x}", app.replica, app.random.rng().next_u64());
    if !lease::try_acquire(&app.db, &key, &holder, app.clock.now(), LEASE_SECONDS).await? {
        return Err(Error::Busy);
    }
    let signed = sign_alone(app, signer, scope).await;
    lease::release(&app.db, &key, &holder).await?;
    signed
}

async fn sign_alone(app: &App, signer: &Signer, scope: Scope) -> Result<Arc<Published>, Error> {
    let (authority, now) = (signer.id(), app.clock.now());
    let transaction = database::begin(&app.db).await?;
    let number = store::next_number(&transaction, authority, scope).await?;
    transaction.commit().await?;

    let transaction = database::begin(&app.db).await?;
    let earlier = app.revocation.view.of(authority, scope).this_update;
    // An entry stays for one list beyond its certificate's end (RFC 5280, 3.3), and for a list's life at least.
    let since = earlier.min(now.saturating_sub(app.settings.status.crl_seconds()));
    let mut entries = Vec::new();
    let shards = match scope {
        Scope::Shard(shard) => {
            // First of all: a change that comes later waits for this list, or marks its certificate anew.
            store::clear_marks(&transaction, authority, shard).await?;
            shard..=shard
        }
        Scope::Full => 0..=u8::MAX,
    };
    for shard in shards {
        for revoked in store::revoked(&transaction, authority, shard, since).await? {
            entries.push(RevokedEntry::new(&revoked.serial, revoked.at, revoked.reason)?);
        }
    }
    let point = match scope {
        Scope::Shard(shard) => Some(status::shard_url(app, authority, shard)),
        Scope::Full => None,
    };
    let known =
        Known { number, this_update: now, next_update: now + app.settings.status.crl_seconds(), is_behind: false };
    let profile = CrlProfile {
        number,
        this_update: known.this_update,
        next_update: known.next_update,
        distribution_point: point.as_deref(),
    };
    let der = profile.prepare(signer.issuer(), &entries)?.sign(signer.key())?;
    let list = store::StoredList { der, known };
    if !store::publish(&transaction, authority, scope, &list).await? {
        return Err(Error::Busy);
    }
    transaction.commit().await?;
    app.metrics.count("firstlight_crls_signed_total");
    tracing::debug!(authority, ?scope, number, entries = entries.len(), "signed a CRL");
    let list = Arc::new(Published::new(list));
    app.revocation.lists.keep(authority, scope, &list);
    app.revocation.view.signed(authority, scope, known);
    Ok(list)
}
