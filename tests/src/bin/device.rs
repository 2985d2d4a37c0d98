//! The agent's daemon as a process of its own, for tests: `device STATE_DIR`.

use std::path::Path;

use anyhow::Context;
use fdo_device::config::Config;
use fdo_device::est::http::HttpEst;
use fdo_device::renewal::Renewer;
use fdo_device::store::{Directory, Store};
use fdo_device::{Agent, Clock, HttpTransport, Random};
use fdo_service::host::telemetry::{self, LogFormat};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let state = std::env::args().nth(1).context("say: device STATE_DIR")?;
    telemetry::init("info", LogFormat::Json)?;
    let (state, config) = (Path::new(&state), Config::default());
    let agent = Agent {
        transport: HttpTransport::new(fdo_http::Settings::default())?,
        store: Store::open(Directory::on_disk(state)?, None)?,
        settings: config.agent_settings(Some(state))?,
        clock: Clock::system(),
        random: Random::system()?,
        progress: None,
    };
    Renewer { agent, est: HttpEst }.run(std::future::pending()).await?;
    Ok(())
}
