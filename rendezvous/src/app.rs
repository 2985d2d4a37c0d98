//! The running service: what its parts share, how it starts, and its one background job.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fdo_service::compat::CompatSettingsError;
use fdo_service::database::{self, DatabaseConnection, DatabaseError, DbErr};
use fdo_service::endpoint::{Endpoint, Limits};
use fdo_service::host::clock::Clock;
use fdo_service::host::health::Health;
use fdo_service::host::metrics::Metrics;
use fdo_service::host::random::Random;
use fdo_service::host::tls::TlsError;
use fdo_service::host::{self, Host, HostError, data_dir};
use fdo_service::operators::{OperatorError, Operators};
use fdo_service::secret_file::{self, SecretFileError};
use fdo_service::sessions::{SealedTokens, SealingKey};
use rand_core::Rng;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::conversation::Rendezvous;
use crate::db::Migrator;
use crate::policy::Policies;
use crate::redirection::To1;
use crate::registration::To0;
use crate::registrations::{Registrations, purge};
use crate::routes;

/// The file in the data directory that session tokens are sealed with; replicas share its content.
pub const SEALING_KEY_FILE: &str = "sealing-key";

/// What the parts of the service share.
pub struct App {
    pub db: DatabaseConnection,
    pub clock: Clock,
    pub random: Random,
    pub tokens: SealedTokens,
    pub operators: Operators,
    pub limits: Arc<Limits>,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub policies: Arc<Policies>,
    pub registrations: Arc<Registrations>,
}

/// Why the service does not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data directory {path}: {source}")]
    DataDir { path: String, source: std::io::Error },
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    #[error(
        "[policy] min_wait_seconds is more than max_wait_seconds, or that is 0: nobody could register; set them right"
    )]
    Policy,
    #[error(transparent)]
    Operators(#[from] OperatorError),
    #[error(transparent)]
    Compat(#[from] CompatSettingsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Host(#[from] HostError),
}

impl App {
    /// Opens keys and database, without serving; also gives the operator token of a first start.
    pub async fn open(
        config: &Config,
        data_dir: &Path,
        clock: Clock,
        random: Random,
    ) -> Result<(Self, Option<Zeroizing<String>>), StartError> {
        if !config.policy.is_consistent() {
            return Err(StartError::Policy);
        }
        data_dir::create(data_dir)
            .map_err(|source| StartError::DataDir { path: data_dir.display().to_string(), source })?;
        let sealing = secret_file::load_or_create_key(&data_dir.join(SEALING_KEY_FILE), &mut random.rng())?;
        let db = database::connect(&config.database_url(data_dir)).await?;
        database::migrate::<Migrator>(&db).await?;
        let operators = Operators::new(db.clone(), clock.clone(), random.clone());
        let first_token = operators.bootstrap(data_dir).await?;
        let app = Self {
            tokens: SealedTokens::new(&SealingKey::new(*sealing)),
            operators,
            limits: Limits::new(&config.limits),
            metrics: Metrics::new(),
            health: Health::new(db.clone()),
            policies: Arc::new(Policies::new(db.clone(), &config.policy)),
            registrations: Arc::new(Registrations::open(db.clone(), &config.registrations).await?),
            db,
            clock,
            random,
        };
        Ok((app, first_token))
    }

    /// Both conversations, ready for a listener.
    pub fn endpoint(&self) -> Arc<Endpoint<Rendezvous>> {
        let to0 = To0 {
            clock: self.clock.clone(),
            random: self.random.clone(),
            tokens: self.tokens.clone(),
            policies: self.policies.clone(),
            registrations: self.registrations.clone(),
            metrics: self.metrics.clone(),
        };
        let to1 = To1 {
            clock: self.clock.clone(),
            random: self.random.clone(),
            tokens: self.tokens.clone(),
            limits: self.limits.clone(),
            registrations: self.registrations.clone(),
        };
        let conversation = Rendezvous { to0, to1 };
        let (clock, random) = (self.clock.clone(), self.random.clone());
        Endpoint::new(conversation, clock, random, self.metrics.clone(), self.limits.clone())
    }
}

/// A service that serves until it is stopped.
pub struct Running {
    pub app: Arc<App>,
    /// The operator token of a first start; it cannot be shown again.
    pub first_token: Option<Zeroizing<String>>,
    host: host::Running,
    purge: JoinHandle<()>,
}

/// Starts the service with its listeners "device" and "operator".
pub async fn start(config: &Config, data_dir: &Path, clock: Clock, random: Random) -> Result<Running, StartError> {
    let (app, first_token) = App::open(config, data_dir, clock, random).await?;
    let app = Arc::new(app);
    let listeners = routes::listeners(config, &app, app.endpoint())?;
    let host = Host::new().workers(config.workers).start(listeners).await?;
    let purge = tokio::spawn(keep_purging(app.clone(), config.registrations.purge_seconds.max(1)));
    Ok(Running { app, first_token, host, purge })
}

async fn keep_purging(app: Arc<App>, seconds: u64) {
    let replica = format!("{:016x}", app.random.rng().next_u64());
    let mut rounds = tokio::time::interval(Duration::from_secs(seconds));
    loop {
        rounds.tick().await;
        match purge(&app.registrations, &replica, app.clock.now(), seconds).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "expired registrations removed"),
            Err(error) => tracing::warn!(%error, "expired registrations could not be removed"),
        }
    }
}

impl Running {
    /// The bound address of the listener "device", "operator" or "compat".
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.host.address(name)
    }

    /// Stops serving, letting running requests end.
    pub async fn stop(self) {
        self.purge.abort();
        self.host.stop().await;
    }

    /// Stops at once, as a crash would.
    pub async fn kill(self) {
        self.purge.abort();
        self.host.kill().await;
    }

    /// Serves until SIGTERM or SIGINT.
    pub async fn until_signal(self) {
        self.host.until_signal().await;
        self.purge.abort();
    }
}
