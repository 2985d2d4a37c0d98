//! `/crl/..`, `/ocsp` and `/ca/..` of the status listener.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderMap, HttpDate, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER,
};
use actix_web::web::{self, Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use fdo_pki::ocsp::Failure;
use serde::Deserialize;
use std::time::{Duration, UNIX_EPOCH};

use super::super::Error;
use super::super::lists::{self, Published};
use super::super::ocsp::{self, Answer, Reply};
use super::super::view::Scope;
use super::{MAX_BODY, cache_seconds, matches, request_in_path};
use crate::app::App;

const CRL: &str = "application/pkix-crl";
const CERTIFICATE: &str = "application/pkix-cert";
const PEM: &str = "application/x-pem-file";
const REQUEST: &str = "application/ocsp-request";
const ANSWER: &str = "application/ocsp-response";

/// All of them.
pub fn configure(cfg: &mut web::ServiceConfig, app: &Arc<App>) {
    let get = || web::method(actix_web::http::Method::GET);
    let head = || web::method(actix_web::http::Method::HEAD);
    cfg.app_data(Data::from(app.clone())).app_data(web::PayloadConfig::new(MAX_BODY));
    cfg.service(web::resource("/crl/{authority}/{shard}.crl").route(get().to(shard)).route(head().to(shard)))
        .service(web::resource("/crl/{authority}.crl").route(get().to(full)).route(head().to(full)))
        .service(web::resource("/ca/{authority}.cer").route(get().to(authority)).route(head().to(authority)))
        .service(web::resource("/ocsp").route(web::post().to(post)))
        // Whatever it holds: a slash may be a digit of the base64.
        .service(web::resource("/ocsp/{request:.*}").route(get().to(get_answer)).route(web::post().to(post)));
}

/// In which form a list or a certificate is wanted.
#[derive(Debug, Deserialize)]
struct Wanted {
    format: Option<String>,
}

impl Wanted {
    fn pem(&self) -> bool {
        self.format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("pem"))
    }
}

async fn shard(
    app: Data<App>,
    path: Path<(String, String)>,
    wanted: Query<Wanted>,
    request: HttpRequest,
) -> HttpResponse {
    let (authority, shard) = path.into_inner();
    match shard.parse::<u8>() {
        Ok(number) if number.to_string() == shard => {
            list(&app, &authority, Scope::Shard(number), &wanted, &request).await
        }
        _ => HttpResponse::NotFound().finish(),
    }
}

async fn full(app: Data<App>, path: Path<String>, wanted: Query<Wanted>, request: HttpRequest) -> HttpResponse {
    list(&app, &path, Scope::Full, &wanted, &request).await
}

async fn list(app: &App, authority: &str, scope: Scope, wanted: &Wanted, request: &HttpRequest) -> HttpResponse {
    match lists::current(app, authority, scope).await {
        Ok(list) => served(app, &list, wanted, request),
        Err(Error::NoAuthority(_)) => HttpResponse::NotFound().finish(),
        Err(Error::Busy) => later(),
        Err(error) => {
            tracing::error!(authority, ?scope, %error, "there is no CRL to serve");
            later()
        }
    }
}

fn later() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, "2"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

fn served(app: &App, list: &Published, wanted: &Wanted, request: &HttpRequest) -> HttpResponse {
    let seconds = cache_seconds(app, app.clock.now(), list.next_update);
    let kept = format!("public, max-age={seconds}, must-revalidate");
    let tag = if wanted.pem() { format!("{}-pem", list.tag) } else { list.tag.clone() };
    let builder = |status| {
        let mut response = HttpResponseBuilder::new(status);
        response
            .insert_header((CACHE_CONTROL, kept.clone()))
            .insert_header((LAST_MODIFIED, date(list.this_update)))
            .insert_header((EXPIRES, date(app.clock.now() + seconds)))
            .insert_header((ETAG, format!("\"{tag}\"")));
        response
    };
    if is_known(request.headers(), &tag) {
        return builder(StatusCode::NOT_MODIFIED).finish();
    }
    if wanted.pem() {
        return pem(builder(StatusCode::OK), "X509 CRL", &list.der);
    }
    builder(StatusCode::OK).content_type(CRL).body(list.der.clone())
}

