//! Where devices look for their owner: what goes into new vouchers. Operators set it while the service runs, for the
//! next birth at every replica; until then, and after it was taken back, the configuration's counts.

pub mod routes;
mod store;

use fdo_protocol::RendezvousInfo;
use fdo_service::database::{self, DatabaseConnection, DbErr};
use fdo_service::host::clock::Clock;
use fdo_service::operators::audit::{self, Event, Outcome};

/// The rendezvous information of a service.
#[derive(Clone)]
pub struct Rendezvous {
    db: DatabaseConnection,
    clock: Clock,
    configured: RendezvousInfo,
}

impl Rendezvous {
    pub fn new(db: DatabaseConnection, clock: Clock, configured: RendezvousInfo) -> Self {
        Self { db, clock, configured }
    }

    /// What the next device is born with.
    pub async fn current(&self) -> Result<RendezvousInfo, DbErr> {
        Ok(store::find(&self.db).await?.unwrap_or_else(|| self.configured.clone()))
    }

    /// What operators have set.
    pub async fn find(&self) -> Result<Option<RendezvousInfo>, DbErr> {
        store::find(&self.db).await
    }

    /// Sets it. What it says was checked where it was read.
    pub async fn set(&self, info: &RendezvousInfo, actor: &str) -> Result<(), DbErr> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        store::upsert(&transaction, info, now).await?;
        let detail = format!("{} directives", info.directives().len());
        let event = Event {
            actor,
            action: "rendezvous.set",
            subject: "rendezvous",
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await
    }

    /// Goes back to the configuration's, and gives what was set.
    pub async fn reset(&self, actor: &str) -> Result<Option<RendezvousInfo>, DbErr> {
        let transaction = database::begin(&self.db).await?;
        let before = store::find(&transaction).await?;
        if before.is_some() {
            store::delete(&transaction).await?;
            let event = Event {
                actor,
                action: "rendezvous.reset",
                subject: "rendezvous",
                outcome: Outcome::Success,
                detail: "",
            };
            audit::record(&transaction, self.clock.now(), event).await?;
            transaction.commit().await?;
        }
        Ok(before)
    }
}
