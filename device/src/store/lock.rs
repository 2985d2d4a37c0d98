//! One agent at a time on a state directory: two that stage and confirm in turns would take each other's credential.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::StoreError;

/// What a daemon locks.
const DAEMON: &str = ".daemon";

/// Held by whoever changes the state; let go when dropped, or when the process ends in any way.
#[must_use]
pub struct Lock {
    _directory: Option<File>,
}

impl Lock {
    /// Of a directory on disk; one in memory belongs to its process.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another has it.
    pub(super) fn take(directory: Option<&Path>) -> Result<Self, StoreError> {
        let Some(path) = directory else {
            return Ok(Self { _directory: None });
        };
        Self::of(File::open(path).map_err(StoreError::file("."))?)
    }

    /// Of a file of its own beside the state, which only a daemon holds, for as long as it runs.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another has it.
    pub(super) fn take_for_daemon(directory: Option<&Path>) -> Result<Self, StoreError> {
        let Some(path) = directory else {
            return Ok(Self { _directory: None });
        };
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(DAEMON));
        Self::of(file.map_err(StoreError::file(DAEMON))?)
    }

    fn of(directory: File) -> Result<Self, StoreError> {
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy),
            // Some file systems know no locks: then nobody can be kept out.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(StoreError::file(".")(error)),
        }
        Ok(Self { _directory: Some(directory) })
    }
}
