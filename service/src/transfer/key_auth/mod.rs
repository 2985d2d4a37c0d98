//! KeyAuth's server (section 5): a proof of an owner key becomes a short-lived token.

mod store;

use std::net::IpAddr;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::cbor;
use fdo_protocol::crypto::{OwnerKey, VerifyingKey};
use fdo_protocol::key_auth::{AadPolicy, Challenge, KeyAuthResult, PendingChallenge, ProvenCaller, session_of};
use rand_core::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::database::{ConnectionTrait, DatabaseConnection, DbErr};
use crate::endpoint::Limits;
use crate::host::clock::Clock;
use crate::host::random::Random;
use store::{Pending, Token};

/// A token is good for so long.
pub const TOKEN_SECONDS: u64 = 600;
/// Between hello and prove.
const SESSION_SECONDS: u64 = 60;
/// Hellos that wait for their prove: of all, of one address, of one key. Beyond it, callers must come back later.
const MAX_SESSIONS: u64 = 1000;
const MAX_OF_SOURCE: u64 = 10;
const MAX_OF_KEY: u64 = 3;

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum KeyAuthError {
    #[error("prove an owner key with KeyAuth first, or again: the token is missing, wrong or expired")]
    Unauthenticated,
    #[error("the proof does not hold: {0}")]
    Proof(fdo_protocol::Error),
    #[error("the request does not hold: {0}")]
    BadRequest(String),
    #[error("too many requests; wait a minute")]
    TooMany,
    #[error("signing failed: {0}")]
    Signing(fdo_protocol::Error),
    #[error("the database failed")]
    Database(#[from] DbErr),
}

impl From<KeyAuthError> for Refusal {
    fn from(error: KeyAuthError) -> Self {
        use actix_web::http::StatusCode;
        let (status, code) = match &error {
            KeyAuthError::Unauthenticated | KeyAuthError::Proof(_) => {
                (StatusCode::UNAUTHORIZED, "unauthenticated")
            }
            KeyAuthError::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            KeyAuthError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            KeyAuthError::Signing(_) | KeyAuthError::Database(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
            }
        };
        Self::of(status, code, &error)
    }
}

/// Who holds a token.
#[derive(Clone, Debug)]
pub struct Bearer {
    token_hash: Vec<u8>,
    /// The key that was proven.
    pub key: VerifyingKey,
    pub fingerprint: String,
    /// Whom the service knows by this key, if anybody.
    pub party: Option<String>,
}

/// A server of KeyAuth.
pub struct KeyAuth {
    db: DatabaseConnection,
    clock: Clock,
    random: Random,
    limits: Arc<Limits>,
    policy: AadPolicy,
}

impl KeyAuth {
    pub fn new(
        db: DatabaseConnection,
        clock: Clock,
        random: Random,
        limits: Arc<Limits>,
        policy: AadPolicy,
    ) -> Self {
        Self { db, clock, random, limits, policy }
    }

    /// Challenges whoever says hello, known or not, so that nobody learns which keys are known.
    pub async fn hello(
        &self,
        body: &[u8],
        source: IpAddr,
        identity: &dyn OwnerKey,
    ) -> Result<Vec<u8>, KeyAuthError> {
        let now = self.clock.now();
        self.limits.check_source(source, now).map_err(|_| KeyAuthError::TooMany)?;
        let source = network(source);
        // Before the signature, which costs the most here.
        if store::pending_of_source(&self.db, &source, now).await? >= MAX_OF_SOURCE
            || store::pending(&self.db, now).await? >= MAX_SESSIONS
        {
            return Err(KeyAuthError::TooMany);
        }
        let (session, (challenge, pending)) = {
            let mut session = [0_u8; 16];
            let mut rng = self.random.rng();
            rng.fill_bytes(&mut session);
            (session, Challenge::answer(body, identity, &session, self.policy, &mut rng).map_err(of_peer)?)
        };
        let fingerprint = hex::encode(pending.caller_key().fingerprint().map_err(of_peer)?);
        if store::pending_of_key(&self.db, &fingerprint, now).await? >= MAX_OF_KEY {
            return Err(KeyAuthError::TooMany);
        }
        let expires = now + SESSION_SECONDS;
        let row = Pending { id: session.to_vec(), state: cbor::encode(&pending), source, fingerprint, expires };
        store::insert_pending(&self.db, row).await?;
        Ok(challenge)
    }

    /// Checks the proof; [`KeyAuth::issue`] follows once the service knows whose key it is. A session is good for one
    /// try.
    pub async fn prove(&self, body: &[u8], source: IpAddr) -> Result<ProvenCaller, KeyAuthError> {
        let now = self.clock.now();
        self.limits.check_source(source, now).map_err(|_| KeyAuthError::TooMany)?;
        let session = session_of(body).map_err(of_peer)?;
        let state = store::take_pending(&self.db, &session, now).await?.ok_or(KeyAuthError::Unauthenticated)?;
        let pending: PendingChallenge = cbor::decode(&state).map_err(KeyAuthError::Signing)?;
        pending.verify(body, self.policy).map_err(of_peer)
    }

    /// The result of a proof: a token, bound to the key and to whom the service knows by it.
    pub async fn issue(&self, proven: ProvenCaller, party: Option<String>) -> Result<Vec<u8>, KeyAuthError> {
        let fingerprint = hex::encode(proven.fingerprint);
        tracing::info!(key = fingerprint, known = party.is_some(), aad = ?proven.aad, "owner key proven");
        let mut secret = Zeroizing::new([0_u8; 32]);
        self.random.rng().fill_bytes(&mut *secret);
        let token = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
        let expires = self.clock.now() + TOKEN_SECONDS;
        let row = Token { hash: hash(&token), fingerprint, key: proven.key, party, expires };
        store::insert_token(&self.db, &row).await?;
        Ok(cbor::encode(&KeyAuthResult { token, expires, fingerprint: proven.fingerprint, voucher_count: 0 }))
    }

    /// Who holds this token.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Bearer, KeyAuthError> {
        let token = token.filter(|token| token.len() <= 64).ok_or(KeyAuthError::Unauthenticated)?;
        // Looked up by hash: the time that takes tells nothing about a valid token.
        let found = store::find_token(&self.db, &hash(token), self.clock.now()).await?;
        let Token { hash, fingerprint, key, party, .. } = found.ok_or(KeyAuthError::Unauthenticated)?;
        Ok(Bearer { token_hash: hash, key, fingerprint, party })
    }

    /// Forgets tokens and sessions that have ended.
    pub async fn sweep(&self) -> Result<(), DbErr> {
        store::sweep(&self.db, self.clock.now()).await
    }
}

impl Bearer {
    /// From now on the token stands for this party too.
    pub async fn bind(&self, conn: &impl ConnectionTrait, party: &str) -> Result<(), DbErr> {
        store::bind_token(conn, &self.token_hash, party).await
    }
}

/// One subscriber holds a whole IPv6 /64.
fn network(source: IpAddr) -> String {
    match source {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => hex::encode(&address.octets()[..8]),
    }
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

fn of_peer(error: fdo_protocol::Error) -> KeyAuthError {
    match error {
        error @ fdo_protocol::Error::Rejected(_) => KeyAuthError::Proof(error),
        error @ fdo_protocol::Error::Internal(_) => KeyAuthError::Signing(error),
        error => KeyAuthError::BadRequest(error.to_string()),
    }
}
