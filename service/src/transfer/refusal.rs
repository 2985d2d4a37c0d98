//! Errors as JSON that holds the members of all drafts (section 8).

use std::error::Error;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde::Serialize;

use super::{VERSION, VERSION_HEADER, timestamp};

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    error: &'a str,
    message: &'a str,
    error_code: &'static str,
    request_id: &'a str,
    timestamp: String,
}

/// A failed request on its way out.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    /// 400
    pub fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401
    pub fn unauthenticated() -> Self {
        let message = "prove an owner key with KeyAuth first, or again: the token is missing, wrong or expired";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// 404: unknown and not yours look the same.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such voucher")
    }

    /// By an error and its sources; those of a fault of ours are for the log only.
    pub fn of(status: StatusCode, code: &'static str, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source.filter(|_| status.is_server_error()) {
            message = format!("{message}: {inner}");
            source = inner.source();
        }
        Self { status, code, message }
    }

    /// 500
    pub fn fault(error: &dyn Error) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error)
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn respond(self, request_id: &str, now: u64) -> HttpResponse {
        if self.status.is_server_error() {
            tracing::error!(request_id, reason = self.message, "voucher transfer failed");
        } else {
            tracing::info!(request_id, code = self.code, reason = self.message, "voucher transfer refused");
        }
        // The reason of a fault of ours is for the log only.
        let message =
            if self.status.is_server_error() { "the service failed; ask again later" } else { &self.message };
        let body = Body {
            status: "error",
            error: message,
            message,
            error_code: self.code,
            request_id,
            timestamp: timestamp(now),
        };
        let mut response = HttpResponse::build(self.status);
        response.insert_header((VERSION_HEADER, VERSION)).insert_header(("X-Request-ID", request_id));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.insert_header((RETRY_AFTER, "60"));
        }
        response.json(body)
    }
}
