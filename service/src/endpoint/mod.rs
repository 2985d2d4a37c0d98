//! FDO over HTTP: `POST /fdo/101/msg/{n}` becomes an `Incoming`; an `Outgoing` or a `Fault` becomes the response.
//!
//! FDO 1.1, HTTP transport. The version stands in the route; a later version gets a route of its own.

mod body;
mod fault;
pub mod limits;
mod response;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use fdo_protocol::Error;
use rand_core::Rng;
use tracing::Instrument;

use crate::host::clock::Clock;
use crate::host::metrics::Metrics;
use crate::host::random::Random;
use body::Bodies;
pub use fault::Fault;
pub use limits::{LimitSettings, Limits};

/// The path that FDO 1.1 messages are posted to.
pub const ROUTE: &str = "/fdo/101/msg/{message_type}";
/// The message that tells of an error.
pub const ERROR: u8 = 255;
/// Longer tokens are none of ours.
const TOKEN_LENGTH: usize = 512;

/// One received message.
pub struct Incoming {
    pub message_type: u8,
    pub body: Bytes,
    /// The value of `Authorization` without `Bearer `; never there on the first message of a protocol.
    pub token: Option<String>,
    pub source: IpAddr,
    /// Joins the log to message 255.
    pub correlation: u32,
}

/// One reply.
pub struct Outgoing {
    pub message_type: u8,
    pub body: Vec<u8>,
    pub token: Option<String>,
}

impl Outgoing {
    pub fn new(message_type: u8, body: Vec<u8>, token: Option<String>) -> Self {
        Self { message_type, body, token }
    }
}

/// What a service says to the messages of its protocols.
pub trait Conversation: Send + Sync + 'static {
    /// The reply to a message; write it as an `async fn`.
    fn answer(&self, incoming: Incoming) -> impl Future<Output = Result<Outgoing, Fault>>;

    /// The peer ended the session of this token with message 255.
    fn peer_error(&self, _incoming: Incoming) -> impl Future<Output = ()> {
        async {}
    }
}

/// A conversation at its route.
pub struct Endpoint<C> {
    conversation: C,
    clock: Clock,
    random: Random,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    bodies: Bodies,
}

impl<C: Conversation> Endpoint<C> {
    pub fn new(
        conversation: C,
        clock: Clock,
        random: Random,
        metrics: Arc<Metrics>,
        limits: Arc<Limits>,
    ) -> Arc<Self> {
        Arc::new(Self { conversation, clock, random, metrics, limits, bodies: Bodies::default() })
    }

    /// The conversation behind it.
    pub fn conversation(&self) -> &C {
        &self.conversation
    }

    async fn receive(&self, message_type: u8, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
        let correlation = self.random.rng().next_u32();
        let source = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let span = tracing::info_span!(
            "message",
            message = message_type,
            correlation,
            %source,
            guid = tracing::field::Empty
        );
        async {
            // Refused before its body is read: a flood costs as little as possible.
            if is_limited(message_type)
                && let Err(fault) = self.limits.check_source(source, self.clock.now())
            {
                return self.refuse(message_type, correlation, fault, None, true);
            }
            let token = match token(request, message_type) {
                Ok(token) => token,
                Err(error) => return self.refuse(message_type, correlation, Fault::new(error), None, true),
            };
            // Without its token a later message is nobody's: its body is not worth the memory.
            let unread = token.is_none() && !is_first(message_type);
            let read = match unread {
                true => Ok(Bytes::new()),
                false => self.bodies.read(payload, body::limit(message_type)).await,
            };
            let body = match read {
                Ok(body) => body,
                Err(fault) => return self.refuse(message_type, correlation, fault, None, true),
            };
            let echoed = token.clone();
            let incoming = Incoming { message_type, body, token, source, correlation };
            if message_type == ERROR {
                self.conversation.peer_error(incoming).await;
                self.metrics.message(message_type, true);
                return response::closing(response::empty(), unread);
            }
            match self.conversation.answer(incoming).await {
                Ok(outgoing) => {
                    self.metrics.message(message_type, outgoing.message_type != ERROR);
                    response::closing(response::of(outgoing), unread)
                }
                Err(fault) => self.refuse(message_type, correlation, fault, echoed, unread),
            }
        }
        .instrument(span)
        .await
    }

    fn refuse(
        &self,
        message_type: u8,
        correlation: u32,
        mut fault: Fault,
        token: Option<String>,
        close: bool,
    ) -> HttpResponse {
        self.metrics.message(message_type, false);
        fault.log();
        let body = fault.body(message_type, self.clock.now(), correlation);
        response::closing(response::of(Outgoing::new(ERROR, body, token)), close)
    }
}

/// Puts an endpoint on a listener.
pub fn configure<C: Conversation>(cfg: &mut web::ServiceConfig, endpoint: Arc<Endpoint<C>>) {
    cfg.app_data(web::Data::from(endpoint)).service(web::resource(ROUTE).route(web::post().to(message::<C>)));
}

async fn message<C: Conversation>(
    endpoint: web::Data<Endpoint<C>>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match request.match_info().get("message_type").and_then(number) {
        Some(message_type) => endpoint.receive(message_type, &request, payload).await,
        None => HttpResponse::NotFound().finish(),
    }
}

/// A message number as FDO writes it: decimal, no sign, no leading zero.
fn number(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// The first messages of DI, TO0, TO1 and TO2.
fn is_first(message_type: u8) -> bool {
    matches!(message_type, 10 | 20 | 30 | 60)
}

/// What anybody may send and is dear to check: every first message, and the ones whose sealed token costs nothing to
/// repeat and stores nothing here.
fn is_limited(message_type: u8) -> bool {
    is_first(message_type) || matches!(message_type, 22 | 32)
}

/// Some clients send an empty header, or a token of an earlier session, on a first message.
fn token(request: &HttpRequest, message_type: u8) -> Result<Option<String>, Error> {
    if is_first(message_type) {
        return Ok(None);
    }
    let Some(value) = request.headers().get(AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| Error::InvalidToken("not text"))?.trim();
    let token = match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => value[7..].trim_start(),
        _ => value,
    };
    match token {
        "" | "Bearer" => Ok(None),
        token if token.len() > TOKEN_LENGTH => Err(Error::InvalidToken("too long")),
        token => Ok(Some(token.to_owned())),
    }
}

#[cfg(test)]
mod tests;
