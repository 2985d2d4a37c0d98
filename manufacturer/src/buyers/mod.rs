//! Buyers, the one-time codes that they enrol with, and the owner keys that they have proven.

pub mod code;
pub mod routes;
pub mod store;

use fdo_protocol::crypto::{KeyType, VerifyingKey};
use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::operators::audit::{self, Event, Outcome};
use rand_core::Rng;
use zeroize::Zeroizing;

/// An unused code is good for so long.
pub const CODE_SECONDS: u64 = 7 * 86_400;
/// After its first key, a code takes further keys of the same owner for so long.
pub const ENROLMENT_SECONDS: u64 = 600;

/// Whether a buyer may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuyerState {
    Active,
    Suspended,
}

impl BuyerState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|state| state.name() == name)
    }
}

/// Who may be given devices.
#[derive(Clone, Debug)]
pub struct Buyer {
    pub id: String,
    pub name: String,
    pub state: BuyerState,
    pub created: u64,
}

/// An owner key that its buyer has proven.
#[derive(Clone, Debug)]
pub struct BuyerKey {
    pub fingerprint: String,
    pub buyer_id: String,
    pub key: VerifyingKey,
    /// The code that it came with.
    pub code_hash: Vec<u8>,
    pub created: u64,
}

/// A code as it is stored.
#[derive(Clone, Debug)]
pub struct EnrolmentCode {
    pub hash: Vec<u8>,
    pub buyer_id: String,
    pub created: u64,
    pub expires: u64,
    pub opened: Option<u64>,
    pub completed: bool,
}

impl EnrolmentCode {
    fn usable(&self, now: u64) -> bool {
        let until = self.opened.map_or(self.expires, |opened| opened + ENROLMENT_SECONDS);
        !self.completed && now < until
    }
}

/// A fresh code, to be shown once.
pub struct NewCode {
    pub code: Zeroizing<String>,
    pub expires: u64,
}

/// What enrolling a key came to.
#[derive(Clone, Debug)]
pub struct Enrolled {
    pub buyer: Buyer,
    pub fingerprint: String,
    pub key_type: KeyType,
    pub keys: u64,
    pub complete: bool,
}

/// Why something cannot be done with a buyer.
#[derive(Debug, thiserror::Error)]
pub enum BuyerError {
    #[error("there is no buyer {0:?}; see `buyer list`")]
    Unknown(String),
    #[error("there is a buyer {0:?} already; for another code, run `buyer code`")]
    Exists(String),
    #[error("a buyer's name has 1 to 100 characters, none of them a control character, none at its ends a space")]
    Name,
    #[error("the enrolment code is unknown, expired or used up; ask the manufacturer for another one")]
    CodeInvalid,
    #[error("this key is enrolled for another buyer")]
    KeyElsewhere,
    #[error("the manufacturer has suspended this buyer")]
    Suspended,
    #[error("the key cannot be used: {0}")]
    Key(#[from] fdo_protocol::Error),
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// The buyers of a service.
#[derive(Clone)]
pub struct Buyers {
    db: DatabaseConnection,
    clock: Clock,
    random: Random,
}

impl Buyers {
    pub fn new(db: DatabaseConnection, clock: Clock, random: Random) -> Self {
        Self { db, clock, random }
    }

    /// A new buyer and its first code.
    pub async fn add(&self, actor: &str, name: &str) -> Result<(Buyer, NewCode), BuyerError> {
        let length = name.chars().count();
        if length == 0 || length > 100 || name.trim() != name || name.chars().any(char::is_control) {
            return Err(BuyerError::Name);
        }
        let now = self.clock.now();
        let mut id = [0_u8; 16];
        self.random.rng().fill_bytes(&mut id);
        let id = uuid::Builder::from_random_bytes(id).into_uuid().to_string();
        let buyer = Buyer { id, name: name.to_owned(), state: BuyerState::Active, created: now };
        let transaction = database::begin(&self.db).await?;
        match store::insert(&transaction, &buyer).await {
            Err(error) if database::is_unique_violation(&error) => {
                return Err(BuyerError::Exists(name.to_owned()));
            }
            other => other?,
        }
        let code = self.make_code(&transaction, actor, &buyer, "buyer.add").await?;
        transaction.commit().await?;
        Ok((buyer, code))
    }

    /// Gives a buyer the keys that its partner entry names: an operator vouches for them instead of a code. A key that
    /// it has changes nothing.
    pub async fn add_keys(&self, actor: &str, name: &str, keys: &[VerifyingKey]) -> Result<Buyer, BuyerError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let buyer = get(&transaction, name).await?;
        for key in keys {
            let fingerprint = crate::keys::fingerprint(key)?;
            match store::find_key(&transaction, &fingerprint).await? {
                Some(known) if known.buyer_id != buyer.id => return Err(BuyerError::KeyElsewhere),
                Some(_) => continue,
                None => {}
            }
            let detail = format!("{} key of {}", key.key_type(), buyer.name);
            let (buyer_id, code_hash) = (buyer.id.clone(), Vec::new());
            let row = BuyerKey { fingerprint, buyer_id, key: key.clone(), code_hash, created: now };
            store::insert_key(&transaction, &row).await?;
            let subject = &row.fingerprint;
            let event = Event { actor, action: "key.enrol", subject, outcome: Outcome::Success, detail: &detail };
            audit::record(&transaction, now, event).await?;
        }
        transaction.commit().await?;
        Ok(buyer)
    }

    /// Another code for a buyer, such as for new keys.
    pub async fn new_code(&self, actor: &str, name: &str) -> Result<(Buyer, NewCode), BuyerError> {
        let transaction = database::begin(&self.db).await?;
        let buyer = get(&transaction, name).await?;
        let code = self.make_code(&transaction, actor, &buyer, "buyer.code").await?;
        transaction.commit().await?;
        Ok((buyer, code))
    }

    async fn make_code(
        &self,
        transaction: &DatabaseTransaction,
        actor: &str,
        buyer: &Buyer,
        action: &str,
    ) -> Result<NewCode, BuyerError> {
        let now = self.clock.now();
        let code = code::fresh(&mut self.random.rng());
        let hash = code::hash(&code).ok_or(BuyerError::CodeInvalid)?.to_vec();
        let expires = now + CODE_SECONDS;
        let (buyer_id, created) = (buyer.id.clone(), now);
        let row = EnrolmentCode { hash, buyer_id, created, expires, opened: None, completed: false };
        store::insert_code(transaction, &row).await?;
        let event = Event { actor, action, subject: &buyer.name, outcome: Outcome::Success, detail: "" };
        audit::record(transaction, now, event).await?;
        Ok(NewCode { code, expires })
    }

    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<Buyer>, DbErr> {
        store::list(&self.db, after, limit).await
    }

    /// By name or id, with its keys.
    pub async fn get(&self, name: &str) -> Result<(Buyer, Vec<BuyerKey>), BuyerError> {
        let buyer = get(&self.db, name).await?;
        let keys = store::keys_of(&self.db, &buyer.id).await?;
        Ok((buyer, keys))
    }

    /// Suspends a buyer (nothing is claimed, downloaded or proven any more) or lets it back in.
    pub async fn set_state(&self, actor: &str, name: &str, state: BuyerState) -> Result<Buyer, BuyerError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let mut buyer = get(&transaction, name).await?;
        buyer.state = state;
        store::set_state(&transaction, &buyer.id, state).await?;
        let action = if state == BuyerState::Active { "buyer.activate" } else { "buyer.suspend" };
        let event = Event { actor, action, subject: &buyer.name, outcome: Outcome::Success, detail: "" };
        audit::record(&transaction, now, event).await?;
        transaction.commit().await?;
        Ok(buyer)
    }
}

