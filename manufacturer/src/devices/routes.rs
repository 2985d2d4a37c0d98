//! `/api/v1/devices`: enter serials (one, many, a range, a CSV), see them, release and block them.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Device, DeviceState, Devices, Entered};
use crate::csv;
use crate::report::Report;
use crate::serial::Serial;

pub fn configure(cfg: &mut web::ServiceConfig, devices: &Arc<Devices>) {
    cfg.app_data(web::Data::from(devices.clone()))
        .service(web::resource("/api/v1/devices").route(web::get().to(list)).route(web::post().to(enter)))
        .service(web::resource("/api/v1/devices/import").route(web::post().to(import)))
        .service(web::resource("/api/v1/devices/{serial}").route(web::get().to(get)))
        .service(web::resource("/api/v1/devices/{serial}/release").route(web::post().to(release)))
        .service(web::resource("/api/v1/devices/{serial}/block").route(web::post().to(block)))
        .service(web::resource("/api/v1/devices/{serial}/unblock").route(web::post().to(unblock)));
}

/// A device as the API shows it.
#[derive(Debug, Serialize)]
struct View {
    serial: String,
    model: Option<String>,
    hardware_serial: Option<String>,
    state: &'static str,
    guid: Option<String>,
    created: u64,
    updated: u64,
}

impl From<Device> for View {
    fn from(device: Device) -> Self {
        Self {
            serial: device.serial.to_string(),
            model: device.model,
            hardware_serial: device.hardware_serial,
            state: device.state.name(),
            guid: device.guid.map(|guid| guid.to_string()),
            created: device.created,
            updated: device.updated,
        }
    }
}

#[derive(Deserialize)]
struct StateQuery {
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnterBody {
    /// Serial numbers, and ranges such as `FL-0001..FL-0100`.
    serials: Vec<String>,
    model: Option<String>,
    hardware_serial: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// `?dry_run=true`.
#[derive(Deserialize)]
pub struct DryRun {
    #[serde(default)]
    pub dry_run: bool,
}

async fn list(
    _: Require<Read>,
    devices: web::Data<Devices>,
    page: web::Query<PageQuery>,
    query: web::Query<StateQuery>,
) -> Result<web::Json<Page<View>>, Problem> {
    let wrong = || Problem::bad_request("state", "`state` is admitted, initialized or blocked.");
    let state = query.state.as_deref().map(|name| DeviceState::from_name(name).ok_or_else(wrong)).transpose()?;
    let limit = page.limit()?;
    let rows = devices.list(state, page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.serial.canon().to_owned()).map(View::from)))
}

async fn get(
    _: Require<Read>,
    devices: web::Data<Devices>,
    serial: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    let serial = parse(&serial)?;
    let missing = || Problem::not_found("serial-unknown", "There is no such serial number; enter it first.");
    Ok(web::Json(devices.find(&serial).await?.ok_or_else(missing)?.into()))
}

async fn enter(
    who: Require<Write>,
    devices: web::Data<Devices>,
    body: web::Json<EnterBody>,
) -> Result<HttpResponse, Problem> {
    let mut rows: Vec<Entered> = Vec::new();
    let mut push = |serial: String| {
        let (model, hardware_serial) = (body.model.clone(), body.hardware_serial.clone());
        rows.push(Entered { line: rows.len() + 1, serial, model, hardware_serial });
    };
    for text in &body.serials {
        if text.contains("..") {
            Serial::range(text).map_err(wrong_serial)?.into_iter().for_each(|serial| push(serial.to_string()));
        } else {
            push(text.clone());
        }
    }
    answer(devices.enter(&who.id, &rows, body.dry_run).await?)
}

async fn import(
    who: Require<Write>,
    devices: web::Data<Devices>,
    query: web::Query<DryRun>,
    body: String,
) -> Result<HttpResponse, Problem> {
    let rows = csv::parse(&body, ["serial", "model", "hardware_serial"])?;
    let rows = rows.into_iter().map(|row| {
        let [serial, model, hardware_serial] = row.fields;
        Entered { line: row.line, serial: serial.unwrap_or_default(), model, hardware_serial }
    });
    answer(devices.enter(&who.id, &rows.collect::<Vec<_>>(), query.dry_run).await?)
}

async fn release(
    who: Require<Write>,
    devices: web::Data<Devices>,
    serial: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    Ok(web::Json(devices.release(&who.id, &parse(&serial)?).await?.into()))
}

async fn block(
    who: Require<Write>,
    devices: web::Data<Devices>,
    serial: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    Ok(web::Json(devices.set_blocked(&who.id, &parse(&serial)?, true).await?.into()))
}

async fn unblock(
    who: Require<Write>,
    devices: web::Data<Devices>,
    serial: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    Ok(web::Json(devices.set_blocked(&who.id, &parse(&serial)?, false).await?.into()))
}

/// The report says whether the list was applied; a refused one is no failure of the request.
pub fn answer(report: Report) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(report))
}

pub fn parse(serial: &str) -> Result<Serial, Problem> {
    Serial::parse(serial).map_err(wrong_serial)
}

fn wrong_serial(error: crate::serial::SerialError) -> Problem {
    Problem::unprocessable("serial", error.to_string())
}
