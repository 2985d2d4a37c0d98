//! Many devices in one process, each with a state of its own, sharing the connections: for demonstrations and for load.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fdo_http::BaseUrl;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::agent::Agent;
use crate::birth::Birth;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::onboarding::{Attempts, Onboarded, Policy};
use crate::random::Random;
use crate::store::{Directory, Store, StoreError};
use crate::transport::Transport;

/// What the devices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// DI.
    Init,
    /// TO1 and TO2.
    Onboard,
    /// One after the other.
    Both,
}

/// The devices.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// How many.
    pub devices: usize,
    /// How many at a time.
    pub concurrency: usize,
    /// Serial numbers are this, a hyphen and four digits.
    pub prefix: String,
    /// Where each device gets a directory by its serial number; in memory if none.
    pub state: Option<PathBuf>,
    /// What they do.
    pub step: Step,
    /// Times that all directives are gone through.
    pub attempts: u32,
    /// The manufacturer's service.
    pub manufacturer: BaseUrl,
}

/// What became of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// How many there were.
    pub devices: usize,
    /// How many did what they were to do.
    pub succeeded: usize,
    /// How many had done it before.
    pub already: usize,
    /// How many failed.
    pub failed: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Devices a second.
    pub rate: f64,
    /// Median of one device's time, milliseconds.
    pub median_ms: u64,
    /// The time that 95 of 100 devices keep within, milliseconds.
    pub p95_ms: u64,
    /// Why devices failed, with how many each.
    pub failures: BTreeMap<String, usize>,
}

/// The serial number of a device, from 1.
pub fn serial(prefix: &str, number: usize) -> String {
    format!("{prefix}-{number:04}")
}

/// Lets every device do its step. `done` is called after each.
///
/// # Errors
/// [`ConfigError`] where the configuration cannot be used for any device.
pub async fn run<T: Transport + Clone + 'static>(
    fleet: &Fleet,
    config: &Config,
    transport: &T,
    (clock, random): (&Clock, &Random),
    done: impl Fn(bool) + Send + Sync + 'static,
) -> Result<Summary, ConfigError>
where
    T::Channel: Sync,
{
    config.agent_settings(None)?;
    let next = Arc::new(AtomicUsize::new(1));
    let results = Arc::new(Mutex::new((Summary { devices: fleet.devices, ..Summary::default() }, Vec::new())));
    let done = Arc::new(done);
    let started = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..fleet.concurrency.clamp(1, fleet.devices.max(1)) {
        let (fleet, config, transport) = (fleet.clone(), config.clone(), transport.clone());
        let (clock, random) = (clock.clone(), random.clone());
        let (next, results, done) = (next.clone(), results.clone(), done.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > fleet.devices {
                    break;
                }
                let begun = Instant::now();
                let outcome = one(&fleet, &config, &transport, (&clock, &random), number).await;
                done(outcome.is_ok());
                let mut results = results.lock().await;
                results.1.push(begun.elapsed());
                match outcome {
                    Ok(true) => results.0.succeeded += 1,
                    Ok(false) => results.0.already += 1,
                    Err(reason) => {
                        results.0.failed += 1;
                        *results.0.failures.entry(reason).or_default() += 1;
                    }
                }
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let elapsed = started.elapsed();
    let mut results = results.lock().await;
    let (mut summary, mut times) = (std::mem::take(&mut results.0), std::mem::take(&mut results.1));
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0, |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    (summary.median_ms, summary.p95_ms) = (at(50), at(95));
    summary.seconds = elapsed.as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let succeeded = summary.succeeded as f64;
    summary.rate = if summary.seconds > 0.0 { succeeded / summary.seconds } else { 0.0 };
    Ok(summary)
}

/// Whether there was anything to do, or why it failed.
async fn one<T: Transport + Clone>(
    fleet: &Fleet,
    config: &Config,
    transport: &T,
    (clock, random): (&Clock, &Random),
    number: usize,
) -> Result<bool, String> {
    let serial = serial(&fleet.prefix, number);
    let path = fleet.state.as_ref().map(|state| state.join(&serial));
    let store = open(config, path.as_deref()).map_err(|error| short(&error))?;
    let agent = Agent {
        transport: transport.clone(),
        store,
        settings: config.agent_settings(path.as_deref()).map_err(|error| short(&error))?,
        clock: clock.clone(),
        random: random.clone(),
        progress: None,
    };
    let mut worked = false;
    if fleet.step != Step::Onboard && !agent.store.is_initialised().map_err(|error| short(&error))? {
        let birth = Birth {
            manufacturer: fleet.manufacturer.clone(),
            serial,
            model: config.model.clone(),
            key_type: config.parsed_key_type().map_err(|error| short(&error))?,
            force: false,
        };
        agent.init(&birth).await.map_err(|error| short(&error))?;
        worked = true;
    }
    if fleet.step != Step::Init {
        let policy = Policy { attempts: Attempts::Limited(fleet.attempts.max(1)), reonboard: false };
        let onboarded = agent.onboard(policy).await.map_err(|error| short(&error))?;
        worked |= matches!(onboarded, Onboarded::Now { .. });
    }
    Ok(worked)
}

fn open(config: &Config, path: Option<&std::path::Path>) -> Result<Store, StoreError> {
    let Some(path) = path else {
        return Store::open(Directory::in_memory(), Some(Directory::in_memory()));
    };
    let on_disk = |path: &std::path::Path| {
        Directory::on_disk(path).map_err(|source| StoreError::File { file: path.display().to_string(), source })
    };
    // Devices that shared one directory of networks would replace each other's.
    let wifi = Config { wifi_dir: None, ..config.clone() }.wifi_directory(path);
    Store::open(on_disk(path)?, wifi.as_deref().map(on_disk).transpose()?)
}

/// The last line says what happened; addresses and numbers of devices do not belong into a table of reasons.
fn short(error: &dyn Display) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().chars().take(200).collect()
}
