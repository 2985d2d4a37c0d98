//! Serial numbers: which may be initialized, which have been, and their release for another time.

pub mod routes;
pub mod store;

use std::collections::HashSet;

use fdo_protocol::Guid;
use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DbErr};
use fdo_service::host::clock::Clock;
use fdo_service::operators::audit::{self, Event, Outcome};

use crate::config::Admission;
use crate::report::Report;
use crate::serial::{Serial, SerialError};
use crate::vouchers::{self, VoucherState};

/// Where a device is in its life here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It may be initialized.
    Admitted,
    /// It has a voucher.
    Initialized,
    /// Stolen or recalled: neither initialized nor handed out.
    Blocked,
}

impl DeviceState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Initialized => "initialized",
            Self::Blocked => "blocked",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admitted, Self::Initialized, Self::Blocked].into_iter().find(|state| state.name() == name)
    }
}

/// A serial number and what is known of its device.
#[derive(Clone, Debug)]
pub struct Device {
    pub serial: Serial,
    /// The model of the maker's record; it wins over what the device says.
    pub model: Option<String>,
    /// Serial number of the hardware that holds the key, for HardwareModuleName.
    pub hardware_serial: Option<String>,
    pub state: DeviceState,
    /// The GUID of its live voucher.
    pub guid: Option<Guid>,
    pub created: u64,
    pub updated: u64,
}

/// A serial to be admitted.
#[derive(Clone, Debug)]
pub struct Entered {
    pub line: usize,
    pub serial: String,
    pub model: Option<String>,
    pub hardware_serial: Option<String>,
}

/// Why something cannot be done with a serial.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("there is no serial number {0:?} here; enter it with `serial add`")]
    Unknown(String),
    #[error("the serial number {0:?} has no voucher to be released from")]
    NotInitialized(String),
    #[error("the device {0:?} is blocked")]
    Blocked(String),
    #[error(transparent)]
    Serial(#[from] SerialError),
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// Why a device is not initialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the serial number was not entered beforehand, and admission is not open")]
    Unlisted,
    #[error("the serial number has a voucher; an operator must release it first")]
    Used,
    #[error("the device is blocked")]
    Blocked,
}

/// Decides whether a device may be initialized; `None` stands for an unknown serial.
pub fn admit(device: Option<&Device>, admission: Admission) -> Result<(), Refusal> {
    match device.map(|device| device.state) {
        Some(DeviceState::Admitted) => Ok(()),
        Some(DeviceState::Initialized) => Err(Refusal::Used),
        Some(DeviceState::Blocked) => Err(Refusal::Blocked),
        None if admission == Admission::Open => Ok(()),
        None => Err(Refusal::Unlisted),
    }
}

/// The serials of a service.
#[derive(Clone)]
pub struct Devices {
    db: DatabaseConnection,
    clock: Clock,
}

impl Devices {
    pub fn new(db: DatabaseConnection, clock: Clock) -> Self {
        Self { db, clock }
    }

    pub async fn find(&self, serial: &Serial) -> Result<Option<Device>, DbErr> {
        store::find(&self.db, serial.canon()).await
    }

    pub async fn list(
        &self,
        state: Option<DeviceState>,
        after: Option<String>,
        limit: u64,
    ) -> Result<Vec<Device>, DbErr> {
        store::list(&self.db, state, after, limit).await
    }

    /// Admits serials: all of them, or none and the reasons. Those that are known already change nothing.
    pub async fn enter(&self, actor: &str, rows: &[Entered], dry_run: bool) -> Result<Report, DeviceError> {
        let now = self.clock.now();
        let mut report = Report::new(dry_run);
        let mut seen = HashSet::new();
        let mut new = Vec::new();
        let transaction = database::begin(&self.db).await?;
        for row in rows {
            let refuse =
                |report: &mut Report, code, reason: &str| report.refuse(row.line, &row.serial, code, reason);
            let serial = match Serial::parse(&row.serial) {
                Ok(serial) => serial,
                Err(error) => {
                    refuse(&mut report, "invalid", &error.to_string());
                    continue;
                }
            };
            if !printable(row.model.as_deref(), 255) || !printable(row.hardware_serial.as_deref(), 64) {
                refuse(
                    &mut report,
                    "invalid",
                    "model and hardware serial must be printable, at most 255 and 64 long",
                );
            } else if !seen.insert(serial.canon().to_owned()) {
                refuse(&mut report, "duplicate", "the list holds this serial number twice");
            } else if store::find(&transaction, serial.canon()).await?.is_some() {
                report.known(row.line, &row.serial, "it was entered before; nothing changes");
            } else {
                report.accept();
                let (model, hardware_serial) = (row.model.clone(), row.hardware_serial.clone());
                let state = DeviceState::Admitted;
                new.push(Device { serial, model, hardware_serial, state, guid: None, created: now, updated: now });
            }
        }
        if !report.applies() {
            return Ok(report);
        }
        // In one order for all lists: a row that another list is about to insert is waited for.
        new.sort_by(|one, other| one.serial.canon().cmp(other.serial.canon()));
        for device in &new {
            store::insert(&transaction, device).await?;
        }
        let subject = if new.len() == 1 { new[0].serial.as_str() } else { "list" };
        let detail = format!("{} serial numbers", new.len());
        let event = Event { actor, action: "serial.add", subject, outcome: Outcome::Success, detail: &detail };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
        report.applied = true;
        Ok(report)
    }

    /// Lets a serial be initialized once more. Its voucher is never handed out again.
    pub async fn release(&self, actor: &str, serial: &Serial) -> Result<Device, DeviceError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let mut device = get_locked(&transaction, serial).await?;
        let old = match (device.state, device.guid) {
            (DeviceState::Initialized, Some(guid)) => guid,
            (DeviceState::Blocked, _) => return Err(DeviceError::Blocked(serial.to_string())),
            _ => return Err(DeviceError::NotInitialized(serial.to_string())),
        };
        vouchers::store::set_state(&transaction, &old, VoucherState::Blocked).await?;
        (device.state, device.guid, device.updated) = (DeviceState::Admitted, None, now);
        store::update(&transaction, &device).await?;
        let detail = format!("GUID {old} is blocked");
        let subject = device.serial.as_str();
        let event = Event { actor, action: "serial.release", subject, outcome: Outcome::Success, detail: &detail };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
        Ok(device)
    }

    /// Blocks a stolen or recalled device, or takes the block away.
    pub async fn set_blocked(&self, actor: &str, serial: &Serial, blocked: bool) -> Result<Device, DeviceError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let mut device = get_locked(&transaction, serial).await?;
        device.state = match (blocked, device.guid) {
            (true, _) => DeviceState::Blocked,
            (false, Some(_)) => DeviceState::Initialized,
            (false, None) => DeviceState::Admitted,
        };
        device.updated = now;
        store::update(&transaction, &device).await?;
        let action = if blocked { "device.block" } else { "device.unblock" };
        let subject = device.serial.as_str();
        let event = Event { actor, action, subject, outcome: Outcome::Success, detail: "" };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
        Ok(device)
    }
}

/// The device of a serial, locked until the transaction ends.
pub async fn get_locked(conn: &impl ConnectionTrait, serial: &Serial) -> Result<Device, DeviceError> {
    let found = store::find_locked(conn, serial.canon()).await?;
    found.ok_or_else(|| DeviceError::Unknown(serial.to_string()))
}

fn printable(text: Option<&str>, longest: usize) -> bool {
    text.is_none_or(|text| text.len() <= longest && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests;
