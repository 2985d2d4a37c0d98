//! How far running onboardings have come, in memory: most end within a second and need no row before their end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fdo_service::database::TransactionTrait;

use super::Onboardings;
use super::provide::open_until;
use super::store::{self, Phase, Run};
use crate::app::App;
use crate::inventory::{self, DeviceState};

/// Beyond so many running onboardings the newest are not shown before they end.
const CAPACITY: usize = 10_000;
/// Onboardings that are younger are likely to end before anybody looks.
const MIN_AGE: u64 = 2;

/// The onboardings that run here.
#[derive(Default)]
pub struct Progress(Mutex<HashMap<String, Entry>>);

struct Entry {
    run: Run,
    /// The row differs.
    is_changed: bool,
}

impl Progress {
    pub(super) fn begin(&self, run: Run) {
        let mut running = self.lock();
        if running.len() < CAPACITY {
            running.insert(run.id.clone(), Entry { run, is_changed: true });
        }
    }

    pub(super) fn advance(&self, id: &str, phase: Phase) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.run.phase = phase;
            entry.is_changed = true;
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn expire(&self, now: u64, seconds: u64) {
        self.lock().retain(|_, entry| now < entry.run.started.saturating_add(seconds));
    }

    fn changed(&self, now: u64) -> Vec<Run> {
        let mut running = self.lock();
        let old_enough = |entry: &&mut Entry| entry.is_changed && entry.run.started + MIN_AGE <= now;
        let due = running.values_mut().filter(old_enough);
        due.map(|entry| {
            entry.is_changed = false;
            entry.run.clone()
        })
        .collect()
    }

    fn contains(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn flush(app: &App) -> Result<(), Onboardings> {
    let now = app.clock.now();
    let changed = app.progress.changed(now);
    if changed.is_empty() {
        return Ok(());
    }
    let transaction = app.db.begin().await?;
    for mut run in changed {
        // It may have ended while this waited for the database, here or at another replica.
        if !app.progress.contains(&run.id) {
            continue;
        }
        run.open_until = open_until(app, now);
        if store::upsert_running(&transaction, &run).await? {
            let (state, phase) = (DeviceState::Started, run.phase.name());
            inventory::record_state(&transaction, now, &run.guid, state, Some(phase), None).await?;
        } else {
            app.progress.forget(&run.id);
        }
    }
    Ok(transaction.commit().await?)
}
