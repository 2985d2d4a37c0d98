//! A voucher extended to a key that an operator names, without a buyer: for sales outside of claims.

use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, VerifyingKey};
use fdo_service::database::{self, DbErr};

use super::grant::Receiver;
use super::store;
use super::{Claim, ClaimError, Claims};
use crate::devices::DeviceState;
use crate::vouchers::VoucherState;
use crate::{allocations, devices, vouchers};

/// Why a voucher is not extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    #[error("there is no voucher of {0} here")]
    NotFound(Guid),
    #[error("the device of {0} is blocked, or was born again under another GUID")]
    Blocked(Guid),
    #[error(
        "the device of {0} is set aside for a buyer; it is handed over by a claim, or revoke the allocation first"
    )]
    Allocated(Guid),
    #[error("the voucher of {guid} is extended to the key {fingerprint} already")]
    OtherKey { guid: Guid, fingerprint: String },
    #[error("this voucher needs a {needed} key, as its manufacturer's is, and the given one is {given}")]
    KeyType { needed: KeyType, given: KeyType },
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl From<DbErr> for ExtendError {
    fn from(error: DbErr) -> Self {
        Self::Claim(error.into())
    }
}

impl Claims {
    /// Extends a voucher to this key, once: the same key again gets the same bytes, another one is refused.
    pub async fn extend(&self, guid: &Guid, key: &VerifyingKey, actor: &str) -> Result<Claim, ExtendError> {
        let now = self.clock.now();
        let fingerprint = crate::keys::fingerprint(key).map_err(ClaimError::Signing)?;
        let transaction = database::begin(&self.db).await?;
        let found = vouchers::store::find(&transaction, guid).await?;
        let voucher = found.ok_or(ExtendError::NotFound(*guid))?;
        // Locked until the end, so that of this and a claim one is first.
        let device = devices::store::find_locked(&transaction, &voucher.canon).await?;
        let device = device.ok_or(ExtendError::NotFound(*guid))?;
        if device.state == DeviceState::Blocked
            || device.guid != Some(*guid)
            || voucher.state == VoucherState::Blocked
        {
            return Err(ExtendError::Blocked(*guid));
        }
        if let Some(claim) = store::find(&transaction, guid).await? {
            return match claim.fingerprint == fingerprint {
                true => Ok(claim),
                false => Err(ExtendError::OtherKey { guid: *guid, fingerprint: claim.fingerprint }),
            };
        }
        if allocations::store::find_live(&transaction, &voucher.canon).await?.is_some() {
            return Err(ExtendError::Allocated(*guid));
        }
        if voucher.key_type != key.key_type() {
            return Err(ExtendError::KeyType { needed: voucher.key_type, given: key.key_type() });
        }
        let receiver = Receiver { key, fingerprint: &fingerprint, buyer_id: "", name: "nobody's account", actor };
        let claim = self.sign(&transaction, &receiver, &voucher, &self.request_id(), now).await?;
        transaction.commit().await?;
        Ok(claim)
    }

    /// What a voucher was extended to, if it was.
    pub async fn extended(&self, guid: &Guid) -> Result<Option<Claim>, DbErr> {
        store::find(&self.db, guid).await
    }
}
