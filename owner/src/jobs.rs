//! Background jobs: each wakes at its interval, takes its lease or its rows, and does what is due.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::claims;
use crate::enrollment::{est, external};
use crate::inventory::certificates;
use crate::{alerts, files, onboarding, registration, revocation, transfer, uploads};

/// How often jobs look for work.
const TICK: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(60);
const TIDY: Duration = Duration::from_secs(3_600);

/// The running jobs of a service; they end when this is stopped or dropped.
pub struct Jobs(Vec<JoinHandle<()>>);

impl Jobs {
    /// Ends them. What they had committed stays, what they had not is done again later.
    pub fn stop(self) {}
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &self.0 {
            job.abort();
        }
    }
}

/// Starts all jobs.
pub fn start(app: &Arc<App>) -> Jobs {
    Jobs(vec![
        every(TICK, app, |app| async move {
            if let Err(error) = claims::run_due(&app).await {
                tracing::error!(%error, "claims that are due could not be pursued");
            }
        }),
        every(SWEEP, app, |app| async move {
            if let Err(error) = app.records.sweep(app.clock.now()).await {
                tracing::warn!(%error, "cannot sweep sessions");
            }
            if let Err(error) = app.key_auth.sweep().await {
                tracing::warn!(%error, "cannot sweep tokens of partners");
            }
            if let Err(error) = onboarding::sweep(&app).await {
                tracing::warn!(%error, "cannot close what devices left");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = onboarding::flush_progress(&app).await {
                tracing::warn!(%error, "cannot write down the progress of onboardings");
            }
        }),
        every(TIDY, app, |app| async move {
            if let Err(error) = files::sweep(&app).await {
                tracing::warn!(%error, "cannot sweep content that belongs to no file");
            }
            if let Err(error) = uploads::sweep(&app).await {
                tracing::warn!(%error, "cannot sweep content that belongs to no upload");
            }
            let before = app.clock.now().saturating_sub(alerts::delivery::KEEP_SECONDS);
            if let Err(error) = alerts::delivery::sweep(&app.db, before).await {
                tracing::warn!(%error, "cannot forget old messages about alerts");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = transfer::push_due(&app).await {
                tracing::warn!(%error, "vouchers that are due could not be pushed");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = transfer::pull::run_due(&app).await {
                tracing::warn!(%error, "vouchers could not be pulled");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = app.ca.reload(&app.db).await {
                tracing::error!(%error, "what another replica changed in the CA cannot be taken up");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = revocation::lists::run_due(&app).await {
                tracing::error!(%error, "cannot look after CRLs");
            }
        }),
        every(TICK, app, |app| async move {
            if app.settings.est.is_on()
                && let Err(error) = est::listener::renew(&app).await
            {
                tracing::warn!(%error, "cannot renew the certificate of the EST listener");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = certificates::gather::run(&app).await {
                tracing::warn!(%error, "cannot list what was issued");
            }
            if let Err(error) = certificates::probes::run_due(&app).await {
                tracing::warn!(%error, "cannot look at endpoints");
            }
        }),
        every(SWEEP, app, |app| async move {
            if let Err(error) = certificates::gather::sweep(&app).await {
                tracing::warn!(%error, "cannot bring the inventory of certificates up to date");
            }
        }),
        // Not at once: what is overdue because the service was not running is done first.
        later(Duration::from_secs(app.settings.alerts.every_seconds), app, |app| async move {
            if let Err(error) = alerts::run(&app).await {
                tracing::error!(%error, "cannot look for alerts");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = alerts::delivery::run_due(&app).await {
                tracing::error!(%error, "cannot send messages about alerts");
            }
        }),
        every(SWEEP, app, |app| async move {
            if let Err(error) = alerts::metrics::refresh(&app).await {
                tracing::warn!(%error, "cannot bring metrics up to date");
            }
        }),
        every(TICK, app, |app| async move {
            if let Err(error) = external::run_due(&app).await {
                tracing::warn!(%error, "requests could not be forwarded to an outside CA");
            }
        }),
        register(app),
    ])
}

/// TO0, at each tick and as soon as there is something new.
fn register(app: &Arc<App>) -> JoinHandle<()> {
    let app = app.clone();
    tokio::spawn(async move {
        loop {
            if let Err(error) = registration::run_due(&app).await {
                tracing::warn!(%error, "cannot look after registrations");
            }
            // Whichever comes first; the tick passing is no error.
            let _ = tokio::time::timeout(TICK, app.registrar.woken()).await;
        }
    })
}

fn every<F, W>(interval: Duration, app: &Arc<App>, work: F) -> JoinHandle<()>
where
    F: Fn(Arc<App>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    from(tokio::time::Instant::now(), interval, app, work)
}

fn later<F, W>(interval: Duration, app: &Arc<App>, work: F) -> JoinHandle<()>
where
    F: Fn(Arc<App>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    from(tokio::time::Instant::now() + interval, interval, app, work)
}

fn from<F, W>(first: tokio::time::Instant, interval: Duration, app: &Arc<App>, work: F) -> JoinHandle<()>
where
    F: Fn(Arc<App>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let app = app.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            work(app.clone()).await;
        }
    })
}
