//! Two replicas of one owner without listeners, and devices that ask for certificates.

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
    folder: TempDir,
    _database: Option<TestDatabase>,
}

impl World {
    /// One on SQLite, and one on PostgreSQL where there is one.
    pub async fn all() -> Vec<Self> {
        let mut worlds = vec![Self::open(Config::default(), None).await];
        if let Some(database) = TestDatabase::postgres::<Migrator>().await {
            let config = Config { database: Some(database.url().to_owned()), ..Config::default() };
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
        Self { app, other, clock, random, folder, _database: database }
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
        let csr = build_csr(key, Some("evil"), &DeviceSerial::parse("SOMEBODY-ELSE").unwrap()).unwrap();
        let requester = Requester {
            device_id: "d1",
            serial: Some("SN-1"),
            guid: Guid::from_bytes([1; 16]),
            origin: Origin::Est { replaces },
        };
        app.ca.issue(&app.db, profile, &csr, &requester, self.clock.now(), &mut self.random.rng()).await
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
