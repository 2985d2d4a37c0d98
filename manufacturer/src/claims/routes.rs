//! The claims listener under `/api/v1/pull/vouchers`, and `/api/v1/claims` for operators.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpRequest, HttpResponse, web};
use fdo_protocol::Guid;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use fdo_service::transfer::did::WELL_KNOWN;
use fdo_service::transfer::listing::ListQuery;
use fdo_service::transfer::outbox::routes::PushView;
use fdo_service::transfer::refusal::Refusal;
use fdo_service::transfer::{
    CHECKSUM_HEADER, PULL_ROOT, PUSH_ROOT, VERSION, VERSION_HEADER, VOUCHER, body, timestamp, voucher_id,
};
use rand_core::Rng;
use serde::Serialize;

use super::store;
use super::wire::{self, ClaimResult, ClaimsBody, ClaimsReply, EnrolmentBody, EnrolmentReply, MAX_ITEMS};
use super::{Caller, Claim, ClaimError, Claimant, Claims};
use crate::buyers::BuyerError;
use crate::buyers::routes::Introduction;
use crate::serial::Serial;

/// The claims listener.
pub fn configure(cfg: &mut web::ServiceConfig, claims: &Arc<Claims>, introduction: &Arc<Introduction>) {
    cfg.app_data(web::Data::from(claims.clone())).app_data(web::Data::from(introduction.clone()));
    cfg.route(WELL_KNOWN, web::get().to(did)).service(
        web::scope(PUSH_ROOT)
            .route("/auth/hello", web::post().to(hello))
            .route("/auth/prove", web::post().to(prove))
            .route("/status/{id}", web::get().to(status))
            .route("/list", web::get().to(list)),
    );
    cfg.service(
        web::scope(PULL_ROOT)
            .route("/auth/hello", web::post().to(hello))
            .route("/auth/prove", web::post().to(prove))
            .route("/enrolment", web::post().to(enrol))
            .route("/trust", web::get().to(trust))
            .route("/claims", web::post().to(claim))
            .route("/status/{id}", web::get().to(status))
            .route("/{id}/download", web::get().to(download))
            .route("", web::get().to(list)),
    );
    cfg.default_service(web::to(nothing));
}

/// The operators' view.
pub fn configure_operators(cfg: &mut web::ServiceConfig, claims: &Arc<Claims>) {
    cfg.app_data(web::Data::from(claims.clone()))
        .service(web::resource("/api/v1/claims").route(web::get().to(list_all)))
        .service(web::resource("/api/v1/claims/{guid}/push").route(web::post().to(push)));
}

impl Claims {
    pub(super) fn request_id(&self) -> String {
        let mut id = [0_u8; 16];
        self.random.rng().fill_bytes(&mut id);
        hex::encode(id)
    }

    async fn caller(&self, request: &HttpRequest) -> Result<Caller, ClaimError> {
        let token = body::bearer(request);
        self.authenticate(token.as_deref().map(String::as_str)).await
    }

    async fn claimant(&self, request: &HttpRequest) -> Result<Claimant, ClaimError> {
        self.caller(request).await?.claimant()
    }
}

fn respond(claims: &Claims, result: Result<HttpResponse, Refusal>) -> HttpResponse {
    result.unwrap_or_else(|refusal| refusal.respond(&claims.request_id(), claims.clock.now()))
}

async fn hello(claims: web::Data<Claims>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answer = async {
        body::cbor_only(&request)?;
        let hello = body::read(payload, body::KEY_AUTH_LIMIT).await?;
        let challenge = claims.hello(&hello, body::source(&request)).await?;
        Ok(HttpResponse::Ok().content_type(body::CBOR).body(challenge))
    };
    respond(&claims, answer.await)
}

async fn prove(claims: web::Data<Claims>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answer = async {
        body::cbor_only(&request)?;
        let proof = body::read(payload, body::KEY_AUTH_LIMIT).await?;
        let result = claims.prove(&proof, body::source(&request)).await?;
        Ok(HttpResponse::Ok().content_type(body::CBOR).body(result))
    };
    respond(&claims, answer.await)
}

