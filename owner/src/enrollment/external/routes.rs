//! `/api/v1/requests`: requests that wait; `/api/v1/ca/external`: outside CAs.

use actix_web::web;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use fdo_pki::Certificate;
use fdo_service::operators::require::{Admin, Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Error, server};
use crate::app::App;
use crate::ca::authorities::external::{self, Connection};
use crate::ca::authorities::rollover;
use crate::ca::authorities::routes::{CaEntry, shown};
use crate::ca::requests::store::{self, RequestFilter};
use crate::ca::requests::{EnrollmentRequest, RequestState};

/// A request as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestView {
    pub id: String,
    pub guid: String,
    pub device_id: String,
    pub device_serial: Option<String>,
    pub profile: String,
    /// The CA that is to sign; "own" for our own.
    pub authority: String,
    pub state: RequestState,
    /// Whether the onboarding that it was made in has ended, if it was one.
    pub confirmed: bool,
    pub origin: String,
    pub replaces: Option<String>,
    pub certificate: Option<String>,
    pub reason: Option<String>,
    pub attempts: u64,
    pub next_attempt: Option<u64>,
    pub created: u64,
    pub updated: u64,
    /// PKCS#10, PEM.
    pub csr: String,
}

impl TryFrom<EnrollmentRequest> for RequestView {
    type Error = Problem;

    fn try_from(request: EnrollmentRequest) -> Result<Self, Problem> {
        let own = || "own".to_owned();
        Ok(Self {
            csr: fdo_pki::pem::encode_csr(&request.csr).map_err(|error| Problem::internal(&error))?,
            authority: Some(request.authority).filter(|id| !id.is_empty()).unwrap_or_else(own),
            id: request.id,
            guid: request.guid.to_string(),
            device_id: request.device_id,
            device_serial: request.device_serial,
            profile: request.profile,
            state: request.state,
            confirmed: request.session.is_none(),
            origin: request.origin,
            replaces: request.replaces,
            certificate: request.certificate,
            reason: request.reason,
            attempts: request.attempts,
            next_attempt: request.next_attempt,
            created: request.created,
            updated: request.updated,
        })
    }
}

/// `GET /api/v1/requests`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
    filter: Query<RequestFilter>,
) -> Result<Json<Page<RequestView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, &filter, page.after::<String>()?.as_deref(), limit + 1).await;
    let views = rows.map_err(Error::from)?.into_iter().map(RequestView::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Page::from_rows(views, limit, |last: &RequestView| last.id.clone())))
}

/// `GET /api/v1/requests/{id}`
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<RequestView>, Problem> {
    Ok(Json(super::find(&app, &id).await?.try_into()?))
}

/// `POST /api/v1/requests/{id}/approve`
pub async fn approve(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<Json<RequestView>, Problem> {
    Ok(Json(super::approve(&app, &who.id, &id).await?.try_into()?))
}

/// Why a request is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub reason: String,
}

/// `POST /api/v1/requests/{id}/refuse`
pub async fn refuse(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    body: Json<Refusal>,
) -> Result<Json<RequestView>, Problem> {
    Ok(Json(super::refuse(&app, &who.id, &id, &body.reason).await?.try_into()?))
}

/// `POST /api/v1/requests/{id}/certificate`: PEM, the certificate and whatever CAs come with it.
pub async fn upload(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    body: Bytes,
) -> Result<Json<RequestView>, Problem> {
    let text = String::from_utf8_lossy(&body);
    Ok(Json(super::upload(&app, &who.id, &id, &text).await?.try_into()?))
}

/// An outside CA: its certificate, what stands above it up to the root, and how it is reached.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideCa {
    /// PEM.
    pub certificate: String,
    pub connection: Connection,
}

/// `PUT /api/v1/ca/external/{id}`
pub async fn put(
    app: Data<App>,
    who: Require<Admin>,
    id: Path<String>,
    body: Json<OutsideCa>,
) -> Result<Json<CaEntry>, Problem> {
    let unusable = |detail: String| Problem::unprocessable("ca-connection", detail);
    let read = |der: &Vec<u8>| Certificate::parse(der);
    let chain = fdo_pki::pem::decode_certificates(&body.certificate)
        .and_then(|all| all.iter().map(read).collect::<Result<Vec<_>, _>>())
        .map_err(rollover::Error::Chain)?;
    if let Connection::Est(est) = &body.connection {
        server::tls(est).map_err(|error| unusable(error.to_string()))?;
        if !est.url.starts_with("https://") {
            return Err(unusable(format!("{:?} is not an https:// URL", est.url)));
        }
    }
    external::set(&app, &who.id, &id, &chain, &body.connection).await?;
    shown(&app, &id).await
}

/// All of them.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(format!("/api/v1/{path}"));
    cfg.service(resource("requests").route(web::get().to(list)))
        .service(resource("requests/{id}").route(web::get().to(get)))
        .service(resource("requests/{id}/approve").route(web::post().to(approve)))
        .service(resource("requests/{id}/refuse").route(web::post().to(refuse)))
        .service(resource("requests/{id}/certificate").route(web::post().to(upload)))
        .service(resource("ca/external/{id}").route(web::put().to(put)));
}
