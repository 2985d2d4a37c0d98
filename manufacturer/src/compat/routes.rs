//! `/api/v2/{rvinfo,vouchers}` on the operator listener and the compat listener, `/api/v1` on the latter only.

use std::sync::Arc;

use actix_web::web::{self, Bytes, Data, Path, PayloadConfig, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::voucher::Voucher;
use fdo_protocol::{Guid, RendezvousInfo};
use fdo_service::compat::page::Window;
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::vouchers::{SortBy, Summary, SummaryPage, VoucherQuery, Wanted, guid, in_full};
use fdo_service::compat::{self, Gate, key, pem, rendezvous_info, resource, timestamp, wants_pem};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::operators::{Operator, Permission};
use fdo_service::problem::{self, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::Desk;
use crate::claims::{Claims, ExtendError};
use crate::rendezvous::Rendezvous;
use crate::vouchers::{StoredVoucher, VoucherState, Vouchers};

/// Version 1 knows no pages; more than this is not answered at once.
const MOST: u64 = 10_000;
/// Bytes of rendezvous information.
const MAX_RENDEZVOUS_BODY: usize = 64 * 1024;

/// To whom vouchers are extended when they are first fetched; nobody unless the settings say so.
#[derive(Clone)]
pub struct ExtendTo(pub Option<VerifyingKey>);

/// Version 2, for the operator listener too.
pub fn configure(cfg: &mut ServiceConfig, desk: &Desk) {
    cfg.app_data(Data::from(desk.rendezvous.clone()))
        .app_data(Data::from(desk.vouchers.clone()))
        .app_data(Data::from(desk.claims.clone()))
        .app_data(Data::new(desk.extend_to.clone()));
    let rvinfo = resource("/api/v2/rvinfo").app_data(PayloadConfig::new(MAX_RENDEZVOUS_BODY));
    let rvinfo = rvinfo.route(web::get().to(get_rvinfo)).route(web::put().to(put_rvinfo));
    let extend = resource("/api/v2/vouchers/{guid}/extend").app_data(PayloadConfig::new(key::MAX_BODY));
    cfg.service(rvinfo.route(web::delete().to(delete_rvinfo)))
        .service(resource("/api/v2/vouchers").route(web::get().to(list)))
        .service(resource("/api/v2/vouchers/{guid}").route(web::get().to(get)))
        .service(extend.route(web::post().to(extend_voucher)));
}

/// The whole compat listener.
pub fn listener(cfg: &mut ServiceConfig, desk: &Arc<Desk>, gate: &Gate) {
    problem::configure(cfg);
    compat::configure_health(cfg, &desk.db);
    cfg.app_data(Data::new(gate.clone()));
    configure(cfg, desk);
    let rvinfo = resource("/api/v1/rvinfo").app_data(PayloadConfig::new(MAX_RENDEZVOUS_BODY));
    let rvinfo = rvinfo.route(web::get().to(get_rvinfo_1)).route(web::post().to(post_rvinfo_1));
    cfg.service(rvinfo.route(web::put().to(put_rvinfo_1)))
        .service(resource("/api/v1/vouchers").route(web::get().to(list_1)))
        .service(resource("/api/v1/vouchers/{guid}").route(web::get().to(get_1)));
}

fn json(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::bad_request("body", "The body is no JSON."))
}

/// What was set; the configuration's is not told here, as scripts take `[]` for "set it now".
async fn get_rvinfo(_: Require<Read>, rendezvous: Data<Rendezvous>) -> Result<HttpResponse, Refusal> {
    Ok(HttpResponse::Ok().json(rendezvous_info::write(rendezvous.find().await?.as_ref())))
}

async fn put_rvinfo(
    who: Require<Write>,
    rendezvous: Data<Rendezvous>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let info = rendezvous_info::read(&json(&body)?)?;
    match &info {
        Some(info) => store(&rendezvous, info, &who).await?,
        None => rendezvous.reset(&who.id).await.map(|_| ())?,
    }
    Ok(HttpResponse::Ok().json(rendezvous_info::write(info.as_ref())))
}

async fn delete_rvinfo(who: Require<Write>, rendezvous: Data<Rendezvous>) -> Result<HttpResponse, Refusal> {
    let before = rendezvous.reset(&who.id).await?;
    Ok(HttpResponse::Ok().json(rendezvous_info::write(before.as_ref())))
}

async fn get_rvinfo_1(_: Require<Read>, rendezvous: Data<Rendezvous>) -> Result<HttpResponse, Refusal> {
    let info = rendezvous.find().await?.ok_or_else(no_rvinfo)?;
    Ok(HttpResponse::Ok().json(rendezvous_info::to_version_1(Some(&info))))
}

async fn post_rvinfo_1(
    who: Require<Write>,
    rendezvous: Data<Rendezvous>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    if rendezvous.find().await?.is_some() {
        return Err(Problem::conflict("rvinfo-exists", "Rendezvous information is set; change it by PUT.").into());
    }
    set_1(&who, &rendezvous, &body).await.map(|shown| HttpResponse::Created().json(shown))
}

async fn put_rvinfo_1(
    who: Require<Write>,
    rendezvous: Data<Rendezvous>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    rendezvous.find().await?.ok_or_else(no_rvinfo)?;
    set_1(&who, &rendezvous, &body).await.map(|shown| HttpResponse::Ok().json(shown))
}

async fn set_1(who: &Operator, rendezvous: &Rendezvous, body: &Bytes) -> Result<Value, Refusal> {
    let info = rendezvous_info::read(&rendezvous_info::from_version_1(&json(body)?)?)?;
    let empty = || Refusal::bad_request("rvinfo", "rvinfo: it names no place.");
    let info = info.ok_or_else(empty)?;
    store(rendezvous, &info, who).await?;
    Ok(rendezvous_info::to_version_1(Some(&info)))
}

async fn store(rendezvous: &Rendezvous, info: &RendezvousInfo, who: &Operator) -> Result<(), Refusal> {
    super::check(info).map_err(|error| Refusal::bad_request("rvinfo", format!("{error}.")))?;
    Ok(rendezvous.set(info, &who.id).await?)
}

fn no_rvinfo() -> Refusal {
    Refusal::not_found("rvinfo-unset", "No rvInfo found: nothing is set, so the configuration's counts.")
}

async fn list(
    _: Require<Read>,
    vouchers: Data<Vouchers>,
    claims: Data<Claims>,
    query: Query<VoucherQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let wanted = query.wanted()?;
    let (rows, total) = vouchers.select(&wanted).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push((present(&claims, &row).await?, row.created));
    }
    if wants_pem(&request) {
        return Ok(pem(all.iter().map(|(voucher, _)| voucher.to_pem()).collect()));
    }
    let vouchers = all.iter().map(|(voucher, created)| Summary::new(voucher, *created, *created)).collect();
    let window = wanted.window;
    Ok(HttpResponse::Ok().json(SummaryPage { total, limit: window.limit, offset: window.offset, vouchers }))
}

