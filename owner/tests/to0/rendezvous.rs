//! A rendezvous that accepts everybody and remembers whom.

use std::sync::{Arc, Mutex};

use fdo_protocol::cbor;
use fdo_protocol::to0::rendezvous::{self, ExpectOwnerSign};
use fdo_protocol::voucher::VerifyPolicy;
use fdo_protocol::{Error, Guid};
use fdo_service::endpoint::{self, Conversation, Endpoint, Fault, Incoming, LimitSettings, Limits, Outgoing};
use fdo_service::host::clock::Clock;
use fdo_service::host::metrics::Metrics;
use fdo_service::host::random::Random;
use fdo_service::host::{Host, Listener, Running};
use fdo_service::sessions::{Protocol, SealedTokens, SealingKey};

use crate::world::NOW;

/// GUID, seconds asked for, and the owner's first address.
type Registered = (Guid, u32, String);

struct Accepting {
    granted: u32,
    tokens: SealedTokens,
    random: Random,
    registered: Arc<Mutex<Vec<Registered>>>,
}

impl Conversation for Accepting {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        if incoming.message_type == 20 {
            let (reply, state) = rendezvous::hello(&incoming.body, &mut self.random.rng())?;
            let state = cbor::encode(&state);
            let token = self.tokens.seal(Protocol::To0, &state, NOW, &mut self.random.rng());
            return Ok(Outgoing::new(21, reply.body, Some(token)));
        }
        let token = incoming.token.ok_or(Error::InvalidToken("none"))?;
        let state: ExpectOwnerSign = cbor::decode(&self.tokens.open(Protocol::To0, &token, NOW)?)?;
        let request = state.owner_sign(&incoming.body, &VerifyPolicy::default())?;
        let url = request.rv_to2_addr.urls().remove(0);
        self.registered.lock().unwrap().push((request.voucher.guid(), request.wait_seconds, url));
        Ok(Outgoing::new(23, rendezvous::accept_owner(self.granted).body, Some(token)))
    }
}

/// One that listens.
pub struct Rendezvous {
    pub port: u16,
    running: Running,
    registered: Arc<Mutex<Vec<Registered>>>,
}

impl Rendezvous {
    /// On any port; it grants these seconds.
    pub async fn start(granted: u32) -> Self {
        Self::start_at(0, granted).await
    }

    pub async fn start_at(port: u16, granted: u32) -> Self {
        let registered = Arc::new(Mutex::new(Vec::new()));
        let random = Random::seeded(21);
        let tokens = SealedTokens::new(&SealingKey::new([1; 32]));
        let accepting = Accepting { granted, tokens, random: random.clone(), registered: registered.clone() };
        let limits = Limits::new(&LimitSettings::default());
        let endpoint = Endpoint::new(accepting, Clock::fixed(NOW), random, Metrics::new(), limits);
        let listener = Listener::device("device", &format!("127.0.0.1:{port}"), move |cfg| {
            endpoint::configure(cfg, endpoint.clone());
        });
        let running = Host::new().workers(Some(1)).start(vec![listener]).await.unwrap();
        let port = running.address("device").unwrap().port();
        Self { port, running, registered }
    }

    pub fn registered(&self) -> Vec<Registered> {
        self.registered.lock().unwrap().clone()
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}
