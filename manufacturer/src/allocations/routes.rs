//! `/api/v1/allocations`: set serials aside for a buyer, one, many or a CSV, and take that back.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Allocations, Ordered, store::Listed};
use crate::csv;
use crate::devices::routes::{answer, parse};

pub fn configure(cfg: &mut web::ServiceConfig, allocations: &Arc<Allocations>) {
    cfg.app_data(web::Data::from(allocations.clone()))
        .service(web::resource("/api/v1/allocations").route(web::get().to(list)).route(web::post().to(allocate)))
        .service(web::resource("/api/v1/allocations/import").route(web::post().to(import)))
        .service(web::resource("/api/v1/allocations/{serial}").route(web::delete().to(revoke)));
}

/// A live allocation as the API shows it.
#[derive(Debug, Serialize)]
struct View {
    serial: String,
    buyer: String,
    order_ref: Option<String>,
    claimed: bool,
    created: u64,
}

impl From<Listed> for View {
    fn from(listed: Listed) -> Self {
        let Listed { allocation, serial, buyer, claimed } = listed;
        Self { serial, buyer, claimed, order_ref: allocation.order_ref, created: allocation.created }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllocateBody {
    buyer: String,
    serials: Vec<String>,
    order_ref: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct ImportQuery {
    #[serde(default)]
    dry_run: bool,
    buyer: Option<String>,
}

async fn list(
    _: Require<Read>,
    allocations: web::Data<Allocations>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<View>>, Problem> {
    let limit = page.limit()?;
    let rows = allocations.list(page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.allocation.canon.clone()).map(View::from)))
}

async fn allocate(
    who: Require<Write>,
    allocations: web::Data<Allocations>,
    body: web::Json<AllocateBody>,
) -> Result<HttpResponse, Problem> {
    let rows = body.serials.iter().enumerate().map(|(index, serial)| Ordered {
        line: index + 1,
        serial: serial.clone(),
        buyer: None,
        order_ref: body.order_ref.clone(),
    });
    let rows: Vec<_> = rows.collect();
    answer(allocations.allocate(&who.id, Some(&body.buyer), &rows, body.dry_run).await?)
}

async fn import(
    who: Require<Write>,
    allocations: web::Data<Allocations>,
    query: web::Query<ImportQuery>,
    body: String,
) -> Result<HttpResponse, Problem> {
    let rows = csv::parse(&body, ["serial", "buyer", "order_ref"])?;
    let rows = rows.into_iter().map(|row| {
        let [serial, buyer, order_ref] = row.fields;
        Ordered { line: row.line, serial: serial.unwrap_or_default(), buyer, order_ref }
    });
    let rows: Vec<_> = rows.collect();
    answer(allocations.allocate(&who.id, query.buyer.as_deref(), &rows, query.dry_run).await?)
}

async fn revoke(
    who: Require<Write>,
    allocations: web::Data<Allocations>,
    serial: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    allocations.revoke(&who.id, &parse(&serial)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
