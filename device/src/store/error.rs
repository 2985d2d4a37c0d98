//! Why the state of the device could not be read or written.

use std::io;

/// A fault of the state directory. The credential in it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{file} in the state directory: {source}")]
    File {
        /// Which file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file} in the state directory is damaged: {reason}")]
    Damaged {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no key to keep.
    #[error("no key could be made: {0}")]
    Key(fdo_protocol::Error),
    /// Another agent is at work on it.
    #[error("another fdo-device is at work on this state directory: wait until it has ended, or stop it")]
    Busy,
    /// There is no credential yet.
    #[error("this device has no credential yet: run `fdo-device init` first")]
    NotInitialised,
    /// There is one already.
    #[error("this device has a credential already; `--force` throws it away and starts over")]
    AlreadyInitialised,
}

impl StoreError {
    pub(crate) fn file(file: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File { file: file.to_owned(), source }
    }
}
