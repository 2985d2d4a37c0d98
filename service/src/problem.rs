//! Errors of the operator API as problem+json (RFC 9457).

use std::error::Error;
use std::fmt;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError, web};
use serde::{Deserialize, Serialize};

use crate::database::DbErr;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// A JSON body of the operator API; uploads of vouchers read their bodies themselves.
const JSON_LIMIT: usize = 4 * 1024 * 1024;

/// What went wrong with a request, for people and for scripts. Boxed, as it stands in every `Result` of the API.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problem(Box<Members>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Members {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
    request_id: String,
}

impl Problem {
    /// `code` is a short stable word like `serial-unknown`; `detail` says what to do next.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(Box::new(Members {
            kind: format!("urn:firstlight:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            request_id: request_id(),
        }))
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail)
    }

    pub fn unauthorized(code: &str, detail: impl Into<String>) -> Self {
        Self::new(401, code, detail)
    }

    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(403, code, detail)
    }

    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(404, code, detail)
    }

    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(409, code, detail)
    }

    pub fn unprocessable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(422, code, detail)
    }

    pub fn too_many(code: &str, detail: impl Into<String>) -> Self {
        Self::new(429, code, detail)
    }

    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(503, code, detail)
    }

    /// A fault of this side: the reason goes to the log, the caller gets the id to find it by.
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        let problem =
            Self::new(500, "internal", "The service failed; its log has the reason under this request_id.");
        tracing::error!(request_id = %problem.0.request_id, reason = %Chain(error), "request failed");
        problem
    }

    pub fn status(&self) -> u16 {
        self.0.status
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

/// Names a log line, not a secret; the order of requests in it helps whoever reads the log.
#[allow(clippy::disallowed_methods)]
fn request_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// An error with all its sources on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.0.detail, self.0.code, self.0.status)
    }
}

impl Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.0.status == 401 {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response.content_type(MEDIA_TYPE).body(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl From<DbErr> for Problem {
    fn from(error: DbErr) -> Self {
        Self::internal(&error)
    }
}

/// Makes wrong bodies, queries and paths of a listener problems too.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|error, _| {
        Problem::bad_request("query", format!("The query does not fit: {error}.")).into()
    });
    let path = web::PathConfig::default()
        .error_handler(|error, _| Problem::not_found("path", format!("The path does not fit: {error}.")).into());
    let json = web::JsonConfig::default().limit(JSON_LIMIT).error_handler(|error, _| {
        let status = error.status_code();
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "body-too-large" } else { "body" };
        Problem::new(status.as_u16(), code, format!("The body does not fit: {error}.")).into()
    });
    cfg.app_data(query).app_data(path).app_data(json);
}

/// Middleware: whatever left the routes as a bare 4xx or 5xx leaves the listener as a problem.
pub async fn in_every_error(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let told = response.headers().get(CONTENT_TYPE).is_some_and(|value| {
        value == HeaderValue::from_static(MEDIA_TYPE) || value == HeaderValue::from_static("application/json")
    });
    if told || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found("no-such-route", "There is nothing at this path."),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(405, "method", "This path does not allow this method."),
        _ => Problem::new(status.as_u16(), "request", "The request was refused."),
    };
    let (request, _) = response.into_parts();
    Ok(ServiceResponse::new(request, problem.error_response()))
}
