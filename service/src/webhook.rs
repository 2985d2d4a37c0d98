//! Webhooks: a JSON body posted to an address that an operator has named, with an HMAC-SHA256 over it, within a limit of
//! time and size.
//!
//! `Firstlight-Signature: t=1790000000,v1=<hex>` is the HMAC of the time, a full stop and the body. Who receives it
//! computes the same, compares in constant time, and refuses what is older than some minutes.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::outbound::{Guard, OutboundError};

/// The header of the signature.
pub const SIGNATURE_HEADER: &str = "Firstlight-Signature";
/// An answer longer than this is not read.
const ANSWER_LIMIT: usize = 16 * 1024;

/// Where to post, with which secret, and how long that may take in all.
pub struct Webhook {
    pub url: String,
    /// Without one the body is not signed.
    pub secret: Option<Zeroizing<Vec<u8>>>,
    pub patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's URL `{0}` is not an http:// or https:// URL")]
    Url(String),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the webhook cannot be reached: {0}")]
    Network(String),
    #[error("the webhook did not answer within {0} ms")]
    Late(u128),
    #[error("the webhook's answer is longer than {ANSWER_LIMIT} bytes")]
    Long,
}

/// What the other side said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// The value of [`SIGNATURE_HEADER`].
pub fn signature(secret: &[u8], body: &[u8], now: u64) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()))
}

impl Webhook {
    /// Posts JSON once. Redirects are not followed; the address is one that the guard allows.
    pub async fn post(&self, guard: &Guard, body: Vec<u8>, now: u64) -> Result<Answer, WebhookError> {
        let late = WebhookError::Late(self.patience.as_millis());
        tokio::time::timeout(self.patience, self.send(guard, body, now)).await.unwrap_or(Err(late))
    }

    async fn send(&self, guard: &Guard, body: Vec<u8>, now: u64) -> Result<Answer, WebhookError> {
        let wrong = || WebhookError::Url(self.url.clone());
        let url = Url::parse(&self.url).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let host = url.host_str().ok_or_else(wrong)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let addresses = guard.resolve(&host, port).await?;
        // reqwest and rustls need one process-wide provider; a second installation is refused, which is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Errors name the URL, which may hold a token.
        let broken = |error: reqwest::Error| WebhookError::Network(innermost(&error.without_url()));
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(&host, &addresses)
            .build()
            .map_err(broken)?;
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE_HEADER, signature(secret, &body, now));
        }
        let mut response = request.body(body).send().await.map_err(broken)?;
        let (status, mut body) = (response.status().as_u16(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(WebhookError::Long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

/// "Connection refused" says more than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn webhook(url: &str, patience: u64) -> Webhook {
        let secret = Some(Zeroizing::new(b"key".to_vec()));
        Webhook { url: url.to_owned(), secret, patience: Duration::from_millis(patience) }
    }

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // `printf '7.{}' | openssl dgst -sha256 -hmac key`
        let expected = "t=7,v1=77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8";
        assert_eq!(signature(b"key", b"{}", 7), expected);
    }

    #[tokio::test]
    async fn a_signed_body_arrives_and_the_answer_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let guard = Guard::new(&["loopback".into()]).unwrap();
        let receiver = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{\"a\":1}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let answer = webhook(&url, 10_000).post(&guard, b"{\"a\":1}".to_vec(), 7).await.unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"{}".to_vec() });
        let request = receiver.await.unwrap().to_lowercase();
        let signed = format!("firstlight-signature: {}", signature(b"key", b"{\"a\":1}", 7));
        assert!(request.contains(&signed), "{request}");
    }

    #[tokio::test]
    async fn silence_and_inner_addresses_are_errors() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let guard = Guard::new(&["loopback".into()]).unwrap();
        let late = webhook(&url, 50).post(&guard, Vec::new(), 7).await;
        assert!(matches!(late, Err(WebhookError::Late(50))), "{late:?}");
        let inner = webhook(&url, 10_000).post(&Guard::default(), Vec::new(), 7).await;
        assert!(matches!(inner, Err(WebhookError::Outbound(_))), "{inner:?}");
        let other = webhook("ftp://127.0.0.1/", 10_000).post(&guard, Vec::new(), 7).await;
        assert!(matches!(other, Err(WebhookError::Url(_))), "{other:?}");
    }
}
