//! Errors of the compat routes: problems with the member `message`, which is the one that those scripts read.

use std::fmt;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::problem::{self, Problem};

/// Marks an answer that has the shape already.
struct Told;

/// A problem in the other shape.
#[derive(Debug)]
pub struct Refusal(Problem);

impl Refusal {
    /// What came does not fit.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self(Problem::bad_request(code, detail))
    }

    /// There is no such thing here.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self(Problem::not_found(code, detail))
    }

    /// More came than is read.
    pub fn too_large(most: usize) -> Self {
        Self(Problem::new(413, "body-too-large", format!("The body has more than {most} bytes.")))
    }

    /// A fault of this side.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(Problem::internal(error))
    }

    /// The problem that it tells of.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    pub(super) fn response(problem: &Problem) -> HttpResponse {
        // 422 is not among the answers that those scripts know.
        let status = if problem.status() == 422 { 400 } else { problem.status() };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!(problem);
        body["status"] = json!(status.as_u16());
        body["message"] = json!(problem.detail());
        let mut response = HttpResponse::build(status);
        response.content_type(problem::MEDIA_TYPE);
        response.extensions_mut().insert(Told);
        response.body(body.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        Self::response(&self.0).status()
    }

    fn error_response(&self) -> HttpResponse {
        Self::response(&self.0)
    }
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Middleware of the compat routes: what left them as a bare error or as a problem leaves in this shape too.
pub async fn in_every_error(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    // FDO has errors of its own.
    let is_fdo = response.request().path().starts_with("/fdo/");
    if is_fdo || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let told = response.response().extensions().get::<Told>().is_some();
    if told || response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json") {
        return Ok(response);
    }
    let known = response.response().error().and_then(|error| error.as_error::<Problem>());
    let answer = match known {
        Some(problem) => Refusal::response(problem),
        None => Refusal::response(&match status {
            StatusCode::NOT_FOUND => Problem::not_found("no-such-route", "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(405, "method", "This path does not allow this method."),
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(413, "body-too-large", "The body is too large."),
            _ => Problem::new(status.as_u16(), "request", "The request was refused."),
        }),
    };
    let (request, _) = response.into_parts();
    Ok(ServiceResponse::new(request, answer))
}
