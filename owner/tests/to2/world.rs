//! An owner service without listeners, a manufacturer in memory, and what of the owner's state must not change.

use std::sync::Arc;

use fdo_http::{BaseUrl, Client, Settings};
use fdo_owner::app::{self, App, Running};
use fdo_owner::ca::{self, CertificateFilter, IssuedCertificate};
use fdo_owner::config::Config;
use fdo_owner::db::Migrator;
use fdo_owner::inventory::{self, Device as Known};
use fdo_owner::networks::{self, Auth, Network, Scope};
use fdo_owner::onboarding::{self, Conversation, Run};
use fdo_owner::vouchers::{self, StoredVoucher, upload};
use fdo_pki::{CaSubject, Certificate, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime};
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{DeviceCredential, FileSecrets, Guid, PublicKey, PublicKeyEncoding, RendezvousInfo, di};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const NOW: u64 = 1_790_000_000;
pub const SERIAL: &str = "SN-0001";

/// The owner under test.
pub struct World {
    pub app: Arc<App>,
    pub conversation: Conversation,
    pub clock: Clock,
    pub random: Random,
    pub config: Config,
    /// Where it listens, if it does.
    pub base: Option<BaseUrl>,
    pub client: Client,
    folder: TempDir,
    _database: Option<TestDatabase>,
}

pub fn config() -> Config {
    let mut config = Config::default();
    config.limits.guid_per_second = 0;
    config.outbound_allow = vec!["loopback".into()];
    config.status.address = "127.0.0.1:0".into();
    config
}

impl World {
    pub async fn new() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: Config) -> Self {
        Self::open(config, tempfile::tempdir().unwrap(), None).await
    }

    /// One on SQLite, and one on PostgreSQL where there is one.
    pub async fn all() -> Vec<Self> {
        let mut worlds = vec![Self::new().await];
        if let Some(database) = TestDatabase::postgres::<Migrator>().await {
            let config = Config { database: Some(database.url().to_owned()), ..config() };
            worlds.push(Self::open(config, tempfile::tempdir().unwrap(), Some(database)).await);
        }
        worlds
    }

    async fn open(config: Config, folder: TempDir, database: Option<TestDatabase>) -> Self {
        let (clock, random) = (Clock::fixed(NOW), Random::seeded(11));
        let (app, _) = App::open(&config, folder.path(), clock.clone(), random.clone()).await.unwrap();
        let app = Arc::new(app);
        let conversation = Conversation::new(app.clone());
        let client = Client::new(&Settings::default()).unwrap();
        Self { app, conversation, clock, random, config, base: None, client, folder, _database: database }
    }

    /// One with its listeners, on any ports.
    pub async fn serving() -> (Self, Running) {
        Self::serving_with(config()).await
    }

    pub async fn serving_with(mut config: Config) -> (Self, Running) {
        config.listen.address = "127.0.0.1:0".into();
        config.operators.address = "127.0.0.1:0".into();
        config.est.address = "127.0.0.1:0".into();
        config.workers = Some(1);
        let mut world = Self::with(config).await;
        let (clock, random) = (world.clock.clone(), world.random.clone());
        let running = app::start(&world.config, world.folder.path(), clock, random).await.unwrap();
        world.app = running.app.clone();
        world.base = Some(format!("http://{}", running.address("device").unwrap()).parse().unwrap());
        (world, running)
    }

    /// The service dies and starts again on the same files.
    pub async fn restart(&mut self) {
        let random = Random::seeded(12);
        let (app, _) = App::open(&self.config, self.folder.path(), self.clock.clone(), random).await.unwrap();
        self.app = Arc::new(app);
        self.conversation = Conversation::new(self.app.clone());
    }

    /// A device that was born, sold to this owner and imported.
    pub async fn device(&self) -> Born {
        self.device_of(KeyType::P256).await
    }

    pub async fn device_of(&self, key_type: KeyType) -> Born {
        let born = self.born(key_type);
        let items = upload::import_file(&self.app, "test", born.voucher.bytes(), true).await.unwrap();
        assert!(items.iter().all(|item| item.result.is_ok()));
        born
    }

    pub fn born(&self, key_type: KeyType) -> Born {
        let rng = &mut self.random.rng();
        let manufacturer = SigningKey::generate(key_type, rng).unwrap();
        let key = SigningKey::generate(key_type, rng).unwrap();
        let owner = self.app.keys.for_type(key_type).unwrap();
        birth(rng, &manufacturer, key, owner)
    }

    pub async fn open_network(&self, id: &str) {
        let network = Network {
            id: id.into(),
            ssid: format!("net {id}"),
            auth: Auth::Open,
            trust_level: 1,
            enabled: true,
            scope: Scope::All,
            has_password: false,
            created: NOW,
            updated: NOW,
        };
        networks::insert(&self.app.db, &network, None).await.unwrap();
    }

    pub async fn certificates(&self) -> Vec<IssuedCertificate> {
        ca::list(&self.app.db, &CertificateFilter::default(), None, 100).await.unwrap()
    }

    pub async fn voucher(&self, guid: &Guid) -> Option<StoredVoucher> {
        vouchers::find_by_guid(&self.app.db, guid).await.unwrap()
    }

    pub async fn known(&self, guid: &Guid) -> Known {
        inventory::find_by_guid(&self.app.db, guid).await.unwrap().unwrap()
    }

    pub async fn runs(&self, guid: &Guid) -> Vec<Run> {
        onboarding::list(&self.app.db, Some(&guid.to_string()), None, 100).await.unwrap()
    }

    /// What of a device must be the same after a refused message: its voucher to the byte, its GUID.
    pub async fn identity(&self, guid: &Guid) -> (Option<StoredVoucher>, Option<Vec<u8>>, Guid, Option<u64>) {
        let bytes = vouchers::bytes(&self.app.db, guid).await.unwrap();
        let known = self.known(guid).await;
        (self.voucher(guid).await, bytes, known.guid, known.onboarded)
    }

    /// Everything that could be written for a device.
    pub async fn everything(&self, guid: &Guid) -> String {
        let identity = self.identity(guid).await;
        let (known, runs) = (self.known(guid).await, self.runs(guid).await);
        let audit = fdo_service::operators::audit::list(&self.app.db, None, 1000).await.unwrap();
        format!("{identity:?} {known:?} {runs:?} {} {:?}", audit.len(), self.certificates().await)
    }
}

