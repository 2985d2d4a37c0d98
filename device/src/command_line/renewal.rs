//! `renew` and `run`: one renewal now, and the daemon.

use std::path::Path;

use fdo_device::config::Config;
use fdo_device::est::http::HttpEst;
use fdo_device::renewal::Renewer;
use tokio::signal::unix::{SignalKind, signal};

use super::{agent, report, spinner};

/// Renews now, whatever the time says. False: the certificate is in place, but the hook failed.
pub async fn renew(state: &Path, file: Option<&Path>, json: bool) -> anyhow::Result<bool> {
    let config = Config::load(file, serde_json::json!({}))?;
    let spinner = spinner();
    let renewer = Renewer { agent: agent(state, &config, &spinner)?, est: HttpEst };
    spinner.set_message("asking for a certificate");
    let outcome = renewer.renew().await;
    let hook = match &outcome {
        Ok(_) => renewer.settle_hook().await,
        Err(_) => Ok(()),
    };
    if hook.is_err() {
        renewer.tell_owner().await;
    }
    spinner.finish_and_clear();
    report::renewed(&outcome?, state, json)?;
    if let Err(error) = &hook {
        report::note(&format!("fdo-device: {error}"));
    }
    Ok(hook.is_ok())
}

/// Onboards and renews until SIGTERM or SIGINT.
pub async fn run(state: &Path, file: Option<&Path>) -> anyhow::Result<bool> {
    let config = Config::load(file, serde_json::json!({}))?;
    // Nobody watches a daemon: what it does is in the log.
    let renewer = Renewer { agent: agent(state, &config, &indicatif::ProgressBar::hidden())?, est: HttpEst };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    renewer.run(stop).await?;
    Ok(true)
}
