//! `/api/v1/alert-targets`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::paging::Page;
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Address, NewTarget, Target, store};
use crate::alerts::{Error, Severity, delivery};
use crate::app::App;

/// A target as operators see it; secrets stay inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetView {
    pub id: String,
    pub name: String,
    #[serde(flatten)]
    pub address: Address,
    pub has_secret: bool,
    pub least_severity: Severity,
    pub enabled: bool,
    pub created: u64,
    pub last_sent: Option<u64>,
    pub last_error: Option<String>,
}

impl From<Target> for TargetView {
    fn from(target: Target) -> Self {
        Self {
            has_secret: target.secret.is_some(),
            id: target.id,
            name: target.name,
            address: target.address,
            least_severity: target.least_severity,
            enabled: target.enabled,
            created: target.created,
            last_sent: target.last_sent,
            last_error: target.last_error,
        }
    }
}

/// A new target, and the secret that was made for it.
#[derive(Serialize, Deserialize)]
pub struct AddedView {
    #[serde(flatten)]
    pub target: TargetView,
    /// Webhook messages are signed with it; it is shown this once.
    pub made_secret: Option<Secret>,
}

/// A secret on its way; wiped when dropped, never shown in logs.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A target to add, or what one becomes.
#[derive(Serialize, Deserialize)]
pub struct TargetRequest {
    pub name: String,
    #[serde(flatten)]
    pub address: Address,
    /// What a webhook's messages are signed with, or a mail server's password.
    pub secret: Option<Secret>,
    pub least_severity: Option<Severity>,
    pub enabled: Option<bool>,
}

impl TargetRequest {
    fn target(self) -> NewTarget {
        NewTarget {
            secret: self.secret.as_ref().map(|secret| Zeroizing::new(secret.text().to_owned())),
            name: self.name,
            address: self.address,
            least_severity: self.least_severity.unwrap_or(Severity::Warning),
            enabled: self.enabled.unwrap_or(true),
        }
    }
}

/// `GET /api/v1/alert-targets`
pub async fn list(app: Data<App>, _: Require<Read>) -> Result<Json<Page<TargetView>>, Problem> {
    let items = store::list(&app.db).await?.into_iter().map(TargetView::from).collect();
    Ok(Json(Page { items, next: None }))
}

/// `POST /api/v1/alert-targets`
pub async fn add(app: Data<App>, who: Require<Admin>, new: Json<TargetRequest>) -> Result<HttpResponse, Problem> {
    let (target, made) = super::add(&app, &who.id, new.into_inner().target()).await?;
    let made_secret = made.map(|secret| Secret::new(&secret));
    Ok(HttpResponse::Created().json(AddedView { target: target.into(), made_secret }))
}

/// `GET /api/v1/alert-targets/{id}`, by id or name.
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<TargetView>, Problem> {
    Ok(Json(find(&app, &id).await?.into()))
}

/// `PUT /api/v1/alert-targets/{id}`
pub async fn set(
    app: Data<App>,
    who: Require<Admin>,
    id: Path<String>,
    new: Json<TargetRequest>,
) -> Result<Json<TargetView>, Problem> {
    Ok(Json(super::set(&app, &who.id, &id, new.into_inner().target()).await?.into()))
}

/// `DELETE /api/v1/alert-targets/{id}`
pub async fn remove(app: Data<App>, who: Require<Admin>, id: Path<String>) -> Result<HttpResponse, Problem> {
    super::remove(&app, &who.id, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/alert-targets/{id}/test`: sends a message now and says how that went.
pub async fn test(app: Data<App>, _: Require<Admin>, id: Path<String>) -> Result<Json<TargetView>, Problem> {
    let target = find(&app, &id).await?;
    delivery::test(&app, &target).await?;
    Ok(Json(find(&app, &id).await?.into()))
}

async fn find(app: &App, name: &str) -> Result<Target, Error> {
    store::find(&app.db, name).await?.ok_or_else(|| Error::TargetUnknown(name.to_owned()))
}
