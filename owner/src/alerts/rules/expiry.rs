//! Certificates that come near their end, end, or are not renewed in time.
//!
//! Each row of the inventory says when it is worth the next look, so a run reads what is due and nothing else, however
//! many certificates there are.

use std::collections::BTreeMap;

use fdo_service::database::{self, ConnectionTrait};
use serde_json::json;

use super::{BATCH, Desk, NAMED, named, rows, store, title};
use crate::alerts::schedule::{self, Moment};
use crate::alerts::{Cause, Error, FLEET, Kind, Severity};
use crate::config::AlertSettings;
use crate::inventory::certificates::{self, Listed, Source};

/// Batches in one run, so that a run ends; the next one goes on.
const BATCHES: usize = 40;
const SETTINGS: &str = "alerts.settings";
const DIGESTS: &str = "alerts.digests";
const DIGEST_SECONDS: u64 = 300;
/// The inventory is reconsidered in so many parts.
const PARTS: u32 = 256;
const PARTS_A_RUN: u32 = 16;
/// From so many days on, an end is near.
const CRITICAL_DAYS: u64 = 7;

/// When the thresholds were changed, each certificate is looked at again, a part of them in each run.
pub(super) async fn reconsider(desk: &Desk<'_>) -> Result<(), Error> {
    let db = &desk.app.db;
    let set = thresholds(&desk.app.settings.alerts);
    let known = certificates::cursor(db, SETTINGS).await?;
    let Some(known) = known else {
        return Ok(certificates::set_cursor(db, SETTINGS, &format!("{set}|{PARTS}")).await?);
    };
    let (before, part) = known.rsplit_once('|').unwrap_or((&known, "0"));
    let mut part: u32 = if before == set { part.parse().unwrap_or(0) } else { 0 };
    if before == set && part >= PARTS {
        return Ok(());
    }
    for _ in 0..PARTS_A_RUN.min(PARTS - part) {
        let until = (part + 1 < PARTS).then(|| format!("{:02x}", part + 1));
        certificates::reconsider(db, &format!("{part:02x}"), until.as_deref()).await?;
        part += 1;
    }
    Ok(certificates::set_cursor(db, SETTINGS, &format!("{set}|{part}")).await?)
}

fn thresholds(settings: &AlertSettings) -> String {
    format!("{:?} {:?} {}", settings.expiry_days, settings.authority_days, settings.renewal_overdue_percent)
}

/// Looks at the certificates that are due.
pub(super) async fn run(desk: &Desk<'_>) -> Result<(), Error> {
    let most = u64::from(desk.app.settings.alerts.digest_above);
    let batch = BATCH.max(most + 1);
    for _ in 0..BATCHES {
        let transaction = database::begin(&desk.app.db).await?;
        let due = certificates::due(&transaction, desk.now, batch).await?;
        let mut groups: BTreeMap<(Kind, u64), Vec<Cause>> = BTreeMap::new();
        let mut next: BTreeMap<Option<Moment>, Vec<String>> = BTreeMap::new();
        for listed in &due {
            let stand = schedule::stand(&desk.app.settings.alerts, listed, desk.now);
            next.entry(stand.next).or_default().push(listed.fingerprint.clone());
            for moment in stand.end.into_iter().chain(stand.late) {
                let cause = cause(listed, moment, desk.now);
                groups.entry((cause.kind, cause.threshold)).or_default().push(cause);
            }
        }
        for ((kind, threshold), causes) in groups {
            raise(desk, &transaction, kind, threshold, &causes, most).await?;
        }
        store::look_again(&transaction, &next).await?;
        transaction.commit().await?;
        if (due.len() as u64) < batch {
            break;
        }
    }
    Ok(())
}

