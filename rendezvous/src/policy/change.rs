//! Changes of the policy: each is one transaction with its entry in the audit trail.

use std::sync::Arc;

use fdo_pki::Certificate;
use fdo_service::database::{self, Change, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

use super::key::check_note;
use super::{DeviceCa, List, ListedKey, Policies, PolicyChange, PolicySettings, store};
use crate::registrations::{Party, Registrations};

/// Keys on both lists together, and device CAs: all are kept in memory.
const MAX_LISTED: u64 = 100_000;
const MAX_DEVICE_CAS: u64 = 1000;

/// Why the policy cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("a fingerprint is 64 hexadecimal digits; give that, or a PUBLIC KEY or CERTIFICATE in PEM")]
    Fingerprint,
    #[error("this is not a public key or certificate of a type that owners have ({0})")]
    Key(String),
    #[error("this is not a CA certificate: {0}")]
    Certificate(String),
    #[error("a note has at most 200 characters and no line breaks")]
    Note,
    #[error("min_wait_seconds must be at most max_wait_seconds, and that more than 0, or nobody could register")]
    Wait,
    #[error("{0} is not on the list")]
    NotListed(String),
    #[error("the list is full with {0} entries; remove some")]
    Full(u64),
    #[error("the policy's database failed")]
    Database(#[from] DbErr),
}

impl Policies {
    /// Sets what the change names.
    pub async fn set(&self, change: PolicyChange, actor: &str, now: u64) -> Result<PolicySettings, PolicyError> {
        let detail = serde_json::to_string(&change).unwrap_or_default();
        let transaction = database::begin(&self.db).await?;
        // First, so that two changes come one after the other.
        store::advance(&transaction, now).await?;
        let (earlier, _) = store::settings(&transaction).await?;
        let whole = change.on(&earlier);
        let settings = whole.applied_to(&self.configured);
        if !settings.is_consistent() {
            return Err(PolicyError::Wait);
        }
        store::set(&transaction, &whole).await?;
        record(&transaction, now, actor, "policy.set", "policy", &detail).await?;
        transaction.commit().await?;
        Ok(settings)
    }

    /// Goes back to the configuration's settings; the lists stay.
    pub async fn reset(&self, actor: &str, now: u64) -> Result<(), PolicyError> {
        let transaction = database::begin(&self.db).await?;
        store::advance(&transaction, now).await?;
        store::set(&transaction, &PolicyChange::default()).await?;
        record(&transaction, now, actor, "policy.reset", "policy", "").await?;
        Ok(transaction.commit().await?)
    }

    /// A page of a list.
    pub async fn list(
        &self,
        list: List,
        after: Option<(Party, [u8; 32])>,
        limit: u64,
    ) -> Result<Vec<ListedKey>, DbErr> {
        store::list_keys(&self.db, list, after, limit).await
    }

    /// Puts a key on a list; one that is there takes the new note. A denied key's registrations end with it, unless
    /// `keep` says otherwise; tells how many were live.
    pub async fn add(
        self: &Arc<Self>,
        registrations: &Arc<Registrations>,
        key: ListedKey,
        keep: bool,
        actor: &str,
    ) -> Result<u64, PolicyError> {
        check_note(&key.note)?;
        let (this, all, actor) = (self.clone(), registrations.clone(), actor.to_owned());
        let ends = key.list == List::Deny && !keep;
        let added = async move { this.insert(&all, &key, ends, &actor).await };
        if ends { registrations.change_many(added).await } else { added.await }
    }

    async fn insert(
        &self,
        registrations: &Registrations,
        key: &ListedKey,
        ends: bool,
        actor: &str,
    ) -> Result<u64, PolicyError> {
        let now = key.created;
        let transaction = database::begin(&self.db).await?;
        store::advance(&transaction, now).await?;
        if store::count_keys(&transaction).await? >= MAX_LISTED {
            return Err(PolicyError::Full(MAX_LISTED));
        }
        store::insert_key(&transaction, key).await?;
        let ended = match ends {
            true => registrations.delete_of(&transaction, key.party, &key.fingerprint, now).await?,
            false => 0,
        };
        let subject = hex::encode(key.fingerprint);
        let detail = format!("{} {}; {ended} registrations ended", key.party.name(), key.note);
        let action = format!("policy.{}.add", key.list.name());
        record(&transaction, now, actor, &action, &subject, &detail).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Takes a key off a list.
    pub async fn remove(
        &self,
        list: List,
        party: Party,
        fingerprint: &[u8; 32],
        actor: &str,
        now: u64,
    ) -> Result<(), PolicyError> {
        let subject = hex::encode(fingerprint);
        let transaction = database::begin(&self.db).await?;
        store::advance(&transaction, now).await?;
        if !store::delete_key(&transaction, list, party, fingerprint).await? {
            return Err(PolicyError::NotListed(subject));
        }
        let action = format!("policy.{}.remove", list.name());
        record(&transaction, now, actor, &action, &subject, party.name()).await?;
        Ok(transaction.commit().await?)
    }

    /// The listed device CAs, the oldest first.
    pub async fn device_cas(&self) -> Result<Vec<DeviceCa>, DbErr> {
        store::device_cas(&self.db).await
    }

    /// Lists a device CA; tells whether it is new.
    pub async fn add_device_ca(&self, der: &[u8], note: &str, actor: &str, now: u64) -> Result<bool, PolicyError> {
        check_note(note)?;
        let certificate = Certificate::parse(der).map_err(|error| PolicyError::Certificate(error.to_string()))?;
        if !certificate.is_ca() {
            return Err(PolicyError::Certificate("it says that it is none".to_owned()));
        }
        let subject = hex::encode(certificate.fingerprint());
        let transaction = database::begin(&self.db).await?;
        store::advance(&transaction, now).await?;
        if store::find_device_ca(&transaction, &certificate.fingerprint()).await?.is_some() {
            return Ok(false);
        }
        if store::count_device_cas(&transaction).await? >= MAX_DEVICE_CAS {
            return Err(PolicyError::Full(MAX_DEVICE_CAS));
        }
        let detail = certificate.subject();
        let authority = DeviceCa { certificate, note: note.to_owned(), created: now };
        store::insert_device_ca(&transaction, &authority).await?;
        record(&transaction, now, actor, "policy.device-ca.add", &subject, &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a device CA off the list.
    pub async fn remove_device_ca(
        &self,
        fingerprint: &[u8; 32],
        actor: &str,
        now: u64,
    ) -> Result<(), PolicyError> {
        let subject = hex::encode(fingerprint);
        let transaction = database::begin(&self.db).await?;
        store::advance(&transaction, now).await?;
        if !store::delete_device_ca(&transaction, fingerprint).await? {
            return Err(PolicyError::NotListed(subject));
        }
        record(&transaction, now, actor, "policy.device-ca.remove", &subject, "").await?;
        Ok(transaction.commit().await?)
    }
}

async fn record(
    conn: &impl Change,
    now: u64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), DbErr> {
    audit::record(conn, now, Event { actor, action, subject, outcome: Outcome::Success, detail }).await
}
