//! `/api/v1/buyers`: make them, give them codes, suspend them.

use std::sync::{Arc, OnceLock};

use actix_web::{HttpResponse, web};
use fdo_service::operators::require::{Admin, Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use fdo_service::transfer::partners::{self, Partners};
use serde::{Deserialize, Serialize};

use super::{Buyer, BuyerKey, BuyerState, Buyers, NewCode};

/// What a buyer is told together with its code.
pub struct Introduction {
    pub identity_fingerprint: String,
    /// Set once the listener is bound.
    pub claims_url: OnceLock<String>,
}

impl Introduction {
    pub fn claims_url(&self) -> &str {
        self.claims_url.get().map(String::as_str).unwrap_or_default()
    }
}

pub fn configure(cfg: &mut web::ServiceConfig, buyers: &Arc<Buyers>, introduction: &Arc<Introduction>) {
    cfg.app_data(web::Data::from(buyers.clone()))
        .app_data(web::Data::from(introduction.clone()))
        .service(web::resource("/api/v1/buyers").route(web::get().to(list)).route(web::post().to(add)))
        .service(web::resource("/api/v1/buyers/{name}").route(web::get().to(get)))
        .service(web::resource("/api/v1/buyers/{name}/code").route(web::post().to(code)))
        .service(web::resource("/api/v1/buyers/{name}/keys").route(web::post().to(keys)))
        .service(web::resource("/api/v1/buyers/{name}/suspend").route(web::post().to(suspend)))
        .service(web::resource("/api/v1/buyers/{name}/activate").route(web::post().to(activate)));
}

/// A buyer as the API shows it.
#[derive(Debug, Serialize)]
struct View {
    id: String,
    name: String,
    state: &'static str,
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyView>>,
}

#[derive(Debug, Serialize)]
struct KeyView {
    fingerprint: String,
    key_type: String,
    created: u64,
}

impl From<Buyer> for View {
    fn from(buyer: Buyer) -> Self {
        let Buyer { id, name, state, created } = buyer;
        Self { id, name, state: state.name(), created, keys: None }
    }
}

impl From<BuyerKey> for KeyView {
    fn from(key: BuyerKey) -> Self {
        Self { key_type: key.key.key_type().to_string(), fingerprint: key.fingerprint, created: key.created }
    }
}

/// A code, told this once.
#[derive(Serialize)]
struct CodeView<'a> {
    buyer: View,
    code: &'a str,
    expires: u64,
    identity_fingerprint: &'a str,
    claims_url: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddBody {
    name: String,
}

async fn list(
    _: Require<Read>,
    buyers: web::Data<Buyers>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<View>>, Problem> {
    let limit = page.limit()?;
    let rows = buyers.list(page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.name.clone()).map(View::from)))
}

async fn get(
    _: Require<Read>,
    buyers: web::Data<Buyers>,
    name: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    let (buyer, keys) = buyers.get(&name).await?;
    let keys = Some(keys.into_iter().map(KeyView::from).collect());
    Ok(web::Json(View { keys, ..buyer.into() }))
}

async fn add(
    who: Require<Write>,
    buyers: web::Data<Buyers>,
    introduction: web::Data<Introduction>,
    body: web::Json<AddBody>,
) -> Result<HttpResponse, Problem> {
    let (buyer, code) = buyers.add(&who.id, &body.name).await?;
    Ok(HttpResponse::Created().json(shown(buyer, &code, &introduction)))
}

async fn code(
    who: Require<Write>,
    buyers: web::Data<Buyers>,
    introduction: web::Data<Introduction>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (buyer, code) = buyers.new_code(&who.id, &name).await?;
    Ok(HttpResponse::Created().json(shown(buyer, &code, &introduction)))
}

/// Takes the keys of the partner with the buyer's name.
async fn keys(
    who: Require<Admin>,
    buyers: web::Data<Buyers>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    let partner = partners::get(&partners.db, &name).await?;
    let keys = partners::keys_of(&partners.db, &partner.id).await?;
    buyers.add_keys(&who.id, &name, &keys).await?;
    let (buyer, keys) = buyers.get(&name).await?;
    let keys = Some(keys.into_iter().map(KeyView::from).collect());
    Ok(web::Json(View { keys, ..buyer.into() }))
}

async fn suspend(
    who: Require<Write>,
    buyers: web::Data<Buyers>,
    name: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    Ok(web::Json(buyers.set_state(&who.id, &name, BuyerState::Suspended).await?.into()))
}

async fn activate(
    who: Require<Write>,
    buyers: web::Data<Buyers>,
    name: web::Path<String>,
) -> Result<web::Json<View>, Problem> {
    Ok(web::Json(buyers.set_state(&who.id, &name, BuyerState::Active).await?.into()))
}

fn shown<'a>(buyer: Buyer, code: &'a NewCode, introduction: &'a Introduction) -> CodeView<'a> {
    CodeView {
        buyer: buyer.into(),
        code: &code.code,
        expires: code.expires,
        identity_fingerprint: &introduction.identity_fingerprint,
        claims_url: introduction.claims_url(),
    }
}
