//! Errors of the claims listener as JSON that holds the members of all drafts (voucher transfer, section 8).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde::Serialize;

use super::wire::timestamp;
use super::{ClaimError, Claims};
use crate::buyers::BuyerError;

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
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    pub(super) fn respond(self, claims: &Claims) -> HttpResponse {
        let request_id = claims.request_id();
        if self.status.is_server_error() {
            tracing::error!(request_id, reason = self.message, "claims request failed");
        } else {
            tracing::info!(request_id, code = self.code, reason = self.message, "claims request refused");
        }
        // The reason of a fault of ours is for the log only.
        let message =
            if self.status.is_server_error() { "the service failed; ask again later" } else { &self.message };
        let body = Body {
            status: "error",
            error: message,
            message,
            error_code: self.code,
            request_id: &request_id,
            timestamp: timestamp(claims.clock.now()),
        };
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.insert_header((RETRY_AFTER, "60"));
        }
        response.json(body)
    }
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        let (status, code) = match &error {
            ClaimError::Unauthenticated | ClaimError::Proof(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            ClaimError::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            ClaimError::NotEnrolled => (StatusCode::FORBIDDEN, "key_not_enrolled"),
            ClaimError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            ClaimError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            ClaimError::Buyer(BuyerError::CodeInvalid) => (StatusCode::FORBIDDEN, "code_invalid"),
            ClaimError::Buyer(BuyerError::Suspended) => (StatusCode::FORBIDDEN, "buyer_suspended"),
            ClaimError::Buyer(BuyerError::KeyElsewhere) => (StatusCode::CONFLICT, "key_enrolled_elsewhere"),
            ClaimError::Buyer(_) | ClaimError::Key(_) | ClaimError::Signing(_) | ClaimError::Database(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
            }
        };
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source.filter(|_| status.is_server_error()) {
            message = format!("{message}: {inner}");
            source = inner.source();
        }
        Self { status, code, message }
    }
}
