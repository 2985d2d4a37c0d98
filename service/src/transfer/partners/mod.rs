//! Partners: other organisations that vouchers are given to or taken from, by what they are known, and their keys.

pub mod routes;
mod store;

use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::PublicKey;
use fdo_protocol::crypto::VerifyingKey;
use rand_core::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::client::{CallError, Connection, ServerKey};
use super::did::{self, Did, DidError};
use crate::database::{self, DatabaseConnection, DbErr};
use crate::host::clock::Clock;
use crate::host::random::Random;
use crate::operators::audit::{self, Event, Outcome};
use crate::outbound::Guard;
use crate::sessions::SealingKey;

pub use store::{
    due_for_pull, find, find_by_did, find_by_key, find_by_token, get, keys_of, list, pull_failed, pulled,
};

const MOST_KEYS: usize = 32;
const TOKEN_PREFIX: &str = "fp_";

/// Another organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    pub id: String,
    pub name: String,
    pub did: Option<String>,
    /// SHA-256 of the TLS key that its service must show; without it, the public CAs count.
    pub tls_pin: Option<[u8; 32]>,
    /// Where it takes vouchers.
    pub push_root: Option<String>,
    /// Where it gives vouchers.
    pub pull_root: Option<String>,
    /// Its token for our pushes, sealed; without it, our key is proven.
    pub token: Option<Vec<u8>>,
    /// Nothing is taken from it or given to it.
    pub suspended: bool,
    pub created: u64,
    /// When it is asked for vouchers next, and how that went.
    pub pull_at: Option<u64>,
    pub pull_attempts: u32,
    pub pulled: Option<u64>,
    /// Vouchers made before this are here.
    pub pull_since: Option<u64>,
    pub pull_error: Option<String>,
}

/// A partner to be.
#[derive(Clone, Debug, Default)]
pub struct NewPartner {
    pub name: String,
    pub did: Option<String>,
    pub tls_pin: Option<[u8; 32]>,
    pub push_root: Option<String>,
    pub pull_root: Option<String>,
    pub keys: Vec<VerifyingKey>,
    /// A token that the partner's operator made for our pushes.
    pub token: Option<Zeroizing<String>>,
}

