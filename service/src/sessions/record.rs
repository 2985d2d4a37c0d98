//! Stored sessions (DI, TO2) under a random token: in bounded memory, or in the database for several replicas.
//!
//! The latest request repeated byte for byte gets its stored reply again. A step is a compare-and-swap on a version,
//! so that of two requests at once one wins, wherever they arrive.

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::memory::Memory;
use super::store::Rows;
use super::{Protocol, SealingKey, SessionError};
use crate::database::DatabaseConnection;
use crate::endpoint::{ERROR, Fault};

/// 192 random bits: 32 characters.
pub(super) const TOKEN_BYTES: usize = 24;

/// What bounds the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordSettings {
    /// At most so many sessions.
    pub capacity: usize,
    /// At most so many bytes of state and replies, in memory.
    pub bytes: usize,
    /// A session without a message for so long ends.
    pub idle_seconds: u64,
    /// A session ends after so long, whatever happens in it.
    pub total_seconds: u64,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self { capacity: 10_000, bytes: 64 * 1024 * 1024, idle_seconds: 15 * 60, total_seconds: 24 * 3600 }
    }
}

impl RecordSettings {
    pub(super) fn expired(&self, created: u64, active: u64, now: u64) -> bool {
        now.saturating_sub(active) >= self.idle_seconds || now.saturating_sub(created) >= self.total_seconds
    }
}

/// What a session becomes by a step.
pub enum Next {
    /// It awaits another message in this state.
    State(Zeroizing<Vec<u8>>),
    /// It is over; only its last reply is kept.
    Finished,
}

/// The first message of a session and its reply.
pub struct Step<'a> {
    pub protocol: Protocol,
    pub next: Next,
    pub request_type: u8,
    pub request: &'a [u8],
    pub reply_type: u8,
    pub reply: &'a [u8],
    /// Whether the peer has proven who it is; others make room first.
    pub proven: bool,
}

/// What a step writes.
pub(super) struct Change<'a> {
    pub(super) state: Option<Zeroizing<Vec<u8>>>,
    pub(super) request: [u8; 32],
    pub(super) reply_type: u8,
    pub(super) reply: &'a [u8],
    pub(super) proven: bool,
    pub(super) now: u64,
}

/// A session as it is kept.
pub(super) struct Found {
    pub(super) version: i64,
    pub(super) state: Option<Arc<Zeroizing<Vec<u8>>>>,
    pub(super) request: [u8; 32],
    pub(super) reply_type: u8,
    pub(super) reply: Vec<u8>,
    pub(super) proven: bool,
}

/// All stored sessions of a service.
#[derive(Clone)]
pub struct Records(Place);

#[derive(Clone)]
enum Place {
    Memory(Arc<Memory>),
    Database(Arc<Rows>),
}

/// What a token leads to.
pub enum Loaded {
    /// The request is the latest one again: send this.
    Replay { reply_type: u8, reply: Vec<u8> },
    /// The request is a new one.
    Live(Session),
}

impl Records {
    /// For one process: nothing survives it.
    pub fn memory(settings: RecordSettings) -> Self {
        Self(Place::Memory(Arc::new(Memory::new(settings))))
    }

    /// For several replicas; states are sealed.
    pub fn database(db: DatabaseConnection, key: &SealingKey, settings: RecordSettings) -> Self {
        Self(Place::Database(Arc::new(Rows::new(db, key.derive("session records"), settings))))
    }

    /// Keeps a new session and gives its token, which never changes.
    pub async fn begin(&self, step: Step<'_>, now: u64, rng: &mut dyn CryptoRng) -> Result<String, SessionError> {
        let mut token = [0_u8; TOKEN_BYTES];
        rng.fill_bytes(&mut token);
        let change = Change {
            state: state(step.next),
            request: fingerprint(step.request_type, step.request),
            reply_type: step.reply_type,
            reply: step.reply,
            proven: step.proven,
            now,
        };
        match &self.0 {
            Place::Memory(memory) => memory.insert(token, step.protocol, change)?,
            Place::Database(rows) => rows.insert(&token, step.protocol, change).await?,
        }
        Ok(Base64UrlUnpadded::encode_string(&token))
    }

