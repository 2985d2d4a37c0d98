//! What this side publishes or looks at: CRLs, OCSP responders, endpoints.

use fdo_service::database::DbErr;
use serde_json::json;

use super::{Desk, store};
use crate::alerts::{Cause, Kind, Severity};
use crate::inventory::certificates::probes::{self, Probe};

/// Causes that are read at most, beyond those that are told of one by one.
const BEYOND: u64 = 1_000;

/// A responder's certificate that is not signed after so many seconds will not be.
const SIGNING_SECONDS: u64 = 300;

/// What lasts now, by kind.
pub(super) async fn look(desk: &Desk<'_>) -> Result<Vec<(Kind, Vec<Cause>)>, DbErr> {
    Ok(vec![
        (Kind::CrlOverdue, lists(desk).await?),
        (Kind::OcspResponderExpires, responders(desk).await?),
        (Kind::ProbeFailing, endpoints(desk).await?),
    ])
}

/// A CRL is signed again at half of its life; at three quarters something is wrong.
async fn lists(desk: &Desk<'_>) -> Result<Vec<Cause>, DbErr> {
    let cause = |late: store::LateList| Cause {
        kind: Kind::CrlOverdue,
        threshold: 0,
        severity: Severity::Critical,
        title: format!("{} CRLs of the CA {} are not signed again in time", late.shards, late.authority),
        detail: json!({ "authority": late.authority, "shards": late.shards, "next_update": late.next_update }),
        subject: late.authority,
        device_id: None,
        device_serial: None,
        count: late.shards,
        at: None,
    };
    Ok(store::late_lists(&desk.app.db, desk.now).await?.into_iter().map(cause).collect())
}

/// Responders get another certificate at half of its life, so only one that cannot be signed comes near its end.
async fn responders(desk: &Desk<'_>) -> Result<Vec<Cause>, DbErr> {
    let cause = |authority: String| Cause {
        kind: Kind::OcspResponderExpires,
        threshold: 0,
        severity: Severity::Critical,
        title: format!("the OCSP responder of the CA {authority} cannot get another certificate"),
        detail: json!({ "authority": authority }),
        subject: authority,
        device_id: None,
        device_serial: None,
        count: 1,
        at: None,
    };
    let before = desk.now.saturating_sub(SIGNING_SECONDS);
    Ok(store::unsigned_responders(&desk.app.db, before).await?.into_iter().map(cause).collect())
}

async fn endpoints(desk: &Desk<'_>) -> Result<Vec<Cause>, DbErr> {
    let settings = &desk.app.settings.alerts;
    let most = u64::from(settings.digest_above) + BEYOND;
    let failing = probes::failing(&desk.app.db, u64::from(settings.failures), most).await?;
    let cause = |probe: Probe| {
        let why = probe.error.clone().unwrap_or_default();
        Cause {
            kind: Kind::ProbeFailing,
            subject: probe.id,
            threshold: 0,
            severity: Severity::Warning,
            title: format!("the certificates of {} cannot be seen: {why}", probe.endpoint),
            detail: json!({ "endpoint": probe.endpoint, "error": probe.error, "last_seen": probe.last_seen }),
            device_id: None,
            device_serial: None,
            count: probe.failures,
            at: None,
        }
    };
    Ok(failing.into_iter().map(cause).collect())
}
