//! `/api/v1/inventory`.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{self, Bytes, Data, Json, Path, Query};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::export::{Export, Format};
use super::probes::{self, SightingView};
use super::store::WITHOUT_END;
use super::{Error, Filter, Listed, Source, Status, store, upload};
use crate::app::App;
use crate::inventory;

/// Adds the URLs.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(format!("/api/v1/{path}"));
    let all = resource("inventory").app_data(web::PayloadConfig::new(upload::MAX_UPLOAD));
    cfg.service(all.route(web::get().to(list)).route(web::post().to(add)))
        .service(resource("inventory/export").route(web::get().to(export)))
        .service(resource("inventory/{fingerprint}").route(web::get().to(get)).route(web::delete().to(retire)));
    let probes = resource("probes").route(web::get().to(probes::routes::list));
    let probe = resource("probes/{id}").route(web::get().to(probes::routes::get));
    cfg.service(probes.route(web::post().to(probes::routes::add)))
        .service(probe.route(web::put().to(probes::routes::set)).route(web::delete().to(probes::routes::remove)))
        .service(resource("probes/{id}/run").route(web::post().to(probes::routes::run)));
}

/// A certificate or a bare key as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateView {
    pub fingerprint: String,
    pub source: Source,
    pub status: Status,
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    /// None for a bare key.
    pub not_before: Option<u64>,
    /// None for a bare key, and where there is no end.
    pub not_after: Option<u64>,
    pub key_type: String,
    pub is_ca: bool,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub guid: Option<String>,
    pub profile: Option<String>,
    pub name: Option<String>,
    pub reason: Option<String>,
    pub first_seen: u64,
    pub last_seen: u64,
}

impl CertificateView {
    pub fn new(listed: Listed, now: u64) -> Self {
        Self {
            status: listed.status(now),
            not_before: (!listed.is_bare_key()).then_some(listed.not_before),
            not_after: (listed.not_after < WITHOUT_END).then_some(listed.not_after),
            fingerprint: listed.fingerprint,
            source: listed.source,
            subject: listed.subject,
            issuer: listed.issuer,
            serial: listed.serial,
            key_type: listed.key_type,
            is_ca: listed.is_ca,
            device_id: listed.device_id,
            device_serial: listed.device_serial,
            guid: listed.guid,
            profile: listed.profile,
            name: listed.name,
            reason: listed.reason,
            first_seen: listed.first_seen,
            last_seen: listed.last_seen,
        }
    }
}

/// One with its PEM and the endpoints that serve it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WholeView {
    #[serde(flatten)]
    pub certificate: CertificateView,
    /// `CERTIFICATE`, or `PUBLIC KEY` of a bare key.
    pub pem: String,
    pub endpoints: Vec<SightingView>,
}

/// Which certificates.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct InventoryQuery {
    /// A device's serial or GUID.
    pub device: Option<String>,
    /// The certificate's serial number in hexadecimal.
    pub serial: Option<String>,
    pub issuer: Option<String>,
    /// Unix seconds.
    pub expires_before: Option<u64>,
    pub expires_after: Option<u64>,
    pub key_type: Option<String>,
    pub status: Option<Status>,
    pub fingerprint: Option<String>,
    pub source: Option<Source>,
    /// Beginnings of words.
    pub q: Option<String>,
}

