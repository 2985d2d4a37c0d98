//! Reads a message's body within its limits of size and time, and all bodies within one limit of memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use fdo_protocol::Error;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Fault;

/// A whole body must arrive within this time, however steadily its bytes trickle.
const TIME: Duration = Duration::from_secs(30);
const LIMIT: usize = 64 * 1024;
/// TO0.OwnerSign carries a whole voucher of up to 255 entries.
const OWNER_SIGN_LIMIT: usize = 256 * 1024;
/// What all bodies that have not arrived yet may hold together, in bytes: a thousand of the longest.
const TOGETHER: usize = 64 * 1024 * 1024;

/// The largest body of a message.
pub(super) fn limit(message_type: u8) -> usize {
    if message_type == 22 { OWNER_SIGN_LIMIT } else { LIMIT }
}

/// The bodies that are on their way to one endpoint.
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    time: Duration,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(TOGETHER, TIME)
    }
}

impl Bodies {
    fn new(together: usize, time: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(together)), time }
    }

    /// The whole body, whether it comes chunked or with its length.
    pub(super) async fn read(&self, payload: Payload, limit: usize) -> Result<Bytes, Fault> {
        let slow = Error::Malformed("the body came too slowly");
        tokio::time::timeout(self.time, self.collect(payload, limit)).await.unwrap_or(Err(slow.into()))
    }

    async fn collect(&self, mut payload: Payload, limit: usize) -> Result<Bytes, Fault> {
        let Some(first) = payload.next().await else {
            return Ok(Bytes::new());
        };
        let first = first.map_err(|_| Error::Malformed("the body broke off"))?;
        if first.len() > limit {
            return Err(Error::Malformed("the body is too long").into());
        }
        let mut held = self.hold(first.len())?;
        // Nearly every message arrives in one piece, which then needs no copy.
        let Some(second) = payload.next().await else {
            return Ok(first);
        };
        let mut next = Some(second);
        let mut body = BytesMut::from(first.as_ref());
        while let Some(chunk) = next {
            let chunk = chunk.map_err(|_| Error::Malformed("the body broke off"))?;
            if body.len() + chunk.len() > limit {
                return Err(Error::Malformed("the body is too long").into());
            }
            held.merge(self.hold(chunk.len())?);
            body.extend_from_slice(&chunk);
            next = payload.next().await;
        }
        Ok(body.freeze())
    }

    /// Room for so many bytes until they have all arrived.
    fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(bytes).map_err(|_| Fault::limited("too many bodies at once"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::FromRequest;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use futures_util::Stream;
    use futures_util::stream;
    use std::future::Future as _;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

    async fn payload(chunks: Chunks) -> Payload {
        let request = TestRequest::default().to_http_request();
        Payload::from_request(&request, &mut actix_web::dev::Payload::from(chunks)).await.unwrap()
    }

    fn pieces(sizes: &[usize]) -> Chunks {
        let pieces: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect();
        stream::iter(pieces).boxed_local()
    }

    /// Gives what it has and then nothing, for ever.
    fn trickle(size: usize) -> Chunks {
        pieces(&[size]).chain(stream::pending()).boxed_local()
    }

    #[actix_web::test]
    async fn a_body_that_trickles_is_given_up_and_its_room_freed() {
        let bodies = Bodies::new(100, Duration::from_millis(1));
        let fault = bodies.read(payload(trickle(80)).await, LIMIT).await.unwrap_err();
        assert_eq!(*fault.error(), Error::Malformed("the body came too slowly"));
        assert_eq!(bodies.read(payload(pieces(&[50, 50])).await, LIMIT).await.unwrap().len(), 100);
    }

    #[actix_web::test]
    async fn all_bodies_together_have_a_limit() {
        let bodies = Bodies::new(100, TIME);
        let waiting = bodies.read(payload(trickle(80)).await, LIMIT);
        let mut waiting = std::pin::pin!(waiting);
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        for sizes in [&[21][..], &[10, 11]] {
            assert!(bodies.read(payload(pieces(sizes)).await, LIMIT).await.is_err());
        }
        assert!(bodies.read(payload(pieces(&[10, 10])).await, LIMIT).await.is_ok());
    }

    #[actix_web::test]
    async fn a_body_has_a_limit_of_its_own() {
        let bodies = Bodies::default();
        assert_eq!(bodies.read(payload(pieces(&[4, 6])).await, 10).await.unwrap().len(), 10);
        for sizes in [&[11][..], &[4, 7]] {
            let fault = bodies.read(payload(pieces(sizes)).await, 10).await.unwrap_err();
            assert_eq!(*fault.error(), Error::Malformed("the body is too long"));
        }
        assert!(bodies.read(payload(pieces(&[])).await, 10).await.unwrap().is_empty());
    }
}