    /// Finds the session of a token.
    pub async fn load(
        &self,
        protocol: Protocol,
        token: Option<&str>,
        message_type: u8,
        request: &[u8],
        now: u64,
    ) -> Result<Loaded, SessionError> {
        let token = parse(token.ok_or(SessionError::InvalidToken)?)?;
        let found = match &self.0 {
            Place::Memory(memory) => memory.find(&token, protocol, now),
            Place::Database(rows) => rows.find(&token, protocol, now).await?,
        }
        .ok_or(SessionError::InvalidToken)?;
        let request = fingerprint(message_type, request);
        if found.request == request {
            return Ok(Loaded::Replay { reply_type: found.reply_type, reply: found.reply });
        }
        let state = found.state.ok_or(SessionError::Ended)?;
        Ok(Loaded::Live(Session {
            records: self.clone(),
            token,
            protocol,
            version: found.version,
            state,
            message_type,
            request,
            proven: found.proven,
        }))
    }

    /// Forgets a session, as after a received message 255.
    pub async fn remove(&self, protocol: Protocol, token: &str) -> Result<(), SessionError> {
        let Ok(token) = parse(token) else { return Ok(()) };
        match &self.0 {
            Place::Memory(memory) => memory.remove(&token, protocol),
            Place::Database(rows) => rows.remove(&token, protocol).await?,
        }
        Ok(())
    }

    /// Forgets what has expired; call it about every minute.
    pub async fn sweep(&self, now: u64) -> Result<u64, SessionError> {
        match &self.0 {
            Place::Memory(memory) => Ok(memory.sweep(now)),
            Place::Database(rows) => rows.sweep(now).await,
        }
    }

    /// How many sessions are kept.
    pub async fn count(&self) -> Result<u64, SessionError> {
        match &self.0 {
            Place::Memory(memory) => Ok(memory.count()),
            Place::Database(rows) => rows.count().await,
        }
    }
}

/// A session in the middle of a message. Dropping it leaves the stored session as it was.
pub struct Session {
    records: Records,
    token: [u8; TOKEN_BYTES],
    protocol: Protocol,
    version: i64,
    state: Arc<Zeroizing<Vec<u8>>>,
    message_type: u8,
    request: [u8; 32],
    proven: bool,
}

impl Session {
    /// What the last step left.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// The token that every reply of the session carries.
    pub fn token(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.token)
    }

    /// Keeps the next state and the reply. `Lost` when another request was faster.
    pub async fn advance(
        self,
        next: Next,
        reply_type: u8,
        reply: &[u8],
        proven: bool,
        now: u64,
    ) -> Result<(), SessionError> {
        let request = self.request;
        self.write(Change { state: state(next), request, reply_type, reply, proven, now }).await
    }

    /// Ends the session; the error is what a repetition of the request gets again.
    pub async fn fail(self, mut fault: Fault, correlation: u32, now: u64) -> Fault {
        let reply = fault.body(self.message_type, now, correlation);
        let (request, proven) = (self.request, self.proven);
        let written =
            self.write(Change { state: None, request, reply_type: ERROR, reply: &reply, proven, now }).await;
        if let Err(error @ SessionError::Database(_)) = written {
            tracing::error!(%error, "a failed session could not be ended");
        }
        fault
    }

    async fn write(self, change: Change<'_>) -> Result<(), SessionError> {
        match &self.records.0 {
            Place::Memory(memory) => memory.update(&self.token, self.version, change),
            Place::Database(rows) => rows.update(&self.token, self.protocol, self.version, change).await,
        }
    }
}

fn state(next: Next) -> Option<Zeroizing<Vec<u8>>> {
    match next {
        Next::State(state) => Some(state),
        Next::Finished => None,
    }
}

/// Stands for a request: a repetition is told by 32 bytes instead of the whole body.
fn fingerprint(message_type: u8, request: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([message_type]);
    hash.update(request);
    hash.finalize().into()
}

fn parse(token: &str) -> Result<[u8; TOKEN_BYTES], SessionError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    match Base64UrlUnpadded::decode(token, &mut bytes) {
        Ok(decoded) if decoded.len() == TOKEN_BYTES => Ok(bytes),
        _ => Err(SessionError::InvalidToken),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
