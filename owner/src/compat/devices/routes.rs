//! The fleet as `devices` of version 2 and `owner/devices` of version 1 show it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use fdo_service::compat::page::{Window, WindowQuery};
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::timestamp;
use fdo_service::compat::vouchers::guid;
use fdo_service::operators::require::{Read, Require};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::inventory;

/// Version 1 knows no pages; more than this is not answered at once.
const MOST: u64 = 10_000;

/// A device.
#[derive(Debug, Serialize)]
struct DeviceView {
    guid: String,
    /// The GUID before the last onboarding; empty where there was none.
    old_guid: String,
    device_info: String,
    created_at: String,
    updated_at: String,
    to2_completed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    to2_completed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DeviceQuery {
    limit: Option<u64>,
    offset: Option<u64>,
    old_guid: Option<String>,
}

pub(crate) async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<DeviceQuery>,
) -> Result<HttpResponse, Refusal> {
    let window = WindowQuery { limit: query.limit, offset: query.offset }.window()?;
    let (devices, total) = select(&app, window, query.old_guid.as_deref()).await?;
    let (limit, offset) = (window.limit, window.offset);
    Ok(HttpResponse::Ok().json(json!({ "devices": devices, "limit": limit, "offset": offset, "total": total })))
}

pub(crate) async fn list_1(
    app: Data<App>,
    _: Require<Read>,
    query: Query<DeviceQuery>,
) -> Result<HttpResponse, Refusal> {
    let (devices, _) = select(&app, Window { limit: MOST, offset: 0 }, query.old_guid.as_deref()).await?;
    Ok(HttpResponse::Ok().json(devices))
}

async fn select(app: &App, window: Window, old_guid: Option<&str>) -> Result<(Vec<DeviceView>, u64), Refusal> {
    let old = old_guid.filter(|text| !text.is_empty()).map(guid).transpose()?;
    let (devices, total) = inventory::select(&app.db, window, old.as_ref()).await?;
    let mut views = Vec::with_capacity(devices.len());
    for device in devices {
        // Only an onboarding gives a device another GUID.
        let earlier = match device.onboarded {
            Some(_) => inventory::guids_of(&app.db, &device.id).await?,
            None => Vec::new(),
        };
        let before = earlier.iter().map(|(guid, _)| guid).find(|guid| **guid != device.guid);
        views.push(DeviceView {
            guid: hex::encode(device.guid.as_bytes()),
            old_guid: before.map(|guid| hex::encode(guid.as_bytes())).unwrap_or_default(),
            device_info: device.device_info,
            created_at: timestamp(device.created),
            updated_at: timestamp(device.updated),
            to2_completed: device.onboarded.is_some(),
            to2_completed_at: device.onboarded.map(timestamp),
        });
    }
    Ok((views, total))
}
