//! What a transfer route reads of a request: a bounded body, the bearer token, the caller's address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// Hello and prove come from strangers, and hold a key or a signature.
pub const KEY_AUTH_LIMIT: usize = 4 * 1024;
/// A list of claims, at most.
pub const JSON_LIMIT: usize = 256 * 1024;
/// A whole body must arrive within this time, however steadily its bytes trickle.
const TIME: Duration = Duration::from_secs(30);
pub const CBOR: &str = "application/cbor";

/// The body, while it is within its limits. Call it only when the caller is known, or the limit is small.
pub async fn read(body: web::Payload, limit: usize) -> Result<web::Bytes, Refusal> {
    match tokio::time::timeout(TIME, body.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Refusal::bad_request("the body broke off")),
        Ok(Err(_)) => {
            let message = format!("the body has at most {} KiB", limit / 1024);
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message))
        }
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly")),
    }
}

/// The body as JSON.
pub async fn json<T: DeserializeOwned>(body: web::Payload) -> Result<T, Refusal> {
    let body = read(body, JSON_LIMIT).await?;
    serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(&format!("the body: {error}")))
}

/// Who names a media type must name CBOR.
pub fn cbor_only(request: &HttpRequest) -> Result<(), Refusal> {
    match media_type(request) {
        Some(other) if !other.eq_ignore_ascii_case(CBOR) => Err(unsupported("send application/cbor")),
        _ => Ok(()),
    }
}

/// The media type that a request names, without its parameters.
pub fn media_type(request: &HttpRequest) -> Option<&str> {
    let named = request.headers().get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(named.split(';').next().unwrap_or_default().trim())
}

/// 415
pub fn unsupported(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
}

/// The bearer token.
pub fn bearer(request: &HttpRequest) -> Option<Zeroizing<String>> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Zeroizing::new(token.trim().to_owned()))
}

/// Who connects.
pub fn source(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}
