//! What can go wrong when a message is carried: the network, the HTTP of the peer, or FDO itself.

use std::error::Error as StdError;

use fdo_protocol::messages::ErrorMessage;

/// Why no usable answer came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the base URL of a service.
    #[error("{address} is not a usable address: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it, or what to write instead.
        reason: &'static str,
    },
    /// The settings of the client cannot be used.
    #[error("the HTTP client cannot be set up: {0}")]
    Settings(String),
    /// No connection, or it broke before the answer was complete.
    #[error("{url} cannot be reached: {reason}")]
    Network {
        /// Where the message was posted.
        url: String,
        /// The innermost cause.
        reason: String,
        /// Whether it was a time limit that ended it.
        timeout: bool,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The peer answered with an HTTP error and without an FDO error message.
    #[error("the peer answered message {request} with HTTP status {status}")]
    Http {
        /// The type of the message that was posted.
        request: u8,
        /// The status.
        status: u16,
    },
    /// The peer's answer is longer than this side reads.
    #[error("the answer to message {request} is longer than {limit} bytes")]
    TooLarge {
        /// The type of the message that was posted.
        request: u8,
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what FDO asks for, or it is the peer's message 255 ([`fdo_protocol::Error::Peer`]).
    #[error(transparent)]
    Protocol(#[from] fdo_protocol::Error),
}

impl Error {
    pub(crate) fn network(url: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut innermost: &dyn StdError = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self::Network {
            url: url.to_owned(),
            reason: innermost.to_string(),
            timeout: error.is_timeout(),
            source: error,
        }
    }

    /// Whether the peer was not reached or did not finish its answer: another address or a later attempt may help.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Network { .. })
    }

    /// The peer's message 255, if that is what came.
    pub fn peer(&self) -> Option<&ErrorMessage> {
        match self {
            Self::Protocol(fdo_protocol::Error::Peer(message)) => Some(message),
            _ => None,
        }
    }

    /// The fault as the protocol knows it, if it is one: only such a fault is told to the peer by a message 255.
    pub fn protocol(&self) -> Option<&fdo_protocol::Error> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}
