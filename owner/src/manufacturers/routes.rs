//! `/api/v1/manufacturers`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::paging::Page;
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{Manufacturer, store};
use crate::app::App;
use crate::trust::TrustedKey;
use crate::trust::routes::TrustView;

/// A manufacturer as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManufacturerView {
    pub id: String,
    pub name: String,
    pub url: String,
    pub identity_fingerprint: String,
    pub created: u64,
    pub contacted: Option<u64>,
    /// What was pinned just now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<TrustView>,
}

impl From<Manufacturer> for ManufacturerView {
    fn from(manufacturer: Manufacturer) -> Self {
        Self {
            id: manufacturer.id,
            name: manufacturer.name,
            url: manufacturer.url,
            identity_fingerprint: manufacturer.identity,
            created: manufacturer.created,
            contacted: manufacturer.contacted,
            pinned: Vec::new(),
        }
    }
}

/// A manufacturer to enrol at. The code is wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewManufacturer {
    pub url: String,
    /// Of its identity, as `fdo-manufacturer buyer add` prints it.
    pub fingerprint: String,
    /// The one-time code that stands beside it.
    pub code: String,
}

impl Drop for NewManufacturer {
    fn drop(&mut self) {
        self.code.zeroize();
    }
}

/// `GET /api/v1/manufacturers`
pub async fn list(app: Data<App>, _: Require<Read>) -> Result<Json<Page<ManufacturerView>>, Problem> {
    let all = store::list(&app.db).await?;
    Ok(Json(Page { items: all.into_iter().map(ManufacturerView::from).collect(), next: None }))
}

/// `POST /api/v1/manufacturers`
pub async fn create(
    app: Data<App>,
    who: Require<Admin>,
    new: Json<NewManufacturer>,
) -> Result<HttpResponse, Problem> {
    let added = super::add(&app, &who.id, new.url.trim(), &new.fingerprint, new.code.trim()).await?;
    Ok(HttpResponse::Created().json(view(added)))
}

/// `POST /api/v1/manufacturers/{id}/refresh`
pub async fn refresh(app: Data<App>, who: Require<Admin>, id: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(view(super::refresh(&app, &who.id, &id).await?)))
}

/// `DELETE /api/v1/manufacturers/{id}`
pub async fn delete(app: Data<App>, who: Require<Admin>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let transaction = database::begin(&app.db).await?;
    store::delete(&transaction, &id).await?;
    let event = Event {
        actor: &who.id,
        action: "manufacturer.remove",
        subject: &id,
        outcome: Outcome::Success,
        detail: "",
    };
    audit::record(&transaction, app.clock.now(), event).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view((manufacturer, pins): (Manufacturer, Vec<TrustedKey>)) -> ManufacturerView {
    let mut view = ManufacturerView::from(manufacturer);
    view.pinned = pins.into_iter().map(TrustView::from).collect();
    view
}
