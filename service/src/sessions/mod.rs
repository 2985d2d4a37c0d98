//! What a server keeps between two messages: sealed in the token (TO0, TO1, KeyAuth) or stored under it (DI, TO2).

mod memory;
mod record;
pub mod sealed;
mod store;

use fdo_protocol::Error;

use crate::database::DbErr;
use crate::endpoint::Fault;

pub use record::{Loaded, Next, RecordSettings, Records, Session, Step};
pub use sealed::{SealedTokens, SealingKey};

/// The protocol that a token belongs to; no other accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Di,
    To0,
    To1,
    To2,
    KeyAuth,
}

impl Protocol {
    /// Its name with the version of FDO, as tokens are bound to it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Di => "101/di",
            Self::To0 => "101/to0",
            Self::To1 => "101/to1",
            Self::To2 => "101/to2",
            Self::KeyAuth => "101/key-auth",
        }
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the session token is missing, wrong, expired or of another protocol")]
    InvalidToken,
    #[error("the session has ended")]
    Ended,
    #[error("another request of this session was faster")]
    Lost,
    #[error("too many sessions")]
    Full,
    #[error("the sessions' database failed")]
    Database(#[from] DbErr),
}

impl From<&SessionError> for Error {
    fn from(error: &SessionError) -> Self {
        match error {
            SessionError::InvalidToken => Self::InvalidToken("missing, wrong, expired or of another protocol"),
            SessionError::Ended => Self::Rejected("the session has ended"),
            SessionError::Lost => Self::Rejected("another request of this session was faster"),
            SessionError::Full => Self::Internal("too many sessions"),
            SessionError::Database(_) => Self::Internal("the sessions' database failed"),
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::from(&error)
    }
}

impl From<SessionError> for Fault {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Database(source) => Self::internal(source),
            other => Self::new(Error::from(other)),
        }
    }
}
