//! One TLS connection to a manufacturer: its key is pinned, ours is proven (voucher transfer, sections 5 and 9.6).

use std::time::Duration;

use fdo_http::ServerTrust;
use fdo_pki::Certificate;
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_protocol::key_auth::{AadPolicy, CallerHello, KeyAuthResult};
use fdo_service::outbound::{Guard, OutboundError};
use rand_core::CryptoRng;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::tls::TlsInfo;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::wire::{ClaimAnswer, ClaimItem, ClaimRequest, Enrolled, Enrolment, Refusal, TrustAnswer};
use crate::keys;

/// Where the pull API stands below what `buyer add` prints.
const ROOT: &str = "/api/v1/pull/vouchers";
const CBOR: &str = "application/cbor";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 1024 * 1024;
const VOUCHER_LIMIT: usize = 10 * 1024 * 1024;

/// Why a call to a manufacturer fails.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("`{0}` is not the https:// URL that `fdo-manufacturer buyer add` prints")]
    Url(String),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(
        "the server at {0} has another identity than the pinned one; compare the fingerprint with the manufacturer"
    )]
    Identity(String),
    #[error("cannot reach {url}: {reason}")]
    Network { url: String, reason: String },
    #[error("the manufacturer refuses: {message} ({code}, {status})")]
    Refused { status: u16, code: String, message: String, retry_after: Option<u64> },
    #[error("the manufacturer's answer is not what the protocol says: {0}")]
    Answer(String),
    #[error("KeyAuth failed: {0}")]
    KeyAuth(#[from] fdo_protocol::Error),
    #[error("this client cannot be set up: {0}")]
    Settings(String),
}

/// A client that talks to one manufacturer only.
pub struct Connection {
    client: Client,
    root: String,
    pin: [u8; 32],
}

/// A proven owner key at a manufacturer; the token lives in memory only.
pub struct Session<'a> {
    connection: &'a Connection,
    token: Zeroizing<String>,
    key_type: KeyType,
    fingerprint: String,
}

/// A voucher as it came, with the checksum that its header promised.
pub struct Download {
    pub bytes: Vec<u8>,
    pub checksum: Option<String>,
}

impl Connection {
    /// Resolves and guards the address; nothing is sent yet.
    pub async fn open(guard: &Guard, url: &str, pin: [u8; 32]) -> Result<Self, CallError> {
        let wrong = || CallError::Url(url.to_owned());
        let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "https").ok_or_else(wrong)?;
        let host = parsed.host_str().ok_or_else(wrong)?;
        let port = parsed.port_or_known_default().ok_or_else(wrong)?;
        let addresses = guard.resolve(host, port).await?;
        let tls = fdo_http::client_config(&ServerTrust::Key(pin))
            .map_err(|error| CallError::Settings(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .tls_info(true)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(host, &addresses)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| CallError::Settings(error.to_string()))?;
        let base = url.trim_end_matches('/');
        let root = if base.ends_with(ROOT) { base.to_owned() } else { format!("{base}{ROOT}") };
        Ok(Self { client, root, pin })
    }

    /// Proves an owner key; the challenge must be signed by the key that TLS showed.
    pub async fn authenticate(
        &self,
        key: &SigningKey,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Session<'_>, CallError> {
        let hello = CallerHello::new(key.verifying_key(), rng);
        let response = self.send_cbor("/auth/hello", hello.bytes().to_vec()).await?;
        let server = self.server_key(&response)?;
        let challenge = body(response, ANSWER_LIMIT).await?;
        let prove = hello.prove(&challenge, &server, key, AadPolicy::default())?;
        let response = self.send_cbor("/auth/prove", prove).await?;
        let result = KeyAuthResult::from_bytes(&body(response, ANSWER_LIMIT).await?, now)?;
        Ok(Session {
            connection: self,
            token: result.token,
            key_type: key.key_type(),
            fingerprint: keys::fingerprint(key.verifying_key()),
        })
    }

    async fn send_cbor(&self, path: &str, message: Vec<u8>) -> Result<Response, CallError> {
        let url = format!("{}{path}", self.root);
        let request = self.client.post(&url).header(CONTENT_TYPE, CBOR).header(ACCEPT, CBOR).body(message);
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let told = body(response, ANSWER_LIMIT).await.ok();
        let refusal: Refusal = told.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Err(CallError::Refused { status, code: refusal.code(), message: refusal.message(), retry_after })
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        let mut reason = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = source {
            reason = error.to_string();
            // What the verifier of a pinned key answers to any other key.
            if reason.contains("ApplicationVerificationFailure") {
                return CallError::Identity(self.root.clone());
            }
            source = error.source();
        }
        CallError::Network { url: self.root.clone(), reason }
    }

    /// The identity key out of the certificate that TLS has verified.
    fn server_key(&self, response: &Response) -> Result<VerifyingKey, CallError> {
        let info = response.extensions().get::<TlsInfo>();
        let shown = info.and_then(TlsInfo::peer_certificate).and_then(|der| Certificate::parse(der).ok());
        let certificate = shown.ok_or_else(|| CallError::Answer("TLS showed no usable certificate".to_owned()))?;
        if certificate.spki_sha256() != self.pin {
            return Err(CallError::Identity(self.root.clone()));
        }
        certificate.public_key().map_err(|error| CallError::Answer(error.to_string()))
    }
}

impl Session<'_> {
    /// The type of the proven key.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its fingerprint, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Enrols the proven key with a one-time code; `complete` with the last key.
    pub async fn enrol(&self, code: &str, complete: bool) -> Result<Enrolled, CallError> {
        let url = format!("{}/enrolment", self.connection.root);
        self.json(self.connection.client.post(url).json(&Enrolment { code, complete })).await
    }

    /// The maker's keys and device CAs.
    pub async fn trust(&self) -> Result<TrustAnswer, CallError> {
        self.json(self.connection.client.get(format!("{}/trust", self.connection.root))).await
    }

    /// Asks for serials; the answers come in their order.
    pub async fn claim(&self, serials: &[String]) -> Result<Vec<ClaimAnswer>, CallError> {
        let claims = serials.iter().map(|serial| ClaimItem { serial }).collect();
        let url = format!("{}/claims", self.connection.root);
        let answer: super::wire::ClaimAnswers =
            self.json(self.connection.client.post(url).json(&ClaimRequest { claims })).await?;
        if answer.results.len() != serials.len() {
            return Err(CallError::Answer("it answers another number of serials than it was asked".to_owned()));
        }
        Ok(answer.results)
    }

    /// Fetches a claimed voucher.
    pub async fn download(&self, guid: &Guid) -> Result<Download, CallError> {
        let name = hex::encode(guid.as_bytes());
        let request = self.connection.client.get(format!("{}/{name}/download", self.connection.root));
        let response = self.connection.send(request.bearer_auth(self.token.as_str())).await?;
        let checksum = response.headers().get("X-FDO-Checksum").and_then(|value| value.to_str().ok());
        let checksum = checksum.map(str::to_owned);
        Ok(Download { bytes: body(response, VOUCHER_LIMIT).await?, checksum })
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let response = self.connection.send(request.bearer_auth(self.token.as_str())).await?;
        let bytes = body(response, ANSWER_LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::Answer(error.to_string()))
    }
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| CallError::Network {
        url: error.url().map(ToString::to_string).unwrap_or_default(),
        reason: error.without_url().to_string(),
    };
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > limit {
            return Err(CallError::Answer(format!("it is longer than {limit} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
