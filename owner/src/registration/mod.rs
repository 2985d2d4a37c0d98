//! TO0 in the background: every voucher at every rendezvous that it names, renewed before it lapses.
//!
//! A due voucher is taken under a lease, so that of several replicas one does it. A voucher whose device has been
//! onboarded is renewed no more (FDO 1.1 has no withdrawal).

mod rendezvous;
pub mod routes;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fdo_protocol::Guid;
use fdo_protocol::rendezvous_info::Hop;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_service::database::{DatabaseConnection, DbErr, TransactionTrait};
use fdo_service::lease;
use futures_util::StreamExt;
use rand_core::Rng;
use tokio::sync::{Notify, Semaphore};

pub use store::{Registration, forget, list};

use crate::app::App;
use crate::keys::OwnerKeys;
use crate::{inventory, vouchers};

/// A registration that takes longer than this has lost its lease.
const LEASE_SECONDS: u64 = 300;
/// All rendezvous of a voucher together must have answered by then, well before its lease ends.
const ANSWER_TIME: Duration = Duration::from_secs(240);
/// How many vouchers are looked at in one go.
const BATCH: u64 = 1_000;
const BACKOFF_FIRST: u64 = 5;
const BACKOFF_MOST: u64 = 3_600;
/// A rendezvous that did not answer is left in peace for so long by all other vouchers.
const HOLD_SECONDS: u64 = 30;

/// Why registrations cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no voucher with GUID {0}")]
    NotFound(Guid),
    #[error("the device {0} was onboarded or blocked, so there is nothing to renew")]
    Over(Guid),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error(transparent)]
    Protocol(#[from] fdo_protocol::Error),
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// What the job keeps between two runs.
#[derive(Default)]
pub struct Registrar {
    wake: Notify,
    clients: Mutex<HashMap<String, fdo_http::Client>>,
    /// Rendezvous that did not answer: until when nobody else tries, and what happened.
    down: Mutex<HashMap<String, (u64, String)>>,
}

impl Registrar {
    /// A voucher was imported: do not wait for the next tick.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends when somebody called [`Registrar::wake`].
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    fn is_down(&self, rendezvous: &str, now: u64) -> Option<String> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.get(rendezvous).filter(|(until, _)| now < *until).map(|(_, error)| error.clone())
    }

    fn set_down(&self, rendezvous: &str, error: Option<(u64, String)>) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => down.insert(rendezvous.to_owned(), error),
            None => down.remove(rendezvous),
        };
    }
}

/// The voucher in a form that can be presented: TO0 and TO2 need an entry, and a voucher that TO2 left behind has none,
/// so the owner hands it to itself. Made when needed: what is stored stays what the device agreed to.
pub fn presentable(voucher: VerifiedVoucher, keys: &OwnerKeys) -> Result<VerifiedVoucher, fdo_protocol::Error> {
    if !voucher.entries().is_empty() {
        return Ok(voucher);
    }
    let key = keys.owning(voucher.owner_key()).ok_or(fdo_protocol::VoucherFault::NotTheOwner)?;
    voucher.extend(key, key.verifying_key())
}

/// Registers what is due, several at a time. Gives how many vouchers were looked after.
pub async fn run_due(app: &App) -> Result<usize, Error> {
    let due = vouchers::due_for_registration(&app.db, app.clock.now(), BATCH).await?;
    let permits = Arc::new(Semaphore::new(app.settings.registration.parallel.max(1)));
    let done = futures_util::stream::iter(due)
        .map(|guid| {
            let permits = permits.clone();
            async move {
                let registered = under_lease(app, &guid, &permits).await;
                if let Err(error) = &registered {
                    tracing::warn!(%guid, %error, "cannot register");
                }
                registered.unwrap_or_default()
            }
        })
        .buffer_unordered(app.settings.registration.parallel.max(1))
        .filter(|done| std::future::ready(*done))
        .count()
        .await;
    Ok(done)
}

/// Each taking has its own name: within a process too, whoever holds it is alone.
fn holder(app: &App) -> String {
    format!("{}/{:016x}", app.replica, app.random.rng().next_u64())
}

