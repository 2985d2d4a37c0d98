//! Claims: a serial that was bought is asked for at its manufacturer until its voucher is here, or it cannot be had.
//!
//! A claim is written and committed before anybody is asked, and no transaction is open while somebody is asked. Asking
//! again gives the same voucher, so a crash at any point, or two replicas at once, do no harm.

pub mod pursuit;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeSet;
use std::fmt;

use fdo_pki::DeviceSerial;
use fdo_protocol::Guid;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::manufacturers::{self, Manufacturer};

pub use pursuit::run_due;
pub use store::{find, list, withdraw};
pub use verify::canonical;

/// More serials than this in one request are refused.
pub const MOST_SERIALS: usize = 10_000;
/// For so long whoever wrote a claim asks for it; then the background job takes it up.
const ASKING_SECONDS: u64 = 120;

/// Where a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is asked for, again and again.
    Requested,
    /// The voucher is here.
    Fulfilled,
    /// It cannot be had; `error` says why. Claiming it again starts anew.
    Refused,
}

impl State {
    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Fulfilled => "fulfilled",
            Self::Refused => "refused",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Requested, Self::Fulfilled, Self::Refused].into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A claim of one serial at one manufacturer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub manufacturer: String,
    pub serial: String,
    pub state: State,
    /// A short stable word: the manufacturer's, or one of ours.
    pub error: Option<String>,
    pub detail: Option<String>,
    pub guid: Option<Guid>,
    /// How often it was asked for in vain.
    pub attempts: u32,
    pub next_at: Option<u64>,
    pub requested: u64,
    pub updated: u64,
}

/// Why claims cannot be made or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("name 1 to {MOST_SERIALS} serials")]
    Count,
    #[error("`{serial}` is no serial: {source}")]
    Serial { serial: String, source: fdo_pki::Error },
    #[error("there is no claim of {0}")]
    NotFound(String),
    #[error("the claim of {0} is {1}; only one that is still asked for can be withdrawn")]
    Settled(String, State),
    #[error(transparent)]
    Manufacturer(#[from] manufacturers::Error),
    #[error(transparent)]
    Trust(#[from] crate::trust::Error),
    #[error(transparent)]
    Voucher(#[from] crate::vouchers::Error),
    #[error("the claims' database failed")]
    Database(#[from] DbErr),
}

/// Writes claims, committed when this returns. A fulfilled one stays as it is; a refused one begins anew.
pub async fn request(
    app: &App,
    actor: &str,
    manufacturer: &Manufacturer,
    serials: &[String],
) -> Result<Vec<String>, Error> {
    let mut wanted = BTreeSet::new();
    for serial in serials {
        let serial = serial.trim();
        let checked = DeviceSerial::from_certificate(serial);
        checked.map_err(|source| Error::Serial { serial: serial.to_owned(), source })?;
        wanted.insert(serial.to_owned());
    }
    if wanted.is_empty() || wanted.len() > MOST_SERIALS {
        return Err(Error::Count);
    }
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    for serial in &wanted {
        store::request(&transaction, &manufacturer.id, serial, now, now + ASKING_SECONDS).await?;
    }
    let detail = format!("{} serials at {}", wanted.len(), manufacturer.name);
    let subject = if wanted.len() == 1 { wanted.first().map_or("", String::as_str) } else { &manufacturer.id };
    let event = Event { actor, action: "claim.request", subject, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(wanted.into_iter().collect())
}
