//! Who asks: KeyAuth (voucher transfer, section 5), and the buyer that a proven key belongs to.

use std::net::IpAddr;

use fdo_service::transfer::key_auth::{Bearer, KeyAuthError};

use super::{ClaimError, Claimant, Claims};
use crate::buyers::{self, Buyer, BuyerError, BuyerState};

/// Who asks: a proven key, and the buyer that it belongs to, if any.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) bearer: Bearer,
    pub(super) buyer: Option<Buyer>,
}

impl Claims {
    /// Challenges whoever says hello.
    pub(super) async fn hello(&self, body: &[u8], source: IpAddr) -> Result<Vec<u8>, KeyAuthError> {
        self.key_auth.hello(body, source, self.keys.identity()).await
    }

    /// Checks the proof and gives a token.
    pub(super) async fn prove(&self, body: &[u8], source: IpAddr) -> Result<Vec<u8>, ClaimError> {
        let proven = self.key_auth.prove(body, source).await?;
        let known = buyers::store::find_key(&self.db, &hex::encode(proven.fingerprint)).await?;
        let buyer_id = known.map(|known| known.buyer_id);
        if let Some(id) = &buyer_id
            && buyers::get(&self.db, id).await?.state == BuyerState::Suspended
        {
            return Err(BuyerError::Suspended.into());
        }
        Ok(self.key_auth.issue(proven, buyer_id).await?)
    }

    /// Who holds this token.
    pub(super) async fn authenticate(&self, token: Option<&str>) -> Result<Caller, ClaimError> {
        let bearer = self.key_auth.authenticate(token).await?;
        let buyer = match &bearer.party {
            Some(id) => Some(buyers::get(&self.db, id).await?),
            None => None,
        };
        Ok(Caller { bearer, buyer })
    }
}

impl Caller {
    /// The caller as a buyer that may claim.
    pub(super) fn claimant(self) -> Result<Claimant, ClaimError> {
        let buyer = self.buyer.ok_or(ClaimError::NotEnrolled)?;
        if buyer.state == BuyerState::Suspended {
            return Err(BuyerError::Suspended.into());
        }
        Ok(Claimant { key: self.bearer.key, fingerprint: self.bearer.fingerprint, buyer })
    }
}
