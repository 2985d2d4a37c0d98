//! `/api/v1/devices`.

use actix_web::web::{Data, Json, Query};
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::reports::{self, RenewalReport};
use super::{Device, DeviceState, Error, Filter, Transfer, store};
use crate::app::App;

/// A device as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceView {
    pub id: String,
    pub serial: Option<String>,
    pub guid: String,
    pub model: Option<String>,
    pub device_info: String,
    pub state: DeviceState,
    pub owner_key_type: String,
    pub manufacturer: Option<String>,
    /// What the last onboarding did.
    pub progress: Option<String>,
    pub reason: Option<String>,
    /// The serial number of the newest LDevID, and its end.
    pub certificate: Option<String>,
    pub certificate_expires: Option<u64>,
    pub onboarded: Option<u64>,
    pub created: u64,
    pub updated: u64,
    /// All GUIDs, the newest first; only where one device is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guids: Vec<GuidView>,
    /// What it said last of renewals that failed; only where one device is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_report: Option<RenewalReport>,
    /// The files of a running onboarding; only where one device is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
}

/// A GUID and since when the device has had it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuidView {
    pub guid: String,
    pub since: u64,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        Self {
            guid: device.guid.to_string(),
            id: device.id,
            serial: device.serial,
            model: device.model,
            device_info: device.device_info,
            state: device.state,
            owner_key_type: device.owner_key,
            manufacturer: device.maker,
            progress: device.progress,
            reason: device.reason,
            certificate: device.certificate,
            certificate_expires: device.certificate_expires,
            onboarded: device.onboarded,
            created: device.created,
            updated: device.updated,
            guids: Vec::new(),
            renewal_report: None,
            transfers: Vec::new(),
        }
    }
}

/// Which devices to list.
#[derive(Debug, Deserialize)]
pub struct DeviceQuery {
    pub state: Option<DeviceState>,
    pub serial: Option<String>,
    pub q: Option<String>,
}

/// `GET /api/v1/devices`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<DeviceQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<DeviceView>>, Problem> {
    let limit = page.limit()?;
    let filter = Filter { state: query.state, serial: query.serial.as_deref(), text: query.q.as_deref() };
    let rows = store::list(&app.db, &filter, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(DeviceView::from)))
}

/// One device with all its GUIDs, and with what it said.
pub async fn view(app: &App, device: Device) -> Result<DeviceView, Error> {
    let guids = store::guids_of(&app.db, &device.id).await?;
    let mut view = DeviceView::from(device);
    view.renewal_report = reports::find(&app.db, &view.id).await?;
    view.guids = guids.into_iter().map(|(guid, since)| GuidView { guid: guid.to_string(), since }).collect();
    Ok(view)
}
