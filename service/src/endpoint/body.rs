//! Reads a message's body within its limits of size and time.

use std::time::Duration;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use fdo_protocol::Error;
use futures_util::StreamExt;

/// A whole body must arrive within this time, however steadily its bytes trickle.
const TIME: Duration = Duration::from_secs(30);
const LIMIT: usize = 64 * 1024;
/// TO0.OwnerSign carries a whole voucher of up to 255 entries.
const OWNER_SIGN_LIMIT: usize = 256 * 1024;

/// The largest body of a message.
pub(super) fn limit(message_type: u8) -> usize {
    if message_type == 22 { OWNER_SIGN_LIMIT } else { LIMIT }
}

/// The whole body, whether it comes chunked or with its length.
pub(super) async fn read(payload: Payload, limit: usize) -> Result<Bytes, Error> {
    tokio::time::timeout(TIME, collect(payload, limit))
        .await
        .unwrap_or(Err(Error::Malformed("the body came too slowly")))
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Error> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| Error::Malformed("the body broke off"))?;
    if first.len() > limit {
        return Err(Error::Malformed("the body is too long"));
    }
    // Nearly every message arrives in one piece, which then needs no copy.
    let Some(second) = payload.next().await else {
        return Ok(first);
    };
    let mut next = Some(second);
    let mut body = BytesMut::from(first.as_ref());
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| Error::Malformed("the body broke off"))?;
        if body.len() + chunk.len() > limit {
            return Err(Error::Malformed("the body is too long"));
        }
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(body.freeze())
}
