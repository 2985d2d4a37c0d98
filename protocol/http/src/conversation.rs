//! One protocol run over HTTP: each request with the newest session token, each answer checked before anyone reads it
//! (FDO 1.1, HTTP transport and message 255).

use std::time::Duration;

use bytes::Bytes;
use fdo_protocol::Error as Fault;
use fdo_protocol::cbor;
use fdo_protocol::messages::{ErrorMessage, MessageType, Outbound};
use reqwest::header::HeaderValue;

use crate::base_url::BaseUrl;
use crate::client::{Answer, Client};
use crate::error::Error;
use crate::headers;

const ERROR: u8 = 255;

/// How long the peer may take to hear of an error that ends the run anyway.
const ERROR_TIMEOUT: Duration = Duration::from_secs(5);

/// A run of DI, TO0, TO1 or TO2 with one service.
#[derive(Debug)]
pub struct Conversation {
    client: Client,
    base: BaseUrl,
    token: Option<HeaderValue>,
}

impl Conversation {
    pub(crate) fn new(client: Client, base: BaseUrl) -> Self {
        Self { client, base, token: None }
    }

    /// The service that it is with.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends a request and gives the body of its reply, whose type was checked to be the one that answers it.
    ///
    /// # Errors
    /// [`Error::Network`] without an answer, [`Error::Http`] for a status without a message 255, and
    /// [`Error::Protocol`] for message 255, another message type, another content type, or no session token.
    pub async fn exchange(&mut self, request: &Outbound) -> Result<Bytes, Error> {
        if request.message_type.is_first() {
            self.token = None;
        }
        let url = self.base.message_url(request.message_type);
        let number = request.message_type.number();
        let body = Bytes::copy_from_slice(&request.body);
        let answer = self.client.post(&url, number, self.token.as_ref(), body).await?;
        self.accept(number, answer)
    }

    /// Tells the peer that this side gives up. Nothing depends on it, so nothing of it fails.
    pub async fn send_error(&self, error: &ErrorMessage) {
        let url = self.base.message_url(MessageType::Error);
        let body = cbor::encode(error).into();
        let post = self.client.post_once(&url, ERROR, self.token.as_ref(), body);
        match tokio::time::timeout(ERROR_TIMEOUT, post).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the peer was not told of the error"),
            Err(_) => tracing::debug!("the peer took too long to hear of the error"),
        }
    }

    fn accept(&mut self, request: u8, answer: Answer) -> Result<Bytes, Error> {
        let message_type = headers::message_type(&answer.headers);
        let success = answer.status.is_success();
        if message_type == Some(ERROR) || !success {
            return Err(match cbor::decode::<ErrorMessage>(&answer.body) {
                Ok(message) => Fault::Peer(message).into(),
                Err(_) if success => Fault::Malformed("the error message does not decode").into(),
                Err(_) => Error::Http { request, status: answer.status.as_u16() },
            });
        }
        // In each protocol of FDO 1.1 the reply is numbered one above its request.
        if message_type.is_none() || message_type != request.checked_add(1) {
            return Err(Fault::Rejected("the answer is of another message type, or does not say which").into());
        }
        headers::check_content_type(&answer.headers)?;
        if let Some(token) = headers::token(&answer.headers) {
            self.token = Some(token);
        }
        if self.token.is_none() {
            return Err(Fault::Rejected("the answer opens no session: it has no Authorization").into());
        }
        Ok(answer.body)
    }
}