/// Whether no TO0 of this voucher is under way, here or at another replica. One that begins later finds its state.
pub async fn is_idle(app: &App, guid: &Guid) -> Result<bool, DbErr> {
    let (key, holder) = (format!("to0/{guid}"), holder(app));
    let idle = lease::try_acquire(&app.db, &key, &holder, app.clock.now(), LEASE_SECONDS).await?;
    if idle {
        lease::release(&app.db, &key, &holder).await?;
    }
    Ok(idle)
}

async fn under_lease(app: &App, guid: &Guid, permits: &Semaphore) -> Result<bool, Error> {
    let (key, holder) = (format!("to0/{guid}"), holder(app));
    if !lease::try_acquire(&app.db, &key, &holder, app.clock.now(), LEASE_SECONDS).await? {
        return Ok(false);
    }
    let registered = register(app, guid, permits).await;
    lease::release(&app.db, &key, &holder).await?;
    registered
}

/// What came of one rendezvous.
struct Attempt {
    rendezvous: String,
    outcome: Result<u32, String>,
}

async fn register(app: &App, guid: &Guid, permits: &Semaphore) -> Result<bool, Error> {
    // Another replica may have done it between the query and the lease.
    let now = app.clock.now();
    let Some(stored) = vouchers::find_by_guid(&app.db, guid).await? else { return Ok(false) };
    if stored.register_at.is_none_or(|at| at > now) {
        return Ok(false);
    }
    if !matches!(stored.state, vouchers::State::Imported | vouchers::State::Onboarded) {
        vouchers::set_registration(&app.db, guid, None).await?;
        return Ok(false);
    }
    let Some(bytes) = vouchers::bytes(&app.db, guid).await? else { return Ok(false) };
    let voucher = presentable(VerifiedVoucher::trust_stored(&bytes)?, &app.keys)?;
    let known = store::of_voucher(&app.db, guid).await?;
    let hops = voucher.header().rv_info.owner_hops();
    let is_due = |hop: &&Hop| {
        let row = name(hop).and_then(|name| known.iter().find(|row| row.rendezvous == name));
        row.is_none_or(|row| row.next_at <= now)
    };
    let until = tokio::time::Instant::now() + ANSWER_TIME;
    let attempts = hops.iter().filter(is_due).filter_map(|hop| {
        let rendezvous = name(hop)?;
        let voucher = &voucher;
        Some(async move {
            let answer = async {
                // The semaphore is never closed.
                let _permit = permits.acquire().await.ok();
                attempt(app, hop, &rendezvous, voucher).await
            };
            let late = |_| Err("its addresses took too long together".to_owned());
            let outcome = tokio::time::timeout_at(until, answer).await.unwrap_or_else(late);
            Attempt { rendezvous, outcome }
        })
    });
    let attempts = futures_util::future::join_all(attempts).await;
    settle(app, guid, known, attempts).await?;
    Ok(true)
}

fn name(hop: &Hop) -> Option<String> {
    hop.addresses.first().map(ToString::to_string)
}

async fn attempt(app: &App, hop: &Hop, rendezvous: &str, voucher: &VerifiedVoucher) -> Result<u32, String> {
    if let Some(error) = app.registrar.is_down(rendezvous, app.clock.now()) {
        return Err(error);
    }
    let registered = rendezvous::register(app, hop, voucher).await;
    match &registered {
        Err(error) if error.unreachable => {
            let until = app.clock.now() + HOLD_SECONDS;
            app.registrar.set_down(rendezvous, Some((until, error.text.clone())));
        }
        _ => app.registrar.set_down(rendezvous, None),
    }
    registered.map_err(|error| error.text)
}

