//! `/api/v1/vouchers`: JSON by default; PEM or CBOR by `Accept` or `?format=pem|cbor`.

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, web};
use fdo_protocol::Guid;
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{StoredVoucher, Vouchers};
use crate::serial::Serial;

pub fn configure(cfg: &mut web::ServiceConfig, vouchers: &Arc<Vouchers>) {
    cfg.app_data(web::Data::from(vouchers.clone()))
        .service(web::resource("/api/v1/vouchers").route(web::get().to(list)))
        .service(web::resource("/api/v1/vouchers/{id}").route(web::get().to(get)));
}

/// A voucher as the API shows it.
#[derive(Debug, Serialize)]
struct View {
    guid: String,
    serial: String,
    model: String,
    state: &'static str,
    key_type: String,
    certificate_serial: String,
    size_bytes: usize,
    checksum: String,
    created: u64,
}

impl From<StoredVoucher> for View {
    fn from(voucher: StoredVoucher) -> Self {
        Self {
            guid: voucher.guid.to_string(),
            size_bytes: voucher.bytes.len(),
            checksum: format!("sha256:{}", hex::encode(Sha256::digest(&voucher.bytes))),
            serial: voucher.serial,
            model: voucher.model,
            state: voucher.state.name(),
            key_type: voucher.key_type.to_string(),
            certificate_serial: voucher.certificate_serial,
            created: voucher.created,
        }
    }
}

#[derive(Deserialize)]
struct FormatQuery {
    format: Option<Format>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Pem,
    Cbor,
}

async fn list(
    _: Require<Read>,
    vouchers: web::Data<Vouchers>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<View>>, Problem> {
    let limit = page.limit()?;
    let rows = vouchers.list(page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.guid.to_string()).map(View::from)))
}

async fn get(
    _: Require<Read>,
    vouchers: web::Data<Vouchers>,
    id: web::Path<String>,
    query: web::Query<FormatQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let serial = Serial::parse(&id).ok();
    let found = vouchers.find(id.parse::<Guid>().ok(), serial.as_ref().map(Serial::canon)).await?;
    let missing = || Problem::not_found("voucher-unknown", "There is no voucher of this GUID or serial number.");
    let voucher = found.ok_or_else(missing)?;
    let format = query.format.unwrap_or_else(|| by_accept(&request));
    let (media_type, ending, body) = match format {
        Format::Json => return Ok(HttpResponse::Ok().json(View::from(voucher))),
        Format::Cbor => ("application/x-fdo-voucher", "fdoov", voucher.bytes),
        Format::Pem => {
            let pem = voucher.voucher().map_err(|error| Problem::internal(&error))?.to_pem();
            ("application/x-pem-file", "pem", pem.into_bytes())
        }
    };
    let name = format!("attachment; filename=\"{}.{ending}\"", voucher.guid);
    Ok(HttpResponse::Ok().content_type(media_type).insert_header((CONTENT_DISPOSITION, name)).body(body))
}

fn by_accept(request: &HttpRequest) -> Format {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("pem") {
        Format::Pem
    } else if accept.contains("x-fdo-voucher") || accept.contains("cbor") || accept.contains("octet-stream") {
        Format::Cbor
    } else {
        Format::Json
    }
}
