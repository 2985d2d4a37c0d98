//! What is still to be pushed: kept until the recipient has it, tried again after 1, 2, 4 .. s, then every 8 to 24 h
//! (section 8).

pub mod routes;
mod store;

use std::collections::HashSet;
use std::future::Future;

use fdo_protocol::Guid;
use fdo_protocol::crypto::SigningKey;
use serde::{Deserialize, Serialize};

use super::client::CallError;
use super::partners::{self, Partner, PartnerError, Partners};
use super::push::Pushed;
use crate::database::{self, DbErr};
use crate::queue;

pub use store::{enqueue, find, forget_partner, list, retry};

/// For so long whoever took a push works on it; then another one may.
const WORKING_SECONDS: u64 = 300;
/// Pushes taken at a time.
const BATCH: u64 = 50;
/// 1, 2, 4, 8, 16 and 32 s; then the slow queue.
const QUICK_ATTEMPTS: u32 = 6;
const SLOW_SECONDS: u64 = 8 * 3600;
const SLOWEST_SECONDS: u64 = 24 * 3600;

/// How far a push has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is tried again and again.
    Queued,
    /// The recipient has it.
    Pushed,
    /// The recipient refuses it; an operator may try again.
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pushed => "pushed",
            Self::Failed => "failed",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Pushed, Self::Failed].into_iter().find(|state| state.name() == name)
    }
}

/// One voucher on its way to one partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    pub guid: Guid,
    pub partner_id: String,
    pub serial: Option<String>,
    pub state: State,
    pub attempts: u32,
    pub next_at: Option<u64>,
    pub error: Option<String>,
    pub created: u64,
    pub updated: u64,
    pub pushed: Option<u64>,
}

/// Where the vouchers come from, and who is told what became of them.
pub trait Holder: Sync {
    type Error: std::fmt::Display + Send;

    /// The voucher; when this returns, it may leave: what that means here is committed. `None` where it may no
    /// longer be given out.
    fn parcel(&self, push: &Push) -> impl Future<Output = Result<Option<Pushed>, Self::Error>> + Send;

    /// The recipient has it.
    fn arrived(&self, push: &Push) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Pushes what is due. Several replicas may do this at once.
pub async fn run_due(partners: &Partners, key: &SigningKey, holder: &impl Holder) -> Result<(), DbErr> {
    let now = partners.clock.now();
    let transaction = database::begin(&partners.db).await?;
    let due = store::take_due(&transaction, now, now + WORKING_SECONDS, BATCH).await?;
    transaction.commit().await?;
    let mut broken = HashSet::new();
    for push in due {
        let failure = if broken.contains(&push.partner_id) {
            Failure::Later { why: "this partner could not be reached just now".to_owned(), pause: None }
        } else {
            match send(partners, key, holder, &push).await {
                Ok(()) => {
                    store::arrived(&partners.db, &push, partners.clock.now()).await?;
                    continue;
                }
                Err(failure) => failure,
            }
        };
        if matches!(failure, Failure::Partner { .. }) {
            broken.insert(push.partner_id.clone());
        }
        note(partners, &push, failure).await?;
    }
    Ok(())
}

/// Why a push did not arrive.
enum Failure {
    /// Neither did any other to this partner.
    Partner {
        why: String,
    },
    Later {
        why: String,
        pause: Option<u64>,
    },
    Never {
        why: String,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let why = error.to_string();
        match error {
            CallError::Refused { status: 408 | 429 | 500.., retry_after, .. } => {
                Self::Later { why, pause: retry_after }
            }
            CallError::Refused { .. } | CallError::Url(_) => Self::Never { why },
            _ => Self::Partner { why },
        }
    }
}

async fn send<H: Holder>(partners: &Partners, key: &SigningKey, holder: &H, push: &Push) -> Result<(), Failure> {
    let later = |why: String| Failure::Later { why, pause: None };
    let never = |why: &str| Failure::Never { why: why.to_owned() };
    let partner =
        partners::find(&partners.db, &push.partner_id).await.map_err(|error| later(error.to_string()))?;
    let partner = partner.ok_or_else(|| never("the partner was removed"))?;
    if partner.suspended {
        return Err(Failure::Later { why: "the partner is suspended".to_owned(), pause: Some(SLOW_SECONDS) });
    }
    let root = partner.push_root.clone().ok_or_else(|| never("the partner has no place to push to"))?;
    let connection = partners.connect(&partner, &root).await?;
    let keys = partners::keys_of(&partners.db, &partner.id).await.map_err(|error| later(error.to_string()))?;
    // Who answers is known before anything leaves.
    let (token, now) = (partners.token_of(&partner), partners.clock.now());
    let session = match &token {
        Some(token) => connection.with_token(token),
        None => connection.authenticate(key, &servers(&partner, keys), now, &mut partners.random.rng()).await?,
    };
    let parcel = holder.parcel(push).await.map_err(|error| later(error.to_string()))?;
    let parcel = parcel.ok_or_else(|| never("the voucher may no longer be given out"))?;
    match session.push(&parcel, &mut partners.random.rng()).await {
        // 409: it is there.
        Ok(_) | Err(CallError::Refused { status: 409, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    holder.arrived(push).await.map_err(|error| later(error.to_string()))
}

/// The keys that may sign a partner's challenges: of a DID its document's; else the pinned TLS key, which is asked for
/// by naming none.
pub fn servers(
    partner: &Partner,
    keys: Vec<fdo_protocol::crypto::VerifyingKey>,
) -> Vec<fdo_protocol::crypto::VerifyingKey> {
    if partner.did.is_none() && partner.tls_pin.is_some() { Vec::new() } else { keys }
}

async fn note(partners: &Partners, push: &Push, failure: Failure) -> Result<(), DbErr> {
    let now = partners.clock.now();
    let (why, pause) = match failure {
        Failure::Never { why } => (why, None),
        Failure::Later { why, pause } => (why, Some(pause.unwrap_or_else(|| pause_after(push.attempts)))),
        Failure::Partner { why } => (why, Some(pause_after(push.attempts))),
    };
    tracing::warn!(guid = %push.guid, partner = push.partner_id, reason = why, "a voucher was not pushed");
    let next =
        pause.map(|pause| now + queue::jittered(pause.clamp(1, SLOWEST_SECONDS), &mut partners.random.rng()));
    store::failed(&partners.db, push, now, next, &super::said(&why, 500)).await
}

/// The pause after so many attempts before.
pub fn pause_after(attempts: u32) -> u64 {
    match attempts.checked_sub(QUICK_ATTEMPTS) {
        None => 1 << attempts,
        Some(slow) => (SLOW_SECONDS << slow.min(4)).min(SLOWEST_SECONDS),
    }
}

/// Puts a voucher into the queue for a partner by its name.
pub async fn send_to(
    partners: &Partners,
    guid: &Guid,
    serial: Option<&str>,
    name: &str,
) -> Result<Push, PartnerError> {
    let partner = partners::get(&partners.db, name).await?;
    if partner.push_root.is_none() {
        return Err(PartnerError::Lacks(partner.name, "place to push vouchers to"));
    }
    let transaction = database::begin(&partners.db).await?;
    store::enqueue(&transaction, guid, &partner.id, serial, partners.clock.now()).await?;
    let push = store::find(&transaction, guid, &partner.id).await?;
    transaction.commit().await?;
    push.ok_or(PartnerError::Unknown(partner.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_day() {
        let pauses: Vec<u64> = (0..10).map(pause_after).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 28_800, 57_600, 86_400, 86_400]);
    }
}
