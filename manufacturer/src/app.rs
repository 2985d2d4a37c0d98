//! Puts the service together and starts its three listeners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fdo_service::compat::Gate;
use fdo_service::database::{self, DatabaseConnection};
use fdo_service::endpoint::{Endpoint, Limits};
use fdo_service::host::clock::Clock;
use fdo_service::host::health::Health;
use fdo_service::host::metrics::Metrics;
use fdo_service::host::random::Random;
use fdo_service::host::{self, Host, Listener, tls};
use fdo_service::operators::Operators;
use fdo_service::outbound::Guard;
use fdo_service::sessions::{Records, SealingKey};
use fdo_service::transfer::partners::Partners;
use fdo_service::{host::data_dir, secret_file};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::allocations::Allocations;
use crate::buyers::Buyers;
use crate::buyers::routes::Introduction;
use crate::claims::{Claims, ClaimsParts};
use crate::compat::{self, routes::ExtendTo};
use crate::config::Config;
use crate::db::Migrator;
use crate::devices::Devices;
use crate::initialization::{Initialization, Profile};
use crate::keys::{Keys, Naming};
use crate::rendezvous::Rendezvous;
use crate::routes;
use crate::vouchers::Vouchers;

/// How often it is looked for vouchers that are to be extended or pushed.
const TRANSFER: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(60);

/// What the operators' routes are answered with.
pub struct Desk {
    pub operators: Operators,
    pub health: Health,
    pub metrics: Arc<Metrics>,
    pub introduction: Arc<Introduction>,
    pub keys: Arc<Keys>,
    pub maker: String,
    pub devices: Arc<Devices>,
    pub vouchers: Arc<Vouchers>,
    pub buyers: Arc<Buyers>,
    pub allocations: Arc<Allocations>,
    pub claims: Arc<Claims>,
    pub rendezvous: Arc<Rendezvous>,
    pub extend_to: ExtendTo,
    pub db: DatabaseConnection,
    pub partners: Partners,
}

/// The running service, and what its operator is told once.
pub struct Running {
    listeners: host::Running,
    /// Whether the device and the operators' listener speak TLS.
    tls: (bool, bool),
    /// The background work.
    jobs: [JoinHandle<()>; 2],
    /// The first operator token; only on first start.
    pub operator_token: Option<Zeroizing<String>>,
    /// The folder of the keys, when any was made just now.
    pub new_keys: Option<PathBuf>,
    pub identity_fingerprint: String,
    pub claims_url: String,
}

impl Running {
    /// The bound address of `device`, `operator` or `claims`.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.address(name)
    }

    /// The URL of `device`, `operator` or `claims` as this machine reaches it.
    pub fn url(&self, name: &str) -> Option<String> {
        let tls = match name {
            "device" => self.tls.0,
            "operator" => self.tls.1,
            _ => true,
        };
        let scheme = if tls { "https" } else { "http" };
        self.address(name).map(|address| format!("{scheme}://{address}"))
    }

    pub async fn stop(self) {
        end(&self.jobs);
        self.listeners.stop().await;
    }

    /// Stops at once, as a crash would.
    pub async fn kill(self) {
        end(&self.jobs);
        self.listeners.kill().await;
    }

    /// Serves until SIGTERM or SIGINT.
    pub async fn until_signal(self) {
        self.listeners.until_signal().await;
        end(&self.jobs);
    }
}

fn end(jobs: &[JoinHandle<()>]) {
    jobs.iter().for_each(JoinHandle::abort);
}