async fn raise(
    desk: &Desk<'_>,
    conn: &impl ConnectionTrait,
    kind: Kind,
    threshold: u64,
    causes: &[Cause],
    most: u64,
) -> Result<(), Error> {
    let subjects: Vec<String> = causes.iter().map(|cause| cause.subject.clone()).collect();
    if Kind::OF_ENDS.contains(&kind) {
        for earlier in rows::superseded(conn, kind, threshold, &subjects).await? {
            // The nearer threshold says it all, so nobody is told that the farther one is over.
            rows::close(conn, &earlier.id, desk.now).await?;
        }
    }
    let open = rows::find_open(conn, kind, FLEET, threshold).await?;
    if open.is_none() && causes.len() as u64 <= most {
        for cause in causes {
            desk.open(conn, cause).await?;
        }
        return Ok(());
    }
    let before = open.as_ref().map_or(0, |open| open.count);
    let count = before + causes.len() as u64;
    let mut first: Vec<serde_json::Value> = open
        .and_then(|open| open.detail.get("first").and_then(|first| first.as_array().cloned()))
        .unwrap_or_default();
    first.extend(causes.iter().map(named));
    first.truncate(NAMED);
    let digest = Cause {
        kind,
        subject: FLEET.to_owned(),
        threshold,
        severity: causes.iter().map(|cause| cause.severity).max().unwrap_or(Severity::Warning),
        title: title(kind, threshold, count),
        detail: json!({ "first": first }),
        device_id: None,
        device_serial: None,
        count,
        at: None,
    };
    Ok(desk.open(conn, &digest).await?)
}

fn cause(listed: &Listed, moment: Moment, now: u64) -> Cause {
    let whose = match (&listed.device_serial, listed.source) {
        (Some(serial), Source::Ldevid) => format!("the certificate of device {serial}"),
        (Some(serial), _) => format!("the {} certificate of device {serial}", listed.source),
        (None, Source::Authority) => format!("the CA {}", listed.subject),
        (None, _) => format!("the certificate {}", listed.subject),
    };
    let left = listed.not_after.saturating_sub(now) / 86_400;
    let days = |days: u64| if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    let (kind, threshold, severity, title) = match moment {
        Moment::Days(threshold) => {
            let threshold = u64::from(threshold);
            let kind = match listed.source {
                Source::Authority => Kind::AuthorityExpires,
                _ => Kind::CertificateExpires,
            };
            let severity = if threshold <= CRITICAL_DAYS { Severity::Critical } else { Severity::Warning };
            (kind, threshold, severity, format!("{whose} expires in {}", days(left)))
        }
        Moment::Ended => (Kind::CertificateExpired, 0, Severity::Critical, format!("{whose} has expired")),
        Moment::Late(percent) => {
            let title = format!("{whose} is not renewed, though {percent} % of its life are over");
            (Kind::RenewalOverdue, 0, Severity::Warning, title)
        }
    };
    Cause {
        kind,
        subject: listed.fingerprint.clone(),
        threshold,
        severity,
        title,
        detail: json!({
            "subject": listed.subject,
            "issuer": listed.issuer,
            "serial": listed.serial,
            "not_after": listed.not_after,
            "source": listed.source,
            "name": listed.name,
            "guid": listed.guid,
        }),
        device_id: listed.device_id.clone(),
        device_serial: listed.device_serial.clone(),
        count: 1,
        at: None,
    }
}

/// Renewed, revoked, or not here any more: the cause is gone.
pub(super) async fn close_gone(desk: &Desk<'_>) -> Result<(), Error> {
    for _ in 0..BATCHES {
        let transaction = database::begin(&desk.app.db).await?;
        let gone = rows::about_gone(&transaction, BATCH).await?;
        let count = gone.len() as u64;
        for alert in gone {
            desk.close(&transaction, alert).await?;
        }
        transaction.commit().await?;
        if count < BATCH {
            break;
        }
    }
    Ok(())
}

/// An alert for many closes when few are left; those few get alerts of their own.
pub(super) async fn close_digests(desk: &Desk<'_>) -> Result<(), Error> {
    let db = &desk.app.db;
    let looked = certificates::cursor(db, DIGESTS).await?.and_then(|text| text.parse::<u64>().ok());
    if looked.is_some_and(|at| desk.now < at + DIGEST_SECONDS) {
        return Ok(());
    }
    let most = u64::from(desk.app.settings.alerts.digest_above);
    for kind in Kind::OF_CERTIFICATES {
        let transaction = database::begin(db).await?;
        for alert in store::digests(&transaction, kind).await? {
            let left = store::still(&transaction, &desk.app.settings.alerts, &alert, desk.now, most + 1).await?;
            if left.len() as u64 > most {
                continue;
            }
            desk.close(&transaction, alert).await?;
            store::look_now(&transaction, left).await?;
        }
        transaction.commit().await?;
    }
    Ok(certificates::set_cursor(db, DIGESTS, &desk.now.to_string()).await?)
}
