//! Telling the event logger of an interoperability event that TO2 ended (module `fido_alliance`). Nothing depends on it.

use std::time::Duration;

use fdo_http::{ServerTrust, client_config};
use fdo_protocol::Guid;
use fdo_protocol::cbor::{Writer, encode};
use fdo_protocol::nonce::NonceTo2SetupDv;
use fdo_protocol::service_info::conformance::Token;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

/// How long the logger may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The number of TO2 among the protocols.
const TO2: u64 = 2;

/// A TO2 that ended.
pub struct Event {
    pub token: Token,
    pub guid: Guid,
    pub nonce: NonceTo2SetupDv,
}

/// Posts `[Guid, protocol, Nonce]`.
pub async fn report(logger: &str, event: &Event) -> Result<(), String> {
    let text = |error: reqwest::Error| error.without_url().to_string();
    let mut builder = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(TIME_LIMIT);
    if logger.starts_with("http:") {
        // Without TLS no CA certificates are needed.
        let trust = client_config(&ServerTrust::Any).map_err(|error| error.to_string())?;
        builder = builder.tls_backend_preconfigured(trust);
    }
    let mut body = Writer::default();
    body.array(3).raw(&encode(&event.guid)).unsigned(TO2).raw(&encode(&event.nonce));
    let url = format!("{}/logger/101/msg/10", logger.trim_end_matches('/'));
    let request = builder.build().map_err(text)?.post(url).header(CONTENT_TYPE, "application/cbor");
    let answer = request.bearer_auth(event.token.expose()).body(body.into_bytes()).send().await.map_err(text)?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("the logger answered {}", answer.status())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_logger_gets_guid_protocol_and_nonce_with_the_token() {
        for (status, well) in [("200 OK", true), ("401 Unauthorized", false)] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let logger = format!("http://{}/", listener.local_addr().unwrap());
            let served = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                // The body is 37 bytes: a head, a GUID, a number and a nonce.
                while !request.windows(4).any(|end| end == b"\r\n\r\n") || !request.ends_with(&[2; 16]) {
                    let mut part = [0; 1000];
                    let length = stream.read(&mut part).await.unwrap();
                    request.extend_from_slice(&part[..length]);
                }
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                request
            });
            let event = Event {
                token: Token::new("ab.cd".into()).unwrap(),
                guid: Guid::from_bytes([1; 16]),
                nonce: NonceTo2SetupDv::from_slice(&[2; 16]).unwrap(),
            };
            assert_eq!(report(&logger, &event).await.is_ok(), well);
            let request = served.await.unwrap();
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            assert!(text.starts_with("post /logger/101/msg/10 http/1.1\r\n") && text.contains("bearer ab.cd"));
            let body = [&[0x83, 0x50][..], &[1; 16], &[2, 0x50], &[2; 16]].concat();
            assert!(request.ends_with(&body));
        }
    }
}
