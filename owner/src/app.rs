//! The running service: what its slices share, and how it starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fdo_protocol::key_auth::{Aad, AadPolicy};
use fdo_service::database::{self, DatabaseConnection, Reader, Units};
use fdo_service::endpoint::Limits;
use fdo_service::host::clock::Clock;
use fdo_service::host::health::Health;
use fdo_service::host::metrics::Metrics;
use fdo_service::host::random::Random;
use fdo_service::host::{self, Host, data_dir};
use fdo_service::operators::Operators;
use fdo_service::outbound::Guard;
use fdo_service::sessions::{Records, SealedTokens, SealingKey};
use fdo_service::transfer::key_auth::KeyAuth;
use fdo_service::transfer::listing::Continuations;
use fdo_service::transfer::partners::Partners;
use rand_core::Rng;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::admission::Admission;
use crate::ca::Ca;
use crate::config::Config;
use crate::db::{Migrator, narrow};
use crate::enrollment::est;
use crate::error::StartError;
use crate::files::{Files, Folder};
use crate::jobs::{self, Jobs};
use crate::keys::{self, OwnerKeys};
use crate::onboarding::Progress;
use crate::registration::Registrar;
use crate::revocation::Revocation;
use crate::routes;
use crate::uploads::Storage;

/// Each pushed voucher may take 10 MiB while it arrives.
const PUSHES: usize = 4;

/// What every slice is given.
pub struct App {
    pub db: DatabaseConnection,
    /// For what is read with every message of a device.
    pub reader: Reader,
    /// For changes that many devices make at once.
    pub units: Units,
    pub clock: Clock,
    pub random: Random,
    pub keys: OwnerKeys,
    /// Seals secrets at rest; use `sealing.derive("purpose")`.
    pub sealing: SealingKey,
    /// Stored sessions (TO2).
    pub records: Records,
    /// Sessions that travel in the token.
    pub tokens: SealedTokens,
    pub operators: Operators,
    pub limits: Arc<Limits>,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub ca: Ca,
    /// What the EST listener shows.
    pub est_identity: est::listener::Identity,
    /// Which of EST's refusals are written down.
    pub est: est::Record,
    pub admission: Admission,
    /// What TO0 keeps between two runs.
    pub registrar: Registrar,
    /// What CRLs and OCSP keep in memory.
    pub revocation: Revocation,
    /// How far the onboardings here have come.
    pub progress: Progress,
    /// What is known of the configuration's files.
    pub files: Files,
    /// Where the content of added files lies.
    pub folder: Folder,
    /// Organisations that vouchers are given to or taken from.
    pub partners: Partners,
    /// Who proves an owner key to us.
    pub key_auth: KeyAuth,
    /// Of lists of sold vouchers.
    pub continuations: Continuations,
    /// How many pushed vouchers may arrive at once.
    pub pushes: Semaphore,
    /// SHA-256 of the transfer listener's TLS key, once it is known.
    pub transfer_pin: OnceLock<String>,
    /// What devices sent.
    pub uploads: Storage,
    /// What may be called from here.
    pub guard: Guard,
    pub settings: Config,
    pub data_dir: PathBuf,
    /// The name of this process when it holds a lease.
    pub replica: String,
}

impl App {
    /// Opens database and keys, without serving; also gives the first operator token if there was none before.
    pub async fn open(
        config: &Config,
        data_dir: &Path,
        clock: Clock,
        random: Random,
    ) -> Result<(Self, Option<Zeroizing<String>>), StartError> {
        config.check()?;
        data_dir::create(data_dir)?;
        let sealing = keys::sealing_key(data_dir, config.sealing_key.as_deref(), &mut random.rng())?;
        let keys = OwnerKeys::load_or_create(&data_dir.join("keys"), &config.rsa_key_types()?, &mut random.rng())?;
        let guard = Guard::new(&config.outbound_allow)?;
        let db = database::connect(&config.database_url(data_dir)).await?;
        database::migrate::<Migrator>(&db).await?;
        let records = if database::is_postgres(&db) {
            Records::database(db.clone(), &sealing, config.sessions)
        } else {
            Records::memory(config.sessions)
        };
        let (reader, units) = (Reader::new(&db, &narrow())?, Units::new(&db, &narrow())?);
        let now = clock.now();
        let ca = Ca::open(&db, &sealing, data_dir, &config.ca, now, &mut random.rng()).await?;
        let status = &config.status;
        let published = !status.address.is_empty() || status.public_url.is_some();
        let ca = ca.with_status_url(published.then(|| status.url()));
        let operators = Operators::new(db.clone(), clock.clone(), random.clone());
        let first_token = operators.bootstrap(data_dir).await?;
        let partners = Partners::new(db.clone(), clock.clone(), random.clone(), guard.clone(), &sealing);
        let limits = Limits::new(&config.limits);
        let policy = AadPolicy { sign: Aad::Array, compat: config.transfer.older_key_auth };
        let app = Self {
            key_auth: KeyAuth::new(db.clone(), clock.clone(), random.clone(), limits.clone(), policy),
            continuations: Continuations::new(&sealing, random.clone()),
            partners,
            pushes: Semaphore::new(PUSHES),
            transfer_pin: OnceLock::new(),
            keys,
            records,
            tokens: SealedTokens::new(&sealing),
            operators,
            ca,
            est_identity: est::listener::Identity::default(),
            est: est::Record::default(),
            admission: Admission::open(&config.admission)?,
            registrar: Registrar::default(),
            revocation: Revocation::new(config.status.ocsp_answers),
            progress: Progress::default(),
            files: Files::default(),
            folder: Folder::open(config.files.folder(data_dir), config.files.file_bytes)?,
            uploads: Storage::open(config.uploads.folder(data_dir))?,
            limits,
            metrics: Metrics::new(),
            health: Health::new(db.clone()),
            guard,
            settings: config.clone(),
            data_dir: data_dir.to_owned(),
            replica: format!("{:016x}", random.rng().next_u64()),
            sealing,
            reader,
            units,
            db,
            clock,
            random,
        };
        Ok((app, first_token))
    }
}

impl App {
    /// The URL of the transfer listener, as partners are told.
    pub fn transfer_url(&self) -> String {
        self.settings.transfer.url()
    }
}

/// A service that serves until it is stopped.
pub struct Running {
    pub app: Arc<App>,
    /// The operator token of a first start; it cannot be shown again.
    pub first_token: Option<Zeroizing<String>>,
    host: host::Running,
    jobs: Jobs,
}

/// Starts the service: its listeners "device", "operator", "status" and, where they are wanted, others, and its
/// background jobs.
pub async fn start(config: &Config, data_dir: &Path, clock: Clock, random: Random) -> Result<Running, StartError> {
    let (app, first_token) = App::open(config, data_dir, clock, random).await?;
    let app = Arc::new(app);
    if config.est.is_on() {
        est::listener::renew(&app).await?;
    }
    let host = Host::new().workers(config.workers).start(routes::listeners(config, &app)?).await?;
    let jobs = jobs::start(&app);
    Ok(Running { app, first_token, host, jobs })
}

impl Running {
    /// The bound address of a listener, such as "device", "operator" or "status".
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.host.address(name)
    }

    /// Ends the jobs and stops serving, letting running requests end.
    pub async fn stop(self) {
        self.jobs.stop();
        self.host.stop().await;
    }

    /// Stops at once, as a crash would.
    pub async fn kill(self) {
        self.jobs.stop();
        self.host.kill().await;
    }

    /// Serves until SIGTERM or SIGINT.
    pub async fn until_signal(self) {
        self.host.until_signal().await;
        self.jobs.stop();
    }
}
