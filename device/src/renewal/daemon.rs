//! The daemon: onboards a device that has no owner yet, and from then on renews its certificate in time, until it is told
//! to stop. It may be stopped at any line: whatever is under way is finished or asked again at the next start.

use std::future::Future;
use std::time::Duration;

use super::schedule::Kind;
use super::{RenewError, Renewer, clock_check};
use crate::est::EstTransport;
use crate::onboarding::{Attempts, OnboardError, Onboarded, Policy};
use crate::store::{RenewalStatus, Status, StoreError};
use crate::transport::Transport;

/// The longest sleep: a clock that is set meanwhile is noticed after that.
const LONGEST_SLEEP: Duration = Duration::from_secs(4 * 60 * 60);
/// While something about this device must be set right.
const FAULT_PAUSE: Duration = Duration::from_secs(60);

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state of the device.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another daemon has it.
    #[error("another `fdo-device run` is at work on this state directory")]
    Running,
}

/// What is kept from one step to the next, beside what is on disk.
#[derive(Default)]
struct Memory {
    /// No attempt before this, unix seconds, after so many that failed: a full disk keeps no status.
    not_before: u64,
    failures: u32,
    /// The hook failed for want of a disk; it is not run without end.
    hooked: Option<[u8; 32]>,
    /// The LDevID whose key was seen to be its own.
    working: Option<[u8; 32]>,
    said_idle: bool,
    said_clock: bool,
}

impl<T: Transport, E: EstTransport> Renewer<T, E>
where
    T::Channel: Sync,
{
    /// Runs until `stop`.
    ///
    /// # Errors
    /// [`DaemonError`] where there is nothing to run: before DI, or beside another daemon.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let store = &self.agent.store;
        let _only = store.daemon_lock().map_err(|error| match error {
            StoreError::Busy => DaemonError::Running,
            other => other.into(),
        })?;
        if !store.is_initialised()? {
            return Err(StoreError::NotInitialised.into());
        }
        let mut memory = Memory::default();
        tokio::pin!(stop);
        loop {
            let pause = tokio::select! {
                () = &mut stop => break,
                pause = self.step(&mut memory) => pause,
            };
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Does what is due, and says how long there is nothing to do.
    async fn step(&self, memory: &mut Memory) -> Duration {
        let store = &self.agent.store;
        let waits_for_owner = match (store.credential(), store.pending()) {
            (Ok(credential), Ok(pending)) => credential.active || pending.is_some(),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "the state of this device cannot be read");
                return FAULT_PAUSE;
            }
        };
        if waits_for_owner {
            return self.find_owner(Attempts::Forever, false).await;
        }
        self.run_hook(memory).await;
        let now = self.agent.clock.now();
        let status = store.renewal_status();
        if let Some(wrong) = clock_check::wrong(now, status.seen, store.ldevid().as_ref()) {
            return self.wait_for_clock(memory, wrong);
        }
        memory.said_clock = false;
        let works = self.pair_works(memory);
        let Some(due) = self.due(&status, works) else {
            if !std::mem::replace(&mut memory.said_idle, true) {
                match store.renewal_source() {
                    Ok(Some(_)) => tracing::info!("there is no certificate to renew"),
                    _ => tracing::warn!("{}", RenewError::NoSource),
                }
            }
            return LONGEST_SLEEP;
        };
        memory.said_idle = false;
        // What was written down by a clock of another time does not count.
        let longest = self.life(&status, now).longest_pause(now);
        let held = status.next_at.filter(|_| status.failures > 0 || status.waiting.is_some());
        let held = held.filter(|at| at.saturating_sub(now) <= longest).unwrap_or(0);
        let next = due.max(held).max(memory.not_before.min(now.saturating_add(longest)));
        if next > now {
            if status.next_at != Some(next) {
                let noted = store.set_renewal_status(&RenewalStatus { next_at: Some(next), ..status });
                noted.unwrap_or_else(|error| tracing::debug!(%error, "the time of the next renewal is not noted"));
            }
            return Duration::from_secs(next - now).min(LONGEST_SLEEP);
        }
        match self.renew().await {
            Ok(_) => {
                (memory.not_before, memory.failures) = (now.saturating_add(1), 0);
                self.run_hook(memory).await;
            }
            Err(error) => {
                memory.failures = memory.failures.saturating_add(1);
                let noted = store.renewal_status().next_at.filter(|at| *at > now);
                let (life, kind) = (self.life(&status, now), Kind::Unreachable);
                let own =
                    || now.saturating_add(life.pause(now, memory.failures, kind, &mut self.agent.random.rng()));
                memory.not_before = noted.unwrap_or_else(own);
                if matches!(error, RenewError::Refused(_)) && self.agent.settings.renewal.reonboard {
                    tracing::warn!("the owner renews no more: asking the rendezvous who owns this device");
                    self.find_owner(Attempts::Limited(1), true).await;
                }
            }
        }
        Duration::from_secs(1)
    }

    /// A clock that cannot be right makes every date mean nothing: it is told once, and looked at again soon.
    fn wait_for_clock(&self, memory: &mut Memory, wrong: String) -> Duration {
        if !std::mem::replace(&mut memory.said_clock, true) {
            tracing::error!("{wrong}");
            let store = &self.agent.store;
            let status = RenewalStatus { clock: Some(wrong), ..store.renewal_status() };
            let noted = store.set_renewal_status(&status);
            noted.unwrap_or_else(|error| tracing::warn!(%error, "that cannot be written down"));
        }
        FAULT_PAUSE
    }

    /// Whether the LDevID has its key: looked at once for each.
    fn pair_works(&self, memory: &mut Memory) -> bool {
        let fingerprint = self.agent.store.ldevid().map(|ldevid| ldevid.fingerprint());
        if fingerprint.is_some() && memory.working == fingerprint {
            return true;
        }
        memory.working = self.agent.store.ldevid_pair().map(|pair| pair.certificate.fingerprint());
        memory.working.is_some()
    }

    async fn run_hook(&self, memory: &mut Memory) {
        let fingerprint = self.agent.store.ldevid().map(|ldevid| ldevid.fingerprint());
        if memory.hooked != fingerprint {
            memory.hooked = fingerprint;
            // What it failed for is in the log and in the status.
            if self.settle_hook().await.is_err() {
                self.tell_owner().await;
            }
        }
    }

    async fn find_owner(&self, attempts: Attempts, reonboard: bool) -> Duration {
        match self.agent.onboard(Policy { attempts, reonboard }).await {
            Ok(Onboarded::Now { status, .. }) => {
                let Status { owner, .. } = *status;
                tracing::info!(owner = owner.unwrap_or_default(), "onboarded");
                Duration::ZERO
            }
            Ok(Onboarded::Already(_)) => Duration::ZERO,
            Err(OnboardError::Exhausted(_)) => Duration::from_secs(1),
            Err(OnboardError::Store(error)) => {
                tracing::error!(%error, "the device cannot be onboarded");
                FAULT_PAUSE
            }
        }
    }
}
