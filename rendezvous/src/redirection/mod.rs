//! TO1, 30 to 33: a device asks where its owner is. The state between the two messages, a nonce and the GUID, travels
//! sealed in the session token, so that a flood of hellos costs no memory.

use std::sync::Arc;

use fdo_protocol::to1::rendezvous::{self, ExpectProveToRv};
use fdo_protocol::{Error, Guid, cbor};
use fdo_service::endpoint::{Fault, Incoming, Limits, Outgoing};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::sessions::{Protocol, SealedTokens};
use tracing::field::display;

use crate::registrations::{Live, Registrations};

/// The rendezvous' side of TO1.
pub struct To1 {
    pub clock: Clock,
    pub random: Random,
    pub tokens: SealedTokens,
    pub limits: Arc<Limits>,
    pub registrations: Arc<Registrations>,
}

impl To1 {
    /// A nonce for the device to sign, if anybody has registered its GUID (`30 -> 31`).
    pub async fn hello_rv(&self, incoming: &Incoming) -> Result<Outgoing, Fault> {
        let now = self.clock.now();
        let hello = rendezvous::hello_rv(&incoming.body)?;
        tracing::Span::current().record("guid", display(hello.guid));
        self.limits.check_guid(hello.guid.as_bytes(), now)?;
        let found = self.find(&hello.guid, now).await?;
        if !found.iter().any(|live| live.is_live(now)) {
            return Err(NOT_REGISTERED.into());
        }
        let mut rng = self.random.rng();
        let (reply, state) = rendezvous::hello_rv_ack(&hello, &mut rng);
        let token = self.tokens.seal(Protocol::To1, &cbor::encode(&state), now, &mut rng);
        Ok(Outgoing::new(reply.message_type.number(), reply.body, Some(token)))
    }

    /// Redirects the device by the registration whose key it proves (`32 -> 33`).
    pub async fn prove_to_rv(&self, incoming: &Incoming) -> Result<Outgoing, Fault> {
        let now = self.clock.now();
        let token = incoming.token.as_deref().ok_or(Error::InvalidToken("missing"))?;
        let state: ExpectProveToRv = cbor::decode(&self.tokens.open(Protocol::To1, token, now)?)?;
        let guid = state.guid();
        tracing::Span::current().record("guid", display(guid));
        let proof = state.prove_to_rv(&incoming.body)?;
        let mut refused = NOT_REGISTERED;
        for live in self.find(&guid, now).await?.iter().filter(|live| live.is_live(now)) {
            match proof.verify(&live.key) {
                Ok(verified) => {
                    self.registrations.prove((guid, live.device));
                    let reply = rendezvous::rv_redirect(&verified, &live.to1d);
                    let token = Some(token.to_owned());
                    return Ok(Outgoing::new(reply.message_type.number(), reply.body, token));
                }
                Err(error) => refused = error,
            }
        }
        Err(refused.into())
    }

    async fn find(&self, guid: &Guid, now: u64) -> Result<Arc<[Live]>, Fault> {
        self.registrations.find(guid, now).await.map_err(|error| Fault::internal(&error))
    }
}

const NOT_REGISTERED: Error = Error::NotFound("no live registration of this GUID");