fn pem(mut builder: HttpResponseBuilder, label: &str, der: &[u8]) -> HttpResponse {
    match pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der) {
        Ok(text) => builder.content_type(PEM).body(text),
        Err(error) => {
            tracing::error!(%error, "cannot write PEM");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let header = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    header.is_some_and(|header| matches(header, tag))
}

fn date(seconds: u64) -> HttpDate {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds))
}

async fn authority(
    app: Data<App>,
    path: Path<String>,
    wanted: Query<Wanted>,
    request: HttpRequest,
) -> HttpResponse {
    let Some(authority) = app.ca.authority(&path) else { return HttpResponse::NotFound().finish() };
    let (now, certificate) = (app.clock.now(), authority.certificate());
    let tag = hex::encode(certificate.fingerprint());
    let tag = if wanted.pem() { format!("{tag}-pem") } else { tag };
    let seconds = cache_seconds(&app, now, certificate.not_after());
    let builder = |status| {
        let mut response = HttpResponseBuilder::new(status);
        response
            .insert_header((CACHE_CONTROL, format!("public, max-age={seconds}")))
            .insert_header((ETAG, format!("\"{tag}\"")));
        response
    };
    if is_known(request.headers(), &tag) {
        return builder(StatusCode::NOT_MODIFIED).finish();
    }
    if wanted.pem() {
        return pem(builder(StatusCode::OK), "CERTIFICATE", certificate.der());
    }
    builder(StatusCode::OK).content_type(CERTIFICATE).body(certificate.der().to_vec())
}

async fn post(app: Data<App>, request: HttpRequest, body: Result<Bytes, actix_web::Error>) -> HttpResponse {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(REQUEST) {
        let text = format!("Send an OCSP request in DER as {REQUEST}.\n");
        return HttpResponse::UnsupportedMediaType().insert_header((CACHE_CONTROL, "no-store")).body(text);
    }
    match body {
        Ok(body) => answered(&app, &request, ocsp::respond(&app, &body).await),
        Err(error) => {
            let status = error.as_response_error().status_code();
            let status = if status.is_success() { StatusCode::BAD_REQUEST } else { status };
            let text = format!("An OCSP request has at most {MAX_BODY} bytes.\n");
            HttpResponseBuilder::new(status).insert_header((CACHE_CONTROL, "no-store")).force_close().body(text)
        }
    }
}

async fn get_answer(app: Data<App>, request: HttpRequest) -> HttpResponse {
    // As it came: a router would take slashes and escapes apart.
    let path = request.uri().path();
    let reply = match path.strip_prefix("/ocsp/").and_then(request_in_path) {
        Some(der) => ocsp::respond(&app, &der).await,
        None => Reply::Failed(Failure::MalformedRequest),
    };
    answered(&app, &request, reply)
}

fn answered(app: &App, request: &HttpRequest, reply: Reply) -> HttpResponse {
    match reply {
        Reply::Failed(failure) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type(ANSWER)
            .body(failure.der().to_vec()),
        Reply::Signed(answer) if !answer.may_be_kept => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type(ANSWER)
            .body(answer.der.clone()),
        Reply::Signed(answer) => signed(app, request, &answer),
    }
}

/// RFC 5019, 6.2.
fn signed(app: &App, request: &HttpRequest, answer: &Answer) -> HttpResponse {
    let seconds = cache_seconds(app, app.clock.now(), answer.next_update);
    let status = if is_known(request.headers(), &answer.tag) { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = HttpResponseBuilder::new(status);
    response
        .insert_header((CACHE_CONTROL, format!("max-age={seconds},public,no-transform,must-revalidate")))
        .insert_header((LAST_MODIFIED, date(answer.this_update)))
        .insert_header((EXPIRES, date(answer.next_update)))
        .insert_header((ETAG, format!("\"{}\"", answer.tag)));
    if status == StatusCode::NOT_MODIFIED {
        return response.finish();
    }
    response.content_type(ANSWER).body(answer.der.clone())
}
