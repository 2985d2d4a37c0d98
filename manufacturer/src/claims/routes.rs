//! The claims listener under `/api/v1/pull/vouchers`, and `/api/v1/claims` for operators.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::Guid;
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::store::{self, Wanted};
use super::wire::{self, ClaimResult, ClaimsBody, ClaimsReply, EnrolmentBody, EnrolmentReply, MAX_ITEMS};
use super::{Caller, Claim, ClaimError, Claimant, Claims};
use crate::buyers::BuyerError;
use crate::serial::Serial;

/// Where vouchers are pulled from.
pub const ROOT: &str = "/api/v1/pull/vouchers";
const BODY_LIMIT: usize = 256 * 1024;
/// Hello and prove come from strangers, and hold a key or a signature.
const KEY_AUTH_LIMIT: usize = 4 * 1024;
/// A whole body must arrive within this time, however steadily its bytes trickle.
const BODY_TIME: Duration = Duration::from_secs(30);
const CBOR: &str = "application/cbor";

/// The claims listener.
pub fn configure(cfg: &mut web::ServiceConfig, claims: &Arc<Claims>) {
    cfg.app_data(web::Data::from(claims.clone())).service(
        web::scope(ROOT)
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
        .service(web::resource("/api/v1/claims").route(web::get().to(list_all)));
}

impl Claims {
    pub(super) fn request_id(&self) -> String {
        let mut id = [0_u8; 16];
        self.random.rng().fill_bytes(&mut id);
        hex::encode(id)
    }

    async fn caller(&self, request: &HttpRequest) -> Result<Caller, ClaimError> {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        self.authenticate(token).await
    }

    async fn claimant(&self, request: &HttpRequest) -> Result<Claimant, ClaimError> {
        self.caller(request).await?.claimant()
    }
}

fn source(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

/// Called only when the caller is known, or its body is small.
async fn bytes(body: web::Payload, limit: usize) -> Result<web::Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIME, body.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_request", "the body broke off")),
        Ok(Err(_)) => {
            let message = format!("the body has at most {} KiB", limit / 1024);
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message))
        }
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly")),
    }
}

async fn json<T: for<'de> Deserialize<'de>>(body: web::Payload) -> Result<T, Refusal> {
    let body = bytes(body, BODY_LIMIT).await?;
    serde_json::from_slice(&body).map_err(|error| ClaimError::BadRequest(format!("the body: {error}")).into())
}

/// Who names a media type must name CBOR.
fn cbor_only(request: &HttpRequest) -> Result<(), Refusal> {
    let named = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    match named.map(|value| value.split(';').next().unwrap_or_default().trim()) {
        Some(other) if !other.eq_ignore_ascii_case(CBOR) => {
            let message = "send application/cbor";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
        }
        _ => Ok(()),
    }
}

fn respond(claims: &Claims, result: Result<HttpResponse, Refusal>) -> HttpResponse {
    result.unwrap_or_else(|refusal| refusal.respond(claims))
}

async fn hello(claims: web::Data<Claims>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let answer = async {
        cbor_only(&request)?;
        let challenge = claims.hello(&bytes(body, KEY_AUTH_LIMIT).await?, source(&request)).await?;
        Ok(HttpResponse::Ok().content_type(CBOR).body(challenge))
    };
    respond(&claims, answer.await)
}

async fn prove(claims: web::Data<Claims>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let answer = async {
        cbor_only(&request)?;
        let result = claims.prove(&bytes(body, KEY_AUTH_LIMIT).await?, source(&request)).await?;
        Ok(HttpResponse::Ok().content_type(CBOR).body(result))
    };
    respond(&claims, answer.await)
}

