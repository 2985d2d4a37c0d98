//! The HTTP client under a conversation: its limits, whom it trusts, and how it repeats a request that got no answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;

use crate::base_url::BaseUrl;
use crate::conversation::Conversation;
use crate::error::Error;
use crate::headers;
use crate::tls::{ServerTrust, client_config};

/// How often and how soon a request that got no answer is sent again, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many times it is sent in all; 1 means never again.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles before each further one.
    pub pause: Duration,
}

impl Retry {
    /// Send once.
    pub const NEVER: Self = Self { attempts: 1, pause: Duration::ZERO };
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_millis(250) }
    }
}

/// The limits of a [`Client`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Time limit for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Time limit for one request with its answer.
    pub total_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub body_limit: usize,
    /// Which TLS servers are accepted.
    pub trust: ServerTrust,
    /// What happens when a connection fails or breaks. Time limits are not retried.
    pub retry: Retry,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(60),
            body_limit: 1 << 20,
            trust: ServerTrust::Any,
            retry: Retry::default(),
        }
    }
}

/// Carries messages and keeps connections alive between them. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
}

/// What came back: the status, the headers that matter, and the body within its limit.
pub(crate) struct Answer {
    pub status: reqwest::StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// A client with these limits. It follows no redirect and uses no proxy.
    ///
    /// # Errors
    /// [`Error::Settings`] when the TLS settings cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::build(settings, None)
    }

    /// The same limits, but `base`'s name is reached only at these addresses: what an outbound guard has checked, or
    /// what a rendezvous instruction names. An address as host is dialled as it stands.
    ///
    /// # Errors
    /// [`Error::Settings`] as for [`Client::new`].
    pub fn resolved(&self, base: &BaseUrl, addresses: &[SocketAddr]) -> Result<Self, Error> {
        Self::build(&self.settings, Some((base.host().to_string().to_ascii_lowercase(), addresses)))
    }

    fn build(settings: &Settings, resolve: Option<(String, &[SocketAddr])>) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(&settings.trust)?)
            .redirect(Policy::none())
            .no_proxy()
            // Small devices' servers were seen to compare names as written; ours do not mind.
            .http1_title_case_headers()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.total_timeout)
            .user_agent(concat!("firstlight/", env!("CARGO_PKG_VERSION")));
        if let Some((host, addresses)) = resolve {
            builder = builder.resolve_to_addrs(&host, addresses);
        }
        let http = builder.build().map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self { http, settings: settings.clone() })
    }

    /// A conversation with the service at `base`, without a session token yet.
    pub fn conversation(&self, base: &BaseUrl) -> Conversation {
        Conversation::new(self.clone(), base.clone())
    }

    /// Posts the same bytes until there is an answer or the attempts are used up.
    pub(crate) async fn post(
        &self,
        url: &str,
        message_type: u8,
        token: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut pause = self.settings.retry.pause;
        for _ in 1..self.settings.retry.attempts {
            match self.post_once(url, message_type, token, body.clone()).await {
                Err(error @ Error::Network { timeout: false, .. }) => {
                    tracing::debug!(%error, message_type, "no answer, sending the same request again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                decided => return decided,
            }
        }
        self.post_once(url, message_type, token, body).await
    }

    /// Posts once, whatever the retry setting.
    pub(crate) async fn post_once(
        &self,
        url: &str,
        message_type: u8,
        token: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, headers::CBOR)
            .header(headers::MESSAGE_TYPE, u16::from(message_type));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let network = |error| Error::network(url, error);
        let mut response = request.body(body).send().await.map_err(network)?;
        let limit = self.settings.body_limit;
        let mut received = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if received.len() + chunk.len() > limit {
                return Err(Error::TooLarge { request: message_type, limit });
            }
            received.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: received.into(),
        })
    }
}
