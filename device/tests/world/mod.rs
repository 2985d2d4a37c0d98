//! A manufacturer, a rendezvous and an owner in memory, which a device's agent talks to as if over the network.
//! A test may lose, change or forge any reply.
#![allow(dead_code, clippy::unwrap_used)]

pub mod issuing;
pub mod services;

use std::sync::{Arc, Mutex, MutexGuard};

use fdo_device::config::Config;
use fdo_device::store::{Directory, Store};
use fdo_device::{
    Agent, AgentSettings, Attempts, Birth, Channel, Clock, OnboardError, Onboarded, Policy, Random, Transport,
    TransportError,
};
use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::Error;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::messages::{ErrorMessage, Outbound};

pub use services::{Fate, Services};

pub const NOW: u64 = 1_795_478_400;
pub const SERIAL: &str = "FL-0001";
pub const ONCE: Policy = Policy { attempts: Attempts::Limited(1), reonboard: false };

/// One device's world.
pub struct World {
    pub services: Arc<Mutex<Services>>,
    pub state: Directory,
    pub wifi: Directory,
    pub settings: AgentSettings,
    pub key_type: KeyType,
}

impl World {
    /// With everything in memory.
    pub fn new(key_type: KeyType) -> Self {
        Self {
            services: Arc::new(Mutex::new(Services::new(key_type))),
            state: Directory::in_memory(),
            wifi: Directory::in_memory(),
            settings: Config::default().agent_settings(None).unwrap(),
            key_type,
        }
    }

    /// A device that was born.
    pub async fn born() -> Self {
        let world = Self::new(KeyType::P256);
        world.agent().init(&world.birth()).await.unwrap();
        world
    }

    pub fn birth(&self) -> Birth {
        Birth {
            manufacturer: "http://manufacturer.example:8038".parse().unwrap(),
            serial: SERIAL.to_owned(),
            model: "gateway".to_owned(),
            key_type: self.key_type,
            force: false,
        }
    }

    pub fn services(&self) -> MutexGuard<'_, Services> {
        self.services.lock().unwrap()
    }

    pub fn store(&self) -> Store {
        Store::open(self.state.clone(), Some(self.wifi.clone())).unwrap()
    }

    /// The agent as it starts.
    pub fn agent(&self) -> Agent<Wire> {
        Agent {
            transport: Wire(self.services.clone()),
            store: self.store(),
            settings: self.settings.clone(),
            clock: Clock::from_fn(|| NOW),
            random: Random::seeded(7),
            progress: None,
        }
    }

    pub async fn power_on(&self) -> Result<Onboarded, OnboardError> {
        self.agent().onboard(ONCE).await
    }

    pub fn credential(&self) -> Vec<u8> {
        self.state.read("identity/credential.cbor").unwrap().unwrap().to_vec()
    }
}

/// The network.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<Services>>);

pub struct Line {
    services: Arc<Mutex<Services>>,
    host: String,
}

impl Transport for Wire {
    type Channel = Line;

    fn open(&self, base: &BaseUrl, _: &ServerTrust) -> Result<Line, TransportError> {
        Ok(Line { services: self.0.clone(), host: base.host().to_string() })
    }
}

impl Channel for Line {
    async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, TransportError> {
        let mut services = self.services.lock().unwrap();
        let number = request.message_type.number();
        let unreachable = || TransportError::Unreachable(format!("{} is down", self.host));
        if services.down.contains(&self.host) || services.fate(number) == Fate::RequestLost {
            return Err(unreachable());
        }
        services.received.push((number, self.host.clone()));
        let reply = services.answer(request).map_err(|error| {
            TransportError::Protocol(Error::Peer(ErrorMessage::new(error.code(), number, NOW, 1)))
        })?;
        if services.fate(number) == Fate::ReplyLost {
            return Err(unreachable());
        }
        Ok(services.forged(number + 1, reply))
    }

    async fn send_error(&self, error: &ErrorMessage) {
        self.services.lock().unwrap().errors.push(error.clone());
    }
}
