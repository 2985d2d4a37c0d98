//! Handing a claimed voucher out: downloaded by its buyer, or pushed to its buyer's service. The first byte settles it.

use fdo_protocol::Guid;
use fdo_service::database::{self, ConnectionTrait, DatabaseTransaction};
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::transfer::outbox::{self, Holder, Push};
use fdo_service::transfer::partners::{self, PartnerError};
use fdo_service::transfer::push::Pushed;
use fdo_service::transfer::voucher_id;

use super::{Claim, ClaimError, Claimant, Claims, store};
use crate::devices::{self, DeviceState};
use crate::vouchers::{self, VoucherState};

const PUSHER: &str = "push";

impl Claims {
    /// The claim whose voucher this is, if it is the claimant's; the first time, it becomes delivered.
    pub(super) async fn deliver(&self, claimant: &Claimant, guid: &Guid) -> Result<Claim, ClaimError> {
        let transaction = database::begin(&self.db).await?;
        let claim = self.claim_of(&transaction, claimant, guid).await?;
        if claim.delivered.is_none() {
            let detail = format!("{} to {}", claim.serial, claimant.buyer.name);
            self.leave(transaction, &claim, &claimant.fingerprint, &detail).await?;
        }
        Ok(claim)
    }

    /// From here on the voucher may be with its buyer.
    async fn leave(
        &self,
        transaction: DatabaseTransaction,
        claim: &Claim,
        actor: &str,
        detail: &str,
    ) -> Result<(), ClaimError> {
        let now = self.clock.now();
        store::set_delivered(&transaction, &claim.guid, now).await?;
        let subject = claim.guid.to_string();
        let event =
            Event { actor, action: "voucher.deliver", subject: &subject, outcome: Outcome::Success, detail };
        audit::record(&transaction, now, event).await?;
        Ok(transaction.commit().await?)
    }

    /// A token sees what was extended to its key. Unknown, another key's, withdrawn and a blocked device's look the
    /// same.
    pub(super) async fn claim_of(
        &self,
        conn: &impl ConnectionTrait,
        claimant: &Claimant,
        guid: &Guid,
    ) -> Result<Claim, ClaimError> {
        let claim = store::find(conn, guid).await?;
        let mine = |claim: &Claim| claim.fingerprint == claimant.fingerprint;
        let claim = claim.filter(mine).ok_or(ClaimError::NotFound)?;
        if is_live(conn, &claim).await? { Ok(claim) } else { Err(ClaimError::NotFound) }
    }

    /// Puts a claimed voucher into the queue for the buyer's service.
    pub async fn push(&self, guid: &Guid) -> Result<Push, PartnerError> {
        let missing = || PartnerError::Unknown(format!("for {guid}, which nobody has claimed"));
        let claim = store::find(&self.db, guid).await?.ok_or_else(missing)?;
        let buyer = crate::buyers::store::find(&self.db, &claim.buyer_id).await?;
        let name = buyer.map(|buyer| buyer.name).unwrap_or_default();
        outbox::send_to(&self.partners, guid, Some(&claim.serial), &name).await
    }

    /// Where the buyer has a service to push to, what it just claimed goes there.
    pub(super) async fn enqueue(
        &self,
        transaction: &DatabaseTransaction,
        claim: &Claim,
        buyer: &str,
    ) -> Result<(), ClaimError> {
        match partners::get(transaction, buyer).await {
            Ok(partner) if partner.name == buyer && partner.push_root.is_some() => {
                let serial = Some(claim.serial.as_str());
                Ok(outbox::enqueue(transaction, &claim.guid, &partner.id, serial, claim.created).await?)
            }
            Err(PartnerError::Database(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

async fn is_live(conn: &impl ConnectionTrait, claim: &Claim) -> Result<bool, ClaimError> {
    let device = devices::store::find(conn, &claim.canon).await?;
    if device.is_none_or(|device| device.state == DeviceState::Blocked) {
        return Ok(false);
    }
    let voucher = vouchers::store::find(conn, &claim.guid).await?;
    Ok(voucher.is_some_and(|voucher| voucher.state == VoucherState::Active))
}

impl Holder for Claims {
    type Error = ClaimError;

    async fn parcel(&self, push: &Push) -> Result<Option<Pushed>, ClaimError> {
        let transaction = database::begin(&self.db).await?;
        let Some(claim) = store::find(&transaction, &push.guid).await? else { return Ok(None) };
        if !is_live(&transaction, &claim).await? {
            return Ok(None);
        }
        let pushed = Pushed {
            bytes: claim.bytes.clone(),
            guid: Some(voucher_id(&claim.guid)),
            serial: Some(claim.serial.clone()),
            model: Some(claim.model.clone()),
            manufacturer: Some(self.maker.clone()),
            timestamp: Some(claim.created),
        };
        if claim.delivered.is_none() {
            let detail = format!("{} is pushed to the partner {}", claim.serial, push.partner_id);
            self.leave(transaction, &claim, PUSHER, &detail).await?;
        }
        Ok(Some(pushed))
    }

    async fn arrived(&self, push: &Push) -> Result<(), ClaimError> {
        let transaction = database::begin(&self.db).await?;
        let (subject, detail) = (push.guid.to_string(), format!("the partner {} has it", push.partner_id));
        let event = Event {
            actor: PUSHER,
            action: "voucher.push",
            subject: &subject,
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(&transaction, self.clock.now(), event).await?;
        Ok(transaction.commit().await?)
    }
}
