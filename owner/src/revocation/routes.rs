//! Operators revoke: `/api/v1/certificates/{serial}/..` and `/api/v1/devices/{name}/..`.

use actix_web::Resource;
use actix_web::web::{self, Bytes, Data, Json, Path};
use fdo_pki::Reason;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Error, Withdrawn, withdrawal};
use crate::app::App;
use crate::ca::IssuedCertificate;
use crate::inventory::routes::DeviceView;

/// Why something is revoked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// A name or a number of RFC 5280, 5.3.1; unspecified if absent.
    pub reason: Option<String>,
}

impl Revoke {
    /// No body gives no reason; one that does not fit is refused, and not taken for none.
    fn read(body: &[u8]) -> Result<Reason, Problem> {
        let read = |body| serde_json::from_slice::<Option<Self>>(body).map(Option::unwrap_or_default);
        let revoke = if body.is_empty() { Ok(Self::default()) } else { read(body) };
        let revoke =
            revoke.map_err(|error| Problem::bad_request("body", format!("The body does not fit: {error}.")))?;
        let text = revoke.reason.as_deref().unwrap_or(Reason::Unspecified.name());
        text.parse().map_err(|error: fdo_pki::Error| Problem::unprocessable("reason", error.to_string()))
    }
}

/// A device, and how many of its certificates changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithdrawnView {
    pub certificates: u64,
    pub device: DeviceView,
}

impl From<Withdrawn> for WithdrawnView {
    fn from(withdrawn: Withdrawn) -> Self {
        Self { certificates: withdrawn.certificates, device: withdrawn.device.into() }
    }
}

/// All of them, at the paths that `resource` makes.
pub fn configure(cfg: &mut web::ServiceConfig, resource: fn(&str) -> Resource) {
    cfg.service(resource("certificates/{serial}").route(web::get().to(get)))
        .service(resource("certificates/{serial}/revoke").route(web::post().to(revoke)))
        .service(resource("certificates/{serial}/unrevoke").route(web::post().to(release)))
        .service(resource("devices/{name}/revoke").route(web::post().to(revoke_device)))
        .service(resource("devices/{name}/unrevoke").route(web::post().to(release_device)))
        .service(resource("devices/{name}/decommission").route(web::post().to(decommission)))
        .service(resource("devices/{name}/recommission").route(web::post().to(recommission)))
        .service(resource("devices/{name}/block").route(web::post().to(block)))
        .service(resource("devices/{name}/unblock").route(web::post().to(unblock)));
}

async fn get(app: Data<App>, _: Require<Read>, serial: Path<String>) -> Result<Json<IssuedCertificate>, Problem> {
    Ok(Json(withdrawal::find(&app, &serial).await?))
}

async fn revoke(
    app: Data<App>,
    who: Require<Write>,
    serial: Path<String>,
    body: Bytes,
) -> Result<Json<IssuedCertificate>, Problem> {
    let reason = Revoke::read(&body)?;
    Ok(Json(super::revoke(&app, &who.id, &serial, reason).await?))
}

async fn release(
    app: Data<App>,
    who: Require<Write>,
    serial: Path<String>,
) -> Result<Json<IssuedCertificate>, Problem> {
    Ok(Json(super::release(&app, &who.id, &serial).await?))
}

async fn revoke_device(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    body: Bytes,
) -> Result<Json<WithdrawnView>, Problem> {
    let reason = Revoke::read(&body)?;
    Ok(Json(super::revoke_device(&app, &who.id, &name, reason).await?.into()))
}

async fn release_device(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
) -> Result<Json<WithdrawnView>, Problem> {
    Ok(Json(super::release_device(&app, &who.id, &name).await?.into()))
}

async fn decommission(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
) -> Result<Json<WithdrawnView>, Problem> {
    Ok(Json(super::decommission(&app, &who.id, &name).await?.into()))
}

async fn recommission(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
) -> Result<Json<WithdrawnView>, Problem> {
    Ok(Json(super::recommission(&app, &who.id, &name).await?.into()))
}

async fn block(app: Data<App>, who: Require<Write>, name: Path<String>) -> Result<Json<WithdrawnView>, Problem> {
    Ok(Json(super::block(&app, &who.id, &name, true).await?.into()))
}

async fn unblock(app: Data<App>, who: Require<Write>, name: Path<String>) -> Result<Json<WithdrawnView>, Problem> {
    Ok(Json(super::block(&app, &who.id, &name, false).await?.into()))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("certificate-unknown", detail),
            Error::Revoked { .. } => Self::conflict("certificate-revoked", detail),
            Error::NotHeld(_) | Error::NothingHeld(_) => Self::conflict("certificate-not-held", detail),
            Error::Reason(_) => Self::unprocessable("reason", detail),
            Error::Sold(_) => Self::conflict("device-sold", detail),
            Error::InService(_) => Self::conflict("device-in-service", detail),
            Error::NoAuthority(_) => Self::not_found("ca-unknown", detail),
            Error::Busy => Self::unavailable("crl-busy", detail),
            Error::Inventory(error) => error.into(),
            Error::Voucher(error) => error.into(),
            Error::Pki(_) | Error::Key(_) | Error::Database(_) => Self::internal(&error),
        }
    }
}
