//! One TLS connection to another organisation's service: its key is pinned or known, ours is proven (sections 4, 5).

use std::time::Duration;

use fdo_http::ServerTrust;
use fdo_pki::Certificate;
use fdo_protocol::crypto::{KeyType, OwnerKey, VerifyingKey};
use fdo_protocol::key_auth::{AadPolicy, CallerHello, KeyAuthResult};
use fdo_protocol::{Guid, PublicKey};
use rand_core::CryptoRng;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::tls::TlsInfo;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::ser::Serialize;
use zeroize::Zeroizing;

use super::push::{PushAnswer, Pushed};
use super::{CHECKSUM_HEADER, VERSION, VERSION_HEADER, VOUCHER, VOUCHER_LIMIT, voucher_id};
use crate::outbound::{Guard, OutboundError};

const CBOR: &str = "application/cbor";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Why a call to another organisation fails.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("`{0}` is not an https:// URL")]
    Url(String),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(
        "the server at {0} has another identity than the pinned one; compare the fingerprint with its operator"
    )]
    Identity(String),
    #[error("cannot reach {url}: {reason}")]
    Network { url: String, reason: String },
    #[error("the other side refuses: {message} ({code}, {status})")]
    Refused { status: u16, code: String, message: String, retry_after: Option<u64> },
    #[error("the answer is not what the protocol says: {0}")]
    Answer(String),
    #[error("KeyAuth failed: {0}")]
    KeyAuth(#[from] fdo_protocol::Error),
    #[error("this client cannot be set up: {0}")]
    Settings(String),
}

/// How the TLS server is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKey {
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    Pinned([u8; 32]),
    /// By the public CAs, and its host's name.
    PublicCa,
}

/// An error body: the drafts spell it in several ways.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: Option<String>,
    message: Option<String>,
    error_code: Option<String>,
}

/// A client that talks to one service only.
pub struct Connection {
    client: Client,
    root: String,
    server: ServerKey,
}

/// What is presented with each request; it lives in memory only.
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

/// A page of `GET Q`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListPage {
    pub vouchers: Vec<ListItem>,
    pub continuation: Option<String>,
    pub has_more: bool,
}

/// One voucher of a list, in the spellings of all drafts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListItem {
    pub voucher_id: String,
    pub serial: Option<String>,
    pub serial_number: Option<String>,
    pub model: Option<String>,
    pub model_number: Option<String>,
    pub created_at: Option<String>,
    pub checksum: Option<String>,
}

async fn guarded(guard: &Guard, url: &str, server: ServerKey) -> Result<Client, CallError> {
    let wrong = || CallError::Url(super::said(url, 200));
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "https").ok_or_else(wrong)?;
    let host = parsed.host_str().ok_or_else(wrong)?;
    let port = parsed.port_or_known_default().ok_or_else(wrong)?;
    let addresses = guard.resolve(host, port).await?;
    let builder = match server {
        ServerKey::Pinned(pin) => {
            let tls = fdo_http::client_config(&ServerTrust::Key(pin))
                .map_err(|error| CallError::Settings(error.to_string()))?;
            Client::builder().tls_backend_preconfigured(tls)
        }
        ServerKey::PublicCa => {
            // reqwest and rustls need one process-wide provider; a second installation is refused, which is fine.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            Client::builder()
        }
    };
    builder
        .tls_info(true)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve_to_addrs(host, &addresses)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| CallError::Settings(error.to_string()))
}

/// Fetches one small thing.
pub(super) async fn fetch(
    guard: &Guard,
    url: &str,
    server: ServerKey,
    limit: usize,
) -> Result<Vec<u8>, CallError> {
    let connection = Connection::open(guard, url, server).await?;
    let response = connection.send(connection.client.get(url)).await?;
    body(response, limit).await
}

impl Connection {
    /// Resolves and guards the address; nothing is sent yet. The root is opaque: suffixes are appended to it.
    pub async fn open(guard: &Guard, root: &str, server: ServerKey) -> Result<Self, CallError> {
        let client = guarded(guard, root, server).await?;
        Ok(Self { client, root: root.trim_end_matches('/').to_owned(), server })
    }

