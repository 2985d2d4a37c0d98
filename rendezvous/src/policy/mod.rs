//! Which owners may register, for how long, and on which terms (FDO 1.1, TO0). It is kept in the database, so that
//! operators change it while the service runs and every replica follows; the configuration gives its initial value.

mod change;
mod key;
pub mod routes;
mod settings;
mod store;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use fdo_pki::TrustedCas;
use fdo_service::database::{DatabaseConnection, DbErr};

use crate::registrations::{Party, Terms};

pub use change::PolicyError;
pub use key::{DeviceCa, List, ListedKey, fingerprint_of};
pub use settings::{Accept, DeviceCaRule, PolicyChange, PolicySettings};

/// The policy at one time.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub settings: PolicySettings,
    /// Counts changes; 0 before the first.
    pub version: u64,
    pub changed: u64,
    /// Whether an operator has changed the settings; they are the configuration's otherwise.
    pub set: bool,
    allowed: HashSet<(Party, [u8; 32])>,
    denied: HashSet<(Party, [u8; 32])>,
    authorities: TrustedCas,
    authority_count: usize,
}

/// Why an owner is not welcome.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the {} key {} is on the deny-list", .0.name(), hex::encode(.1))]
    Denied(Party, [u8; 32]),
    #[error("neither the owner's key {} nor the manufacturer's is on the allow-list", hex::encode(.0))]
    NotAllowed([u8; 32]),
    #[error("{asked} seconds are asked for, {least} are the least that is granted here")]
    TooShort { asked: u32, least: u32 },
}

impl Policy {
    /// For how many seconds a registration that holds is granted to this owner, for a device of this manufacturer.
    pub fn grant(&self, owner: [u8; 32], manufacturer: [u8; 32], asked: u32) -> Result<u32, Refusal> {
        let parties = [(Party::Owner, owner), (Party::Manufacturer, manufacturer)];
        if self.settings.accept != Accept::Open
            && let Some((party, key)) = parties.into_iter().find(|party| self.denied.contains(party))
        {
            return Err(Refusal::Denied(party, key));
        }
        if self.settings.accept == Accept::AllowList && !parties.iter().any(|party| self.allowed.contains(party)) {
            return Err(Refusal::NotAllowed(owner));
        }
        let least = self.settings.min_wait_seconds;
        if asked < least {
            return Err(Refusal::TooShort { asked, least });
        }
        Ok(asked.min(self.settings.max_wait_seconds))
    }

    /// The device CAs that a device's certificate must chain to, where the policy asks for it.
    pub fn required_authorities(&self) -> Option<&TrustedCas> {
        (self.settings.device_ca == DeviceCaRule::Required).then_some(&self.authorities)
    }

    /// What a registration is held to when it meets others.
    pub fn terms(&self) -> Terms {
        Terms { replace: self.settings.replace, owner_quota: self.settings.owner_quota }
    }

    /// How many keys a list has.
    pub fn listed(&self, list: List) -> usize {
        match list {
            List::Allow => self.allowed.len(),
            List::Deny => self.denied.len(),
        }
    }

    /// How many device CAs are listed.
    pub fn authority_count(&self) -> usize {
        self.authority_count
    }
}

/// The policy of the service. What is read is kept until its version in the database is another.
pub struct Policies {
    db: DatabaseConnection,
    configured: PolicySettings,
    kept: Mutex<Option<Arc<Policy>>>,
}

impl Policies {
    pub fn new(db: DatabaseConnection, configured: &PolicySettings) -> Self {
        Self { db, configured: configured.clone(), kept: Mutex::default() }
    }

    /// The policy as the database has it now.
    pub async fn current(&self) -> Result<Arc<Policy>, DbErr> {
        let version = store::version(&self.db).await?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| kept.version == version) {
            return Ok(kept);
        }
        // What a change adds while this reads is taken up too, and read again under its own version.
        let read = Arc::new(self.read(version).await?);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    async fn read(&self, version: u64) -> Result<Policy, DbErr> {
        let (change, changed) = store::settings(&self.db).await?;
        let mut policy = Policy {
            settings: change.applied_to(&self.configured),
            version,
            changed,
            set: change != PolicyChange::default(),
            ..Policy::default()
        };
        for key in store::all_keys(&self.db).await? {
            let place = match key.list {
                List::Allow => &mut policy.allowed,
                List::Deny => &mut policy.denied,
            };
            place.insert((key.party, key.fingerprint));
        }
        for authority in store::device_cas(&self.db).await? {
            policy.authorities.pin_certificate(authority.certificate);
            policy.authority_count += 1;
        }
        Ok(policy)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OWNER: [u8; 32] = [1; 32];
    const MAKER: [u8; 32] = [2; 32];

    fn policy(accept: Accept) -> Policy {
        Policy { settings: PolicySettings { accept, ..PolicySettings::default() }, ..Policy::default() }
    }

    #[test]
    fn wait_seconds_are_capped_and_have_a_floor() {
        let mut policy = policy(Accept::Open);
        assert_eq!(policy.grant(OWNER, MAKER, u32::MAX), Ok(2_592_000));
        assert_eq!(policy.grant(OWNER, MAKER, 0), Ok(0));
        policy.settings.min_wait_seconds = 60;
        assert_eq!(policy.grant(OWNER, MAKER, 59), Err(Refusal::TooShort { asked: 59, least: 60 }));
        assert_eq!(policy.grant(OWNER, MAKER, 60), Ok(60));
    }

    #[test]
    fn lists_count_where_the_policy_says_so() {
        for (party, key) in [(Party::Owner, OWNER), (Party::Manufacturer, MAKER)] {
            let granted = |accept, listed: &[List]| {
                let mut policy = policy(accept);
                for list in listed {
                    match list {
                        List::Allow => policy.allowed.insert((party, key)),
                        List::Deny => policy.denied.insert((party, key)),
                    };
                }
                policy.grant(OWNER, MAKER, 1)
            };
            assert_eq!(granted(Accept::Open, &[List::Deny]), Ok(1));
            assert_eq!(granted(Accept::DenyList, &[]), Ok(1));
            assert_eq!(granted(Accept::DenyList, &[List::Allow]), Ok(1));
            assert_eq!(granted(Accept::DenyList, &[List::Deny]), Err(Refusal::Denied(party, key)));
            assert_eq!(granted(Accept::AllowList, &[]), Err(Refusal::NotAllowed(OWNER)));
            assert_eq!(granted(Accept::AllowList, &[List::Allow]), Ok(1));
            let both = granted(Accept::AllowList, &[List::Allow, List::Deny]);
            assert_eq!(both, Err(Refusal::Denied(party, key)), "deny goes before allow");
        }
    }

    #[test]
    fn a_key_is_listed_as_what_it_was_listed_for() {
        let mut policy = policy(Accept::AllowList);
        policy.allowed.insert((Party::Manufacturer, OWNER));
        assert!(policy.grant(OWNER, MAKER, 1).is_err());
        assert!(policy.grant(MAKER, OWNER, 1).is_ok());
    }
}
