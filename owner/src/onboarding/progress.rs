//! How far running onboardings have come, in memory: most end within a second and need no row before their end. What
//! changes with each message, the bytes of a file, is written down seldom.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fdo_service::database::TransactionTrait;

use super::Onboardings;
use super::provide::open_until;
use super::store::{self, Phase, Run};
use crate::app::App;
use crate::inventory::{self, DeviceState, Transfer};

/// Beyond so many running onboardings the newest are not shown before they end.
const CAPACITY: usize = 10_000;
/// Onboardings that are younger are likely to end before anybody looks.
const MIN_AGE: u64 = 2;
/// The bytes of a file are written at most so often, in seconds.
const BYTES_EVERY: u64 = 5;
/// At most so many rows are written in one go, once a second.
const BATCH: usize = 200;

/// The onboardings that run here.
#[derive(Default)]
pub struct Progress(Mutex<HashMap<String, Entry>>);

struct Entry {
    run: Run,
    change: Change,
    /// When the row was written last.
    written: u64,
}

/// How the row differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Nothing,
    Bytes,
    Phase,
}

impl Entry {
    fn is_due(&self, now: u64) -> bool {
        let waits = if self.change == Change::Phase { 0 } else { BYTES_EVERY };
        self.change > Change::Nothing && self.run.started + MIN_AGE <= now && self.written + waits <= now
    }
}

impl Progress {
    pub(super) fn begin(&self, run: Run) {
        let mut running = self.lock();
        if running.len() < CAPACITY {
            running.insert(run.id.clone(), Entry { run, change: Change::Phase, written: 0 });
        }
    }

    pub(super) fn advance(&self, id: &str, phase: Phase) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.run.phase = phase;
            entry.change = Change::Phase;
        }
    }

    /// Parts of files have gone, whichever replica the TO2 began at.
    pub(super) fn transferred(&self, run: &Run, transfers: Vec<Transfer>, now: u64) {
        let mut running = self.lock();
        if !running.contains_key(&run.id) && running.len() >= CAPACITY {
            return;
        }
        let new = || Entry { run: run.clone(), change: Change::Nothing, written: now };
        let entry = running.entry(run.id.clone()).or_insert_with(new);
        if entry.run.transfers != transfers {
            entry.run.transfers = transfers;
            entry.change = entry.change.max(Change::Bytes);
        }
    }

    /// How far the files of a TO2 have come, as far as this process knows.
    pub(super) fn transfers(&self, id: &str) -> Option<Vec<Transfer>> {
        self.lock().get(id).map(|entry| entry.run.transfers.clone())
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn expire(&self, now: u64, seconds: u64) {
        self.lock().retain(|_, entry| now < entry.run.started.saturating_add(seconds));
    }

    fn changed(&self, now: u64) -> Vec<Run> {
        let mut running = self.lock();
        let mut due: Vec<&mut Entry> = running.values_mut().filter(|entry| entry.is_due(now)).collect();
        // Those that waited longest first, so that none waits for ever.
        due.sort_by_key(|entry| entry.written);
        let taken = due.into_iter().take(BATCH).map(|entry| {
            entry.change = Change::Nothing;
            entry.written = now;
            entry.run.clone()
        });
        taken.collect()
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
            let moving = run.transfers.iter().rfind(|transfer| !transfer.is_whole());
            let progress = moving.map_or(phase.to_owned(), |transfer| format!("{phase}, {transfer}"));
            inventory::record_state(&transaction, now, &run.guid, state, Some(&progress), None).await?;
        } else {
            app.progress.forget(&run.id);
        }
    }
    Ok(transaction.commit().await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fdo_protocol::Guid;

    use super::*;
    use crate::serviceinfo::DeviceFacts;

    fn run(id: &str) -> Run {
        let guid = Guid::from_bytes([1; 16]);
        Run {
            id: id.to_owned(),
            device_id: "device".to_owned(),
            guid,
            new_guid: guid,
            started: 100,
            open_until: 100,
            finished: None,
            phase: Phase::Attested,
            outcome: None,
            reason: None,
            facts: DeviceFacts::default(),
            transfers: Vec::new(),
            certificate: None,
        }
    }

    fn sent(done: u64) -> Vec<Transfer> {
        vec![Transfer { module: "fdo.download".to_owned(), what: "a to b".to_owned(), done, total: Some(1000) }]
    }

    #[test]
    fn bytes_are_written_seldom_and_a_phase_at_once() {
        let progress = Progress::default();
        progress.begin(run("a"));
        assert!(progress.changed(101).is_empty(), "too young");
        assert_eq!(progress.changed(102).len(), 1);
        progress.transferred(&run("a"), sent(1), 103);
        assert!(progress.changed(103).is_empty() && progress.changed(106).is_empty());
        progress.transferred(&run("a"), sent(2), 106);
        assert_eq!(progress.changed(107)[0].transfers, sent(2));
        assert!(progress.changed(200).is_empty(), "nothing new");
        progress.transferred(&run("a"), sent(3), 200);
        progress.advance("a", Phase::Provisioning);
        assert_eq!(progress.changed(201).len(), 1);
        progress.transferred(&run("a"), sent(4), 201);
        assert_eq!(progress.transfers("a"), Some(sent(4)));
        assert_eq!(progress.transfers("b"), None);
    }

    #[test]
    fn one_go_writes_a_bounded_number_and_the_rest_follows() {
        let progress = Progress::default();
        for number in 0..BATCH + 50 {
            progress.begin(run(&number.to_string()));
        }
        assert_eq!(progress.changed(102).len(), BATCH);
        assert_eq!(progress.changed(103).len(), 50);
        assert!(progress.changed(104).is_empty());
    }

    #[test]
    fn a_replica_that_did_not_begin_the_onboarding_shows_its_bytes_too() {
        let progress = Progress::default();
        progress.transferred(&run("a"), sent(5), 100);
        assert_eq!(progress.transfers("a"), Some(sent(5)));
        progress.expire(1100, 1000);
        assert_eq!(progress.transfers("a"), None);
    }
}
