//! Which serial is meant for which buyer, until it is claimed.

pub mod routes;
pub mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::operators::audit::{self, Event, Outcome};
use rand_core::Rng;

use crate::buyers::{self, Buyer, BuyerError};
use crate::devices::{self, Device, DeviceError, DeviceState};
use crate::report::Report;
use crate::serial::Serial;

/// A serial set aside for a buyer.
#[derive(Clone, Debug)]
pub struct Allocation {
    pub id: String,
    /// The serial in the form by which serials are compared.
    pub canon: String,
    pub buyer_id: String,
    pub order_ref: Option<String>,
    pub created: u64,
    /// When it was revoked; while it lives, none.
    pub ended: Option<u64>,
}

/// One line of an order.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub line: usize,
    pub serial: String,
    /// Name or id; else the buyer of the whole list.
    pub buyer: Option<String>,
    pub order_ref: Option<String>,
}

/// Why an allocation cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    #[error("the serial number {0:?} is not allocated")]
    NotAllocated(String),
    #[error("the serial number {0:?} is claimed already; only its new owner can give it back, by resale")]
    Claimed(String),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Buyer(#[from] BuyerError),
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// The allocations of a service.
#[derive(Clone)]
pub struct Allocations {
    db: DatabaseConnection,
    clock: Clock,
    random: Random,
}

impl Allocations {
    pub fn new(db: DatabaseConnection, clock: Clock, random: Random) -> Self {
        Self { db, clock, random }
    }

    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<store::Listed>, DbErr> {
        store::list(&self.db, after, limit).await
    }

    /// Sets serials aside: all of them, or none and the reasons. What its buyer has already changes nothing.
    pub async fn allocate(
        &self,
        actor: &str,
        buyer: Option<&str>,
        rows: &[Ordered],
        dry_run: bool,
    ) -> Result<Report, AllocationError> {
        let now = self.clock.now();
        let mut report = Report::new(dry_run);
        let mut buyers = Known::default();
        let mut seen = HashSet::new();
        let transaction = database::begin(&self.db).await?;
        let devices = lock(&transaction, rows).await?;
        let mut new = Vec::new();
        for row in rows {
            let name = row.buyer.as_deref().or(buyer).unwrap_or_default();
            let checked = match buyers.find(&transaction, name).await? {
                Some(buyer) => {
                    check(&transaction, row, &buyer, &devices, &mut seen).await?.map(|found| (buyer, found))
                }
                None => Err(("buyer", "there is no buyer of this name")),
            };
            match checked {
                Err((code, reason)) => report.refuse(row.line, &row.serial, code, reason),
                Ok((_, None)) => report.known(row.line, &row.serial, "this buyer has it already; nothing changes"),
                Ok((buyer, Some(serial))) => {
                    report.accept();
                    new.push(Allocation {
                        id: self.fresh_id(),
                        canon: serial.canon().to_owned(),
                        buyer_id: buyer.id,
                        order_ref: row.order_ref.clone(),
                        created: now,
                        ended: None,
                    });
                }
            }
        }
        if !report.applies() {
            return Ok(report);
        }
        for allocation in &new {
            store::insert(&transaction, allocation).await?;
        }
        let subject = if let [only] = new.as_slice() { only.canon.as_str() } else { "list" };
        let detail = format!("{} serial numbers for {}", new.len(), buyers.names());
        let event =
            Event { actor, action: "allocation.create", subject, outcome: Outcome::Success, detail: &detail };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
        report.applied = true;
        Ok(report)
    }

    /// Takes an allocation back, which is possible until the claim.
    pub async fn revoke(&self, actor: &str, serial: &Serial) -> Result<(), AllocationError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        // The same lock as a claim's: whoever gets it first wins.
        let device = devices::get_locked(&transaction, serial).await?;
        let missing = || AllocationError::NotAllocated(serial.to_string());
        let live = store::find_live(&transaction, serial.canon()).await?.ok_or_else(missing)?;
        if let Some(guid) = device.guid
            && store::is_claimed(&transaction, &guid).await?
        {
            return Err(AllocationError::Claimed(serial.to_string()));
        }
        store::end(&transaction, &live.id, now).await?;
        let subject = device.serial.as_str();
        let event = Event { actor, action: "allocation.revoke", subject, outcome: Outcome::Success, detail: "" };
        audit::record(&transaction, now, event).await?;
        Ok(transaction.commit().await?)
    }

    fn fresh_id(&self) -> String {
        let mut id = [0_u8; 16];
        self.random.rng().fill_bytes(&mut id);
        uuid::Builder::from_random_bytes(id).into_uuid().to_string()
    }
}

/// Buyers by the names that a list calls them.
#[derive(Default)]
struct Known(HashMap<String, Option<Buyer>>);

impl Known {
    async fn find(&mut self, conn: &impl ConnectionTrait, name: &str) -> Result<Option<Buyer>, DbErr> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), buyers::store::find(conn, name).await?);
        }
        Ok(self.0.get(name).cloned().flatten())
    }

    fn names(&self) -> String {
        let mut names: Vec<_> = self.0.values().flatten().map(|buyer| buyer.name.as_str()).collect();
        names.sort_unstable();
        names.join(", ")
    }
}

/// The devices of a list, locked until the transaction ends. Everybody locks in the order of serials, so that of two
/// lists at once one waits, and not each for the other.
async fn lock(conn: &impl ConnectionTrait, rows: &[Ordered]) -> Result<BTreeMap<String, Device>, DbErr> {
    let serials: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| Serial::parse(&row.serial).ok())
        .map(|serial| serial.canon().to_owned())
        .collect();
    let mut locked = BTreeMap::new();
    for canon in serials {
        if let Some(device) = devices::store::find_locked(conn, &canon).await? {
            locked.insert(canon, device);
        }
    }
    Ok(locked)
}

/// The serial to allocate; `None` when the buyer has it; else a code and a reason to refuse the row.
async fn check(
    transaction: &DatabaseTransaction,
    row: &Ordered,
    buyer: &Buyer,
    devices: &BTreeMap<String, Device>,
    seen: &mut HashSet<String>,
) -> Result<Result<Option<Serial>, (&'static str, &'static str)>, DbErr> {
    let Ok(serial) = Serial::parse(&row.serial) else {
        return Ok(Err(("invalid", "this is no serial number")));
    };
    if !seen.insert(serial.canon().to_owned()) {
        return Ok(Err(("duplicate", "the list holds this serial number twice")));
    }
    let Some(device) = devices.get(serial.canon()) else {
        return Ok(Err(("unknown", "this serial number was never entered")));
    };
    if device.state == DeviceState::Blocked {
        return Ok(Err(("blocked", "this device is blocked")));
    }
    Ok(match store::find_live(transaction, serial.canon()).await? {
        Some(live) if live.buyer_id == buyer.id => Ok(None),
        Some(_) => Err(("allocated", "this serial number is allocated to another buyer; revoke that first")),
        None => Ok(Some(serial)),
    })
}

#[cfg(test)]
mod tests;