/// By name or id.
pub async fn get(conn: &impl ConnectionTrait, name: &str) -> Result<Buyer, BuyerError> {
    store::find(conn, name).await?.ok_or_else(|| BuyerError::Unknown(name.to_owned()))
}

/// Binds a proven key to the buyer of a code. The same key with the same code again changes nothing.
pub async fn enrol(
    transaction: &DatabaseTransaction,
    key: &VerifyingKey,
    code: &str,
    complete: bool,
    now: u64,
) -> Result<Enrolled, BuyerError> {
    let hash = code::hash(code).ok_or(BuyerError::CodeInvalid)?;
    let code = store::find_code_locked(transaction, &hash).await?.ok_or(BuyerError::CodeInvalid)?;
    let fingerprint = crate::keys::fingerprint(key)?;
    let known = store::find_key(transaction, &fingerprint).await?;
    let repeated = known.as_ref().is_some_and(|known| known.code_hash == code.hash);
    if !repeated && !code.usable(now) {
        return Err(BuyerError::CodeInvalid);
    }
    let buyer = get(transaction, &code.buyer_id).await?;
    if buyer.state == BuyerState::Suspended {
        return Err(BuyerError::Suspended);
    }
    match &known {
        Some(known) if known.buyer_id != buyer.id => return Err(BuyerError::KeyElsewhere),
        Some(_) => {}
        None => {
            let (fingerprint, buyer_id, code_hash) = (fingerprint.clone(), buyer.id.clone(), code.hash.clone());
            let row = BuyerKey { fingerprint, buyer_id, key: key.clone(), code_hash, created: now };
            store::insert_key(transaction, &row).await?;
            let detail = format!("{} key of {}", key.key_type(), buyer.name);
            let subject = &row.fingerprint;
            let event =
                Event { actor: "buyer", action: "key.enrol", subject, outcome: Outcome::Success, detail: &detail };
            audit::record(transaction, now, event).await?;
        }
    }
    let (opened, completed) = (code.opened.unwrap_or(now), code.completed || complete);
    store::use_code(transaction, &code.hash, opened, completed).await?;
    let keys = store::keys_of(transaction, &buyer.id).await?.len() as u64;
    Ok(Enrolled { fingerprint, key_type: key.key_type(), keys, complete: completed, buyer })
}

#[cfg(test)]
mod tests;
