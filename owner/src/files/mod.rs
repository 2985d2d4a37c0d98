//! Files that plans name: their content in a folder, under names that nobody chose, and what is known of them in the
//! database. A file is hashed while it arrives, and never again.

mod described;
mod folder;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use futures_util::Stream;

pub use described::{Described, Files};
pub use folder::{Folder, FolderError, Received};
pub use store::{find, list};

use crate::app::App;

/// The longest name of a file.
const MAX_NAME: usize = 128;
/// Content that no row names is swept when it is so old: one that is just arriving has no row yet.
const ORPHAN_SECONDS: u64 = 24 * 3600;

/// A file as plans name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub name: String,
    /// The name of its content in the folder.
    pub content: String,
    pub length: u64,
    pub sha384: [u8; 48],
    pub created: u64,
    pub updated: u64,
}

impl StoredFile {
    /// As `fdo.download` announces it.
    pub fn described(&self) -> Described {
        Described { length: self.length, sha384: self.sha384 }
    }
}

/// Why a file is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no file {0}; add it with `fdo-owner file add {0} PATH`")]
    NotFound(String),
    #[error("a file's name has 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`, and does not begin with a dot")]
    Name,
    #[error("what arrived does not have the SHA-384 that was announced; nothing was kept")]
    Digest,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the files' database failed")]
    Database(#[from] DbErr),
}

/// Checks a name. It is never a path: content lies under names of our own.
pub fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let usable = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.');
    if usable { Ok(()) } else { Err(Error::Name) }
}

/// Keeps what arrives under this name, in the place of what was there; true where the name is new.
pub async fn add<S, B, E>(
    app: &App,
    actor: &str,
    name: &str,
    expected: Option<[u8; 48]>,
    body: S,
) -> Result<(StoredFile, bool), Error>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: AsRef<[u8]>,
    E: std::fmt::Display,
{
    check_name(name)?;
    let received = app.folder.receive(body, &mut app.random.rng()).await?;
    if expected.is_some_and(|expected| expected != received.sha384) {
        return Err(Error::Digest);
    }
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let before = store::find(&transaction, name).await?;
    let file = StoredFile {
        name: name.to_owned(),
        content: received.content.clone(),
        length: received.length,
        sha384: received.sha384,
        created: before.as_ref().map_or(now, |before| before.created),
        updated: now,
    };
    store::upsert(&transaction, &file).await?;
    let detail = format!("{} bytes, SHA-384 {}", file.length, hex::encode(file.sha384));
    let event = Event { actor, action: "file.add", subject: name, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    // Whether a commit that fails, or that nobody waits for any more, took effect is not known: from here on the content
    // stays, and what belongs to no row is swept.
    received.keep();
    transaction.commit().await?;
    if let Some(before) = &before {
        app.folder.remove(&before.content).await;
    }
    Ok((file, before.is_none()))
}

/// Forgets a file; devices that are in the middle of it do not get the rest.
pub async fn remove(app: &App, actor: &str, name: &str) -> Result<(), Error> {
    let transaction = database::begin(&app.db).await?;
    let file = store::find(&transaction, name).await?.ok_or_else(|| Error::NotFound(name.to_owned()))?;
    store::delete(&transaction, name).await?;
    let event = Event { actor, action: "file.remove", subject: name, outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, app.clock.now(), event).await?;
    transaction.commit().await?;
    app.folder.remove(&file.content).await;
    Ok(())
}

/// Removes content that no file has, as a crash may leave it.
pub async fn sweep(app: &App) -> Result<(), Error> {
    let known: HashSet<String> = store::contents(&app.db).await?.into_iter().collect();
    let swept = app.folder.sweep(&known, app.clock.now().saturating_sub(ORPHAN_SECONDS)).await?;
    if swept > 0 {
        tracing::info!(swept, "content that belongs to no file was removed");
    }
    Ok(())
}
