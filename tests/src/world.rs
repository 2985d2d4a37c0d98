//! A world for one test: manufacturer, rendezvous and owner on ports of their own, each with its own database, a clock
//! that the test sets and a fixed seed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use fdo_device::store::{Directory, Store};
use fdo_device::{Agent, AgentSettings, Attempts, Birth, HttpTransport, OnboardError, Onboarded, Policy};
use fdo_http::{BaseUrl, Settings};
use fdo_protocol::crypto::KeyType;
use fdo_service::cli::ApiClient;
use fdo_service::host::clock::Clock;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Some day in 2026.
pub const START: u64 = 1_790_000_000;

/// What differs between worlds.
#[derive(Default, Clone)]
pub struct WorldSettings {
    /// Where the databases are; SQLite files where it says nothing. One URL for each service.
    pub databases: Option<[String; 3]>,
    /// Where devices look for the rendezvous and the owner, when something stands in between.
    pub seen_at: Option<[String; 2]>,
    /// Changes of the owner's settings.
    pub owner: Option<fn(&mut fdo_owner::config::Config)>,
    /// Changes of the manufacturer's settings.
    pub manufacturer: Option<fn(&mut fdo_manufacturer::config::Config)>,
    /// Changes of the rendezvous' settings.
    pub rendezvous: Option<fn(&mut fdo_rendezvous::config::Config)>,
    /// Another clock than one that stands at [`START`].
    pub clock: Option<Clock>,
}

/// The three services and what talks to them.
pub struct World {
    pub directory: TempDir,
    pub clock: Clock,
    pub random: Random,
    pub manufacturer: Option<fdo_manufacturer::app::Running>,
    pub rendezvous: Option<fdo_rendezvous::app::Running>,
    pub owner: Option<fdo_owner::app::Running>,
    /// The settings that each was started with; the ports in them stay theirs after a restart.
    pub manufacturer_config: fdo_manufacturer::config::Config,
    pub rendezvous_config: fdo_rendezvous::config::Config,
    pub owner_config: fdo_owner::config::Config,
    pub manufacturer_url: BaseUrl,
    pub rendezvous_url: BaseUrl,
    pub owner_url: BaseUrl,
    /// Empty where there is no such listener.
    pub est_url: String,
    pub claims_url: String,
    pub identity_fingerprint: String,
    pub manufacturer_api: ApiClient,
    pub rendezvous_api: ApiClient,
    pub owner_api: ApiClient,
}

/// A port that nobody listens on right now, and that no other caller in this process gets. It lies below those that the
/// system gives to connections, so that none of them takes it before its listener does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(251);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 12_000 + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn anywhere() -> Listen {
    Listen::at(&format!("127.0.0.1:{}", free_port()))
}

fn url(address: SocketAddr) -> BaseUrl {
    format!("http://{address}").parse().unwrap()
}

fn api(address: SocketAddr, token: &str) -> ApiClient {
    ApiClient::new(&format!("http://{address}"), Some(token)).unwrap()
}

impl World {
    /// All three on SQLite.
    pub async fn new() -> Self {
        Self::with(WorldSettings::default()).await
    }

    pub async fn with(settings: WorldSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = |name: &str| directory.path().join(name);
        let clock = settings.clock.clone().unwrap_or_else(|| Clock::fixed(START));
        let random = Random::seeded(1);
        let seen_at = |index: usize| settings.seen_at.as_ref().map(|urls| urls[index].clone());
        let database = |index: usize| settings.databases.as_ref().map(|urls| urls[index].clone());

        let mut rendezvous_config = fdo_rendezvous::config::Config {
            database: database(1),
            workers: Some(1),
            listen: anywhere(),
            operators: anywhere(),
            ..fdo_rendezvous::config::Config::default()
        };
        rendezvous_config.limits.source_per_second = 0;
        if let Some(change) = settings.rendezvous {
            change(&mut rendezvous_config);
        }
        let rendezvous =
            fdo_rendezvous::app::start(&rendezvous_config, &folder("rendezvous"), clock.clone(), random.clone())
                .await
                .unwrap();
        let rendezvous_url = url(rendezvous.address("device").unwrap());

        let mut manufacturer_config = fdo_manufacturer::config::Config {
            name: "Test maker".into(),
            database: database(0),
            workers: Some(1),
            rendezvous: Some(vec![seen_at(0).unwrap_or_else(|| rendezvous_url.to_string()).into()]),
            listen: anywhere(),
            operators: anywhere(),
            ..fdo_manufacturer::config::Config::default()
        };
        manufacturer_config.claims.address = anywhere().address;
        manufacturer_config.limits.source_per_second = 0;
        if let Some(change) = settings.manufacturer {
            change(&mut manufacturer_config);
        }
        let manufacturer = fdo_manufacturer::app::start(
            &manufacturer_config,
            &folder("manufacturer"),
            clock.clone(),
            random.clone(),
        )
        .await
        .unwrap();

        let owner_port = free_port();
        let mut owner_config = fdo_owner::config::Config {
            database: database(2),
            workers: Some(1),
            listen: Listen::at(&format!("127.0.0.1:{owner_port}")),
            public_url: Some(seen_at(1).unwrap_or_else(|| format!("http://127.0.0.1:{owner_port}"))),
            operators: anywhere(),
            outbound_allow: vec!["loopback".into()],
            ..fdo_owner::config::Config::default()
        };
        owner_config.est.address = anywhere().address;
        owner_config.limits.source_per_second = 0;
        owner_config.status.address = anywhere().address;
        owner_config.status.public_url = Some(format!("http://{}", owner_config.status.address));
        owner_config.limits.guid_per_second = 0;
        if let Some(change) = settings.owner {
            change(&mut owner_config);
        }
        let owner =
            fdo_owner::app::start(&owner_config, &folder("owner"), clock.clone(), random.clone()).await.unwrap();

        Self {
            manufacturer_url: url(manufacturer.address("device").unwrap()),
            rendezvous_url,
            owner_url: url(owner.address("device").unwrap()),
            est_url: owner.address("est").map(|address| format!("https://{address}")).unwrap_or_default(),
            claims_url: format!("https://{}", manufacturer.address("claims").unwrap()),
            identity_fingerprint: manufacturer.identity_fingerprint.clone(),
            manufacturer_api: api(
                manufacturer.address("operator").unwrap(),
                manufacturer.operator_token.as_ref().unwrap(),
            ),
            rendezvous_api: api(rendezvous.address("operator").unwrap(), rendezvous.first_token.as_ref().unwrap()),
            owner_api: api(owner.address("operator").unwrap(), owner.first_token.as_ref().unwrap()),
            directory,
            clock,
            random,
            manufacturer: Some(manufacturer),
            rendezvous: Some(rendezvous),
            owner: Some(owner),
            manufacturer_config,
            rendezvous_config,
            owner_config,
        }
    }

