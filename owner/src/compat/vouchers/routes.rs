//! Vouchers: list, one, import, and extending them, which is resale.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::vouchers::{Summary, SummaryPage, VoucherImport, VoucherQuery, bodies, guid, in_full};
use fdo_service::compat::{key, pem, wants_pem};
use fdo_service::operators::require::{Read, Require, Write};
use serde::Deserialize;

use crate::app::App;
use crate::resale;
use crate::trust::{self, Kind};
use crate::vouchers::upload::{self, ImportError, Item};
use crate::vouchers::{self, Imported};

/// The header that says what the query parameter `even_if_never_onboarded` says.
const EVEN_IF: &str = "x-even-if-never-onboarded";

pub(crate) async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<VoucherQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let wanted = query.wanted()?;
    let (rows, total) = vouchers::select(&app.db, &wanted).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (bytes, created, updated) in rows {
        all.push((decoded(&bytes)?, created, updated));
    }
    if wants_pem(&request) {
        return Ok(pem(all.iter().map(|(voucher, ..)| voucher.to_pem()).collect()));
    }
    let vouchers =
        all.iter().map(|(voucher, created, updated)| Summary::new(voucher, *created, *updated)).collect();
    let window = wanted.window;
    Ok(HttpResponse::Ok().json(SummaryPage { total, limit: window.limit, offset: window.offset, vouchers }))
}

pub(crate) async fn get(
    app: Data<App>,
    _: Require<Read>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let guid = guid(&name)?;
    let bytes = vouchers::bytes(&app.db, &guid).await?.ok_or(vouchers::Error::NotFound(guid))?;
    let voucher = decoded(&bytes)?;
    match wants_pem(&request) {
        true => Ok(pem(voucher.to_pem())),
        false => Ok(HttpResponse::Ok().json(in_full(&voucher).map_err(|error| Refusal::internal(&error))?)),
    }
}

/// 201 where any was imported, 200 where none was, 400 where there was none.
pub(crate) async fn import(
    app: Data<App>,
    who: Require<Write>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let file = bodies(&body, kind.starts_with("application/json"))?;
    let report = match take_up(&app, &who.id, &file).await {
        Ok(items) => report(&app, &items).await?,
        Err(ImportError::File(error)) => {
            let report = VoucherImport { messages: vec![error.to_string()], ..VoucherImport::default() };
            return Ok(HttpResponse::BadRequest().json(report));
        }
        Err(error) => return Err(error.into()),
    };
    let mut response = if report.imported > 0 { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(report))
}

/// Version 1 says 200 to all that is here now, and 400 to the first that is refused.
pub(crate) async fn import_1(app: Data<App>, who: Require<Write>, body: Bytes) -> Result<HttpResponse, Refusal> {
    for item in take_up(&app, &who.id, &body).await? {
        item.result?;
    }
    Ok(HttpResponse::Ok().content_type("text/plain").finish())
}

async fn take_up(app: &App, actor: &str, file: &[u8]) -> Result<Vec<Item>, ImportError> {
    // As that server does: while no device CA is listed, every maker is as good as another.
    let any_maker = app.settings.compat_accept_any_maker
        && !trust::list(&app.db).await?.iter().any(|pin| pin.kind == Kind::DeviceCa);
    upload::import_file(app, actor, file, any_maker).await
}

async fn report(app: &App, items: &[Item]) -> Result<VoucherImport, Refusal> {
    let mut report = VoucherImport { detected: items.len(), ..VoucherImport::default() };
    for (position, item) in (1..).zip(items) {
        let name = item.guid.map_or_else(|| "unreadable".to_owned(), |guid| hex::encode(guid.as_bytes()));
        let outcome = match &item.result {
            Ok(Imported::Same) => {
                report.skipped += 1;
                "was skipped: it is here already".to_owned()
            }
            Ok(Imported::New | Imported::Extended) => {
                report.imported += 1;
                report.vouchers.extend(summary(app, item.guid).await?);
                "was imported".to_owned()
            }
            Err(error) => {
                report.failed += 1;
                format!("was refused: {error}")
            }
        };
        report.messages.push(format!("voucher {position} ({name}) {outcome}"));
    }
    Ok(report)
}

async fn summary(app: &App, guid: Option<Guid>) -> Result<Option<Summary>, Refusal> {
    let Some(guid) = guid else { return Ok(None) };
    let (Some(row), Some(bytes)) =
        (vouchers::find_by_guid(&app.db, &guid).await?, vouchers::bytes(&app.db, &guid).await?)
    else {
        return Ok(None);
    };
    Ok(Some(Summary::new(&decoded(&bytes)?, row.created, row.updated)))
}

/// What may be said beside the key.
#[derive(Debug, Deserialize)]
pub(crate) struct ExtendQuery {
    #[serde(default)]
    even_if_never_onboarded: bool,
}

/// Sells a device: its voucher, extended to the key, leaves with the answer. The same key again gets the same bytes.
pub(crate) async fn extend(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    query: Query<ExtendQuery>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let guid = guid(&name)?;
    let next = key::read(&String::from_utf8_lossy(&body))?;
    let said = request.headers().get(EVEN_IF).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let even_if_never_onboarded = query.even_if_never_onboarded || said;
    let name = guid.to_string();
    let wanted = resale::Request { name: &name, next: &next, even_if_never_onboarded };
    let sale = resale::resell(&app, &who.id, wanted).await?;
    let sale = resale::hand_over(&app, &who.id, &sale.guid).await?;
    Ok(pem(decoded(&sale.bytes)?.to_pem()))
}

fn decoded(bytes: &[u8]) -> Result<Voucher, Refusal> {
    Voucher::from_bytes(bytes).map_err(|error| Refusal::internal(&error))
}
