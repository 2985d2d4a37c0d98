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
use crate::inventory::{self, Onboarded};
use crate::serviceinfo::{Provisioning, Verdict};
use crate::{uploads, vouchers};

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

    let mut run = facts.run(Phase::Ended);
    run.finished = Some(now);
    run.outcome = Some(outcome);
    run.reason = reason.clone();
    run.facts = plan.facts();
    run.transfers = plan.transfers();
    run.certificate = plan.certificates.last().cloned();
    // First of all: whoever sends the same 70 waits here, and finds it done.
    if !store::finish(&transaction, &run).await? {
        return match store::outcome(&transaction, &run.id).await? {
            Some(Outcome::Onboarded | Outcome::OnboardedWithoutCertificate) => Ok(()),
            _ => Err(Error::Rejected("this onboarding has failed meanwhile").into()),
        };
    }

    ca::revoke_device(&transaction, &facts.device_id, Some(&facts.id), Reason::Superseded, now).await?;
    let mut certificate = None;
    // Requests that wait go on from here, too.
    let confirmed = ca::confirm(&transaction, &facts.id).await?.unwrap_or_default();
    if let Some(newest) = &run.certificate {
        let gone = Error::Rejected("the certificate of this session was revoked meanwhile");
        certificate = Some(confirmed.into_iter().find(|(serial, _)| serial == newest).ok_or(gone)?);
    }

    let onboarded = Onboarded {
        id: &facts.device_id,
        from: completed.guid,
        guid: completed.next_guid,
        progress: outcome.name(),
        reason: reason.as_deref(),
        certificate: certificate.as_ref(),
    };
    if !inventory::record_onboarded(&transaction, now, &onboarded).await? {
        let stored = vouchers::find_by_guid(&transaction, &completed.guid).await?;
        let state = stored.map_or(vouchers::State::Delivered, |voucher| voucher.state);
        return Err(vouchers::Error::NotInUse(completed.guid, state).into());
    }
    match &completed.replacement {
        Some(replacement) => {
            let next = |voucher: &VerifiedVoucher| {
                voucher.clone().replace(replacement.ov_header.clone(), replacement.hmac.clone())
            };
            vouchers::replace(&transaction, now, &completed.guid, next).await?;
        }
        None => vouchers::reuse(&transaction, now, &completed.guid).await?,
    }

    let detail = match &run.certificate {
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
    transaction.commit().await?;
    uploads::abandon(app, &facts.id).await;
    Ok(())
}
