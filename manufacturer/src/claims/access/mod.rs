//! KeyAuth's server (voucher transfer, section 5): a proof of an owner key becomes a short-lived token.

pub(super) mod store;

use std::net::IpAddr;

use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::cbor;
use fdo_protocol::key_auth::{Challenge, KeyAuthResult, PendingChallenge, session_of};
use rand_core::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Caller, ClaimError, Claims, TOKEN_SECONDS};
use crate::buyers::{self, BuyerError, BuyerState};
use store::{Pending, Token};

/// Between hello and prove.
const SESSION_SECONDS: u64 = 60;
/// Hellos that wait for their prove: of all, of one address, of one key. Beyond it, callers must come back later.
const MAX_SESSIONS: u64 = 1000;
const MAX_OF_SOURCE: u64 = 10;
const MAX_OF_KEY: u64 = 3;

impl Claims {
    /// Challenges whoever says hello, known or not, so that nobody learns which keys are known.
    pub(super) async fn hello(&self, body: &[u8], source: IpAddr) -> Result<Vec<u8>, ClaimError> {
        let now = self.clock.now();
        self.limits.check_source(source, now).map_err(|_| ClaimError::TooMany)?;
        let source = network(source);
        // Before the signature, which costs the most here.
        if store::pending_of_source(&self.db, &source, now).await? >= MAX_OF_SOURCE
            || store::pending(&self.db, now).await? >= MAX_SESSIONS
        {
            return Err(ClaimError::TooMany);
        }
        let mut session = [0_u8; 16];
        let mut rng = self.random.rng();
        rng.fill_bytes(&mut session);
        let (challenge, pending) =
            Challenge::answer(body, self.keys.identity(), &session, self.policy, &mut rng).map_err(of_peer)?;
        let fingerprint = hex::encode(pending.caller_key().fingerprint().map_err(of_peer)?);
        if store::pending_of_key(&self.db, &fingerprint, now).await? >= MAX_OF_KEY {
            return Err(ClaimError::TooMany);
        }
        let expires = now + SESSION_SECONDS;
        let row = Pending { id: session.to_vec(), state: cbor::encode(&pending), source, fingerprint, expires };
        store::insert_pending(&self.db, row).await?;
        Ok(challenge)
    }

    /// Checks the proof and gives a token. A session is good for one try.
    pub(super) async fn prove(&self, body: &[u8], source: IpAddr) -> Result<Vec<u8>, ClaimError> {
        let now = self.clock.now();
        self.limits.check_source(source, now).map_err(|_| ClaimError::TooMany)?;
        let session = session_of(body).map_err(of_peer)?;
        let state = store::take_pending(&self.db, &session, now).await?.ok_or(ClaimError::Unauthenticated)?;
        let pending: PendingChallenge = cbor::decode(&state).map_err(ClaimError::Signing)?;
        let proven = pending.verify(body, self.policy).map_err(of_peer)?;
        let fingerprint = hex::encode(proven.fingerprint);
        let known = buyers::store::find_key(&self.db, &fingerprint).await?;
        let buyer_id = known.map(|known| known.buyer_id);
        if let Some(id) = &buyer_id
            && buyers::get(&self.db, id).await?.state == BuyerState::Suspended
        {
            return Err(BuyerError::Suspended.into());
        }
        tracing::info!(key = fingerprint, enrolled = buyer_id.is_some(), aad = ?proven.aad, "owner key proven");
        let mut secret = Zeroizing::new([0_u8; 32]);
        self.random.rng().fill_bytes(&mut *secret);
        let token = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
        let expires = now + TOKEN_SECONDS;
        let row = Token { hash: hash(&token), fingerprint, key: proven.key, buyer_id, expires };
        store::insert_token(&self.db, &row).await?;
        Ok(cbor::encode(&KeyAuthResult { token, expires, fingerprint: proven.fingerprint, voucher_count: 0 }))
    }

    /// Who holds this token.
    pub(super) async fn authenticate(&self, token: Option<&str>) -> Result<Caller, ClaimError> {
        let token = token.filter(|token| token.len() <= 64).ok_or(ClaimError::Unauthenticated)?;
        // Looked up by hash: the time that takes tells nothing about a valid token.
        let found = store::find_token(&self.db, &hash(token), self.clock.now()).await?;
        let found = found.ok_or(ClaimError::Unauthenticated)?;
        let buyer = match &found.buyer_id {
            Some(id) => Some(buyers::get(&self.db, id).await?),
            None => None,
        };
        Ok(Caller { token_hash: found.hash, key: found.key, fingerprint: found.fingerprint, buyer })
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

fn of_peer(error: fdo_protocol::Error) -> ClaimError {
    match error {
        error @ fdo_protocol::Error::Rejected(_) => ClaimError::Proof(error),
        error @ fdo_protocol::Error::Internal(_) => ClaimError::Signing(error),
        error => ClaimError::BadRequest(error.to_string()),
    }
}
