//! The owner as a registration authority: requests are approved by operators, forwarded to an outside CA by EST or
//! carried there by hand, and what comes back is checked before a device gets it.

mod check;
pub mod routes;
mod server;

use fdo_pki::Certificate;
use fdo_service::database::{self, DatabaseTransaction, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

use crate::app::App;
use crate::ca::authorities::external::{Connection, Est};
use crate::ca::requests::store::{self, Step};
use crate::ca::requests::{EnrollmentRequest, RequestState, is_external};
use crate::ca::{self, Granted, Origin, Requester};
use server::{Answer, CallError};

/// How many requests are forwarded in one go.
const BATCH: u64 = 20;
/// Another replica takes a request up again when this one was killed with it.
const ATTEMPT: u64 = 120;
/// The first pause after a failure, in seconds; it doubles.
const PAUSE: u64 = 30;
const LONGEST_PAUSE: u64 = 3_600;
/// After so long without an answer a request is given up; the device makes another.
const GIVEN_UP: u64 = 14 * 86_400;

/// Why something cannot be done with a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no request {0}; `fdo-owner request list` shows those there are")]
    NotFound(String),
    #[error("the request {id} is {state} already")]
    State { id: String, state: RequestState },
    #[error("the onboarding in which the request {0} was made has not ended yet")]
    Unconfirmed(String),
    #[error("the request {0} is for our own CA; approve it instead")]
    OwnCa(String),
    #[error("the upload cannot be used: {0}")]
    Upload(fdo_pki::Error),
    #[error("the certificate is not the one that was asked for: {0}")]
    Mismatch(&'static str),
    #[error("the profile {0} or its CA is gone; refuse the request")]
    ProfileGone(String),
    #[error("a reason has 1 to 500 bytes")]
    Reason,
    #[error(transparent)]
    Ca(#[from] ca::Error),
    #[error("the requests' database failed")]
    Database(#[from] DbErr),
}

/// A request by its id.
pub async fn find(app: &App, id: &str) -> Result<EnrollmentRequest, Error> {
    store::find(&app.db, id).await?.ok_or_else(|| Error::NotFound(id.to_owned()))
}

fn open(request: &EnrollmentRequest, allowed: &[RequestState]) -> Result<(), Error> {
    if !allowed.contains(&request.state) {
        return Err(Error::State { id: request.id.clone(), state: request.state });
    }
    if request.session.is_some() {
        return Err(Error::Unconfirmed(request.id.clone()));
    }
    Ok(())
}

async fn record(
    conn: &DatabaseTransaction,
    now: u64,
    (actor, action): (&str, &str),
    request: &EnrollmentRequest,
    (outcome, detail): (Outcome, &str),
) -> Result<(), DbErr> {
    audit::record(conn, now, Event { actor, action, subject: &request.guid.to_string(), outcome, detail }).await
}

/// Approves a request: our own CA signs it at once, an outside CA is sent it.
pub async fn approve(app: &App, actor: &str, id: &str) -> Result<EnrollmentRequest, Error> {
    let request = find(app, id).await?;
    open(&request, &[RequestState::Requested])?;
    let now = app.clock.now();
    let detail = format!("request {id}, profile {}", request.profile);
    let serial = if request.authority.is_empty() { Some(sign(app, &request, now).await?) } else { None };
    let transaction = database::begin(&app.db).await?;
    let (to, step) = match &serial {
        Some(serial) => (RequestState::Issued, Step { certificate: Some(serial), ..Step::default() }),
        None => (RequestState::Approved, Step { next_attempt: Some(now), ..Step::default() }),
    };
    if !store::advance(&transaction, id, to, &step, now).await? {
        return Err(Error::State { id: id.to_owned(), state: RequestState::Refused });
    }
    record(&transaction, now, (actor, "request.approve"), &request, (Outcome::Success, &detail)).await?;
    transaction.commit().await?;
    find(app, id).await
}

/// Has our own CA sign; asked again after a kill it gives the same certificate.
async fn sign(app: &App, request: &EnrollmentRequest, now: u64) -> Result<String, Error> {
    let requester = Requester {
        device_id: &request.device_id,
        serial: request.device_serial.as_deref(),
        guid: request.guid,
        origin: Origin::Est { replaces: request.replaces.as_deref() },
    };
    let rng = &mut app.random.rng();
    match app.ca.issue_approved(&app.db, &request.profile, &request.csr, &requester, now, rng).await? {
        Granted::Issued(certificate) => Ok(certificate.serial().to_owned()),
        Granted::Pending { .. } => Err(Error::ProfileGone(request.profile.clone())),
    }
}

/// Refuses a request; the device is told when it asks again.
pub async fn refuse(app: &App, actor: &str, id: &str, reason: &str) -> Result<EnrollmentRequest, Error> {
    if reason.is_empty() || reason.len() > 500 {
        return Err(Error::Reason);
    }
    let request = find(app, id).await?;
    if !request.state.is_open() {
        return Err(Error::State { id: id.to_owned(), state: request.state });
    }
    close(app, actor, &request, reason).await?;
    find(app, id).await
}

async fn close(app: &App, actor: &str, request: &EnrollmentRequest, reason: &str) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let step = Step { reason: Some(reason), ..Step::default() };
    if store::advance(&transaction, &request.id, RequestState::Refused, &step, now).await? {
        let detail = format!("request {}: {reason}", request.id);
        record(&transaction, now, (actor, "request.refuse"), request, (Outcome::Refused, &detail)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Takes the certificate that an operator brings from the outside CA. What does not fit is refused, and the request
/// stays open.
pub async fn upload(app: &App, actor: &str, id: &str, pem: &str) -> Result<EnrollmentRequest, Error> {
    let request = find(app, id).await?;
    open(&request, &[RequestState::Requested, RequestState::Approved, RequestState::Forwarded])?;
    if !is_external(&app.ca, &request.authority) {
        return Err(Error::OwnCa(id.to_owned()));
    }
    let accepted = match read(pem) {
        Ok(certificates) => accept(app, actor, &request, &certificates, "upload").await,
        Err(error) => Err(error),
    };
    if let Err(error) = accepted {
        let now = app.clock.now();
        let transaction = database::begin(&app.db).await?;
        let detail = format!("request {id}: {error}");
        record(&transaction, now, (actor, "request.upload"), &request, (Outcome::Refused, &detail)).await?;
        transaction.commit().await?;
        return Err(error);
    }
    find(app, id).await
}

fn read(pem: &str) -> Result<Vec<Certificate>, Error> {
    let all = fdo_pki::pem::decode_certificates(pem).map_err(Error::Upload)?;
    all.iter().map(|der| Certificate::parse(der)).collect::<Result<_, _>>().map_err(Error::Upload)
}

/// Checks what came for a request, and stores it as the device's certificate.
async fn accept(
    app: &App,
    actor: &str,
    request: &EnrollmentRequest,
    certificates: &[Certificate],
    origin: &'static str,
) -> Result<(), Error> {
    let now = app.clock.now();
    let gone = || Error::ProfileGone(request.profile.clone());
    let profile = app.ca.profile(&request.profile).ok_or_else(gone)?;
    let authority = app.ca.authority(&request.authority).filter(|found| found.is_trusted()).ok_or_else(gone)?;
    let certificate = check::find(certificates, request)?;
    check::check(certificate, request, &profile, authority.certificate(), now)?;
    let transaction = database::begin(&app.db).await?;
    let step = Step { certificate: Some(certificate.serial()), ..Step::default() };
    if !store::advance(&transaction, &request.id, RequestState::Issued, &step, now).await? {
        return Err(Error::State { id: request.id.clone(), state: RequestState::Refused });
    }
    ca::insert_foreign(&transaction, request, certificate, origin, now).await?;
    let detail = format!("request {}, certificate {} of {}", request.id, certificate.serial(), request.authority);
    record(&transaction, now, (actor, "certificate.receive"), request, (Outcome::Success, &detail)).await?;
    Ok(transaction.commit().await?)
}

/// Forwards what is due to the outside CAs that speak EST.
pub async fn run_due(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let all = app.ca.authorities();
    let by_est = all.iter().filter(|one| matches!(one.connection(), Some(Connection::Est(_))));
    let ids: Vec<String> = by_est.map(|one| one.id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    for request in store::due(&app.db, &ids, now, BATCH).await? {
        let authority = all.iter().find(|one| one.id == request.authority);
        let Some(Connection::Est(est)) = authority.and_then(|one| one.connection()) else { continue };
        if store::take(&app.db, &request, now + ATTEMPT, now).await? {
            forward(app, est, &request).await?;
        }
    }
    Ok(())
}

async fn forward(app: &App, est: &Est, request: &EnrollmentRequest) -> Result<(), Error> {
    let answer = server::enroll(&app.guard, est, &request.csr).await;
    let now = app.clock.now();
    match answer {
        Ok(Answer::Issued(certificates)) => {
            match accept(app, "outside CA", request, &certificates, "external").await {
                Err(error @ (Error::Database(_) | Error::Ca(_))) => Err(error),
                // It will not sign anything else for the same request.
                Err(error) => close(app, "outside CA", request, &error.to_string()).await,
                Ok(()) => Ok(()),
            }
        }
        Ok(Answer::Later(seconds)) => {
            let step = Step { next_attempt: Some(now + seconds), ..Step::default() };
            store::advance(&app.db, &request.id, RequestState::Forwarded, &step, now).await?;
            Ok(())
        }
        Err(CallError::Refused(reason)) => close(app, "outside CA", request, &reason).await,
        Err(error) if now >= request.created.saturating_add(GIVEN_UP) => {
            close(app, "outside CA", request, &format!("given up: {error}")).await
        }
        Err(error) => {
            tracing::warn!(request = request.id, authority = request.authority, %error, "an outside CA did not answer");
            let doublings = u32::try_from(request.attempts.min(16)).unwrap_or(16);
            let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
            let reason = error.to_string();
            let step = Step { reason: Some(&reason), next_attempt: Some(now + pause), certificate: None };
            store::advance(&app.db, &request.id, request.state, &step, now).await?;
            Ok(())
        }
    }
}
