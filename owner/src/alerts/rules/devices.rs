//! Devices whose onboarding keeps failing.

use fdo_service::database::DbErr;
use serde_json::json;

use super::{Desk, store};
use crate::alerts::{Cause, Kind, Severity};

const DAY: u64 = 86_400;
/// Causes that are read at most, beyond those that are told of one by one.
const BEYOND: u64 = 1_000;

/// What lasts now, by kind.
pub(super) async fn look(desk: &Desk<'_>) -> Result<Vec<(Kind, Vec<Cause>)>, DbErr> {
    let settings = &desk.app.settings.alerts;
    let (since, most) = (desk.now.saturating_sub(DAY), u64::from(settings.digest_above) + BEYOND);
    let failing = store::failing(&desk.app.db, since, u64::from(settings.failures), most).await?;
    let cause = |failing: store::Failing| {
        let name = failing.serial.clone().unwrap_or_else(|| failing.guid.clone());
        let why = failing.reason.clone().unwrap_or_else(|| "the reason is not known".to_owned());
        Cause {
            kind: Kind::OnboardingFailing,
            subject: failing.device_id.clone(),
            threshold: 0,
            severity: Severity::Warning,
            title: format!("onboarding of device {name} failed {} times within a day: {why}", failing.times),
            detail: json!({ "guid": failing.guid, "reason": failing.reason, "times": failing.times }),
            device_id: Some(failing.device_id),
            device_serial: failing.serial,
            count: failing.times,
            at: None,
        }
    };
    Ok(vec![(Kind::OnboardingFailing, failing.into_iter().map(cause).collect())])
}