async fn enrol(claims: web::Data<Claims>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answer = async {
        let caller = claims.caller(&request).await?;
        let (address, now) = (body::source(&request), claims.clock.now());
        if claims.windows.guessed(address, now) {
            return Err(ClaimError::too_many().into());
        }
        let body: EnrolmentBody = body::json(payload).await?;
        let enrolled = claims.enrol(&caller, &body.code, body.complete).await;
        if matches!(enrolled, Err(ClaimError::Buyer(BuyerError::CodeInvalid))) {
            claims.windows.missed(address, now);
        }
        let enrolled = enrolled?;
        Ok(HttpResponse::Ok().json(EnrolmentReply {
            buyer: enrolled.buyer.name,
            key_fingerprint: enrolled.fingerprint,
            key_type: enrolled.key_type.to_string(),
            enrolled_keys: enrolled.keys,
            complete: enrolled.complete,
        }))
    };
    respond(&claims, answer.await)
}

async fn trust(claims: web::Data<Claims>, request: HttpRequest) -> HttpResponse {
    let answer = async {
        claims.claimant(&request).await?;
        let trust = claims.keys.trust(&claims.maker).map_err(ClaimError::Key)?;
        Ok(HttpResponse::Ok().json(trust))
    };
    respond(&claims, answer.await)
}

async fn claim(claims: web::Data<Claims>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answer = async {
        let claimant = claims.claimant(&request).await?;
        let body: ClaimsBody = body::json(payload).await?;
        if body.claims.is_empty() || body.claims.len() > MAX_ITEMS {
            return Err(ClaimError::BadRequest(format!("send 1 to {MAX_ITEMS} claims")).into());
        }
        let given = body.request_id.filter(|id| id.len() <= 128 && !id.chars().any(char::is_control));
        let request_id = given.unwrap_or_else(|| claims.request_id());
        let mut results = Vec::with_capacity(body.claims.len());
        for item in body.claims {
            let asked =
                item.asked().ok_or_else(|| ClaimError::BadRequest("`expect_guid` is no GUID".to_owned()))?;
            results.push(match claims.claim(&claimant, &asked, &request_id, body::source(&request)).await {
                Ok(Ok(grant)) => ClaimResult::granted(item.serial, &grant),
                Ok(Err(denied)) => ClaimResult::denied(item.serial, &denied),
                Err(error) => {
                    // Earlier items are signed and committed; their results must still reach the buyer.
                    tracing::error!(request_id, %error, "a claim failed");
                    ClaimResult::failed(item.serial)
                }
            });
        }
        let timestamp = timestamp(claims.clock.now());
        Ok(HttpResponse::Ok().json(ClaimsReply { results, timestamp, request_id }))
    };
    respond(&claims, answer.await)
}

async fn download(claims: web::Data<Claims>, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        let claimant = claims.claimant(&request).await?;
        let guid: Guid =
            id.parse().map_err(|_| ClaimError::BadRequest("a voucher id has 32 hexadecimal digits".to_owned()))?;
        let claim = claims.deliver(&claimant, &guid).await?;
        let name = format!("attachment; filename=\"{}.fdoov\"", voucher_id(&guid));
        Ok(HttpResponse::Ok()
            .content_type(VOUCHER)
            .insert_header((CHECKSUM_HEADER, claim.checksum))
            .insert_header((VERSION_HEADER, VERSION))
            .insert_header((CONTENT_DISPOSITION, name))
            .body(claim.bytes))
    };
    respond(&claims, answer.await)
}

async fn status(claims: web::Data<Claims>, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        let claimant = claims.claimant(&request).await?;
        let claim = match (id.parse::<Guid>(), Serial::parse(&id)) {
            (Ok(guid), _) => claims.claim_of(&claims.db, &claimant, &guid).await?,
            (_, Ok(serial)) => {
                let found = store::find_by_serial(&claims.db, serial.canon(), &claimant.buyer.id).await;
                let guid = found.map_err(ClaimError::Database)?.ok_or(ClaimError::NotFound)?.guid;
                claims.claim_of(&claims.db, &claimant, &guid).await?
            }
            _ => return Err(ClaimError::NotFound.into()),
        };
        Ok(HttpResponse::Ok().json(wire::VoucherStatus::from(claim)))
    };
    respond(&claims, answer.await)
}