async fn enrol(claims: web::Data<Claims>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let answer = async {
        let caller = claims.caller(&request).await?;
        let (address, now) = (source(&request), claims.clock.now());
        if claims.windows.guessed(address, now) {
            return Err(ClaimError::TooMany.into());
        }
        let body: EnrolmentBody = json(body).await?;
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

async fn claim(claims: web::Data<Claims>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let answer = async {
        let claimant = claims.claimant(&request).await?;
        let body: ClaimsBody = json(body).await?;
        if body.claims.is_empty() || body.claims.len() > MAX_ITEMS {
            return Err(ClaimError::BadRequest(format!("send 1 to {MAX_ITEMS} claims")).into());
        }
        let given = body.request_id.filter(|id| id.len() <= 128 && !id.chars().any(char::is_control));
        let request_id = given.unwrap_or_else(|| claims.request_id());
        let mut results = Vec::with_capacity(body.claims.len());
        for item in body.claims {
            let asked =
                item.asked().ok_or_else(|| ClaimError::BadRequest("`expect_guid` is no GUID".to_owned()))?;
            results.push(match claims.claim(&claimant, &asked, &request_id, source(&request)).await {
                Ok(Ok(grant)) => ClaimResult::granted(item.serial, &grant),
                Ok(Err(denied)) => ClaimResult::denied(item.serial, &denied),
                Err(error) => {
                    // Earlier items are signed and committed; their results must still reach the buyer.
                    tracing::error!(request_id, %error, "a claim failed");
                    ClaimResult::failed(item.serial)
                }
            });
        }
        let timestamp = wire::timestamp(claims.clock.now());
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
        let name = format!("attachment; filename=\"{}.fdoov\"", wire::voucher_id(&guid));
        Ok(HttpResponse::Ok()
            .content_type("application/x-fdo-voucher")
            .insert_header(("X-FDO-Checksum", claim.checksum))
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

#[derive(Deserialize)]
struct ListQuery {
    limit: Option<u64>,
    continuation: Option<String>,
    since: Option<String>,
    until: Option<String>,
    status: Option<String>,
}

async fn list(claims: web::Data<Claims>, request: HttpRequest, query: web::Query<ListQuery>) -> HttpResponse {
    let answer = async {
        let claimant = claims.claimant(&request).await?;
        let bad = |what: &str| ClaimError::BadRequest(what.to_owned());
        let time = |text: &Option<String>| {
            let parse = |text: &String| wire::parse_timestamp(text).ok_or_else(|| bad("times are RFC 3339"));
            text.as_ref().map(parse).transpose()
        };
        let aad = claimant.fingerprint.as_bytes();
        let after = match &query.continuation {
            Some(text) => {
                let sealed = Base64UrlUnpadded::decode_vec(text).ok();
                let opened = sealed.and_then(|sealed| claims.continuations.open(aad, &sealed).ok());
                let key = opened.and_then(|opened| serde_json::from_slice(&opened).ok());
                Some(key.ok_or_else(|| bad("`continuation` is not of this key; begin again"))?)
            }
            None => None,
        };
        let limit = query.limit.unwrap_or(100).clamp(1, 1000);
        let (since, until) = (time(&query.since)?, time(&query.until)?);
        let pending = query.status.as_deref() == Some("pending");
        let wanted = Wanted { since, until, after, pending, limit: limit + 1 };
        let rows = store::list_of_key(&claims.db, &claimant.fingerprint, &wanted).await;
        let mut rows = rows.map_err(ClaimError::Database)?;
        let has_more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let continuation = rows.last().filter(|_| has_more).map(|last| {
            let key = serde_json::to_vec(&(last.created, last.guid.to_string())).unwrap_or_default();
            Base64UrlUnpadded::encode_string(&claims.continuations.seal(aad, &key, &mut claims.random.rng()))
        });
        let vouchers = rows.into_iter().map(Into::into).collect();
        Ok(HttpResponse::Ok().json(wire::VoucherList { vouchers, has_more, continuation }))
    };
    respond(&claims, answer.await)
}

async fn nothing(claims: web::Data<Claims>) -> HttpResponse {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path").respond(&claims)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::Maker;
    use super::*;
    use crate::db::Migrator;
    use actix_web::{App, dev, test};
    use fdo_service::db::testing::TestDatabase;

    #[tokio::test]
    async fn strangers_are_refused_before_their_bodies_are_read() {
        let db = TestDatabase::sqlite::<Migrator>().await;
        let maker = Maker::new(&db);
        let app = test::init_service(App::new().configure(|cfg| configure(cfg, &maker.claims))).await;
        let post = |path: &str| test::TestRequest::post().uri(&format!("{ROOT}{path}"));
        for path in ["/claims", "/enrolment"] {
            let mut request = post(path).to_request();
            *request.payload() = dev::Payload::Stream { payload: Box::pin(futures_util::stream::pending()) };
            let answer = tokio::time::timeout(Duration::from_secs(5), test::call_service(&app, request));
            assert_eq!(answer.await.unwrap().status(), 401, "{path}");
        }
        for path in ["/auth/hello", "/auth/prove"] {
            let long = post(path).set_payload(vec![0; KEY_AUTH_LIMIT + 1]).to_request();
            assert_eq!(test::call_service(&app, long).await.status(), 413, "{path}");
            let fitting = post(path).set_payload(vec![0; KEY_AUTH_LIMIT]).to_request();
            assert_eq!(test::call_service(&app, fitting).await.status(), 400, "{path}");
        }
    }
}
