//! 70: everything that an ended TO2 changes, in one transaction.

use fdo_protocol::Error;
use fdo_protocol::to2::owner::Completed;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_service::database::TransactionTrait;
use fdo_service::operators::audit::{self, Event, Outcome as Audited};

use super::failure::Failure;
use super::stage::Facts;
use super::store::{self, Outcome, Phase};
use crate::app::App;
use crate::ca::{self, Reason};
use crate::inventory::{self, DeviceState};
use crate::serviceinfo::{Provisioning, Verdict};
use crate::vouchers;

/// Commits an ended TO2. Until the device is seen with its new GUID, the old one may run TO2 again: 71 can be lost.
pub(super) async fn commit(
    app: &App,
    facts: &Facts,
    plan: &Provisioning,
    completed: &Completed,
) -> Result<(), Failure> {
    let now = app.clock.now();
    let (outcome, reason) = match plan.verdict() {
        Verdict::Onboarded => (Outcome::Onboarded, None),
        Verdict::OnboardedWithoutCertificate(why) => (Outcome::OnboardedWithoutCertificate, Some(why)),
        Verdict::Failed(why) => return Err(Failure::required(why)),
    };
    app.progress.forget(&facts.id);
    let transaction = app.db.begin().await?;

    ca::revoke_device(&transaction, &facts.device_id, Some(&facts.id), Reason::Superseded, now).await?;
    let mut certificate = None;
    if !plan.certificates.is_empty() {
        let confirmed = ca::confirm(&transaction, &facts.id).await?;
        let gone = Error::Rejected("the certificate of this session was revoked meanwhile");
        certificate =
            confirmed.ok_or(gone)?.into_iter().find(|(serial, _)| plan.certificates.last() == Some(serial));
    }

    let mut run = facts.run(Phase::Ended);
    run.finished = Some(now);
    run.outcome = Some(outcome);
    run.reason = reason.clone();
    run.facts = plan.facts();
    run.certificate = certificate.as_ref().map(|(serial, _)| serial.clone());
    store::finish(&transaction, &run).await?;

    match &completed.replacement {
        Some(replacement) => {
            let bytes = vouchers::bytes(&transaction, &completed.guid).await?;
            let bytes = bytes.ok_or(Error::NotFound("the voucher is gone"))?;
            let voucher = VerifiedVoucher::trust_stored(&bytes)?;
            let next = voucher.replace(replacement.ov_header.clone(), replacement.hmac.clone())?;
            vouchers::replace(&transaction, now, &completed.guid, &next).await?;
        }
        None => vouchers::reuse(&transaction, now, &completed.guid).await?,
    }
    // Neither GUID is renewed at the rendezvous: the present registration lasts long enough for a lost 71.
    vouchers::set_registration(&transaction, &completed.guid, None).await?;
    if completed.next_guid != completed.guid {
        vouchers::set_registration(&transaction, &completed.next_guid, None).await?;
    }
    let state = DeviceState::Onboarded;
    let progress = outcome.name();
    inventory::record_state(&transaction, now, &completed.next_guid, state, Some(progress), reason.as_deref())
        .await?;
    let (serial, not_after) = certificate.unzip();
    inventory::record_certificate(&transaction, now, &completed.next_guid, serial.as_deref(), not_after).await?;

    let detail = match &serial {
        Some(serial) => format!("now {}, certificate {serial}", completed.next_guid),
        None => format!("now {}, no certificate", completed.next_guid),
    };
    let event = Event {
        actor: "onboarding",
        action: "device.onboard",
        subject: &completed.guid.to_string(),
        outcome: Audited::Success,
        detail: &detail,
    };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}