/// Why something cannot be done with a partner.
#[derive(Debug, thiserror::Error)]
pub enum PartnerError {
    #[error("there is no partner {0}; `partner list` shows them")]
    Unknown(String),
    #[error("there is a partner {0} already")]
    Exists(String),
    #[error("a partner's name has 1 to 100 characters, none of them a control character")]
    Name,
    #[error("the key {0} is another partner's")]
    KeyElsewhere(String),
    #[error("{0} is not an https:// URL")]
    Url(String),
    #[error("name a DID, a URL or a key: nothing else tells who this partner is")]
    Nothing,
    #[error(
        "the document of {0} names other keys than those that were taken from it before; compare them with the partner, then accept them with --accept"
    )]
    KeysChanged(String),
    #[error("the partner {0} has no {1}")]
    Lacks(String, &'static str),
    #[error("the partner {0} is suspended")]
    Suspended(String),
    #[error(transparent)]
    Did(#[from] DidError),
    #[error("the partners' database failed")]
    Database(#[from] DbErr),
}

/// The partners of a service.
#[derive(Clone)]
pub struct Partners {
    pub db: DatabaseConnection,
    pub clock: Clock,
    pub random: Random,
    pub guard: Guard,
    sealing: SealingKey,
}

/// A key's name across systems.
pub fn fingerprint(key: &VerifyingKey) -> String {
    PublicKey::x509(key).fingerprint().map(hex::encode).unwrap_or_default()
}

impl Partners {
    pub fn new(db: DatabaseConnection, clock: Clock, random: Random, guard: Guard, sealing: &SealingKey) -> Self {
        Self { db, clock, random, guard, sealing: sealing.derive("transfer partners") }
    }

    /// Adds a partner. A DID is resolved now, by an operator's will: its keys are pinned as they are found.
    pub async fn add(&self, actor: &str, mut new: NewPartner) -> Result<Partner, PartnerError> {
        if new.name.is_empty() || new.name.chars().count() > 100 || new.name.chars().any(char::is_control) {
            return Err(PartnerError::Name);
        }
        for url in [&new.push_root, &new.pull_root].into_iter().flatten() {
            let https = reqwest::Url::parse(url).is_ok_and(|parsed| parsed.scheme() == "https");
            if !https || url.len() > 1000 {
                return Err(PartnerError::Url(super::said(url, 200)));
            }
        }
        if let Some(text) = &new.did {
            let document = did::resolve(&self.guard, &text.parse::<Did>()?, new.tls_pin).await?;
            new.push_root = new.push_root.or(document.push_root);
            new.pull_root = new.pull_root.or(document.pull_root);
            new.keys.extend(document.keys);
        }
        if new.keys.is_empty() && new.push_root.is_none() && new.pull_root.is_none() {
            return Err(PartnerError::Nothing);
        }
        let now = self.clock.now();
        let mut id = [0_u8; 8];
        self.random.rng().fill_bytes(&mut id);
        let id = hex::encode(id);
        let token = new.token.as_ref().map(|token| self.seal(&id, token));
        let partner = Partner {
            name: new.name,
            did: new.did,
            tls_pin: new.tls_pin,
            push_root: new.push_root,
            pull_at: new.pull_root.is_some().then_some(now),
            pull_root: new.pull_root,
            token,
            suspended: false,
            created: now,
            pull_attempts: 0,
            pulled: None,
            pull_since: None,
            pull_error: None,
            id,
        };
        let transaction = database::begin(&self.db).await?;
        match store::insert(&transaction, &partner).await {
            Err(error) if database::is_unique_violation(&error) => return Err(PartnerError::Exists(partner.name)),
            other => other?,
        }
        keep_keys(&transaction, &partner.id, &new.keys, now).await?;
        let detail = format!("{} with {} keys", partner.did.as_deref().unwrap_or("without a DID"), new.keys.len());
        record(&transaction, now, actor, "partner.add", &partner.name, &detail).await?;
        transaction.commit().await?;
        Ok(partner)
    }

    /// Reads a partner's DID document again. Other keys than before are taken only when an operator accepts them:
    /// whoever took the partner's web server over must not get its vouchers.
    pub async fn refresh(&self, actor: &str, name: &str, accept: bool) -> Result<Partner, PartnerError> {
        let mut partner = store::get(&self.db, name).await?;
        let did = partner.did.clone().ok_or_else(|| PartnerError::Lacks(partner.name.clone(), "DID"))?;
        let document = did::resolve(&self.guard, &did.parse::<Did>()?, partner.tls_pin).await?;
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let known = store::keys_of(&transaction, &partner.id).await?;
        let fresh: Vec<VerifyingKey> = document.keys.iter().filter(|key| !known.contains(key)).cloned().collect();
        let gone: Vec<&VerifyingKey> = known.iter().filter(|key| !document.keys.contains(key)).collect();
        if !accept && (!fresh.is_empty() || !gone.is_empty()) {
            return Err(PartnerError::KeysChanged(did));
        }
        for key in gone {
            store::delete_key(&transaction, &fingerprint(key)).await?;
        }
        keep_keys(&transaction, &partner.id, &fresh, now).await?;
        partner.push_root = document.push_root.or(partner.push_root);
        partner.pull_root = document.pull_root.or(partner.pull_root);
        store::set_roots(&transaction, &partner).await?;
        let detail = format!("{} keys", document.keys.len());
        record(&transaction, now, actor, "partner.refresh", &partner.name, &detail).await?;
        transaction.commit().await?;
        Ok(partner)
    }

    /// Stops everything with a partner, or lets it go on.
    pub async fn set_suspended(&self, actor: &str, name: &str, suspended: bool) -> Result<Partner, PartnerError> {
        let transaction = database::begin(&self.db).await?;
        let partner = store::get(&transaction, name).await?;
        store::set_suspended(&transaction, &partner.id, suspended).await?;
        let action = if suspended { "partner.suspend" } else { "partner.activate" };
        record(&transaction, self.clock.now(), actor, action, &partner.name, "").await?;
        transaction.commit().await?;
        Ok(Partner { suspended, ..partner })
    }

    /// Forgets a partner with its keys and tokens; what is still to be pushed to it is dropped.
    pub async fn remove(&self, actor: &str, name: &str) -> Result<(), PartnerError> {
        let transaction = database::begin(&self.db).await?;
        let partner = store::get(&transaction, name).await?;
        store::delete(&transaction, &partner.id).await?;
        record(&transaction, self.clock.now(), actor, "partner.remove", &partner.name, "").await?;
        Ok(transaction.commit().await?)
    }

    /// A token with which this partner may push to us, and nothing else; shown this once.
    pub async fn new_token(
        &self,
        actor: &str,
        name: &str,
        expires: Option<u64>,
    ) -> Result<Zeroizing<String>, PartnerError> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        self.random.rng().fill_bytes(&mut *secret);
        let token = Zeroizing::new(format!("{TOKEN_PREFIX}{}", Base64UrlUnpadded::encode_string(&*secret)));
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        let partner = store::get(&transaction, name).await?;
        store::insert_token(&transaction, &token_hash(&token), &partner.id, now, expires).await?;
        record(&transaction, now, actor, "partner.token", &partner.name, "may push").await?;
        transaction.commit().await?;
        Ok(token)
    }

    /// Takes all of a partner's tokens back.
    pub async fn revoke_tokens(&self, actor: &str, name: &str) -> Result<(), PartnerError> {
        let transaction = database::begin(&self.db).await?;
        let partner = store::get(&transaction, name).await?;
        store::delete_tokens(&transaction, &partner.id).await?;
        record(&transaction, self.clock.now(), actor, "partner.token-revoke", &partner.name, "").await?;
        Ok(transaction.commit().await?)
    }

    /// The partner that a static token was made for.
    pub async fn by_token(&self, token: &str) -> Result<Option<Partner>, DbErr> {
        if !token.starts_with(TOKEN_PREFIX) || token.len() > 100 {
            return Ok(None);
        }
        // Looked up by hash: the time that takes tells nothing about a valid token.
        store::find_by_token(&self.db, &token_hash(token), self.clock.now()).await
    }

    /// A connection to one of a partner's roots.
    pub async fn connect(&self, partner: &Partner, root: &str) -> Result<Connection, CallError> {
        let server = partner.tls_pin.map_or(ServerKey::PublicCa, ServerKey::Pinned);
        Connection::open(&self.guard, root, server).await
    }

    /// Its token for our pushes.
    pub fn token_of(&self, partner: &Partner) -> Option<Zeroizing<String>> {
        let opened = self.sealing.open(partner.id.as_bytes(), partner.token.as_ref()?).ok()?;
        std::str::from_utf8(&opened).ok().map(|text| Zeroizing::new(text.to_owned()))
    }

    fn seal(&self, id: &str, token: &str) -> Vec<u8> {
        self.sealing.seal(id.as_bytes(), token.as_bytes(), &mut self.random.rng())
    }
}

async fn keep_keys(
    transaction: &database::DatabaseTransaction,
    partner_id: &str,
    keys: &[VerifyingKey],
    now: u64,
) -> Result<(), PartnerError> {
    for key in keys.iter().take(MOST_KEYS) {
        let name = fingerprint(key);
        match store::find_by_key(transaction, &name).await? {
            Some(other) if other.id != partner_id => return Err(PartnerError::KeyElsewhere(name)),
            Some(_) => {}
            None => store::insert_key(transaction, partner_id, &name, key, now).await?,
        }
    }
    Ok(())
}

async fn record(
    transaction: &database::DatabaseTransaction,
    now: u64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), DbErr> {
    audit::record(transaction, now, Event { actor, action, subject, outcome: Outcome::Success, detail }).await
}

fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
