//! Renewals that EST refused, as the audit trail has them.

use fdo_protocol::Guid;
use fdo_service::database;
use fdo_service::operators::audit::{self, Entry};
use serde_json::json;

use super::{BATCH, Desk, store};
use crate::alerts::{Cause, Error, Kind, Severity};
use crate::inventory::{self, Device, DeviceState, certificates};

const CURSOR: &str = "alerts.renewal";
const BATCHES: usize = 20;
/// Who writes such entries.
const EST: &str = "est";

pub(super) async fn run(desk: &Desk<'_>) -> Result<(), Error> {
    refusals(desk).await?;
    for _ in 0..BATCHES {
        let transaction = database::begin(&desk.app.db).await?;
        let over = store::renewed(&transaction, desk.now, BATCH).await?;
        let count = over.len() as u64;
        for alert in over {
            desk.close(&transaction, alert).await?;
        }
        transaction.commit().await?;
        if count < BATCH {
            break;
        }
    }
    Ok(())
}

/// What was refused since the last look.
async fn refusals(desk: &Desk<'_>) -> Result<(), Error> {
    let db = &desk.app.db;
    let known = certificates::cursor(db, CURSOR).await?.and_then(|text| text.parse::<u64>().ok());
    let mut after = known.unwrap_or_default();
    for _ in 0..BATCHES {
        let transaction = database::begin(db).await?;
        let (refused, upto) = audit::refusals(&transaction, EST, after, BATCH).await?;
        let count = refused.len() as u64;
        let mut causes = Vec::new();
        for entry in &refused {
            // A stranger is no device of ours.
            let Ok(guid) = entry.subject.parse::<Guid>() else { continue };
            let device = inventory::find_by_guid(&transaction, &guid).await.map_err(of_inventory)?;
            // An operator stopped it: that it is refused is what was wanted.
            let stopped = |device: &Device| matches!(device.state, DeviceState::Blocked | DeviceState::Sold);
            let Some(device) = device.filter(|device| !stopped(device)) else { continue };
            // It has asked again since, and was given one.
            if store::has_newer(&transaction, &device.id, entry.at).await? {
                continue;
            }
            let cause = cause(&device, entry);
            causes.retain(|other: &Cause| other.subject != cause.subject);
            causes.push(cause);
        }
        desk.raise(&transaction, &causes).await?;
        certificates::set_cursor(&transaction, CURSOR, &upto.to_string()).await?;
        transaction.commit().await?;
        after = upto;
        if count < BATCH {
            break;
        }
    }
    Ok(())
}

fn cause(device: &Device, entry: &Entry) -> Cause {
    let name = device.serial.clone().unwrap_or_else(|| device.guid.to_string());
    Cause {
        kind: Kind::RenewalFailed,
        subject: device.id.clone(),
        threshold: 0,
        severity: Severity::Warning,
        title: format!("device {name} was refused a certificate: {}", entry.detail),
        detail: json!({ "at": entry.at, "action": entry.action, "reason": entry.detail, "guid": entry.subject }),
        device_id: Some(device.id.clone()),
        device_serial: device.serial.clone(),
        count: 1,
        at: Some(entry.at),
    }
}

fn of_inventory(error: inventory::Error) -> Error {
    match error {
        inventory::Error::Database(error) => Error::Database(error),
        other => Error::Database(database::DbErr::Custom(other.to_string())),
    }
}
