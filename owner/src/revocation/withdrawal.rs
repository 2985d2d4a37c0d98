//! Taking certificates back, one or all of a device, and giving back what was only held; taking devices out of service.
//!
//! Each is one transaction, with its entry in the audit trail and the marks by which CRL and OCSP learn of it.

use fdo_pki::Reason;
use fdo_service::database::{self, DatabaseTransaction, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

use super::{Error, lists, store};
use crate::app::App;
use crate::ca::{self, IssuedCertificate};
use crate::inventory::{self, Device, DeviceState};
use crate::vouchers;

/// What became of a device, and of how many of its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    pub device: Device,
    pub certificates: u64,
}

/// A serial number as it is stored: lower case, without colons and without zeros at its front.
fn stored_form(serial: &str) -> String {
    let digits: String =
        serial.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase();
    let digits = digits.trim_start_matches('0');
    if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() }
}

/// By its serial number, in any usual notation.
pub(super) async fn find(app: &App, serial: &str) -> Result<IssuedCertificate, Error> {
    let found = ca::find(&app.db, &stored_form(serial)).await?;
    found.ok_or_else(|| Error::NotFound(serial.to_owned()))
}

fn check(reason: Reason) -> Result<(), Error> {
    if reason == Reason::RemoveFromCrl { Err(Error::Reason(reason)) } else { Ok(()) }
}

/// Revokes a certificate. The same again changes nothing; a hold may become final; anything else that is revoked stays so.
pub async fn revoke(app: &App, actor: &str, serial: &str, reason: Reason) -> Result<IssuedCertificate, Error> {
    check(reason)?;
    let (serial, now) = (stored_form(serial), app.clock.now());
    let transaction = database::begin(&app.db).await?;
    let changed = ca::revoke(&transaction, &serial, reason, now).await?;
    let found = ca::find(&transaction, &serial).await?.ok_or_else(|| Error::NotFound(serial.clone()))?;
    if !changed {
        return if found.reason_code == Some(reason.number()) {
            Ok(found)
        } else {
            Err(Error::Revoked { serial, reason: found.reason.unwrap_or_default() })
        };
    }
    record(&transaction, now, actor, "certificate.revoke", &serial, reason.name()).await?;
    transaction.commit().await?;
    told(app, 1).await;
    Ok(found)
}

/// Lifts the hold of a certificate.
pub async fn release(app: &App, actor: &str, serial: &str) -> Result<IssuedCertificate, Error> {
    let (serial, now) = (stored_form(serial), app.clock.now());
    let transaction = database::begin(&app.db).await?;
    let released = store::release(&transaction, Some(&serial), None, now).await?;
    let found = ca::find(&transaction, &serial).await?.ok_or_else(|| Error::NotFound(serial.clone()))?;
    if released == 0 {
        return Err(Error::NotHeld(serial));
    }
    record(&transaction, now, actor, "certificate.release", &serial, "").await?;
    transaction.commit().await?;
    told(app, 0).await;
    Ok(found)
}

/// Revokes everything that a device holds; holds become final.
pub async fn revoke_device(app: &App, actor: &str, name: &str, reason: Reason) -> Result<Withdrawn, Error> {
    check(reason)?;
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let device = inventory::find_by_name(&transaction, name).await?;
    let certificates = ca::revoke_device(&transaction, &device.id, None, reason, now).await?;
    let detail = format!("{certificates} certificates, {reason}");
    record(&transaction, now, actor, "device.revoke", &device.guid.to_string(), &detail).await?;
    transaction.commit().await?;
    told(app, certificates).await;
    Ok(Withdrawn { device, certificates })
}

/// Lifts all holds of a device.
pub async fn release_device(app: &App, actor: &str, name: &str) -> Result<Withdrawn, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let device = inventory::find_by_name(&transaction, name).await?;
    let certificates = store::release(&transaction, None, Some(&device.id), now).await?;
    if certificates == 0 {
        return Err(Error::NothingHeld(name.to_owned()));
    }
    let detail = format!("{certificates} certificates");
    record(&transaction, now, actor, "device.release", &device.guid.to_string(), &detail).await?;
    transaction.commit().await?;
    told(app, 0).await;
    Ok(Withdrawn { device, certificates })
}

