//! The rules, one after the other, and what all of them do with the causes that they find.

mod devices;
mod expiry;
mod renewal;
mod services;
mod store;

use std::collections::HashSet;

use fdo_service::database::{self, ConnectionTrait, DbErr};
use serde_json::json;

#[cfg(test)]
pub(super) use store::{fail_onboarding, prepare_responder, publish};

use super::delivery::{self, Event};
use super::targets::{self, Target};
use super::{Alert, Cause, Error, FLEET, Kind, Severity, store as rows};
use crate::app::App;

/// Alerts that are closed or repeated in one look.
const BATCH: u64 = 500;
/// Subjects that an alert for many names.
const NAMED: usize = 10;

/// One look at everything.
pub(super) async fn run(app: &App, now: u64) -> Result<(), Error> {
    let desk = Desk { app, now, targets: targets::enabled(&app.db).await? };
    expiry::reconsider(&desk).await?;
    expiry::run(&desk).await?;
    expiry::close_gone(&desk).await?;
    expiry::close_digests(&desk).await?;
    for (kind, found) in devices::look(&desk).await? {
        desk.hold(kind, found).await?;
    }
    for (kind, found) in services::look(&desk).await? {
        desk.hold(kind, found).await?;
    }
    renewal::run(&desk).await?;
    desk.repeat().await?;
    Ok(())
}

/// What a look at the rules is made with.
struct Desk<'a> {
    app: &'a App,
    now: u64,
    targets: Vec<Target>,
}

impl Desk<'_> {
    /// Opens an alert and has its targets told, or brings the one up to date that is open.
    async fn open(&self, conn: &impl ConnectionTrait, cause: &Cause) -> Result<(), DbErr> {
        let id = delivery::new_id(self.app, self.now);
        let Some(alert) = rows::open(conn, &id, cause, self.now).await? else { return Ok(()) };
        self.app.metrics.count("firstlight_alerts_opened_total");
        tracing::warn!(kind = %alert.kind, subject = alert.subject, title = alert.title, "alert");
        self.tell(conn, &alert, Event::Opened).await
    }

    /// Closes an alert; who was told of it is told that it is over.
    async fn close(&self, conn: &impl ConnectionTrait, mut alert: Alert) -> Result<(), DbErr> {
        if !rows::close(conn, &alert.id, self.now).await? {
            return Ok(());
        }
        alert.closed = Some(self.now);
        if alert.told.is_some() { self.tell(conn, &alert, Event::Closed).await } else { Ok(()) }
    }

    async fn tell(&self, conn: &impl ConnectionTrait, alert: &Alert, event: Event) -> Result<(), DbErr> {
        if alert.silenced_until.is_some_and(|until| until > self.now) {
            return Ok(());
        }
        delivery::enqueue(self.app, conn, &self.targets, alert, event, self.now).await?;
        rows::set_told(conn, &alert.id, self.now).await
    }

    /// Opens an alert for each cause, or, where they are more than the settings allow, one for all.
    async fn raise(&self, conn: &impl ConnectionTrait, causes: &[Cause]) -> Result<(), DbErr> {
        let most = usize::try_from(self.app.settings.alerts.digest_above).unwrap_or(usize::MAX);
        if causes.len() > most {
            return self.open(conn, &together(causes)).await;
        }
        for cause in causes {
            self.open(conn, cause).await?;
        }
        Ok(())
    }

    /// Holds what a rule found now against what was open of its kind: opens, brings up to date, closes. More causes than
    /// the settings allow are one alert.
    async fn hold(&self, kind: Kind, found: Vec<Cause>) -> Result<(), Error> {
        let transaction = database::begin(&self.app.db).await?;
        let most = usize::try_from(self.app.settings.alerts.digest_above).unwrap_or(usize::MAX);
        let here: HashSet<&str> = found.iter().map(|cause| cause.subject.as_str()).collect();
        self.raise(&transaction, &found).await?;
        let mut after = String::new();
        loop {
            let open = rows::open_of(&transaction, kind, &after, BATCH).await?;
            let Some(last) = open.last() else { break };
            after.clone_from(&last.id);
            let whole = (open.len() as u64) < BATCH;
            for alert in open {
                let over = match alert.subject.as_str() {
                    FLEET => found.len() <= most,
                    subject => found.len() <= most && !here.contains(subject),
                };
                if over {
                    self.close(&transaction, alert).await?;
                }
            }
            if whole {
                break;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Tells again of what was silenced and still lasts, and of what is critical and nobody has answered.
    async fn repeat(&self) -> Result<(), Error> {
        let hours = u64::from(self.app.settings.alerts.repeat_hours);
        let before = (hours > 0).then(|| self.now.saturating_sub(hours * 3_600));
        let transaction = database::begin(&self.app.db).await?;
        for alert in rows::to_repeat(&transaction, self.now, before, BATCH).await? {
            if alert.told.is_none() {
                self.tell(&transaction, &alert, Event::Opened).await?;
            } else {
                self.tell(&transaction, &alert, Event::Reminder).await?;
            }
        }
        Ok(transaction.commit().await?)
    }
}

/// Many causes of one kind as one.
fn together(found: &[Cause]) -> Cause {
    let first = &found[0];
    let named: Vec<_> = found.iter().take(NAMED).map(named).collect();
    let severity = found.iter().map(|cause| cause.severity).max().unwrap_or(Severity::Warning);
    let count = found.iter().map(|cause| cause.count).sum();
    Cause {
        kind: first.kind,
        subject: FLEET.to_owned(),
        threshold: first.threshold,
        severity,
        title: title(first.kind, first.threshold, count),
        detail: json!({ "first": named }),
        device_id: None,
        device_serial: None,
        count,
        at: None,
    }
}

fn named(cause: &Cause) -> serde_json::Value {
    json!({ "subject": cause.subject, "device_serial": cause.device_serial, "title": cause.title })
}

fn title(kind: Kind, threshold: u64, count: u64) -> String {
    match kind {
        Kind::CertificateExpires => format!("{count} certificates expire within {threshold} days"),
        Kind::AuthorityExpires => format!("{count} CAs expire within {threshold} days"),
        Kind::CertificateExpired => format!("{count} certificates have expired"),
        Kind::RenewalOverdue => format!("{count} devices are late to renew their certificates"),
        Kind::RenewalFailed => format!("renewal failed at {count} devices"),
        Kind::OnboardingFailing => format!("onboarding keeps failing at {count} devices"),
        Kind::ProbeFailing => format!("the certificates of {count} endpoints cannot be seen"),
        Kind::CrlOverdue => format!("{count} CRLs are not signed again in time"),
        Kind::OcspResponderExpires => format!("{count} certificates of OCSP responders are near their end"),
    }
}
