//! At home in go-fdo-server's world: what the management routes of that server have in common, and the listener that
//! its users' scripts find. Each service has a slice `compat` with its own routes.
//!
//! The shapes are those of version 2 of its management API. They answer on the operator listener behind a token, and,
//! where `[compat]` says so, on a loopback listener that acts as a named operator (see `gate`).

pub mod certificates;
mod gate;
pub mod key;
pub mod page;
pub mod refusal;
pub mod rendezvous_info;
mod settings;
pub mod to2_addresses;
pub mod vouchers;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::ACCEPT;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use gate::{Gate, as_the_named_operator};
pub use settings::{CompatFlags, CompatSettings, CompatSettingsError};

use crate::database::DatabaseConnection;

/// The media type of certificates, keys and vouchers as text.
pub const PEM: &str = "application/x-pem-file";

/// A time as those routes write it.
pub fn timestamp(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Whether the caller prefers PEM; JSON otherwise, and where it does not say.
pub fn wants_pem(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let weight = |wanted: &[&str]| {
        let weights = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| wanted.contains(&name));
            let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            named.then_some(q.unwrap_or(0.0))
        });
        weights.fold(0.0_f32, f32::max)
    };
    weight(&[PEM]) > weight(&["application/json", "application/*", "*/*"])
}

/// A URL whose errors have the member that those scripts read.
pub fn resource(path: &str) -> Resource<impl Wrapped> {
    web::resource(path).wrap(from_fn(refusal::in_every_error))
}

/// What a wrapped resource is made of.
pub trait Wrapped:
    ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    > + 'static
{
}

impl<T> Wrapped for T where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static
{
}

/// PEM as an answer.
pub fn pem(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type(PEM).body(text)
}

/// `GET /health`: in the shape of that server; 500 where the database does not answer.
pub fn configure_health(cfg: &mut web::ServiceConfig, db: &DatabaseConnection) {
    let db = db.clone();
    let answer = move || {
        let db = db.clone();
        async move {
            let body = |message: &str, status: &str| json!({ "message": message, "status": status, "version": env!("CARGO_PKG_VERSION") });
            match crate::database::ping(&db).await {
                Ok(()) => HttpResponse::Ok().json(body("the service is up and running", "OK")),
                Err(error) => {
                    tracing::warn!(%error, "the database does not answer");
                    HttpResponse::InternalServerError().json(body("the database does not answer", "error"))
                }
            }
        }
    };
    cfg.route("/health", web::get().to(answer));
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn json_is_preferred_unless_pem_is_asked_for() {
        let wants =
            |accept: &str| wants_pem(&TestRequest::default().insert_header((ACCEPT, accept)).to_http_request());
        assert!(wants("application/x-pem-file"));
        assert!(wants("application/json;q=0.5, application/x-pem-file"));
        assert!(!wants("application/json, application/x-pem-file;q=0.9"));
        assert!(!wants("*/*") && !wants("application/json") && !wants("text/html") && !wants(""));
        assert!(!wants("application/x-pem-file;q=0"));
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(timestamp(1_795_478_400), "2026-11-24T00:00:00Z");
    }
}
