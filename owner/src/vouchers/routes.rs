//! `/api/v1/vouchers`.

use actix_web::http::header::{ACCEPT, CONTENT_DISPOSITION};
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::upload::{self, Item};
use super::{Error, Imported, State, StoredVoucher, store};
use crate::app::App;

/// The media type of a voucher in CBOR (voucher transfer, section 1).
pub const CBOR: &str = "application/x-fdo-voucher";
const PEM: &str = "application/x-pem-file";

/// A voucher as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VoucherView {
    pub guid: String,
    pub device_id: String,
    pub state: State,
    pub owner_key: String,
    pub manufacturer_key: String,
    pub trusted: bool,
    pub entries: u32,
    pub sha256: String,
    pub replaced_by: Option<String>,
    pub register_at: Option<u64>,
    pub created: u64,
    pub updated: u64,
}

impl From<StoredVoucher> for VoucherView {
    fn from(voucher: StoredVoucher) -> Self {
        Self {
            guid: voucher.guid.to_string(),
            device_id: voucher.device_id,
            state: voucher.state,
            owner_key: voucher.owner_key,
            manufacturer_key: voucher.maker_key,
            trusted: voucher.trusted,
            entries: voucher.entries,
            sha256: hex::encode(voucher.hash),
            replaced_by: voucher.replaced_by.map(|guid| guid.to_string()),
            register_at: voucher.register_at,
            created: voucher.created,
            updated: voucher.updated,
        }
    }
}

/// What became of each voucher of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub results: Vec<ReportItem>,
}

/// What became of one: `imported`, `unchanged`, `extended` or `refused` with the reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportItem {
    pub guid: Option<String>,
    pub serial: Option<String>,
    pub status: String,
    pub code: Option<String>,
    pub detail: Option<String>,
}

impl From<&Item> for ReportItem {
    fn from(item: &Item) -> Self {
        let (status, problem) = match &item.result {
            Ok(Imported::New) => ("imported", None),
            Ok(Imported::Same) => ("unchanged", None),
            Ok(Imported::Extended) => ("extended", None),
            Err(error) => ("refused", Some(error)),
        };
        Self {
            guid: item.guid.map(|guid| guid.to_string()),
            serial: item.serial.clone(),
            status: status.to_owned(),
            code: problem.map(|error| error.code().to_owned()),
            detail: problem.map(ToString::to_string),
        }
    }
}

/// Which vouchers to list.
#[derive(Debug, Deserialize)]
pub struct VoucherQuery {
    pub state: Option<State>,
}

/// How to judge an upload.
#[derive(Debug, Deserialize)]
pub struct UploadQuery {
    #[serde(default)]
    pub allow_untrusted: bool,
    /// Answer 200 with what became of each, also where there is only one.
    #[serde(default)]
    pub each: bool,
}

/// `GET /api/v1/vouchers`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<VoucherQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<VoucherView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, query.state, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.guid.to_string()).map(VoucherView::from)))
}

/// `POST /api/v1/vouchers`: one in CBOR, or any number in PEM. One alone answers 201, 200 or its problem.
pub async fn upload(
    app: Data<App>,
    who: Require<Write>,
    query: Query<UploadQuery>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let mut items = upload::import_file(&app, &who.id, &body, query.allow_untrusted).await?;
    let report = Report { results: items.iter().map(ReportItem::from).collect() };
    if items.len() > 1 || query.each {
        return Ok(HttpResponse::Ok().json(report));
    }
    match items.pop().map(|item| item.result) {
        Some(Ok(Imported::New)) => Ok(HttpResponse::Created().json(report)),
        Some(Err(error)) => Err(error.into()),
        _ => Ok(HttpResponse::Ok().json(report)),
    }
}

/// `GET /api/v1/vouchers/{guid}`
pub async fn get(app: Data<App>, _: Require<Read>, guid: Path<String>) -> Result<Json<VoucherView>, Problem> {
    let guid = parse(&guid)?;
    let voucher = store::find_by_guid(&app.db, &guid).await?.ok_or(Error::NotFound(guid))?;
    Ok(Json(voucher.into()))
}

/// `GET /api/v1/vouchers/{guid}/download`: PEM, or CBOR where `Accept` names it.
pub async fn download(
    app: Data<App>,
    _: Require<Read>,
    guid: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let guid = parse(&guid)?;
    let bytes = store::bytes(&app.db, &guid).await?.ok_or(Error::NotFound(guid))?;
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = format!("attachment; filename=\"{guid}.fdoov\"");
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_DISPOSITION, name));
    if accept.contains(CBOR) || accept.contains("application/cbor") {
        return Ok(response.content_type(CBOR).body(bytes));
    }
    let pem = Voucher::from_bytes(&bytes).map_err(Error::from)?.to_pem();
    Ok(response.content_type(PEM).body(pem))
}

/// `POST /api/v1/vouchers/{guid}/block`
pub async fn block(app: Data<App>, who: Require<Write>, guid: Path<String>) -> Result<Json<VoucherView>, Problem> {
    set_blocked(&app, &who.id, &guid, true).await
}

/// `POST /api/v1/vouchers/{guid}/unblock`
pub async fn unblock(
    app: Data<App>,
    who: Require<Write>,
    guid: Path<String>,
) -> Result<Json<VoucherView>, Problem> {
    set_blocked(&app, &who.id, &guid, false).await
}

async fn set_blocked(app: &App, actor: &str, guid: &str, blocked: bool) -> Result<Json<VoucherView>, Problem> {
    let (guid, now) = (parse(guid)?, app.clock.now());
    let transaction = database::begin(&app.db).await?;
    store::set_blocked(&transaction, now, &guid, blocked).await?;
    let voucher = store::find_by_guid(&transaction, &guid).await?.ok_or(Error::NotFound(guid))?;
    let action = if blocked { "voucher.block" } else { "voucher.unblock" };
    let event = Event { actor, action, subject: &guid.to_string(), outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(Json(voucher.into()))
}

fn parse(guid: &str) -> Result<Guid, Problem> {
    guid.parse().map_err(|_| Problem::bad_request("guid", format!("`{guid}` is not a GUID.")))
}

impl Error {
    /// The stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "voucher-invalid",
            Self::NotOurs(_) => "voucher-not-ours",
            Self::NoEntries => "voucher-no-entries",
            Self::Certificates(_) => "voucher-certificates",
            Self::Untrusted(_) => "voucher-untrusted",
            Self::Fork(_) => "voucher-fork",
            Self::OtherMaker(_) => "voucher-other-maker",
            Self::SoldOn(_) => "voucher-sold-on",
            Self::SaleOpen(_) => "voucher-sale-open",
            Self::NotFound(_) => "voucher-unknown",
            Self::NotInUse(..) => "voucher-not-in-use",
            Self::Database(_) | Self::Inventory(_) => "internal",
        }
    }
}
