//! The fleet: one row a device across all its GUIDs, kept up to date by what happens to it.

pub mod certificates;
pub mod reports;
pub mod routes;
mod store;

use std::fmt;

use fdo_protocol::Guid;
use fdo_service::database::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};

pub use store::{
    Filter, NewDevice, Onboarded, count_by_state, decommission, find, find_by_guid, forget, guids_of, insert,
    list, mark_sold, move_to, recommission, record_certificate, record_onboarded, record_registered, record_state,
    select, set_blocked, take_back, unmark_sold,
};

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// Its voucher is here.
    Imported,
    /// A rendezvous knows where to send it.
    Registered,
    /// It is being onboarded.
    Started,
    Onboarded,
    /// Its last onboarding failed.
    Failed,
    /// An operator stopped it.
    Blocked,
    /// It was sold on, and is kept until its new owner has the voucher.
    Sold,
    /// It is out of service: its certificates are revoked, and it gets no new ones.
    Decommissioned,
}

impl DeviceState {
    const ALL: [Self; 8] = [
        Self::Imported,
        Self::Registered,
        Self::Started,
        Self::Onboarded,
        Self::Failed,
        Self::Blocked,
        Self::Sold,
        Self::Decommissioned,
    ];
    /// Those in which a device gets nothing here.
    const STOPPED: [Self; 3] = [Self::Blocked, Self::Sold, Self::Decommissioned];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Registered => "registered",
            Self::Started => "started",
            Self::Onboarded => "onboarded",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Sold => "sold",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// Whether a device may be onboarded and hold certificates: neither blocked, sold nor decommissioned.
    pub fn is_active(self) -> bool {
        !Self::STOPPED.contains(&self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// SHA-256 of its IDevID's public key, in hexadecimal.
    pub id: String,
    /// The subject's serialNumber of its IDevID, or what its maker says.
    pub serial: Option<String>,
    /// The present GUID.
    pub guid: Guid,
    /// What its maker says.
    pub model: Option<String>,
    /// DeviceInfo of the voucher.
    pub device_info: String,
    pub state: DeviceState,
    /// "P-256" or "P-384": the owner key that its voucher ends in.
    pub owner_key: String,
    /// The manufacturer that it was claimed at.
    pub maker: Option<String>,
    pub progress: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The serial number of its newest LDevID.
    pub certificate: Option<String>,
    pub certificate_expires: Option<u64>,
    pub onboarded: Option<u64>,
    pub created: u64,
    pub updated: u64,
}

/// A file on its way to or from a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The module that carries it.
    pub module: String,
    pub what: String,
    /// Bytes that have gone, of how many; a device may not say how many it sends.
    pub done: u64,
    pub total: Option<u64>,
}

impl Transfer {
    /// Whether all of it has gone, as far as is known.
    pub fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.done >= total)
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, what, done, total } = self;
        match total {
            Some(total) => {
                let percent = u128::from(*done) * 100 / u128::from((*total).max(1));
                write!(f, "{module} {what}: {done} of {total} bytes, {percent} %")
            }
            None => write!(f, "{module} {what}: {done} bytes"),
        }
    }
}

/// Why the inventory fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no device has the GUID or serial {0}")]
    NotFound(String),
    #[error("more than one device has the serial {0}; use the GUID")]
    Ambiguous(String),
    #[error("the inventory's database failed")]
    Database(#[from] DbErr),
}

/// By any GUID that it has or had, else by its serial.
pub async fn find_by_name(conn: &impl ConnectionTrait, name: &str) -> Result<Device, Error> {
    // A serial may look like a GUID, so what is no known GUID is looked up as a serial as well.
    if let Ok(guid) = name.parse::<Guid>()
        && let Some(device) = store::find_by_guid(conn, &guid).await?
    {
        return Ok(device);
    }
    let mut devices = store::by_serial(conn, name).await?;
    if devices.len() > 1 {
        return Err(Error::Ambiguous(name.to_owned()));
    }
    devices.pop().ok_or_else(|| Error::NotFound(name.to_owned()))
}
