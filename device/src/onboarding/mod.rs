//! Onboarding: the directives of the credential in order (FDO 1.1, interpretation by the device), TO1 where they name
//! a rendezvous, and TO2 with the owner. A failure never costs the credential.

mod delay;
mod to1;
mod to2;

use std::fmt;

use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::cose::Sign1;
use fdo_protocol::rendezvous_info::Hop;
use fdo_protocol::{DeviceCredential, Guid};

use crate::agent::{Agent, RunError};
use crate::store::{Status, StoreError};
use crate::transport::Transport;

/// More addresses of one redirect than this are not tried.
const MAX_ADDRESSES: usize = 16;

/// How often all directives are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// So many times.
    Limited(u32),
    /// Until it works.
    Forever,
}

/// How to onboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often to try.
    pub attempts: Attempts,
    /// Onboard again, although the device is onboarded.
    pub reonboard: bool,
}

/// How it ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Onboarded {
    /// There was nothing to do.
    Already(Guid),
    /// TO2 ended; the status tells of it.
    Now {
        /// The GUID that the device came with.
        guid: Guid,
        /// The GUID that it has now.
        next_guid: Guid,
        /// The state after it.
        status: Box<Status>,
    },
}

/// What failed where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `TO1` or `TO2`.
    pub protocol: &'static str,
    /// The address.
    pub at: String,
    /// What went wrong.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.protocol, self.at, self.reason)
    }
}

/// Why the device is not onboarded.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    /// The state of the device.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every address was tried. The credential is as it was.
    #[error("{}", describe(.0))]
    Exhausted(Vec<Failure>),
}

fn describe(failures: &[Failure]) -> String {
    let mut text = String::from("no owner could be reached; the device keeps its credential and may try again");
    if failures.is_empty() {
        text.push_str("\n  the credential names no address that this device can use");
    }
    for failure in failures {
        text.push_str("\n  ");
        text.push_str(&failure.to_string());
    }
    text
}

/// A place that failed, or state that cannot be used any more.
enum PassError {
    Store(StoreError),
    Failed(Vec<Failure>),
}

impl<T: Transport> Agent<T> {
    /// Onboards.
    ///
    /// # Errors
    /// [`OnboardError`]; then the credential is as it was.
    pub async fn onboard(&self, policy: Policy) -> Result<Onboarded, OnboardError> {
        let _alone = self.work_alone().await?;
        let mut pass = 0_u32;
        loop {
            let credential = self.store.credential()?;
            let pending = self.store.pending()?.and_then(|pending| pending.credential);
            if !credential.active && pending.is_none() && !policy.reonboard {
                return Ok(Onboarded::Already(credential.guid));
            }
            pass = pass.saturating_add(1);
            let is_last = matches!(policy.attempts, Attempts::Limited(limit) if pass >= limit);
            // After a lost 71 the owner may know the device by either GUID, more likely by the new one.
            let candidates: Vec<DeviceCredential> = pending.into_iter().chain([credential]).collect();
            match self.one_pass(&candidates, is_last).await {
                Ok(onboarded) => return Ok(onboarded),
                Err(PassError::Store(error)) => return Err(error.into()),
                Err(PassError::Failed(failures)) => {
                    self.note_failure(&failures)?;
                    if is_last {
                        return Err(OnboardError::Exhausted(failures));
                    }
                }
            }
        }
    }

    fn note_failure(&self, failures: &[Failure]) -> Result<(), StoreError> {
        let mut status = self.store.status();
        status.failed_at = Some(self.clock.now());
        status.failure = failures.last().map(Failure::to_string);
        self.store.set_status(&status)
    }

    async fn one_pass(&self, candidates: &[DeviceCredential], is_last: bool) -> Result<Onboarded, PassError> {
        let mut failures = Vec::new();
        for (index, credential) in candidates.iter().enumerate() {
            let hops = credential.rv_info.device_hops();
            let last_candidate = index + 1 == candidates.len();
            for (position, hop) in hops.iter().enumerate() {
                if let Some(onboarded) = self.one_hop(credential, hop, &mut failures).await? {
                    return Ok(onboarded);
                }
                let end = position + 1 == hops.len();
                if end && (is_last || !last_candidate) {
                    continue;
                }
                self.pause(delay::after(hop, end, &mut self.random.rng())).await;
            }
            if hops.is_empty() && last_candidate && !is_last {
                self.pause(delay::at_the_end(&mut self.random.rng())).await;
            }
        }
        Err(PassError::Failed(failures))
    }

    async fn pause(&self, delay: std::time::Duration) {
        if !delay.is_zero() {
            self.tell_progress(&format!("waiting {} s before the next attempt", delay.as_secs()));
            tokio::time::sleep(delay).await;
        }
    }

    async fn one_hop(
        &self,
        credential: &DeviceCredential,
        hop: &Hop,
        failures: &mut Vec<Failure>,
    ) -> Result<Option<Onboarded>, PassError> {
        if hop.medium.is_some() || hop.user_input {
            tracing::debug!("a rendezvous directive about network interfaces or people is followed without them");
        }
        let trust = match (&hop.server_certificate, &hop.ca_certificate) {
            (Some(hash), _) => ServerTrust::Certificate(hash.clone()),
            (None, Some(hash)) => ServerTrust::AuthorityHash(hash.clone()),
            (None, None) => ServerTrust::Any,
        };
        for base in hop.addresses.iter().map(BaseUrl::from) {
            if hop.bypass {
                if let Some(onboarded) = self.meet_owner(credential, None, &base, &trust, failures).await? {
                    return Ok(Some(onboarded));
                }
                continue;
            }
            self.tell_progress(&format!("asking the rendezvous at {base}"));
            let redirect = match self.to1(credential.guid, &base, &trust).await {
                Ok(redirect) => redirect,
                Err(error) => {
                    note("TO1", &base, error, failures)?;
                    continue;
                }
            };
            for owner in BaseUrl::of_owner(&redirect.rv_to2_addr).iter().take(MAX_ADDRESSES) {
                let to1d = Some(redirect.to1d.clone());
                if let Some(onboarded) =
                    self.meet_owner(credential, to1d, owner, &ServerTrust::Any, failures).await?
                {
                    return Ok(Some(onboarded));
                }
            }
        }
        Ok(None)
    }

    async fn meet_owner(
        &self,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
        trust: &ServerTrust,
        failures: &mut Vec<Failure>,
    ) -> Result<Option<Onboarded>, PassError> {
        self.tell_progress(&format!("onboarding with the owner at {base}"));
        match self.to2(credential, to1d, base, trust).await {
            Ok(next_guid) => {
                tracing::info!(%next_guid, guid = %credential.guid, owner = %base, "the device is onboarded");
                let status = Box::new(self.store.status());
                Ok(Some(Onboarded::Now { guid: credential.guid, next_guid, status }))
            }
            Err(error) => {
                note("TO2", base, error, failures)?;
                Ok(None)
            }
        }
    }
}

fn note(
    protocol: &'static str,
    base: &BaseUrl,
    error: RunError,
    failures: &mut Vec<Failure>,
) -> Result<(), PassError> {
    let failure = Failure { protocol, at: base.to_string(), reason: error.to_string() };
    tracing::warn!("{failure}");
    failures.push(failure);
    match error {
        RunError::Store(error) => Err(PassError::Store(error)),
        _ => Ok(()),
    }
}
