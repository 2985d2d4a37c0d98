//! A conversation's failure: what the peer is told, and what the log is told.

use std::error::Error as StdError;

use fdo_protocol::messages::ErrorMessage;
use fdo_protocol::{Error, ErrorCode};

use crate::problem::Chain;

/// Ends a conversation. The peer gets the code and a fixed text; the reason stays in the log.
#[derive(Debug)]
pub struct Fault {
    error: Error,
    reason: Option<String>,
    body: Option<Vec<u8>>,
    is_limit: bool,
}

impl Fault {
    pub fn new(error: Error) -> Self {
        Self { error, reason: None, body: None, is_limit: false }
    }

    /// A limit was reached. The peer is told to come back (500), and a flood does not flood the log.
    pub fn limited(which: &'static str) -> Self {
        Self { is_limit: true, ..Self::new(Error::Internal(which)) }
    }

    /// More for the log; never a secret.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// A fault of this side, such as a database that does not answer.
    pub fn internal(error: &(dyn StdError + 'static)) -> Self {
        Self::new(Error::Internal("see the reason")).because(Chain(error).to_string())
    }

    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The body of message 255. The first call fixes it, so that a stored session replays what was sent.
    pub fn body(&mut self, previous: u8, now: u64, correlation: u32) -> Vec<u8> {
        let error = &self.error;
        self.body
            .get_or_insert_with(|| {
                fdo_protocol::cbor::encode(&ErrorMessage::of(error, previous, now, correlation))
            })
            .clone()
    }

    /// Told once, at the edge; the message's span carries its type, GUID and correlation id.
    pub(super) fn log(&self) {
        let reason = self.reason.as_deref().unwrap_or_default();
        if self.is_limit {
            tracing::debug!(error = %self.error, "message refused");
        } else if self.error.code() == ErrorCode::Internal {
            tracing::error!(error = %self.error, reason, "message failed");
        } else {
            tracing::info!(error = %self.error, reason, "message refused");
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}
