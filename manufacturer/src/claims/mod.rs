//! Claims: an authenticated buyer is handed the voucher of a serial allocated to it (voucher transfer, sections 5 and 9).
//!
//! A voucher is extended once; its bytes are stored and committed before the reply, and are the same for ever.

mod access;
mod error;
mod extend;
mod grant;
mod limits;
pub mod routes;
pub mod store;
mod wire;

use std::sync::Arc;

use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, VerifyingKey};
use fdo_protocol::key_auth::{Aad, AadPolicy};
use fdo_service::database::{self, DatabaseConnection, DbErr};
use fdo_service::endpoint::Limits;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::sessions::SealingKey;

use crate::buyers::{Buyer, BuyerError, BuyerState, Enrolled};
use crate::devices::{self, DeviceState};
use crate::keys::{KeyError, Keys};
use crate::vouchers::{self, VoucherState};
pub use extend::ExtendError;
pub use grant::{Asked, Denied, Grant};
use limits::Windows;

/// A token that KeyAuth gives is good for so long.
pub const TOKEN_SECONDS: u64 = 600;

/// A voucher extended to a buyer.
#[derive(Clone, Debug)]
pub struct Claim {
    pub guid: Guid,
    /// The serial in the form by which serials are compared.
    pub canon: String,
    pub serial: String,
    pub model: String,
    pub buyer_id: String,
    /// Fingerprint of the owner key that the voucher ends in.
    pub fingerprint: String,
    pub bytes: Vec<u8>,
    /// `sha256:` and the hexadecimal digest of the bytes.
    pub checksum: String,
    pub request_id: String,
    pub created: u64,
    /// When its first byte was handed out.
    pub delivered: Option<u64>,
}

/// Who asks: a proven key, and the buyer that it belongs to, if any.
#[derive(Clone, Debug)]
pub struct Caller {
    token_hash: Vec<u8>,
    key: VerifyingKey,
    fingerprint: String,
    buyer: Option<Buyer>,
}

/// A caller whose buyer may claim.
#[derive(Clone, Debug)]
pub struct Claimant {
    pub key: VerifyingKey,
    pub fingerprint: String,
    pub buyer: Buyer,
}

/// Why a whole request of a buyer fails.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("prove an owner key with KeyAuth first, or again: the token is missing, wrong or expired")]
    Unauthenticated,
    #[error("the proof does not hold: {0}")]
    Proof(fdo_protocol::Error),
    #[error("the request does not hold: {0}")]
    BadRequest(String),
    #[error("this key is not enrolled; enrol it with the code from the manufacturer")]
    NotEnrolled,
    #[error("there is no such voucher")]
    NotFound,
    #[error("too many requests; wait a minute")]
    TooMany,
    #[error(transparent)]
    Buyer(#[from] BuyerError),
    #[error("a key of the manufacturer cannot be used: {0}")]
    Key(#[from] KeyError),
    #[error("signing failed: {0}")]
    Signing(fdo_protocol::Error),
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// What claims need.
pub struct Claims {
    db: DatabaseConnection,
    clock: Clock,
    random: Random,
    keys: Arc<Keys>,
    /// The maker's name.
    maker: String,
    limits: Arc<Limits>,
    windows: Windows,
    continuations: SealingKey,
    policy: AadPolicy,
}

/// The settings of [`Claims`].
pub struct ClaimsParts {
    pub db: DatabaseConnection,
    pub clock: Clock,
    pub random: Random,
    pub keys: Arc<Keys>,
    pub maker: String,
    pub limits: Arc<Limits>,
    pub sealing: SealingKey,
    /// Accept KeyAuth signatures of older clients too.
    pub older_key_auth: bool,
    pub serials_per_hour: u32,
    pub misses_per_hour: u32,
}

impl Claims {
    pub fn new(parts: ClaimsParts) -> Self {
        let windows = Windows::new(parts.serials_per_hour, parts.misses_per_hour);
        Self {
            db: parts.db,
            clock: parts.clock,
            random: parts.random,
            keys: parts.keys,
            maker: parts.maker,
            limits: parts.limits,
            windows,
            continuations: parts.sealing.derive("claim continuations"),
            policy: AadPolicy { sign: Aad::Array, compat: parts.older_key_auth },
        }
    }

    /// Binds the caller's proven key to the buyer of a code.
    async fn enrol(&self, caller: &Caller, code: &str, complete: bool) -> Result<Enrolled, ClaimError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let enrolled = crate::buyers::enrol(&transaction, &caller.key, code, complete, now).await?;
        access::store::bind_token(&transaction, &caller.token_hash, &enrolled.buyer.id).await?;
        transaction.commit().await?;
        Ok(enrolled)
    }

    /// The claim whose voucher this is, if it is the claimant's; the first time, it becomes delivered.
    async fn deliver(&self, claimant: &Claimant, guid: &Guid) -> Result<Claim, ClaimError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let claim = self.claim_of(&transaction, claimant, guid).await?;
        if claim.delivered.is_none() {
            store::set_delivered(&transaction, guid, now).await?;
            let (subject, detail) = (guid.to_string(), format!("{} to {}", claim.serial, claimant.buyer.name));
            let event = Event {
                actor: &claimant.fingerprint,
                action: "voucher.deliver",
                subject: &subject,
                outcome: Outcome::Success,
                detail: &detail,
            };
            audit::record(&transaction, now, event).await?;
            transaction.commit().await?;
        }
        Ok(claim)
    }

    /// Unknown, somebody else's, withdrawn and a blocked device's look the same.
    async fn claim_of(
        &self,
        conn: &impl database::ConnectionTrait,
        claimant: &Claimant,
        guid: &Guid,
    ) -> Result<Claim, ClaimError> {
        let claim = store::find(conn, guid).await?.filter(|claim| claim.buyer_id == claimant.buyer.id);
        let claim = claim.ok_or(ClaimError::NotFound)?;
        let device = devices::store::find(conn, &claim.canon).await?;
        if device.is_none_or(|device| device.state == DeviceState::Blocked) {
            return Err(ClaimError::NotFound);
        }
        let voucher = vouchers::store::find(conn, guid).await?;
        if voucher.is_some_and(|voucher| voucher.state == VoucherState::Active) {
            Ok(claim)
        } else {
            Err(ClaimError::NotFound)
        }
    }

    /// Forgets tokens and KeyAuth sessions that have ended.
    pub async fn sweep(&self) -> Result<(), DbErr> {
        access::store::sweep(&self.db, self.clock.now()).await
    }

    /// The claims of all buyers, for operators.
    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<Claim>, DbErr> {
        store::list(&self.db, after, limit).await
    }
}

impl Caller {
    /// The caller as a buyer that may claim.
    fn claimant(self) -> Result<Claimant, ClaimError> {
        let buyer = self.buyer.ok_or(ClaimError::NotEnrolled)?;
        if buyer.state == BuyerState::Suspended {
            return Err(BuyerError::Suspended.into());
        }
        Ok(Claimant { key: self.key, fingerprint: self.fingerprint, buyer })
    }
}

impl Claimant {
    fn key_type(&self) -> KeyType {
        self.key.key_type()
    }
}

#[cfg(test)]
mod tests;