/// A device and its owner's voucher.
#[derive(Clone)]
pub struct Born {
    pub key: SigningKey,
    pub secret: Zeroizing<Vec<u8>>,
    pub credential: DeviceCredential,
    pub voucher: VerifiedVoucher,
}

impl Born {
    pub fn guid(&self) -> Guid {
        self.credential.guid
    }

    pub fn secrets(&self) -> FileSecrets {
        FileSecrets::new(self.key.clone(), self.secret.clone())
    }

    /// The device as it comes out of a TO2.
    pub fn with(&self, credential: DeviceCredential) -> Self {
        Self { secret: credential.hmac_secret.clone(), credential, ..self.clone() }
    }
}

pub fn rendezvous_info() -> RendezvousInfo {
    RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)])
}

pub fn birth(
    rng: &mut impl rand_core::CryptoRng,
    manufacturer: &SigningKey,
    key: SigningKey,
    owner: &SigningKey,
) -> Born {
    birth_at(rng, manufacturer, key, owner, rendezvous_info())
}

/// DI from 10 to 13, and the sale.
pub fn birth_at(
    rng: &mut impl rand_core::CryptoRng,
    manufacturer: &SigningKey,
    key: SigningKey,
    owner: &SigningKey,
    rv_info: RendezvousInfo,
) -> Born {
    let serial = DeviceSerial::parse(SERIAL).unwrap();
    let info = DeviceMfgInfo {
        key_type: manufacturer.key_type().into(),
        key_encoding: PublicKeyEncoding::X509,
        serial_number: SERIAL.into(),
        device_info: "gateway".into(),
        csr: ByteString(fdo_pki::build_csr(&key, None, &serial).unwrap()),
    };
    let (app_start, waiting) = di::device::begin(info);
    let info = di::manufacturer::app_start(&app_start.body).unwrap();
    let credentials = di::manufacturer::Credentials {
        guid: Guid::random(rng),
        rv_info,
        device_info: info.device_info.clone(),
        manufacturer_key: PublicKey::x509(manufacturer.verifying_key()),
        device_key_type: key.key_type(),
        certificates: certificates(&info.csr, manufacturer.key_type(), rng),
    };
    let (set_credentials, expect_hmac) = di::manufacturer::set_credentials(credentials).unwrap();
    let mut secret = Zeroizing::new(vec![0; 48]);
    rng.fill_bytes(&mut secret);
    let secrets = FileSecrets::new(key.clone(), secret.clone());
    let (set_hmac, expect_done) =
        waiting.set_credentials(&set_credentials.body, &secrets, secret.clone()).unwrap();
    let (voucher, done) = expect_hmac.set_hmac(&set_hmac.body).unwrap();
    let credential = expect_done.done(&done.body).unwrap();
    let voucher = voucher.verify(&VerifyPolicy::default()).unwrap();
    let voucher = voucher.extend(manufacturer, owner.verifying_key()).unwrap();
    Born { key, secret, credential, voucher }
}

fn certificates(csr: &[u8], key_type: KeyType, rng: &mut impl rand_core::CryptoRng) -> Vec<Vec<u8>> {
    let ca_key = SigningKey::generate(key_type, rng).unwrap();
    let subject = CaSubject { common_name: "Device CA".into(), organization: None };
    let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(20), NOW, rng).unwrap();
    let csr = Csr::parse(csr).unwrap().verify().unwrap();
    let serial = DeviceSerial::parse(SERIAL).unwrap();
    let subject = IdevidSubject { serial, common_name: None, hardware: None };
    let profile = IdevidProfile { organization: None, model: None };
    let issuer = Issuer::new(&Certificate::parse(ca.der()).unwrap()).unwrap();
    let idevid = profile.prepare(&csr, &subject, &issuer, NOW, rng).unwrap().sign(&ca_key).unwrap();
    vec![idevid.der().to_vec(), ca.der().to_vec()]
}
