//! Where devices find this service: `rvto2addr` of version 2, `owner/redirect` of version 1.

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data};
use fdo_protocol::RvTo2Addr;
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::to2_addresses::{self, AddressView, Version};
use fdo_service::operators::Operator;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;

use crate::app::App;
use crate::redirect;

fn read(body: &Bytes) -> Result<Option<RvTo2Addr>, Refusal> {
    let misfit =
        |error: serde_json::Error| Refusal::bad_request("body", format!("The body does not fit: {error}."));
    to2_addresses::read(&serde_json::from_slice::<Vec<AddressView>>(body).map_err(misfit)?)
}

/// What was set; `public_url` is not told here, as scripts take `[]` for "set it now".
pub(crate) async fn get(app: Data<App>, _: Require<Read>) -> Result<HttpResponse, Refusal> {
    let set = redirect::find(&app.db).await?;
    Ok(HttpResponse::Ok().json(to2_addresses::write(set.as_ref(), Version::Two)))
}

pub(crate) async fn put(app: Data<App>, who: Require<Write>, body: Bytes) -> Result<HttpResponse, Refusal> {
    let addresses = read(&body)?;
    match &addresses {
        Some(addresses) => redirect::set(&app.db, addresses, &who.id, app.clock.now()).await?,
        None => redirect::reset(&app.db, &who.id, app.clock.now()).await.map(|_| ())?,
    }
    Ok(HttpResponse::Ok().json(to2_addresses::write(addresses.as_ref(), Version::Two)))
}

pub(crate) async fn delete(app: Data<App>, who: Require<Write>) -> Result<HttpResponse, Refusal> {
    let before = redirect::reset(&app.db, &who.id, app.clock.now()).await?;
    Ok(HttpResponse::Ok().json(to2_addresses::write(before.as_ref(), Version::Two)))
}

pub(crate) async fn get_1(app: Data<App>, _: Require<Read>) -> Result<HttpResponse, Refusal> {
    let set = redirect::find(&app.db).await?.ok_or_else(unset)?;
    Ok(HttpResponse::Ok().json(to2_addresses::write(Some(&set), Version::One)))
}

pub(crate) async fn post_1(app: Data<App>, who: Require<Write>, body: Bytes) -> Result<HttpResponse, Refusal> {
    if redirect::find(&app.db).await?.is_some() {
        return Err(Problem::conflict("redirect-exists", "A redirect is set; change it by PUT.").into());
    }
    set_1(&app, &who, &body).await.map(|shown| HttpResponse::Created().json(shown))
}

pub(crate) async fn put_1(app: Data<App>, who: Require<Write>, body: Bytes) -> Result<HttpResponse, Refusal> {
    redirect::find(&app.db).await?.ok_or_else(unset)?;
    set_1(&app, &who, &body).await.map(|shown| HttpResponse::Ok().json(shown))
}

async fn set_1(app: &App, who: &Operator, body: &Bytes) -> Result<Vec<AddressView>, Refusal> {
    let empty = || Refusal::bad_request("rvto2addr", "It names no address.");
    let addresses = read(body)?.ok_or_else(empty)?;
    redirect::set(&app.db, &addresses, &who.id, app.clock.now()).await?;
    Ok(to2_addresses::write(Some(&addresses), Version::One))
}

fn unset() -> Refusal {
    Refusal::not_found("redirect-unset", "No redirect is set, so the configuration's `public_url` counts.")
}
