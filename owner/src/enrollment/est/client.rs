//! Who asks: the holder of a certificate that this owner issued, or of the IDevID in the voucher of a device that is
//! active here. TLS has proven that the client holds the key; nothing else of the handshake is believed.

use fdo_pki::Certificate;

use super::refusal::Refusal;
use crate::app::App;
use crate::ca::{self, IssuedCertificate, Reason, State};
use crate::inventory::{self, Device};
use crate::vouchers;

/// A device that has proven to be it.
pub struct Client {
    pub device: Device,
    /// The certificate of ours that it came with; otherwise it came with its IDevID.
    pub issued: Option<Shown>,
}

/// A certificate of ours, as the client showed it and as the record has it.
pub struct Shown {
    pub certificate: Certificate,
    pub record: IssuedCertificate,
}

/// Finds out who asks, by the certificate that TLS has verified the holder of.
pub async fn identify(app: &App, leaf: Option<&[u8]>, now: u64) -> Result<Client, Refusal> {
    let der = leaf.ok_or_else(Refusal::nobody)?;
    let certificate = Certificate::parse(der)
        .map_err(|error| Refusal::forbidden(format!("The client certificate cannot be read: {error}.")))?;
    match ca::find_by_fingerprint(&app.db, &hex::encode(certificate.fingerprint())).await? {
        Some(record) => by_ours(app, certificate, record, now).await,
        None => by_idevid(app, &certificate, now).await,
    }
}

async fn by_ours(
    app: &App,
    certificate: Certificate,
    record: IssuedCertificate,
    now: u64,
) -> Result<Client, Refusal> {
    let foreign = || Refusal::forbidden("The client certificate belongs to no device here.");
    let device = inventory::find(&app.db, &record.device_id).await?.ok_or_else(foreign)?;
    let refuse = |sentence: String| Err(Refusal::forbidden(sentence).of(&device));
    if record.state == State::Revoked {
        let reason = record.reason.as_deref().unwrap_or("unspecified");
        return refuse(format!("The client certificate {} was revoked ({reason}).", record.serial));
    }
    if !record.confirmed || record.state != State::Issued {
        return refuse("The client certificate belongs to an onboarding that has not ended.".to_owned());
    }
    active(app, &device).await?;
    if now < record.not_before {
        return refuse("The client certificate is not valid yet; is a clock wrong?".to_owned());
    }
    if now > record.not_after {
        let grace = app.settings.est.expired_grace_seconds;
        if now > record.not_after.saturating_add(grace) {
            return refuse(format!(
                "The client certificate has expired, longer ago than the {grace} seconds in which it may be renewed; \
                 use the device's IDevID."
            ));
        }
        let newest = ca::newest_of_device(&app.db, &device.id).await?;
        if newest.is_none_or(|newest| newest.serial != record.serial) {
            let sentence =
                "The client certificate has expired and is not the device's newest; use that one, or the IDevID.";
            return refuse(sentence.to_owned());
        }
    }
    Ok(Client { device, issued: Some(Shown { certificate, record }) })
}

async fn by_idevid(app: &App, certificate: &Certificate, now: u64) -> Result<Client, Refusal> {
    let foreign = || {
        Refusal::forbidden(
            "The client certificate is neither one that this owner issued nor the IDevID of a device that is active here.",
        )
    };
    // The inventory's id of a device is the hash of its attestation key.
    let id = hex::encode(certificate.spki_sha256());
    let device = inventory::find(&app.db, &id).await?.ok_or_else(foreign)?;
    let leaf = active(app, &device).await?;
    // The maker's CA also signs other owners' devices, and may sign another certificate for this key.
    if leaf != certificate.der() {
        return Err(foreign());
    }
    // What was taken from the device is not given back for the asking.
    let newest = ca::newest_of_device(&app.db, &device.id).await?;
    if let Some(revoked) = newest.filter(|newest| {
        newest.state == State::Revoked && newest.reason.as_deref() != Some(Reason::Superseded.name())
    }) {
        let sentence = format!(
            "The device's certificate {} was revoked ({}); it has to be onboarded again.",
            revoked.serial,
            revoked.reason.as_deref().unwrap_or("unspecified")
        );
        return Err(Refusal::forbidden(sentence).of(&device));
    }
    certificate
        .check_validity("client certificate", now)
        .map_err(|error| Refusal::forbidden(format!("Refused: {error}.")).of(&device))?;
    Ok(Client { device, issued: None })
}

/// Refuses a device that is stopped, sold or gone; gives the certificate in its voucher.
async fn active(app: &App, device: &Device) -> Result<Vec<u8>, Refusal> {
    let refuse = |why: &str| Refusal::forbidden(format!("The device is {why} here.")).of(device);
    if !device.state.is_active() {
        return Err(refuse(device.state.name()));
    }
    let voucher = vouchers::find_for_onboarding(&app.db, &device.guid).await?;
    let voucher = voucher.ok_or_else(|| refuse("not in use"))?;
    let leaf = voucher.certificates().and_then(<[_]>::first);
    Ok(leaf.ok_or_else(|| refuse("known without its certificate"))?.to_vec())
}

/// The holder uses its new certificate: where the settings say so, the one before it is over.
pub async fn used(app: &App, client: &Client, now: u64) -> Result<(), Refusal> {
    let Some(shown) = client.issued.as_ref().filter(|_| app.settings.est.revoke_on_renew) else { return Ok(()) };
    let Some(earlier) = &shown.record.replaces else { return Ok(()) };
    if ca::revoke(&app.db, earlier, Reason::Superseded, now).await? {
        tracing::info!(guid = %client.device.guid, serial = earlier, "superseded and revoked");
    }
    Ok(())
}
