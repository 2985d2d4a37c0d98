//! Delegated responders, one for each CA: each replica has its own, whose key never leaves its memory, with a
//! certificate for a short time. At half of it, and after a restart, there is another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fdo_pki::ocsp::{CertificateId, IssuerId, ResponderId, ResponderProfile};
use fdo_protocol::crypto::{KeyType, SigningKey};
use sha2::{Digest, Sha256};

use super::super::{Error, store};
use crate::app::App;
use crate::ca::Signer;

const DAY: u64 = 86_400;
/// Life of a responder's certificate, unless answers live longer.
const LIFE: u64 = 7 * DAY;
const BACKDATE: u64 = 5 * 60;
/// How long the record of a certificate is kept after its end.
const RECORD: u64 = 366 * DAY;

/// A key and its certificate.
pub(in crate::revocation) struct Responder {
    key: SigningKey,
    id: ResponderId,
    made: u64,
    renew: u64,
    not_after: u64,
    /// SHA-256 of the CA's certificate.
    issuer: [u8; 32],
}

impl Responder {
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    pub fn id(&self) -> &ResponderId {
        &self.id
    }

    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

/// Those of this replica.
#[derive(Default)]
pub(in crate::revocation) struct Responders {
    made: Mutex<HashMap<String, Arc<Responder>>>,
    /// One is made at a time.
    making: tokio::sync::Mutex<()>,
    issuers: Mutex<Vec<Known>>,
}

/// A CA by the hashes that requests name it by.
struct Known {
    authority: Arc<str>,
    certificate: [u8; 32],
    id: IssuerId,
}

impl Responders {
    /// The one CA of ours that issued all that is asked for.
    pub fn issuer_of(&self, app: &App, ids: &[CertificateId]) -> Result<Option<Arc<str>>, Error> {
        let find = |issuers: &[Known]| {
            let of_all = |known: &&Known| ids.iter().all(|id| known.id.issued(id));
            issuers.iter().find(of_all).map(|known| known.authority.clone())
        };
        let found = find(&self.issuers.lock().unwrap_or_else(PoisonError::into_inner));
        if found.is_some() {
            return Ok(found);
        }
        // It may be a new one.
        let signers = app.ca.signers();
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |signer: &Signer| issuers.iter().any(|known| known.certificate == digest(signer));
        if signers.iter().all(is_known) {
            return Ok(None);
        }
        let learn = |signer: &Signer| {
            let id = IssuerId::new(signer.issuer())?;
            Ok(Known { authority: signer.id().into(), certificate: digest(signer), id })
        };
        *issuers = signers.iter().map(learn).collect::<Result<_, fdo_pki::Error>>()?;
        Ok(find(&issuers))
    }

    /// The responder that speaks for a CA now; makes one where there is none that holds. None where the CA is gone.
    pub async fn of(&self, app: &App, authority: &str) -> Result<Option<Arc<Responder>>, Error> {
        let Some(signer) = app.ca.signer(authority) else { return Ok(None) };
        if let Some(responder) = self.find(&signer, app.clock.now()) {
            return Ok(Some(responder));
        }
        let _alone = self.making.lock().await;
        if let Some(responder) = self.find(&signer, app.clock.now()) {
            return Ok(Some(responder));
        }
        let responder = Arc::new(make(app, &signer).await?);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(authority.to_owned(), responder.clone());
        Ok(Some(responder))
    }

    fn find(&self, signer: &Signer, now: u64) -> Option<Arc<Responder>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |responder: &&Arc<Responder>| {
            (responder.made..responder.renew).contains(&now) && responder.issuer == digest(signer)
        };
        made.get(signer.id()).filter(holds).cloned()
    }
}

fn digest(signer: &Signer) -> [u8; 32] {
    Sha256::digest(signer.certificate().der()).into()
}

async fn make(app: &App, signer: &Signer) -> Result<Responder, Error> {
    let now = app.clock.now();
    let rng = &mut app.random.rng();
    let key = SigningKey::generate(KeyType::P256, rng).map_err(Error::Key)?;
    let profile = ResponderProfile {
        common_name: "OCSP responder".to_owned(),
        organization: app.settings.ca.organization.clone(),
        validity_seconds: LIFE.max(2 * app.settings.status.ocsp_seconds()),
        backdate_seconds: BACKDATE,
    };
    let prepared = profile.prepare(key.verifying_key(), signer.issuer(), now, rng)?;
    store::insert_responder(&app.db, signer.id(), &prepared, now).await?;
    let issued = prepared.sign(signer.key())?;
    store::set_responder(&app.db, &issued.serial().to_string(), issued.der(), now.saturating_sub(RECORD)).await?;
    tracing::info!(authority = signer.id(), serial = %issued.serial(), "made an OCSP responder");
    Ok(Responder {
        id: ResponderId::new(&issued.certificate()?)?,
        key,
        made: now,
        renew: now + issued.not_after().saturating_sub(now) / 2,
        not_after: issued.not_after(),
        issuer: digest(signer),
    })
}
