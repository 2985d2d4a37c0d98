//! Claims: an authenticated buyer is handed the voucher of a serial allocated to it (voucher transfer, sections 5 and 9).
//!
//! A voucher is extended once; its bytes are stored and committed before the reply, and are the same for ever.

mod access;
mod allocated;
mod delivery;
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
use fdo_service::sessions::SealingKey;
use fdo_service::transfer::did::{Did, Document};
use fdo_service::transfer::key_auth::{KeyAuth, KeyAuthError};
use fdo_service::transfer::listing::Continuations;
use fdo_service::transfer::partners::Partners;
use fdo_service::transfer::{PULL_ROOT, outbox};

use crate::buyers::{Buyer, BuyerError, Enrolled};
use crate::keys::{KeyError, Keys};
pub use access::Caller;
pub use extend::ExtendError;
pub use grant::{Asked, Denied, Grant};
use limits::Windows;

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
    #[error(transparent)]
    KeyAuth(#[from] KeyAuthError),
    #[error("the request does not hold: {0}")]
    BadRequest(String),
    #[error("this key is not enrolled; enrol it with the code from the manufacturer")]
    NotEnrolled,
    #[error("there is no such voucher")]
    NotFound,
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
    key_auth: KeyAuth,
    windows: Windows,
    continuations: Continuations,
    /// Who is pushed to.
    partners: Partners,
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
    pub partners: Partners,
}

impl Claims {
    pub fn new(parts: ClaimsParts) -> Self {
        let windows = Windows::new(parts.serials_per_hour, parts.misses_per_hour);
        let policy = AadPolicy { sign: Aad::Array, compat: parts.older_key_auth };
        let (db, clock, random) = (parts.db, parts.clock, parts.random);
        Self {
            key_auth: KeyAuth::new(db.clone(), clock.clone(), random.clone(), parts.limits, policy),
            continuations: Continuations::new(&parts.sealing, random.clone()),
            keys: parts.keys,
            maker: parts.maker,
            partners: parts.partners,
            windows,
            db,
            clock,
            random,
        }
    }

    /// Binds the caller's proven key to the buyer of a code.
    async fn enrol(&self, caller: &Caller, code: &str, complete: bool) -> Result<Enrolled, ClaimError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let enrolled = crate::buyers::enrol(&transaction, &caller.bearer.key, code, complete, now).await?;
        caller.bearer.bind(&transaction, &enrolled.buyer.id).await?;
        transaction.commit().await?;
        Ok(enrolled)
    }

    /// The maker's DID document: its identity first, which signs challenges, then the keys that vouchers begin with.
    pub(crate) fn document(&self, claims_url: &str) -> Document {
        let url = claims_url.trim_end_matches('/');
        let parsed = reqwest::Url::parse(url).ok();
        let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let voucher_keys = KeyType::ELLIPTIC.iter().filter_map(|key_type| self.keys.voucher(*key_type));
        let identity = self.keys.identity().verifying_key().clone();
        Document {
            id: Did::web(host, parsed.as_ref().and_then(reqwest::Url::port)),
            keys: std::iter::once(identity)
                .chain(voucher_keys.map(|key| key.signing().verifying_key().clone()))
                .collect(),
            push_root: None,
            pull_root: Some(format!("{url}{PULL_ROOT}")),
        }
    }

    /// Pushes what is due.
    pub async fn push_due(&self) -> Result<(), DbErr> {
        outbox::run_due(&self.partners, self.keys.identity(), self).await
    }

    /// Forgets tokens and KeyAuth sessions that have ended.
    pub async fn sweep(&self) -> Result<(), DbErr> {
        self.key_auth.sweep().await
    }

    /// The claims of all buyers, for operators.
    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<Claim>, DbErr> {
        store::list(&self.db, after, limit).await
    }
}

impl Claimant {
    fn key_type(&self) -> KeyType {
        self.key.key_type()
    }
}

#[cfg(test)]
mod tests;