async fn list(claims: web::Data<Claims>, request: HttpRequest, query: web::Query<ListQuery>) -> HttpResponse {
    let answer = async {
        let (key, now) = (claims.claimant(&request).await?.fingerprint, claims.clock.now());
        let wanted = claims.continuations.wanted(&query, &key, now)?;
        let rows = store::list_of_key(&claims.db, &key, &wanted).await.map_err(ClaimError::Database)?;
        let rows = rows.into_iter().map(Into::into).collect();
        let page = claims.continuations.page(rows, &wanted, query.fields.as_deref(), &key, now);
        Ok(HttpResponse::Ok().insert_header((VERSION_HEADER, VERSION)).json(page))
    };
    respond(&claims, answer.await)
}

/// The maker's DID document.
async fn did(claims: web::Data<Claims>, introduction: web::Data<Introduction>) -> HttpResponse {
    HttpResponse::Ok().json(claims.document(introduction.claims_url()).to_json())
}

async fn nothing(claims: web::Data<Claims>) -> HttpResponse {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path");
    respond(&claims, Err(refusal))
}

/// A claim as operators see it.
#[derive(Serialize)]
struct View {
    guid: String,
    serial: String,
    model: String,
    buyer_id: String,
    owner_key_fingerprint: String,
    checksum: String,
    size_bytes: usize,
    request_id: String,
    created: u64,
    delivered: Option<u64>,
}

impl From<Claim> for View {
    fn from(claim: Claim) -> Self {
        Self {
            guid: claim.guid.to_string(),
            size_bytes: claim.bytes.len(),
            serial: claim.serial,
            model: claim.model,
            buyer_id: claim.buyer_id,
            owner_key_fingerprint: claim.fingerprint,
            checksum: claim.checksum,
            request_id: claim.request_id,
            created: claim.created,
            delivered: claim.delivered,
        }
    }
}

async fn list_all(
    _: Require<Read>,
    claims: web::Data<Claims>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<View>>, Problem> {
    let limit = page.limit()?;
    let rows = claims.list(page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.guid.to_string()).map(View::from)))
}

async fn push(
    _: Require<Write>,
    claims: web::Data<Claims>,
    guid: web::Path<String>,
) -> Result<web::Json<PushView>, Problem> {
    let guid: Guid = guid.parse().map_err(|_| Problem::bad_request("guid", "This is not a GUID."))?;
    Ok(web::Json(claims.push(&guid).await?.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::Maker;
    use super::*;
    use crate::db::Migrator;
    use actix_web::{App, dev, test};
    use fdo_service::db::testing::TestDatabase;
    use std::time::Duration;

    #[tokio::test]
    async fn strangers_are_refused_before_their_bodies_are_read() {
        let db = TestDatabase::sqlite::<Migrator>().await;
        let maker = Maker::new(&db);
        let app =
            test::init_service(App::new().configure(|cfg| configure(cfg, &maker.claims, &maker.introduction())))
                .await;
        let post = |path: &str| test::TestRequest::post().uri(&format!("{PULL_ROOT}{path}"));
        for path in ["/claims", "/enrolment"] {
            let mut request = post(path).to_request();
            *request.payload() = dev::Payload::Stream { payload: Box::pin(futures_util::stream::pending()) };
            let answer = tokio::time::timeout(Duration::from_secs(5), test::call_service(&app, request));
            assert_eq!(answer.await.unwrap().status(), 401, "{path}");
        }
        for path in ["/auth/hello", "/auth/prove"] {
            let long = post(path).set_payload(vec![0; body::KEY_AUTH_LIMIT + 1]).to_request();
            assert_eq!(test::call_service(&app, long).await.status(), 413, "{path}");
            let fitting = post(path).set_payload(vec![0; body::KEY_AUTH_LIMIT]).to_request();
            assert_eq!(test::call_service(&app, fitting).await.status(), 400, "{path}");
        }
    }
}
