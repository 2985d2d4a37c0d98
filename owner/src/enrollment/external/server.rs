//! The outside CA's EST server (RFC 7030, 4.2, with the encodings of RFC 8951), called as a registration authority.

use std::sync::Arc;
use std::time::Duration;

use fdo_pki::{Certificate, encode_base64, pkcs7};
use fdo_service::outbound::{Guard, OutboundError};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::ca::authorities::external::Est;
use crate::plans::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 * 1024;
/// The longest reason that is kept, in characters.
const REASON: usize = 300;
/// Between these, in seconds, the server's Retry-After is respected.
const RETRY: std::ops::RangeInclusive<u64> = 5..=86_400;
const RETRY_DEFAULT: u64 = 300;

/// What the server says.
pub(super) enum Answer {
    Issued(Vec<Certificate>),
    /// 202: in so many seconds.
    Later(u64),
}

/// Why there is no answer, or none to go on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("{0} is not an https:// URL")]
    Url(String),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("our identity or the CA of its server cannot be used: {0}")]
    Settings(String),
    #[error("the outside CA cannot be reached: {0}")]
    Network(String),
    #[error("the outside CA answers {0}: {1}")]
    Status(u16, String),
    #[error("the outside CA's answer cannot be read: {0}")]
    Answer(String),
    /// It says no for good.
    #[error("the outside CA refuses: {0}")]
    Refused(String),
}

/// Sends a request.
pub(super) async fn enroll(guard: &Guard, est: &Est, csr: &[u8]) -> Result<Answer, CallError> {
    let url = Url::parse(&format!("{}/simpleenroll", est.url.trim_end_matches('/')));
    let url = url.ok().filter(|url| url.scheme() == "https").ok_or_else(|| CallError::Url(est.url.clone()))?;
    let client = client(guard, est, &url).await?;
    let mut post = client
        .post(url)
        .header(CONTENT_TYPE, "application/pkcs10")
        .header("Content-Transfer-Encoding", "base64")
        .body(encode_base64(csr));
    if let Some(username) = &est.username {
        post = post.basic_auth(username, est.password.as_ref().map(Secret::expose));
    }
    let response = post.send().await.map_err(|error| CallError::Network(cause(&error)))?;
    let status = response.status().as_u16();
    let retry = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry = retry.and_then(|text| text.trim().parse::<u64>().ok());
    match status {
        200 => {
            let body = body(response).await?;
            let all = pkcs7::decode_certs_only(&body).map_err(|error| CallError::Answer(error.to_string()))?;
            let all = all.iter().map(|der| Certificate::parse(der)).collect::<Result<_, _>>();
            Ok(Answer::Issued(all.map_err(|error| CallError::Answer(error.to_string()))?))
        }
        202 => Ok(Answer::Later(retry.unwrap_or(RETRY_DEFAULT).clamp(*RETRY.start(), *RETRY.end()))),
        // Neither our identity there nor the path: the request itself.
        400 | 403 | 422 => Err(CallError::Refused(reason(response).await)),
        _ => Err(CallError::Status(status, reason(response).await)),
    }
}

/// The innermost cause says what is wrong; what is around it repeats the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

async fn client(guard: &Guard, est: &Est, url: &Url) -> Result<Client, CallError> {
    let wrong = || CallError::Url(est.url.clone());
    let host = url.host_str().ok_or_else(wrong)?;
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    let addresses = guard.resolve(host, port).await?;
    Client::builder()
        .tls_backend_preconfigured(tls(est)?)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve_to_addrs(host, &addresses)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| CallError::Settings(error.to_string()))
}

/// TLS with the pinned CAs only, and our certificate where there is one. Also what a connection is checked by when it is set.
pub(super) fn tls(est: &Est) -> Result<ClientConfig, CallError> {
    fn wrong(error: impl std::fmt::Display) -> CallError {
        CallError::Settings(error.to_string())
    }
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(est.server_ca.as_bytes()) {
        roots.add(root.map_err(wrong)?).map_err(wrong)?;
    }
    if roots.is_empty() {
        return Err(wrong("name the CA of the EST server"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    match (&est.client_certificate, &est.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(wrong)?;
            builder.with_client_auth_cert(chain.map_err(wrong)?, key).map_err(wrong)
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(wrong("a client certificate and its key belong together")),
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::Network(cause(&error)))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(CallError::Answer(format!("it is longer than {ANSWER_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What the server says for people, in one line.
async fn reason(response: Response) -> String {
    let status = response.status();
    let text = body(response).await.unwrap_or_default();
    let text: String = String::from_utf8_lossy(&text).chars().take(REASON).collect();
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.trim().is_empty() { status.to_string() } else { plain.trim().to_owned() }
}
