//! Where devices find this service (RVTO2Addr), as TO0 registers it. Operators set it while the service runs, for the
//! next registration at every replica; until then, and after it was taken back, `public_url` counts.

pub mod routes;
mod store;

use fdo_protocol::RvTo2Addr;
use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

use crate::config::{Config, SettingError};

pub use store::find;

/// A rendezvous keeps no more, and a device tries one after the other.
pub const MAX_ADDRESSES: usize = 8;

/// Why there is no redirect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("more than {MAX_ADDRESSES} addresses; a rendezvous keeps no more")]
    TooMany,
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("the redirect's database failed")]
    Database(#[from] DbErr),
}

/// What the next TO0 registers.
pub async fn current(conn: &impl ConnectionTrait, settings: &Config) -> Result<RvTo2Addr, Error> {
    match find(conn).await? {
        Some(set) => Ok(set),
        None => Ok(settings.rv_to2_addr()?),
    }
}

/// Sets it. Registrations that live keep what they say until they are renewed.
pub async fn set(db: &DatabaseConnection, addresses: &RvTo2Addr, actor: &str, now: u64) -> Result<(), Error> {
    if addresses.0.len() > MAX_ADDRESSES {
        return Err(Error::TooMany);
    }
    let transaction = database::begin(db).await?;
    store::upsert(&transaction, addresses, now).await?;
    let detail = addresses.urls().join(" ");
    let event =
        Event { actor, action: "redirect.set", subject: "redirect", outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

/// Goes back to `public_url`, and gives what was set.
pub async fn reset(db: &DatabaseConnection, actor: &str, now: u64) -> Result<Option<RvTo2Addr>, Error> {
    let transaction = database::begin(db).await?;
    let before = find(&transaction).await?;
    if before.is_some() {
        store::delete(&transaction).await?;
        let event =
            Event { actor, action: "redirect.reset", subject: "redirect", outcome: Outcome::Success, detail: "" };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
    }
    Ok(before)
}
