//! CAs and profiles as they are at one moment; a change, here or in another replica, makes another snapshot.

use std::sync::Arc;

use fdo_pki::Certificate;
use fdo_service::database::ConnectionTrait;
use fdo_service::sessions::SealingKey;

use super::authorities::store::StoredAuthority;
use super::profiles::Compiled;
use super::{Authority, LDEVID, OpenError, Profile, Role, Signer, Standing, authorities, profiles};
use crate::config::CaSettings;

/// What the CA serves with.
pub(super) struct Current {
    pub revision: i64,
    authorities: Vec<Arc<Authority>>,
    active: Signer,
    profiles: Vec<Arc<Compiled>>,
}

/// All CAs and profiles; nothing before the first start.
pub(super) async fn load(
    conn: &impl ConnectionTrait,
    sealing: &SealingKey,
    settings: &CaSettings,
) -> Result<Option<Current>, OpenError> {
    // Counted first: a change in between is then seen the next time.
    let revision = authorities::store::revision(conn).await?;
    let stored = authorities::store::all(conn).await?;
    if stored.is_empty() {
        return Ok(None);
    }
    let open = |stored: &StoredAuthority| Authority::open(stored, sealing).map(Arc::new);
    let mut all = stored.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    all.sort_by_key(|authority| (authority.role as u8, authority.standing as u8, authority.created));
    let is_active =
        |authority: &&Arc<Authority>| authority.role == Role::Issuing && authority.standing == Standing::Active;
    let active = all.iter().find(is_active).and_then(Signer::new).ok_or(OpenError::NoneActive)?;
    let profiles = load_profiles(conn, settings).await?;
    Ok(Some(Current { revision, authorities: all, active, profiles }))
}

async fn load_profiles(
    conn: &impl ConnectionTrait,
    settings: &CaSettings,
) -> Result<Vec<Arc<Compiled>>, OpenError> {
    let compile = |profile: Profile, times| {
        let pki = profile.compile(settings);
        let pki = pki.map_err(|error| OpenError::Profile(profile.name.clone(), Box::new(error)))?;
        Ok::<_, OpenError>(Arc::new(Compiled { profile, pki, times }))
    };
    let mut all = Vec::new();
    for stored in profiles::store::all(conn).await? {
        all.push(compile(stored.profile, Some((stored.created, stored.updated)))?);
    }
    if !all.iter().any(|compiled| compiled.profile.name == LDEVID) {
        all.push(compile(Profile::built_in(settings), None)?);
    }
    all.sort_by(|one, other| one.profile.name.cmp(&other.profile.name));
    Ok(all)
}

impl Current {
    pub fn active(&self) -> &Signer {
        &self.active
    }

    pub fn authorities(&self) -> &[Arc<Authority>] {
        &self.authorities
    }

    pub fn find(&self, id: &str) -> Option<&Arc<Authority>> {
        self.authorities.iter().find(|authority| authority.id == id)
    }

    pub fn signer(&self, id: &str) -> Option<Signer> {
        self.find(id).and_then(Signer::new)
    }

    pub fn profiles(&self) -> &[Arc<Compiled>] {
        &self.profiles
    }

    pub fn profile(&self, name: &str) -> Option<&Arc<Compiled>> {
        self.profiles.iter().find(|compiled| compiled.profile.name == name)
    }

    /// Every CA certificate that devices are to trust: the active CA first, then the others, then the roots.
    pub fn trusted_certificates(&self) -> Vec<&Certificate> {
        let mut found: Vec<&Certificate> = Vec::new();
        let trusted = || self.authorities.iter().filter(|authority| authority.is_trusted());
        let own = trusted().map(|authority| authority.certificate());
        for certificate in own.chain(trusted().flat_map(|authority| authority.chain())) {
            if !found.iter().any(|known| known.der() == certificate.der()) {
                found.push(certificate);
            }
        }
        found
    }

    /// The certificates above the active CA, the nearest first.
    pub fn above_active(&self) -> Vec<&Certificate> {
        if !self.active.chain().is_empty() {
            return self.active.chain().iter().collect();
        }
        let roots = self.authorities.iter().filter(|authority| authority.role == Role::Root);
        let signed =
            |root: &&Arc<Authority>| self.active.certificate().verify_signed_by(root.certificate()).is_ok();
        roots.filter(signed).map(|root| root.certificate()).collect()
    }
}