/// Starts the service.
pub async fn start(config: &Config, data_dir: &Path, clock: Clock, random: Random) -> anyhow::Result<Running> {
    config.check()?;
    data_dir::create(data_dir)?;
    let db = database::connect(&config.database_url(data_dir)).await?;
    database::migrate::<Migrator>(&db).await?;
    let key_folder = data_dir.join("keys");
    data_dir::create(&key_folder)?;
    let sealing_file = key_folder.join("sealing.key");
    let sealing = SealingKey::new(*secret_file::load_or_create_key(&sealing_file, &mut random.rng())?);
    let naming = Naming { maker: &config.name, hosts: &config.claims.names };
    let keys = Arc::new(Keys::load_or_create(
        &key_folder,
        &config.rsa_key_types()?,
        naming,
        clock.now(),
        &mut random.rng(),
    )?);
    let operators = Operators::new(db.clone(), clock.clone(), random.clone());
    let operator_token = operators.bootstrap(data_dir).await?;
    // In the database everywhere: message 10 writes to it anyway, and so a DI survives a restart between 11 and 13.
    let records = Records::database(db.clone(), &sealing, config.sessions);
    let limits = Limits::new(&config.limits);
    let metrics = Metrics::new();
    let health = Health::new(db.clone());
    let rendezvous = Arc::new(Rendezvous::new(db.clone(), clock.clone(), config.rendezvous_info()?));
    let extend_to = ExtendTo(compat::next_owner(config.compat_extend_to.as_deref())?);
    let initialization = Initialization {
        db: db.clone(),
        clock: clock.clone(),
        random: random.clone(),
        records,
        keys: keys.clone(),
        admission: config.admission,
        rendezvous: rendezvous.clone(),
        profile: Arc::new(Profile::new(&config.idevid, &config.name)?),
    };
    let guard = Guard::new(&config.outbound_allow)?;
    let partners = Partners::new(db.clone(), clock.clone(), random.clone(), guard, &sealing);
    let claims = Arc::new(Claims::new(ClaimsParts {
        db: db.clone(),
        clock: clock.clone(),
        random: random.clone(),
        keys: keys.clone(),
        maker: config.name.clone(),
        limits: limits.clone(),
        sealing,
        older_key_auth: config.claims.older_key_auth,
        serials_per_hour: config.claims.serials_per_hour,
        misses_per_hour: config.claims.misses_per_hour,
        partners: partners.clone(),
    }));
    let introduction =
        Arc::new(Introduction { identity_fingerprint: keys.identity_fingerprint(), claims_url: OnceLock::new() });
    let desk = Arc::new(Desk {
        operators,
        health: health.clone(),
        metrics: metrics.clone(),
        introduction: introduction.clone(),
        keys: keys.clone(),
        maker: config.name.clone(),
        devices: Arc::new(Devices::new(db.clone(), clock.clone())),
        vouchers: Arc::new(Vouchers::new(db.clone())),
        buyers: Arc::new(Buyers::new(db.clone(), clock.clone(), random.clone())),
        allocations: Arc::new(Allocations::new(db.clone(), clock.clone(), random.clone())),
        claims: claims.clone(),
        rendezvous,
        extend_to,
        db: db.clone(),
        partners,
    });
    let swept = (initialization.clone(), claims.clone());
    let introduced = introduction.clone();
    let endpoint = Endpoint::new(initialization, clock, random, metrics, limits);
    let claims_tls = keys.tls()?;
    let (device_health, claims_health) = (health.clone(), health);
    let compat = compat_listener(config, &desk, &endpoint)?;
    let mut listeners = vec![
        Listener::device("device", &config.listen.address, move |cfg| {
            routes::device(cfg, &endpoint, &device_health);
        })
        .tls(tls::server_config(&config.listen)?),
        Listener::operator("operator", &config.operators.address, move |cfg| routes::operator(cfg, &desk))
            .tls(tls::server_config(&config.operators)?),
        Listener::device("claims", &config.claims.address, move |cfg| {
            routes::claims(cfg, &claims, &introduced, &claims_health);
        })
        .tls(claims_tls),
    ];
    listeners.extend(compat);
    let listeners = Host::new().workers(config.workers).start(listeners).await?;
    // Only now is the port known, if the system chose it.
    let claims_url = config.claims_url(listeners.address("claims").map(|address| address.port()));
    let claims_url = introduction.claims_url.get_or_init(|| claims_url).clone();
    let transfer = tokio::spawn(transfer(swept.1.clone(), config.claims.claim_on_allocate));
    let jobs = [tokio::spawn(sweep(swept.0, swept.1)), transfer];
    Ok(Running {
        listeners,
        tls: (config.listen.certificate.is_some(), config.operators.certificate.is_some()),
        jobs,
        operator_token,
        new_keys: keys.created().then_some(key_folder),
        identity_fingerprint: introduction.identity_fingerprint.clone(),
        claims_url,
    })
}

/// One address for everything, as scripts for go-fdo-server expect it: management and FDO.
fn compat_listener(
    config: &Config,
    desk: &Arc<Desk>,
    endpoint: &Arc<Endpoint<Initialization>>,
) -> anyhow::Result<Option<Listener>> {
    let Some((address, operator)) = config.compat.listener()? else { return Ok(None) };
    let gate = Gate::new(&config.compat, operator, &desk.operators);
    let (desk, endpoint) = (desk.clone(), endpoint.clone());
    Ok(Some(Listener::compat("compat", address, move |cfg| routes::compat(cfg, &desk, &gate, &endpoint))))
}

/// Forgets what has expired, about every minute.
async fn sweep(initialization: Initialization, claims: Arc<Claims>) {
    let mut certificates_since = 0;
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(error) = initialization.records.sweep(initialization.clock.now()).await {
            tracing::warn!(%error, "expired sessions could not be removed");
        }
        match initialization.sweep(certificates_since).await {
            Ok(next) => certificates_since = next,
            Err(error) => tracing::warn!(%error, "unused certificates could not be removed"),
        }
        if let Err(error) = claims.sweep().await {
            tracing::warn!(%error, "expired tokens could not be removed");
        }
    }
}

/// Extends what is allocated, where that is wanted, and pushes what is due.
async fn transfer(claims: Arc<Claims>, claim_on_allocate: bool) {
    loop {
        tokio::time::sleep(TRANSFER).await;
        if claim_on_allocate && let Err(error) = claims.claim_allocated().await {
            tracing::warn!(%error, "allocated devices could not be claimed for their buyers");
        }
        if let Err(error) = claims.push_due().await {
            tracing::warn!(%error, "vouchers that are due could not be pushed");
        }
    }
}
