//! Errors of the claims listener, in the form of voucher transfer.

use actix_web::http::StatusCode;
use fdo_service::transfer::key_auth::KeyAuthError;
use fdo_service::transfer::refusal::Refusal;

use super::ClaimError;
use crate::buyers::BuyerError;

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        let (status, code) = match error {
            ClaimError::KeyAuth(error) => return error.into(),
            ClaimError::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            ClaimError::NotEnrolled => (StatusCode::FORBIDDEN, "key_not_enrolled"),
            ClaimError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            ClaimError::Buyer(BuyerError::CodeInvalid) => (StatusCode::FORBIDDEN, "code_invalid"),
            ClaimError::Buyer(BuyerError::Suspended) => (StatusCode::FORBIDDEN, "buyer_suspended"),
            ClaimError::Buyer(BuyerError::KeyElsewhere) => (StatusCode::CONFLICT, "key_enrolled_elsewhere"),
            ClaimError::Buyer(_) | ClaimError::Key(_) | ClaimError::Signing(_) | ClaimError::Database(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
            }
        };
        Self::of(status, code, &error)
    }
}

impl ClaimError {
    pub(super) fn too_many() -> Self {
        Self::KeyAuth(KeyAuthError::TooMany)
    }
}
