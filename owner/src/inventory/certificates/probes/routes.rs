//! `/api/v1/probes`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{DAILY, Probe, Sighting, store};
use crate::app::App;
use crate::inventory::certificates::Error;

/// An endpoint as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbeView {
    pub id: String,
    pub endpoint: String,
    pub every_seconds: u64,
    pub next_at: u64,
    pub last_at: Option<u64>,
    pub last_seen: Option<u64>,
    pub failures: u64,
    pub error: Option<String>,
    pub created: u64,
    /// The chain that it serves; only where one endpoint is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<SightingView>,
}

impl From<Probe> for ProbeView {
    fn from(probe: Probe) -> Self {
        Self {
            id: probe.id,
            endpoint: probe.endpoint,
            every_seconds: probe.every_seconds,
            next_at: probe.next_at,
            last_at: probe.last_at,
            last_seen: probe.last_seen,
            failures: probe.failures,
            error: probe.error,
            created: probe.created,
            chain: Vec::new(),
        }
    }
}

/// A certificate in a chain that is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SightingView {
    pub endpoint: String,
    /// 0 is the server's own certificate.
    pub position: u32,
    pub fingerprint: String,
    pub first_seen: u64,
    pub last_seen: u64,
}

impl From<Sighting> for SightingView {
    fn from(seen: Sighting) -> Self {
        Self {
            endpoint: seen.endpoint,
            position: seen.position,
            fingerprint: seen.fingerprint,
            first_seen: seen.first_seen,
            last_seen: seen.last_seen,
        }
    }
}

/// An endpoint to look at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProbe {
    /// `host:port`.
    pub endpoint: String,
    /// A day if absent.
    pub every_seconds: Option<u64>,
}

/// What may be changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeChange {
    pub every_seconds: u64,
}

/// `GET /api/v1/probes`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ProbeView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.endpoint.clone()).map(ProbeView::from)))
}

/// `POST /api/v1/probes`
pub async fn add(app: Data<App>, who: Require<Write>, new: Json<NewProbe>) -> Result<HttpResponse, Problem> {
    let probe = super::add(&app, &who.id, &new.endpoint, new.every_seconds.unwrap_or(DAILY)).await?;
    Ok(HttpResponse::Created().json(ProbeView::from(probe)))
}

/// `GET /api/v1/probes/{id}`, by id or endpoint.
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<ProbeView>, Problem> {
    let probe = find(&app, &id).await?;
    view(&app, probe).await
}

/// `PUT /api/v1/probes/{id}`
pub async fn set(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    change: Json<ProbeChange>,
) -> Result<Json<ProbeView>, Problem> {
    let probe = find(&app, &id).await?;
    Ok(Json(super::set_interval(&app, &who.id, &probe.id, change.every_seconds).await?.into()))
}

/// `DELETE /api/v1/probes/{id}`
pub async fn remove(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let probe = find(&app, &id).await?;
    super::remove(&app, &who.id, &probe.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/probes/{id}/run`: looks at it now and says what it serves.
pub async fn run(app: Data<App>, _: Require<Write>, id: Path<String>) -> Result<Json<ProbeView>, Problem> {
    let probe = find(&app, &id).await?;
    let after = super::look(&app, &probe).await?;
    view(&app, after).await
}

async fn view(app: &App, probe: Probe) -> Result<Json<ProbeView>, Problem> {
    let chain = store::served_by(&app.db, &probe.id).await?;
    let mut view = ProbeView::from(probe);
    view.chain = chain.into_iter().map(SightingView::from).collect();
    Ok(Json(view))
}

async fn find(app: &App, name: &str) -> Result<Probe, Error> {
    store::find(&app.db, name).await?.ok_or_else(|| Error::ProbeUnknown(name.to_owned()))
}