/// Which vouchers version 1 lists; an empty one is none.
#[derive(Deserialize)]
struct VoucherQuery1 {
    guid: Option<String>,
    device_info: Option<String>,
}

/// Version 1: no pages, the latest first.
async fn list_1(
    _: Require<Read>,
    vouchers: Data<Vouchers>,
    query: Query<VoucherQuery1>,
) -> Result<HttpResponse, Refusal> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let device_info = filled(&query.device_info);
    let wanted = Wanted {
        window: Window { limit: MOST, offset: 0 },
        guid: filled(&query.guid).as_deref().map(guid).transpose()?,
        device_info: device_info.clone(),
        search: None,
        sort_by: SortBy::UpdatedAt,
        descending: true,
    };
    let mut all = Vec::new();
    for row in vouchers.select(&wanted).await?.0 {
        let voucher = decoded(&row.bytes)?;
        // There it is the whole of it.
        if device_info.as_ref().is_none_or(|wanted| *wanted == voucher.header().device_info) {
            let at = timestamp(row.created);
            all.push(json!({
                "guid": hex::encode(row.guid.as_bytes()),
                "device_info": voucher.header().device_info,
                "created_at": at,
                "updated_at": at,
            }));
        }
    }
    Ok(HttpResponse::Ok().json(all))
}

async fn get(
    who: Require<Read>,
    vouchers: Data<Vouchers>,
    claims: Data<Claims>,
    extend_to: Data<ExtendTo>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let voucher = fetch(&who, &vouchers, &claims, &extend_to, &guid(&name)?).await?;
    match wants_pem(&request) {
        true => Ok(pem(voucher.to_pem())),
        false => Ok(HttpResponse::Ok().json(in_full(&voucher).map_err(|error| Refusal::internal(&error))?)),
    }
}

async fn get_1(
    who: Require<Read>,
    vouchers: Data<Vouchers>,
    claims: Data<Claims>,
    extend_to: Data<ExtendTo>,
    name: Path<String>,
) -> Result<HttpResponse, Refusal> {
    Ok(pem(fetch(&who, &vouchers, &claims, &extend_to, &guid(&name)?).await?.to_pem()))
}

async fn extend_voucher(
    who: Require<Write>,
    claims: Data<Claims>,
    name: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let next = key::read(&String::from_utf8_lossy(&body))?;
    let claim = claims.extend(&guid(&name)?, &next, &who.id).await?;
    Ok(pem(decoded(&claim.bytes)?.to_pem()))
}

/// A voucher as it stands; the first time it is extended, where the settings name the next owner.
async fn fetch(
    who: &Operator,
    vouchers: &Vouchers,
    claims: &Claims,
    extend_to: &ExtendTo,
    guid: &Guid,
) -> Result<Voucher, Refusal> {
    let unknown = || Refusal::not_found("voucher-unknown", format!("There is no voucher of {guid} here."));
    let row = vouchers.find(Some(*guid), None).await?.ok_or_else(unknown)?;
    if row.state == VoucherState::Blocked {
        return Err(unknown());
    }
    if let ExtendTo(Some(next)) = extend_to
        && claims.extended(guid).await?.is_none()
    {
        if !who.role.allows(Permission::Write) {
            let detail = "The first GET of a voucher extends it, which needs the role operator.";
            return Err(Problem::forbidden("role", detail).into());
        }
        match claims.extend(guid, next, &who.id).await {
            // Not that buyer's, or not for a key of that type: it is shown as DI left it.
            Ok(_) | Err(ExtendError::KeyType { .. } | ExtendError::Allocated(_)) => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    present(claims, &row).await
}

/// As it was extended, else as DI left it.
async fn present(claims: &Claims, row: &StoredVoucher) -> Result<Voucher, Refusal> {
    match claims.extended(&row.guid).await? {
        Some(claim) => decoded(&claim.bytes),
        None => decoded(&row.bytes),
    }
}

fn decoded(bytes: &[u8]) -> Result<Voucher, Refusal> {
    Voucher::from_bytes(bytes).map_err(|error| Refusal::internal(&error))
}