/// Writes down what came of the attempts, and when the next ones are due.
async fn settle(app: &App, guid: &Guid, mut rows: Vec<Registration>, attempts: Vec<Attempt>) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = app.db.begin().await?;
    for attempt in attempts {
        let earlier = rows.iter().position(|row| row.rendezvous == attempt.rendezvous);
        let earlier = earlier.map(|at| rows.swap_remove(at));
        let row = after(earlier, guid, attempt, now, &mut app.random.rng());
        store::upsert(&transaction, &row).await?;
        rows.push(row);
    }
    if rows.iter().any(|row| row.registered == Some(now)) {
        inventory::record_registered(&transaction, now, guid).await?;
    }
    // The device may have been onboarded while the rendezvous answered.
    let state = vouchers::find_by_guid(&transaction, guid).await?.map(|voucher| voucher.state);
    let failed = rows.iter().any(|row| row.error.is_some());
    let again = match state {
        Some(vouchers::State::Imported) => true,
        // Registered at an operator's wish; there is nothing to keep alive.
        Some(vouchers::State::Onboarded) => failed,
        _ => false,
    };
    let next = rows.iter().map(|row| row.next_at).min().filter(|_| again);
    vouchers::set_registration(&transaction, guid, next).await?;
    transaction.commit().await?;
    Ok(())
}

fn after(
    earlier: Option<Registration>,
    guid: &Guid,
    attempt: Attempt,
    now: u64,
    rng: &mut impl Rng,
) -> Registration {
    let earlier = earlier.unwrap_or_else(|| Registration {
        guid: guid.to_string(),
        rendezvous: attempt.rendezvous,
        granted: None,
        registered: None,
        expires: None,
        next_at: now,
        failures: 0,
        error: None,
        updated: now,
    });
    match attempt.outcome {
        Ok(granted) => Registration {
            granted: Some(granted.into()),
            registered: Some(now),
            expires: Some(now + u64::from(granted)),
            next_at: now + renewal_delay(granted, rng),
            failures: 0,
            error: None,
            updated: now,
            ..earlier
        },
        Err(error) => {
            let failures = earlier.failures.saturating_add(1);
            let next_at = now + backoff(failures, rng);
            Registration { next_at, failures, error: Some(error), updated: now, ..earlier }
        }
    }
}

/// 80 % of what was granted, a tenth more or less, so that what was registered together does not come back together.
fn renewal_delay(granted: u32, rng: &mut impl Rng) -> u64 {
    (u64::from(granted) * u64::from(720 + rng.next_u32() % 161) / 1000).max(BACKOFF_FIRST)
}

/// 5 s, 10 s, .. 1 h, a tenth more or less.
fn backoff(failures: u32, rng: &mut impl Rng) -> u64 {
    let doubled = BACKOFF_FIRST.saturating_mul(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
    let delay = doubled.min(BACKOFF_MOST);
    (delay * u64::from(900 + rng.next_u32() % 201) / 1000).max(1)
}

/// Makes a voucher due at all its rendezvous, as an operator asks; an onboarded device is registered once more.
pub async fn renew(db: &DatabaseConnection, guid: &Guid, now: u64) -> Result<(), Error> {
    let transaction = db.begin().await?;
    let stored = vouchers::find_by_guid(&transaction, guid).await?.ok_or(Error::NotFound(*guid))?;
    if !matches!(stored.state, vouchers::State::Imported | vouchers::State::Onboarded) {
        return Err(Error::Over(*guid));
    }
    store::set_due(&transaction, guid, now).await?;
    vouchers::set_registration(&transaction, guid, Some(now)).await?;
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdo_service::host::random::Random;

    #[test]
    fn renewal_is_at_four_fifths_and_backoff_doubles_to_an_hour() {
        let mut rng = Random::seeded(1).rng();
        for _ in 0..1000 {
            let delay = renewal_delay(604_800, &mut rng);
            assert!((435_456..=532_224).contains(&delay), "{delay}");
        }
        assert_eq!(renewal_delay(0, &mut rng), BACKOFF_FIRST);
        for (failures, middle) in [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (200, 3600)] {
            let delay = backoff(failures, &mut rng);
            assert!(delay * 10 >= middle * 9 - 9 && delay * 10 <= middle * 11, "{failures}: {delay}");
        }
    }
}
