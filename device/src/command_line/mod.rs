//! The command line: what can be asked of the agent, and how it is set up to do it.

mod arguments;
mod renewal;
pub mod report;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use fdo_device::config::Config;
use fdo_device::simulate::{self, Fleet};
use fdo_device::store::{Directory, Store};
use fdo_device::{Agent, Attempts, Birth, Clock, HttpTransport, Onboarded, Policy, Random, machine_serial};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use arguments::{Action, Arguments, LogFormat};
use arguments::{BirthArguments, OnboardArguments, SimulateArguments};

/// Where the state is if nobody says: what systemd gives a unit, else below the user's state.
fn default_state_directory() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("STATE_DIRECTORY") {
        return Some(directory.into());
    }
    let below = |base: std::ffi::OsString, rest: &str| PathBuf::from(base).join(rest);
    std::env::var_os("XDG_STATE_HOME")
        .map(|base| below(base, "firstlight/device"))
        .or_else(|| std::env::var_os("HOME").map(|base| below(base, ".local/state/firstlight/device")))
}

/// Logs go to stderr, so that stdout is the answer alone.
pub fn start_logging(arguments: &Arguments) {
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match arguments.log_format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        report::note(&format!("no logs: {error}"));
    }
}

/// Does what was asked. False: it was done, and something in it failed.
pub async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let state = arguments
        .state_dir
        .clone()
        .or_else(default_state_directory)
        .context("no state directory: name one with --state-dir")?;
    let state = std::path::absolute(&state).unwrap_or(state);
    let (json, file) = (arguments.json, arguments.config.as_deref());
    match &arguments.action {
        Action::Init(birth) => init(&state, file, birth, json).await,
        Action::Onboard(onboard) => self::onboard(&state, file, onboard, json).await,
        Action::Run => renewal::run(&state, file).await,
        Action::Renew => renewal::renew(&state, file, json).await,
        Action::Status => {
            let store = open(&state, &Config::load(file, serde_json::json!({}))?)?;
            report::status(&store, json)?;
            Ok(true)
        }
        Action::Simulate(fleet) => self::simulate(&state, file, fleet, json).await,
    }
}

fn open(state: &Path, config: &Config) -> anyhow::Result<Store> {
    let on_disk = |path: &Path| Directory::on_disk(path).with_context(|| format!("directory {}", path.display()));
    let wifi = config.wifi_directory(state);
    Ok(Store::open(on_disk(state)?, wifi.as_deref().map(on_disk).transpose()?)?)
}

fn agent(state: &Path, config: &Config, spinner: &ProgressBar) -> anyhow::Result<Agent<HttpTransport>> {
    let spinner = spinner.clone();
    Ok(Agent {
        transport: transport(config)?,
        store: open(state, config)?,
        settings: config.agent_settings(Some(state))?,
        clock: Clock::system(),
        random: Random::system()?,
        progress: Some(Arc::new(move |step: &str| spinner.set_message(step.to_owned()))),
    })
}

/// An owner that issues a certificate may take its time; a body is a message and nothing more.
fn transport(config: &Config) -> anyhow::Result<HttpTransport> {
    let settings = fdo_http::Settings {
        total_timeout: std::time::Duration::from_secs(120),
        body_limit: usize::from(config.max_message_size) + 4096,
        ..fdo_http::Settings::default()
    };
    Ok(HttpTransport::new(settings)?)
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

async fn init(state: &Path, file: Option<&Path>, asked: &BirthArguments, json: bool) -> anyhow::Result<bool> {
    let config = Config::load(file, asked)?;
    let serial = config.serial.clone().or_else(machine_serial);
    let birth = Birth {
        manufacturer: config.manufacturer.parse()?,
        serial: serial.context("this machine tells no serial number: give one with --serial")?,
        model: config.model.clone(),
        key_type: config.parsed_key_type()?,
        force: asked.force,
    };
    let spinner = spinner();
    let agent = agent(state, &config, &spinner)?;
    let outcome = agent.init(&birth).await;
    spinner.finish_and_clear();
    report::born(outcome?, &birth, state, json)?;
    Ok(true)
}

async fn onboard(state: &Path, file: Option<&Path>, asked: &OnboardArguments, json: bool) -> anyhow::Result<bool> {
    let config = Config::load(file, asked)?;
    let attempts = if asked.retry { Attempts::Forever } else { Attempts::Limited(asked.attempts) };
    let spinner = spinner();
    let agent = agent(state, &config, &spinner)?;
    let outcome = agent.onboard(Policy { attempts, reonboard: asked.reonboard }).await;
    spinner.finish_and_clear();
    let outcome: Onboarded = outcome?;
    report::onboarded(&outcome, state, json)?;
    Ok(true)
}

async fn simulate(
    state: &Path,
    file: Option<&Path>,
    asked: &SimulateArguments,
    json: bool,
) -> anyhow::Result<bool> {
    let config = Config::load(file, asked)?;
    let fleet = Fleet {
        devices: asked.devices,
        concurrency: asked.concurrency,
        prefix: asked.prefix.clone(),
        state: (!asked.in_memory).then(|| state.to_path_buf()),
        step: asked.step.into(),
        attempts: asked.attempts,
        manufacturer: config.manufacturer.parse()?,
    };
    if asked.in_memory && !matches!(asked.step, arguments::StepArgument::Both) {
        anyhow::bail!("devices in memory are gone after the step: use `simulate both --in-memory`");
    }
    let bar = ProgressBar::with_draw_target(Some(asked.devices as u64), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} devices, {per_sec}, {eta} left")?);
    let counted = bar.clone();
    let (clock, random) = (Clock::system(), Random::system()?);
    let summary =
        simulate::run(&fleet, &config, &transport(&config)?, (&clock, &random), move |_| counted.inc(1)).await?;
    bar.finish_and_clear();
    report::simulated(&summary, json)?;
    Ok(summary.failed == 0)
}
