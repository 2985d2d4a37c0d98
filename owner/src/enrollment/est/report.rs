//! Devices tell of renewals that failed, when they can be heard again: a private path beside EST's, by the same
//! certificates. It changes nothing but what operators are shown.

use serde::Deserialize;

use fdo_service::host::PeerCertificates;

use super::client;
use super::refusal::Refusal;
use crate::app::App;
use crate::inventory::reports::{self, RenewalReport};

/// The longest report, in bytes.
pub(super) const LIMIT: usize = 8 * 1024;

/// What a device says; what else stands in it is passed over.
#[derive(Deserialize)]
struct Told {
    error: String,
    #[serde(default)]
    consecutive: u32,
}

/// Keeps what the holder of the certificate says, in place of what it said before.
pub(super) async fn take(app: &App, peer: Option<&PeerCertificates>, body: &[u8]) -> Result<(), Refusal> {
    let now = app.clock.now();
    let client = client::identify(app, peer.and_then(PeerCertificates::leaf), now).await?;
    let device = &client.device;
    let limited = |_| Refusal::too_often("This device reports too often; report again later.").of(device);
    app.limits.check_guid(device.guid.as_bytes(), now).map_err(limited)?;
    let told: Told = serde_json::from_slice(body)
        .map_err(|_| Refusal::bad_request("A report is JSON with `error` and `consecutive`.").of(device))?;
    let report = RenewalReport::new(&device.id, now, &told.error, told.consecutive);
    reports::record(&app.db, &report).await?;
    app.metrics.count("firstlight_renewal_reports_total");
    tracing::warn!(guid = %device.guid, consecutive = report.consecutive, error = report.error, "a device tells of failures");
    Ok(())
}
