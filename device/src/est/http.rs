//! EST over HTTPS: the only CAs are those of the request, never the system's; no proxy, no redirect, bounded in time and
//! length.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::redirect::Policy;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::{Answer, BODY_LIMIT, EstError, EstTransport, Request};

/// For a connection, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For a request with its answer: a CA may take its time.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A connection for each request: renewals are seldom, and each may have another identity.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpEst;

impl EstTransport for HttpEst {
    async fn send(&self, request: &Request<'_>) -> Result<Answer, EstError> {
        let own = |error: reqwest::Error| EstError::Own(error.without_url().to_string());
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(request)?)
            .redirect(Policy::none())
            .no_proxy()
            .http1_title_case_headers()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TIME_LIMIT)
            .user_agent(concat!("firstlight-device/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(own)?;
        let outgoing = match &request.body {
            None => client.get(&request.url),
            Some((media_type, body)) => {
                client.post(&request.url).header(CONTENT_TYPE, *media_type).body(body.clone())
            }
        };
        let mut response = outgoing.send().await.map_err(|error| failed(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(EstError::Unusable(format!("more than {BODY_LIMIT} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers();
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: text(headers, &RETRY_AFTER),
            date: text(headers, &DATE),
            body,
        })
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|text| text.len() <= 64).map(str::to_owned)
}

/// The device's own clock, which tests may stop.
#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

fn tls(request: &Request<'_>) -> Result<ClientConfig, EstError> {
    let own = |error: rustls::Error| EstError::Own(error.to_string());
    let mut roots = RootCertStore::empty();
    let trusted = request.trust.iter().map(|der| CertificateDer::from(der.clone()));
    if roots.add_parsable_certificates(trusted).0 == 0 {
        return Err(EstError::Own("it has no CA certificate to know the EST service by".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(At(request.now)))
        .with_safe_default_protocol_versions()
        .map_err(own)?
        .with_root_certificates(roots);
    match request.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.to_vec()));
            builder.with_client_auth_cert(chain, key).map_err(own)
        }
    }
}

/// What TLS said about certificates is told apart from a network that does not carry.
fn failed(error: &reqwest::Error) -> EstError {
    if error.is_timeout() {
        return EstError::Unreachable("it took too long".to_owned());
    }
    let mut last = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(tls) = tls_error(cause) {
            return of_tls(tls);
        }
        last = cause.to_string();
        source = cause.source();
    }
    EstError::Unreachable(if last.is_empty() { "no connection".to_owned() } else { last })
}

/// Input and output wrap each other's errors, and what is wrapped is not their source.
fn tls_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut inner = cause;
    loop {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        inner = inner.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

fn of_tls(error: &rustls::Error) -> EstError {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => EstError::WrongTime("is not valid yet"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            EstError::WrongTime("has expired")
        }
        rustls::Error::InvalidCertificate(why) => EstError::NotTrusted(why.to_string()),
        rustls::Error::AlertReceived(alert) => EstError::Dismissed(format!("{alert:?}")),
        other => EstError::Unreachable(other.to_string()),
    }
}
