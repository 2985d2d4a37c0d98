//! Files that devices send (fdo.upload): each under a name of ours in a folder of the device's, so that none ever takes
//! the place of another; bounded for each file, for each device and in all.

pub mod routes;
mod storage;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use fdo_protocol::Guid;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

pub use storage::{Storage, StorageError};
pub use store::{find, list};

use crate::app::App;

/// Content that no row names is swept when it is so old: what is just arriving has no row yet.
const ORPHAN_SECONDS: u64 = 2 * 24 * 3600;

/// A file that a device sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The onboarding's id and the number of the plan's step.
    pub id: String,
    /// The inventory's id.
    pub device_id: String,
    /// The GUID that the device came with.
    pub guid: Guid,
    pub onboarding: String,
    /// Its name on the device. It is not the name of anything here.
    pub name: String,
    pub length: u64,
    pub sha384: [u8; 48],
    pub created: u64,
}

/// A file that is arriving.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    pub id: &'a str,
    pub device_id: &'a str,
    pub guid: &'a Guid,
    pub onboarding: &'a str,
    pub name: &'a str,
    /// What the device said that it sends, else the most that it may.
    pub expected: u64,
}

/// Why a file is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no upload {0}; `fdo-owner upload list` shows those there are")]
    NotFound(String),
    #[error("the device would have {0} bytes here; `uploads.device_bytes` in the configuration is the limit")]
    DeviceFull(u64),
    #[error("there would be {0} bytes of uploads; `uploads.total_bytes` in the configuration is the limit")]
    Full(u64),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the uploads' database failed")]
    Database(#[from] DbErr),
}

/// Stores a part. With the first one, room is set aside for all of it.
pub async fn store(app: &App, incoming: &Incoming<'_>, offset: u64, data: &[u8]) -> Result<(), Error> {
    if !app.uploads.is_admitted(incoming.id) {
        admit(app, incoming).await?;
    }
    Ok(app.uploads.write(incoming.device_id, incoming.id, offset, data).await?)
}

async fn admit(app: &App, incoming: &Incoming<'_>) -> Result<(), Error> {
    let limits = &app.settings.uploads;
    let (of_device, in_all) = store::sums(&app.db, incoming.device_id).await?;
    let (device_arriving, arriving) = app.uploads.arriving(incoming.device_id);
    let of_device = of_device.saturating_add(device_arriving).saturating_add(incoming.expected);
    let in_all = in_all.saturating_add(arriving).saturating_add(incoming.expected);
    if of_device > limits.device_bytes {
        return Err(Error::DeviceFull(of_device));
    }
    if in_all > limits.total_bytes {
        return Err(Error::Full(in_all));
    }
    Ok(app.uploads.admit(incoming.device_id, incoming.id, incoming.expected, app.clock.now())?)
}

/// Checks what was stored and keeps it: content, name and row are durable when this returns. `None` where it is not
/// what the device said. It may be called again for the same file.
pub async fn finish(
    app: &App,
    incoming: &Incoming<'_>,
    length: u64,
    expected: Option<[u8; 48]>,
) -> Result<Option<Upload>, Error> {
    if let Some(upload) = store::find(&app.db, incoming.id).await? {
        return Ok(Some(upload));
    }
    if !app.uploads.is_admitted(incoming.id) {
        admit(app, incoming).await?;
    }
    let Some(sha384) = app.uploads.finish(incoming.device_id, incoming.id, length, expected).await? else {
        app.uploads.forget(incoming.id);
        return Ok(None);
    };
    let now = app.clock.now();
    let upload = Upload {
        id: incoming.id.to_owned(),
        device_id: incoming.device_id.to_owned(),
        guid: *incoming.guid,
        onboarding: incoming.onboarding.to_owned(),
        name: incoming.name.to_owned(),
        length,
        sha384,
        created: now,
    };
    let transaction = database::begin(&app.db).await?;
    store::insert(&transaction, &upload).await?;
    let detail = format!("{length} bytes as {}, SHA-384 {}", upload.id, hex::encode(sha384));
    let event = Event {
        actor: "onboarding",
        action: "upload.receive",
        subject: &upload.guid.to_string(),
        outcome: Outcome::Success,
        detail: &detail,
    };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    app.uploads.forget(incoming.id);
    Ok(Some(upload))
}

/// An onboarding ended: what it did not finish goes.
pub async fn abandon(app: &App, onboarding: &str) {
    app.uploads.abandon(onboarding).await;
}

/// Takes an upload away.
pub async fn delete(app: &App, actor: &str, id: &str) -> Result<(), Error> {
    let transaction = database::begin(&app.db).await?;
    let upload = store::find(&transaction, id).await?.ok_or_else(|| Error::NotFound(id.to_owned()))?;
    store::delete(&transaction, id).await?;
    let event = Event { actor, action: "upload.delete", subject: id, outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, app.clock.now(), event).await?;
    transaction.commit().await?;
    app.uploads.remove(&upload.device_id, id).await;
    Ok(())
}

/// Removes content that no upload has, as a crash may leave it, and forgets what stopped arriving.
pub async fn sweep(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    app.uploads.expire(now.saturating_sub(app.settings.sessions.total_seconds));
    let known: HashSet<String> = store::ids(&app.db).await?.into_iter().collect();
    let swept = app.uploads.sweep(&known, now.saturating_sub(ORPHAN_SECONDS)).await?;
    if swept > 0 {
        tracing::info!(swept, "content that belongs to no upload was removed");
    }
    Ok(())
}
