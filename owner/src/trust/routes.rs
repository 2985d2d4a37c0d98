//! `/api/v1/trust`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::paging::Page;
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Error, Kind, TrustedKey, store};
use crate::app::App;

/// A pin as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrustView {
    pub fingerprint: String,
    pub kind: Kind,
    pub name: String,
    pub manufacturer: Option<String>,
    pub pem: String,
    pub created: u64,
}

/// A pin to make.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTrust {
    pub kind: Kind,
    pub name: String,
    /// `PUBLIC KEY` or `CERTIFICATE` in PEM. A certificate may also stand for its key as a manufacturer's.
    pub pem: String,
}

impl From<TrustedKey> for TrustView {
    fn from(pin: TrustedKey) -> Self {
        let label = match pin.kind {
            Kind::ManufacturerKey => "PUBLIC KEY",
            Kind::DeviceCa => "CERTIFICATE",
        };
        let pem = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, &pin.der).unwrap_or_default();
        Self {
            fingerprint: pin.fingerprint,
            kind: pin.kind,
            name: pin.name,
            manufacturer: pin.manufacturer,
            pem,
            created: pin.created,
        }
    }
}

/// `GET /api/v1/trust`
pub async fn list(app: Data<App>, _: Require<Read>) -> Result<Json<Page<TrustView>>, Problem> {
    let pins = store::list(&app.db).await?;
    Ok(Json(Page { items: pins.into_iter().map(TrustView::from).collect(), next: None }))
}

/// `POST /api/v1/trust`
pub async fn create(app: Data<App>, who: Require<Admin>, new: Json<NewTrust>) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let pin = TrustedKey::parse(new.kind, &new.name, None, &der_of(&new)?, now)?;
    super::add(&app.db, &pin, &who.id, now).await?;
    Ok(HttpResponse::Created().json(TrustView::from(pin)))
}

/// `DELETE /api/v1/trust/{fingerprint}`
pub async fn delete(
    app: Data<App>,
    who: Require<Admin>,
    fingerprint: Path<String>,
) -> Result<HttpResponse, Problem> {
    super::remove(&app.db, &fingerprint, &who.id, app.clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn der_of(new: &NewTrust) -> Result<Vec<u8>, Error> {
    let (label, der) =
        pem_rfc7468::decode_vec(new.pem.trim().as_bytes()).map_err(|error| Error::Key(error.to_string()))?;
    match (new.kind, label) {
        (Kind::ManufacturerKey, "CERTIFICATE") => Ok(fdo_pki::Certificate::parse(&der)?.spki().to_vec()),
        (Kind::ManufacturerKey, "PUBLIC KEY") | (Kind::DeviceCa, "CERTIFICATE") => Ok(der),
        (_, other) => Err(Error::Key(format!("a PEM block labelled {other}"))),
    }
}