    /// Enters a serial at the manufacturer.
    pub async fn admit(&self, serial: &str) {
        let body = json!({ "serials": [serial] });
        let _: Value = self.manufacturer_api.post("/api/v1/devices", &body).await.unwrap();
    }

    /// Makes the owner a buyer: code, keys, trust.
    pub async fn enrol(&self) {
        let buyer: Value =
            self.manufacturer_api.post("/api/v1/buyers", &json!({ "name": "Owner" })).await.unwrap();
        let enrolment = json!({
            "url": self.claims_url,
            "fingerprint": self.identity_fingerprint,
            "code": buyer["code"],
        });
        let _: Value = self.owner_api.post("/api/v1/manufacturers", &enrolment).await.unwrap();
    }

    /// Sets serials aside for the owner and has it claim them.
    pub async fn buy(&self, serials: &[&str]) -> Value {
        let allocation = json!({ "buyer": "Owner", "serials": serials });
        let _: Value = self.manufacturer_api.post("/api/v1/allocations", &allocation).await.unwrap();
        let claims = json!({ "serials": serials, "wait": 30 });
        self.owner_api.post("/api/v1/claims", &claims).await.unwrap()
    }

    /// Does what is due of TO0 now, without waiting for the job.
    pub async fn register(&self) {
        let app = &self.owner.as_ref().unwrap().app;
        fdo_owner::registration::run_due(app).await.unwrap();
    }

    /// An agent with its own state directory.
    pub fn device(&self, name: &str) -> Agent<HttpTransport> {
        self.device_with(name, |_| {})
    }

    pub fn device_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut fdo_device::config::Config),
    ) -> Agent<HttpTransport> {
        let state = self.directory.path().join(name);
        let mut config = fdo_device::config::Config::default();
        change(&mut config);
        let wifi = config.wifi_directory(&state).map(|path| Directory::on_disk(&path).unwrap());
        let settings: AgentSettings = config.agent_settings(Some(&state)).unwrap();
        let clock = self.clock.clone();
        Agent {
            transport: HttpTransport::new(Settings::default()).unwrap(),
            store: Store::open(Directory::on_disk(&state).unwrap(), wifi).unwrap(),
            settings,
            clock: fdo_device::Clock::from_fn(move || clock.now()),
            random: fdo_device::Random::seeded(7),
            progress: None,
        }
    }

    pub fn birth(&self, serial: &str, key_type: KeyType) -> Birth {
        Birth {
            manufacturer: self.manufacturer_url.clone(),
            serial: serial.into(),
            model: "gateway".into(),
            key_type,
            force: false,
        }
    }

    /// A device that was born, bought and registered, with its agent.
    pub async fn sold_device(&self, serial: &str, key_type: KeyType) -> Agent<HttpTransport> {
        self.sold(&self.birth(serial, key_type)).await
    }

    /// The same of a device as it says.
    pub async fn sold(&self, birth: &Birth) -> Agent<HttpTransport> {
        let serial = birth.serial.as_str();
        let agent = self.device(serial);
        self.admit(serial).await;
        agent.init(birth).await.unwrap();
        let report = self.buy(&[serial]).await;
        assert_eq!(report["results"][0]["state"], "fulfilled", "{report}");
        self.register().await;
        // Where the background job was faster, it may still be at it.
        for _ in 0..1000 {
            let device: Value = self.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
            if device["state"] == "registered" {
                return agent;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{serial} is not registered");
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        if let Some(owner) = self.owner.take() {
            owner.stop().await;
        }
        if let Some(rendezvous) = self.rendezvous.take() {
            rendezvous.stop().await;
        }
        if let Some(manufacturer) = self.manufacturer.take() {
            manufacturer.stop().await;
        }
    }
}

/// One pass over all addresses.
pub async fn onboard(agent: &Agent<HttpTransport>) -> Result<Onboarded, OnboardError> {
    agent.onboard(Policy { attempts: Attempts::Limited(1), reonboard: false }).await
}

/// The certificates of devices; a CA certifies its own listeners too.
pub async fn certificates_of_devices(api: &ApiClient) -> Vec<Value> {
    let mut all: Vec<Value> = api.pages("/api/v1/certificates").await.unwrap();
    all.retain(|certificate| certificate["device_id"] != "");
    all
}

/// Reads a file below a directory.
pub fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap()
}
