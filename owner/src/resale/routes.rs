//! `/api/v1/vouchers/{guid or serial}/resell` and `/api/v1/resales`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Error, Request, Resale, State};
use crate::app::App;

/// A sale as operators see it. The voucher is told only where it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResaleView {
    pub guid: String,
    pub serial: Option<String>,
    pub state: State,
    /// The fingerprint of the new owner's key.
    pub next_key: String,
    pub entries: u32,
    pub onboarded: bool,
    /// Of the voucher in CBOR.
    pub sha256: String,
    pub sold: u64,
    pub handed_over: Option<u64>,
    pub delivered: Option<u64>,
    /// The extended voucher in PEM; only as the answer to handing it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<String>,
}

impl From<Resale> for ResaleView {
    fn from(sale: Resale) -> Self {
        Self {
            guid: sale.guid.to_string(),
            sha256: hex::encode(Sha256::digest(&sale.bytes)),
            serial: sale.serial,
            state: sale.state,
            next_key: sale.next_key,
            entries: sale.entries,
            onboarded: sale.onboarded,
            sold: sale.sold,
            handed_over: sale.handed_over,
            delivered: sale.delivered,
            voucher: None,
        }
    }
}

/// To whom a device is sold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResale {
    /// The new owner's public key or certificate in PEM.
    pub to: String,
    /// Sell it although it was never onboarded here.
    #[serde(default)]
    pub even_if_never_onboarded: bool,
}

/// Which sales to list.
#[derive(Debug, Deserialize)]
pub struct ResaleQuery {
    pub state: Option<State>,
}

/// `POST /api/v1/vouchers/{guid or serial}/resell`
pub async fn resell(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    new: Json<NewResale>,
) -> Result<Json<ResaleView>, Problem> {
    let next = super::next_key(&new.to)?;
    let request = Request { name: &name, next: &next, even_if_never_onboarded: new.even_if_never_onboarded };
    Ok(Json(super::resell(&app, &who.id, request).await?.into()))
}

/// `GET /api/v1/resales`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<ResaleQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ResaleView>>, Problem> {
    let limit = page.limit()?;
    let rows = super::list(&app.db, query.state, page.after()?, limit + 1).await.map_err(Error::from)?;
    let key = |last: &Resale| (last.guid.to_string(), last.entries);
    Ok(Json(Page::from_rows(rows, limit, key).map(ResaleView::from)))
}

/// `GET /api/v1/resales/{guid}`
pub async fn get(app: Data<App>, _: Require<Read>, guid: Path<String>) -> Result<Json<ResaleView>, Problem> {
    let guid = parse(&guid)?;
    let sale = super::find(&app.db, &guid).await.map_err(Error::from)?;
    Ok(Json(sale.ok_or_else(|| Error::NotFound(guid.to_string()))?.into()))
}

/// `POST /api/v1/resales/{guid}/hand-over`: the voucher, again and again.
pub async fn hand_over(
    app: Data<App>,
    who: Require<Write>,
    guid: Path<String>,
) -> Result<Json<ResaleView>, Problem> {
    let sale = super::hand_over(&app, &who.id, &parse(&guid)?).await?;
    let pem = Voucher::from_bytes(&sale.bytes).map_err(Error::from)?.to_pem();
    Ok(Json(ResaleView { voucher: Some(pem), ..sale.into() }))
}

/// `POST /api/v1/resales/{guid}/confirm`: the new owner has it.
pub async fn confirm(
    app: Data<App>,
    who: Require<Write>,
    guid: Path<String>,
) -> Result<Json<ResaleView>, Problem> {
    Ok(Json(super::confirm(&app, &who.id, &parse(&guid)?).await?.into()))
}

/// `POST /api/v1/resales/{guid}/cancel`
pub async fn cancel(app: Data<App>, who: Require<Write>, guid: Path<String>) -> Result<HttpResponse, Problem> {
    super::cancel(&app, &who.id, &parse(&guid)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn parse(guid: &str) -> Result<Guid, Problem> {
    guid.parse().map_err(|_| Problem::bad_request("guid", format!("`{guid}` is not a GUID.")))
}
