//! Two replicas of one owner without listeners, and devices that ask for certificates.

use std::collections::HashMap;
use std::sync::Mutex;

use fdo_owner::app::App;
use fdo_owner::ca::{self, Error, Granted, Origin, Requester};
use fdo_owner::config::Config;
use fdo_owner::db::Migrator;
use fdo_pki::{Certificate, DeviceSerial, build_csr};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const NOW: u64 = 1_790_000_000;

pub struct World {
    pub app: App,
    /// Another process on the same database; nothing tells it what this one does.
    pub other: App,
    pub clock: Clock,
    pub random: Random,
    /// A signature is never the same twice, a request that is sent again is.
    requests: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    folder: TempDir,
    _database: Option<TestDatabase>,
}

impl World {
    /// One on SQLite, and one on PostgreSQL where there is one.
    pub async fn all() -> Vec<Self> {
        Self::with(&Config::default()).await
    }

    /// Those that may call such addresses.
    pub async fn all_allowing(addresses: &str) -> Vec<Self> {
        Self::with(&Config { outbound_allow: vec![addresses.to_owned()], ..Config::default() }).await
    }

    async fn with(config: &Config) -> Vec<Self> {
        let mut worlds = vec![Self::open(config.clone(), None).await];
        if let Some(database) = TestDatabase::postgres::<Migrator>().await {
            let config = Config { database: Some(database.url().to_owned()), ..config.clone() };
            worlds.push(Self::open(config, Some(database)).await);
        }
        worlds
    }

    async fn open(config: Config, database: Option<TestDatabase>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, random) = (Clock::fixed(NOW), Random::seeded(21));
        let (app, _) = App::open(&config, folder.path(), clock.clone(), random.clone()).await.unwrap();
        let seed = Random::seeded(22);
        let (other, _) = App::open(&config, folder.path(), clock.clone(), seed).await.unwrap();
        Self { app, other, clock, random, requests: Mutex::default(), folder, _database: database }
    }

    pub fn root_secret(&self) -> Zeroizing<[u8; 32]> {
        let path = ca::authorities::creation_secret(self.folder.path());
        Zeroizing::new(std::fs::read(path).unwrap().try_into().unwrap())
    }

    pub fn key(&self) -> SigningKey {
        SigningKey::generate(KeyType::P256, &mut self.random.rng()).unwrap()
    }

    pub async fn ask(
        &self,
        app: &App,
        profile: &str,
        key: &SigningKey,
        replaces: Option<&str>,
    ) -> Result<Granted, Error> {
        self.ask_as(app, "d1", profile, key, replaces).await
    }

    pub async fn ask_as(
        &self,
        app: &App,
        device_id: &str,
        profile: &str,
        key: &SigningKey,
        replaces: Option<&str>,
    ) -> Result<Granted, Error> {
        self.send(app, device_id, profile, key, Origin::Est { replaces }).await
    }

    pub async fn ask_in(
        &self,
        app: &App,
        profile: &str,
        key: &SigningKey,
        session: Origin<'_>,
    ) -> Result<Granted, Error> {
        self.send(app, "d1", profile, key, session).await
    }

    async fn send(
        &self,
        app: &App,
        device_id: &str,
        profile: &str,
        key: &SigningKey,
        origin: Origin<'_>,
    ) -> Result<Granted, Error> {
        let requester = Requester { device_id, serial: Some("SN-1"), guid: Guid::from_bytes([1; 16]), origin };
        let rng = &mut self.random.rng();
        app.ca.issue(&app.db, profile, &self.csr(key), &requester, self.clock.now(), rng).await
    }

    /// The request for a key, the same bytes each time.
    pub fn csr(&self, key: &SigningKey) -> Vec<u8> {
        let made = || build_csr(key, Some("evil"), &DeviceSerial::parse("SOMEBODY-ELSE").unwrap()).unwrap();
        self.requests.lock().unwrap().entry(key.verifying_key().spki_der().to_vec()).or_insert_with(made).clone()
    }

    /// A certificate for a fresh key.
    pub async fn issue(&self, app: &App, profile: &str) -> Certificate {
        issued(self.ask(app, profile, &self.key(), None).await.unwrap())
    }
}

pub fn issued(granted: Granted) -> Certificate {
    let Granted::Issued(certificate) = granted else { panic!("it waits") };
    *certificate
}