/// Stops a device, or lets it go on; its certificates stay as they are.
pub async fn block(app: &App, actor: &str, name: &str, blocked: bool) -> Result<Withdrawn, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let device = inventory::find_by_name(&transaction, name).await?;
    vouchers::set_blocked(&transaction, now, &device.guid, blocked).await?;
    let action = if blocked { "device.block" } else { "device.unblock" };
    record(&transaction, now, actor, action, &device.guid.to_string(), "").await?;
    let device = inventory::find(&transaction, &device.id).await?.unwrap_or(device);
    transaction.commit().await?;
    app.registrar.wake();
    Ok(Withdrawn { device, certificates: 0 })
}

/// Takes a device out of service: its certificates are revoked, it gets no new ones and is neither onboarded nor
/// registered. The same again changes nothing.
pub async fn decommission(app: &App, actor: &str, name: &str) -> Result<Withdrawn, Error> {
    let (now, reason) = (app.clock.now(), Reason::CessationOfOperation);
    let transaction = database::begin(&app.db).await?;
    let device = inventory::find_by_name(&transaction, name).await?;
    if device.state == DeviceState::Decommissioned {
        return Ok(Withdrawn { device, certificates: 0 });
    }
    // Certificates, device, vouchers, in the order of 70: an onboarding is either waited for or refused.
    let mut certificates = ca::revoke_device(&transaction, &device.id, None, reason, now).await?;
    if !inventory::decommission(&transaction, now, &device.id).await? {
        return Err(Error::Sold(name.to_owned()));
    }
    vouchers::decommission(&transaction, now, &device.id).await?;
    // Once more for what an onboarding was issued before its 70 let the device's row go.
    certificates += ca::revoke_device(&transaction, &device.id, None, reason, now).await?;
    let detail = format!("{certificates} certificates revoked");
    record(&transaction, now, actor, "device.decommission", &device.guid.to_string(), &detail).await?;
    let device = inventory::find(&transaction, &device.id).await?.unwrap_or(device);
    transaction.commit().await?;
    told(app, certificates).await;
    Ok(Withdrawn { device, certificates })
}

/// Takes a device back into service, as it stood; its certificates stay revoked.
pub async fn recommission(app: &App, actor: &str, name: &str) -> Result<Withdrawn, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let device = inventory::find_by_name(&transaction, name).await?;
    if !inventory::recommission(&transaction, now, &device.id).await? {
        return Err(Error::InService(name.to_owned()));
    }
    vouchers::recommission(&transaction, now, &device.id).await?;
    record(&transaction, now, actor, "device.recommission", &device.guid.to_string(), "").await?;
    let device = inventory::find(&transaction, &device.id).await?.unwrap_or(device);
    transaction.commit().await?;
    app.registrar.wake();
    Ok(Withdrawn { device, certificates: 0 })
}

async fn record(
    transaction: &DatabaseTransaction,
    now: u64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), DbErr> {
    audit::record(transaction, now, Event { actor, action, subject, outcome: Outcome::Success, detail }).await
}

/// It is committed. Here OCSP says so from now on; should this fail, the job makes up for it within a second.
async fn told(app: &App, revoked: u64) {
    if revoked > 0 {
        app.metrics.count("firstlight_revocations_total");
    }
    if let Err(error) = lists::refresh(app).await {
        tracing::warn!(%error, "cannot look at once what was revoked");
    }
}

#[cfg(test)]
mod tests {
    use super::stored_form;

    #[test]
    fn serials_are_taken_as_tools_print_them() {
        for (given, stored) in
            [("0A:1B:2c", "0a1b2c"), ("00ff", "ff"), ("A1B", "0a1b"), ("4f 00", "4f00"), ("", ""), ("00", "")]
        {
            assert_eq!(stored_form(given), stored, "{given}");
        }
    }
}
