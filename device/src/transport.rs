//! How messages travel: over HTTP, or by whatever a test puts in its place.

use std::future::Future;

use fdo_http::{BaseUrl, Client, Conversation, ServerTrust, Settings};
use fdo_protocol::Error;
use fdo_protocol::messages::{ErrorMessage, Outbound};

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer cannot be reached, or does not speak HTTP as it should.
    #[error("{0}")]
    Unreachable(String),
    /// The reply breaks FDO's rules, or it is the peer's message 255.
    #[error(transparent)]
    Protocol(#[from] Error),
}

impl From<fdo_http::Error> for TransportError {
    fn from(error: fdo_http::Error) -> Self {
        match error {
            fdo_http::Error::Protocol(error) => Self::Protocol(error),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Opens a run of one protocol with one service.
pub trait Transport: Send + Sync {
    /// The run.
    type Channel: Channel;

    /// Opens it; nothing is sent yet.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] when the settings cannot be used.
    fn open(&self, base: &BaseUrl, trust: &ServerTrust) -> Result<Self::Channel, TransportError>;
}

/// A run of one protocol; it keeps the session token.
pub trait Channel: Send {
    /// Sends a request and gives the body of the reply that answers it.
    fn exchange(&mut self, request: &Outbound) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;

    /// Tells the peer that this side gives up. Nothing depends on it.
    fn send_error(&self, error: &ErrorMessage) -> impl Future<Output = ()> + Send;
}

/// FDO over HTTP. Clones share their connections.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    settings: Settings,
}

impl HttpTransport {
    /// With these limits.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] when the settings cannot be used.
    pub fn new(settings: Settings) -> Result<Self, TransportError> {
        Ok(Self { client: Client::new(&settings)?, settings })
    }
}

impl Transport for HttpTransport {
    type Channel = Conversation;

    fn open(&self, base: &BaseUrl, trust: &ServerTrust) -> Result<Conversation, TransportError> {
        if *trust == self.settings.trust {
            return Ok(self.client.conversation(base));
        }
        let settings = Settings { trust: trust.clone(), ..self.settings.clone() };
        Ok(Client::new(&settings)?.conversation(base))
    }
}

impl Channel for Conversation {
    async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, TransportError> {
        Ok(Self::exchange(self, request).await?.to_vec())
    }

    async fn send_error(&self, error: &ErrorMessage) {
        Self::send_error(self, error).await;
    }
}
