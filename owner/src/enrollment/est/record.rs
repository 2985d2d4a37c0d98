//! What is kept of EST: the device's newest certificate, and an audit entry of what was issued and of what was refused.
//! Refusals are written within a budget, so that strangers and stopped devices do not fill the database.

use fdo_pki::{Certificate, Requested};
use fdo_service::database::TransactionTrait;
use fdo_service::endpoint::{LimitSettings, Limits};
use fdo_service::operators::audit::{self, Event, Outcome};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Enrolment;
use super::client::Client;
use super::refusal::Refusal;
use crate::app::App;
use crate::ca::{self, IssuedCertificate, Reason};
use crate::inventory::{self, reports};

/// Strangers are all alike: they share one budget, whatever addresses they have.
const STRANGERS: [u8; 16] = [0; 16];
const KNOWN: [u8; 16] = [0xff; 16];

/// How many refusals are written down.
pub struct Record {
    /// One a minute of strangers, one a second of devices.
    all: [Arc<Limits>; 2],
    /// One an hour of each device.
    each: Arc<Limits>,
    unwritten: AtomicU64,
}

impl Default for Record {
    fn default() -> Self {
        let limits = |burst, table| {
            let settings = LimitSettings {
                source_per_second: 0,
                source_burst: 0,
                guid_per_second: 1,
                guid_burst: burst,
                table,
            };
            Limits::new(&settings)
        };
        Self { all: [limits(60, 64), limits(1_000, 64)], each: limits(10, 16_384), unwritten: AtomicU64::new(0) }
    }
}

impl Record {
    /// Whether a refusal is written down, and how many before it were not.
    fn admits(&self, device: Option<&str>, now: u64) -> Option<u64> {
        let fits = match device {
            None => self.all[0].check_guid(&STRANGERS, now / 60).is_ok(),
            Some(id) => {
                let mut key = [0; 16];
                key.iter_mut().zip(id.bytes()).for_each(|(to, from)| *to = from);
                self.each.check_guid(&key, now / 3_600).is_ok() && self.all[1].check_guid(&KNOWN, now).is_ok()
            }
        };
        if !fits {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unwritten.swap(0, Ordering::Relaxed))
    }
}

/// Extensions that were asked for and are not granted by asking.
pub(super) fn overridden(requested: &Requested) -> String {
    let mut extensions = requested.extensions().to_vec();
    let more = extensions.len().saturating_sub(8);
    extensions.truncate(8);
    match (extensions.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!("; the profile decides on {}", extensions.join(", ")),
        (false, more) => format!("; the profile decides on {} and {more} more", extensions.join(", ")),
    }
}

/// A certificate was issued: the device has it from now on. Asked for again, it changes nothing.
pub(super) async fn issued(
    app: &App,
    client: &Client,
    certificate: &Certificate,
    enrolment: Enrolment,
    overridden: &str,
) -> Result<(), Refusal> {
    let (device, serial, now) = (&client.device, certificate.serial(), app.clock.now());
    let transaction = app.db.begin().await?;
    let known = inventory::find(&transaction, &device.id).await?.and_then(|device| device.certificate);
    if let Some(known) = known {
        let (current, this) = (ca::find(&transaction, &known).await?, ca::find(&transaction, serial).await?);
        let is_later = |current: &IssuedCertificate| {
            current.replaces.as_deref() == Some(serial) || this.is_some_and(|this| this.created < current.created)
        };
        // An answer that was given before, and perhaps the device has gone on since.
        if known == serial || current.as_ref().is_some_and(is_later) {
            return Ok(());
        }
    }
    let end = certificate.not_after();
    reports::settle(&transaction, &device.id).await?;
    if !inventory::record_certificate(&transaction, now, device, serial, end).await? {
        ca::revoke(&transaction, serial, Reason::CessationOfOperation, now).await?;
        transaction.commit().await?;
        return Err(Refusal::forbidden("The device was stopped, sold or onboarded again meanwhile."));
    }
    let how = match &client.issued {
        Some(shown) if enrolment == Enrolment::Renewal => format!("renews {}", shown.record.serial),
        Some(shown) => format!("by certificate {}", shown.record.serial),
        None => "by IDevID".to_owned(),
    };
    let detail = format!("certificate {serial}, {how}{overridden}");
    let event = Event {
        actor: "est",
        action: enrolment.action(),
        subject: &device.guid.to_string(),
        outcome: Outcome::Success,
        detail: &detail,
    };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    app.metrics.count("firstlight_est_issued_total");
    tracing::info!(guid = %device.guid, serial, action = enrolment.action(), "certificate issued");
    Ok(())
}

/// A request was refused. What cannot be written down is told in the log; the client gets its answer all the same.
pub(super) async fn refused(app: &App, source: IpAddr, action: &str, refusal: &Refusal) {
    app.metrics.count("firstlight_est_refused_total");
    let (now, device) = (app.clock.now(), refusal.device.as_ref());
    let subject = device.map_or_else(|| source.to_string(), |device| device.guid.clone());
    let Some(unwritten) = app.est.admits(device.map(|device| device.id.as_str()), now) else {
        app.metrics.count("firstlight_est_refused_unaudited_total");
        tracing::debug!(%subject, action, status = refusal.status, reason = refusal.sentence, "EST request refused");
        return;
    };
    tracing::info!(%subject, action, status = refusal.status, reason = refusal.sentence, "EST request refused");
    let mut detail = refusal.sentence.clone();
    if unwritten > 0 {
        detail = format!("{detail} ({unwritten} refusals before this one were not written down.)");
    }
    let event = Event { actor: "est", action, subject: &subject, outcome: Outcome::Refused, detail: &detail };
    if let Err(error) = audit::record(&app.db, now, event).await {
        tracing::error!(%error, "a refusal cannot be written down");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn strangers_and_one_device_have_a_budget_and_what_is_left_out_is_counted() {
        let record = Record::default();
        assert!((0..60).all(|_| record.admits(None, 3_600) == Some(0)));
        assert!((0..40).all(|_| record.admits(None, 3_600).is_none()));
        // A device's refusals have their own, and tell what was left out.
        assert_eq!(record.admits(Some("aa"), 3_600), Some(40));
        assert!((0..9).all(|_| record.admits(Some("aa"), 3_600).is_some()));
        assert_eq!(record.admits(Some("aa"), 3_600), None);
        assert_eq!(record.admits(Some("bb"), 3_600), Some(1));
        assert_eq!(record.admits(Some("aa"), 7_200), Some(0));
        assert_eq!(record.admits(None, 3_660), Some(0));
        assert_eq!(record.admits(None, 3_660), None);
    }
}
