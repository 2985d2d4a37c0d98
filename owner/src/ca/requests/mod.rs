//! Requests that wait: for an operator's approval, or for an outside CA. Who asks again with the same request is told
//! what became of it.
//!
//! Requested -> Approved -> Forwarded -> Issued, and from each but the last Refused. A request that was made in a TO2
//! goes nowhere before that has ended.

pub(crate) mod store;

use std::fmt;

use fdo_pki::{Certificate, VerifiedCsr};
use fdo_protocol::Guid;
use fdo_service::database::{self, DatabaseConnection};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::issuance::{Granted, Origin, Requester};
use super::profiles::{Approval, Compiled};
use super::{Ca, Error, Role, State};

/// How long a device waits before it asks again, in seconds.
pub const RETRY_AFTER: u64 = 60;
/// After so long a request of a TO2 that never ended is given up.
const SESSION_LIFE: u64 = 86_400;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// An operator has to approve it.
    Requested,
    /// It may be signed; an outside CA does not have it yet.
    Approved,
    /// The outside CA has it.
    Forwarded,
    Issued,
    Refused,
}

impl RequestState {
    const ALL: [Self; 5] = [Self::Requested, Self::Approved, Self::Forwarded, Self::Issued, Self::Refused];
    const OPEN: [Self; 3] = [Self::Requested, Self::Approved, Self::Forwarded];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Forwarded => "forwarded",
            Self::Issued => "issued",
            Self::Refused => "refused",
        }
    }

    /// Whether something may still become of it.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stored request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentRequest {
    pub id: String,
    pub device_id: String,
    pub guid: Guid,
    pub device_serial: Option<String>,
    pub profile: String,
    /// The CA that is to sign; our own active one where it is empty.
    pub authority: String,
    pub state: RequestState,
    /// PKCS#10 in DER.
    pub csr: Vec<u8>,
    pub csr_sha256: String,
    pub key_sha256: String,
    /// "to2" or "est".
    pub origin: String,
    /// The TO2 that it was made in, while that has not ended.
    pub session: Option<String>,
    pub pending_until: Option<u64>,
    /// The serial number of the certificate that it is to follow.
    pub replaces: Option<String>,
    /// The serial number of what was issued.
    pub certificate: Option<String>,
    /// Why it was refused, or why the outside CA does not have it yet.
    pub reason: Option<String>,
    pub attempts: u64,
    pub next_attempt: Option<u64>,
    pub created: u64,
    pub updated: u64,
}

impl Compiled {
    /// Whether a request has to wait before it is answered with a certificate.
    pub(super) fn waits(&self) -> bool {
        self.profile.approval == Approval::Manual || self.profile.authority.is_some()
    }
}

impl Ca {
    /// Whether a profile's requests are answered at once; a key that is made here for a device must not wait.
    pub fn answers_at_once(&self, profile: &str) -> bool {
        self.compiled(profile).is_some_and(|compiled| !compiled.waits())
    }

    /// Stores a request that has to wait, or says what became of it.
    pub(super) async fn wait(
        &self,
        db: &DatabaseConnection,
        profile: &Compiled,
        csr: &VerifiedCsr,
        requester: &Requester<'_>,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Granted, Error> {
        if !profile.pki.key_types.contains(&csr.public_key().key_type()) {
            let reason = "the profile has no keys of this type";
            return Err(Error::Unsupported(fdo_pki::Error::UnsupportedKey { reason }));
        }
        let mut id = [0; 8];
        rng.fill_bytes(&mut id);
        let (session, pending_until) = match requester.origin {
            Origin::To2 { session, .. } => (Some(session.to_owned()), Some(now + SESSION_LIFE)),
            Origin::Est { .. } => (None, None),
        };
        let first = match profile.profile.approval {
            Approval::Manual => RequestState::Requested,
            Approval::Automatic => RequestState::Approved,
        };
        let new = EnrollmentRequest {
            id: hex::encode(id),
            device_id: requester.device_id.to_owned(),
            guid: requester.guid,
            device_serial: requester.serial.map(str::to_owned),
            profile: profile.profile.name.clone(),
            authority: profile.profile.authority.clone().unwrap_or_default(),
            state: first,
            csr: csr.der().to_vec(),
            csr_sha256: hex::encode(csr.sha256()),
            key_sha256: hex::encode(csr.spki_sha256()),
            origin: requester.origin.name().to_owned(),
            session,
            pending_until,
            replaces: requester.origin.replaces().map(str::to_owned),
            certificate: None,
            reason: None,
            attempts: 0,
            next_attempt: Some(now),
            created: now,
            updated: now,
        };
        let transaction = database::begin(db).await?;
        let answer = match store::find_same(&transaction, &new.device_id, &new.csr_sha256).await? {
            Some(earlier) => answer_again(&transaction, profile, earlier, &new).await?,
            None => {
                check_key(&transaction, profile, &new).await?;
                store::withdraw_earlier(&transaction, &new.device_id, now).await?;
                store::insert(&transaction, &new).await?;
                pending(&new)
            }
        };
        transaction.commit().await?;
        Ok(answer)
    }
}

fn pending(request: &EnrollmentRequest) -> Granted {
    Granted::Pending { request: request.id.clone(), retry_after: RETRY_AFTER }
}

async fn answer_again(
    conn: &impl database::ConnectionTrait,
    profile: &Compiled,
    earlier: EnrollmentRequest,
    new: &EnrollmentRequest,
) -> Result<Granted, Error> {
    match (earlier.state, &earlier.certificate) {
        (RequestState::Issued, Some(serial)) => {
            let found = super::find(conn, serial).await?.filter(|found| found.state == State::Issued);
            let fresh = found.filter(|found| new.created < profile.renewable(found.not_before, found.not_after));
            if let Some(pem) = fresh.and_then(|found| found.pem) {
                let der = fdo_pki::pem::decode_certificates(&pem).map_err(Error::Authority)?;
                let der = der.first().ok_or(Error::Withdrawn)?;
                let certificate = Certificate::parse(der).map_err(Error::Authority)?;
                return Ok(Granted::Issued(Box::new(certificate)));
            }
            // What it was answered with no longer counts: it is a request for the next certificate with the same key.
            check_key(conn, profile, new).await?;
            let again = EnrollmentRequest { id: earlier.id, ..new.clone() };
            store::begin_again(conn, &again).await?;
            Ok(pending(&again))
        }
        (RequestState::Refused, _) => {
            Err(Error::Refused(earlier.reason.unwrap_or_else(|| "an operator refused it".to_owned())))
        }
        _ => Ok(pending(&earlier)),
    }
}

/// A key that was seen before is refused, save that a device may keep its own where the profile says so.
async fn check_key(
    conn: &impl database::ConnectionTrait,
    profile: &Compiled,
    new: &EnrollmentRequest,
) -> Result<(), Error> {
    if store::is_asked_by_another(conn, &new.key_sha256, &new.device_id).await? {
        return Err(Error::KeySeen);
    }
    let rows = super::certificates::store::of_key(conn, &new.key_sha256).await?;
    let keeps = |replaced: &String| {
        profile.profile.reuse_key
            && rows.iter().all(|row| row.device_id == new.device_id)
            && rows.iter().any(|row| row.serial == *replaced)
    };
    if rows.is_empty() || new.replaces.as_ref().is_some_and(keeps) { Ok(()) } else { Err(Error::KeySeen) }
}

/// Whether this CA's certificates are signed elsewhere.
pub(crate) fn is_external(ca: &Ca, authority: &str) -> bool {
    ca.authority(authority).is_some_and(|authority| authority.role == Role::External)
}
