//! How a refused registration is told: to an owner by message 255, to an operator by a problem.

use fdo_protocol::{Error, VoucherFault};
use fdo_service::endpoint::Fault;

use crate::registrations::RegistrationError;

impl From<RegistrationError> for Fault {
    fn from(error: RegistrationError) -> Self {
        let told = match &error {
            RegistrationError::Shorter | RegistrationError::OtherOwner => VoucherFault::NotTheOwner.into(),
            RegistrationError::Superseded => Error::Rejected("a later registration is in its place"),
            RegistrationError::Full => Error::Internal("no room for registrations"),
            RegistrationError::Database(source) => return Self::internal(source),
        };
        Self::new(told).because(error.to_string())
    }
}
