//! 70: everything that an ended TO2 changes, in one transaction.

use fdo_protocol::Error;
use fdo_protocol::to2::owner::Completed;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_service::database::Unit;
use fdo_service::operators::audit::{self, Event, Outcome as Audited};

use super::failure::Failure;
use super::stage::Facts;
use super::store::{self, Outcome, Phase, Run};
use crate::app::App;
use crate::ca::{self, Reason};
use crate::inventory::{self, Onboarded};
use crate::serviceinfo::{Provisioning, Verdict};
use crate::{uploads, vouchers};

/// What an ended TO2 makes of its device.
struct Ending {
    run: Run,
    outcome: Outcome,
    completed: Completed,
}

/// Commits an ended TO2. Until the device is seen with its new GUID, the old one may run TO2 again: 71 can be lost.
pub(super) async fn commit(
    app: &App,
    facts: &Facts,
    plan: &Provisioning,
    completed: Completed,
) -> Result<(), Failure> {
    let now = app.clock.now();
    let (outcome, reason) = match plan.verdict() {
        Verdict::Onboarded => (Outcome::Onboarded, None),
        Verdict::OnboardedWithoutCertificate(why) => (Outcome::OnboardedWithoutCertificate, Some(why)),
        Verdict::Failed(why) => return Err(Failure::required(why)),
    };
    app.progress.forget(&facts.id);
    let mut run = facts.run(Phase::Ended);
    run.finished = Some(now);
    run.outcome = Some(outcome);
    run.reason = reason;
    run.facts = plan.facts();
    run.transfers = plan.transfers();
    run.certificate = plan.certificates.last().cloned();
    let ending = Ending { run, outcome, completed };
    app.units.run(move |unit| Box::pin(async move { end(unit, now, &ending).await })).await?;
    uploads::abandon(app, &facts.id).await;
    Ok(())
}

async fn end(unit: &Unit, now: u64, ending: &Ending) -> Result<(), Failure> {
    let Ending { run, outcome, completed } = ending;
    // First of all: whoever sends the same 70 waits here, and finds it done.
    if !store::finish(unit, run).await? {
        return match store::outcome(unit, &run.id).await? {
            Some(Outcome::Onboarded | Outcome::OnboardedWithoutCertificate) => Ok(()),
            _ => Err(Error::Rejected("this onboarding has failed meanwhile").into()),
        };
    }

    ca::revoke_device(unit, &run.device_id, Some(&run.id), Reason::Superseded, now).await?;
    let mut certificate = None;
    // Requests that wait go on from here, too.
    let confirmed = ca::confirm(unit, &run.id).await?.unwrap_or_default();
    if let Some(newest) = &run.certificate {
        let gone = Error::Rejected("the certificate of this session was revoked meanwhile");
        certificate = Some(confirmed.into_iter().find(|(serial, _)| serial == newest).ok_or(gone)?);
    }

    let onboarded = Onboarded {
        id: &run.device_id,
        from: completed.guid,
        guid: completed.next_guid,
        progress: outcome.name(),
        reason: run.reason.as_deref(),
        certificate: certificate.as_ref(),
    };
    if !inventory::record_onboarded(unit, now, &onboarded).await? {
        let stored = vouchers::find_by_guid(unit, &completed.guid).await?;
        let state = stored.map_or(vouchers::State::Delivered, |voucher| voucher.state);
        return Err(vouchers::Error::NotInUse(completed.guid, state).into());
    }
    match &completed.replacement {
        Some(replacement) => {
            let next = |voucher: &VerifiedVoucher| {
                voucher.clone().replace(replacement.ov_header.clone(), replacement.hmac.clone())
            };
            vouchers::replace(unit, now, &completed.guid, next).await?;
        }
        None => vouchers::reuse(unit, now, &completed.guid).await?,
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
    Ok(audit::record(unit, now, event).await?)
}