async fn filter(app: &App, query: InventoryQuery) -> Result<Filter, Error> {
    let mut filter = Filter {
        serial: query.serial.as_deref().map(serial),
        issuer: query.issuer,
        expires_before: query.expires_before,
        expires_after: query.expires_after,
        key_type: query.key_type,
        status: query.status,
        fingerprint: query.fingerprint.as_deref().map(fingerprint).transpose()?,
        source: query.source,
        ..Filter::default()
    };
    if let Some(device) = query.device {
        match inventory::find_by_name(&app.db, &device).await {
            Ok(found) => filter.device_id = Some(found.id),
            // A device that was sold has no row any more, but its certificates have.
            Err(inventory::Error::NotFound(_)) => filter.device_serial = Some(device),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(text) = query.q {
        filter.words = Filter::search(&text);
        if filter.words.is_empty() {
            return Err(Error::Search);
        }
    }
    Ok(filter)
}

fn plain_hex(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_lowercase()
}

/// As certificates' serial numbers are kept: no octet of zeros in front.
fn serial(text: &str) -> String {
    let plain = plain_hex(text);
    let mut rest = plain.as_str();
    while rest.len() > 2 {
        let Some(shorter) = rest.strip_prefix("00") else { break };
        rest = shorter;
    }
    rest.to_owned()
}

fn fingerprint(text: &str) -> Result<String, Error> {
    let plain = plain_hex(text);
    let fits = plain.len() == 64 && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(plain) } else { Err(Error::Fingerprint(text.chars().take(80).collect())) }
}

/// `GET /api/v1/inventory`: in the order of their ends.
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<InventoryQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<CertificateView>>, Problem> {
    let (limit, now) = (page.limit()?, app.clock.now());
    let filter = filter(&app, query.into_inner()).await?;
    let rows = store::list(&app.db, &filter, page.after()?, limit + 1, now).await?;
    let key = |last: &Listed| (last.not_after, last.fingerprint.clone());
    Ok(Json(Page::from_rows(rows, limit, key).map(|row| CertificateView::new(row, now))))
}

/// `GET /api/v1/inventory/{fingerprint}`
pub async fn get(app: Data<App>, _: Require<Read>, name: Path<String>) -> Result<Json<WholeView>, Problem> {
    let fingerprint = fingerprint(&name)?;
    let found = store::find(&app.db, &fingerprint).await?;
    let (listed, der) = found.ok_or_else(|| Error::NotFound(fingerprint.clone()))?;
    let label = if listed.is_bare_key() { "PUBLIC KEY" } else { "CERTIFICATE" };
    let pem = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, &der).unwrap_or_default();
    let endpoints = probes::sightings_of(&app.db, &fingerprint).await?;
    Ok(Json(WholeView { certificate: CertificateView::new(listed, app.clock.now()), pem, endpoints }))
}

/// `DELETE /api/v1/inventory/{fingerprint}`: what was uploaded is not used any more.
pub async fn retire(app: Data<App>, who: Require<Write>, name: Path<String>) -> Result<HttpResponse, Problem> {
    upload::retire(&app, &who.id, &fingerprint(&name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// How to export.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ExportQuery {
    #[serde(default)]
    pub format: Format,
}

/// The header that says how many rows an export will have.
pub const ROWS_HEADER: &str = "firstlight-rows";

/// `GET /api/v1/inventory/export`, streamed.
pub async fn export(
    app: Data<App>,
    _: Require<Read>,
    query: Query<InventoryQuery>,
    how: Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let filter = filter(&app, query.into_inner()).await?;
    let rows = store::count(&app.db, &filter, now).await?;
    let (media_type, name) = match how.format {
        Format::Csv => ("text/csv; charset=utf-8", "inventory.csv"),
        Format::Json => ("application/json", "inventory.json"),
    };
    let export = Export::new(filter, how.format, now);
    let parts = stream::try_unfold((app, export), |(app, mut export)| async {
        let part = export.next(&app).await.map_err(|error| Problem::internal(&error))?;
        Ok::<_, Problem>(part.map(|part| (Bytes::from(part), (app, export))))
    });
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((ROWS_HEADER, rows.to_string()))
        .streaming(parts))
}

/// The name under which what is uploaded is listed.
#[derive(Debug, Deserialize)]
pub struct UploadQuery {
    pub name: Option<String>,
}

/// `POST /api/v1/inventory`: a certificate in DER, or any number in PEM.
pub async fn add(
    app: Data<App>,
    who: Require<Write>,
    query: Query<UploadQuery>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let added = upload::add(&app, &who.id, &body, query.name.as_deref()).await;
    if matches!(added, Err(Error::PrivateKey)) {
        tracing::warn!(operator = who.id, "a private key was uploaded; it was refused and not kept");
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.as_mut().zeroize();
        }
    }
    let now = app.clock.now();
    let views: Vec<CertificateView> = added?.into_iter().map(|row| CertificateView::new(row, now)).collect();
    Ok(HttpResponse::Created().json(Page { items: views, next: None }))
}
