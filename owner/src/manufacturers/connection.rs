//! What only a manufacturer of ours understands beyond voucher transfer (section 9.6): enrolment, trust, claims.

use fdo_service::outbound::Guard;
use fdo_service::transfer::PULL_ROOT;
use fdo_service::transfer::client::{CallError, Connection, ServerKey, Session};

use super::wire::{ClaimAnswer, ClaimAnswers, ClaimItem, ClaimRequest, Enrolled, Enrolment, TrustAnswer};

/// The pull root below what `buyer add` prints.
pub fn pull_root(url: &str) -> String {
    let base = url.trim_end_matches('/');
    if base.ends_with(PULL_ROOT) { base.to_owned() } else { format!("{base}{PULL_ROOT}") }
}

/// Resolves and guards the address; nothing is sent yet.
pub async fn open(guard: &Guard, url: &str, pin: [u8; 32]) -> Result<Connection, CallError> {
    Connection::open(guard, &pull_root(url), ServerKey::Pinned(pin)).await
}

/// Enrols the proven key with a one-time code; `complete` with the last key.
pub async fn enrol(session: &Session<'_>, code: &str, complete: bool) -> Result<Enrolled, CallError> {
    session.post("/enrolment", &Enrolment { code, complete }).await
}

/// The maker's keys and device CAs.
pub async fn trust(session: &Session<'_>) -> Result<TrustAnswer, CallError> {
    session.get("/trust").await
}

/// Asks for serials; the answers come in their order.
pub async fn claim(session: &Session<'_>, serials: &[String]) -> Result<Vec<ClaimAnswer>, CallError> {
    let claims = serials.iter().map(|serial| ClaimItem { serial }).collect();
    let answer: ClaimAnswers = session.post("/claims", &ClaimRequest { claims }).await?;
    if answer.results.len() != serials.len() {
        return Err(CallError::Answer("it answers another number of serials than it was asked".to_owned()));
    }
    Ok(answer.results)
}