    /// Proves an owner key. The challenge must be signed by one of `servers`, or, where TLS is pinned and nobody has
    /// told us others, by the key that TLS showed.
    pub async fn authenticate(
        &self,
        key: &(dyn OwnerKey + '_),
        servers: &[VerifyingKey],
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Session<'_>, CallError> {
        let hello = CallerHello::new(key.verifying_key(), rng);
        let response = self.send_cbor("/auth/hello", hello.bytes().to_vec()).await?;
        let shown = match (self.server, servers.is_empty()) {
            (ServerKey::Pinned(pin), true) => vec![self.server_key(&response, pin)?],
            _ => Vec::new(),
        };
        let challenge = body(response, ANSWER_LIMIT).await?;
        let known = if servers.is_empty() { &shown } else { servers };
        let mut proof = Err(fdo_protocol::Error::Rejected("the key of this server is not known here"));
        for server in known {
            proof = hello.prove(&challenge, server, key, AadPolicy::default());
            if proof.is_ok() {
                break;
            }
        }
        let response = self.send_cbor("/auth/prove", proof?).await?;
        let result = KeyAuthResult::from_bytes(&body(response, ANSWER_LIMIT).await?, now)?;
        let fingerprint = PublicKey::x509(key.verifying_key()).fingerprint()?;
        Ok(Session {
            connection: self,
            token: result.token,
            key_type: key.verifying_key().key_type(),
            fingerprint: hex::encode(fingerprint),
        })
    }

    /// Presents a token that the other side's operator made, instead of a key.
    pub fn with_token(&self, token: &str) -> Session<'_> {
        let token = Zeroizing::new(token.to_owned());
        Session { connection: self, token, key_type: KeyType::P256, fingerprint: String::new() }
    }

    async fn send_cbor(&self, path: &str, message: Vec<u8>) -> Result<Response, CallError> {
        let url = format!("{}{path}", self.root);
        let request = self.client.post(&url).header(CONTENT_TYPE, CBOR).header(ACCEPT, CBOR).body(message);
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let request = request.header(VERSION_HEADER, VERSION);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let told = body(response, ANSWER_LIMIT).await.ok();
        let told: Refused = told.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let code = told.error_code.as_deref().map_or_else(|| "refused".to_owned(), |code| super::said(code, 64));
        let message = told.message.or(told.error).unwrap_or_else(|| "it gives no reason".to_owned());
        Err(CallError::Refused { status, code, message: super::said(&message, 500), retry_after })
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
    fn server_key(&self, response: &Response, pin: [u8; 32]) -> Result<VerifyingKey, CallError> {
        let info = response.extensions().get::<TlsInfo>();
        let shown = info.and_then(TlsInfo::peer_certificate).and_then(|der| Certificate::parse(der).ok());
        let certificate = shown.ok_or_else(|| CallError::Answer("TLS showed no usable certificate".to_owned()))?;
        if certificate.spki_sha256() != pin {
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

    /// `GET` below the root.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.json(self.connection.client.get(format!("{}{path}", self.connection.root))).await
    }

    /// `POST` of JSON below the root.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.json(self.connection.client.post(format!("{}{path}", self.connection.root)).json(body)).await
    }

    /// A page of what is ours there: from `since` on, or after a continuation.
    pub async fn list(&self, since: Option<&str>, continuation: Option<&str>) -> Result<ListPage, CallError> {
        let mut query = vec![("limit", "100"), ("status", "all")];
        query.extend(since.map(|since| ("since", since)));
        query.extend(continuation.map(|continuation| ("continuation", continuation)));
        let mut url =
            Url::parse(&self.connection.root).map_err(|_| CallError::Url(self.connection.root.clone()))?;
        url.query_pairs_mut().extend_pairs(query);
        self.json(self.connection.client.get(url)).await
    }

    /// Fetches a voucher.
    pub async fn download(&self, guid: &Guid) -> Result<Download, CallError> {
        let url = format!("{}/{}/download", self.connection.root, voucher_id(guid));
        let response = self.send(self.connection.client.get(url).header(ACCEPT, VOUCHER)).await?;
        let checksum = response.headers().get(CHECKSUM_HEADER).and_then(|value| value.to_str().ok());
        let checksum = checksum.map(str::to_owned);
        Ok(Download { bytes: body(response, VOUCHER_LIMIT).await?, checksum })
    }

    /// Pushes one voucher.
    pub async fn push(&self, pushed: &Pushed, rng: &mut (dyn CryptoRng + Send)) -> Result<PushAnswer, CallError> {
        let (media_type, body) = pushed.to_body(rng);
        let request = self.connection.client.post(&self.connection.root).header(CONTENT_TYPE, media_type);
        self.json(request.body(body)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let bytes = body(self.send(request).await?, ANSWER_LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::Answer(error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let value = Zeroizing::new(format!("Bearer {}", self.token.as_str()));
        self.connection.send(request.header(AUTHORIZATION, value.as_str())).await
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
